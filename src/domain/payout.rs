//! Payouts: what may be asked for, which state follows which, and what the next step towards Stripe is.

use super::error::{Error, FieldError, Kind, Result};
use super::time::HOUR_MS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutStatus {
    /// Reserved, and not told to Stripe, or told for the first time just now.
    Queued,
    /// Stripe may have paid or not: nothing is given back until that is known.
    Reconciling,
    Paid,
    /// Stripe refused, and the money is back.
    Failed,
    /// Called off before it was told to Stripe, and the money is back.
    Cancelled,
}

impl PayoutStatus {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Reconciling, Self::Paid, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Reconciling => "reconciling",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Reconciling)
    }

    /// Whether this state may follow on `self`. The schema refuses all others, too.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => next != Self::Queued,
            Self::Reconciling => matches!(next, Self::Paid | Self::Failed),
            Self::Paid | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// Whether a payout can go anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripeStanding {
    /// The project has no key, and needs one.
    NotConfigured,
    /// The partner's account is not complete.
    NotReady,
    Ready,
}

/// What a request for a payout depends on.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub partner: bool,
    pub has_open_payout: bool,
    pub stripe: StripeStanding,
    /// `None`: all there is.
    pub amount_minor: Option<i64>,
    pub available: i64,
    pub minimum: i64,
}

/// The amount to pay out. `Conflict` when there can be no payout now, `Invalid` for the amount; `words` says amounts as
/// people read them.
pub fn amount(asked: &Asked, words: impl Fn(i64) -> String) -> Result<i64> {
    if !asked.partner {
        return Err(not_partner());
    }
    if asked.has_open_payout {
        return Err(payout_open());
    }
    match asked.stripe {
        StripeStanding::NotConfigured => return Err(stripe_not_configured()),
        StripeStanding::NotReady => {
            let message = "Stripe is not ready to pay out to you: see what is missing.";
            return Err(Error::conflict("stripe_not_ready", message));
        }
        StripeStanding::Ready => {}
    }
    let amount_minor = asked.amount_minor.unwrap_or(asked.available);
    if amount_minor < asked.minimum {
        let detail =
            format!("A payout is at least {}; {} can be paid out.", words(asked.minimum), words(asked.available));
        return Err(unpayable("below_minimum", detail));
    }
    if amount_minor > asked.available || amount_minor < 1 {
        let detail = format!("{} can be paid out.", words(asked.available));
        return Err(unpayable("insufficient_balance", detail));
    }
    Ok(amount_minor)
}

fn unpayable(code: &'static str, detail: String) -> Error {
    Error::fields(vec![FieldError { field: "amount".into(), code, detail }])
}

pub fn not_partner() -> Error {
    Error::conflict("not_partner", "This is for partners: upgrade first.")
}

pub fn payout_open() -> Error {
    Error::conflict("payout_open", "A payout is still under way.")
}

/// `uncovered` is in the words of the program.
pub fn not_covered(uncovered: &str) -> Error {
    let message = format!(
        "{uncovered} of it is refunded or owed by now. Call it off: its money pays that, and the rest can be asked \
         for again."
    );
    Error::conflict("not_covered", message)
}

/// Why a payout is called off that nobody has asked to.
pub const CALLED_OFF_UNCOVERED: &str =
    "It was refunded or owed before it was sent. Its money pays what is owed; the rest can be asked for again.";

/// Why a payout failed that was surely never sent.
pub const NOT_AT_STRIPE: &str = "Stripe has no such transfer.";

/// What a partner reads after such a refusal, until Stripe says how the account stands.
pub const REFUSED_TO_ACCOUNT: &str = "Stripe refused a payout to this account: check again, and see what it asks for.";

/// Whether Stripe refused because of the account to be paid: the next payout would be refused, too. `failure` is Stripe's
/// code and words.
pub fn is_about_account(failure: &str) -> bool {
    let codes = [
        "account_closed",
        "account_invalid",
        "insufficient_capabilities_for_transfer",
        "payouts_not_allowed",
        "resource_missing",
        "transfers_not_allowed",
    ];
    failure.split_once(':').is_some_and(|(code, _)| codes.contains(&code))
}

