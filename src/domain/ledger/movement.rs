//! Plans of movements: which lots a spend, an expiry, a reversal or a grant touches, and by how much.

use super::entry::{Entry, EntryKind, Head};
use super::lot::{Lot, NEVER_MS};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::money;
use crate::domain::program::Vesting;
use std::borrow::Cow;

/// An entry that has no number and no place in the chain yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub kind: EntryKind,
    pub amount: i64,
    /// `None`: the lot that this movement's grant opens.
    pub lot: Option<i64>,
    /// The lot reversed or repaid; `Some(None)` is again the movement's own grant.
    pub origin: Option<Option<i64>>,
    pub referral: Option<ReferralId>,
    pub purchase: Option<i64>,
    pub grant: Option<Terms>,
    /// When what is left of the lot expires from now on, where this movement changes that.
    pub new_expiry_ms: Option<i64>,
}

/// What a grant's entry says beyond the amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub decision: Option<i64>,
    pub program_version: Option<i64>,
    pub vests_at_ms: i64,
    pub vesting: Vesting,
    pub expires_at_ms: Option<i64>,
}

/// Entries that belong together; they get one `group_seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    pub project: ProjectId,
    pub account: AccountId,
    pub reason: Cow<'static, str>,
    pub drafts: Vec<Draft>,
}

impl Movement {
    /// Numbers the entries and chains them behind `head`.
    pub fn seal(self, head: Head, now_ms: i64) -> Vec<Entry> {
        let (group_seq, mut head) = (head.seq + 1, head);
        let mut entries = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            let terms = draft.grant.as_ref();
            let is_repayment = draft.kind == EntryKind::Repay;
            let mut entry = Entry {
                seq: head.seq + 1,
                project: self.project,
                account: self.account,
                lot: draft.lot.unwrap_or(group_seq),
                kind: draft.kind,
                amount: draft.amount,
                reason: if is_repayment { "debt_repayment".into() } else { self.reason.clone() },
                group_seq,
                origin_lot: draft.origin.map(|lot| lot.unwrap_or(group_seq)),
                referral: draft.referral,
                purchase: draft.purchase,
                decision: terms.and_then(|terms| terms.decision),
                program_version: terms.and_then(|terms| terms.program_version),
                vests_at_ms: terms.map(|terms| terms.vests_at_ms),
                vesting: terms.map(|terms| terms.vesting),
                expires_at_ms: terms.and_then(|terms| terms.expires_at_ms).or(draft.new_expiry_ms),
                at_ms: now_ms,
                prev_hash: head.hash,
                hash: [0; 32],
            };
            entry.hash = entry.compute_hash();
            head = Head { seq: entry.seq, hash: entry.hash };
            entries.push(entry);
        }
        entries
    }
}

fn take(kind: EntryKind, lot: &Lot, amount: i64) -> Draft {
    moving(kind, lot.seq, -amount)
}

fn moving(kind: EntryKind, lot: i64, amount: i64) -> Draft {
    let (origin, referral, purchase, grant, new_expiry_ms) = (None, None, None, None, None);
    Draft { kind, amount, lot: Some(lot), origin, referral, purchase, grant, new_expiry_ms }
}

/// What a grant brings, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub amount: i64,
    pub referral: Option<ReferralId>,
    pub purchase: Option<i64>,
    pub terms: Terms,
}

/// Opens a lot and repays debts from it, oldest first. `lots` are those on which the account owes something.
pub fn grant(lots: &[Lot], grant: Grant) -> Vec<Draft> {
    let mut left = grant.amount;
    let mut drafts = vec![Draft {
        kind: EntryKind::Grant,
        amount: grant.amount,
        lot: None,
        origin: None,
        referral: grant.referral,
        purchase: grant.purchase,
        grant: Some(grant.terms),
        new_expiry_ms: None,
    }];
    let mut debts: Vec<&Lot> = lots.iter().filter(|lot| lot.owed() > 0).collect();
    debts.sort_by_key(|lot| lot.seq);
    for debt in debts {
        let paid = debt.owed().min(left);
        if paid == 0 {
            break;
        }
        left -= paid;
        let repay = |amount, lot| Draft {
            kind: EntryKind::Repay,
            amount,
            lot,
            origin: Some(Some(debt.seq)),
            referral: None,
            purchase: None,
            grant: None,
            new_expiry_ms: None,
        };
        drafts.extend([repay(-paid, None), repay(paid, Some(debt.seq))]);
    }
    drafts
}

