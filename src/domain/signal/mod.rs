//! Signals of abuse: what speaks against a referral that breaks no rule. Each has a weight, which the program sets;
//! together they decide whether it is held until an operator has looked at it.

mod look;
mod pace;

pub use look::{Alike, Likeness, Look};
pub use pace::Pace;

use super::id::ProjectId;
use super::program::Abuse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The stable code under which a referral is held: all that its referrer is told.
pub const UNDER_REVIEW: &str = "under_review";
/// The stable code of a referral that an operator has rejected.
pub const REJECTED: &str = "rejected_after_review";
/// What the ledger says of credits that come back when a rejected referral is opened again.
pub const REOPENED: &str = "reopened";
/// The rule under which decisions of reviews are recorded.
pub const REVIEW_RULE: &str = "review";

/// The most that one signal can weigh, and the most that a threshold can be.
pub const MOST_WEIGHT: u32 = 1_000;
/// How many of a referrer's other referrals a new one is compared with, newest first.
pub const MOST_COMPARED: i64 = 200;
/// How far up a chain of referrers is looked for a ring.
pub const LONGEST_RING: usize = 8;

/// What speaks against a referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignalCode {
    SameAddress,
    SameVisitor,
    CodeBurst,
    AddressBurst,
    DomainBurst,
    YoungDomain,
    MailboxVariation,
    OddUsage,
    BareMilestone,
    Ring,
}

impl SignalCode {
    pub const ALL: [Self; 10] = [
        Self::SameAddress,
        Self::SameVisitor,
        Self::CodeBurst,
        Self::AddressBurst,
        Self::DomainBurst,
        Self::YoungDomain,
        Self::MailboxVariation,
        Self::OddUsage,
        Self::BareMilestone,
        Self::Ring,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SameAddress => "same_address",
            Self::SameVisitor => "same_visitor",
            Self::CodeBurst => "code_burst",
            Self::AddressBurst => "address_burst",
            Self::DomainBurst => "domain_burst",
            Self::YoungDomain => "young_domain",
            Self::MailboxVariation => "mailbox_variation",
            Self::OddUsage => "odd_usage",
            Self::BareMilestone => "bare_milestone",
            Self::Ring => "ring",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// In words, for operators.
    pub fn text(self) -> &'static str {
        match self {
            Self::SameAddress => "Signed up from a network address where the referrer was on the same day",
            Self::SameVisitor => {
                "Signed up in a browser that had signed in as the referrer, or as another of their referrals"
            }
            Self::CodeBurst => "Many signups with this code within the hour",
            Self::AddressBurst => "Several of the referrer's referrals came from one network address on that day",
            Self::DomainBurst => "Many referrals with one e-mail domain within the day",
            Self::YoungDomain => "The e-mail domain was registered only lately",
            Self::MailboxVariation => "The mailbox looks like those of other referrals of the same referrer",
            Self::OddUsage => {
                "The calls up to the milestone came as a machine sends them: all alike, in one go or in step"
            }
            Self::BareMilestone => "The calls ended exactly at the milestone",
            Self::Ring => "The referrals lead in a ring, back to where they began",
        }
    }
}

/// How much each signal weighs; 0 turns it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    pub same_address: u32,
    pub same_visitor: u32,
    pub code_burst: u32,
    pub address_burst: u32,
    pub domain_burst: u32,
    pub young_domain: u32,
    pub mailbox_variation: u32,
    pub odd_usage: u32,
    pub bare_milestone: u32,
    pub ring: u32,
}

impl Default for Weights {
    /// What an honest referral hardly ever shows holds it alone; what a post that is read by many, a university or a
    /// test program shows too needs company.
    fn default() -> Self {
        Self {
            same_address: 100,
            same_visitor: 100,
            code_burst: 40,
            address_burst: 100,
            domain_burst: 50,
            young_domain: 100,
            mailbox_variation: 100,
            odd_usage: 50,
            bare_milestone: 60,
            ring: 100,
        }
    }
}

