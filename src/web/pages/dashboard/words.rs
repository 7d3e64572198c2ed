//! What the dashboard calls things.

pub use crate::web::day::{Day, Moment};

use crate::domain::program::{Conversion, Party, Program, Rule, Trigger, Vesting};
use crate::domain::referral::Status;
use crate::engine::Refusal;

/// Words in a coloured pill; the words alone say everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge {
    pub text: &'static str,
    pub tone: &'static str,
}

pub const NOT_SIGNED_UP: Badge = Badge { text: "Not Signed Up", tone: "muted" };

pub fn status_badge(status: Status, program: &Program) -> Badge {
    let (text, tone) = match status {
        Status::SignedUp => ("Signed Up", "info"),
        Status::FirstCall => ("First Call", "good"),
        Status::Active => ("Active", "good"),
        Status::Converted if program.conversion == Conversion::FirstPurchase => ("Made a Spend", "good"),
        Status::Converted => ("Converted", "good"),
        Status::Review => ("Under Review", "warn"),
        Status::Rejected => ("Not Counted", "bad"),
    };
    Badge { text, tone }
}

/// The tone of a ledger line's status.
pub fn line_tone(status: &str) -> &'static str {
    match status {
        "ELIGIBLE" | "PAID" | "RETURNED" => "good",
        "PENDING" | "RESERVED" => "warn",
        "REVERSED" => "bad",
        _ => "muted",
    }
}

/// Why a referral is not counted, or is looked at.
pub fn standing_text(status: Status, reason: Option<&str>) -> Option<&'static str> {
    match (status, reason?) {
        (Status::Review, _) => {
            Some("Something about this signup is being looked at. What it brought you is held until then.")
        }
        (_, "self_referral") => Some("This is your own mailbox: nobody can refer themselves."),
        (_, "same_domain") => Some("Their e-mail address is at your own domain."),
        (_, "disposable_email") => Some("They signed up with a disposable e-mail address."),
        (_, "already_referred") => Some("This mailbox had already come in through a referral code."),
        (_, "domain_already_used") => Some("You had already referred someone at their e-mail domain."),
        (_, "rejected_after_review") => Some("We have looked at this referral, and do not count it."),
        (_, "mutual_referral") => Some("They had referred you, and two people cannot refer each other."),
        _ => Some("The referral does not meet the rules of the program."),
    }
}

/// Why a reward was not given.
fn refusal_text(code: &str) -> &'static str {
    match code {
        "program_disabled" => "the program was switched off at that time",
        "account_erased" => "the account no longer exists",
        "disposable_email" => "disposable e-mail addresses bring and get no credits",
        "already_paid" => "it is paid once for each referral, and was paid before",
        "below_min_purchase" => "the purchase was smaller than the least that counts",
        "nothing_due" => "the share of it rounds to nothing",
        _ => "the rules of the program stood against it",
    }
}

/// A refused reward as a sentence; `None` for one that is not the referrer's to know of: the referee's own.
pub fn refusal_sentence(refusal: &Refusal, program: &Program) -> Option<String> {
    if refusal.rule == "abuse" {
        // The referral itself: its badge and its reason have said so.
        return None;
    }
    let rule = program.rules.iter().find(|rule| rule.reason == refusal.rule);
    if rule.is_some_and(|rule| rule.to == Party::Referee) {
        return None;
    }
    Some(format!("{}: {}.", reason_text(&refusal.rule), refusal_text(&refusal.code)))
}

/// A ledger line's reason.
pub fn reason_text(reason: &str) -> String {
    let known = match reason {
        "signup_bonus" => "Signup bonus",
        "referral_signup" => "Referral signed up",
        "referral_first_call" => "Referral’s first API call",
        "referral_active" => "Referral became active",
        "referral_conversion" => "Referral converted",
        "referral_credit" => "Referral subscribed",
        "commission" => "Commission",
        "api_usage" => "API usage",
        "expired" => "Expired",
        "refund" => "Refund",
        "abuse" => "Taken back: abuse",
        "reopened" => "Given back after a second look",
        "debt_repayment" => "Repayment of what was owed",
        "payout" => "Payout",
        "adjustment" => "Adjusted by the team",
        // A program may name its rules as it likes.
        other => {
            let words = other.replace(['_', '-'], " ");
            let mut letters = words.chars();
            return letters.next().map_or(words.clone(), |first| first.to_uppercase().chain(letters).collect());
        }
    };
    known.to_owned()
}

/// A figure with a minus sign that is as wide as a plus.
pub fn minus(figure: &str) -> String {
    figure.replacen('-', "−", 1)
}

/// Basis points as percent, as short as it can be written: `5%`, `7.25%`.
pub fn share_text(basis_points: u32) -> String {
    let (whole, part) = (basis_points / 100, basis_points % 100);
    match part {
        0 => format!("{whole}%"),
        part if part % 10 == 0 => format!("{whole}.{}%", part / 10),
        part => format!("{whole}.{part:02}%"),
    }
}

pub fn days_text(days: u32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

/// What a rule gives, for what, and on which terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earning {
    pub amount: String,
    pub what: String,
    pub terms: String,
}