/// Takes up to `amount` from what is available, in spend order; what is covered is the sum of the drafts.
pub fn spend(lots: &[Lot], amount: i64, now_ms: i64) -> Vec<Draft> {
    take_available(lots, amount, now_ms, EntryKind::Spend)
}

fn take_available(lots: &[Lot], mut amount: i64, now_ms: i64, kind: EntryKind) -> Vec<Draft> {
    let mut open: Vec<&Lot> = lots.iter().filter(|lot| lot.available(now_ms) > 0).collect();
    open.sort_by_key(|lot| lot.spend_order());
    let mut drafts = Vec::new();
    for lot in open {
        let part = lot.available(now_ms).min(amount);
        if part == 0 {
            break;
        }
        amount -= part;
        drafts.push(take(kind, lot, part));
    }
    drafts
}

/// Takes up to `amount` of what is available in these lots, in spend order.
pub fn payout(lots: &[Lot], amount: i64, now_ms: i64) -> Vec<Draft> {
    let mut open: Vec<&Lot> = lots.iter().filter(|lot| lot.available(now_ms) > 0).collect();
    open.sort_by_key(|lot| lot.spend_order());
    let mut left = amount;
    let mut drafts = Vec::new();
    for lot in open {
        let part = lot.available(now_ms).min(left);
        if part == 0 {
            break;
        }
        left -= part;
        drafts.push(take(EntryKind::Payout, lot, part));
    }
    drafts
}

/// What a payout took from a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// `seq` of its grant.
    pub lot: i64,
    pub amount: i64,
    pub at_ms: i64,
    /// The lot's.
    pub expires_at_ms: i64,
}

impl Taken {
    /// A lot's time stands still while it is in a payout: what comes back has as long to live as it had. `None` where
    /// nothing changes by that, as with what never expires.
    fn new_expiry_ms(&self, now_ms: i64) -> Option<i64> {
        let held_ms = (now_ms - self.at_ms).max(0);
        let expiry_ms = self.expires_at_ms.saturating_add(held_ms);
        (self.expires_at_ms < NEVER_MS && held_ms > 0).then_some(expiry_ms)
    }
}

/// Gives back what a payout took, to the very lots. Where such a lot was reversed meanwhile, this settles its debt.
/// What else has expired of these lots is booked before (`expire`), so that it does not come to life again.
pub fn payout_return(taken: &[Taken], now_ms: i64) -> Vec<Draft> {
    let back = |taken: &Taken| Draft {
        new_expiry_ms: taken.new_expiry_ms(now_ms),
        ..moving(EntryKind::PayoutReturn, taken.lot, taken.amount)
    };
    taken.iter().map(back).collect()
}

/// Books what has expired by the clock.
pub fn expire(lots: &[Lot], now_ms: i64) -> Vec<Draft> {
    let lapsed = lots.iter().filter(|lot| lot.lapsed(now_ms) > 0);
    lapsed.map(|lot| Draft { referral: lot.referral, ..take(EntryKind::Expire, lot, lot.lapsed(now_ms)) }).collect()
}

/// Takes back `due` of the grant that opened `lot`: from the lot itself, then from what is available in `others`;
/// the rest stays as a debt on the lot. What has expired is booked before (`expire`), so that the outcome does not
/// depend on when a sweep ran.
pub fn reverse(lot: &Lot, others: &[Lot], due: i64, now_ms: i64) -> Vec<Draft> {
    if due <= 0 {
        return Vec::new();
    }
    let own = due.min(lot.remaining.max(0));
    let others: Vec<Lot> = others.iter().filter(|other| other.seq != lot.seq).cloned().collect();
    let from_others = take_available(&others, due - own, now_ms, EntryKind::Reverse);
    let covered: i64 = from_others.iter().map(|draft| -draft.amount).sum();
    let on_lot = due - covered;
    let own_entry = (on_lot > 0).then(|| take(EntryKind::Reverse, lot, on_lot));
    let about = |draft| Draft { origin: Some(Some(lot.seq)), referral: lot.referral, purchase: lot.purchase, ..draft };
    own_entry.into_iter().chain(from_others).map(about).collect()
}

