//! What refloop is to do, said a second time with vectors and maps, from the contract and without its code.

use crate::harness::DAY_MS;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Signup,
    FirstCall,
    Calls(i64),
    Purchase,
    FirstPurchase,
    Conversion,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub reason: &'static str,
    pub on: On,
    pub to_referrer: bool,
    pub amount: i64,
    /// Basis points of the purchase, in place of an amount.
    pub share: Option<i64>,
    pub hold_days: i64,
    pub linear: bool,
    pub expires_days: Option<i64>,
    pub min_purchase: Option<i64>,
}

impl Rule {
    pub fn document(&self) -> Value {
        let on = match self.on {
            On::Signup => "signup".into(),
            On::FirstCall => "first_call".into(),
            On::Calls(calls) => format!("calls:{calls}"),
            On::Purchase => "purchase".into(),
            On::FirstPurchase => "first_purchase".into(),
            On::Conversion => "conversion".into(),
        };
        let mut rule = json!({
            "reason": self.reason, "on": on, "to": if self.to_referrer { "referrer" } else { "referee" },
            "hold_days": self.hold_days, "vesting": if self.linear { "linear" } else { "cliff" },
        });
        match self.share {
            Some(share) => rule["basis_points"] = json!({ "basic": share, "partner": 0 }),
            None => rule["amount"] = self.amount.into(),
        }
        if let Some(days) = self.expires_days {
            rule["expires_days"] = days.into();
        }
        if let Some(least) = self.min_purchase {
            rule["min_purchase"] = least.into();
        }
        rule
    }
}

#[derive(Debug, Clone)]
pub struct Program {
    pub enabled: bool,
    pub conversion: &'static str,
    pub rules: Vec<Rule>,
}

/// One line of an account's ledger; `lot` and `group` are places in the same list.
#[derive(Debug, Clone)]
pub struct Line {
    pub kind: &'static str,
    pub reason: String,
    pub amount: i64,
    pub lot: usize,
    pub group: usize,
    pub at_ms: i64,
}

#[derive(Debug, Clone)]
pub struct Lot {
    pub line: usize,
    pub at_ms: i64,
    pub vests_ms: i64,
    pub linear: bool,
    pub expires_ms: i64,
    pub granted: i64,
    pub left: i64,
    pub expired: i64,
    pub reversed: i64,
    purchase: Option<(String, Option<i64>)>,
}

impl Lot {
    pub fn available(&self, now_ms: i64) -> i64 {
        let days = (self.vests_ms - self.at_ms + DAY_MS - 1) / DAY_MS;
        let vested = match () {
            () if now_ms >= self.expires_ms => return 0,
            () if now_ms >= self.vests_ms => self.granted,
            () if self.linear => self.granted * ((now_ms - self.at_ms) / DAY_MS).min(days) / days,
            () => 0,
        };
        (self.left - (self.granted - vested)).max(0)
    }

    pub fn lapsed(&self, now_ms: i64) -> i64 {
        if now_ms >= self.expires_ms { self.left.max(0) } else { 0 }
    }
}

#[derive(Debug, Clone)]
pub struct Code {
    pub text: String,
    pub owner: usize,
    pub max_uses: Option<i64>,
    pub uses: i64,
    pub revoked: bool,
}

