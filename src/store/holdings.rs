//! What an account has, in memory: its totals, open lots and calls as the projections have them, and what has been
//! spent and counted since and is still to be written back to them.

use super::referrals::Referral;
use crate::domain::id::ProjectId;
use crate::domain::ledger::{Balance, Entry, Lot, Totals};
use std::sync::Arc;

/// An account as the file has it.
#[derive(Debug, Clone)]
pub struct Written {
    pub project: ProjectId,
    pub erased: bool,
    pub totals: Totals,
    pub calls: i64,
    /// Those with something left or owed, in spend order.
    pub lots: Vec<Lot>,
    /// The referral that brought the account in, rejected ones too.
    pub referral: Option<Referral>,
}

/// What has happened since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// By lot.
    pub spent: Vec<(i64, i64)>,
    pub calls: i64,
    /// The newest spend and the newest event in here; 0 when there is none.
    pub spends_to: i64,
    pub events_to: i64,
}

impl Unwritten {
    pub fn is_empty(&self) -> bool {
        self.spends_to == 0 && self.events_to == 0
    }

    pub fn spent_in_all(&self) -> i64 {
        self.spent.iter().map(|(_, amount)| amount).sum()
    }

    pub fn spend(&mut self, lot: i64, amount: i64, seq: i64) {
        match self.spent.iter_mut().find(|(seq, _)| *seq == lot) {
            Some((_, sum)) => *sum += amount,
            None => self.spent.push((lot, amount)),
        }
        self.spends_to = seq;
    }

    pub fn count(&mut self, calls: i64, event: i64) {
        self.calls = self.calls.saturating_add(calls);
        self.events_to = event;
    }

    /// Spent from this lot.
    pub fn of(&self, lot: i64) -> i64 {
        self.spent.iter().find(|(seq, _)| *seq == lot).map_or(0, |(_, amount)| *amount)
    }
}

/// The balance, and for how long the clock alone does not change it.
#[derive(Debug, Clone, Copy)]
struct Known {
    balance: Balance,
    from_ms: i64,
    until_ms: i64,
}

/// Looks at the first holdings that it is shown, if they are the project's.
pub fn look_once<T>(
    project: ProjectId,
    look: impl FnOnce(&mut Holdings) -> T,
) -> impl FnMut(&mut Holdings) -> Option<T> {
    let mut look = Some(look);
    move |holdings| look.take().filter(|_| holdings.project() == project).map(|look| look(holdings))
}

#[derive(Debug, Clone)]
pub struct Holdings {
    written: Arc<Written>,
    unwritten: Unwritten,
    known: Option<Known>,
}

impl Holdings {
    pub fn new(written: Written) -> Self {
        Self { written: Arc::new(written), unwritten: Unwritten::default(), known: None }
    }

    pub fn project(&self) -> ProjectId {
        self.written.project
    }

    pub fn is_erased(&self) -> bool {
        self.written.erased
    }

    pub fn referral(&self) -> Option<&Referral> {
        self.written.referral.as_ref()
    }

    pub fn unwritten(&self) -> &Unwritten {
        &self.unwritten
    }

    pub fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    pub fn calls(&self) -> i64 {
        self.written.calls.saturating_add(self.unwritten.calls)
    }

    pub fn totals(&self) -> Totals {
        let (written, spent) = (self.written.totals, self.unwritten.spent_in_all());
        Totals { spent: written.spent + spent, open: written.open - spent, ..written }
    }

    /// The open lots as they are, in spend order.
    pub fn lots(&self) -> impl Iterator<Item = Lot> + '_ {
        let left = |lot: &Lot| Lot { remaining: lot.remaining - self.unwritten.of(lot.seq), ..lot.clone() };
        self.written.lots.iter().map(left).filter(|lot| lot.remaining != 0)
    }

    /// What there is at this time.
    pub fn balance(&mut self, now_ms: i64) -> Balance {
        if let Some(known) = self.known
            && (known.from_ms..known.until_ms).contains(&now_ms)
        {
            return known.balance;
        }
        let (mut balance, mut until_ms) = (Balance::default(), i64::MAX);
        for lot in self.lots() {
            balance = balance.and(&lot, now_ms);
            until_ms = until_ms.min(lot.next_change_ms(now_ms));
        }
        self.known = Some(Known { balance, from_ms: now_ms, until_ms });
        balance
    }

    /// The first lots in spend order that together have `amount` available, or all there are.
    pub fn lots_to_spend(&self, amount: i64, now_ms: i64) -> Vec<Lot> {
        let mut missing = amount;
        let mut lots = Vec::new();
        for lot in self.lots() {
            if missing <= 0 {
                break;
            }
            let available = lot.available(now_ms);
            if available > 0 {
                missing -= available;
                lots.push(lot);
            }
        }
        lots
    }

    /// Notes spends that are in the ledger now. They came from what was available.
    pub fn spend(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.unwritten.spend(entry.lot, -entry.amount, entry.seq);
            if let Some(known) = &mut self.known {
                known.balance.available += entry.amount;
            }
        }
    }

    /// Notes the calls of an event that is recorded now.
    pub fn count(&mut self, calls: i64, event: i64) {
        self.unwritten.count(calls, event);
    }

    pub fn set_referral(&mut self, referral: Referral) {
        Arc::make_mut(&mut self.written).referral = Some(referral);
    }

    /// After a commit: what was unwritten is in the file.
    pub fn note_written(&mut self) {
        let unwritten = std::mem::take(&mut self.unwritten);
        let written = Arc::make_mut(&mut self.written);
        let spent = unwritten.spent_in_all();
        written.totals.spent += spent;
        written.totals.open -= spent;
        written.calls = written.calls.saturating_add(unwritten.calls);
        for (seq, amount) in unwritten.spent {
            if let Some(lot) = written.lots.iter_mut().find(|lot| lot.seq == seq) {
                lot.remaining -= amount;
            }
        }
        written.lots.retain(|lot| lot.remaining != 0);
    }
}
