//! What a program would have paid for what has happened: the events of each referral, decided again from the first.
//!
//! Grants are counted as they were decided, before refunds.

use super::program::{Party, Program, Trigger};
use super::reward::{Event, Standing, decide};
use super::time::DAY_MS;

/// What has happened to one referral that still earns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// When the code was used: the signup's rules were decided then.
    pub applied_at_ms: i64,
    pub referrer: PastReferrer,
    /// Came with a throw-away mailbox, which earns nothing.
    pub referee_disposable: bool,
    pub calls: i64,
    /// `None` while all calls, if any, are older than the referral.
    pub first_call_at_ms: Option<i64>,
    /// What decisions have noted of how the calls grew.
    pub calls_seen: Vec<CallsSeen>,
    /// Those since the referral, in the order in which they were told.
    pub purchases: Vec<PastPurchase>,
    /// When the conversion API's `convert` was called.
    pub convert_called_at_ms: Option<i64>,
    /// When Stripe first told of a checkout or a subscription.
    pub subscribed_at_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastReferrer {
    pub disposable: bool,
    /// From then on they earn nothing more.
    pub erased_at_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPurchase {
    pub amount_minor: i64,
    /// Lower case.
    pub currency: String,
    /// How long before the code was applied it was made; 0 for one made since.
    pub before_referral_ms: i64,
    pub told_at_ms: i64,
    /// Whether the referrer was a partner when it was made.
    pub by_partner: bool,
}

/// An event that took the calls from one number to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallsSeen {
    pub at_ms: i64,
    pub before: i64,
    pub after: i64,
}

/// When something happened, as far as it is known: not before the one, and not after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl When {
    fn at(at_ms: i64) -> Self {
        Self { from_ms: at_ms, to_ms: at_ms }
    }
}

impl History {
    /// When the calls reached a number. Exact where a rule was decided on at that very call; else between two others.
    fn reached(&self, calls: i64) -> When {
        if calls <= 1
            && let Some(at_ms) = self.first_call_at_ms
        {
            return When::at(at_ms);
        }
        let mut when = When { from_ms: self.first_call_at_ms.unwrap_or(self.applied_at_ms), to_ms: i64::MAX };
        for seen in &self.calls_seen {
            if (seen.before + 1..=seen.after).contains(&calls) {
                return When::at(seen.at_ms);
            }
            if seen.after < calls {
                when.from_ms = when.from_ms.max(seen.at_ms);
            } else {
                when.to_ms = when.to_ms.min(seen.at_ms);
            }
        }
        when
    }
}

/// How often and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub grants: i64,
    pub amount: i64,
}

impl Sum {
    fn add(&mut self, amount: i64) {
        self.grants += 1;
        self.amount = self.amount.saturating_add(amount);
    }

    fn and(self, other: Self) -> Self {
        Self { grants: self.grants + other.grants, amount: self.amount.saturating_add(other.amount) }
    }

    /// What it would take to get from this one to the other.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { grants: other.grants - self.grants, amount: other.amount.saturating_sub(self.amount) }
    }
}

/// One rule under both programs; all zeros under one that has no such rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSums {
    pub rule: String,
    pub to: Party,
    pub current: Sum,
    pub proposed: Sum,
}

/// Two programs over the same past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    pub referrals: i64,
    /// The current program's rules in its order, then those that only the proposed one has.
    pub rules: Vec<RuleSums>,
    pub current: Sum,
    pub proposed: Sum,
    /// Events before this do not count.
    since_ms: Option<i64>,
    /// What may have happened before or after that, as nothing says when: in neither of the sums.
    pub current_unsure: Sum,
    pub proposed_unsure: Sum,
}

impl Comparison {
    /// Of what has happened since a time only.
    #[must_use]
    pub fn since(self, since_ms: Option<i64>) -> Self {
        Self { since_ms, ..self }
    }

    /// What one of the two parties gets in all, currently and as proposed.
    pub fn of_party(&self, party: Party) -> (Sum, Sum) {
        let rules = self.rules.iter().filter(|rule| rule.to == party);
        rules.fold((Sum::default(), Sum::default()), |(current, proposed), rule| {
            (current.and(rule.current), proposed.and(rule.proposed))
        })
    }

