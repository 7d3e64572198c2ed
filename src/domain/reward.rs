//! What an event earns: program + referral + event → decisions, each a grant or a refusal with its reason.

use super::money;
use super::program::{Conversion, Party, Program, Rule, Trigger, Vesting};
use super::time::DAY_MS;
use serde_json::{Value, json};

/// Something that happened to a referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Signup,
    /// The referee's calls went from `before` to `after`. `rules_changed`: the program is another one than when they
    /// were last looked at, so that a lower threshold may have been passed already.
    Calls {
        before: i64,
        after: i64,
        rules_changed: bool,
    },
    /// The referee bought something, and before that at most for `largest_before` at once. `converted`: the referral
    /// has had its conversion.
    Purchase {
        amount_minor: i64,
        largest_before: Option<i64>,
        converted: bool,
    },
    /// The referee subscribed, or paid at a checkout, whatever for and however much. `converted` as above.
    Subscription {
        converted: bool,
    },
    /// The `convert` call of the conversion API.
    Convert,
}

impl Event {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::Calls { .. } => "calls",
            Self::Purchase { .. } => "purchase",
            Self::Subscription { .. } => "subscription",
            Self::Convert => "convert",
        }
    }

    /// Whether this is what the rule waits for.
    pub fn fires(self, rule: &Rule, program: &Program) -> bool {
        match (rule.on, self) {
            (Trigger::Signup, Self::Signup) | (Trigger::Purchase, Self::Purchase { .. }) => true,
            (Trigger::FirstCall, Self::Calls { before, after, .. }) => before < 1 && after >= 1,
            (Trigger::Calls(calls), Self::Calls { before, after, rules_changed }) => {
                after >= calls && (before < calls || rules_changed)
            }
            (Trigger::FirstPurchase, Self::Purchase { largest_before, .. }) => {
                largest_before.is_none_or(|largest| largest < rule.min_purchase.unwrap_or(0))
            }
            (Trigger::Conversion, _) => self.converts(program),
            _ => false,
        }
    }

    /// Whether this is what the program counts as the referral's conversion.
    pub fn converts(self, program: &Program) -> bool {
        match (program.conversion, self) {
            (Conversion::FirstCall, Self::Calls { before, after, .. }) => before < 1 && after >= 1,
            (Conversion::Convert, Self::Convert) => true,
            (Conversion::FirstPurchase, Self::Purchase { amount_minor, converted, .. }) => {
                !converted && amount_minor >= program.least_purchase()
            }
            (Conversion::FirstPurchase, Self::Subscription { converted }) => !converted,
            _ => false,
        }
    }
}

/// What a decision came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    Refused,
    /// Signals hold the referral until an operator has looked at it; ...
    Held,
    /// ... who found nothing wrong with it, ...
    Cleared,
    /// ... took back what it had brought, ...
    Rejected,
    /// ... or gave that again.
    Reopened,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Cleared => "cleared",
            Self::Rejected => "rejected",
            Self::Reopened => "reopened",
        }
    }
}

/// What a rule gives: the lot that it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub amount: i64,
    pub vests_at_ms: i64,
    pub vesting: Vesting,
    pub expires_at_ms: Option<i64>,
}

/// One rule's answer to one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub rule: String,
    pub to: Party,
    pub event: &'static str,
    pub inputs: Value,
    pub code: &'static str,
    pub basis_points: Option<u32>,
    /// `None` is a refusal.
    pub grant: Option<Grant>,
}

/// What the decision depends on beside the program and the event.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Rules (by reason) that have paid for this referral. A `purchase` rule pays once per purchase instead.
    pub paid: &'a [String],
    /// Rules that have been decided on, for or against.
    pub decided: &'a [String],
    /// Those of them that have only ever found purchases too small: their first purchase is still to come.
    pub too_small: &'a [String],
    pub partner: bool,
    /// Why one of the two can be given nothing, as a stable code.
    pub referrer_barred: Option<&'static str>,
    pub referee_barred: Option<&'static str>,
}

