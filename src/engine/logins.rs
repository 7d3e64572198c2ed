//! Passwords that are tried: by what the tries are counted, and whether they are right.
//!
//! Whoever guesses an account's password is slowed down, and must not be able to lock its owner out. So a browser that
//! has signed in before holds a token for that account, as OWASP's device cookies do, and its tries are counted by
//! themselves; those of all other browsers are counted together. An address that nobody has is treated the same.

use super::{Engine, secrets};
use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, OperatorId, ProjectId};
use crate::domain::signal::Trace;
use subtle::ConstantTimeEq;

/// In bytes; more is no password of ours, and not worth the work.
const LONGEST_PASSWORD: usize = 4 * 128;
/// Accounts that a browser is known to.
const MOST_DEVICES: usize = 5;
const NONCE_LENGTH: usize = 32;
const DEVICE_LENGTH: usize = NONCE_LENGTH + 64;

/// What someone signs in with, as it was typed.
pub struct Credentials {
    pub email: String,
    pub password: String,
}

/// Tokens by which a browser shows that it has signed in to accounts before, newest first.
#[derive(Debug, Clone, Default)]
pub struct Devices(Vec<String>);

impl Devices {
    /// What is no token is left out.
    pub fn parse(text: &str) -> Self {
        let token = |part: &&str| part.len() == DEVICE_LENGTH && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        Self(text.split('.').filter(token).take(MOST_DEVICES).map(str::to_owned).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// What a browser brings along when a session begins in it.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    /// The session that it had.
    pub previous: Option<String>,
    pub devices: Devices,
    /// Such as "Firefox on Linux".
    pub name: Option<String>,
}

/// A session that has begun. The browser alone knows its token.
pub struct BegunSession {
    pub token: String,
    pub devices: Devices,
}

/// By what a try is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess {
    /// A keyed hash of whose password is tried, and if the browser is known there, of its token.
    pub counted_by: u64,
    pub by_known_browser: bool,
    /// Whose it is, if it is anybody's: for who asks whom a limit holds up.
    pub of: Option<Owner>,
}

/// A password that was not looked at yet, and what it is for.
pub struct Attempt<Id> {
    pub guess: Guess,
    password: String,
    found: Option<(Id, String)>,
}

impl<Id: Copy> Attempt<Id> {
    /// Whose password is tried, if it is anybody's.
    pub(super) fn owner(&self) -> Option<Id> {
        self.found.as_ref().map(|(id, _)| *id)
    }
}

/// Who has a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Account(AccountId),
    Operator(OperatorId),
}

impl From<AccountId> for Owner {
    fn from(id: AccountId) -> Self {
        Self::Account(id)
    }
}

impl From<OperatorId> for Owner {
    fn from(id: OperatorId) -> Self {
        Self::Operator(id)
    }
}

/// The address as accounts have it; what is no address stands for itself, and finds nobody.
pub(super) fn address(typed: &str) -> String {
    Email::parse("email", typed).map_or_else(|_| typed.to_owned(), |email| email.address())
}

pub(super) fn wrong() -> Error {
    Error::new(Kind::Unauthenticated, "invalid_login", "The e-mail address or the password is wrong.")
}

/// By what the browsers are known that have signed in to an account. The password's hash is in it: a new password makes
/// the tokens of the old one worthless.
fn browsers_key(pepper: &[u8; 32], owner: Owner, password_hash: &str) -> Trace {
    let (kind, id) = match owner {
        Owner::Account(AccountId(id)) => (b'a', id),
        Owner::Operator(OperatorId(id)) => (b'o', id),
    };
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key("refloop 2026 known browser", pepper));
    hasher.update(&[kind]).update(&id.to_le_bytes()).update(password_hash.as_bytes());
    Trace::from_hash(&hasher.finalize())
}

/// What the browsers of an account are still known by when it is erased, until the day is over.
pub fn browsers_of(pepper: &[u8; 32], account: AccountId, password_hash: &str) -> Trace {
    browsers_key(pepper, account.into(), password_hash)
}

/// The part of a token that only this server can make.
fn device_mac(browsers: Trace, nonce: &str) -> String {
    let key = blake3::derive_key("refloop 2026 browser's token", &browsers.0);
    blake3::keyed_hash(&key, nonce.as_bytes()).to_hex().to_string()
}

