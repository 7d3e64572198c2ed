//! The partner track: what a partner has, upgrading with a signature, and going back.

use super::{Engine, confirmation};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::Lot;
use crate::domain::partner::{self, PartnerBalance};
use crate::domain::time;
use crate::store::{Acceptance, Agreement, Snapshot, StripeAccount};
use std::net::IpAddr;

/// Everything about a partner, or who may become one.
#[derive(Debug, Clone)]
pub struct PartnerView {
    pub partner: bool,
    pub currency: String,
    pub minimum_payout: i64,
    pub agreement: Agreement,
    pub acceptance: Option<Acceptance>,
    pub stripe: Option<StripeAccount>,
    pub balance: PartnerBalance,
}

impl PartnerView {
    /// What keeps Stripe from paying out, in words.
    pub fn missing(&self) -> Vec<String> {
        let Some(stripe) = self.stripe.as_ref().filter(|stripe| stripe.stripe_account.is_some()) else {
            return Vec::new();
        };
        let bank = stripe
            .bank_refusal
            .as_ref()
            .map(|reason| format!("Your bank refused money from Stripe ({reason}): check the bank account there."));
        stripe.missing.iter().cloned().chain(bank).collect()
    }
}

/// An agreement as it is signed.
#[derive(Debug, Clone)]
pub struct NewSignature {
    pub version: i64,
    /// The typed name.
    pub name: String,
    pub address: IpAddr,
}

/// An agreement to be kept, with each signature under it.
#[derive(Debug, Clone)]
pub struct SignedAgreement {
    pub version: i64,
    /// Markdown.
    pub text: String,
}

/// That are listed, and put under a text; far more than anybody gives.
pub const MOST_SIGNATURES: usize = 200;