/// A purchase with what has been refunded of it, for a commission's reversal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchase {
    pub gross_minor: i64,
    pub refunded_minor: i64,
    /// `None` for a fixed amount: it goes back when all of the purchase does.
    pub basis_points: Option<u32>,
}

/// How much of a lot is still to be taken back, given what its purchase has come to. Without a purchase: all of it.
/// Repeats come to zero, and a full refund ends at exactly the grant. What expired unspent is gone already.
pub fn reversal_due(lot: &Lot, purchase: Option<Purchase>) -> i64 {
    let kept = match purchase {
        None => 0,
        Some(purchase) => {
            let left = (purchase.gross_minor - purchase.refunded_minor).max(0);
            match purchase.basis_points {
                _ if left == 0 => 0,
                None => lot.granted,
                Some(share) => money::share_half_up(left, share).min(lot.granted),
            }
        }
    };
    ((lot.granted - kept).min(lot.granted - lot.expired) - lot.reversed).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(seq: i64, remaining: i64) -> Lot {
        Lot {
            seq,
            account: AccountId(1),
            referral: Some(ReferralId(seq)),
            purchase: None,
            granted_at_ms: 0,
            vests_at_ms: 0,
            vesting: Vesting::Cliff,
            expires_at_ms: NEVER_MS,
            granted: 1_000,
            remaining,
            expired: 0,
            reversed: 0,
            paid: 0,
            held: false,
        }
    }

    fn moved(drafts: &[Draft]) -> Vec<(Option<i64>, i64)> {
        drafts.iter().map(|draft| (draft.lot, draft.amount)).collect()
    }

    #[test]
    fn spending_takes_what_expires_first_then_the_oldest() {
        let lots = [
            lot(1, 100),
            Lot { expires_at_ms: 90, ..lot(2, 100) },
            Lot { expires_at_ms: 50, ..lot(3, 100) },
            lot(4, 100),
            Lot { expires_at_ms: 5, ..lot(5, 100) },
            Lot { vests_at_ms: 20, ..lot(6, 1_000) },
        ];
        assert_eq!(moved(&spend(&lots, 350, 10)), [(Some(3), -100), (Some(2), -100), (Some(1), -100), (Some(4), -50)]);
        assert_eq!(moved(&spend(&lots, 9_999, 10)).iter().map(|part| part.1).sum::<i64>(), -400);
        assert!(spend(&lots, 0, 10).is_empty());
    }

    #[test]
    fn a_payout_takes_what_is_available_in_spend_order() {
        let lots = [
            Lot { granted: 100, ..lot(1, 100) },
            Lot { granted: 100, paid: 40, ..lot(2, 60) },
            // Reversed at the expense of others, and then given back.
            Lot { granted: 100, reversed: 100, ..lot(3, 100) },
            Lot { granted: 100, expires_at_ms: 50, ..lot(4, 30) },
            Lot { granted: 100, vests_at_ms: 20, ..lot(5, 100) },
            Lot { granted: 100, ..lot(6, -50) },
        ];
        assert_eq!(moved(&payout(&lots, 100, 10)), [(Some(4), -30), (Some(1), -70)]);
        assert_eq!(moved(&payout(&lots, 999, 10)), [(Some(4), -30), (Some(1), -100), (Some(2), -60), (Some(3), -100)]);
        assert!(payout(&lots, 0, 10).is_empty());
    }

    #[test]
    fn what_a_payout_gives_back_lives_as_long_as_it_had_left() {
        let taken = |lot, amount, expires_at_ms| Taken { lot, amount, at_ms: 10, expires_at_ms };
        let both = [taken(4, 30, 50), taken(1, 70, NEVER_MS)];
        for (now_ms, expiry_ms) in [(60, Some(100)), (11, Some(51)), (10, None), (5, None)] {
            let drafts = payout_return(&both, now_ms);
            assert_eq!(moved(&drafts), [(Some(4), 30), (Some(1), 70)]);
            assert_eq!(drafts.iter().map(|draft| draft.new_expiry_ms).collect::<Vec<_>>(), [expiry_ms, None]);
        }
    }

    #[test]
    fn a_reversal_takes_its_own_lot_then_others_and_leaves_a_debt() {
        let (own, other) = (lot(1, 300), lot(2, 400));
        assert_eq!(moved(&reverse(&own, &[own.clone(), other.clone()], 1_000, 0)), [(Some(1), -600), (Some(2), -400)]);
        assert_eq!(moved(&reverse(&own, std::slice::from_ref(&other), 200, 0)), [(Some(1), -200)]);
        let pending = Lot { vests_at_ms: 9, ..other };
        assert_eq!(moved(&reverse(&own, &[pending], 1_000, 0)), [(Some(1), -1_000)]);
        let spent = lot(3, 0);
        assert_eq!(moved(&reverse(&spent, &[lot(4, 5_000)], 1_000, 0)), [(Some(4), -1_000)]);
        assert!(reverse(&own, &[], 0, 0).is_empty());
    }

    #[test]
    fn a_grant_repays_debts_first_oldest_first() {
        let terms = Terms {
            decision: None,
            program_version: Some(1),
            vests_at_ms: 9,
            vesting: Vesting::Cliff,
            expires_at_ms: None,
        };
        let gift = |amount| Grant { amount, referral: None, purchase: None, terms: terms.clone() };
        let lots = [lot(2, -300), lot(1, -100), lot(3, 50)];
        assert_eq!(
            moved(&grant(&lots, gift(150))),
            [(None, 150), (None, -100), (Some(1), 100), (None, -50), (Some(2), 50),]
        );
        assert_eq!(moved(&grant(&lots[2..], gift(150))), [(None, 150)]);
    }

    #[test]
    fn partial_refunds_end_at_exactly_zero() {
        // 5 % of 10.01 is 0.50 (half up from 50.05), whatever the steps of the refunds.
        let mut commission = Lot { granted: 50, remaining: 50, ..lot(1, 50) };
        let mut reversed = Vec::new();
        for refunded in [1, 333, 333, 1_000, 1_001, 1_001] {
            let due = reversal_due(
                &commission,
                Some(Purchase { gross_minor: 1_001, refunded_minor: refunded, basis_points: Some(500) }),
            );
            commission.reversed += due;
            reversed.push(due);
        }
        assert_eq!(reversed, [0, 17, 0, 33, 0, 0]);
    }

    #[test]
    fn a_fixed_reward_goes_back_with_the_whole_purchase_only() {
        let purchase = |refunded_minor| Some(Purchase { gross_minor: 100, refunded_minor, basis_points: None });
        assert_eq!(reversal_due(&lot(1, 0), purchase(99)), 0);
        assert_eq!(reversal_due(&lot(1, 0), purchase(100)), 1_000);
        assert_eq!(reversal_due(&lot(1, 0), purchase(150)), 1_000);
    }

    #[test]
    fn what_expired_unspent_is_not_taken_back_again() {
        let expired = Lot { expired: 1_000, remaining: 0, ..lot(1, 0) };
        assert_eq!(reversal_due(&expired, None), 0);
        let half = Lot { expired: 400, remaining: 0, ..lot(1, 0) };
        assert_eq!(reversal_due(&half, None), 600);
        let again = Lot { reversed: 600, ..half };
        assert_eq!(reversal_due(&again, None), 0);
    }

    #[test]
    fn sealed_entries_form_a_chain_and_a_group() {
        let terms = Terms {
            decision: Some(1),
            program_version: Some(1),
            vests_at_ms: 9,
            vesting: Vesting::Linear,
            expires_at_ms: Some(99),
        };
        let drafts = grant(&[lot(1, -100)], Grant { amount: 500, referral: None, purchase: None, terms });
        let movement =
            Movement { project: ProjectId(1), account: AccountId(1), reason: "referral_signup".into(), drafts };
        let head = Head { seq: 6, hash: [3; 32] };
        let entries = movement.seal(head, 10);
        assert_eq!(
            entries.iter().map(|e| (e.seq, e.group_seq, e.lot, e.amount)).collect::<Vec<_>>(),
            [(7, 7, 7, 500), (8, 7, 7, -100), (9, 7, 1, 100),]
        );
        assert_eq!(entries[1].reason, "debt_repayment");
        let end = entries.iter().try_fold(head, Head::follow).unwrap();
        assert_eq!(end.seq, 9);
    }
}