impl Devices {
    /// The nonce of the token that the browser has for this owner, if it has signed in as them since the password is
    /// what it is.
    fn nonce_of(&self, browsers: Trace) -> Option<&str> {
        self.0.iter().find_map(|token| {
            let (nonce, mac) = token.split_at(NONCE_LENGTH);
            let expected = device_mac(browsers, nonce);
            bool::from(mac.as_bytes().ct_eq(expected.as_bytes())).then_some(nonce)
        })
    }

    /// Whether the browser has signed in as this account.
    pub(super) fn know(&self, pepper: &[u8; 32], account: AccountId, password_hash: &str) -> bool {
        self.are_among(browsers_key(pepper, account.into(), password_hash))
    }

    /// Whether it is one of the browsers that are known by this.
    pub(super) fn are_among(&self, browsers: Trace) -> bool {
        self.nonce_of(browsers).is_some()
    }
}

impl Engine {
    fn keyed(&self, purpose: &str) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&blake3::derive_key(purpose, &self.store.instance().pepper))
    }

    /// The nonce of the token that the browser has for this owner.
    fn known_by<'d>(&self, owner: Owner, password_hash: &str, devices: &'d Devices) -> Option<&'d str> {
        devices.nonce_of(browsers_key(&self.store.instance().pepper, owner, password_hash))
    }

    /// The browser's tokens after it has signed in: a new one for this owner, and those for others.
    pub(super) fn known_from_now(&self, owner: Owner, password_hash: &str, devices: &Devices) -> Result<Devices> {
        let nonce = secrets::fresh("")?.split_off(NONCE_LENGTH);
        let old = self.known_by(owner, password_hash, devices);
        let others = devices.0.iter().filter(|token| old.is_none_or(|old| !token.starts_with(old)));
        let browsers = browsers_key(&self.store.instance().pepper, owner, password_hash);
        let fresh = format!("{nonce}{}", device_mac(browsers, &nonce));
        Ok(Devices(std::iter::once(fresh).chain(others.cloned()).take(MOST_DEVICES).collect()))
    }

    /// Operators have no project.
    pub(super) fn attempt<Id: Copy + Into<Owner>>(
        &self,
        project: Option<ProjectId>,
        Credentials { email, password }: Credentials,
        found: Option<(Id, Option<String>)>,
        devices: &Devices,
    ) -> Attempt<Id> {
        let found = found.and_then(|(id, hash)| Some((id, hash?)));
        // The same work where there is nobody.
        let (owner, hash) = match &found {
            Some((id, hash)) => ((*id).into(), hash.as_str()),
            None => (Owner::Account(AccountId(0)), ""),
        };
        let nonce = self.known_by(owner, hash, devices).filter(|_| found.is_some());
        let mut hasher = self.keyed("refloop 2026 tries at a password");
        hasher.update(&project.map_or(0, |project| project.0).to_le_bytes());
        hasher.update(nonce.unwrap_or_default().as_bytes()).update(b" ").update(email.as_bytes());
        let counted_by = u64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().unwrap_or_default());
        let of = found.as_ref().map(|_| owner);
        Attempt { guess: Guess { counted_by, by_known_browser: nonce.is_some(), of }, password, found }
    }

    /// By what tries at the code of an operator's second factor are counted.
    pub(super) fn code_guess(&self, operator: OperatorId, password_hash: &str, devices: &Devices) -> Guess {
        let nonce = self.known_by(operator.into(), password_hash, devices);
        let mut hasher = self.keyed("refloop 2026 tries at a code");
        hasher.update(&operator.0.to_le_bytes()).update(nonce.unwrap_or_default().as_bytes());
        let counted_by = u64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().unwrap_or_default());
        Guess { counted_by, by_known_browser: nonce.is_some(), of: Some(operator.into()) }
    }

    /// Who it is, with the hash of the password. `Unauthenticated` for an address or a password that is wrong: the same
    /// answer after the same work, so that nobody learns which of the two it is.
    pub(super) async fn pass<Id: Copy>(&self, attempt: Attempt<Id>) -> Result<(Id, String)> {
        let Attempt { password, found, .. } = attempt;
        let (1..=LONGEST_PASSWORD) = password.len() else { return Err(wrong()) };
        let matches = self.password_matches(password, found.as_ref().map(|(_, hash)| hash.clone())).await?;
        found.filter(|_| matches).ok_or_else(wrong)
    }
}
