//! What an event earns: program + referral + event → decisions, each a grant or a refusal with its reason.

use super::money;
use super::program::{Conversion, Party, Program, Rule, Trigger, Vesting};
use super::time::DAY_MS;
use serde_json::{Value, json};

/// Something that happened to a referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Signup,
    /// The referee's calls went from `before` to `after`.
    Calls {
        before: i64,
        after: i64,
    },
    /// The referee bought something; `first` if never before.
    Purchase {
        amount_minor: i64,
        first: bool,
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
            Self::Convert => "convert",
        }
    }

    /// Whether this is what a rule with the trigger waits for.
    pub fn fires(self, trigger: Trigger, conversion: Conversion) -> bool {
        match (trigger, self) {
            (Trigger::Signup, Self::Signup) | (Trigger::Purchase, Self::Purchase { .. }) => true,
            (Trigger::FirstCall, Self::Calls { before, after }) => before < 1 && after >= 1,
            (Trigger::Calls(calls), Self::Calls { before, after }) => before < calls && after >= calls,
            (Trigger::FirstPurchase, Self::Purchase { first, .. }) => first,
            (Trigger::Conversion, _) => match conversion {
                Conversion::FirstCall => self.fires(Trigger::FirstCall, conversion),
                Conversion::FirstPurchase => self.fires(Trigger::FirstPurchase, conversion),
                Conversion::Convert => self == Self::Convert,
            },
            _ => false,
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
    pub partner: bool,
    /// Why one of the two can be given nothing, as a stable code.
    pub referrer_barred: Option<&'static str>,
    pub referee_barred: Option<&'static str>,
}

/// Every rule that waits for this event, with its verdict, in the program's order.
pub fn decide(program: &Program, event: Event, standing: Standing<'_>, now_ms: i64) -> Vec<Decision> {
    let fired = |rule: &&Rule| event.fires(rule.on, program.conversion);
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
        Event::Calls { before, after } => {
            inputs["calls_before"] = before.into();
            inputs["calls_after"] = after.into();
        }
        Event::Purchase { amount_minor, first } => {
            inputs["purchase"] = amount_minor.into();
            inputs["first"] = first.into();
            inputs["track"] = if partner { "partner" } else { "basic" }.into();
            inputs["min_purchase"] = rule.min_purchase.into();
        }
        Event::Signup | Event::Convert => {}
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    const NEW: Standing<'static> = Standing { paid: &[], partner: false, referrer_barred: None, referee_barred: None };

    fn granted(program: &Program, event: Event, standing: Standing<'_>) -> Vec<(String, Party, i64)> {
        let decisions = decide(program, event, standing, 0).into_iter();
        decisions.filter_map(|d| d.grant.map(|grant| (d.rule, d.to, grant.amount))).collect()
    }

    type Row<'a> = (&'a Program, Event, Standing<'a>, &'a [(&'a str, Party, i64)]);

    #[test]
    fn the_seeds_tables() {
        let calls = |before, after| Event::Calls { before, after };
        let buys = |amount_minor, first| Event::Purchase { amount_minor, first };
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
                Event::Calls { before: 0, after: 1 },
                Standing { referrer_barred: Some("account_erased"), ..NEW },
                "account_erased",
            ),
            (off, Event::Calls { before: 0, after: 1 }, NEW, "program_disabled"),
            (
                Preset::Credits.program(),
                Event::Calls { before: 0, after: 1 },
                Standing { paid: &paid, ..NEW },
                "already_paid",
            ),
            (free, Event::Calls { before: 0, after: 1 }, NEW, "nothing_due"),
            (
                Preset::Commission.program(),
                Event::Purchase { amount_minor: 99, first: true },
                NEW,
                "below_min_purchase",
            ),
            (Preset::Commission.program(), Event::Purchase { amount_minor: 0, first: true }, NEW, "below_min_purchase"),
        ] {
            let [decision] = decide(&program, event, standing, 0).try_into().unwrap();
            assert_eq!((decision.code, decision.grant), (code, None));
        }
    }

    #[test]
    fn a_commission_is_paid_for_every_purchase() {
        let paid = ["commission".to_owned()];
        let standing = Standing { paid: &paid, ..NEW };
        assert_eq!(
            granted(&Preset::Commission.program(), Event::Purchase { amount_minor: 200, first: false }, standing).len(),
            1
        );
    }

    #[test]
    fn holds_and_expiry_run_from_the_event() {
        let mut program = Preset::Credits.program();
        program.rules[2].expires_days = Some(30);
        let [decision] = decide(&program, Event::Calls { before: 0, after: 1 }, NEW, 1_000).try_into().unwrap();
        let grant = decision.grant.unwrap();
        assert_eq!((grant.vests_at_ms, grant.expires_at_ms), (1_000 + 7 * DAY_MS, Some(1_000 + 30 * DAY_MS)));
    }
}