/// Why a payout came to nothing, in words for the partner: Stripe's own are about the team's account as often as about
/// theirs, and are the operators' to read. `failure` is what was kept: a sentence of ours, or Stripe's code and words.
pub fn failure_words(failure: &str) -> &'static str {
    match (failure, failure.split_once(':').map_or("", |(code, _)| code)) {
        (CALLED_OFF_UNCOVERED, _) => CALLED_OFF_UNCOVERED,
        (NOT_AT_STRIPE, _) => "It did not reach Stripe, and was not sent. Ask for it again.",
        (_, "balance_insufficient") => {
            "The team's money at Stripe did not cover it at that time. Ask for it again in a few days."
        }
        _ if is_about_account(failure) => {
            "Stripe could not pay to your account there. See what Stripe wants to know, then ask for it again."
        }
        _ => "Stripe did not take it. Ask for it again; if it is refused once more, write to the team.",
    }
}

pub fn stripe_not_configured() -> Error {
    Error::conflict("stripe_not_configured", "This project has no Stripe key yet.")
}

/// The partner's account at Stripe is gone, and another cannot be connected while money may be on its way to it.
pub fn account_gone_while_open() -> Error {
    let message = "Stripe does not know your account any more, and a payout to it is still under way. Once that is \
                   settled, connect with Stripe again.";
    Error::conflict("payout_open", message)
}

/// Stripe names an account that is another developer's here: money must not go there for two.
pub fn stripe_account_taken() -> Error {
    let message = "Stripe has named an account that is connected to another developer already. Write to the team.";
    Error::conflict("stripe_account_taken", message)
}

pub fn stripe_unavailable() -> Error {
    let message = "Stripe cannot be reached, or does not take the call; try again later.";
    Error { retry_after_s: Some(30), ..Error::new(Kind::Busy, "stripe_unavailable", message) }
}

/// Stripe keeps an idempotency key for at least a day. An hour less, for clocks that differ and calls that linger.
pub const SAME_KEY_MS: i64 = 23 * HOUR_MS;
/// After the last try for so long, what Stripe does not list has not happened: no call is under way for a day.
pub const CERTAIN_AFTER_MS: i64 = 25 * HOUR_MS;

/// When a transfer was first and last told to Stripe, by the machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sendings {
    pub first_at_ms: i64,
    pub last_at_ms: i64,
}

/// How far this machine's clock may be from Stripe's. Beyond that nothing is told, and nothing given back.
pub const CLOCKS_DIFFER_MS: i64 = HOUR_MS / 2;

/// After a sending whose fate is unknown, a refusal of a later one counts only so long after: until then the first may
/// still be on its way. Three times what the clocks may differ, so that no clock makes it a moment.
pub const REFUSAL_COUNTS_AFTER_MS: i64 = 3 * CLOCKS_DIFFER_MS;

/// Whether a refusal of the sending that is about to be made says that there is no transfer, by the sendings before it.
pub fn refusal_counts(before: Option<Sendings>, now_ms: i64) -> bool {
    before.is_none_or(|sent| now_ms >= sent.last_at_ms + REFUSAL_COUNTS_AFTER_MS)
}

/// Whether what is not at Stripe now will never be. What was not told to it is not.
pub fn is_certain(sendings: Option<Sendings>, now_ms: i64) -> bool {
    sendings.is_none_or(|sent| now_ms >= sent.last_at_ms + CERTAIN_AFTER_MS)
}

/// What is to be done next about an open payout. Each begins with a look whether the transfer is there: Stripe knows a
/// repeat by its key, but how long it has had the key is only known by a clock that may have jumped, and what is here may
/// be an older copy of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Tell Stripe if it is not there. `earlier`: it may have been told before.
    Send { earlier: bool },
    /// Nothing more. `certain`: what is not there now will never be.
    LookUp { certain: bool },
    /// Give the money back if it is not there: it was not told.
    CallOff,
}

