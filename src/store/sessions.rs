//! Accounts' sessions on the pages.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, SessionId};
use crate::domain::time::HOUR_MS;
use rusqlite::{OptionalExtension, params};

/// More than anyone has browsers; keeps a script that signs in over and over from filling the table.
pub const MOST_SESSIONS: i64 = 50;

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountSession {
    pub id: SessionId,
    pub project: ProjectId,
    pub account: AccountId,
    /// To the hour, as far as it is written down.
    pub last_used_at_ms: i64,
}

/// A session that is about to begin.
pub struct NewSession<'a> {
    pub hash: &'a [u8; 32],
    pub device: Option<&'a str>,
    pub lasts_ms: i64,
}

/// A session as its account sees it.
#[derive(Debug, Clone)]
pub struct SessionRow {
    pub id: SessionId,
    pub device: Option<String>,
    pub created_at_ms: i64,
    pub last_used_at_ms: i64,
}

impl Snapshot<'_> {
    /// `None` when it has ended, or never was.
    pub fn account_session(&self, hash: &[u8; 32]) -> Result<Option<AccountSession>> {
        let sql = "SELECT account_session.id, project_id, account_id, last_used_at_ms
                   FROM account_session JOIN account ON account.id = account_id
                   WHERE hash = $1 AND expires_at_ms > $2 AND erased_at_ms IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let session = statement.query_row(params![hash, self.machine_now_ms()], |row| {
            Ok(AccountSession {
                id: SessionId(row.get(0)?),
                project: ProjectId(row.get(1)?),
                account: AccountId(row.get(2)?),
                last_used_at_ms: row.get(3)?,
            })
        });
        Ok(session.optional()?)
    }

    /// Those that have not ended, newest first. `NotFound` for an account of another project.
    pub fn account_sessions(&self, project: ProjectId, account: AccountId) -> Result<Vec<SessionRow>> {
        self.account(project, account)?;
        let sql = "SELECT id, device, created_at_ms, last_used_at_ms FROM account_session
                   WHERE account_id = $1 AND expires_at_ms > $2 ORDER BY id DESC";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![account.0, self.machine_now_ms()], |row| {
            Ok(SessionRow {
                id: SessionId(row.get(0)?),
                device: row.get(1)?,
                created_at_ms: row.get(2)?,
                last_used_at_ms: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// Begins a session; forgets those of this account that have ended, and the oldest when there are too many.
    pub fn add_account_session(&self, account: AccountId, new: &NewSession<'_>) -> Result<SessionId> {
        let (id, now_ms) = (SessionId(self.next_key()?), self.machine_now_ms());
        let sql = "DELETE FROM account_session WHERE account_id = $1 AND expires_at_ms <= $2";
        self.connection.execute(sql, params![account.0, now_ms])?;
        let sql = "DELETE FROM account_session WHERE account_id = $1 AND id <= (
                     SELECT id FROM account_session WHERE account_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
        self.connection.execute(sql, params![account.0, MOST_SESSIONS - 1])?;
        let sql =
            "INSERT INTO account_session (id, account_id, hash, device, created_at_ms, last_used_at_ms, expires_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let hour_ms = now_ms / HOUR_MS * HOUR_MS;
        let ends_ms = now_ms + new.lasts_ms;
        self.connection.execute(sql, params![id.0, account.0, new.hash, new.device, now_ms, hour_ms, ends_ms])?;
        Ok(id)
    }

    pub fn set_account_session_used(&self, id: SessionId, at_ms: i64) -> Result<()> {
        let sql = "UPDATE account_session SET last_used_at_ms = $1 WHERE id = $2";
        self.connection.prepare_cached(sql)?.execute(params![at_ms, id.0])?;
        Ok(())
    }

    pub fn end_account_session(&self, hash: &[u8; 32]) -> Result<()> {
        self.connection.execute("DELETE FROM account_session WHERE hash = $1", params![hash])?;
        Ok(())
    }

    /// Ends one of an account's own sessions.
    pub fn end_own_session(&self, project: ProjectId, account: AccountId, id: SessionId) -> Result<()> {
        self.account(project, account)?;
        let sql = "DELETE FROM account_session WHERE account_id = $1 AND id = $2";
        self.connection.execute(sql, params![account.0, id.0])?;
        Ok(())
    }

    /// Ends all of an account's sessions but one.
    pub fn end_other_sessions(&self, project: ProjectId, account: AccountId, kept: SessionId) -> Result<()> {
        self.account(project, account)?;
        let sql = "DELETE FROM account_session WHERE account_id = $1 AND id <> $2";
        self.connection.execute(sql, params![account.0, kept.0])?;
        Ok(())
    }

    /// Signs the account out everywhere.
    pub fn end_account_sessions(&self, account: AccountId) -> Result<()> {
        self.connection.execute("DELETE FROM account_session WHERE account_id = $1", params![account.0])?;
        Ok(())
    }
}
