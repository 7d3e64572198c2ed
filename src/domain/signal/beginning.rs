//! A referral as it begins: what is known of it, and which signals that shows.

use super::{Alike, Signal, SignalCode};
use crate::domain::program::Abuse;
use serde_json::{Value, json};

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

/// How it went with the newest of a referrer's referrals, those left out that a rule has refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Company {
    /// Held, or rejected after a review.
    pub held: i64,
    pub all: i64,
    /// Operators have looked, and found some of them in order: what is wrong with others is not the referrer's doing. Who
    /// knows a code can bring in made-up accounts with it.
    pub is_known: bool,
}

impl Company {
    /// One or two may be an accident, or come of one; and most are not.
    pub fn is_bad(self) -> bool {
        !self.is_known && self.held >= 3 && self.held * 2 >= self.all
    }

    /// Whoever has brought nobody else is one of them.
    /// Two may be a stranger's doing, unless there is something else about them.
    pub fn is_all_held(self, is_suspect: bool) -> bool {
        !self.is_known && self.held >= if is_suspect { 2 } else { 3 } && self.held == self.all
    }

    pub fn inputs(self) -> Value {
        json!({ "held": self.held, "of": self.all })
    }
}

/// Whether so many of a referrer's referrals, of all of them, do not erase their accounts by accident.
pub fn are_erased(erased: i64, all: i64) -> bool {
    erased >= 3 && erased * 3 >= all
}

/// What is known of a referral as it begins, beside what the rules have compared.
#[derive(Debug, Clone, Default)]
pub struct Beginning {
    /// The referee comes from where the referrer was seen today.
    pub referrer_was_here: bool,
    /// Whom the browser has signed in as before: the referrer, or another referral of theirs.
    pub browser_of: Option<&'static str>,
    /// Signups with the code in the last hour, this one included.
    pub code_signups: i64,
    /// Those in the last day, without any that is rejected or held: whoever makes a burst must not hide it in another.
    pub day_signups: i64,
    /// The referrer's other referrals from the same address today.
    pub others_from_here: i64,
    /// Those of others who share a referrer with them somewhere up the chain.
    pub relatives_from_here: i64,
    /// All whose referrers, as this one's, are new themselves.
    pub newcomers_from_here: i64,
    /// Of the referrer's other referrals, those that came from one address together with another, on any day; of how many.
    pub together: i64,
    pub siblings: i64,
    /// Of those, how many have erased their account within days.
    pub erased: i64,
    pub company: Company,
    /// The referral that brought the referrer in is held, or was rejected after a review.
    pub referrer_is_held: bool,
    /// Referrals with the same e-mail domain in the last day, this one included; 0 where the domain says nothing.
    pub domain_signups: i64,
    pub mailboxes: Alike,
    /// How many referrals lead back to where they began, this one included, and by what that is seen.
    pub ring: Option<(usize, ClosedBy)>,
}

impl Beginning {
    /// What an [`SignalCode::AddressBurst`] is found by, if there is one. Of a post that many read, some come from the
    /// same campus or carrier; of a farm, most do, if not on one day or by one code then over days or by a tree of codes.
    fn address_burst(&self, abuse: &Abuse) -> Option<Value> {
        const LEAST_SHARE: i64 = 5;
        let allowed = i64::from(abuse.address_signups_per_day);
        let (from_here, relatives) = (self.others_from_here + 1, self.relatives_from_here + 1);
        if from_here > allowed && from_here * LEAST_SHARE >= self.day_signups {
            return Some(json!({
                "from_the_address": from_here, "with_the_code": self.day_signups, "allowed_per_day": allowed,
            }));
        }
        if relatives > 2 * allowed {
            return Some(json!({ "from_the_address": relatives, "of": "one_tree", "allowed_per_day": 2 * allowed }));
        }
        let (together, all) = (self.together + 1, self.siblings + 1);
        let came_together = self.others_from_here > 0 && together >= 2 * allowed && together * 2 >= all;
        came_together.then(|| json!({ "together": together, "of": all }))
    }

