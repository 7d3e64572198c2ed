//! Who runs a team: invitations, roles, passwords, second factors.

use super::fault::known;
use super::projects::Project;
use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{InvitationId, OperatorId, SessionId, TeamId};
use crate::domain::operator::OperatorRole;
use crate::domain::totp::Secret;
use rusqlite::{OptionalExtension, params};

/// A one-time link that was not used yet.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub id: InvitationId,
    pub team: TeamId,
    pub role: OperatorRole,
    pub invited_by: OperatorId,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

/// An operator's session as its owner sees it.
#[derive(Debug, Clone)]
pub struct OperatorSessionRow {
    pub id: SessionId,
    pub device: Option<String>,
    pub created_at_ms: i64,
    pub is_this: bool,
}

fn invitation(row: &rusqlite::Row<'_>) -> rusqlite::Result<Invitation> {
    Ok(Invitation {
        id: InvitationId(row.get(0)?),
        team: TeamId(row.get(1)?),
        role: known(OperatorRole::parse(row.get_ref(2)?.as_str()?))?,
        invited_by: OperatorId(row.get(3)?),
        created_at_ms: row.get(4)?,
        expires_at_ms: row.get(5)?,
    })
}

const INVITATION: &str = "id, team_id, role, invited_by, created_at_ms, expires_at_ms";

