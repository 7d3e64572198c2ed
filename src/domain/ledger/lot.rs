//! Lots: what each grant has left, and what of it can be spent at a given time.

use super::entry::EntryKind;
use crate::domain::id::{AccountId, ReferralId};
use crate::domain::payout::PayoutStatus;
use crate::domain::program::Vesting;
use crate::domain::time::DAY_MS;

/// The expiry of what never expires.
pub const NEVER_MS: i64 = i64::MAX;

/// One grant and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// `seq` of its grant.
    pub seq: i64,
    pub account: AccountId,
    pub referral: Option<ReferralId>,
    pub purchase: Option<i64>,
    pub granted_at_ms: i64,
    pub vests_at_ms: i64,
    pub vesting: Vesting,
    pub expires_at_ms: i64,
    pub granted: i64,
    /// The sum of its entries. Negative: it was spent before it was reversed, and is owed.
    pub remaining: i64,
    pub expired: i64,
    /// How much of the grant was taken back, whichever lots paid for it.
    pub reversed: i64,
    pub paid: i64,
    /// Its referral is under review: nothing vests.
    pub held: bool,
}

impl Lot {
    fn is_due(&self, now_ms: i64) -> bool {
        self.expires_at_ms <= now_ms
    }

    /// What of the grant has not vested yet, whatever has been taken from it.
    fn unvested(&self, now_ms: i64) -> i64 {
        if self.held {
            return self.granted;
        }
        if now_ms >= self.vests_at_ms {
            return 0;
        }
        let days = (self.vests_at_ms - self.granted_at_ms + DAY_MS - 1) / DAY_MS;
        let gone = ((now_ms - self.granted_at_ms).max(0)) / DAY_MS;
        match self.vesting {
            Vesting::Linear if days > 0 => {
                let vested = i128::from(self.granted) * i128::from(gone.min(days)) / i128::from(days);
                self.granted - i64::try_from(vested).unwrap_or(self.granted)
            }
            _ => self.granted,
        }
    }

    /// Past its expiry and not yet booked as expired.
    pub fn lapsed(&self, now_ms: i64) -> i64 {
        if self.is_due(now_ms) { self.remaining.max(0) } else { 0 }
    }

    pub fn available(&self, now_ms: i64) -> i64 {
        if self.is_due(now_ms) { 0 } else { (self.remaining - self.unvested(now_ms)).max(0) }
    }

    pub fn pending(&self, now_ms: i64) -> i64 {
        if self.is_due(now_ms) { 0 } else { self.remaining.max(0) - self.available(now_ms) }
    }

    pub fn owed(&self) -> i64 {
        (-self.remaining).max(0)
    }

    /// The next time at which the clock alone may change what of this lot is available: never, day by day, or when it
    /// vests or expires.
    pub fn next_change_ms(&self, now_ms: i64) -> i64 {
        let next_day_ms = match self.vesting {
            Vesting::Linear => self.granted_at_ms + ((now_ms - self.granted_at_ms).max(0) / DAY_MS + 1) * DAY_MS,
            Vesting::Cliff => NEVER_MS,
        };
        let vests = if now_ms < self.vests_at_ms { self.vests_at_ms.min(next_day_ms) } else { NEVER_MS };
        let expires = if now_ms < self.expires_at_ms { self.expires_at_ms } else { NEVER_MS };
        vests.min(expires)
    }

    /// Soonest to expire first, never-expiring last, then oldest.
    pub fn spend_order(&self) -> (i64, i64) {
        (self.expires_at_ms, self.seq)
    }
}

/// What an account's open lots come to at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    pub available: i64,
    pub pending: i64,
    /// Expired by the clock, the entry still to be written.
    pub lapsed: i64,
    pub owed: i64,
}

impl Balance {
    /// With one more lot counted in.
    #[must_use]
    pub fn and(self, lot: &Lot, now_ms: i64) -> Self {
        Self {
            available: self.available + lot.available(now_ms),
            pending: self.pending + lot.pending(now_ms),
            lapsed: self.lapsed + lot.lapsed(now_ms),
            owed: self.owed + lot.owed(),
        }
    }
}

/// What payouts have to do with a ledger line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// How the payout stands that the entry is part of.
    pub by: Option<PayoutStatus>,
    /// How much of the lot is in a payout that is not settled.
    pub reserved: i64,
}

/// The `status` of a ledger line: a grant's follows its lot, a payout's its payout, any other entry's says what it did.
pub fn line_status(kind: EntryKind, lot: &Lot, carried: Carried, now_ms: i64) -> &'static str {
    match kind {
        EntryKind::Spend => "SPENT",
        EntryKind::Expire => "EXPIRED",
        EntryKind::Reverse => "REVERSED",
        EntryKind::Payout => match carried.by {
            Some(PayoutStatus::Paid) => "PAID",
            Some(PayoutStatus::Failed | PayoutStatus::Cancelled) => "RETURNED",
            Some(PayoutStatus::Queued | PayoutStatus::Reconciling) | None => "RESERVED",
        },
        EntryKind::PayoutReturn => "RETURNED",
        EntryKind::Repay => "REPAID",
        EntryKind::Grant if lot.reversed > 0 && lot.reversed + lot.expired >= lot.granted => "REVERSED",
        // What is only reserved may come back.
        EntryKind::Grant if lot.paid > carried.reserved => "PAID",
        EntryKind::Grant if lot.expired > 0 || lot.lapsed(now_ms) > 0 => "EXPIRED",
        EntryKind::Grant if lot.unvested(now_ms) > 0 => "PENDING",
        EntryKind::Grant => "ELIGIBLE",
    }
}

