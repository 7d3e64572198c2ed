//! One entry, its canonical bytes and its place in the chain.

use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::program::Vesting;
use crate::domain::time;
use std::borrow::Cow;

/// What an entry does to its lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Grant,
    Spend,
    Expire,
    Reverse,
    Payout,
    PayoutReturn,
    Repay,
}

impl EntryKind {
    const ALL: [Self; 7] =
        [Self::Grant, Self::Spend, Self::Expire, Self::Reverse, Self::Payout, Self::PayoutReturn, Self::Repay];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Spend => "spend",
            Self::Expire => "expire",
            Self::Reverse => "reverse",
            Self::Payout => "payout",
            Self::PayoutReturn => "payout_return",
            Self::Repay => "repay",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One immutable row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub seq: i64,
    pub project: ProjectId,
    pub account: AccountId,
    /// `seq` of the grant that brought these credits in.
    pub lot: i64,
    pub kind: EntryKind,
    /// Positive when it brings credits, negative when it takes them.
    pub amount: i64,
    pub reason: Cow<'static, str>,
    /// `seq` of the first entry of the movement that this one is part of.
    pub group_seq: i64,
    /// The lot that is reversed or repaid, also where another lot pays for it.
    pub origin_lot: Option<i64>,
    pub referral: Option<ReferralId>,
    pub purchase: Option<i64>,
    pub decision: Option<i64>,
    pub program_version: Option<i64>,
    pub vests_at_ms: Option<i64>,
    pub vesting: Option<Vesting>,
    /// Of a grant; of a return from a payout, the later one that the lot has from now on.
    pub expires_at_ms: Option<i64>,
    pub at_ms: i64,
    pub prev_hash: [u8; 32],
    pub hash: [u8; 32],
}

impl Entry {
    /// blake3 over the version word and every field but the hash itself, each led by its length as 32 bits little
    /// endian. Integers are 64 bits little endian; an absent field has the length 2³²-1 and no bytes.
    pub fn compute_hash(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(320);
        put(&mut bytes, Some(b"refloop-entry-v1"));
        put_int(&mut bytes, Some(self.seq));
        put_int(&mut bytes, Some(self.project.0));
        put_int(&mut bytes, Some(self.account.0));
        put_int(&mut bytes, Some(self.lot));
        put(&mut bytes, Some(self.kind.as_str().as_bytes()));
        put_int(&mut bytes, Some(self.amount));
        put(&mut bytes, Some(self.reason.as_bytes()));
        put_int(&mut bytes, Some(self.group_seq));
        put_int(&mut bytes, self.origin_lot);
        put_int(&mut bytes, self.referral.map(|id| id.0));
        put_int(&mut bytes, self.purchase);
        put_int(&mut bytes, self.decision);
        put_int(&mut bytes, self.program_version);
        put_int(&mut bytes, self.vests_at_ms);
        put(&mut bytes, self.vesting.map(|vesting| vesting.as_str().as_bytes()));
        put_int(&mut bytes, self.expires_at_ms);
        put_int(&mut bytes, Some(self.at_ms));
        put(&mut bytes, Some(&self.prev_hash));
        *blake3::hash(&bytes).as_bytes()
    }
}

/// A field of a canonical encoding.
pub fn put(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            bytes.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(field);
        }
        None => bytes.extend(u32::MAX.to_le_bytes()),
    }
}

pub fn put_int(bytes: &mut Vec<u8>, field: Option<i64>) {
    put(bytes, field.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
}

/// What an instance keeps in a hash chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    Ledger,
    Audit,
}

impl Chain {
    /// What its signed heads begin with, so that none passes for another's.
    fn word(self) -> &'static str {
        match self {
            Self::Ledger => "refloop-head-v1",
            Self::Audit => "refloop-audit-head-v1",
        }
    }
}

/// The newest row's number and hash: all that one needs to keep to prove later that nothing was rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub hash: [u8; 32],
}

impl Head {
    /// The head of a ledger without entries.
    pub const EMPTY: Self = Self { seq: 0, hash: [0; 32] };

    /// The head after this entry, or what is wrong with it as the next one.
    pub fn follow(self, entry: &Entry) -> Result<Self, String> {
        let next = self.seq + 1;
        if entry.seq > next {
            return Err(format!("entry {next} is missing"));
        }
        if entry.seq < next {
            return Err(format!("entry {} stands where {next} belongs", entry.seq));
        }
        if entry.hash != entry.compute_hash() {
            return Err("the entry was changed: its hash does not match its fields".into());
        }
        if entry.prev_hash != self.hash {
            return Err("the chain is broken: the entry does not follow the one before it".into());
        }
        Ok(Self { seq: entry.seq, hash: entry.hash })
    }

    /// What an instance signs when it states its head at a time (RFC 3339).
    pub fn signed_bytes(&self, chain: Chain, at: &str) -> Vec<u8> {
        format!("{}\n{}\n{}\n{at}\n", chain.word(), self.seq, hex::encode(self.hash)).into_bytes()
    }

    /// The head as it is shown, signed with the instance's ed25519 key.
    pub fn sign(&self, chain: Chain, signing_key: &[u8; 32], now_ms: i64) -> SignedHead {
        use ed25519_dalek::Signer;
        let key = ed25519_dalek::SigningKey::from_bytes(signing_key);
        let at = time::rfc3339(now_ms);
        SignedHead {
            seq: self.seq,
            hash: hex::encode(self.hash),
            signature: hex::encode(key.sign(&self.signed_bytes(chain, &at)).to_bytes()),
            public_key: hex::encode(key.verifying_key().to_bytes()),
            at,
        }
    }
}

