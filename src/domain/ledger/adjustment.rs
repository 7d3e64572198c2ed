//! Credits taken back on an operator's word, for no reason that a rule knows.
//!
//! Each part is a reversal of the lot that it comes from, so that a grant is never taken back twice: a later refund or
//! rejection finds it reversed already. Only what can be spent now is taken, so nothing becomes a debt.

use super::entry::EntryKind;
use super::lot::Lot;
use super::movement::Draft;

/// What of a lot can be taken back.
fn part_of(lot: &Lot, now_ms: i64) -> i64 {
    // A lot that others were reversed for can have more left than is still to be reversed of it.
    lot.available(now_ms).min(lot.granted - lot.reversed)
}

/// The most that [`take_back`] can take.
pub fn adjustable(lots: &[Lot], now_ms: i64) -> i64 {
    lots.iter().map(|lot| part_of(lot, now_ms)).sum()
}

/// Takes up to `amount`, in spend order.
pub fn take_back(lots: &[Lot], amount: i64, now_ms: i64) -> Vec<Draft> {
    let mut open: Vec<&Lot> = lots.iter().filter(|lot| part_of(lot, now_ms) > 0).collect();
    open.sort_by_key(|lot| lot.spend_order());
    let mut left = amount;
    let mut drafts = Vec::new();
    for lot in open {
        let part = part_of(lot, now_ms).min(left);
        if part == 0 {
            break;
        }
        left -= part;
        drafts.push(Draft {
            kind: EntryKind::Reverse,
            amount: -part,
            lot: Some(lot.seq),
            origin: Some(Some(lot.seq)),
            referral: lot.referral,
            purchase: lot.purchase,
            grant: None,
            new_expiry_ms: None,
        });
    }
    drafts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::AccountId;
    use crate::domain::ledger::NEVER_MS;
    use crate::domain::program::Vesting;

    fn lot(seq: i64, remaining: i64) -> Lot {
        Lot {
            seq,
            account: AccountId(1),
            referral: None,
            purchase: None,
            granted_at_ms: 0,
            vests_at_ms: 0,
            vesting: Vesting::Cliff,
            expires_at_ms: NEVER_MS,
            granted: 100,
            remaining,
            expired: 0,
            reversed: 0,
            paid: 0,
            held: false,
        }
    }

    #[test]
    fn only_what_can_be_spent_is_taken_back_and_no_grant_twice() {
        let lots = [
            lot(1, 100),
            Lot { expires_at_ms: 90, ..lot(2, 40) },
            Lot { vests_at_ms: 20, ..lot(3, 100) },
            Lot { held: true, ..lot(4, 100) },
            Lot { reversed: 90, ..lot(5, 100) },
            lot(6, -30),
        ];
        assert_eq!(adjustable(&lots, 10), 150);
        let taken = |amount| -> Vec<_> {
            let drafts = take_back(&lots, amount, 10);
            assert!(drafts.iter().all(|draft| draft.origin == Some(draft.lot)));
            drafts.iter().map(|draft| (draft.lot.unwrap(), draft.amount)).collect()
        };
        assert_eq!(taken(60), [(2, -40), (1, -20)]);
        assert_eq!(taken(1_000), [(2, -40), (1, -100), (5, -10)]);
        assert!(taken(0).is_empty());
    }
}
