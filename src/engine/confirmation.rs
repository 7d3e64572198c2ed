//! Confirming the address that someone signed up with, where the program asks for it: until then, the code that they
//! came with waits, and they neither use another one nor have one of their own.

use super::logins::Devices;
use super::purchases::pay_for_earlier;
use super::referrals::{Applied, introduce};
use super::usage::{Calls, reach_milestones};
use super::{Engine, letters, payouts};
use crate::domain::access;
use crate::domain::email::Email;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::referral;
use crate::store::{CodeRow, Snapshot, TokenPurpose, Tx};

/// What came of following the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    pub project_name: String,
    /// What became of the code that they came with.
    pub referral: Option<Applied>,
    /// What it brought, in the words of the program, when that is something.
    pub bonus: Option<String>,
}

/// From now on the account's address is to be confirmed.
pub fn ask(tx: &Tx<'_>, project: ProjectId, account: AccountId, code: Option<i64>) -> Result<()> {
    tx.add_unconfirmed(account, code)?;
    letters::confirm_address(tx, project, Some(account))
}

/// `Conflict` for an account whose address is still to be confirmed.
pub fn require(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<()> {
    if db.is_unconfirmed(project, account)? {
        let message = "Confirm your e-mail address first, with the link that was sent to it.";
        return Err(Error::conflict("address_unconfirmed", message));
    }
    Ok(())
}

/// The owner of an address has taken the account over that somebody signed up with it: whoever that was, keys, the
/// account at Stripe, a payout that has not left and the code that they came with are not the owner's.
pub fn take_over(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<()> {
    tx.end_mail_tokens(account, None)?;
    tx.take_unconfirmed(project, account)?;
    tx.revoke_keys_of(project, account)?;
    payouts::call_off_unsent(tx, project, account)?;
    if let Some(id) = tx.stripe_account(project, account)?.and_then(|stripe| stripe.stripe_account) {
        tx.forget_stripe_account(project, account, &id)?;
    }
    tx.forget_former_stripe_accounts(account)
}

/// The address is confirmed: what had to wait happens now, in the order in which it would have. A code that can no
/// longer be used brings nothing.
fn confirm(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<Option<Applied>> {
    tx.end_mail_tokens(account, Some(TokenPurpose::Confirm))?;
    tx.prove_address(project, account)?;
    let Some(Some(code)) = tx.take_unconfirmed(project, account)? else { return Ok(None) };
    let (program, referee) = (tx.program(project)?, tx.account(project, account)?);
    let code = tx.code_with_id(project, code)?;
    let is_usable = referral::usable("referral_code", code.as_ref().map(CodeRow::state), &program).is_ok();
    let Some(code) = code.filter(|_| is_usable) else { return Ok(None) };
    if tx.referral_of(project, account)?.is_some() {
        return Ok(None);
    }
    let applied = introduce(tx, project, &program, &code, &referee, &Devices::default())?;
    if let Applied::Accepted { .. } | Applied::Held { .. } = applied {
        let has = tx.with_holdings(project, account, |has| (has.referral().cloned(), has.calls()))?;
        let (referral, after) = has.unwrap_or_default();
        reach_milestones(tx, project, &program, referral.as_ref(), Calls { before: 0, after })?;
        pay_for_earlier(tx, project, &program, account)?;
    }
    Ok(Some(applied))
}

impl Engine {
    /// Whether the link is good. `NotFound` when it is not, or was used.
    pub async fn check_confirmation(&self, project: ProjectId, token: String) -> Result<()> {
        let hash = access::secret_hash(&token);
        let found = self.store.read(move |db| db.mail_token(project, &hash, TokenPurpose::Confirm)).await?;
        found.map(|_| ()).ok_or_else(used_up)
    }

    /// Confirms the address that a link was sent to. `NotFound` for a link that is not good, or was used.
    pub async fn confirm_address(&self, project: ProjectId, token: String) -> Result<Confirmed> {
        let hash = access::secret_hash(&token);
        self.store
            .write(move |tx| {
                let account = tx.mail_token(project, &hash, TokenPurpose::Confirm)?.ok_or_else(used_up)?;
                let referral = confirm(tx, project, account)?;
                let bonus = match &referral {
                    Some(Applied::Accepted { bonus_credits, .. }) if *bonus_credits > 0 => {
                        Some(tx.program(project)?.amount_text(*bonus_credits))
                    }
                    _ => None,
                };
                Ok(Confirmed { project_name: tx.project(project)?.name, referral, bonus })
            })
            .await
    }

    /// Sends the link again, if the address is somebody's who still has to confirm it. Nobody learns whether it is: the
    /// same is written for any other.
    pub async fn confirm_again(&self, project: ProjectId, email: Email) -> Result<()> {
        self.store
            .write(move |tx| {
                let account = tx.account_with_email(project, &email.address())?.map(|account| account.id);
                let waits = match account {
                    Some(account) => tx.is_unconfirmed(project, account)?,
                    None => false,
                };
                letters::confirm_address(tx, project, account.filter(|_| waits))
            })
            .await
    }
}

fn used_up() -> Error {
    Error::not_found("The link was used before, or it has expired.")
}