#[derive(Debug, Clone)]
pub struct Referral {
    pub referrer: usize,
    pub referee: usize,
    pub rejected: bool,
    pub at_ms: i64,
    pub first_call: bool,
    pub active: bool,
    pub converted_ms: Option<i64>,
    paid: Vec<&'static str>,
    /// Rules that were looked at, each with whether the purchase was too small for it.
    decided: Vec<(&'static str, bool)>,
    /// Purchases that the referee had made before.
    bought_before: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Account {
    pub domain: String,
    pub signed_up_ms: i64,
    pub erased: bool,
    pub calls: i64,
    pub referral: Option<usize>,
    pub lines: Vec<Line>,
    pub lots: Vec<Lot>,
    pub purchases: Vec<i64>,
}

impl Account {
    pub fn available(&self, now_ms: i64) -> i64 {
        self.lots.iter().map(|lot| lot.available(now_ms)).sum()
    }

    fn line(&mut self, kind: &'static str, reason: &str, amount: i64, lot: usize, group: usize, at_ms: i64) {
        let line = self.lots[lot].line;
        self.lines.push(Line { kind, reason: reason.into(), amount, lot: line, group, at_ms });
        self.lots[lot].left += amount;
    }

    /// Lots in the order in which they are spent.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.lots.len()).collect();
        order.sort_by_key(|&lot| (self.lots[lot].expires_ms, lot));
        order
    }

    pub fn settle(&mut self, now_ms: i64) {
        let group = self.lines.len();
        for lot in self.order() {
            let lapsed = self.lots[lot].lapsed(now_ms);
            if lapsed > 0 {
                self.line("expire", "expired", -lapsed, lot, group, now_ms);
                self.lots[lot].expired += lapsed;
            }
        }
    }

    /// Takes what is available of up to `amount`. Returns how much that was.
    fn take(&mut self, kind: &'static str, reason: &str, amount: i64, but: Option<usize>, at: (usize, i64)) -> i64 {
        let mut taken = 0;
        for lot in self.order().into_iter().filter(|lot| Some(*lot) != but) {
            let part = self.lots[lot].available(at.1).min(amount - taken);
            if part > 0 {
                self.line(kind, reason, -part, lot, at.0, at.1);
                taken += part;
            }
        }
        taken
    }

    fn grant(&mut self, lot: Lot, reason: &str, now_ms: i64) {
        self.settle(now_ms);
        let (group, new, mut left) = (self.lines.len(), self.lots.len(), lot.granted);
        self.lots.push(Lot { line: group, left: 0, ..lot });
        self.line("grant", reason, left, new, group, now_ms);
        for debt in 0..new {
            let paid = (-self.lots[debt].left).clamp(0, left);
            if paid > 0 {
                self.line("repay", "debt_repayment", -paid, new, group, now_ms);
                self.line("repay", "debt_repayment", paid, debt, group, now_ms);
                left -= paid;
            }
        }
    }

    fn reverse(&mut self, lot: usize, due: i64, now_ms: i64) {
        let own = due.min(self.lots[lot].left.max(0));
        let group = self.lines.len();
        // The others pay first in mind, though the lot's own line comes first in the ledger.
        let mut trial = self.clone();
        let covered = trial.take("reverse", "refund", due - own, Some(lot), (group, now_ms));
        if due - covered > 0 {
            self.line("reverse", "refund", covered - due, lot, group, now_ms);
        }
        self.take("reverse", "refund", due - own, Some(lot), (group, now_ms));
        self.lots[lot].reversed += due;
    }
}

/// An answer to a usage event.
#[derive(Debug, PartialEq, Eq)]
pub struct Used {
    pub status: &'static str,
    pub code: Option<&'static str>,
    pub charged: i64,
    pub uncovered: i64,
    pub available: i64,
}

pub struct Model {
    pub now_ms: i64,
    pub program: Program,
    /// All programs so far, with when each came into force.
    programs: Vec<(i64, Program)>,
    pub accounts: Vec<Account>,
    pub codes: Vec<Code>,
    pub referrals: Vec<Referral>,
    pub purchases: HashMap<String, (usize, i64)>,
    pub refunds: HashMap<String, (String, i64)>,
    events: HashMap<String, (usize, i64, i64, i64)>,
    /// Whose figures a step may have changed.
    pub touched: BTreeSet<usize>,
}

enum Event {
    Signup,
    Calls { before: i64, after: i64 },
    Purchase { id: String, amount: i64, largest_before: Option<i64>, converted: bool, at_ms: i64 },
}

impl Model {
    pub fn new(now_ms: i64, program: Program) -> Self {
        Self {
            now_ms,
            programs: vec![(now_ms, program.clone())],
            program,
            accounts: Vec::new(),
            codes: Vec::new(),
            referrals: Vec::new(),
            purchases: HashMap::new(),
            refunds: HashMap::new(),
            events: HashMap::new(),
            touched: BTreeSet::new(),
        }
    }

    pub fn set_program(&mut self, program: Program) {
        self.programs.push((self.now_ms, program.clone()));
        self.program = program;
    }

    /// A threshold that a program sets behind where the referee is already counts from the next call on, once.
    fn fires(&self, rule: &Rule, referral: usize, event: &Event) -> bool {
        let mut verdicts = self.referrals[referral].decided.iter().filter(|(reason, _)| *reason == rule.reason);
        let decided = verdicts.clone().next().is_some();
        let only_too_small = decided && verdicts.all(|(_, too_small)| *too_small);
        match (rule.on, event) {
            (On::Signup, Event::Signup) | (On::Purchase, Event::Purchase { .. }) => true,
            (On::FirstCall, Event::Calls { before, .. }) => *before == 0,
            (On::Calls(calls), Event::Calls { before, after }) => calls <= *after && (*before < calls || !decided),
            (On::FirstPurchase, Event::Purchase { largest_before, .. }) => {
                only_too_small || largest_before.is_none_or(|largest| largest < rule.min_purchase.unwrap_or(0))
            }
            (On::Conversion, _) => self.converts(event),
            _ => false,
        }
    }

