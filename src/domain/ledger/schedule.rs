//! What the clock alone will do to an account's open lots.

use super::lot::{Lot, NEVER_MS};
use crate::domain::program::Vesting;
use crate::domain::time::DAY_MS;
use std::collections::BTreeMap;

/// What comes due on one UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The day's first instant.
    pub day_ms: i64,
    pub amount: i64,
    /// Not all of it on that day, but part by part until then.
    pub gradual: bool,
}

/// What vests and what expires, soonest first. All that vests and all that is in review is what is pending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    pub vesting: Vec<Due>,
    /// Held for as long as its referral is under review.
    pub in_review: i64,
    /// What of the open lots expires if it is not spent before.
    pub expiring: Vec<Due>,
}

impl Schedule {
    pub fn of(lots: impl Iterator<Item = Lot>, now_ms: i64) -> Self {
        let day = |at_ms: i64| at_ms.div_euclid(DAY_MS) * DAY_MS;
        let (mut vesting, mut expiring, mut in_review) = (BTreeMap::new(), BTreeMap::new(), 0);
        for lot in lots {
            let pending = lot.pending(now_ms);
            if lot.held {
                in_review += pending;
            } else if pending > 0 {
                *vesting.entry((day(lot.vests_at_ms), lot.vesting == Vesting::Linear)).or_insert(0) += pending;
            }
            let left = pending + lot.available(now_ms);
            if left > 0 && lot.expires_at_ms < NEVER_MS {
                *expiring.entry((day(lot.expires_at_ms), false)).or_insert(0) += left;
            }
        }
        let dues = |days: BTreeMap<(i64, bool), i64>| {
            days.into_iter().map(|((day_ms, gradual), amount)| Due { day_ms, amount, gradual }).collect()
        };
        Self { vesting: dues(vesting), in_review, expiring: dues(expiring) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lot::Balance;
    use super::*;
    use crate::domain::id::AccountId;

    fn lot(granted: i64, vests_at_ms: i64) -> Lot {
        Lot {
            seq: 1,
            account: AccountId(1),
            referral: None,
            purchase: None,
            granted_at_ms: 0,
            vests_at_ms,
            vesting: Vesting::Cliff,
            expires_at_ms: NEVER_MS,
            granted,
            remaining: granted,
            expired: 0,
            reversed: 0,
            paid: 0,
            held: false,
        }
    }

    #[test]
    fn days_add_up_to_what_is_pending() {
        let lots = [
            lot(500, 0),
            lot(70, 2 * DAY_MS + 5),
            lot(30, 2 * DAY_MS + 9),
            lot(40, DAY_MS),
            Lot { vesting: Vesting::Linear, ..lot(100, 4 * DAY_MS) },
            Lot { held: true, ..lot(9, DAY_MS) },
            Lot { remaining: -8, ..lot(8, DAY_MS) },
            Lot { expires_at_ms: 3 * DAY_MS, remaining: 20, ..lot(25, 0) },
            Lot { expires_at_ms: 1, ..lot(1_000, 0) },
        ];
        let now_ms = DAY_MS / 2 + DAY_MS;
        let schedule = Schedule::of(lots.iter().cloned(), now_ms);
        let due = |day: i64, amount, gradual| Due { day_ms: day * DAY_MS, amount, gradual };
        assert_eq!(schedule.vesting, [due(2, 100, false), due(4, 75, true)], "the cliff at day 1 is over");
        assert_eq!((schedule.in_review, schedule.expiring.as_slice()), (9, &[due(3, 20, false)][..]));
        let balance = lots.iter().fold(Balance::default(), |sum, lot| sum.and(lot, now_ms));
        assert_eq!(schedule.vesting.iter().map(|due| due.amount).sum::<i64>() + schedule.in_review, balance.pending);
    }
}
