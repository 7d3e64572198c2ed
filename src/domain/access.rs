//! Who calls, and what they may do.

use super::error::{Error, Kind, Result};
use super::id::{AccountId, KeyId, ProjectId};

/// What a gateway key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    ReferralsRead,
    ReferralsWrite,
    UsageWrite,
    PurchasesWrite,
    Admin,
}

impl Scope {
    pub const ALL: [Self; 5] =
        [Self::ReferralsRead, Self::ReferralsWrite, Self::UsageWrite, Self::PurchasesWrite, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReferralsRead => "referrals:read",
            Self::ReferralsWrite => "referrals:write",
            Self::UsageWrite => "usage:write",
            Self::PurchasesWrite => "purchases:write",
            Self::Admin => "admin",
        }
    }

    /// Parses a comma-separated list: at least one scope, each known, none twice.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut scopes = Vec::new();
        for word in text.split(',').map(str::trim) {
            let scope = Self::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                Error::field("scopes", "unknown_scope", format!("{word:?} is no scope; there are {known}."))
            })?;
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Ok(scopes)
    }

    pub fn join(scopes: &[Self]) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// A key that was presented and is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub key: KeyId,
    pub project: ProjectId,
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    Developer(AccountId),
    Gateway(Vec<Scope>),
}

impl Caller {
    /// The account of a developer key. `Forbidden` for a gateway key.
    pub fn developer(&self) -> Result<AccountId> {
        match self.role {
            Role::Developer(account) => Ok(account),
            Role::Gateway(_) => {
                Err(Error::new(Kind::Forbidden, "developer_key_required", "This call takes a developer's key."))
            }
        }
    }

    /// `Forbidden` unless this is a gateway key with the scope.
    pub fn require(&self, scope: Scope) -> Result<()> {
        match &self.role {
            Role::Gateway(scopes) if scopes.contains(&scope) => Ok(()),
            Role::Gateway(_) => Err(Error::new(
                Kind::Forbidden,
                "scope_required",
                format!("This call takes a key with the scope {}.", scope.as_str()),
            )),
            Role::Developer(_) => {
                Err(Error::new(Kind::Forbidden, "gateway_key_required", "This call takes a gateway key."))
            }
        }
    }
}

/// The text that a secret is stored and looked up by.
pub fn secret_hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// Enough of a key to tell it from others, too little to guess it: `bw_live_1a2b…9f`.
pub fn hint(secret: &str) -> String {
    let (head, tail) = (secret.len().min(12), secret.len().saturating_sub(4));
    format!("{}…{}", &secret[..head], &secret[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role) -> Caller {
        Caller { key: KeyId(1), project: ProjectId(1), role }
    }

    #[test]
    fn each_refusal() {
        let developer = caller(Role::Developer(AccountId(7)));
        let gateway = caller(Role::Gateway(vec![Scope::UsageWrite]));
        assert_eq!(developer.require(Scope::UsageWrite).unwrap_err().code, "gateway_key_required");
        assert_eq!(gateway.require(Scope::Admin).unwrap_err().code, "scope_required");
        assert_eq!(gateway.developer().unwrap_err().code, "developer_key_required");
        assert_eq!(developer.developer().unwrap(), AccountId(7));
        gateway.require(Scope::UsageWrite).unwrap();
    }

    #[test]
    fn scope_lists() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse_list(scope.as_str()).unwrap(), [scope]);
        }
        assert_eq!(Scope::join(&Scope::parse_list("usage:write, admin,admin").unwrap()), "usage:write,admin");
        for text in ["", "usage", "usage:write,", "usage:write,root"] {
            assert!(Scope::parse_list(text).is_err(), "{text}");
        }
    }
}
