//! Accounts' sessions on the pages.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, SessionId};
use rusqlite::{OptionalExtension, params};

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountSession {
    pub id: SessionId,
    pub project: ProjectId,
    pub account: AccountId,
}

impl Snapshot<'_> {
    /// `None` when it has ended, or never was.
    pub fn account_session(&self, hash: &[u8; 32]) -> Result<Option<AccountSession>> {
        let sql = "SELECT account_session.id, project_id, account_id
                   FROM account_session JOIN account ON account.id = account_id
                   WHERE hash = $1 AND expires_at_ms > $2 AND erased_at_ms IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let session = statement.query_row(params![hash, self.machine_now_ms()], |row| {
            Ok(AccountSession {
                id: SessionId(row.get(0)?),
                project: ProjectId(row.get(1)?),
                account: AccountId(row.get(2)?),
            })
        });
        Ok(session.optional()?)
    }
}

impl Tx<'_> {
    /// Begins a session, and forgets those of this account that have ended.
    pub fn add_account_session(
        &self,
        account: AccountId,
        hash: &[u8; 32],
        device: Option<&str>,
        expires_at_ms: i64,
    ) -> Result<SessionId> {
        let (id, now_ms) = (SessionId(self.next_key()?), self.machine_now_ms());
        let sql = "DELETE FROM account_session WHERE account_id = $1 AND expires_at_ms <= $2";
        self.connection.execute(sql, params![account.0, now_ms])?;
        let sql = "INSERT INTO account_session (id, account_id, hash, device, created_at_ms, expires_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        self.connection.execute(sql, params![id.0, account.0, hash, device, now_ms, expires_at_ms])?;
        Ok(id)
    }

    pub fn end_account_session(&self, hash: &[u8; 32]) -> Result<()> {
        self.connection.execute("DELETE FROM account_session WHERE hash = $1", params![hash])?;
        Ok(())
    }

    /// Signs the account out everywhere.
    pub fn end_account_sessions(&self, account: AccountId) -> Result<()> {
        self.connection.execute("DELETE FROM account_session WHERE account_id = $1", params![account.0])?;
        Ok(())
    }
}
