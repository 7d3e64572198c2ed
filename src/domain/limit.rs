//! The rate limits by their names, and what can be set for them.

use super::error::{Error, Result};

/// A limit that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitName {
    Signup,
    BadKey,
    Login,
    Public,
    Convert,
    Mail,
    Developer,
    Gateway,
}

/// The most that can be set.
pub const MOST: i64 = 10_000_000;

impl LimitName {
    pub const ALL: [Self; 8] = [
        Self::Signup,
        Self::BadKey,
        Self::Login,
        Self::Public,
        Self::Convert,
        Self::Mail,
        Self::Developer,
        Self::Gateway,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::BadKey => "bad_key",
            Self::Login => "login",
            Self::Public => "public",
            Self::Convert => "convert",
            Self::Mail => "mail",
            Self::Developer => "developer",
            Self::Gateway => "gateway",
        }
    }

    /// `NotFound` for a name that no limit has.
    pub fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| Error::not_found("There is no such limit."))
    }

    /// What it counts, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Signup => "Signups from one network",
            Self::BadKey => "Bad keys, and tries at passwords, from one network",
            Self::Login => "Tries at one account's password",
            Self::Public => "Public pages and calls from one network",
            Self::Convert => "Conversions from one network",
            Self::Mail => "Mails asked for by one address",
            Self::Developer => "Requests of one developer key, operator or user",
            Self::Gateway => "Requests of one gateway key",
        }
    }

    /// The unit of time that it counts in.
    pub fn period(self) -> (&'static str, u64) {
        match self {
            Self::Signup | Self::Login | Self::Convert | Self::Mail => ("hour", 3_600),
            Self::BadKey | Self::Public | Self::Developer => ("minute", 60),
            Self::Gateway => ("second", 1),
        }
    }

    /// Whether anybody could guess at passwords and keys without end if there were none.
    fn guards_secrets(self) -> bool {
        matches!(self, Self::BadKey | Self::Login)
    }

    /// A count that can be set. `Invalid`: 0 would be no limit, which those that guard secrets must not be.
    pub fn check(self, count: i64) -> Result<u32> {
        let least = i64::from(self.guards_secrets());
        let refuse = || Error::field("count", "out_of_range", format!("This is {least} to {MOST}."));
        if (least..=MOST).contains(&count) { u32::try_from(count).map_err(|_| refuse()) } else { Err(refuse()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_set() {
        for name in LimitName::ALL {
            assert_eq!(LimitName::parse(name.as_str()).unwrap(), name);
            assert_eq!(name.check(MOST).unwrap(), 10_000_000);
            assert!(name.check(MOST + 1).is_err() && name.check(-1).is_err());
            assert_eq!(name.check(0).is_ok(), !matches!(name, LimitName::BadKey | LimitName::Login));
        }
        assert!(LimitName::parse("all").is_err());
    }
}
