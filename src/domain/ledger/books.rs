//! The fold of the entries: lots and totals from nothing but the ledger. `verify` compares them with the projections.

use super::entry::{Entry, EntryKind, Head};
use super::lot::{Lot, NEVER_MS};
use crate::domain::id::AccountId;
use crate::domain::program::MAX_AMOUNT;
use foldhash::HashMap;

/// An account's totals: granted = spent + expired + reversed + paid + open - owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub granted: i64,
    pub spent: i64,
    pub expired: i64,
    pub reversed: i64,
    pub paid: i64,
    pub open: i64,
    pub owed: i64,
}

/// Everything that the entries add up to so far.
#[derive(Debug, Default)]
pub struct Books {
    head: Option<Head>,
    pub lots: HashMap<i64, Lot>,
    pub totals: HashMap<AccountId, Totals>,
}

impl Books {
    pub fn head(&self) -> Head {
        self.head.unwrap_or(Head::EMPTY)
    }

    /// Adds the next entry, or says what is wrong with it.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        let head = self.head().follow(entry)?;
        if entry.amount.unsigned_abs() > MAX_AMOUNT.unsigned_abs() {
            return Err("an amount beyond what any program gives".into());
        }
        match entry.kind {
            EntryKind::Grant => self.open_lot(entry)?,
            _ => self.move_lot(entry)?,
        }
        self.head = Some(head);
        Ok(())
    }

    fn open_lot(&mut self, entry: &Entry) -> Result<(), String> {
        let (Some(vests_at_ms), Some(vesting)) = (entry.vests_at_ms, entry.vesting) else {
            return Err("a grant without terms".into());
        };
        if entry.amount <= 0 || entry.lot != entry.seq {
            return Err("a grant that opens no lot of its own".into());
        }
        let lot = Lot {
            seq: entry.seq,
            account: entry.account,
            referral: entry.referral,
            purchase: entry.purchase,
            granted_at_ms: entry.at_ms,
            vests_at_ms,
            vesting,
            expires_at_ms: entry.expires_at_ms.unwrap_or(NEVER_MS),
            granted: entry.amount,
            remaining: entry.amount,
            expired: 0,
            reversed: 0,
            paid: 0,
            held: false,
        };
        self.lots.insert(entry.seq, lot);
        let totals = self.totals.entry(entry.account).or_default();
        totals.granted += entry.amount;
        totals.open += entry.amount;
        Ok(())
    }

    fn move_lot(&mut self, entry: &Entry) -> Result<(), String> {
        let (kind, amount) = (entry.kind, entry.amount);
        let origin = entry.origin_lot.map(|origin| self.lots.get(&origin).ok_or("the origin was never granted"));
        if let Some(origin) = origin.transpose()? {
            if origin.account != entry.account {
                return Err("a movement for another account's lot".into());
            }
            if entry.kind == EntryKind::Reverse && origin.reversed - entry.amount > origin.granted {
                return Err("a reversal of more than was granted".into());
            }
        }
        let lot = self.lots.get_mut(&entry.lot).ok_or("a movement of a lot that was never granted")?;
        if lot.account != entry.account {
            return Err("a movement of another account's lot".into());
        }
        let before = lot.remaining;
        let after = before + amount;
        let fits = match kind {
            EntryKind::Grant => false,
            EntryKind::Reverse => amount < 0 && (after >= 0 || entry.origin_lot == Some(entry.lot)),
            EntryKind::Spend | EntryKind::Expire | EntryKind::Payout => amount < 0 && after >= 0,
            EntryKind::PayoutReturn => amount > 0 && after <= lot.granted,
            EntryKind::Repay => (amount < 0 && after >= 0) || (amount > 0 && after <= 0),
        };
        let prolongs = entry.expires_at_ms.is_none_or(|expiry_ms| expiry_ms > lot.expires_at_ms);
        if !prolongs || (entry.expires_at_ms.is_some() && kind != EntryKind::PayoutReturn) {
            return Err(format!("{} that gives its lot another end", kind.as_str()));
        }
        if !fits {
            return Err(format!("{} of {amount} on a lot that has {before} left", kind.as_str()));
        }
        lot.remaining = after;
        lot.expires_at_ms = entry.expires_at_ms.unwrap_or(lot.expires_at_ms);
        let totals = self.totals.entry(entry.account).or_default();
        totals.open += after.max(0) - before.max(0);
        totals.owed += (-after).max(0) - (-before).max(0);
        match kind {
            EntryKind::Spend => totals.spent -= amount,
            EntryKind::Expire => {
                totals.expired -= amount;
                lot.expired -= amount;
            }
            EntryKind::Payout | EntryKind::PayoutReturn => {
                totals.paid -= amount;
                lot.paid -= amount;
            }
            EntryKind::Reverse => {
                totals.reversed -= amount;
                let origin = entry.origin_lot.and_then(|origin| self.lots.get_mut(&origin));
                origin.ok_or("a reversal of a lot that was never granted")?.reversed -= amount;
            }
            EntryKind::Grant | EntryKind::Repay => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ProjectId;
    use crate::domain::ledger::movement::{self, Draft, Movement, Taken, Terms};
    use crate::domain::ledger::{Balance, reversal_due};
    use crate::domain::program::Vesting;
    use crate::domain::time::DAY_MS;
    use proptest::prelude::*;

    const ME: AccountId = AccountId(1);

    fn at(lots: &[Lot], now_ms: i64) -> Balance {
        lots.iter().fold(Balance::default(), |sum, lot| sum.and(lot, now_ms))
    }

    /// A ledger in memory, driven through the same plans as the real one.
    #[derive(Default)]
    struct Ledger {
        books: Books,
        entries: Vec<Entry>,
        now_ms: i64,
        /// What the open payout has taken.
        held: Vec<Taken>,
    }

    impl Ledger {
        fn lots(&self) -> Vec<Lot> {
            self.books.lots.values().filter(|lot| lot.remaining != 0).cloned().collect()
        }

        fn append(&mut self, drafts: Vec<Draft>) {
            let movement = Movement { project: ProjectId(1), account: ME, reason: "test".into(), drafts };
            for entry in movement.seal(self.books.head(), self.now_ms) {
                self.books.apply(&entry).unwrap();
                self.entries.push(entry);
            }
        }

        fn settle(&mut self) {
            let drafts = movement::expire(&self.lots(), self.now_ms);
            self.append(drafts);
        }

        /// The payout is called off: nothing of it is lost by the time that it took.
        fn give_back(&mut self) {
            self.settle();
            let before = at(&self.lots(), self.now_ms);
            let held = std::mem::take(&mut self.held);
            self.append(movement::payout_return(&held, self.now_ms));
            let after = at(&self.lots(), self.now_ms);
            let back: i64 = held.iter().map(|taken| taken.amount).sum();
            assert_eq!(
                after.available + after.pending - after.owed - back,
                before.available + before.pending - before.owed
            );
            assert_eq!(after.lapsed, 0);
            for taken in held {
                let (lot, left_ms) = (&self.books.lots[&taken.lot], taken.expires_at_ms.saturating_sub(taken.at_ms));
                assert!(lot.expires_at_ms >= self.now_ms.saturating_add(left_ms), "{lot:?}");
            }
        }

        fn run(&mut self, step: &Step) {
            match *step {
                Step::Grant { amount, hold_days, linear, expires_days } => {
                    self.settle();
                    let end = |days| self.now_ms + days * DAY_MS;
                    let terms = Terms {
                        decision: None,
                        program_version: Some(1),
                        vests_at_ms: end(hold_days),
                        vesting: if linear { Vesting::Linear } else { Vesting::Cliff },
                        expires_at_ms: expires_days.map(|days| end(hold_days + days)),
                    };
                    let grant = movement::Grant { amount, referral: None, purchase: None, terms };
                    let drafts = movement::grant(&self.lots(), grant);
                    self.append(drafts);
                }
                Step::Spend(amount) => {
                    self.settle();
                    let before = at(&self.lots(), self.now_ms).available;
                    let drafts = movement::spend(&self.lots(), amount, self.now_ms);
                    let charged: i64 = drafts.iter().map(|draft| -draft.amount).sum();
                    assert_eq!(charged, amount.min(before), "a spend covers what it can, no less and no more");
                    assert_in_spend_order(&self.books, &drafts);
                    self.append(drafts);
                    assert_eq!(at(&self.lots(), self.now_ms).available, before - charged);
                }
                Step::Reverse { which, all } => {
                    self.settle();
                    let mut grants: Vec<i64> = self.books.lots.keys().copied().collect();
                    grants.sort_unstable();
                    let Some(&seq) = grants.get(which % grants.len().max(1)) else { return };
                    let lot = self.books.lots[&seq].clone();
                    let due = reversal_due(&lot, None);
                    let due = if all { due } else { due / 2 };
                    let drafts = movement::reverse(&lot, &self.lots(), due, self.now_ms);
                    self.append(drafts);
                    assert!(!all || reversal_due(&self.books.lots[&seq], None) == 0);
                }
                Step::Payout(amount) if self.held.is_empty() => {
                    self.settle();
                    let drafts = movement::payout(&self.lots(), amount, self.now_ms);
                    let taken = |draft: &Draft| Taken {
                        lot: draft.lot.unwrap(),
                        amount: -draft.amount,
                        at_ms: self.now_ms,
                        expires_at_ms: self.books.lots[&draft.lot.unwrap()].expires_at_ms,
                    };
                    self.held = drafts.iter().map(taken).collect();
                    self.append(drafts);
                }
                Step::Payout(_) | Step::Paid => self.held.clear(),
                Step::Return => self.give_back(),
                Step::Wait(hours) => self.now_ms += hours * 3_600_000,
                Step::Sweep => self.settle(),
            }
        }
    }

    fn assert_in_spend_order(books: &Books, drafts: &[Draft]) {
        let order: Vec<_> = drafts.iter().map(|draft| books.lots[&draft.lot.unwrap()].spend_order()).collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Grant { amount: i64, hold_days: i64, linear: bool, expires_days: Option<i64> },
        Spend(i64),
        Reverse { which: usize, all: bool },
        Payout(i64),
        Paid,
        Return,
        Wait(i64),
        Sweep,
    }

    fn step() -> impl Strategy<Value = Step> {
        let grant = (1..2_000_i64, 0..10_i64, any::<bool>(), prop::option::of(1..20_i64)).prop_map(
            |(amount, hold_days, linear, expires_days)| Step::Grant {
                amount,
                hold_days,
                linear: linear && hold_days > 0,
                expires_days,
            },
        );
        prop_oneof![
            3 => grant,
            3 => (0..1_500_i64).prop_map(Step::Spend),
            2 => (any::<usize>(), any::<bool>()).prop_map(|(which, all)| Step::Reverse { which, all }),
            2 => (1..1_500_i64).prop_map(Step::Payout),
            1 => Just(Step::Paid),
            2 => Just(Step::Return),
            3 => (0..200_i64).prop_map(Step::Wait),
            1 => Just(Step::Sweep),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn any_history_keeps_the_books(steps in prop::collection::vec(step(), 1..60)) {
            let mut ledger = Ledger::default();
            for step in &steps {
                ledger.run(step);
                let balance = at(&ledger.lots(), ledger.now_ms);
                prop_assert!(balance.available >= 0 && balance.pending >= 0 && balance.lapsed >= 0);
                let totals = ledger.books.totals.get(&ME).copied().unwrap_or_default();
                prop_assert_eq!(totals.open, balance.available + balance.pending + balance.lapsed);
                prop_assert_eq!(totals.owed, balance.owed);
                prop_assert_eq!(
                    totals.granted,
                    totals.spent + totals.expired + totals.reversed + totals.paid + totals.open - totals.owed
                );
            }
            for lot in ledger.books.lots.values() {
                let sum: i64 = ledger.entries.iter().filter(|e| e.lot == lot.seq).map(|e| e.amount).sum();
                prop_assert_eq!(sum, lot.remaining, "what is left of a lot is the sum of its entries");
                prop_assert!(lot.reversed <= lot.granted && lot.expired <= lot.granted);
                // What came back after others had paid for its reversal is there to expire.
                let came_back = ledger.entries.iter().any(|e| e.lot == lot.seq && e.kind == EntryKind::PayoutReturn);
                prop_assert!(came_back || lot.reversed + lot.expired <= lot.granted);
            }
        }

        #[test]
        fn a_sweep_changes_no_balance(steps in prop::collection::vec(step(), 1..40)) {
            let (mut lazy, mut eager) = (Ledger::default(), Ledger::default());
            for step in steps.iter().filter(|step| !matches!(step, Step::Sweep)) {
                lazy.run(step);
                eager.run(step);
                eager.settle();
                let seen = |ledger: &Ledger| Balance { lapsed: 0, ..at(&ledger.lots(), ledger.now_ms) };
                prop_assert_eq!(seen(&lazy), seen(&eager));
            }
        }
    }

    #[test]
    fn each_entry_that_does_not_fit() {
        let terms = Terms {
            decision: None,
            program_version: None,
            vests_at_ms: 0,
            vesting: Vesting::Cliff,
            expires_at_ms: None,
        };
        let mut ledger = Ledger::default();
        ledger.append(movement::grant(&[], movement::Grant { amount: 100, referral: None, purchase: None, terms }));
        let good = Draft {
            kind: EntryKind::Spend,
            amount: -10,
            lot: Some(1),
            origin: None,
            referral: None,
            purchase: None,
            grant: None,
            new_expiry_ms: None,
        };
        let origin = Some(Some(1));
        for (account, draft, problem) in [
            (ME, Draft { amount: -101, ..good.clone() }, "100 left"),
            (ME, Draft { amount: 5, ..good.clone() }, "spend of 5"),
            (ME, Draft { lot: Some(9), ..good.clone() }, "never granted"),
            (AccountId(2), good.clone(), "another account"),
            (ME, Draft { kind: EntryKind::PayoutReturn, amount: 1, ..good.clone() }, "payout_return"),
            (ME, Draft { kind: EntryKind::Repay, amount: 1, origin, ..good.clone() }, "repay"),
            (ME, Draft { kind: EntryKind::Reverse, origin: Some(Some(9)), ..good.clone() }, "never granted"),
            (ME, Draft { kind: EntryKind::Reverse, amount: -101, origin, ..good.clone() }, "more than was granted"),
            (ME, Draft { kind: EntryKind::Grant, amount: 5, ..good.clone() }, "without terms"),
            (ME, Draft { new_expiry_ms: Some(9), ..good.clone() }, "another end"),
        ] {
            let movement = Movement { project: ProjectId(1), account, reason: "test".into(), drafts: vec![draft] };
            let mut books = Books::default();
            books.apply(&ledger.entries[0]).unwrap();
            let entry = movement.seal(books.head(), 0).remove(0);
            let fault = books.apply(&entry).unwrap_err();
            assert!(fault.contains(problem), "{fault}");
        }
    }
}
