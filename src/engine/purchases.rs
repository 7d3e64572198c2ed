//! Purchases bring commissions, refunds take them back.

use super::rewards::{Occasion, reward, settle};
use super::usage::{Who, find};
use super::{Engine, letters};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{self, Lot, Movement, Purchase};
use crate::domain::program::Program;
use crate::domain::referral::Status;
use crate::domain::reward::Event;
use crate::domain::stripe::RefundState;
use crate::domain::time::DAY_MS;
use crate::store::{PurchaseRow, Referral, ToldRefund, Tx, VersionedProgram};

/// A purchase under the team's own id.
#[derive(Debug, Clone)]
pub struct NewPurchase {
    pub id: String,
    pub who: Who,
    pub amount_minor: i64,
    /// Lower case.
    pub currency: String,
    pub at_ms: Option<i64>,
}

/// A refund of all or a part of a purchase, perhaps of one that has not been told yet.
#[derive(Debug, Clone)]
pub struct NewRefund {
    pub id: String,
    pub purchase_id: String,
    pub amount_minor: i64,
}

/// Whether it was new, and what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    pub new: bool,
    pub account: Option<AccountId>,
}

impl Engine {
    /// `Invalid` for an unknown account or another currency than the program's.
    pub async fn record_purchase(&self, project: ProjectId, new: NewPurchase) -> Result<Recorded> {
        self.store
            .write(move |tx| {
                if let Some(known) = tx.purchase(project, &new.id)? {
                    return Ok(Recorded { new: false, account: Some(known.account) });
                }
                let program = tx.program(project)?;
                if program.unit != "credits" && program.unit != new.currency {
                    let detail = format!("The program is in {}.", program.unit);
                    return Err(Error::field("currency", "currency_mismatch", detail));
                }
                let account = find(tx, project, &new.who)?
                    .map_err(|code| Error::field("developer_id", code, "There is no such developer."))?;
                let at_ms = new.at_ms.unwrap_or_else(|| tx.now_ms(project)).min(tx.now_ms(project));
                let referral = earning_referral(tx, project, account)?;
                let earns = referral.as_ref().is_some_and(|referral| is_its_work(&program, referral, at_ms));
                let program = program_of_purchase(tx, project, referral.as_ref(), at_ms)?;
                let (gross_minor, currency) = (new.amount_minor, new.currency.as_str());
                let purchase = Bought { id: &new.id, account, gross_minor, currency, at_ms };
                buy(tx, project, &program, &purchase, earns)?;
                Ok(Recorded { new: true, account: Some(account) })
            })
            .await
    }

    /// Refunds beyond the purchase are clamped to it.
    pub async fn record_refund(&self, project: ProjectId, new: NewRefund) -> Result<Recorded> {
        self.store
            .write(move |tx| {
                let purchase = tx.purchase(project, &new.purchase_id)?;
                let account = purchase.as_ref().map(|purchase| purchase.account);
                // Stripe may have told of it, as a part of its charge's sum.
                let is_told = |told: &ToldRefund| told.object == new.id && told.state == RefundState::Succeeded;
                if tx.refund_is_known(project, &new.id)?
                    || tx.told_refunds(project, &new.purchase_id)?.iter().any(is_told)
                {
                    return Ok(Recorded { new: false, account });
                }
                tx.name_refunds_of_sums(project, &new.purchase_id, new.amount_minor)?;
                tx.add_refund(project, &new.id, &new.purchase_id, new.amount_minor, false)?;
                if let Some(purchase) = purchase {
                    take_back(tx, project, &new.purchase_id, &purchase)?;
                }
                Ok(Recorded { new: true, account })
            })
            .await
    }
}

/// A purchase whose buyer is known.
#[derive(Debug, Clone, Copy)]
pub struct Bought<'a> {
    pub id: &'a str,
    pub account: AccountId,
    pub gross_minor: i64,
    pub currency: &'a str,
    pub at_ms: i64,
}

/// Records a purchase, pays for it if it `earns`, and takes back what was refunded of it before it was told.
pub fn buy(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, new: &Bought<'_>, earns: bool) -> Result<()> {
    let Bought { account, gross_minor, at_ms, .. } = *new;
    let id = tx.add_purchase(project, new.id, account, gross_minor, new.currency, at_ms)?;
    if earns && let Some(referral) = earning_referral(tx, project, account)? {
        let largest_before = tx.largest_purchase_but(project, &referral, id, earliest_ms(program, &referral))?;
        let converted = referral.progress.converted_at_ms.is_some();
        let event = Event::Purchase { amount_minor: gross_minor, largest_before, converted };
        convert(tx, project, program, &referral, event, Occasion { purchase: Some(id), at_ms })?;
    }
    take_back(tx, project, new.id, &PurchaseRow { id, account, gross_minor })
}

