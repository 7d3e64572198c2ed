//! Payouts: asking for one, and what operators do about them. How they get to Stripe is in [`super::transfers`].

use super::audit::By;
use super::partners::{has_stripe, seen_beside, standing};
use super::rewards::settle;
use super::{Engine, letters};
use crate::domain::access::secret_hash;
use crate::domain::audit::action;
use crate::domain::delivery::{DeliveryKind, Fate};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, DeliveryId, PayoutId, ProjectId};
use crate::domain::ledger::{self, Movement};
use crate::domain::partner;
use crate::domain::payout::{self, Asked, PayoutStatus, StripeStanding};
use crate::domain::payout_order::PayoutOrder;
use crate::domain::stripe::api::{self, Transfer};
use crate::store::{NewDelivery, NewPayout, PayoutRow, Snapshot, Tx};
use serde_json::json;

/// A payout as operators see it.
#[derive(Debug, Clone)]
pub struct ListedPayout {
    pub payout: PayoutRow,
    /// What its delivery stumbled over last.
    pub problem: Option<String>,
    /// It is not tried any more.
    pub parked: bool,
    /// What the partner owes by now.
    pub owed: i64,
    /// How much of an open one must not leave any more.
    pub uncovered: i64,
    /// By the machine's clock.
    pub now_ms: i64,
}

impl ListedPayout {
    /// When a look-up that finds nothing becomes certain, by the machine's clock; `None` while that is not asked.
    pub fn certain_at_ms(&self) -> Option<i64> {
        let sent = self.payout.sendings.filter(|_| self.payout.status == PayoutStatus::Reconciling)?;
        Some(sent.last_at_ms + payout::CERTAIN_AFTER_MS)
    }

    /// It can be resolved.
    pub fn is_certain(&self) -> bool {
        self.certain_at_ms().is_some_and(|at_ms| self.now_ms >= at_ms)
    }

    /// Why an operator is needed, if one is.
    pub fn waits_for(&self) -> Option<&'static str> {
        let row = &self.payout;
        match row.status {
            PayoutStatus::Queued if row.cancel_asked && !self.parked => None,
            PayoutStatus::Queued if !row.approved && !row.cancel_asked && self.uncovered > 0 => Some("cancel"),
            PayoutStatus::Queued if !row.approved && !row.cancel_asked => Some("approval"),
            // Looking it up says nothing new any more.
            PayoutStatus::Reconciling if self.is_certain() && !row.resolve_asked => Some("resolve"),
            PayoutStatus::Queued | PayoutStatus::Reconciling if self.parked => Some("retry"),
            PayoutStatus::Failed | PayoutStatus::Cancelled if row.transfer.is_some() => Some("transfer_exists"),
            PayoutStatus::Paid if row.reversed_minor > 0 => Some("transfer_reversed"),
            _ => None,
        }
    }
}

/// A payout's row with what is known beside it.
pub fn listed(
    db: &Snapshot<'_>,
    project: ProjectId,
    (payout, problem, parked): (PayoutRow, Option<String>, bool),
) -> Result<ListedPayout> {
    let (owed, uncovered) = seen_beside(db, project, payout.account)?;
    let uncovered = if payout.status.is_open() { uncovered } else { 0 };
    Ok(ListedPayout { payout, problem, parked, owed, uncovered, now_ms: db.machine_now_ms() })
}

impl Engine {
    /// Reserves the amount, or all there is, and has it transferred. `Conflict` for who is no partner, for whom Stripe
    /// is not ready, or while another payout is open; `Invalid` for the amount.
    pub async fn request_payout(
        &self,
        project: ProjectId,
        account: AccountId,
        amount_minor: Option<i64>,
    ) -> Result<PayoutRow> {
        self.store.write(move |tx| request(tx, project, account, amount_minor)).await
    }

