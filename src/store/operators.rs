//! Operators, who run a team's projects, and their sessions.

use super::fault::known;
use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{OperatorId, TeamId};
use crate::domain::operator::OperatorRole;
use rusqlite::{OptionalExtension, params};

#[derive(Debug, Clone)]
pub struct Operator {
    pub id: OperatorId,
    pub team: TeamId,
    pub email: String,
    pub password_hash: String,
    pub role: OperatorRole,
    /// A sign-in asks for a code as well.
    pub has_second_factor: bool,
}

/// An operator as a list shows them.
#[derive(Debug, Clone)]
pub struct OperatorRow {
    pub id: OperatorId,
    pub team: TeamId,
    pub team_slug: String,
    pub email: String,
    pub role: OperatorRole,
    pub has_second_factor: bool,
    pub created_at_ms: i64,
    /// Good keys that they have made.
    pub keys: i64,
}

const COLUMNS: &str = "operator.id, team_id, email, password_hash, role, totp_secret IS NOT NULL";

fn operator(row: &rusqlite::Row<'_>) -> rusqlite::Result<Operator> {
    Ok(Operator {
        id: OperatorId(row.get(0)?),
        team: TeamId(row.get(1)?),
        email: row.get(2)?,
        password_hash: row.get(3)?,
        role: known(OperatorRole::parse(row.get_ref(4)?.as_str()?))?,
        has_second_factor: row.get(5)?,
    })
}

impl Snapshot<'_> {
    pub fn operator_with_email(&self, email: &str) -> Result<Option<Operator>> {
        let sql = format!("SELECT {COLUMNS} FROM operator WHERE email = $1");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![email], operator).optional()?)
    }

    /// `NotFound` for one who was removed, too.
    pub fn operator(&self, id: OperatorId) -> Result<Operator> {
        let sql = format!("SELECT {COLUMNS} FROM operator WHERE id = $1 AND removed_at_ms IS NULL");
        let found = self.connection.prepare_cached(&sql)?.query_row(params![id.0], operator).optional()?;
        found.ok_or_else(|| Error::not_found("No such operator."))
    }

    /// Of one team or of all, oldest first.
    pub fn operators(&self, team: Option<TeamId>) -> Result<Vec<OperatorRow>> {
        let sql = "SELECT operator.id, team_id, slug, email, role, totp_secret IS NOT NULL, operator.created_at_ms,
                     (SELECT count(*) FROM api_key WHERE made_by = operator.id AND revoked_at_ms IS NULL)
                   FROM operator JOIN team ON team.id = team_id
                   WHERE removed_at_ms IS NULL AND ($1 IS NULL OR team_id = $1) ORDER BY operator.id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![team.map(|id| id.0)], |row| {
            Ok(OperatorRow {
                id: OperatorId(row.get(0)?),
                team: TeamId(row.get(1)?),
                team_slug: row.get(2)?,
                email: row.get(3)?,
                role: known(OperatorRole::parse(row.get_ref(4)?.as_str()?))?,
                has_second_factor: row.get(5)?,
                created_at_ms: row.get(6)?,
                keys: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn has_owner(&self, team: TeamId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM operator
                   WHERE team_id = $1 AND role = 'owner' AND removed_at_ms IS NULL)";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![team.0], |row| row.get(0))?)
    }

    /// Whose session this is, unless it has ended.
    pub fn operator_with_session(&self, hash: &[u8; 32]) -> Result<Option<Operator>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM operator_session JOIN operator ON operator.id = operator_id
             WHERE hash = $1 AND expires_at_ms > $2 AND removed_at_ms IS NULL"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![hash, self.machine_now_ms()], operator).optional()?)
    }
}

impl Tx<'_> {
    /// `Conflict` for an e-mail address that an operator of any team has.
    pub fn add_operator(
        &self,
        team: TeamId,
        email: &str,
        password_hash: &str,
        role: OperatorRole,
    ) -> Result<OperatorId> {
        if self.operator_with_email(email)?.is_some() {
            return Err(Error::conflict("email_taken", format!("There is an operator {email} already.")));
        }
        let id = OperatorId(self.next_key()?);
        let sql = "INSERT INTO operator (id, team_id, email, password_hash, role, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let now_ms = self.machine_now_ms();
        self.connection.execute(sql, params![id.0, team.0, email, password_hash, role.as_str(), now_ms])?;
        Ok(id)
    }

    /// Begins a session, and forgets those of this operator that have ended.
    pub fn add_session(
        &self,
        operator: OperatorId,
        hash: &[u8; 32],
        device: Option<&str>,
        expires_at_ms: i64,
    ) -> Result<()> {
        let sql = "DELETE FROM operator_session WHERE operator_id = $1 AND expires_at_ms <= $2";
        self.connection.execute(sql, params![operator.0, self.machine_now_ms()])?;
        let sql = "INSERT INTO operator_session (id, operator_id, hash, device, created_at_ms, expires_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let now_ms = self.machine_now_ms();
        self.connection.execute(sql, params![self.next_key()?, operator.0, hash, device, now_ms, expires_at_ms])?;
        Ok(())
    }

    pub fn end_session(&self, hash: &[u8; 32]) -> Result<()> {
        self.connection.execute("DELETE FROM operator_session WHERE hash = $1", params![hash])?;
        Ok(())
    }
}