    /// The signals that a new referral shows.
    pub fn signals(&self, abuse: &Abuse) -> Vec<Signal> {
        let mut found = Vec::new();
        let mut add = |code, inputs| found.push(Signal { code, inputs });
        if self.referrer_was_here {
            add(SignalCode::SameAddress, json!({ "as": "referrer" }));
        }
        if let Some(who) = self.browser_of {
            add(SignalCode::SameVisitor, json!({ "as": who }));
        }
        if self.code_signups > i64::from(abuse.code_signups_per_hour) {
            let inputs = json!({ "signups": self.code_signups, "allowed_per_hour": abuse.code_signups_per_hour });
            add(SignalCode::CodeBurst, inputs);
        }
        if let Some(inputs) = self.address_burst(abuse) {
            add(SignalCode::AddressBurst, inputs);
        }
        if self.others_from_here > 0 {
            add(SignalCode::SharedAddress, json!({ "others": self.others_from_here }));
        }
        let (newcomers, allowed) = (self.newcomers_from_here + 1, abuse.address_crowd_per_day);
        if newcomers > i64::from(allowed) {
            let inputs = json!({ "from_the_address": newcomers, "allowed_per_day": allowed });
            add(SignalCode::CrowdedAddress, inputs);
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
        if are_erased(self.erased, self.siblings) {
            add(SignalCode::ErasedSoon, json!({ "erased": self.erased, "of": self.siblings }));
        }
        if self.referrer_is_held {
            add(SignalCode::HeldCompany, json!({ "held": "referrer" }));
        } else if self.company.is_bad() {
            add(SignalCode::HeldCompany, self.company.inputs());
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
    use crate::domain::signal::Weights;

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
            (Beginning { browser_of: Some("referrer"), ..none() }, vec!["same_visitor"]),
            (Beginning { code_signups: 20, ..none() }, vec![]),
            (Beginning { code_signups: 21, ..none() }, vec!["code_burst"]),
            (Beginning { others_from_here: 1, ..none() }, vec!["shared_address"]),
            (Beginning { others_from_here: 2, day_signups: 15, ..none() }, vec!["address_burst", "shared_address"]),
            (Beginning { others_from_here: 2, day_signups: 16, ..none() }, vec!["shared_address"]),
            (Beginning { relatives_from_here: 3, ..none() }, vec![]),
            (Beginning { relatives_from_here: 4, ..none() }, vec!["address_burst"]),
            (Beginning { together: 4, siblings: 4, ..none() }, vec![]),
            (
                Beginning { others_from_here: 1, together: 4, siblings: 9, ..none() },
                vec!["address_burst", "shared_address"],
            ),
            (Beginning { others_from_here: 1, together: 4, siblings: 10, ..none() }, vec!["shared_address"]),
            (Beginning { others_from_here: 1, together: 2, siblings: 2, ..none() }, vec!["shared_address"]),
            (Beginning { newcomers_from_here: 4, ..none() }, vec![]),
            (Beginning { newcomers_from_here: 5, ..none() }, vec!["crowded_address"]),
            (Beginning { erased: 2, siblings: 2, ..none() }, vec![]),
            (Beginning { erased: 3, siblings: 9, ..none() }, vec!["erased_soon"]),
            (Beginning { erased: 3, siblings: 10, ..none() }, vec![]),
            (Beginning { company: Company { held: 2, all: 2, is_known: false }, ..none() }, vec![]),
            (Beginning { company: Company { held: 3, all: 6, is_known: false }, ..none() }, vec!["held_company"]),
            (Beginning { company: Company { held: 3, all: 6, is_known: true }, ..none() }, vec![]),
            (Beginning { company: Company { held: 3, all: 7, is_known: false }, ..none() }, vec![]),
            (Beginning { referrer_is_held: true, ..none() }, vec!["held_company"]),
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
}
