//! What the console's pages about people, programs and money call things.

pub use crate::web::day::Moment;

use crate::domain::error::{Error, Result};
use crate::domain::payout::PayoutStatus;
use crate::domain::program::Program;
use crate::domain::referral::Status;
use crate::engine::mask;

/// Words in a coloured pill; the words alone say everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge {
    pub text: &'static str,
    pub tone: &'static str,
}

pub fn referral_badge(status: Status) -> Badge {
    let (text, tone) = match status {
        Status::SignedUp => ("Signed up", "info"),
        Status::FirstCall => ("First call", "good"),
        Status::Active => ("Active", "good"),
        Status::Converted => ("Converted", "good"),
        Status::Review => ("In review", "warn"),
        Status::Rejected => ("Rejected", "bad"),
    };
    Badge { text, tone }
}

pub fn payout_badge(status: PayoutStatus) -> Badge {
    let (text, tone) = match status {
        PayoutStatus::Queued => ("Queued", "info"),
        PayoutStatus::Reconciling => ("Reconciling", "warn"),
        PayoutStatus::Paid => ("Paid", "good"),
        PayoutStatus::Failed => ("Failed", "bad"),
        PayoutStatus::Cancelled => ("Cancelled", "muted"),
    };
    Badge { text, tone }
}

/// What an operator is needed for about a payout.
pub fn waiting_text(waits_for: &str) -> &'static str {
    match waits_for {
        "approval" => "Waits for your approval.",
        "cancel" => "It is not covered any more by what the partner has earned: call it off.",
        "resolve" => {
            "Stripe was last told of it more than a day ago, and has not said that it was sent. Look for it there, then \
             resolve it."
        }
        "retry" => "It is not tried any more: try it again, or see what Stripe says.",
        "transfer_exists" => "Its money was given back here, but Stripe has a transfer of it: look into it there.",
        "transfer_reversed" => "Stripe has taken the transfer back, or a part of it.",
        _ => "It needs a look.",
    }
}

/// An address as its reader may see it.
pub fn address(email: Option<String>, whole: bool) -> Option<String> {
    if whole { email } else { email.as_deref().and_then(mask) }
}

/// An amount as people type it: whole credits, or a currency with up to two decimals.
pub fn parse_amount(typed: &str, program: &Program) -> Result<i64> {
    let refuse = |detail: &str| Error::field("amount", "invalid_amount", detail);
    let typed = typed.trim().replace(',', "");
    if typed.is_empty() {
        return Err(Error::field("amount", "required", "Fill this in."));
    }
    let (whole, cents) = typed.split_once('.').unwrap_or((&typed, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 13;
    if whole.is_empty() || !is_number(whole) || !is_number(cents) {
        return Err(refuse("Give a number, such as 500."));
    }
    let whole: i64 = whole.parse().map_err(|_| refuse("That is too much."))?;
    if program.unit == "credits" {
        return if cents.is_empty() { Ok(whole) } else { Err(refuse("Credits are whole.")) };
    }
    if cents.len() > 2 {
        return Err(refuse("Give at most two decimals."));
    }
    let cents: i64 = format!("{cents:0<2}").parse().unwrap_or(0);
    Ok(whole * 100 + cents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    #[test]
    fn amounts_are_typed_in_the_program_s_unit() {
        let (credits, dollars) = (Preset::Credits.program(), Preset::Commission.program());
        for (typed, amount) in [("500", 500), (" 1,000 ", 1_000), ("0", 0)] {
            assert_eq!(parse_amount(typed, &credits).unwrap(), amount);
        }
        for (typed, amount) in [("5", 500), ("12.5", 1_250), ("1,000.05", 100_005), ("5.", 500)] {
            assert_eq!(parse_amount(typed, &dollars).unwrap(), amount);
        }
        for (typed, program) in [
            ("", &credits),
            ("five", &credits),
            ("-5", &credits),
            ("5.5", &credits),
            (".5", &dollars),
            ("5.555", &dollars),
            ("99999999999999", &dollars),
            ("1e3", &credits),
        ] {
            assert!(parse_amount(typed, program).is_err(), "{typed}");
        }
    }
}
