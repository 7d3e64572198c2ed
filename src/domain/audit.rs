//! The audit log: who did what to the programme, in a hash chain of its own.
//!
//! Operators, keys and the command line are named by their ids: no row holds a name, an address or a secret, so that
//! erasing a person never has to touch it. Each row also carries the ledger's head of its time, so that entries
//! cannot be rewritten under it. Nothing in the ledger names the log: its own head, by which one notices that it was
//! cut, is served and signed beside the ledger's.

use super::error::{Error, Result};
use super::id::{KeyId, OperatorId, ProjectId, TeamId};
use super::ledger::{Head, put, put_int};

/// What was done, as noun and verb.
pub mod action {
    pub const ACCOUNT_ADJUST: &str = "account.adjust";
    pub const ACCOUNT_ERASE: &str = "account.erase";
    pub const ACCOUNT_KEYS: &str = "account.keys";
    pub const ACCOUNT_SIGN_OUT: &str = "account.sign_out";
    pub const AGREEMENT_CHANGE: &str = "agreement.change";
    pub const CODE_CREATE: &str = "code.create";
    pub const CODE_REVOKE: &str = "code.revoke";
    pub const DELIVERY_DISCARD: &str = "delivery.discard";
    pub const DELIVERY_RETRY: &str = "delivery.retry";
    pub const KEY_CREATE: &str = "key.create";
    pub const KEY_REVOKE: &str = "key.revoke";
    pub const LIMIT_CHANGE: &str = "limit.change";
    pub const LIMIT_LIFT: &str = "limit.lift";
    pub const OPERATOR_CREATE: &str = "operator.create";
    pub const OPERATOR_INVITE: &str = "operator.invite";
    pub const OPERATOR_JOIN: &str = "operator.join";
    pub const OPERATOR_PASSWORD: &str = "operator.password";
    pub const OPERATOR_REMOVE: &str = "operator.remove";
    pub const OPERATOR_ROLE: &str = "operator.role";
    pub const OPERATOR_SECOND_FACTOR_OFF: &str = "operator.second_factor_off";
    pub const OPERATOR_SECOND_FACTOR_ON: &str = "operator.second_factor_on";
    pub const OPERATOR_SIGN_IN: &str = "operator.sign_in";
    pub const OPERATOR_SIGN_IN_FAILED: &str = "operator.sign_in_failed";
    pub const OPERATOR_SIGN_OUT: &str = "operator.sign_out";
    pub const PAYOUT_APPROVE: &str = "payout.approve";
    pub const PAYOUT_CANCEL: &str = "payout.cancel";
    pub const PAYOUT_RESOLVE: &str = "payout.resolve";
    pub const PAYOUT_RETRY: &str = "payout.retry";
    pub const PROGRAM_CHANGE: &str = "program.change";
    pub const PROJECT_CHANGE: &str = "project.change";
    pub const PROJECT_CREATE: &str = "project.create";
    pub const REFERRAL_APPLY: &str = "referral.apply";
    pub const REFERRAL_CLEAR: &str = "referral.clear";
    pub const REFERRAL_REJECT: &str = "referral.reject";
    pub const REFERRAL_REJECT_ALL: &str = "referral.reject_all";
    pub const REFERRAL_REJECT_ALL_BEGIN: &str = "referral.reject_all_begin";
    pub const REFERRAL_REOPEN: &str = "referral.reopen";
}

/// Who acted, as the audit log names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    Operator(OperatorId),
    Key(KeyId),
    CommandLine,
    FirstStart,
    /// Somebody who is not known, such as who gets a password wrong.
    Visitor,
}

impl Actor {
    /// Parses what [`Actor`] prints. `NotFound` for any other text.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "command line" => Ok(Self::CommandLine),
            "first start" => Ok(Self::FirstStart),
            "visitor" => Ok(Self::Visitor),
            _ => text.parse().map(Self::Operator).or_else(|_| text.parse().map(Self::Key)).map_err(|_| {
                Error::not_found("An actor is op_…, key_…, \"command line\", \"first start\" or \"visitor\".")
            }),
        }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator(id) => id.fmt(f),
            Self::Key(id) => id.fmt(f),
            Self::CommandLine => f.write_str("command line"),
            Self::FirstStart => f.write_str("first start"),
            Self::Visitor => f.write_str("visitor"),
        }
    }
}

/// In characters.
pub const LONGEST_ACTION: usize = 40;
pub const LONGEST_REASON: usize = 500;

