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

pub fn stripe_not_configured() -> Error {
    Error::conflict("stripe_not_configured", "This project has no Stripe key yet.")
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

/// What is to be done next about an open payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Tell Stripe; it knows a repeat by its key. `earlier`: it may have been told before.
    Send { earlier: bool },
    /// Look, and tell Stripe if it is not there: nothing here says that it was told, but it is so old that this may be an
    /// older copy of the file, and the key forgotten.
    LookThenSend,
    /// Only look whether it is there. `certain`: what is not there now will never be.
    LookUp { certain: bool },
}

/// Stripe is told again only while it surely remembers the key.
pub fn next_step(requested_at_ms: i64, sendings: Option<Sendings>, now_ms: i64) -> NextStep {
    let Some(Sendings { first_at_ms, last_at_ms }) = sendings else {
        let is_young = (requested_at_ms..requested_at_ms + SAME_KEY_MS).contains(&now_ms);
        return if is_young { NextStep::Send { earlier: false } } else { NextStep::LookThenSend };
    };
    // A clock that went back says nothing about how old the key is.
    let is_remembered = (last_at_ms..first_at_ms + SAME_KEY_MS).contains(&now_ms);
    if is_remembered {
        NextStep::Send { earlier: true }
    } else {
        NextStep::LookUp { certain: now_ms >= last_at_ms + CERTAIN_AFTER_MS }
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
            (4_999, NextStep::LookUp { certain: false }),
        ] {
            assert_eq!(next_step(1_000, told, now_ms), step, "{now_ms}");
        }
        for (now_ms, step) in [
            (1_000, NextStep::Send { earlier: false }),
            (999 + SAME_KEY_MS, NextStep::Send { earlier: false }),
            (1_000 + SAME_KEY_MS, NextStep::LookThenSend),
            (999, NextStep::LookThenSend),
        ] {
            assert_eq!(next_step(1_000, None, now_ms), step, "{now_ms}");
        }
    }
}