/// Every rule that waits for this event, with its verdict, in the program's order.
pub fn decide(program: &Program, event: Event, standing: Standing<'_>, now_ms: i64) -> Vec<Decision> {
    // A threshold that was passed and decided on under an earlier version is nothing new.
    let is_old_news = |rule: &Rule| match (rule.on, event) {
        (Trigger::Calls(calls), Event::Calls { before, .. }) => {
            before >= calls && standing.decided.contains(&rule.reason)
        }
        _ => false,
    };
    let is_still_open = |rule: &Rule| {
        rule.on == Trigger::FirstPurchase
            && matches!(event, Event::Purchase { .. })
            && standing.too_small.contains(&rule.reason)
    };
    let fired = |rule: &&Rule| (event.fires(rule, program) && !is_old_news(rule)) || is_still_open(rule);
    program.rules.iter().filter(fired).map(|rule| judge(program, rule, event, standing, now_ms)).collect()
}

fn judge(program: &Program, rule: &Rule, event: Event, standing: Standing<'_>, now_ms: i64) -> Decision {
    let purchase_minor = match event {
        Event::Purchase { amount_minor, .. } => Some(amount_minor),
        _ => None,
    };
    let basis_points = rule.basis_points.map(|share| if standing.partner { share.partner } else { share.basic });
    let amount = match (rule.amount, basis_points, purchase_minor) {
        (Some(amount), _, _) => amount,
        (None, Some(share), Some(purchase)) => money::share_half_up(purchase, share),
        _ => 0,
    };
    let barred = match rule.to {
        Party::Referrer => standing.referrer_barred,
        Party::Referee => standing.referee_barred,
    };
    let refusal = if !program.enabled {
        Some("program_disabled")
    } else if barred.is_some() {
        barred
    } else if rule.on != Trigger::Purchase && standing.paid.contains(&rule.reason) {
        Some("already_paid")
    } else if purchase_minor.zip(rule.min_purchase).is_some_and(|(purchase, least)| purchase < least) {
        Some("below_min_purchase")
    } else if amount == 0 {
        Some("nothing_due")
    } else {
        None
    };
    let end = |days: u32| now_ms + i64::from(days) * DAY_MS;
    let grant = refusal.is_none().then(|| Grant {
        amount,
        vests_at_ms: end(rule.hold_days),
        vesting: rule.vesting,
        expires_at_ms: rule.expires_days.map(end),
    });
    Decision {
        rule: rule.reason.clone(),
        to: rule.to,
        event: event.as_str(),
        inputs: inputs(rule, event, amount, standing.partner),
        code: refusal.unwrap_or("granted"),
        basis_points,
        grant,
    }
}

