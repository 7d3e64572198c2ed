//! How calls come in on the way to a milestone, and when e-mail domains were registered.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::signal::Pace;
use rusqlite::{OptionalExtension, Row, params};
use std::sync::atomic::Ordering;

/// What RDAP has said of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainAge {
    /// `None`: it does not know.
    pub registered_at_ms: Option<i64>,
    pub told_at_ms: i64,
}

const PACE: &str = "pace.reports, pace.calls, pace.last_calls, pace.calls_before, pace.equal_reports, pace.first_at_ms,
                    pace.last_at_ms, pace.last_gap_ms, pace.steady_gaps, pace.reached_at_ms";

/// A pace in a row's columns from `first` on.
fn pace(row: &Row<'_>, first: usize) -> rusqlite::Result<Pace> {
    Ok(Pace {
        reports: row.get(first)?,
        calls: row.get(first + 1)?,
        last_calls: row.get(first + 2)?,
        calls_before: row.get(first + 3)?,
        equal_reports: row.get(first + 4)?,
        first_at_ms: row.get(first + 5)?,
        last_at_ms: row.get(first + 6)?,
        last_gap_ms: row.get(first + 7)?,
        steady_gaps: row.get(first + 8)?,
        reached_at_ms: row.get(first + 9)?,
    })
}

impl Snapshot<'_> {
    pub fn pace(&self, project: ProjectId, referral: ReferralId) -> Result<Option<Pace>> {
        let sql = format!("SELECT {PACE} FROM pace WHERE referral_id = $1 AND project_id = $2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![referral.0, project.0], |row| pace(row, 0)).optional()?)
    }

    /// How those of a referrer's newest referrals called that have reached the milestone, but this one.
    pub fn reached_paces(
        &self,
        project: ProjectId,
        referrer: AccountId,
        but: ReferralId,
        most: i64,
    ) -> Result<Vec<(ReferralId, Pace)>> {
        let sql = format!(
            "SELECT referral.id, {PACE} FROM referral JOIN pace ON pace.referral_id = referral.id
             WHERE referral.project_id = $1 AND referral.referrer_id = $2 AND referral.id <> $3
               AND pace.reached_at_ms IS NOT NULL ORDER BY referral.id DESC LIMIT $4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, referrer.0, but.0, most], |row| {
            Ok((ReferralId(row.get(0)?), pace(row, 1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Referrals that reached their milestone a while ago, and whose calls are to be looked at again.
    pub fn due_paces(&self, project: ProjectId, most: i64) -> Result<Vec<ReferralId>> {
        let sql =
            "SELECT referral_id FROM pace WHERE project_id = $1 AND due_at_ms <= $2 AND due_at_ms IS NOT NULL LIMIT $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows =
            statement.query_map(params![project.0, self.now_ms(project), most], |row| row.get(0).map(ReferralId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether domains are looked up for a project: not for a test project, which keeps to itself.
    pub fn asks_rdap(&self, project: ProjectId) -> Result<bool> {
        Ok(self.shared.asks_rdap.load(Ordering::SeqCst) && self.project(project)?.mode == "live")
    }

    pub fn domain_age(&self, domain: &[u8; 32]) -> Result<Option<DomainAge>> {
        let sql = "SELECT registered_at_ms, told_at_ms FROM domain_age WHERE domain_hash = $1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement
            .query_row(params![domain], |row| Ok(DomainAge { registered_at_ms: row.get(0)?, told_at_ms: row.get(1)? }));
        Ok(found.optional()?)
    }
}

impl Tx<'_> {
    pub fn set_pace(
        &self,
        project: ProjectId,
        referral: ReferralId,
        pace: &Pace,
        due_at_ms: Option<i64>,
    ) -> Result<()> {
        let sql = "INSERT INTO pace (referral_id, project_id, reports, calls, last_calls, calls_before, equal_reports,
                                     first_at_ms, last_at_ms, last_gap_ms, steady_gaps, reached_at_ms, due_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                   ON CONFLICT (referral_id) DO UPDATE SET reports = excluded.reports, calls = excluded.calls,
                     last_calls = excluded.last_calls, calls_before = excluded.calls_before,
                     equal_reports = excluded.equal_reports, last_at_ms = excluded.last_at_ms,
                     last_gap_ms = excluded.last_gap_ms, steady_gaps = excluded.steady_gaps,
                     reached_at_ms = excluded.reached_at_ms, due_at_ms = excluded.due_at_ms";
        self.connection.prepare_cached(sql)?.execute(params![
            referral.0,
            project.0,
            pace.reports,
            pace.calls,
            pace.last_calls,
            pace.calls_before,
            pace.equal_reports,
            pace.first_at_ms,
            pace.last_at_ms,
            pace.last_gap_ms,
            pace.steady_gaps,
            pace.reached_at_ms,
            due_at_ms
        ])?;
        Ok(())
    }

    /// It has been looked at whether the calls went on.
    pub fn end_pace(&self, project: ProjectId, referral: ReferralId) -> Result<()> {
        let sql = "UPDATE pace SET due_at_ms = NULL WHERE referral_id = $1 AND project_id = $2";
        self.connection.prepare_cached(sql)?.execute(params![referral.0, project.0])?;
        Ok(())
    }

    /// What RDAP says of a domain now; a date that it once gave stays when it does not know it any more.
    pub fn set_domain_age(&self, domain: &[u8; 32], registered_at_ms: Option<i64>) -> Result<()> {
        let sql = "INSERT INTO domain_age (domain_hash, registered_at_ms, told_at_ms) VALUES ($1, $2, $3)
                   ON CONFLICT (domain_hash) DO UPDATE SET told_at_ms = excluded.told_at_ms,
                     registered_at_ms = coalesce(excluded.registered_at_ms, domain_age.registered_at_ms)";
        let told_at_ms = self.machine_now_ms();
        self.connection.prepare_cached(sql)?.execute(params![domain, registered_at_ms, told_at_ms])?;
        Ok(())
    }
}
