//! The partner track: its agreement, and what keeps an account from leaving it.

use super::error::{Error, Result};
use super::payout;
use super::program::Program;
use super::text;

/// What a project starts with.
pub const DEFAULT_AGREEMENT: &str = include_str!("partner_agreement.md");
const LONGEST_AGREEMENT_BYTES: usize = 64 * 1024;

/// A text of the team's own, in Markdown.
pub fn agreement(field: &str, value: &str) -> Result<String> {
    let value = value.replace("\r\n", "\n");
    if value.trim().is_empty() {
        return Err(Error::field(field, "required", "There is nothing in it."));
    }
    if value.len() > LONGEST_AGREEMENT_BYTES {
        return Err(Error::field(field, "too_long", "An agreement has at most 64 KiB."));
    }
    value.split(['\n', '\t']).try_for_each(|line| text::printable(field, line).map(|_| ()))?;
    Ok(value)
}

/// The name under an agreement.
pub fn signature(field: &str, name: &str) -> Result<String> {
    text::display(field, name, 100)
}

/// The currency that partners are paid in. `Conflict` where the unit is credits, which are nobody's money.
pub fn currency(program: &Program) -> Result<&str> {
    match program.unit.as_str() {
        "credits" => Err(Error::conflict("no_partner_track", "This programme gives credits; it has no partner track.")),
        currency => Ok(currency),
    }
}

/// What a partner has. What can be paid out is what is left of vested commissions, less debts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartnerBalance {
    pub available: i64,
    pub pending: i64,
    /// In a payout that is under way.
    pub reserved: i64,
    pub paid: i64,
    pub owed: i64,
}

/// Refuses the way back to the basic track as long as there is something to be paid out, or may be. Debts and credits
/// that are not paid out stay with the account on either track.
pub fn may_leave(balance: &PartnerBalance, has_open_payout: bool) -> Result<()> {
    if has_open_payout {
        return Err(payout::payout_open());
    }
    if balance.available > 0 {
        return Err(Error::conflict("balance_remaining", "There is something left to be paid out."));
    }
    if balance.pending > 0 {
        return Err(Error::conflict("commission_pending", "There are commissions whose hold has not ended."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    #[test]
    fn each_refusal_to_leave() {
        let none = PartnerBalance { paid: 9_000, owed: 5, ..PartnerBalance::default() };
        may_leave(&none, false).unwrap();
        for (balance, open, code) in [
            (none, true, "payout_open"),
            (PartnerBalance { available: 1, pending: 1, ..none }, false, "balance_remaining"),
            (PartnerBalance { pending: 1, ..none }, false, "commission_pending"),
        ] {
            assert_eq!(may_leave(&balance, open).unwrap_err().code, code);
        }
    }

    #[test]
    fn agreements_and_currencies() {
        assert_eq!(agreement("a", DEFAULT_AGREEMENT).unwrap(), DEFAULT_AGREEMENT);
        assert_eq!(agreement("a", "# A\r\n\tb\n").unwrap(), "# A\n\tb\n");
        for (text, code) in [(" \n", "required"), ("a\0b", "invalid_characters"), ("a\u{202e}b", "invalid_characters")]
        {
            assert_eq!(agreement("a", text).unwrap_err().code, code);
        }
        assert_eq!(agreement("a", &"x".repeat(64 * 1024 + 1)).unwrap_err().code, "too_long");
        assert_eq!(currency(&Preset::Commission.program()).unwrap(), "usd");
        assert_eq!(currency(&Preset::Credits.program()).unwrap_err().code, "no_partner_track");
    }
}
