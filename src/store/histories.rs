//! What has happened to a project's referrals, for a program to be tried on.

use super::tx::Snapshot;
use crate::domain::error::Result;
use crate::domain::id::ProjectId;
use crate::domain::replay::{CallsSeen, History, PastPurchase, PastReferrer};
use rusqlite::params;

impl Snapshot<'_> {
    /// Shows the past of each referral that still earns, oldest first, one at a time. Right also beside a running
    /// server: calls come from the view that counts those which are not in the projections yet.
    pub fn each_history(&self, project: ProjectId, mut look: impl FnMut(&History)) -> Result<()> {
        // A purchase's key is younger than its referral's if it came after it.
        let sql = "SELECT gross_minor, currency, created_at_ms, purchased_at_ms, coalesce((
                     SELECT track = 'partner' FROM track_change
                     WHERE track_change.account_id = $1
                       AND at_ms <= CASE WHEN purchased_at_ms > $2 THEN purchased_at_ms ELSE $2 END
                     ORDER BY track_change.id DESC LIMIT 1), 0)
                   FROM purchase WHERE project_id = $3 AND account_id = $4 AND id > $5 ORDER BY id";
        let mut purchases = self.connection.prepare_cached(sql)?;
        let sql = "SELECT inputs, at_ms FROM decision
                   WHERE project_id = $1 AND referral_id = $2 AND event = 'calls' ORDER BY id";
        let mut calls_seen = self.connection.prepare_cached(sql)?;
        let sql = "SELECT referral.id, referral.referee_id, referral.referrer_id, referrer.disposable,
                          referee.disposable, referrer.erased_at_ms, coalesce(used.calls, 0),
                          referral.first_call_at_ms,
                          (SELECT min(at_ms) FROM decision WHERE decision.referral_id = referral.id AND event = 'convert'),
                          subscribed.at_ms,
                          referral.applied_at_ms
                   FROM referral
                   JOIN account AS referrer ON referrer.id = referral.referrer_id
                   JOIN account AS referee ON referee.id = referral.referee_id
                   LEFT JOIN usage_total_now AS used ON used.account_id = referral.referee_id
                   LEFT JOIN (
                     SELECT account_id, min(received_at_ms) AS at_ms FROM stripe_event
                     WHERE project_id = $1 AND fact = 'conversion' AND outcome IN ('converted', 'known', 'no_conversion')
                     GROUP BY account_id) AS subscribed ON subscribed.account_id = referral.referee_id
                   WHERE referral.project_id = $1 AND referral.status <> 'rejected'
                   ORDER BY referral.id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![project.0])?;
        while let Some(row) = rows.next()? {
            let (referral, referee, referrer): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let applied_at_ms: i64 = row.get(10)?;
            let bought =
                purchases.query_map(params![referrer, applied_at_ms, project.0, referee, referral], |row| {
                    let before_referral_ms = (applied_at_ms - row.get::<_, i64>(3)?).max(0);
                    let (amount_minor, currency, told_at_ms, by_partner) =
                        (row.get(0)?, row.get(1)?, row.get(2)?, row.get(4)?);
                    Ok(PastPurchase { amount_minor, currency, before_referral_ms, told_at_ms, by_partner })
                })?;
            let seen = calls_seen.query_map(params![project.0, referral], |row| {
                Ok(seen_calls(row.get_ref(0)?.as_str()?, row.get(1)?))
            })?;
            look(&History {
                applied_at_ms,
                referrer: PastReferrer { disposable: row.get(3)?, erased_at_ms: row.get(5)? },
                referee_disposable: row.get(4)?,
                calls: row.get(6)?,
                first_call_at_ms: row.get(7)?,
                calls_seen: seen.filter_map(rusqlite::Result::transpose).collect::<rusqlite::Result<_>>()?,
                purchases: bought.collect::<rusqlite::Result<_>>()?,
                convert_called_at_ms: row.get(8)?,
                subscribed_at_ms: row.get(9)?,
            });
        }
        Ok(())
    }
}

/// What a decision's inputs say of the calls.
fn seen_calls(inputs: &str, at_ms: i64) -> Option<CallsSeen> {
    let inputs: serde_json::Value = serde_json::from_str(inputs).ok()?;
    let number = |name: &str| inputs[name].as_i64();
    Some(CallsSeen { at_ms, before: number("calls_before")?, after: number("calls_after")? })
}
