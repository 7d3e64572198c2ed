//! What operators look for among payouts, and what they can do about one.

use super::error::{Error, Result};
use super::payout::PayoutStatus;

/// Which payouts to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutFilter {
    All,
    /// Those that are not settled.
    Open,
    In(PayoutStatus),
}

impl PayoutFilter {
    pub const WORDS: [&str; 7] = ["all", "open", "queued", "reconciling", "paid", "failed", "cancelled"];

    pub fn parse(text: &str) -> Result<Self> {
        let words = Self::WORDS.join(", ");
        match text {
            "all" => Ok(Self::All),
            "open" => Ok(Self::Open),
            _ => PayoutStatus::parse(text)
                .map(Self::In)
                .ok_or_else(|| Error::field("status", "invalid_status", format!("A status is one of {words}."))),
        }
    }

    /// The states it lets through; none named: all.
    pub fn states(self) -> Vec<PayoutStatus> {
        match self {
            Self::All => Vec::new(),
            Self::Open => PayoutStatus::ALL.into_iter().filter(|status| status.is_open()).collect(),
            Self::In(status) => vec![status],
        }
    }
}

/// What an operator can do about a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutOrder {
    /// Lets one go that waits for it.
    Approve,
    /// Calls one off that Stripe was not told of.
    Cancel,
    /// Tries, or looks up, now.
    Retry,
    /// The same, and gives the money back if it is surely not at Stripe.
    Resolve,
}

impl PayoutOrder {
    pub const ALL: [Self; 4] = [Self::Approve, Self::Cancel, Self::Retry, Self::Resolve];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Resolve => "resolve",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_a_filter_and_no_other() {
        for word in PayoutFilter::WORDS {
            PayoutFilter::parse(word).unwrap();
        }
        assert_eq!(PayoutFilter::parse("OPEN").unwrap_err().code, "invalid_status");
        assert_eq!(PayoutFilter::Open.states(), [PayoutStatus::Queued, PayoutStatus::Reconciling]);
        assert!(PayoutFilter::All.states().is_empty());
        for order in PayoutOrder::ALL {
            assert_eq!(PayoutOrder::parse(order.as_str()), Some(order));
        }
    }
}