impl Weights {
    pub fn of(&self, code: SignalCode) -> u32 {
        match code {
            SignalCode::SameAddress => self.same_address,
            SignalCode::SameVisitor => self.same_visitor,
            SignalCode::CodeBurst => self.code_burst,
            SignalCode::AddressBurst => self.address_burst,
            SignalCode::DomainBurst => self.domain_burst,
            SignalCode::YoungDomain => self.young_domain,
            SignalCode::MailboxVariation => self.mailbox_variation,
            SignalCode::OddUsage => self.odd_usage,
            SignalCode::BareMilestone => self.bare_milestone,
            SignalCode::Ring => self.ring,
        }
    }
}

/// One signal with what it was found by: figures and words of ours, never addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub code: SignalCode,
    pub inputs: Value,
}

/// Where somebody was seen today: a hash under the day's key, worthless once that is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressHash(pub [u8; 16]);

impl AddressHash {
    /// `None` for the machine itself: who comes from there came through something that hides where they are.
    pub fn of(key: &[u8; 32], project: ProjectId, network: IpAddr) -> Option<Self> {
        let network = network.to_canonical();
        if network.is_loopback() || network.is_unspecified() {
            return None;
        }
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(b"address").update(&project.0.to_le_bytes());
        match network {
            IpAddr::V4(address) => hasher.update(&address.octets()),
            IpAddr::V6(address) => hasher.update(&address.octets()),
        };
        Some(Self(hasher.finalize().as_bytes()[..16].try_into().unwrap_or_default()))
    }
}

/// How a ring was seen to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    Account,
    Address,
    Visitor,
}

impl ClosedBy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Visitor => "visitor",
        }
    }
}

/// What is known of a referral as it begins, beside what the rules have compared.
#[derive(Debug, Clone, Default)]
pub struct Beginning {
    /// The referee comes from where the referrer was seen today.
    pub referrer_was_here: bool,
    /// The browser has signed in as the referrer before; or as another referral of theirs.
    pub browser_of_referrer: bool,
    pub browser_of_other_referral: bool,
    /// Signups with the code in the last hour, this one included.
    pub code_signups: i64,
    /// Those in the last day.
    pub day_signups: i64,
    /// The referrer's other referrals from the same address today.
    pub others_from_here: i64,
    /// Referrals with the same e-mail domain in the last day, this one included; 0 where the domain says nothing.
    pub domain_signups: i64,
    pub mailboxes: Alike,
    /// How many referrals lead back to where they began, this one included, and by what that is seen.
    pub ring: Option<(usize, ClosedBy)>,
}

impl Beginning {
    /// Of a post that many read, some come from the same campus or carrier; of a farm, most do.
    fn is_address_burst(&self, abuse: &Abuse) -> bool {
        const LEAST_SHARE: i64 = 5;
        let from_here = self.others_from_here + 1;
        from_here > i64::from(abuse.address_signups_per_day) && from_here * LEAST_SHARE >= self.day_signups
    }

    /// What an [`SignalCode::AddressBurst`] was found by.
    pub fn address_burst(&self, abuse: &Abuse) -> Value {
        json!({
            "from_the_address": self.others_from_here + 1,
            "with_the_code": self.day_signups,
            "allowed_per_day": abuse.address_signups_per_day,
        })
    }

    /// The signals that a new referral shows.
    pub fn signals(&self, abuse: &Abuse) -> Vec<Signal> {
        let mut found = Vec::new();
        let mut add = |code, inputs| found.push(Signal { code, inputs });
        if self.referrer_was_here {
            add(SignalCode::SameAddress, json!({ "as": "referrer" }));
        }
        if self.browser_of_referrer || self.browser_of_other_referral {
            let who = if self.browser_of_referrer { "referrer" } else { "other_referral" };
            add(SignalCode::SameVisitor, json!({ "as": who }));
        }
        if self.code_signups > i64::from(abuse.code_signups_per_hour) {
            let inputs = json!({ "signups": self.code_signups, "allowed_per_hour": abuse.code_signups_per_hour });
            add(SignalCode::CodeBurst, inputs);
        }
        if self.is_address_burst(abuse) {
            add(SignalCode::AddressBurst, self.address_burst(abuse));
        }
        if self.domain_signups > i64::from(abuse.domain_signups_per_day) {
            let inputs = json!({ "signups": self.domain_signups, "allowed_per_day": abuse.domain_signups_per_day });
            add(SignalCode::DomainBurst, inputs);
        }
        if self.mailboxes.is_odd() {
            add(SignalCode::MailboxVariation, self.mailboxes.inputs());
        }
        if let Some((referrals, by)) = self.ring {
            add(SignalCode::Ring, ring_inputs(referrals, by));
        }
        found.retain(|signal| abuse.weights.of(signal.code) > 0);
        found
    }
}

