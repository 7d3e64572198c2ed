//! What operators do about one developer: finding them, and giving or taking credits by hand.

use super::email::Email;
use super::error::{Error, Result};
use super::id::AccountId;
use super::program::MAX_AMOUNT;
use super::text;

/// The longest address there can be.
const LONGEST_SEARCH: usize = 254;
const LONGEST_REASON: usize = 500;

/// Whom an operator looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    Everyone,
    Account(AccountId),
    /// An e-mail address, or how one begins; in lower case.
    Email(String),
    /// All at one domain, in lower case.
    Domain(String),
    /// The team's own id, or a code; else how an e-mail address begins, or a domain.
    Words(String),
    /// This very address, in lower case.
    Address(String),
    /// The team's own id, a code or a domain.
    Name(String),
}

impl Search {
    /// Reads what was typed into the one field: an id, an address or its beginning, `@domain`, a code, the team's own id.
    pub fn parse(typed: &str) -> Result<Self> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Ok(Self::Everyone);
        }
        let typed = text::display("q", typed, LONGEST_SEARCH)?;
        if let Ok(id) = typed.parse() {
            return Ok(Self::Account(id));
        }
        if let Some(domain) = typed.strip_prefix('@') {
            return Ok(Self::Domain(domain.to_lowercase()));
        }
        if typed.contains('@') {
            let address = Email::parse("q", &typed).map(|email| email.address());
            return Ok(Self::Email(address.unwrap_or_else(|_| typed.to_lowercase())));
        }
        Ok(Self::Words(typed))
    }

    /// The same without beginnings of addresses: for who sees addresses masked, and could find them letter by letter.
    #[must_use]
    pub fn whole(self) -> Self {
        match self {
            Self::Email(address) => Self::Address(address),
            Self::Words(words) => Self::Name(words),
            other => other,
        }
    }
}

/// Credits that an operator gives (above zero) or takes back (below), and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    pub amount: i64,
    pub reason: String,
}

impl Adjustment {
    /// `Invalid` for nothing at all, for too much, and for no reason.
    pub fn parse(amount: i64, reason: &str) -> Result<Self> {
        if amount == 0 {
            return Err(Error::field("amount", "out_of_range", "Give an amount other than zero."));
        }
        if amount.unsigned_abs() > MAX_AMOUNT.unsigned_abs() {
            let detail = format!("At once, {MAX_AMOUNT} is the most.");
            return Err(Error::field("amount", "out_of_range", detail));
        }
        Ok(Self { amount, reason: reason_for(reason)? })
    }
}

/// Why an operator does something, as it is kept in the audit log.
pub fn reason_for(typed: &str) -> Result<String> {
    text::display("reason", typed, LONGEST_REASON)
}

/// Refuses to take back more than can be spent: a balance does not go below zero by hand.
pub fn may_take(amount: i64, adjustable: i64, words: impl Fn(i64) -> String) -> Result<()> {
    if amount <= adjustable {
        return Ok(());
    }
    let detail = format!("{} can be taken back: what is spent, or not vested yet, cannot.", words(adjustable));
    Err(Error::field("amount", "insufficient_balance", detail))
}

/// Refuses an erasure that was not meant: its id has to be typed.
pub fn confirmed(account: AccountId, typed: &str) -> Result<()> {
    if typed.trim() == account.to_string() {
        return Ok(());
    }
    Err(Error::field("confirm", "not_confirmed", format!("Type {account} to confirm it.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_it_looks_like() {
        let id = AccountId(77 << 20);
        for (typed, search) in [
            ("  ".to_owned(), Search::Everyone),
            (format!(" {id} "), Search::Account(id)),
            ("Bob@Bob.Example".into(), Search::Email("bob@bob.example".into())),
            ("Bob@B".into(), Search::Email("bob@b".into())),
            ("@Bob.Example".into(), Search::Domain("bob.example".into())),
            ("ALICE2024".into(), Search::Words("ALICE2024".into())),
            ("dev_nothing".into(), Search::Words("dev_nothing".into())),
        ] {
            assert_eq!(Search::parse(&typed).unwrap(), search, "{typed:?}");
        }
        let whole = |typed: &str| Search::parse(typed).unwrap().whole();
        assert_eq!(whole("Bob@Bob.Example"), Search::Address("bob@bob.example".into()));
        assert_eq!(whole("bob"), Search::Name("bob".into()));
        assert_eq!(whole("@bob.example"), Search::Domain("bob.example".into()));
        assert_eq!(Search::parse("a\0b").unwrap_err().code, "invalid_characters");
        assert_eq!(Search::parse(&"x".repeat(255)).unwrap_err().code, "too_long");
    }

    #[test]
    fn each_refusal_of_an_adjustment() {
        for (amount, reason, code) in [
            (0, "why", "out_of_range"),
            (MAX_AMOUNT + 1, "why", "out_of_range"),
            (i64::MIN, "why", "out_of_range"),
            (5, " ", "required"),
            (5, &"x".repeat(501), "too_long"),
        ] {
            assert_eq!(Adjustment::parse(amount, reason).unwrap_err().code, code, "{amount}");
        }
        assert_eq!(Adjustment::parse(-MAX_AMOUNT, " why ").unwrap().reason, "why");
        may_take(5, 5, |amount| amount.to_string()).unwrap();
        assert_eq!(may_take(6, 5, |amount| amount.to_string()).unwrap_err().code, "insufficient_balance");
    }

    #[test]
    fn an_erasure_is_confirmed_by_the_very_id() {
        let id = AccountId(77 << 20);
        confirmed(id, &format!(" {id}")).unwrap();
        for typed in ["", "yes", "dev_0000000000001"] {
            assert_eq!(confirmed(id, typed).unwrap_err().code, "not_confirmed");
        }
    }
}