/// The referral that brought an account in, unless it is rejected and earns nothing.
pub fn earning_referral(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<Option<Referral>> {
    Ok(tx.referral_of(project, account)?.filter(|referral| referral.progress.status != Status::Rejected))
}

/// By which program a purchase pays: that of its time, or of the referral's, if that came after it.
pub fn program_of_purchase(
    tx: &Tx<'_>,
    project: ProjectId,
    referral: Option<&Referral>,
    at_ms: i64,
) -> Result<VersionedProgram> {
    tx.program_at(project, referral.map_or(at_ms, |referral| at_ms.max(referral.applied_at_ms)))
}

/// What came long before a referral is not its work: it counts for as long as a code may be applied late.
pub fn is_its_work(program: &Program, referral: &Referral, at_ms: i64) -> bool {
    at_ms >= earliest_ms(program, referral)
}

fn earliest_ms(program: &Program, referral: &Referral) -> i64 {
    referral.applied_at_ms - i64::from(program.abuse.apply_within_days) * DAY_MS
}

/// Pays for what a referee did, and marks the referral as converted if this is what converts it.
pub fn convert(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: &Referral,
    event: Event,
    occasion: Occasion,
) -> Result<()> {
    let had = referral.progress;
    let mut referral = referral.clone();
    if event.converts(program) {
        referral = tx.set_progress(project, &referral, &had.after_conversion(program, tx.now_ms(project)))?;
    }
    // Nothing is held from before there was a referral: a time that is told late is no way around a hold.
    let occasion = Occasion { at_ms: occasion.at_ms.max(referral.applied_at_ms), ..occasion };
    let granted = reward(tx, project, program, &referral, event, Some(occasion))?;
    letters::milestone(tx, project, program, &referral, had, &granted)
}

/// Pays for what an account bought before it was referred, as if it had been before: where its referral had to wait.
pub fn pay_for_earlier(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, account: AccountId) -> Result<()> {
    let Some(referral) = earning_referral(tx, project, account)? else { return Ok(()) };
    let mut largest_before = None;
    for (id, at_ms, purchase) in tx.purchases_before(project, &referral)? {
        let Some(referral) = earning_referral(tx, project, account)? else { break };
        let (amount_minor, converted) = (purchase.gross_minor, referral.progress.converted_at_ms.is_some());
        let event = Event::Purchase { amount_minor, largest_before, converted };
        convert(tx, project, program, &referral, event, Occasion { purchase: Some(purchase.id), at_ms })?;
        take_back(tx, project, &id, &purchase)?;
        largest_before = largest_before.max(Some(amount_minor));
    }
    Ok(())
}

/// Brings what a purchase paid into line with what has been refunded of it.
pub fn take_back(tx: &Tx<'_>, project: ProjectId, purchase_id: &str, purchase: &PurchaseRow) -> Result<()> {
    let refunded_minor = tx.refunded_minor(project, purchase_id)?;
    if refunded_minor == 0 {
        return Ok(());
    }
    for (lot, _) in paid_for(tx, project, purchase_id, purchase)? {
        settle(tx, project, lot.account)?;
        // What has just expired is no longer there to be taken back.
        let now = paid_for(tx, project, purchase_id, purchase)?.into_iter().find(|(again, _)| again.seq == lot.seq);
        let Some((lot, decision)) = now else { continue };
        let basis_points = decision.map(|decision| tx.decided_share(project, decision)).transpose()?.flatten();
        let state = Purchase { gross_minor: purchase.gross_minor, refunded_minor, basis_points };
        let due = ledger::reversal_due(&lot, Some(state));
        let drafts = ledger::reverse(&lot, &tx.open_lots(project, lot.account)?, due, tx.now_ms(project));
        tx.append(Movement { project, account: lot.account, reason: "refund".into(), drafts })?;
    }
    Ok(())
}

/// The grants that stand on a purchase: what it brought, and what the subscription or checkout brought that began with
/// it, whichever of the two was told first.
fn paid_for(
    tx: &Tx<'_>,
    project: ProjectId,
    purchase_id: &str,
    purchase: &PurchaseRow,
) -> Result<Vec<(Lot, Option<i64>)>> {
    let mut lots = tx.lots_of_purchase(project, purchase.id)?;
    if tx.converted_with(project, purchase.account, purchase_id)?
        && let Some(referral) = tx.referral_of(project, purchase.account)?
    {
        lots.extend(tx.lots_of_subscription(project, referral.id)?);
    }
    Ok(lots)
}
