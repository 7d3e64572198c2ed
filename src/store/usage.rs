//! Usage events by their own id, and how many calls an account has made.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{self, AccountId, ProjectId};
use rusqlite::{OptionalExtension, params};

/// An event as it was recorded.
#[derive(Debug, Clone, Copy)]
pub struct UsageRow {
    pub account: AccountId,
    pub calls: i64,
    pub charged: i64,
    pub uncovered: i64,
}

impl Snapshot<'_> {
    pub fn usage_event(&self, project: ProjectId, event_id: &str) -> Result<Option<UsageRow>> {
        let sql = "SELECT account_id, calls, charged, uncovered FROM usage_event
                   WHERE project_id = $1 AND event_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, event_id], |row| {
            Ok(UsageRow {
                account: AccountId(row.get(0)?),
                calls: row.get(1)?,
                charged: row.get(2)?,
                uncovered: row.get(3)?,
            })
        });
        Ok(found.optional()?)
    }

    pub fn calls(&self, account: AccountId) -> Result<i64> {
        let sql = "SELECT calls FROM usage_total WHERE account_id = $1";
        let found = self.connection.prepare_cached(sql)?.query_row(params![account.0], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or(0))
    }
}

impl Tx<'_> {
    pub fn add_usage_event(
        &self,
        project: ProjectId,
        event_id: &str,
        usage: UsageRow,
        group_seq: Option<i64>,
    ) -> Result<()> {
        let sql = "INSERT INTO usage_event (id, project_id, event_id, account_id, calls, charged, uncovered, group_seq)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        self.connection.prepare_cached(sql)?.execute(params![
            self.next_key()?,
            project.0,
            event_id,
            usage.account.0,
            usage.calls,
            usage.charged,
            usage.uncovered,
            group_seq
        ])?;
        Ok(())
    }

    pub fn set_calls(&self, account: AccountId, calls: i64) -> Result<()> {
        let sql = "INSERT INTO usage_total (account_id, calls) VALUES ($1, $2)
                   ON CONFLICT (account_id) DO UPDATE SET calls = excluded.calls";
        self.connection.prepare_cached(sql)?.execute(params![account.0, calls])?;
        Ok(())
    }

    /// Forgets the ids of up to `most` events older than this. Returns how many.
    pub fn prune_usage_events(&self, before_ms: i64, most: i64) -> Result<usize> {
        let sql = "DELETE FROM usage_event WHERE id IN (SELECT id FROM usage_event WHERE id < $1 ORDER BY id LIMIT $2)";
        Ok(self.connection.prepare_cached(sql)?.execute(params![id::first_key_at(before_ms), most])?)
    }
}