fn inputs(rule: &Rule, event: Event, amount: i64, partner: bool) -> Value {
    let mut inputs = json!({ "on": String::from(rule.on), "amount": amount, "hold_days": rule.hold_days });
    match event {
        Event::Calls { before, after, rules_changed } => {
            inputs["rules_changed"] = rules_changed.into();
            inputs["calls_before"] = before.into();
            inputs["calls_after"] = after.into();
        }
        Event::Purchase { amount_minor, largest_before, converted } => {
            inputs["converted"] = converted.into();
            inputs["purchase"] = amount_minor.into();
            inputs["largest_before"] = largest_before.into();
            inputs["track"] = if partner { "partner" } else { "basic" }.into();
            inputs["min_purchase"] = rule.min_purchase.into();
        }
        Event::Subscription { converted } => inputs["converted"] = converted.into(),
        Event::Signup | Event::Convert => {}
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    const NEW: Standing<'static> = Standing {
        paid: &[],
        decided: &[],
        too_small: &[],
        partner: false,
        referrer_barred: None,
        referee_barred: None,
    };

    fn granted(program: &Program, event: Event, standing: Standing<'_>) -> Vec<(String, Party, i64)> {
        let decisions = decide(program, event, standing, 0).into_iter();
        decisions.filter_map(|d| d.grant.map(|grant| (d.rule, d.to, grant.amount))).collect()
    }

    type Row<'a> = (&'a Program, Event, Standing<'a>, &'a [(&'a str, Party, i64)]);

    #[test]
    fn the_seeds_tables() {
        let calls = |before, after| Event::Calls { before, after, rules_changed: false };
        let buys = |amount_minor, first: bool| Event::Purchase {
            amount_minor,
            largest_before: (!first).then_some(5_000),
            converted: !first,
        };
        let partner = Standing { partner: true, ..NEW };
        let (credits, commission) = (Preset::Credits.program(), Preset::Commission.program());
        let (bonus, subscription) = (Preset::Bonus.program(), Preset::Subscription.program());
        let table: &[Row<'_>] = &[
            (
                &credits,
                Event::Signup,
                NEW,
                &[("signup_bonus", Party::Referee, 1000), ("referral_signup", Party::Referrer, 500)],
            ),
            (&credits, calls(0, 1), NEW, &[("referral_first_call", Party::Referrer, 500)]),
            (&credits, calls(1, 99), NEW, &[]),
            (&credits, calls(99, 100), NEW, &[("referral_active", Party::Referrer, 1000)]),
            (&credits, calls(100, 101), NEW, &[]),
            (
                &credits,
                calls(0, 100),
                NEW,
                &[("referral_first_call", Party::Referrer, 500), ("referral_active", Party::Referrer, 1000)],
            ),
            (&credits, calls(0, 0), NEW, &[]),
            (&credits, buys(5000, true), NEW, &[]),
            (&commission, Event::Signup, NEW, &[("signup_bonus", Party::Referee, 250)]),
            (&commission, buys(5000, true), NEW, &[("commission", Party::Referrer, 250)]),
            (&commission, buys(5000, false), partner, &[("commission", Party::Referrer, 500)]),
            (&commission, buys(99, true), NEW, &[]),
            (&commission, buys(100, true), NEW, &[("commission", Party::Referrer, 5)]),
            (&bonus, Event::Signup, NEW, &[]),
            (&bonus, Event::Convert, NEW, &[("referral_conversion", Party::Referrer, 5)]),
            (
                &subscription,
                buys(1, true),
                NEW,
                &[("referral_credit", Party::Referrer, 1000), ("referee_credit", Party::Referee, 500)],
            ),
            (&subscription, buys(1, false), NEW, &[]),
            (
                &subscription,
                Event::Subscription { converted: false },
                NEW,
                &[("referral_credit", Party::Referrer, 1000), ("referee_credit", Party::Referee, 500)],
            ),
            (&subscription, Event::Subscription { converted: true }, NEW, &[]),
            (&commission, Event::Subscription { converted: false }, NEW, &[]),
            (&credits, Event::Subscription { converted: false }, NEW, &[]),
            (&bonus, Event::Subscription { converted: false }, NEW, &[]),
        ];
        for (program, event, standing, expected) in table {
            let expected: Vec<_> = expected.iter().map(|&(rule, to, amount)| (rule.to_owned(), to, amount)).collect();
            assert_eq!(granted(program, *event, *standing), expected, "{event:?}");
        }
    }

    #[test]
    fn each_refusal_has_its_code() {
        let paid = ["referral_first_call".to_owned()];
        let off = Program { enabled: false, ..Preset::Credits.program() };
        let mut free = Preset::Credits.program();
        free.rules[2].amount = Some(0);
        for (program, event, standing, code) in [
            (
                Preset::Credits.program(),
                Event::Calls { before: 0, after: 1, rules_changed: false },
                Standing { referrer_barred: Some("account_erased"), ..NEW },
                "account_erased",
            ),
            (off, Event::Calls { before: 0, after: 1, rules_changed: false }, NEW, "program_disabled"),
            (
                Preset::Credits.program(),
                Event::Calls { before: 0, after: 1, rules_changed: false },
                Standing { paid: &paid, ..NEW },
                "already_paid",
            ),
            (free, Event::Calls { before: 0, after: 1, rules_changed: false }, NEW, "nothing_due"),
            (
                Preset::Commission.program(),
                Event::Purchase { amount_minor: 99, largest_before: None, converted: false },
                NEW,
                "below_min_purchase",
            ),
            (
                Preset::Commission.program(),
                Event::Purchase { amount_minor: 0, largest_before: None, converted: false },
                NEW,
                "below_min_purchase",
            ),
        ] {
            let [decision] = decide(&program, event, standing, 0).try_into().unwrap();
            assert_eq!((decision.code, decision.grant), (code, None));
        }
    }

    #[test]
    fn a_lowered_threshold_pays_at_the_next_call_and_once() {
        let mut program = Preset::Credits.program();
        program.rules[3].on = Trigger::Calls(50);
        let call = |rules_changed| Event::Calls { before: 60, after: 61, rules_changed };
        assert_eq!(granted(&program, call(true), NEW).len(), 1);
        assert_eq!(granted(&program, call(false), NEW).len(), 0);
        let decided = ["referral_active".to_owned()];
        assert!(decide(&program, call(true), Standing { decided: &decided, ..NEW }, 0).is_empty());
    }

    #[test]
    fn a_lowered_minimum_opens_what_only_small_purchases_had_met() {
        let mut program = Preset::Subscription.program();
        program.rules[0].on = Trigger::FirstPurchase;
        program.rules[0].min_purchase = Some(100);
        program.rules[1].min_purchase = None;
        let event = Event::Purchase { amount_minor: 5_000, largest_before: Some(500), converted: false };
        let too_small = ["referral_credit".to_owned()];
        let paid = |standing| granted(&program, event, standing).into_iter().map(|(rule, ..)| rule).collect::<Vec<_>>();
        assert_eq!(
            paid(Standing { decided: &too_small, too_small: &too_small, ..NEW }),
            ["referral_credit", "referee_credit"]
        );
        assert_eq!(paid(Standing { decided: &too_small, ..NEW }), ["referee_credit"]);
    }

    #[test]
    fn each_rule_has_its_own_first_purchase() {
        let mut program = Preset::Commission.program();
        let first = |reason: &str, min_purchase| Rule {
            reason: reason.into(),
            on: Trigger::FirstPurchase,
            amount: Some(7),
            basis_points: None,
            min_purchase,
            ..program.rules[1].clone()
        };
        program.rules = vec![first("any", None), first("large", Some(1_000))];
        let buys = |amount_minor, largest_before| {
            let granted = granted(&program, Event::Purchase { amount_minor, largest_before, converted: false }, NEW);
            granted.into_iter().map(|(rule, ..)| rule).collect::<Vec<_>>()
        };
        assert_eq!(buys(500, None), ["any"]);
        assert_eq!(buys(5_000, Some(500)), ["large"]);
        assert!(buys(5_000, Some(5_000)).is_empty());
    }

    #[test]
    fn a_commission_is_paid_for_every_purchase() {
        let paid = ["commission".to_owned()];
        let standing = Standing { paid: &paid, ..NEW };
        assert_eq!(
            granted(
                &Preset::Commission.program(),
                Event::Purchase { amount_minor: 200, largest_before: Some(200), converted: true },
                standing
            )
            .len(),
            1
        );
    }

    #[test]
    fn holds_and_expiry_run_from_the_event() {
        let mut program = Preset::Credits.program();
        program.rules[2].expires_days = Some(30);
        let [decision] = decide(&program, Event::Calls { before: 0, after: 1, rules_changed: false }, NEW, 1_000)
            .try_into()
            .unwrap();
        let grant = decision.grant.unwrap();
        assert_eq!((grant.vests_at_ms, grant.expires_at_ms), (1_000 + 7 * DAY_MS, Some(1_000 + 30 * DAY_MS)));
    }
}
