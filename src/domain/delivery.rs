//! Deliveries to other systems: what may come of a try, and what then becomes of the delivery.

use super::time::HOUR_MS;

/// What kind of receiver a delivery is for. Each has a courier of its own, so that a slow one holds up no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryKind {
    Mail,
    /// The transfer of a payout, at Stripe.
    Transfer,
    /// The question how old a domain is, to RDAP.
    Domain,
}

impl DeliveryKind {
    pub const ALL: [Self; 3] = [Self::Mail, Self::Transfer, Self::Domain];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Transfer => "transfer",
            Self::Domain => "domain",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What came of a try. The texts are for operators: no names, no addresses, no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is delivered; with what the receiver calls it, if that is worth keeping.
    Done(Option<String>),
    /// Nothing has happened at the receiver, and another try may go better.
    Retry(String),
    /// Nothing has happened at the receiver, and no other try will go better.
    Refused(String),
    /// It may have happened or not. It is tried again in words by which the receiver knows it for the same.
    Unclear(String),
}

impl Outcome {
    /// What stood in the way.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Done(_) => None,
            Self::Retry(reason) | Self::Refused(reason) | Self::Unclear(reason) => Some(without_addresses(reason)),
        }
    }
}

/// What becomes of a delivery after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    Again {
        due_at_ms: i64,
    },
    /// It waits for an operator.
    Parked,
}

/// Tries before a delivery is parked: with the pauses between them about 15 hours.
pub const MOST_TRIES: i64 = 12;
const FIRST_PAUSE_MS: i64 = 30_000;
const LONGEST_PAUSE_MS: i64 = 6 * HOUR_MS;

/// What becomes of a delivery whose `tries`-th try came out like this, if nothing else is known of it.
pub fn fate(outcome: &Outcome, tries: i64, now_ms: i64, entropy: u64) -> Fate {
    match outcome {
        Outcome::Done(_) => Fate::Done,
        Outcome::Refused(_) => Fate::Parked,
        Outcome::Retry(_) | Outcome::Unclear(_) if tries >= MOST_TRIES => Fate::Parked,
        Outcome::Retry(_) | Outcome::Unclear(_) => Fate::Again { due_at_ms: now_ms + pause_ms(tries, entropy) },
    }
}

/// The pause after the `tries`-th try: twice as long each time, and shortened by up to a half, so that what failed
/// together is not tried again together.
pub fn pause_ms(tries: i64, entropy: u64) -> i64 {
    let doublings = u32::try_from((tries - 1).clamp(0, 20)).unwrap_or_default();
    let longest = (FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS);
    let spread = u64::try_from(longest / 2).unwrap_or_default() + 1;
    longest - i64::try_from(entropy % spread).unwrap_or_default()
}

/// A receiver's words as they may be kept: one line, not too long, e-mail addresses left out.
pub fn without_addresses(text: &str) -> String {
    const LONGEST: usize = 300;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| if word.contains('@') { "…" } else { word }).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_quarter_of_a_day_and_are_spread() {
        for (tries, longest_s) in [(1, 30), (2, 60), (5, 480), (10, 15_360), (11, 21_600), (50, 21_600)] {
            assert_eq!(pause_ms(tries, 0), longest_s * 1_000, "{tries}");
            let spread: Vec<_> = (0..1_000).map(|n| pause_ms(tries, n * 7_919_000_003)).collect();
            assert!(spread.iter().all(|pause| (longest_s * 500..=longest_s * 1_000).contains(pause)), "{tries}");
            assert!(spread.iter().any(|pause| *pause < longest_s * 600), "{tries}");
        }
    }

    #[test]
    fn each_outcome_has_its_fate() {
        let reason = || "why".to_owned();
        for (outcome, tries, is) in [
            (Outcome::Done(None), 1, Fate::Done),
            (Outcome::Done(None), MOST_TRIES, Fate::Done),
            (Outcome::Refused(reason()), 1, Fate::Parked),
            (Outcome::Retry(reason()), 1, Fate::Again { due_at_ms: 31_000 }),
            (Outcome::Unclear(reason()), 2, Fate::Again { due_at_ms: 61_000 }),
            (Outcome::Retry(reason()), MOST_TRIES, Fate::Parked),
            (Outcome::Unclear(reason()), MOST_TRIES, Fate::Parked),
        ] {
            assert_eq!(fate(&outcome, tries, 1_000, 0), is, "{outcome:?} at {tries}");
        }
    }

    #[test]
    fn what_a_receiver_says_is_kept_without_addresses_and_in_one_line() {
        let said = "550 5.1.1 <bob@bob.example>:\r\n user unknown\0";
        assert_eq!(Outcome::Refused(said.into()).problem().unwrap(), "550 5.1.1 … user unknown");
        assert_eq!(Outcome::Retry("x".repeat(1_000)).problem().unwrap().len(), 300);
        assert_eq!(Outcome::Done(None).problem(), None);
    }
}
