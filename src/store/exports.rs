//! A project's rows from the first to the last, a bounded number at a time, for files that are downloaded.

use super::developers::DeveloperRow;
use super::ledger::{ENTRY_COLUMNS, ENTRY_WIDTH, LOT_COLUMNS, entry, lot};
use super::payouts::{self, PayoutRow};
use super::tx::Snapshot;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::ledger::{Entry, line_status};
use rusqlite::params;

/// A referral with the people in it.
#[derive(Debug, Clone)]
pub struct ExportedReferral {
    pub id: ReferralId,
    pub code: String,
    pub referrer: AccountId,
    pub referee: AccountId,
    pub referrer_email: Option<String>,
    pub referee_email: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub signed_up_at_ms: i64,
    pub applied_at_ms: i64,
    pub first_call_at_ms: Option<i64>,
    pub active_at_ms: Option<i64>,
    pub converted_at_ms: Option<i64>,
    pub rejected_at_ms: Option<i64>,
}

/// Entries with their status, and the place to go on from while there may be more.
pub type ExportedEntries = (Vec<(Entry, &'static str)>, Option<i64>);

/// Entries that one step looks at: other projects' lie between this one's.
const MOST_SEEN: i64 = 20_000;

impl Snapshot<'_> {
    /// Entries after `after` with their status, oldest first, and the place to go on from while there may be more.
    pub fn exported_entries(&self, project: ProjectId, after: i64, limit: usize) -> Result<ExportedEntries> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS}, {LOT_COLUMNS} FROM entry CROSS JOIN lot ON lot.seq = entry.lot
             WHERE entry.project_id = $1 AND entry.seq > $2 AND entry.seq <= $3 ORDER BY entry.seq LIMIT $4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let (last, now_ms) = (after.saturating_add(MOST_SEEN), self.now_ms(project));
        let rows = statement
            .query_map(params![project.0, after, last, i64::try_from(limit).unwrap_or(500)], |row| {
                Ok((entry(row)?, lot(row, ENTRY_WIDTH)?))
            })?;
        let with_status = |row: rusqlite::Result<(Entry, _)>| {
            let (entry, lot) = row?;
            let status = line_status(entry.kind, &lot, self.carried(&entry, &lot)?, now_ms);
            Ok((entry, status))
        };
        let entries: Vec<_> = rows.map(with_status).collect::<Result<_>>()?;
        let next = match entries.last() {
            Some((entry, _)) if entries.len() == limit => Some(entry.seq),
            _ => (self.ledger_head()?.seq > last).then_some(last),
        };
        Ok((entries, next))
    }

    /// Accounts after `after`, oldest first, erased ones left out.
    pub fn exported_developers(&self, project: ProjectId, after: i64, limit: usize) -> Result<Vec<DeveloperRow>> {
        let sql = "SELECT id FROM account
                   WHERE project_id = $1 AND erased_at_ms IS NULL AND id > $2 ORDER BY id LIMIT $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(500);
        let ids = statement.query_map(params![project.0, after, limit], |row| row.get(0).map(AccountId))?;
        ids.map(|id| self.developer(project, id?)).collect()
    }

    /// Referrals after `after`, oldest first.
    pub fn exported_referrals(&self, project: ProjectId, after: i64, limit: usize) -> Result<Vec<ExportedReferral>> {
        let sql =
            "SELECT referral.id, code.code, referral.referrer_id, referral.referee_id, referrer.email, referee.email,
                          referral.status, referral.reason, referral.signed_up_at_ms, referral.applied_at_ms,
                          referral.first_call_at_ms, referral.active_at_ms, referral.converted_at_ms,
                          referral.rejected_at_ms
                   FROM referral JOIN code ON code.id = referral.code_id
                     JOIN account AS referrer ON referrer.id = referral.referrer_id
                     JOIN account AS referee ON referee.id = referral.referee_id
                   WHERE referral.project_id = $1 AND referral.id > $2 ORDER BY referral.id LIMIT $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(500);
        let rows = statement.query_map(params![project.0, after, limit], |row| {
            Ok(ExportedReferral {
                id: ReferralId(row.get(0)?),
                code: row.get(1)?,
                referrer: AccountId(row.get(2)?),
                referee: AccountId(row.get(3)?),
                referrer_email: row.get(4)?,
                referee_email: row.get(5)?,
                status: row.get(6)?,
                reason: row.get(7)?,
                signed_up_at_ms: row.get(8)?,
                applied_at_ms: row.get(9)?,
                first_call_at_ms: row.get(10)?,
                active_at_ms: row.get(11)?,
                converted_at_ms: row.get(12)?,
                rejected_at_ms: row.get(13)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Payouts after `after`, oldest first.
    pub fn exported_payouts(&self, project: ProjectId, after: i64, limit: usize) -> Result<Vec<PayoutRow>> {
        payouts::forward(self.connection, project, after, limit)
    }
}