    /// Newest first.
    pub async fn payouts(
        &self,
        project: ProjectId,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<PayoutRow>> {
        self.store.read(move |db| db.payouts(project, account, before, limit)).await
    }

    /// `NotFound`, for another's too.
    pub async fn payout(&self, project: ProjectId, account: AccountId, id: PayoutId) -> Result<PayoutRow> {
        let row = self.store.read(move |db| db.payout(project, id)).await?;
        if row.account == account { Ok(row) } else { Err(Error::not_found("No such payout.")) }
    }

    /// A project's payouts, newest first, by its slug or id.
    pub fn payouts_of_project(&self, project: &str, only_open: bool) -> Result<Vec<ListedPayout>> {
        const MOST: i64 = 1_000;
        self.store.read_blocking(|db| {
            let project = db.project_named(project)?.id;
            let rows = db.payouts_of_project(project, only_open, MOST)?.into_iter();
            rows.map(|found| listed(db, project, found)).collect()
        })
    }

    /// Lets a payout go that waits for it. `Conflict` when it does not, and when it is not covered any more.
    pub fn approve_payout(&self, id: PayoutId) -> Result<()> {
        self.order_by_command_line(id, PayoutOrder::Approve)
    }

    /// Calls a payout off that was not told to Stripe yet; its money comes back with the worker's next step.
    /// `Conflict` when it was.
    pub fn cancel_payout(&self, id: PayoutId) -> Result<()> {
        self.order_by_command_line(id, PayoutOrder::Cancel)
    }

    /// Has an open payout tried again now. `resolve`: if the transfer is surely not at Stripe, the money comes back.
    /// `Conflict` when there is nothing to try, or it is too early to be sure.
    pub fn retry_payout(&self, id: PayoutId, resolve: bool) -> Result<()> {
        self.order_by_command_line(id, if resolve { PayoutOrder::Resolve } else { PayoutOrder::Retry })
    }

    fn order_by_command_line(&self, id: PayoutId, what: PayoutOrder) -> Result<()> {
        self.store.write_blocking(move |tx| order(tx, tx.project_of_payout(id)?, id, what, &By::COMMAND_LINE))
    }
}

/// Does what is ordered about a payout, and notes who ordered it. `Conflict` where it cannot be done, or not yet.
pub fn order(tx: &Tx<'_>, project: ProjectId, id: PayoutId, what: PayoutOrder, by: &By) -> Result<()> {
    let action = match what {
        PayoutOrder::Approve => {
            approve(tx, project, id)?;
            action::PAYOUT_APPROVE
        }
        PayoutOrder::Cancel => {
            cancel(tx, project, id)?;
            action::PAYOUT_CANCEL
        }
        PayoutOrder::Retry => {
            may_be_tried(tx, project, id)?;
            action::PAYOUT_RETRY
        }
        PayoutOrder::Resolve => {
            resolve(tx, project, id)?;
            action::PAYOUT_RESOLVE
        }
    };
    by.note(tx, project, action, &id.to_string(), &json!({}))?;
    queue(tx, project, id)
}

fn approve(tx: &Tx<'_>, project: ProjectId, id: PayoutId) -> Result<()> {
    let row = tx.payout(project, id)?;
    if row.cancel_asked || !tx.approve_payout(project, id)? {
        return Err(Error::conflict("not_waiting", "This payout does not wait for an approval."));
    }
    let (_, uncovered) = seen_beside(tx, project, row.account)?;
    if uncovered > 0 {
        return Err(payout::not_covered(&tx.program(project)?.amount_text(uncovered)));
    }
    Ok(())
}

fn cancel(tx: &Tx<'_>, project: ProjectId, id: PayoutId) -> Result<()> {
    if !tx.ask_payout_cancel(project, id)? {
        let message = "Stripe may have been told of this payout, or it is settled: it cannot be called off.";
        return Err(Error::conflict("already_sent", message));
    }
    Ok(())
}

fn may_be_tried(tx: &Tx<'_>, project: ProjectId, id: PayoutId) -> Result<PayoutRow> {
    let row = tx.payout(project, id)?;
    if !row.status.is_open() || !(row.approved || row.cancel_asked) {
        return Err(Error::conflict("not_open", "This payout is settled, or waits for an approval."));
    }
    Ok(row)
}

fn resolve(tx: &Tx<'_>, project: ProjectId, id: PayoutId) -> Result<()> {
    let row = may_be_tried(tx, project, id)?;
    let sure_at_ms = row.sendings.map_or(0, |sent| sent.last_at_ms + payout::CERTAIN_AFTER_MS);
    if tx.machine_now_ms() < sure_at_ms || !tx.ask_payout_resolve(project, id)? {
        let message = "Only a reconciling payout can be resolved, and only 25 hours after Stripe was last told.";
        return Err(Error::conflict("too_early", message));
    }
    Ok(())
}

/// Calls an account's open payout off, if Stripe was not told of it yet.
pub fn call_off_unsent(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<()> {
    // The one that is open is the newest.
    match tx.payouts(project, account, None, 1)?.first() {
        Some(row) if tx.ask_payout_cancel(project, row.id)? => queue(tx, project, row.id),
        _ => Ok(()),
    }
}

/// Puts a payout into the outbox, or to the front of it.
fn queue(tx: &Tx<'_>, project: ProjectId, id: PayoutId) -> Result<()> {
    if let Some(delivery) = tx.payout(project, id)?.delivery
        && tx.retry_delivery(DeliveryId(delivery))?
    {
        return Ok(());
    }
    let body = json!({ "payout_id": id });
    let new = NewDelivery { kind: DeliveryKind::Transfer, account: None, once: None, body: &body };
    let delivery = tx.add_delivery(project, &new)?.ok_or_else(|| Error::internal("a transfer told before"))?;
    tx.set_payout_delivery(project, id, delivery.0)
}

pub fn request(tx: &Tx<'_>, project: ProjectId, account: AccountId, amount_minor: Option<i64>) -> Result<PayoutRow> {
    let program = tx.program(project)?;
    let currency = partner::currency(&program)?;
    let is_partner = tx.account(project, account)?.partner;
    settle(tx, project, account)?;
    let stripe = tx.stripe_account(project, account)?.filter(|stripe| stripe.ready);
    let asked = Asked {
        partner: is_partner,
        has_open_payout: tx.has_open_payout(project, account)?,
        stripe: match &stripe {
            _ if !has_stripe(tx, project)? => StripeStanding::NotConfigured,
            None => StripeStanding::NotReady,
            Some(_) => StripeStanding::Ready,
        },
        amount_minor,
        available: standing(tx, project, account)?.available,
        minimum: program.payouts.minimum,
    };
    let amount_minor = payout::amount(&asked, |minor| program.amount_text(minor))?;
    let destination = stripe.and_then(|stripe| stripe.stripe_account).unwrap_or_default();
    let lots = tx.commission_lots(project, account)?;
    let drafts = ledger::payout(&lots, amount_minor, tx.now_ms(project));
    if drafts.iter().map(|draft| -draft.amount).sum::<i64>() != amount_minor {
        return Err(Error::internal(format!("the lots of {account} do not cover {amount_minor}")));
    }
    // Stripe is asked by the payout's id, so that it cannot tell of one that a restored file does not know.
    let is_test = tx.project(project)?.mode == "test";
    let forgotten = !is_test && tx.may_have_forgotten_payouts(project, account)?;
    let approved = !program.payouts.approval && !forgotten;
    let (id, entry_count) = (PayoutId(tx.next_key()?), drafts.len());
    let movement = Movement { project, account, reason: "payout".into(), drafts };
    let group_seq = tx.append(movement)?.ok_or_else(|| Error::internal("a payout that reserves nothing"))?;
    let key_hash = tx.stripe_api_key(project)?.map(|key| secret_hash(&key));
    let transfer = Transfer { payout: id, amount_minor, currency: currency.into(), destination };
    tx.add_payout(
        project,
        &NewPayout {
            id,
            account,
            amount_minor,
            currency,
            destination: &transfer.destination,
            request: &api::transfer_form(&transfer),
            group_seq,
            entry_count,
            approved,
            key_hash,
        },
    )?;
    if approved {
        queue(tx, project, id)?;
    }
    letters::payout_requested(tx, project, account, &id.to_string(), &program.amount_text(amount_minor))?;
    tx.payout(project, id)
}

/// Whatever has settled it, there is nothing left to tell Stripe of it, and nothing that stands in the way.
fn end_delivery(tx: &Tx<'_>, row: &PayoutRow) -> Result<()> {
    match row.delivery {
        Some(delivery) => tx.end_delivery(DeliveryId(delivery), Fate::Done, None),
        None => Ok(()),
    }
}

/// Ends a payout that Stripe has sent. Whether the bank takes it is another matter, of which Stripe tells by itself.
pub fn note_paid(tx: &Tx<'_>, row: &PayoutRow, transfer: &str) -> Result<()> {
    tx.set_payout_paid(row.project, row.id, transfer)?;
    end_delivery(tx, row)?;
    let amount = tx.program(row.project)?.amount_text(row.amount_minor);
    letters::payout_paid(tx, row.project, row.account, &row.id.to_string(), &amount)
}

/// Gives a payout's money back to the lots that it came from, and ends it.
pub fn give_back(tx: &Tx<'_>, row: &PayoutRow, status: PayoutStatus, failure: Option<&str>) -> Result<()> {
    if !row.status.may_become(status) {
        return Err(Error::internal(format!("{} is {} and cannot fail", row.id, row.status.as_str())));
    }
    settle(tx, row.project, row.account)?;
    let drafts = ledger::payout_return(&tx.taken_by_payout(row)?, tx.now_ms(row.project));
    let movement = Movement { project: row.project, account: row.account, reason: "payout".into(), drafts };
    let return_seq = tx.append(movement)?.ok_or_else(|| Error::internal("a payout that took nothing"))?;
    tx.set_payout_returned(row.project, row.id, status, return_seq, failure)?;
    end_delivery(tx, row)?;
    let amount = tx.program(row.project)?.amount_text(row.amount_minor);
    let reason = failure.map_or("It was called off before it was sent.", payout::failure_words);
    letters::payout_refused(tx, row.project, row.account, &row.id.to_string(), &amount, reason)
}