    fn converts(&self, event: &Event) -> bool {
        match event {
            Event::Calls { before, .. } => self.program.conversion == "first_call" && *before == 0,
            Event::Purchase { amount, converted, .. } => {
                let of_purchases =
                    self.program.rules.iter().filter(|r| matches!(r.on, On::Purchase | On::FirstPurchase));
                let least = of_purchases.map(|rule| rule.min_purchase.unwrap_or(0)).min().unwrap_or(0);
                self.program.conversion == "first_purchase" && !converted && *amount >= least
            }
            Event::Signup => false,
        }
    }

    fn reward(&mut self, referral: usize, event: &Event) {
        let now_ms = self.now_ms;
        for rule in self.program.rules.clone() {
            let found = &self.referrals[referral];
            let account = if rule.to_referrer { found.referrer } else { found.referee };
            let repeated = rule.on != On::Purchase && found.paid.contains(&rule.reason);
            let refused = !self.program.enabled || self.accounts[account].erased || repeated;
            if !self.fires(&rule, referral, event) {
                continue;
            }
            let too_small = match event {
                Event::Purchase { amount, .. } => rule.min_purchase.is_some_and(|least| *amount < least),
                _ => false,
            };
            self.referrals[referral].decided.push((rule.reason, too_small && !refused));
            if refused {
                continue;
            }
            let (bought, at_ms) = match event {
                Event::Purchase { id, amount, at_ms, .. } => (Some((id.clone(), *amount)), *at_ms),
                _ => (None, now_ms),
            };
            let amount = match (rule.share, &bought) {
                (Some(share), Some((_, bought))) => (bought * share + 5_000) / 10_000,
                _ => rule.amount,
            };
            if too_small || amount == 0 {
                continue;
            }
            let lot = Lot {
                line: 0,
                at_ms: now_ms,
                vests_ms: at_ms + rule.hold_days * DAY_MS,
                linear: rule.linear,
                expires_ms: rule.expires_days.map_or(i64::MAX, |days| at_ms + days * DAY_MS),
                granted: amount,
                left: 0,
                expired: 0,
                reversed: 0,
                purchase: bought.map(|(id, _)| (id, rule.share)),
            };
            self.accounts[account].grant(lot, rule.reason, now_ms);
            self.referrals[referral].paid.push(rule.reason);
            self.touched.insert(account);
        }
    }

    /// Why a code cannot be used now.
    pub fn unusable(&self, code: usize) -> Option<&'static str> {
        let code = &self.codes[code];
        match () {
            () if !self.program.enabled => Some("program_disabled"),
            () if code.revoked => Some("revoked_code"),
            () if code.max_uses == Some(code.uses) => Some("code_used_up"),
            () => None,
        }
    }