pub fn view(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<PartnerView> {
    let program = db.program(project)?;
    Ok(PartnerView {
        currency: partner::currency(&program)?.to_owned(),
        partner: db.account(project, account)?.partner,
        minimum_payout: program.payouts.minimum,
        agreement: db.agreement(project)?,
        acceptance: db.acceptances(project, account, None, 1)?.pop(),
        stripe: db.stripe_account(project, account)?,
        balance: standing(db, project, account)?,
    })
}

/// What an account could be paid out, less what it owes: money does not leave while some is to be paid back.
pub fn standing(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<PartnerBalance> {
    let (now_ms, owed) = (db.now_ms(project), db.totals(project, account)?.owed);
    let lots = db.commission_lots(project, account)?;
    let available = payable(db, project, account, owed, &lots)?.max(0);
    let (reserved, paid) = db.payout_sums(project, account)?;
    Ok(PartnerBalance { available, pending: lots.iter().map(|lot| lot.pending(now_ms)).sum(), reserved, paid, owed })
}

/// What could be paid out besides what is in payouts. Negative: of what is in an open one, so much was refunded since, or
/// is owed.
fn payable(db: &Snapshot<'_>, project: ProjectId, account: AccountId, owed: i64, lots: &[Lot]) -> Result<i64> {
    let now_ms = db.now_ms(project);
    let left: i64 = lots.iter().map(|lot| lot.available(now_ms)).sum();
    // Other credits may have covered the refund of a commission that was paid: they do not become money by that. And a
    // commission that covered the refund of one within a payout is worth what comes back of it.
    let earned = db.unpaid_commissions(project, account)?;
    Ok((left - owed).min(earned))
}

/// How much of an account's open payout must not leave any more.
pub fn uncovered(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<i64> {
    let owed = db.totals(project, account)?.owed;
    let lots = db.commission_lots(project, account)?;
    Ok((-payable(db, project, account, owed, &lots)?).max(0))
}

/// What an account owes, and how much of its open payout must not leave, as an operator sees it, who may be beside a
/// running server: what was spent within the last seconds may be missing. The server looks again before it sends.
pub fn seen_beside(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<(i64, i64)> {
    let (owed, lots) = db.written_commissions(project, account)?;
    Ok((owed, (-payable(db, project, account, owed, &lots)?).max(0)))
}

/// Whether payouts of a project can go anywhere: to Stripe, or nowhere at all in a test project.
pub fn has_stripe(db: &Snapshot<'_>, project: ProjectId) -> Result<bool> {
    Ok(db.project(project)?.mode == "test" || db.stripe_api_key(project)?.is_some())
}

impl Engine {
    /// `Conflict` where the program has no partner track.
    pub async fn partner(&self, project: ProjectId, account: AccountId) -> Result<PartnerView> {
        self.store.read(move |db| view(db, project, account)).await
    }

    /// Makes an account a partner, with its signature under the agreement in force. Signing the same one again changes
    /// nothing. `Conflict` for any other version, and while the address is to be confirmed.
    pub async fn upgrade(
        &self,
        project: ProjectId,
        account: AccountId,
        signature: NewSignature,
    ) -> Result<PartnerView> {
        self.store
            .write(move |tx| {
                let before = view(tx, project, account)?;
                confirmation::require(tx, project, account)?;
                if before.agreement.version != signature.version {
                    let message = format!("The agreement in force is version {}.", before.agreement.version);
                    return Err(Error::conflict("agreement_outdated", message));
                }
                if before.partner && before.acceptance.is_some_and(|signed| signed.version == signature.version) {
                    return view(tx, project, account);
                }
                let key = blake3::derive_key("refloop 2026 signer's address", tx.pepper());
                let hash = blake3::keyed_hash(&key, signature.address.to_canonical().to_string().as_bytes());
                tx.add_acceptance(project, account, signature.version, &signature.name, hash.as_bytes())?;
                tx.set_partner(project, account, true)?;
                view(tx, project, account)
            })
            .await
    }

    /// Takes an account back to the basic track; one that is there stays. `Conflict` while there is something to be
    /// paid out, or may be.
    pub async fn downgrade(&self, project: ProjectId, account: AccountId) -> Result<PartnerView> {
        self.store
            .write(move |tx| {
                let before = view(tx, project, account)?;
                if before.partner {
                    partner::may_leave(&before.balance, tx.has_open_payout(project, account)?)?;
                    tx.set_partner(project, account, false)?;
                }
                view(tx, project, account)
            })
            .await
    }

    /// Each time that an account has signed, newest first.
    pub async fn signed_agreements(
        &self,
        project: ProjectId,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Acceptance>> {
        let read = move |db: &Snapshot<'_>| {
            partner::currency(&*db.program(project)?)?;
            db.acceptances(project, account, before, limit)
        };
        self.store.read(read).await
    }

    /// The agreement that an account has signed last, or a version's by its number; with the account's signatures, if it
    /// has signed that. `NotFound` for no such version.
    pub async fn agreement_to_keep(
        &self,
        project: ProjectId,
        account: AccountId,
        version: Option<i64>,
    ) -> Result<SignedAgreement> {
        let read = move |db: &Snapshot<'_>| {
            partner::currency(&*db.program(project)?)?;
            let signed = db.acceptances(project, account, None, MOST_SIGNATURES)?;
            let version = match version.or(signed.first().map(|newest| newest.version)) {
                Some(version) => version,
                None => db.agreement(project)?.version,
            };
            let mut text = db.agreement_text(project, version)?;
            let line = |acceptance: &Acceptance| {
                let (name, at) = (acceptance.signature.as_ref()?, time::rfc3339(acceptance.signed_at_ms));
                Some(format!("Version {version}, signed by {name}, {at}\n"))
            };
            let of_version = signed.iter().rev().filter(|acceptance| acceptance.version == version);
            let lines: Vec<_> = of_version.filter_map(line).collect();
            if !lines.is_empty() {
                text = format!("{}\n\n---\n\n{}", text.trim_end(), lines.join("\n"));
            }
            Ok(SignedAgreement { version, text })
        };
        self.store.read(read).await
    }
}