/// A head with its proof; hash, signature and key in hex.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SignedHead {
    pub seq: i64,
    pub hash: String,
    pub at: String,
    pub signature: String,
    pub public_key: String,
}

impl SignedHead {
    /// The head, if this instance signed it as one of that chain.
    pub fn check(&self, chain: Chain, public_key: &[u8; 32]) -> Result<Head, String> {
        let bytes = |text: &str| hex::decode(text).map_err(|_| "the kept head is not in hex".to_owned());
        let hash = bytes(&self.hash)?.try_into().map_err(|_| "the kept head's hash has not 32 bytes".to_owned())?;
        let head = Head { seq: self.seq, hash };
        if bytes(&self.public_key)? != public_key {
            return Err("the kept head was signed with another instance's key".into());
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(public_key).map_err(|fault| fault.to_string())?;
        let signature = ed25519_dalek::Signature::from_slice(&bytes(&self.signature)?)
            .map_err(|_| "the kept head's signature has not 64 bytes".to_owned())?;
        key.verify_strict(&head.signed_bytes(chain, &self.at), &signature)
            .map_err(|_| "the kept head's signature is not good".to_owned())?;
        Ok(head)
    }
}

/// What anyone may keep: the ledger's head, and beside it the audit log's at the same moment, each with its proof. A
/// kept head may lack the second.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Heads {
    #[serde(flatten)]
    pub ledger: SignedHead,
    pub audit: Option<SignedHead>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            seq: 1,
            project: ProjectId(2),
            account: AccountId(3),
            lot: 1,
            kind: EntryKind::Grant,
            amount: 500,
            reason: "referral_signup".into(),
            group_seq: 1,
            origin_lot: None,
            referral: Some(ReferralId(4)),
            purchase: None,
            decision: Some(5),
            program_version: Some(6),
            vests_at_ms: Some(7),
            vesting: Some(Vesting::Cliff),
            expires_at_ms: None,
            at_ms: 8,
            prev_hash: [0; 32],
            hash: [0; 32],
        }
    }

    fn sealed() -> Entry {
        let mut entry = entry();
        entry.hash = entry.compute_hash();
        entry
    }

    #[test]
    fn the_encoding_is_fixed() {
        insta::assert_snapshot!(hex::encode(entry().compute_hash()), @"20e3244813aeffe9fc72dd580f8e3f15f5def962fe46348b6ae989fbc117c3ca");
    }

    #[test]
    fn every_field_is_in_the_hash() {
        let changes: [fn(&mut Entry); 18] = [
            |e| e.seq += 1,
            |e| e.project.0 += 1,
            |e| e.account.0 += 1,
            |e| e.lot += 1,
            |e| e.kind = EntryKind::Spend,
            |e| e.amount += 1,
            |e| e.reason.to_mut().push('x'),
            |e| e.group_seq += 1,
            |e| e.origin_lot = Some(0),
            |e| e.referral = None,
            |e| e.purchase = Some(0),
            |e| e.decision = None,
            |e| e.program_version = None,
            |e| e.vests_at_ms = None,
            |e| e.vesting = Some(Vesting::Linear),
            |e| e.expires_at_ms = Some(0),
            |e| e.at_ms += 1,
            |e| e.prev_hash = [1; 32],
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut altered = entry();
            change(&mut altered);
            assert_ne!(altered.compute_hash(), entry().compute_hash(), "field {place}");
        }
    }

    #[test]
    fn each_break_of_the_chain() {
        let good = sealed();
        let head = Head::EMPTY.follow(&good).unwrap();
        assert!(head.follow(&good).unwrap_err().contains("stands where 2 belongs"));
        assert!(Head::EMPTY.follow(&Entry { seq: 3, ..good.clone() }).unwrap_err().contains("1 is missing"));
        assert!(Head::EMPTY.follow(&Entry { amount: 501, ..good.clone() }).unwrap_err().contains("changed"));
        let other = Head { seq: 0, hash: [9; 32] };
        assert!(other.follow(&good).unwrap_err().contains("broken"));
    }

    #[test]
    fn a_signed_head_cannot_be_altered() {
        let key = [7; 32];
        let head = Head { seq: 12, hash: [1; 32] };
        let signed = head.sign(Chain::Ledger, &key, 1_000);
        let public_key: [u8; 32] = hex::decode(&signed.public_key).unwrap().try_into().unwrap();
        assert_eq!(signed.check(Chain::Ledger, &public_key).unwrap(), head);
        assert!(signed.check(Chain::Audit, &public_key).is_err(), "it is no other chain's");
        for forged in [
            SignedHead { seq: 11, ..signed.clone() },
            SignedHead { hash: hex::encode([2; 32]), ..signed.clone() },
            SignedHead { at: "2026-01-01T00:00:00Z".into(), ..signed.clone() },
            SignedHead { signature: "00".repeat(64), ..signed.clone() },
            SignedHead { signature: "zz".into(), ..signed.clone() },
            SignedHead { public_key: "00".repeat(32), ..signed.clone() },
        ] {
            assert!(forged.check(Chain::Ledger, &public_key).is_err());
        }
    }
}