    /// `Err` with the abuse rule that stands against it.
    pub fn introduce(&mut self, code: usize, referee: usize) -> Result<(), &'static str> {
        let referrer = self.codes[code].owner;
        let domain = &self.accounts[referee].domain;
        let mut brought = self.referrals.iter().filter(|known| known.referrer == referrer && !known.rejected);
        let verdict = match () {
            () if *domain == self.accounts[referrer].domain => Err("same_domain"),
            () if brought.any(|known| self.accounts[known.referee].domain == *domain) => Err("domain_already_used"),
            () => Ok(()),
        };
        let place = self.referrals.len();
        self.referrals.push(Referral {
            referrer,
            referee,
            rejected: verdict.is_err(),
            at_ms: self.now_ms,
            first_call: false,
            active: false,
            converted_ms: None,
            paid: Vec::new(),
            decided: Vec::new(),
            bought_before: self.accounts[referee].purchases.len(),
        });
        self.accounts[referee].referral = Some(place);
        self.touched.extend([referrer, referee]);
        if verdict.is_ok() {
            self.codes[code].uses += 1;
            self.reward(place, &Event::Signup);
        }
        verdict
    }

    pub fn use_api(&mut self, id: &str, account: usize, calls: i64, spend: i64, full: bool) -> Used {
        let now_ms = self.now_ms;
        self.touched.insert(account);
        if let Some(&(known, charged, uncovered, _)) = self.events.get(id) {
            let available = self.accounts[known].available(now_ms);
            return Used { status: "duplicate", code: None, charged, uncovered, available };
        }
        let rejected =
            |code, available| Used { status: "rejected", code: Some(code), charged: 0, uncovered: spend, available };
        if self.accounts[account].erased {
            return rejected("unknown_developer", 0);
        }
        let user = &mut self.accounts[account];
        user.settle(now_ms);
        if full && user.available(now_ms) < spend {
            return rejected("insufficient_credits", user.available(now_ms));
        }
        let group = user.lines.len();
        let charged = user.take("spend", "api_usage", spend, None, (group, now_ms));
        let (before, after) = (user.calls, user.calls + calls);
        user.calls = after;
        self.events.insert(id.to_owned(), (account, charged, spend - charged, now_ms));
        let referral = self.accounts[account].referral.filter(|&place| calls > 0 && !self.referrals[place].rejected);
        if let Some(place) = referral {
            let thresholds = self.program.rules.iter().filter_map(|rule| match rule.on {
                On::Calls(calls) if calls > 1 => Some(calls),
                _ => None,
            });
            let active = after >= thresholds.min().unwrap_or(100);
            let progress = &mut self.referrals[place];
            if before == 0 && self.program.conversion == "first_call" {
                progress.converted_ms = progress.converted_ms.or(Some(now_ms));
            }
            progress.first_call |= before == 0;
            progress.active |= active;
            self.touched.insert(self.referrals[place].referrer);
            self.reward(place, &Event::Calls { before, after });
        }
        let available = self.accounts[account].available(now_ms);
        Used { status: "recorded", code: None, charged, uncovered: spend - charged, available }
    }

    pub fn purchase(&mut self, id: &str, account: usize, amount: i64, at_ms: i64) {
        self.purchases.insert(id.to_owned(), (account, amount));
        self.accounts[account].purchases.push(amount);
        if let Some(place) = self.accounts[account].referral.filter(|&place| !self.referrals[place].rejected) {
            let since = &self.accounts[account].purchases[self.referrals[place].bought_before..];
            let largest_before = since[..since.len() - 1].iter().max().copied();
            let converted = self.referrals[place].converted_ms.is_some();
            // Nothing is held from before there was a referral.
            let at_ms = at_ms.max(self.referrals[place].at_ms);
            // It pays by the program of its time.
            let current = self.program.clone();
            let then = self.programs.iter().rev().find(|(since_ms, _)| *since_ms <= at_ms);
            self.program = then.map_or_else(|| current.clone(), |(_, program)| program.clone());
            let event = Event::Purchase { id: id.to_owned(), amount, largest_before, converted, at_ms };
            if self.converts(&event) {
                let progress = &mut self.referrals[place];
                progress.converted_ms = progress.converted_ms.or(Some(self.now_ms));
                self.touched.insert(progress.referrer);
            }
            self.reward(place, &event);
            self.program = current;
        }
        self.take_back(id);
    }

    pub fn take_back(&mut self, purchase: &str) {
        let refunded: i64 = self.refunds.values().filter(|refund| refund.0 == purchase).map(|refund| refund.1).sum();
        let Some(&(_, gross)) = self.purchases.get(purchase).filter(|_| refunded > 0) else { return };
        let left = (gross - refunded).max(0);
        for (place, account) in self.accounts.iter_mut().enumerate() {
            for lot in 0..account.lots.len() {
                let share = match &account.lots[lot].purchase {
                    Some((id, share)) if id == purchase => *share,
                    _ => continue,
                };
                account.settle(self.now_ms);
                let state = &account.lots[lot];
                let kept = match share {
                    _ if left == 0 => 0,
                    None => state.granted,
                    Some(share) => ((left * share + 5_000) / 10_000).min(state.granted),
                };
                let due = (state.granted - kept).min(state.granted - state.expired) - state.reversed;
                if due > 0 {
                    account.reverse(lot, due, self.now_ms);
                }
                self.touched.insert(place);
            }
        }
    }

    pub fn sweep(&mut self) {
        let (now_ms, kept_ms) = (self.now_ms, self.now_ms - 90 * DAY_MS);
        self.accounts.iter_mut().for_each(|account| account.settle(now_ms));
        self.events.retain(|_, event| event.3 >= kept_ms);
    }
}
