//! How calls come in on the way to a milestone, and when e-mail domains were registered.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{ProjectId, ReferralId};
use crate::domain::signal::Pace;
use rusqlite::{OptionalExtension, params};
use std::sync::atomic::Ordering;

/// What RDAP has said of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainAge {
    /// `None`: it does not know.
    pub registered_at_ms: Option<i64>,
    pub told_at_ms: i64,
}

impl Snapshot<'_> {
    pub fn pace(&self, project: ProjectId, referral: ReferralId) -> Result<Option<Pace>> {
        let sql = "SELECT reports, calls_each, first_at_ms, last_at_ms, shortest_gap_ms, longest_gap_ms
                   FROM pace WHERE referral_id = $1 AND project_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![referral.0, project.0], |row| {
            Ok(Pace {
                reports: row.get(0)?,
                calls_each: row.get(1)?,
                first_at_ms: row.get(2)?,
                last_at_ms: row.get(3)?,
                shortest_gap_ms: row.get(4)?,
                longest_gap_ms: row.get(5)?,
            })
        });
        Ok(found.optional()?)
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
        let sql = "INSERT INTO pace (referral_id, project_id, reports, calls_each, first_at_ms, last_at_ms,
                                     shortest_gap_ms, longest_gap_ms, due_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                   ON CONFLICT (referral_id) DO UPDATE SET reports = excluded.reports,
                     calls_each = excluded.calls_each, last_at_ms = excluded.last_at_ms,
                     shortest_gap_ms = excluded.shortest_gap_ms, longest_gap_ms = excluded.longest_gap_ms,
                     due_at_ms = excluded.due_at_ms";
        self.connection.prepare_cached(sql)?.execute(params![
            referral.0,
            project.0,
            pace.reports,
            pace.calls_each,
            pace.first_at_ms,
            pace.last_at_ms,
            pace.shortest_gap_ms,
            pace.longest_gap_ms,
            due_at_ms
        ])?;
        Ok(())
    }

    pub fn forget_pace(&self, project: ProjectId, referral: ReferralId) -> Result<()> {
        let sql = "DELETE FROM pace WHERE referral_id = $1 AND project_id = $2";
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