impl Snapshot<'_> {
    /// A team's projects, oldest first.
    pub fn projects_of_team(&self, team: TeamId) -> Result<Vec<Project>> {
        Ok(self.projects()?.into_iter().filter(|project| project.team == team).collect())
    }

    /// Those that are still good, oldest first.
    pub fn invitations(&self, team: TeamId) -> Result<Vec<Invitation>> {
        let sql = format!(
            "SELECT {INVITATION} FROM operator_invitation WHERE team_id = $1 AND expires_at_ms > $2 ORDER BY id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![team.0, self.machine_now_ms()], invitation)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The one with this secret's hash, if it is still good.
    pub fn invitation(&self, hash: &[u8; 32]) -> Result<Option<Invitation>> {
        let sql = format!("SELECT {INVITATION} FROM operator_invitation WHERE hash = $1 AND expires_at_ms > $2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![hash, self.machine_now_ms()], invitation).optional()?)
    }

    /// Whether the team has an owner beside this one.
    pub fn has_other_owner(&self, team: TeamId, operator: OperatorId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM operator
                   WHERE team_id = $1 AND id <> $2 AND role = 'owner' AND removed_at_ms IS NULL)";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![team.0, operator.0], |row| row.get(0))?)
    }

    /// The secret of the second factor, with the newest step whose code was taken.
    pub fn second_factor(&self, operator: OperatorId) -> Result<Option<(Secret, i64)>> {
        let sql = "SELECT totp_secret, totp_step FROM operator WHERE id = $1 AND totp_secret IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![operator.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    pub fn recovery_codes_left(&self, operator: OperatorId) -> Result<i64> {
        let sql = "SELECT count(*) FROM operator_recovery WHERE operator_id = $1";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![operator.0], |row| row.get(0))?)
    }

    /// Those that have not ended, newest first; `own` is the hash of the one that asks.
    pub fn operator_sessions(&self, operator: OperatorId, own: &[u8; 32]) -> Result<Vec<OperatorSessionRow>> {
        let sql = "SELECT id, device, created_at_ms, hash = $1 FROM operator_session
                   WHERE operator_id = $2 AND expires_at_ms > $3 ORDER BY id DESC";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![own, operator.0, self.machine_now_ms()], |row| {
            Ok(OperatorSessionRow {
                id: SessionId(row.get(0)?),
                device: row.get(1)?,
                created_at_ms: row.get(2)?,
                is_this: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// Forgets those that are over as well.
    pub fn add_invitation(
        &self,
        team: TeamId,
        role: OperatorRole,
        hash: &[u8; 32],
        invited_by: OperatorId,
        lasts_ms: i64,
    ) -> Result<InvitationId> {
        let (id, now_ms) = (InvitationId(self.next_key()?), self.machine_now_ms());
        let sql = "DELETE FROM operator_invitation WHERE team_id = $1 AND expires_at_ms <= $2";
        self.connection.execute(sql, params![team.0, now_ms])?;
        let sql = "INSERT INTO operator_invitation (id, team_id, role, hash, invited_by, created_at_ms, expires_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = params![id.0, team.0, role.as_str(), hash, invited_by.0, now_ms, now_ms + lasts_ms];
        self.connection.execute(sql, values)?;
        Ok(id)
    }

    /// `NotFound` for another team's.
    pub fn end_invitation(&self, team: TeamId, id: InvitationId) -> Result<()> {
        let sql = "DELETE FROM operator_invitation WHERE team_id = $1 AND id = $2";
        if self.connection.execute(sql, params![team.0, id.0])? == 0 {
            return Err(Error::not_found("No such invitation, or it was used."));
        }
        Ok(())
    }

    pub fn set_role(&self, operator: OperatorId, role: OperatorRole) -> Result<()> {
        let sql = "UPDATE operator SET role = $1 WHERE id = $2";
        self.connection.execute(sql, params![role.as_str(), operator.0])?;
        Ok(())
    }

    /// Ends the links by which somebody whom this operator has invited could still join.
    pub fn end_invitations_by(&self, operator: OperatorId) -> Result<()> {
        let sql = "DELETE FROM operator_invitation WHERE invited_by = $1";
        self.connection.execute(sql, params![operator.0])?;
        Ok(())
    }

    pub fn set_operator_password(&self, operator: OperatorId, password_hash: &str) -> Result<()> {
        let sql = "UPDATE operator SET password_hash = $1 WHERE id = $2";
        self.connection.execute(sql, params![password_hash, operator.0])?;
        Ok(())
    }

    /// Blanks who it was and signs them out. The row stays, as the audit log names it.
    pub fn remove_operator(&self, operator: OperatorId) -> Result<()> {
        self.end_operator_sessions(operator, None)?;
        self.set_second_factor(operator, None, &[])?;
        self.end_invitations_by(operator)?;
        let sql = "UPDATE operator SET email = NULL, password_hash = NULL, removed_at_ms = $1 WHERE id = $2";
        self.connection.execute(sql, params![self.machine_now_ms(), operator.0])?;
        Ok(())
    }

    /// With the step whose code showed that it works, and the hashes of its recovery codes; `None` takes it away.
    pub fn set_second_factor(
        &self,
        operator: OperatorId,
        factor: Option<(&Secret, i64)>,
        recovery: &[[u8; 32]],
    ) -> Result<()> {
        let (secret, step) = (factor.map(|(secret, _)| secret), factor.map(|(_, step)| step));
        let sql = "UPDATE operator SET totp_secret = $1, totp_step = $2 WHERE id = $3";
        self.connection.execute(sql, params![secret, step, operator.0])?;
        self.connection.execute("DELETE FROM operator_recovery WHERE operator_id = $1", params![operator.0])?;
        for hash in recovery {
            let sql = "INSERT INTO operator_recovery (operator_id, hash) VALUES ($1, $2)";
            self.connection.execute(sql, params![operator.0, hash])?;
        }
        Ok(())
    }

    pub fn set_totp_step(&self, operator: OperatorId, step: i64) -> Result<()> {
        self.connection.execute("UPDATE operator SET totp_step = $1 WHERE id = $2", params![step, operator.0])?;
        Ok(())
    }

    /// `false` for one that is none, or was used.
    pub fn use_recovery_code(&self, operator: OperatorId, hash: &[u8; 32]) -> Result<bool> {
        let sql = "DELETE FROM operator_recovery WHERE operator_id = $1 AND hash = $2";
        Ok(self.connection.execute(sql, params![operator.0, hash])? == 1)
    }

    /// `NotFound` for another's.
    pub fn end_operator_session(&self, operator: OperatorId, id: SessionId) -> Result<()> {
        let sql = "DELETE FROM operator_session WHERE operator_id = $1 AND id = $2";
        if self.connection.execute(sql, params![operator.0, id.0])? == 0 {
            return Err(Error::not_found("That session has ended."));
        }
        Ok(())
    }

    /// All but the one with the hash.
    pub fn end_operator_sessions(&self, operator: OperatorId, kept: Option<&[u8; 32]>) -> Result<()> {
        let sql = "DELETE FROM operator_session WHERE operator_id = $1 AND hash IS NOT $2";
        self.connection.execute(sql, params![operator.0, kept])?;
        Ok(())
    }

    /// The first operator's link is not good any more, from now on or for a while already.
    pub fn end_setup_token(&self) -> Result<()> {
        let sql = "UPDATE instance SET setup_used_at_ms = $1 WHERE setup_used_at_ms IS NULL";
        self.connection.execute(sql, params![self.machine_now_ms()])?;
        Ok(())
    }
}