/// What a [`SignalCode::Ring`] was found by.
pub fn ring_inputs(referrals: usize, by: ClosedBy) -> Value {
    json!({ "referrals": referrals, "by": by.as_str() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_of_a_beginning() {
        let abuse = Abuse::default();
        let codes = |beginning: Beginning| -> Vec<&str> {
            beginning.signals(&abuse).iter().map(|signal| signal.code.as_str()).collect()
        };
        let none = Beginning::default;
        for (beginning, expected) in [
            (none(), vec![]),
            (Beginning { referrer_was_here: true, ..none() }, vec!["same_address"]),
            (Beginning { browser_of_referrer: true, ..none() }, vec!["same_visitor"]),
            (Beginning { browser_of_other_referral: true, ..none() }, vec!["same_visitor"]),
            (Beginning { code_signups: 20, ..none() }, vec![]),
            (Beginning { code_signups: 21, ..none() }, vec!["code_burst"]),
            (Beginning { others_from_here: 1, ..none() }, vec![]),
            (Beginning { others_from_here: 2, day_signups: 15, ..none() }, vec!["address_burst"]),
            (Beginning { others_from_here: 2, day_signups: 16, ..none() }, vec![]),
            (Beginning { domain_signups: 10, ..none() }, vec![]),
            (Beginning { domain_signups: 11, ..none() }, vec!["domain_burst"]),
            (Beginning { mailboxes: Alike { spellings: 1, series: 0 }, ..none() }, vec!["mailbox_variation"]),
            (Beginning { ring: Some((2, ClosedBy::Address)), ..none() }, vec!["ring"]),
        ] {
            assert_eq!(codes(beginning), expected);
        }
        let off = Abuse { weights: Weights { ring: 0, ..Weights::default() }, ..Abuse::default() };
        assert_eq!(Beginning { ring: Some((2, ClosedBy::Account)), ..none() }.signals(&off), []);
    }

    #[test]
    fn an_address_is_a_hash_under_the_day_s_key_in_a_project() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let here = AddressHash::of(&[1; 32], ProjectId(1), ip("192.0.2.1"));
        assert!(here.is_some());
        assert_eq!(here, AddressHash::of(&[1; 32], ProjectId(1), ip("::ffff:192.0.2.1")));
        assert_ne!(here, AddressHash::of(&[2; 32], ProjectId(1), ip("192.0.2.1")));
        assert_ne!(here, AddressHash::of(&[1; 32], ProjectId(2), ip("192.0.2.1")));
        assert_ne!(here, AddressHash::of(&[1; 32], ProjectId(1), ip("192.0.2.2")));
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0"] {
            assert_eq!(AddressHash::of(&[1; 32], ProjectId(1), ip(own)), None, "{own}");
        }
    }

    #[test]
    fn every_code_has_a_name_a_text_and_a_weight_of_its_own() {
        for code in SignalCode::ALL {
            assert_eq!(SignalCode::parse(code.as_str()), Some(code));
            assert!(!code.text().is_empty());
            let mut weights = serde_json::to_value(Weights::default()).unwrap();
            weights[code.as_str()] = 7.into();
            let weights: Weights = serde_json::from_value(weights).unwrap();
            assert_eq!(weights.of(code), 7, "{}", code.as_str());
        }
    }
}