impl Earning {
    pub fn of(rule: &Rule, program: &Program, partner: bool) -> Self {
        let amount = match (rule.amount, rule.basis_points) {
            (Some(amount), _) => program.amount_text(amount),
            (None, Some(share)) => share_text(if partner { share.partner } else { share.basic }),
            (None, None) => String::new(),
        };
        let (on, share) = (rule.on, rule.amount.is_none());
        let what = match on {
            Trigger::Signup => "when someone signs up with your code".to_owned(),
            Trigger::FirstCall => "at their first API call".to_owned(),
            Trigger::Calls(calls) => format!("once they have made {} API calls", crate::domain::money::grouped(calls)),
            Trigger::Purchase if share => "of every purchase they make".to_owned(),
            Trigger::Purchase => "for every purchase they make".to_owned(),
            Trigger::FirstPurchase if share => "of their first purchase".to_owned(),
            Trigger::FirstPurchase => "for their first purchase".to_owned(),
            Trigger::Conversion => match program.conversion {
                Conversion::FirstCall => "at their first API call".to_owned(),
                Conversion::Convert => "when they convert".to_owned(),
                Conversion::FirstPurchase => "at their first purchase or subscription".to_owned(),
            },
        };
        Self { amount, what, terms: terms(rule, program) }
    }
}

fn terms(rule: &Rule, program: &Program) -> String {
    let mut terms = Vec::new();
    if let Some(least) = rule.min_purchase.filter(|least| *least > 0) {
        terms.push(format!("purchases from {}", program.amount_text(least)));
    }
    match (rule.hold_days, rule.vesting) {
        (0, _) => {}
        (days, Vesting::Cliff) => terms.push(format!("yours after {}", days_text(days))),
        (days, Vesting::Linear) => terms.push(format!("yours day by day over {}", days_text(days))),
    }
    if let Some(days) = rule.expires_days {
        terms.push(format!("expires after {}", days_text(days)));
    }
    terms.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;
    use crate::web::day::day_and_month;

    #[test]
    fn every_preset_says_what_it_pays() {
        let said = |preset: Preset, partner| {
            let program = preset.program();
            let rules = program.rules.iter().filter(|rule| rule.to == Party::Referrer);
            let lines = rules.map(|rule| Earning::of(rule, &program, partner));
            lines.map(|line| format!("{} {} | {}", line.amount, line.what, line.terms)).collect::<Vec<_>>()
        };
        assert_eq!(
            said(Preset::Credits, false),
            [
                "500 credits when someone signs up with your code | ",
                "500 credits at their first API call | yours after 7 days",
                "1,000 credits once they have made 100 API calls | yours after 7 days"
            ]
        );
        let terms = "of every purchase they make | purchases from 1.00 USD · yours after 30 days";
        assert_eq!(said(Preset::Commission, false), [format!("5% {terms}")]);
        assert_eq!(said(Preset::Commission, true), [format!("10% {terms}")]);
        assert_eq!(said(Preset::Bonus, false), ["5 credits when they convert | "]);
        assert_eq!(said(Preset::Subscription, false), ["10.00 USD at their first purchase or subscription | "]);
    }

    #[test]
    fn shares_days_and_reasons_are_read_as_people_write_them() {
        for (points, text) in [(500, "5%"), (1_000, "10%"), (725, "7.25%"), (750, "7.5%"), (5, "0.05%"), (0, "0%")] {
            assert_eq!(share_text(points), text);
        }
        assert_eq!(Day::of(0), Day { text: "1 Jan 1970".into(), iso: "1970-01-01".into() });
        assert_eq!(day_and_month("2026-12-31"), "31 Dec");
        let moment = Moment { text: "1 Jan 1970, 01:02".into(), iso: "1970-01-01T01:02:03Z".into() };
        assert_eq!(Moment::of(3_723_000), moment);
        assert_eq!(reason_text("launch_week-bonus"), "Launch week bonus");
        assert_eq!(reason_text("commission"), "Commission");
    }

    #[test]
    fn each_status_has_words_of_its_own() {
        let (credits, commission) = (Preset::Credits.program(), Preset::Commission.program());
        let words = |program| Status::ALL.map(|status| status_badge(status, program).text);
        assert_eq!(
            words(&commission),
            ["Signed Up", "First Call", "Active", "Made a Spend", "Under Review", "Not Counted"]
        );
        assert_eq!(words(&credits)[3], "Converted");
        for reason in ["self_referral", "same_domain", "disposable_email", "already_referred", "domain_already_used"] {
            let text = standing_text(Status::Rejected, Some(reason)).unwrap();
            assert_ne!(Some(text), standing_text(Status::Rejected, Some("other")), "{reason}");
        }
        assert_eq!(standing_text(Status::SignedUp, None), None);
    }

    #[test]
    fn what_the_referee_was_refused_is_the_referee_s_own_business() {
        let program = Preset::Commission.program();
        let refusal = |rule: &str, code: &str| Refusal {
            rule: rule.into(),
            event: "purchase".into(),
            code: code.into(),
            at_ms: 0,
        };
        let said = |rule, code| refusal_sentence(&refusal(rule, code), &program);
        assert_eq!(
            said("commission", "below_min_purchase").as_deref(),
            Some("Commission: the purchase was smaller than the least that counts.")
        );
        assert_eq!((said("signup_bonus", "disposable_email"), said("abuse", "same_domain")), (None, None));
        assert!(said("a_rule_of_old", "nothing_due").is_some());
    }
}
