//! Counts for the developer's statistics.

use super::tx::Snapshot;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::time::DAY_MS;
use rusqlite::{Row, params};
use std::sync::Arc;

/// Referrals of one referrer; rejected ones count in nothing but `rejected`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferralCounts {
    pub total: i64,
    pub converted: i64,
    pub first_call: i64,
    pub active: i64,
    pub review: i64,
    pub rejected: i64,
}

/// One UTC day, numbered from 1970-01-01.
#[derive(Debug, Clone, Copy, Default)]
pub struct DayRow {
    pub day: i64,
    pub clicks: i64,
    pub signups: i64,
    pub conversions: i64,
    pub credits: i64,
}

/// What the clicks, referrals and grants of a referrer add up to: counts, and days from `first_day` on on which something
/// happened, in no order; a day may come more than once.
#[derive(Debug, Clone)]
pub struct Figures {
    pub project: ProjectId,
    pub clicks: i64,
    pub counts: ReferralCounts,
    pub first_day: i64,
    pub days: Vec<DayRow>,
}

pub type KnownFigures = Arc<Figures>;

pub(super) fn day_row(row: &Row<'_>) -> rusqlite::Result<DayRow> {
    Ok(DayRow {
        day: row.get(0)?,
        clicks: row.get(1)?,
        signups: row.get(2)?,
        conversions: row.get(3)?,
        credits: row.get(4)?,
    })
}

impl Snapshot<'_> {
    pub fn referral_counts(&self, project: ProjectId, referrer: AccountId) -> Result<ReferralCounts> {
        let sql = "SELECT count(*) FILTER (WHERE status <> 'rejected'),
                          count(*) FILTER (WHERE status <> 'rejected' AND converted_at_ms IS NOT NULL),
                          count(*) FILTER (WHERE status <> 'rejected' AND first_call_at_ms IS NOT NULL),
                          count(*) FILTER (WHERE status <> 'rejected' AND active_at_ms IS NOT NULL),
                          count(*) FILTER (WHERE status = 'review'),
                          count(*) FILTER (WHERE status = 'rejected')
                   FROM referral WHERE project_id = $1 AND referrer_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let counts = statement.query_row(params![project.0, referrer.0], |row| {
            Ok(ReferralCounts {
                total: row.get(0)?,
                converted: row.get(1)?,
                first_call: row.get(2)?,
                active: row.get(3)?,
                review: row.get(4)?,
                rejected: row.get(5)?,
            })
        });
        Ok(counts?)
    }

    /// What a referrer's referrals have brought the referrer, less what was taken back of it.
    pub fn referral_rewards(&self, project: ProjectId, referrer: AccountId) -> Result<i64> {
        let sql = "SELECT coalesce(sum(lot.granted - lot.reversed), 0)
                   FROM referral JOIN lot ON lot.referral_id = referral.id AND lot.account_id = referral.referrer_id
                   WHERE referral.project_id = $1 AND referral.referrer_id = $2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, referrer.0], |row| row.get(0))?)
    }

    pub fn figures(&self, project: ProjectId, referrer: AccountId, first_day: i64) -> Result<Figures> {
        Ok(Figures {
            project,
            clicks: self.counted_clicks(project, referrer)?,
            counts: self.referral_counts(project, referrer)?,
            first_day,
            days: self.referrer_days(project, referrer, first_day)?,
        })
    }

    fn referrer_days(&self, project: ProjectId, referrer: AccountId, first_day: i64) -> Result<Vec<DayRow>> {
        let sql = "SELECT signed_up_at_ms / $1, 0, count(*), 0, 0 FROM referral
                   WHERE project_id = $2 AND referrer_id = $3 AND status <> 'rejected' AND signed_up_at_ms >= $4 GROUP BY 1
                   UNION ALL
                   SELECT converted_at_ms / $1, 0, 0, count(*), 0 FROM referral
                   WHERE project_id = $2 AND referrer_id = $3 AND status <> 'rejected' AND converted_at_ms >= $4 GROUP BY 1
                   UNION ALL
                   SELECT at_ms / $1, 0, 0, 0, sum(amount) FROM entry
                   WHERE project_id = $2 AND account_id = $3 AND kind = 'grant' AND at_ms >= $4 GROUP BY 1
                   UNION ALL
                   SELECT day, clicks, 0, 0, 0 FROM click_day
                   WHERE project_id = $2 AND referrer_id = $3 AND day >= $5";
        let mut statement = self.connection.prepare_cached(sql)?;
        let (project, referrer, first_ms) = (project.0, referrer.0, first_day * DAY_MS);
        let rows = statement.query_map(params![DAY_MS, project, referrer, first_ms, first_day], day_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