/// Stripe is told again only while it remembers the key, as far as the clock can say.
pub fn next_step(sendings: Option<Sendings>, now_ms: i64) -> NextStep {
    match sendings {
        None => NextStep::Send { earlier: false },
        Some(sent) if now_ms < sent.first_at_ms + SAME_KEY_MS => NextStep::Send { earlier: true },
        Some(_) => NextStep::LookUp { certain: is_certain(sendings, now_ms) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PayoutStatus::{Cancelled, Failed, Paid, Queued, Reconciling};

    #[test]
    fn each_legal_move_and_no_other() {
        let legal = [
            (Queued, Reconciling),
            (Queued, Paid),
            (Queued, Failed),
            (Queued, Cancelled),
            (Reconciling, Paid),
            (Reconciling, Failed),
        ];
        for from in PayoutStatus::ALL {
            assert_eq!(PayoutStatus::parse(from.as_str()), Some(from));
            assert_eq!(from.is_open(), legal.iter().any(|(open, _)| *open == from));
            for to in PayoutStatus::ALL {
                assert_eq!(from.may_become(to), legal.contains(&(from, to)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn each_refusal() {
        let amount = |asked: &Asked| amount(asked, |minor| minor.to_string());
        let good = Asked {
            partner: true,
            has_open_payout: false,
            stripe: StripeStanding::Ready,
            amount_minor: None,
            available: 3_000,
            minimum: 2_500,
        };
        assert_eq!(amount(&good).unwrap(), 3_000);
        assert_eq!(amount(&Asked { amount_minor: Some(2_500), ..good }).unwrap(), 2_500);
        for (asked, code) in [
            (Asked { partner: false, has_open_payout: true, ..good }, "not_partner"),
            (Asked { has_open_payout: true, stripe: StripeStanding::NotReady, ..good }, "payout_open"),
            (Asked { stripe: StripeStanding::NotConfigured, ..good }, "stripe_not_configured"),
            (Asked { stripe: StripeStanding::NotReady, available: 0, ..good }, "stripe_not_ready"),
            (Asked { amount_minor: Some(2_499), ..good }, "below_minimum"),
            (Asked { available: 2_499, ..good }, "below_minimum"),
            (Asked { amount_minor: Some(3_001), ..good }, "insufficient_balance"),
            (Asked { available: 0, minimum: 0, ..good }, "insufficient_balance"),
        ] {
            assert_eq!(amount(&asked).unwrap_err().code, code, "{asked:?}");
        }
    }

    #[test]
    fn it_is_told_again_only_while_the_key_is_surely_remembered() {
        let told = Some(Sendings { first_at_ms: 1_000, last_at_ms: 5_000 });
        for (now_ms, step) in [
            (5_000, NextStep::Send { earlier: true }),
            (999 + SAME_KEY_MS, NextStep::Send { earlier: true }),
            (1_000 + SAME_KEY_MS, NextStep::LookUp { certain: false }),
            (4_999 + CERTAIN_AFTER_MS, NextStep::LookUp { certain: false }),
            (5_000 + CERTAIN_AFTER_MS, NextStep::LookUp { certain: true }),
            // The clock went back.
            (4_999, NextStep::Send { earlier: true }),
            (0, NextStep::Send { earlier: true }),
        ] {
            assert_eq!(next_step(told, now_ms), step, "{now_ms}");
        }
        assert_eq!(next_step(None, 1_000), NextStep::Send { earlier: false });
    }

    #[test]
    fn a_refusal_right_after_another_sending_does_not_count() {
        let told = Some(Sendings { first_at_ms: 1_000, last_at_ms: 5_000 });
        assert!(refusal_counts(None, 0));
        for (now_ms, counts) in [
            (0, false),
            (5_000, false),
            (4_999 + REFUSAL_COUNTS_AFTER_MS, false),
            (5_000 + REFUSAL_COUNTS_AFTER_MS, true),
        ] {
            assert_eq!(refusal_counts(told, now_ms), counts, "{now_ms}");
        }
    }

    #[test]
    fn partners_are_told_in_our_words_and_never_in_stripe_s() {
        let of_stripe = "You have insufficient funds in your Stripe account for this transfer.";
        let all = [
            failure_words(&format!("balance_insufficient: {of_stripe}")),
            failure_words("account_closed: The bank account has been closed"),
            failure_words(NOT_AT_STRIPE),
            failure_words(CALLED_OFF_UNCOVERED),
            failure_words("amount_too_small: Amount must be at least 50 cents"),
        ];
        for (place, words) in all.iter().enumerate() {
            assert!(!words.contains("insufficient funds") && !words.contains("closed"), "{words}");
            assert!(!all[..place].contains(words), "{words}");
        }
        assert_eq!(failure_words(of_stripe), failure_words("Stripe refused."), "without a code it is some refusal");
        assert_eq!(failure_words("resource_missing: No such destination"), failure_words("account_closed: Closed"));
    }
}