    /// Of no referral yet.
    pub fn new(current: &Program, proposed: &Program) -> Self {
        let mut rules: Vec<RuleSums> = Vec::new();
        for rule in current.rules.iter().chain(&proposed.rules) {
            if !rules.iter().any(|known| known.rule == rule.reason && known.to == rule.to) {
                let (current, proposed) = (Sum::default(), Sum::default());
                rules.push(RuleSums { rule: rule.reason.clone(), to: rule.to, current, proposed });
            }
        }
        Self { rules, ..Self::default() }
    }

    /// Adds one referral's past under both.
    pub fn add(&mut self, current: &Program, proposed: &Program, history: &History) {
        self.referrals += 1;
        for (program, is_proposed) in [(current, false), (proposed, true)] {
            for Paid { rule, to, amount, when } in paid(program, history) {
                let since_ms = self.since_ms.unwrap_or(i64::MIN);
                if when.to_ms < since_ms {
                    continue;
                }
                if when.from_ms < since_ms {
                    if is_proposed { &mut self.proposed_unsure } else { &mut self.current_unsure }.add(amount);
                    continue;
                }
                let total = if is_proposed { &mut self.proposed } else { &mut self.current };
                total.add(amount);
                if let Some(known) = self.rules.iter_mut().find(|known| known.rule == rule && known.to == to) {
                    if is_proposed { &mut known.proposed } else { &mut known.current }.add(amount);
                }
            }
        }
    }
}

/// What has become of the rules so far.
#[derive(Default)]
struct Progress {
    paid: Vec<String>,
    decided: Vec<String>,
    too_small: Vec<String>,
    /// Of the purchase at hand; nothing else pays a share.
    by_partner: bool,
    grants: Vec<Paid>,
}

/// One grant.
struct Paid {
    rule: String,
    to: Party,
    amount: i64,
    when: When,
}

/// Every grant that a program gives for a past.
fn paid(program: &Program, history: &History) -> Vec<Paid> {
    let mut progress = Progress::default();
    progress.meet(program, history, Event::Signup, history.applied_at_ms);
    // In which steps the calls came makes no difference: each threshold is passed once.
    let before = if history.first_call_at_ms.is_none() { history.calls.min(1) } else { 0 };
    let calls = Event::Calls { before, after: history.calls, rules_changed: false };
    progress.meet(program, history, calls, history.first_call_at_ms.unwrap_or(i64::MIN));
    if let Some(at_ms) = history.convert_called_at_ms {
        progress.meet(program, history, Event::Convert, at_ms);
    }
    let (mut largest_before, mut converted) = (None, false);
    if let Some(at_ms) = history.subscribed_at_ms {
        // Whether it came before the first purchase makes no difference: a conversion pays once.
        let event = Event::Subscription { converted };
        converted |= event.converts(program);
        progress.meet(program, history, event, at_ms);
    }
    for purchase in &history.purchases {
        let is_refused = program.unit != "credits" && program.unit != purchase.currency;
        let is_old = purchase.before_referral_ms > i64::from(program.abuse.apply_within_days) * DAY_MS;
        if is_refused || is_old {
            continue;
        }
        let amount_minor = purchase.amount_minor;
        progress.by_partner = purchase.by_partner;
        let event = Event::Purchase { amount_minor, largest_before, converted };
        converted |= event.converts(program);
        progress.meet(program, history, event, purchase.told_at_ms);
        largest_before = largest_before.max(Some(amount_minor));
    }
    progress.grants
}

impl Progress {
    fn meet(&mut self, program: &Program, history: &History, event: Event, at_ms: i64) {
        let is_erased = history.referrer.erased_at_ms.is_some_and(|erased_at_ms| at_ms >= erased_at_ms);
        let barred = |disposable: bool| disposable.then_some("disposable_email");
        let standing = Standing {
            paid: &self.paid,
            decided: &self.decided,
            too_small: &self.too_small,
            partner: self.by_partner,
            referrer_barred: if is_erased { Some("account_erased") } else { barred(history.referrer.disposable) },
            referee_barred: barred(history.referee_disposable),
        };
        for decision in decide(program, event, standing, 0) {
            let is_too_small = decision.code == "below_min_purchase";
            if !is_too_small {
                self.too_small.retain(|rule| *rule != decision.rule);
            } else if !self.decided.contains(&decision.rule) {
                self.too_small.push(decision.rule.clone());
            }
            if let Some(grant) = decision.grant {
                self.paid.push(decision.rule.clone());
                let (rule, to, amount) = (decision.rule.clone(), decision.to, grant.amount);
                self.grants.push(Paid { when: when(program, history, event, at_ms, &rule), rule, to, amount });
            }
            self.decided.push(decision.rule);
        }
    }
}

