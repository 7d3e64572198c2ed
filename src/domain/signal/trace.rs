//! What somebody leaves behind on a day: hashes that are worthless once the day is over.

use crate::domain::id::ProjectId;
use std::net::IpAddr;

/// What a trace was left by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TraceKind {
    /// A network address, by who was seen there.
    Address,
    /// The browsers that have signed in to an account, a mailbox without what is easily varied, and its word: by who has
    /// erased the account.
    Browser,
    Spelling,
    Series,
}

impl TraceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Browser => "browser",
            Self::Spelling => "spelling",
            Self::Series => "series",
        }
    }
}

/// A hash under the day's key, or thrown away together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trace(pub [u8; 16]);

impl Trace {
    pub fn of(key: &[u8; 32], project: ProjectId, kind: TraceKind, bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(kind.as_str().as_bytes()).update(&project.0.to_le_bytes()).update(bytes);
        Self::from_hash(&hasher.finalize())
    }

    pub fn from_hash(hash: &blake3::Hash) -> Self {
        Self(hash.as_bytes()[..16].try_into().unwrap_or_default())
    }

    /// `None` for the machine itself: who comes from there came through something that hides where they are.
    pub fn of_address(key: &[u8; 32], project: ProjectId, network: IpAddr) -> Option<Self> {
        let network = network.to_canonical();
        if network.is_loopback() || network.is_unspecified() {
            return None;
        }
        Some(match network {
            IpAddr::V4(address) => Self::of(key, project, TraceKind::Address, &address.octets()),
            IpAddr::V6(address) => Self::of(key, project, TraceKind::Address, &address.octets()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_hash_under_the_day_s_key_in_a_project() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let here = Trace::of_address(&[1; 32], ProjectId(1), ip("192.0.2.1"));
        assert!(here.is_some());
        assert_eq!(here, Trace::of_address(&[1; 32], ProjectId(1), ip("::ffff:192.0.2.1")));
        assert_ne!(here, Trace::of_address(&[2; 32], ProjectId(1), ip("192.0.2.1")));
        assert_ne!(here, Trace::of_address(&[1; 32], ProjectId(2), ip("192.0.2.1")));
        assert_ne!(here, Trace::of_address(&[1; 32], ProjectId(1), ip("192.0.2.2")));
        assert_ne!(here, Some(Trace::of(&[1; 32], ProjectId(1), TraceKind::Spelling, &[192, 0, 2, 1])));
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0"] {
            assert_eq!(Trace::of_address(&[1; 32], ProjectId(1), ip(own)), None, "{own}");
        }
    }
}