/// One immutable row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub seq: i64,
    /// Whose operators see it.
    pub team: TeamId,
    /// `None`: it is about the team itself.
    pub project: Option<ProjectId>,
    /// As [`Actor`] prints it.
    pub actor: String,
    pub action: String,
    /// The text id of what it was done to.
    pub subject: Option<String>,
    pub reason: Option<String>,
    /// A JSON object, as it was written.
    pub details: String,
    /// The ledger's at that time.
    pub ledger: Head,
    pub at_ms: i64,
    pub prev_hash: [u8; 32],
    pub hash: [u8; 32],
}

impl Record {
    /// blake3 over the version word and every field but the hash itself, in the encoding of the ledger's entries.
    pub fn compute_hash(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(512);
        let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        put(&mut bytes, Some(b"refloop-audit-v1"));
        put_int(&mut bytes, Some(self.seq));
        put_int(&mut bytes, Some(self.team.0));
        put_int(&mut bytes, self.project.map(|id| id.0));
        put(&mut bytes, Some(self.actor.as_bytes()));
        put(&mut bytes, Some(self.action.as_bytes()));
        put(&mut bytes, text(&self.subject).as_deref());
        put(&mut bytes, text(&self.reason).as_deref());
        put(&mut bytes, Some(self.details.as_bytes()));
        put_int(&mut bytes, Some(self.ledger.seq));
        put(&mut bytes, Some(&self.ledger.hash));
        put_int(&mut bytes, Some(self.at_ms));
        put(&mut bytes, Some(&self.prev_hash));
        *blake3::hash(&bytes).as_bytes()
    }

    /// The log's head after this row, or what is wrong with it as the next one.
    pub fn follow(&self, head: Head) -> std::result::Result<Head, String> {
        let next = head.seq + 1;
        if self.seq > next {
            return Err(format!("row {next} is missing"));
        }
        if self.seq < next {
            return Err(format!("the row stands where {next} belongs"));
        }
        if self.hash != self.compute_hash() {
            return Err("the row was changed: its hash does not match its fields".into());
        }
        if self.prev_hash != head.hash {
            return Err("the chain is broken: the row does not follow the one before it".into());
        }
        Ok(Head { seq: self.seq, hash: self.hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            seq: 1,
            team: TeamId(2),
            project: Some(ProjectId(3)),
            actor: Actor::Operator(OperatorId(4)).to_string(),
            action: action::PROGRAM_CHANGE.into(),
            subject: Some("v2".into()),
            reason: Some("spring".into()),
            details: "{}".into(),
            ledger: Head { seq: 5, hash: [6; 32] },
            at_ms: 7,
            prev_hash: [0; 32],
            hash: [0; 32],
        }
    }

    #[test]
    fn actors_read_as_they_print() {
        for actor in [
            Actor::Operator(OperatorId(4)),
            Actor::Key(KeyId(5)),
            Actor::CommandLine,
            Actor::FirstStart,
            Actor::Visitor,
        ] {
            assert_eq!(Actor::parse(&actor.to_string()).unwrap(), actor);
        }
        assert!(Actor::parse("somebody").is_err());
    }

    #[test]
    fn the_encoding_is_fixed() {
        insta::assert_snapshot!(hex::encode(record().compute_hash()), @"a342bbbfcd54b5c15d7ce409cd70be2c15beb19ef2df70a29dd0220d11d668d1");
    }

    #[test]
    fn every_field_is_in_the_hash() {
        let changes: [fn(&mut Record); 12] = [
            |r| r.seq += 1,
            |r| r.team.0 += 1,
            |r| r.project = None,
            |r| r.actor.push('x'),
            |r| r.action.push('x'),
            |r| r.subject = None,
            |r| r.reason = None,
            |r| r.details.push(' '),
            |r| r.ledger.seq += 1,
            |r| r.ledger.hash = [7; 32],
            |r| r.at_ms += 1,
            |r| r.prev_hash = [1; 32],
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut altered = record();
            change(&mut altered);
            assert_ne!(altered.compute_hash(), record().compute_hash(), "field {place}");
        }
    }

    #[test]
    fn each_break_of_the_chain() {
        let mut good = record();
        good.hash = good.compute_hash();
        let head = good.follow(Head::EMPTY).unwrap();
        assert!(good.follow(head).unwrap_err().contains("where 2 belongs"));
        assert!(Record { seq: 3, ..good.clone() }.follow(Head::EMPTY).unwrap_err().contains("1 is missing"));
        assert!(Record { details: "[]".into(), ..good.clone() }.follow(Head::EMPTY).unwrap_err().contains("changed"));
        assert!(good.follow(Head { seq: 0, hash: [9; 32] }).unwrap_err().contains("broken"));
    }
}
