//! Purchases bring commissions, refunds take them back.

use super::Engine;
use super::rewards::{Occasion, reward, settle};
use super::usage::{Who, find};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{self, Movement, Purchase};
use crate::domain::referral::Status;
use crate::domain::reward::Event;
use crate::store::{PurchaseRow, Tx, VersionedProgram};

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
                let id = tx.add_purchase(project, &new.id, account, new.amount_minor, &new.currency, at_ms)?;
                convert(tx, project, &program, account, new.amount_minor, Occasion { purchase: id, at_ms })?;
                let row = PurchaseRow { id, account, gross_minor: new.amount_minor };
                take_back(tx, project, &new.id, &row)?;
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
                if tx.refund_is_known(project, &new.id)? {
                    return Ok(Recorded { new: false, account });
                }
                tx.add_refund(project, &new.id, &new.purchase_id, new.amount_minor)?;
                if let Some(purchase) = purchase {
                    take_back(tx, project, &new.purchase_id, &purchase)?;
                }
                Ok(Recorded { new: true, account })
            })
            .await
    }
}

/// Pays for a purchase, and marks the referral as converted if this is what converts it.
fn convert(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    account: AccountId,
    amount_minor: i64,
    occasion: Occasion,
) -> Result<()> {
    let Some(referral) = tx.referral_of(project, account)? else { return Ok(()) };
    if referral.progress.status == Status::Rejected {
        return Ok(());
    }
    let largest_before = tx.largest_purchase_but(project, &referral, occasion.purchase)?;
    let converted = referral.progress.converted_at_ms.is_some();
    let event = Event::Purchase { amount_minor, largest_before, converted };
    if event.converts(program) {
        tx.set_progress(project, &referral, &referral.progress.after_conversion(program, tx.now_ms(project)))?;
    }
    reward(tx, project, program, &referral, event, Some(occasion))?;
    Ok(())
}

/// Brings what a purchase paid into line with what has been refunded of it.
fn take_back(tx: &Tx<'_>, project: ProjectId, purchase_id: &str, purchase: &PurchaseRow) -> Result<()> {
    let refunded_minor = tx.refunded_minor(project, purchase_id)?;
    if refunded_minor == 0 {
        return Ok(());
    }
    for (lot, _) in tx.lots_of_purchase(project, purchase.id)? {
        settle(tx, project, lot.account)?;
        // What has just expired is no longer there to be taken back.
        let now = tx.lots_of_purchase(project, purchase.id)?.into_iter().find(|(again, _)| again.seq == lot.seq);
        let Some((lot, decision)) = now else { continue };
        let basis_points = decision.map(|decision| tx.decided_share(project, decision)).transpose()?.flatten();
        let state = Purchase { gross_minor: purchase.gross_minor, refunded_minor, basis_points };
        let due = ledger::reversal_due(&lot, Some(state));
        let drafts = ledger::reverse(&lot, &tx.open_lots(project, lot.account)?, due, tx.now_ms(project));
        tx.append(Movement { project, account: lot.account, reason: "refund".into(), drafts })?;
    }
    Ok(())
}
