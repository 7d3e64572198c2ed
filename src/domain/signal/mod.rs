//! Signals of abuse: what speaks against a referral that breaks no rule. Each has a weight, which the program sets;
//! together they decide whether it is held until an operator has looked at it.

mod beginning;
mod look;
mod pace;
mod trace;

pub use beginning::{Beginning, ClosedBy, Company, are_erased, ring_inputs};
pub use look::{Alike, Likeness, Look};
pub use pace::{Pace, are_alike};
pub use trace::{Trace, TraceKind};

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    SharedAddress,
    CrowdedAddress,
    SameUsage,
    ErasedSoon,
    HeldCompany,
}

impl SignalCode {
    pub const ALL: [Self; 15] = [
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
        Self::SharedAddress,
        Self::CrowdedAddress,
        Self::SameUsage,
        Self::ErasedSoon,
        Self::HeldCompany,
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
            Self::SharedAddress => "shared_address",
            Self::CrowdedAddress => "crowded_address",
            Self::SameUsage => "same_usage",
            Self::ErasedSoon => "erased_soon",
            Self::HeldCompany => "held_company",
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
            Self::AddressBurst => {
                "Several referrals of the referrer, or of one chain of referrers, came from one network address on a day"
            }
            Self::DomainBurst => "Many referrals with one e-mail domain within the day",
            Self::YoungDomain => "The e-mail domain was registered only lately",
            Self::MailboxVariation => "The mailbox looks like those of other referrals of the same referrer",
            Self::OddUsage => {
                "The calls up to the milestone came as a machine sends them: all alike, in one go or in step"
            }
            Self::BareMilestone => "The calls ended at the milestone, or a few after it",
            Self::Ring => "The referrals lead in a ring, back to where they began",
            Self::SharedAddress => "Another of the referrer's referrals came from the same network address on that day",
            Self::CrowdedAddress => {
                "Many referrals came from one network address on that day, all by codes of accounts that were new themselves"
            }
            Self::SameUsage => "The calls came as those of other referrals of the same referrer did",
            Self::ErasedSoon => "Many of the referrer's referrals have erased their accounts within days",
            Self::HeldCompany => {
                "The referrer's own referral is held or was rejected, or so are most that they brought, or all whom the referee brought"
            }
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
    pub shared_address: u32,
    pub crowded_address: u32,
    pub same_usage: u32,
    pub erased_soon: u32,
    pub held_company: u32,
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
            shared_address: 20,
            crowded_address: 100,
            same_usage: 100,
            erased_soon: 100,
            held_company: 100,
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
            SignalCode::SharedAddress => self.shared_address,
            SignalCode::CrowdedAddress => self.crowded_address,
            SignalCode::SameUsage => self.same_usage,
            SignalCode::ErasedSoon => self.erased_soon,
            SignalCode::HeldCompany => self.held_company,
        }
    }
}

/// One signal with what it was found by: figures and words of ours, never addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub code: SignalCode,
    pub inputs: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

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