/// Every word that [`line_status`] can say, for filters.
pub const LINE_STATUSES: [&str; 9] =
    ["PENDING", "ELIGIBLE", "RESERVED", "PAID", "REVERSED", "EXPIRED", "SPENT", "RETURNED", "REPAID"];

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(granted: i64) -> Lot {
        Lot {
            seq: 1,
            account: AccountId(1),
            referral: None,
            purchase: None,
            granted_at_ms: 0,
            vests_at_ms: 0,
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
    fn a_cliff_vests_at_its_instant() {
        let held = Lot { vests_at_ms: 7 * DAY_MS, ..lot(500) };
        for (now_ms, available, pending) in [(0, 0, 500), (7 * DAY_MS - 1, 0, 500), (7 * DAY_MS, 500, 0)] {
            assert_eq!((held.available(now_ms), held.pending(now_ms)), (available, pending));
        }
    }

    #[test]
    fn linear_vests_day_by_day_and_ends_at_the_whole() {
        let linear = Lot { vests_at_ms: 3 * DAY_MS, vesting: Vesting::Linear, ..lot(100) };
        for (now_ms, available) in
            [(0, 0), (DAY_MS - 1, 0), (DAY_MS, 33), (2 * DAY_MS, 66), (3 * DAY_MS, 100), (-DAY_MS, 0)]
        {
            assert_eq!(linear.available(now_ms), available);
            assert_eq!(linear.pending(now_ms), 100 - available);
        }
        let partly_spent = Lot { remaining: 67, ..linear };
        assert_eq!((partly_spent.available(DAY_MS), partly_spent.pending(DAY_MS)), (0, 67));
        assert_eq!((partly_spent.available(2 * DAY_MS), partly_spent.pending(2 * DAY_MS)), (33, 34));
    }

    #[test]
    fn expiry_ends_a_lot_without_any_job() {
        let expiring = Lot { expires_at_ms: 10, ..lot(250) };
        assert_eq!((expiring.available(9), expiring.lapsed(9)), (250, 0));
        assert_eq!((expiring.available(10), expiring.pending(10), expiring.lapsed(10)), (0, 0, 250));
    }

    #[test]
    fn review_holds_what_has_vested_by_the_clock() {
        let held = Lot { held: true, ..lot(500) };
        assert_eq!((held.available(1), held.pending(1)), (0, 500));
    }

    #[test]
    fn debts_are_neither_available_nor_pending() {
        let debt = Lot { remaining: -300, ..lot(500) };
        let both = Balance::default().and(&debt, 1).and(&lot(50), 1);
        assert_eq!(both, Balance { available: 50, pending: 0, lapsed: 0, owed: 300 });
    }

    #[test]
    fn between_two_changes_the_clock_changes_nothing() {
        let lots = [
            lot(100),
            Lot { vests_at_ms: 3 * DAY_MS + 5, vesting: Vesting::Linear, ..lot(70) },
            Lot { vests_at_ms: 2 * DAY_MS, expires_at_ms: 4 * DAY_MS, ..lot(30) },
            Lot { vests_at_ms: DAY_MS / 2, granted_at_ms: -5, vesting: Vesting::Linear, ..lot(9) },
        ];
        for lot in lots {
            let state = |now_ms| Balance::default().and(&lot, now_ms);
            let mut now_ms = 0;
            while lot.next_change_ms(now_ms) < NEVER_MS {
                let next_ms = lot.next_change_ms(now_ms);
                assert!(next_ms > now_ms);
                assert_eq!(state(next_ms - 1), state(now_ms), "{lot:?} at {now_ms}");
                now_ms = next_ms;
            }
            assert_eq!(state(now_ms + 100 * DAY_MS), state(now_ms));
        }
    }

    #[test]
    fn a_line_s_status_follows_its_lot() {
        let held = Lot { vests_at_ms: 10, ..lot(100) };
        for (lot, now_ms, status) in [
            (held.clone(), 9, "PENDING"),
            (held.clone(), 10, "ELIGIBLE"),
            (Lot { remaining: 0, ..lot(100) }, 10, "ELIGIBLE"),
            (Lot { reversed: 100, remaining: 0, ..held.clone() }, 9, "REVERSED"),
            (Lot { reversed: 50, remaining: 50, ..held.clone() }, 9, "PENDING"),
            (Lot { paid: 100, remaining: 0, ..lot(100) }, 10, "PAID"),
            (Lot { expires_at_ms: 5, ..lot(100) }, 10, "EXPIRED"),
            (Lot { expires_at_ms: 5, expired: 40, remaining: 0, ..lot(100) }, 10, "EXPIRED"),
        ] {
            assert_eq!(line_status(EntryKind::Grant, &lot, Carried::default(), now_ms), status);
            assert!(LINE_STATUSES.contains(&status));
        }
    }

    #[test]
    fn nothing_is_paid_before_its_payout_is() {
        let carried = Lot { paid: 60, remaining: 40, ..lot(100) };
        for (reserved, status) in [(60, "ELIGIBLE"), (59, "PAID"), (0, "PAID")] {
            assert_eq!(line_status(EntryKind::Grant, &carried, Carried { by: None, reserved }, 10), status);
        }
        for (by, status) in [
            (PayoutStatus::Queued, "RESERVED"),
            (PayoutStatus::Reconciling, "RESERVED"),
            (PayoutStatus::Paid, "PAID"),
            (PayoutStatus::Failed, "RETURNED"),
            (PayoutStatus::Cancelled, "RETURNED"),
        ] {
            let carried_by = Carried { by: Some(by), reserved: 0 };
            assert_eq!(line_status(EntryKind::Payout, &carried, carried_by, 10), status);
            assert!(LINE_STATUSES.contains(&status));
        }
    }
}
