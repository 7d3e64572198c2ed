//! Public ids: a prefix and a time-ordered 63-bit key in Crockford's base 32.
//!
//! The key is the row's integer primary key, so an id needs no index of its own.

use super::error::{Error, Result};

/// Bits below the milliseconds that tell apart what is made within one of them.
const ENTROPY_BITS: u32 = 20;
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 13;

/// A fresh key: time in the upper bits, entropy below, and always above `last`.
pub fn next_key(now_ms: i64, entropy: u32, last: i64) -> i64 {
    let low = i64::from(entropy & ((1 << ENTROPY_BITS) - 1));
    ((now_ms.max(0) << ENTROPY_BITS) | low).max(last + 1)
}

/// The smallest key that could have been made at this time.
pub fn first_key_at(at_ms: i64) -> i64 {
    at_ms.max(0) << ENTROPY_BITS
}

fn encode(mut key: i64) -> [u8; LENGTH] {
    let mut text = [b'0'; LENGTH];
    for place in text.iter_mut().rev() {
        *place = DIGITS[usize::try_from(key & 31).unwrap_or_default()];
        key >>= 5;
    }
    text
}

fn decode(text: &str) -> Option<i64> {
    if text.len() != LENGTH {
        return None;
    }
    text.bytes().try_fold(0_i64, |key, byte| {
        let digit = DIGITS.iter().position(|&d| d == byte)?;
        key.checked_mul(32)?.checked_add(i64::try_from(digit).ok()?)
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($prefix)?;
                f.write_str(std::str::from_utf8(&encode(self.0)).unwrap_or_default())
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                text.strip_prefix($prefix).and_then(decode).map(Self)
                    .ok_or_else(|| Error::not_found(concat!("No such id (one starts with ", $prefix, ").")))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    )*};
}

ids! {
    /// A team: who runs refloop.
    TeamId = "team_";
    /// A project: one referral programme with its own accounts, codes and ledger entries.
    ProjectId = "proj_";
    /// A team member who runs its projects.
    OperatorId = "op_";
    /// A one-time link for a new operator.
    InvitationId = "inv_";
    /// An account: who refers or is referred.
    AccountId = "dev_";
    /// A referral: referrer, referee and code.
    ReferralId = "ref_";
    /// A developer's or gateway's key (the row, not the secret).
    KeyId = "key_";
    /// An account's session in a browser.
    SessionId = "ses_";
    /// A delivery to another system.
    DeliveryId = "out_";
    /// A ledger entry, by its sequence number.
    EntryId = "rc_";
    /// A payout; also Stripe's idempotency key of its transfer.
    PayoutId = "po_";
    /// A place in a list that is paged.
    Cursor = "cur_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_key_are_the_same_thing() {
        for key in [0, 1, 31, 32, 1_700_000_000_000 << 20, i64::MAX] {
            let id = AccountId(key);
            assert_eq!(id.to_string().parse::<AccountId>().unwrap(), id);
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in
            ["", "dev_", "dev_0", "ref_0000000000001", "dev_000000000000I", "dev_zzzzzzzzzzzzz", "dev_00000000000é"]
        {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_sort_by_time_and_never_repeat() {
        let first = next_key(5, u32::MAX, 0);
        let same_instant = next_key(5, 0, first);
        let clock_went_back = next_key(4, 7, same_instant);
        assert!(first < same_instant && same_instant < clock_went_back);
        assert!(AccountId(first).to_string() < AccountId(next_key(6, 0, 0)).to_string());
        assert!(first_key_at(5) <= first && first < first_key_at(6));
    }
}
