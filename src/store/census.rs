//! How much of what there is in the whole file, for who watches. Each count is of one index, and of the rows that are
//! open wherever there is a choice; how often it is counted is up to the caller.

use super::tx::Snapshot;
use crate::domain::delivery::DeliveryKind;
use crate::domain::error::Result;
use crate::domain::payout::PayoutStatus;
use rusqlite::params;

/// Deliveries of a kind that are still to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingDeliveries {
    pub kind: DeliveryKind,
    pub count: i64,
    /// For how long the one that is due first has been due; 0 when none is.
    pub overdue_ms: i64,
}

/// What there is, over all projects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    pub open_lots: i64,
    pub held_referrals: i64,
    pub waiting: Vec<WaitingDeliveries>,
    pub parked_deliveries: i64,
    pub payouts: Vec<(PayoutStatus, i64)>,
}

impl Snapshot<'_> {
    pub fn census(&self) -> Result<Census> {
        let count =
            |sql: &str| -> Result<i64> { Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?) };
        let waiting = DeliveryKind::ALL.into_iter().map(|kind| self.waiting_deliveries(kind));
        let waiting = waiting.collect::<Result<Vec<_>>>()?;
        let open = count("SELECT count(*) FROM outbox WHERE state <> 'done'")?;
        Ok(Census {
            open_lots: count("SELECT count(*) FROM lot WHERE side <> 0")?,
            held_referrals: count("SELECT count(*) FROM referral WHERE status = 'review'")?,
            parked_deliveries: open - waiting.iter().map(|of| of.count).sum::<i64>(),
            waiting,
            payouts: self.payouts_by_status()?,
        })
    }

    fn waiting_deliveries(&self, kind: DeliveryKind) -> Result<WaitingDeliveries> {
        let sql = "SELECT count(*), min(due_at_ms) FROM outbox WHERE kind = $1 AND state = 'waiting'";
        let mut statement = self.connection.prepare_cached(sql)?;
        let (count, due_at_ms): (i64, Option<i64>) =
            statement.query_row(params![kind.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let overdue_ms = due_at_ms.map_or(0, |due| (self.machine_now_ms() - due).max(0));
        Ok(WaitingDeliveries { kind, count, overdue_ms })
    }

    fn payouts_by_status(&self) -> Result<Vec<(PayoutStatus, i64)>> {
        let mut counted: Vec<_> = PayoutStatus::ALL.into_iter().map(|status| (status, 0)).collect();
        let mut statement = self.connection.prepare_cached("SELECT status, count(*) FROM payout GROUP BY status")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (status, count): (String, i64) = (row.get(0)?, row.get(1)?);
            for (known, of) in &mut counted {
                if known.as_str() == status {
                    *of = count;
                }
            }
        }
        Ok(counted)
    }
}