/// When a rule's event happened.
fn when(program: &Program, history: &History, event: Event, at_ms: i64, rule: &str) -> When {
    if !matches!(event, Event::Calls { .. }) {
        return When::at(at_ms);
    }
    let calls = program.rules.iter().find(|known| known.reason == rule).map(|known| match known.on {
        Trigger::Calls(calls) => calls,
        _ => 1,
    });
    history.reached(calls.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::{Conversion, Preset};

    fn amounts(program: &Program, history: &History) -> Vec<i64> {
        paid(program, history).into_iter().map(|paid| paid.amount).collect()
    }

    #[test]
    fn only_what_has_happened_since_counts_and_what_nobody_knows_is_said() {
        let current = Preset::Credits.program();
        let mut proposed = current.clone();
        proposed.rules[3].on = Trigger::Calls(50);
        let history = History {
            applied_at_ms: 10,
            first_call_at_ms: Some(20),
            calls: 120,
            calls_seen: vec![CallsSeen { at_ms: 40, before: 60, after: 110 }],
            ..History::default()
        };
        let sums = |since_ms| {
            let mut comparison = Comparison::new(&current, &proposed).since(since_ms);
            comparison.add(&current, &proposed, &history);
            [comparison.current, comparison.proposed, comparison.current_unsure, comparison.proposed_unsure]
                .map(|sum| sum.amount)
        };
        assert_eq!(sums(None), [3_000, 3_000, 0, 0]);
        assert_eq!(sums(Some(10)), [3_000, 3_000, 0, 0]);
        assert_eq!(sums(Some(11)), [1_500, 1_500, 0, 0]);
        assert_eq!(sums(Some(21)), [1_000, 0, 0, 1_000], "the 50th call came between 20 and 40");
        assert_eq!(sums(Some(41)), [0, 0, 0, 0]);
        let mut comparison = Comparison::new(&current, &proposed);
        comparison.add(&current, &proposed, &history);
        let amount = |party| comparison.of_party(party).0.amount;
        assert_eq!((amount(Party::Referee), amount(Party::Referrer)), (1_000, 2_000));
    }

    fn bought(amounts: &[i64]) -> Vec<PastPurchase> {
        let purchase = |(place, amount): (usize, &i64)| PastPurchase {
            amount_minor: *amount,
            currency: "usd".into(),
            before_referral_ms: 0,
            told_at_ms: i64::try_from(place).unwrap(),
            by_partner: false,
        };
        amounts.iter().enumerate().map(purchase).collect()
    }

    #[test]
    fn what_was_bought_long_before_the_referral_pays_nothing() {
        let mut history = History { purchases: bought(&[5_000, 5_000]), ..History::default() };
        let program = Preset::Commission.program();
        history.purchases[0].before_referral_ms = 7 * DAY_MS;
        assert_eq!(amounts(&program, &history), [250, 250, 250]);
        history.purchases[0].before_referral_ms += 1;
        assert_eq!(amounts(&program, &history), [250, 250]);
    }

    #[test]
    fn each_preset_pays_for_a_past_what_it_pays_at_the_time() {
        let (credits, commission) = (Preset::Credits.program(), Preset::Commission.program());
        let (bonus, subscription) = (Preset::Bonus.program(), Preset::Subscription.program());
        let called = |calls| History { calls, first_call_at_ms: Some(1), ..History::default() };
        assert_eq!(amounts(&credits, &History::default()), [1_000, 500]);
        assert_eq!(amounts(&credits, &called(99)), [1_000, 500, 500]);
        assert_eq!(amounts(&credits, &called(100)), [1_000, 500, 500, 1_000]);
        let shopper = History { purchases: bought(&[99, 5_000, 100]), ..History::default() };
        assert_eq!(amounts(&commission, &shopper), [250, 250, 5]);
        let mut late_partner = shopper.clone();
        late_partner.purchases[2].by_partner = true;
        assert_eq!(amounts(&commission, &late_partner), [250, 250, 10], "each by the track of its time");
        assert_eq!(amounts(&subscription, &shopper), [1_000, 500], "at the first purchase, and once");
        let subscriber = History { subscribed_at_ms: Some(1), ..History::default() };
        assert_eq!(amounts(&subscription, &subscriber), [1_000, 500], "without a purchase");
        let both = History { subscribed_at_ms: Some(1), ..shopper.clone() };
        assert_eq!(amounts(&subscription, &both), [1_000, 500], "and once with both");
        assert_eq!(amounts(&commission, &both), amounts(&commission, &shopper));
        assert!(amounts(&bonus, &shopper).is_empty());
        assert_eq!(amounts(&bonus, &History { convert_called_at_ms: Some(1), ..shopper }), [5]);
    }

    #[test]
    fn who_cannot_be_paid_is_not() {
        let credits = Preset::Credits.program();
        let called = History { calls: 100, first_call_at_ms: Some(5), ..History::default() };
        let disposable = PastReferrer { disposable: true, ..PastReferrer::default() };
        let erased = PastReferrer { erased_at_ms: Some(5), ..PastReferrer::default() };
        assert_eq!(amounts(&credits, &History { referrer: disposable, ..called.clone() }), [1_000]);
        assert_eq!(amounts(&credits, &History { referee_disposable: true, ..called.clone() }), [500, 500, 1_000]);
        assert_eq!(
            amounts(&credits, &History { referrer: erased, ..called.clone() }),
            [1_000, 500],
            "what came before is theirs"
        );
        assert_eq!(
            amounts(&credits, &History { first_call_at_ms: None, calls: 50, ..called }),
            [1_000, 500],
            "the first call was before the referral"
        );
        let off = Program { enabled: false, ..credits };
        assert!(amounts(&off, &History::default()).is_empty());
    }

    #[test]
    fn a_first_purchase_waits_until_one_is_large_enough() {
        let mut program = Preset::Subscription.program();
        program.rules[0].on = Trigger::FirstPurchase;
        program.rules[0].min_purchase = Some(1_000);
        program.conversion = Conversion::FirstCall;
        let shopper = History { purchases: bought(&[500, 1_000, 2_000]), ..History::default() };
        assert_eq!(amounts(&program, &shopper), [1_000]);
    }

    #[test]
    fn purchases_in_another_currency_do_not_count() {
        let euros = Program { unit: "eur".into(), ..Preset::Commission.program() };
        assert_eq!(amounts(&euros, &History { purchases: bought(&[5_000]), ..History::default() }), [250]);
    }

    #[test]
    fn rules_are_compared_by_name_and_receiver() {
        let current = Preset::Credits.program();
        let mut proposed = current.clone();
        proposed.rules[1].amount = Some(700);
        proposed.rules[2].to = Party::Referee;
        proposed.rules.remove(3);
        let mut comparison = Comparison::new(&current, &proposed);
        for calls in [0, 1, 100] {
            let first_call_at_ms = (calls > 0).then_some(1);
            comparison.add(&current, &proposed, &History { calls, first_call_at_ms, ..History::default() });
        }
        let lines: Vec<_> = comparison.rules.iter().map(|line| (line.rule.as_str(), line.to)).collect();
        let (referrer, referee) = (Party::Referrer, Party::Referee);
        assert_eq!(
            lines,
            [
                ("signup_bonus", referee),
                ("referral_signup", referrer),
                ("referral_first_call", referrer),
                ("referral_active", referrer),
                ("referral_first_call", referee),
            ]
        );
        let sums = |place: usize| {
            let RuleSums { current, proposed, .. } = comparison.rules[place];
            [current.grants, current.amount, proposed.grants, proposed.amount]
        };
        assert_eq!(sums(0), [3, 3_000, 3, 3_000]);
        assert_eq!(sums(1), [3, 1_500, 3, 2_100]);
        assert_eq!(sums(2), [2, 1_000, 0, 0]);
        assert_eq!(sums(3), [1, 1_000, 0, 0]);
        assert_eq!(sums(4), [0, 0, 2, 1_000]);
        assert_eq!((comparison.referrals, comparison.current.amount), (3, 6_500));
        assert_eq!(comparison.current.to(comparison.proposed), Sum { grants: -1, amount: -400 });
    }
}
