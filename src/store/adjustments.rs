//! Credits that operators gave or took back by hand.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use rusqlite::{OptionalExtension, params};

/// An adjustment that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdjustmentRow {
    pub body_hash: [u8; 32],
    pub amount: i64,
    /// The first of its entries.
    pub group_seq: i64,
    pub at_ms: i64,
}

impl Snapshot<'_> {
    /// What was asked for under this hash before.
    pub fn adjustment(&self, project: ProjectId, request_hash: &[u8; 32]) -> Result<Option<AdjustmentRow>> {
        let sql = "SELECT body_hash, amount, group_seq, at_ms FROM adjustment
                   WHERE project_id = $1 AND request_hash = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, request_hash], |row| {
            Ok(AdjustmentRow {
                body_hash: row.get(0)?,
                amount: row.get(1)?,
                group_seq: row.get(2)?,
                at_ms: row.get(3)?,
            })
        });
        Ok(found.optional()?)
    }
}

impl Tx<'_> {
    pub fn add_adjustment(
        &self,
        project: ProjectId,
        account: AccountId,
        request_hash: &[u8; 32],
        row: &AdjustmentRow,
    ) -> Result<()> {
        let sql =
            "INSERT INTO adjustment (id, project_id, account_id, request_hash, body_hash, amount, group_seq, at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let AdjustmentRow { body_hash, amount, group_seq, at_ms } = row;
        let id = self.next_key()?;
        let values = params![id, project.0, account.0, request_hash, body_hash, amount, group_seq, at_ms];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
