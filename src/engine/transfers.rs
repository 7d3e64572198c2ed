//! The way of a payout to Stripe: what is asked of it and when, and what follows from its answer.
//!
//! Four things keep money from leaving twice or being freed while it may have left. That Stripe is about to be told is
//! on the disk before it is. Each time Stripe is asked first whether it has the transfer, as long as the project has a key
//! to ask with. It is told the same bytes under the same key, and only while it remembers the key; after that it is only
//! asked. And nothing but Stripe's own refusal, or its word that there is no such transfer, gives the money back; where an
//! earlier sending may still be on its way, a refusal counts only long after that.

use super::partners::uncovered;
use super::payouts::{give_back, note_paid};
use crate::domain::access::secret_hash;
use crate::domain::delivery::{self, Fate, Outcome};
use crate::domain::error::{Error, Result};
use crate::domain::id::{PayoutId, ProjectId};
use crate::domain::payout::{self, NextStep, PayoutStatus};
use crate::domain::stripe::ToldTransfer;
use crate::domain::stripe::api::Transfer;
use crate::store::{Delivery, PayoutRow, Tx};

/// Not to be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What shows that a key is of the Stripe account that the destination is connected to: a transfer to it can be nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyCheck {
    /// It is of this one, and of its mode.
    IsOf(String),
    /// It knows the destination: whose key made that was never told.
    KnowsDestination,
}

/// What the courier is to do about a payout.
#[derive(Debug, Clone)]
pub struct TransferTask {
    pub transfer: Transfer,
    /// The form, to the byte.
    pub form: String,
    pub api_key: Secret,
    pub step: NextStep,
    /// The key is another than when the payout was asked for, and may be another Stripe account's, where nothing is known
    /// of what was told to the first.
    pub key_check: Option<KeyCheck>,
    /// A refusal says that there is no transfer: no earlier sending can still be on its way.
    pub refusal_counts: bool,
    /// An operator wants the money back if the transfer is surely not there.
    pub may_resolve: bool,
    /// By this machine's clock.
    pub now_ms: i64,
}

fn of_delivery(tx: &Tx<'_>, delivery: &Delivery) -> Result<PayoutRow> {
    let id = delivery.body.get("payout_id").and_then(serde_json::Value::as_str).unwrap_or_default();
    tx.payout(delivery.project, id.parse()?)
}

/// Begins a step, and notes it first. `None`: there is nothing to ask of Stripe.
pub fn begin(tx: &Tx<'_>, delivery: &Delivery) -> Result<Option<TransferTask>> {
    let row = of_delivery(tx, delivery)?;
    if !row.status.is_open() {
        return Ok(None);
    }
    let is_off = is_called_off(tx, &row)?;
    if !row.approved && !is_off {
        return Ok(None);
    }
    let is_test = tx.project(row.project)?.mode == "test";
    let api_key = if is_test { None } else { tx.stripe_api_key(row.project)? };
    let Some(api_key) = api_key else {
        // Without a key nobody can ask Stripe, and an older copy of the file may not know that it was sent.
        return if is_off && is_test {
            call_off(tx, &row).map(|()| None)
        } else if is_test {
            tx.note_payout_sending(row.project, row.id, &[0; 32])?;
            note_paid(tx, &row, &format!("tr_test_{}", row.id)).map(|()| None)
        } else {
            Err(payout::stripe_not_configured())
        };
    };
    let (key_hash, now_ms) = (secret_hash(&api_key), tx.machine_now_ms());
    let key_check = match row.key_hash {
        Some(before) if before != key_hash => Some(key_check(tx, &row)?),
        _ => None,
    };
    let step = if is_off { NextStep::CallOff } else { payout::next_step(row.sendings, now_ms) };
    match step {
        NextStep::Send { earlier } => {
            if earlier {
                // Whoever began the earlier one has not come back with an answer, or with an unclear one.
                tx.set_payout_reconciling(row.project, row.id)?;
            }
            tx.note_payout_sending(row.project, row.id, &key_hash)?;
        }
        NextStep::LookUp { .. } => tx.set_payout_reconciling(row.project, row.id)?,
        NextStep::CallOff => {}
    }
    Ok(Some(TransferTask {
        transfer: Transfer {
            payout: row.id,
            amount_minor: row.amount_minor,
            currency: row.currency,
            destination: row.destination,
        },
        form: row.request,
        api_key: Secret(api_key),
        step,
        key_check,
        refusal_counts: payout::refusal_counts(row.sendings, now_ms),
        may_resolve: row.resolve_asked,
        now_ms,
    }))
}

fn key_check(tx: &Tx<'_>, row: &PayoutRow) -> Result<KeyCheck> {
    let known = tx.stripe_account(row.project, row.account)?;
    let its = known.filter(|known| known.stripe_account.as_ref() == Some(&row.destination));
    Ok(its.and_then(|known| known.platform).map_or(KeyCheck::KnowsDestination, KeyCheck::IsOf))
}

/// Whether a payout that was not told to Stripe is not to be: an operator has said so, or it is not covered any more. Once
/// it may be on its way it goes on, and a refund is debt.
fn is_called_off(tx: &Tx<'_>, row: &PayoutRow) -> Result<bool> {
    Ok(row.times_sent == 0 && (row.cancel_asked || uncovered(tx, row.project, row.account)? > 0))
}

fn call_off(tx: &Tx<'_>, row: &PayoutRow) -> Result<()> {
    let why = (!row.cancel_asked).then_some(payout::CALLED_OFF_UNCOVERED);
    give_back(tx, row, PayoutStatus::Cancelled, why)
}

/// Draws the consequences of a step in the transaction that notes it.
pub fn conclude(tx: &Tx<'_>, delivery: &Delivery, outcome: &Outcome) -> Result<Fate> {
    let row = of_delivery(tx, delivery)?;
    if !row.status.is_open() {
        if let Outcome::Done(Some(transfer)) = outcome {
            check_settled(&row, transfer);
            tx.note_transfer(row.project, row.id, transfer, 0)?;
        }
        return Ok(Fate::Done);
    }
    match outcome {
        Outcome::Done(Some(transfer)) => {
            note_paid(tx, &row, transfer)?;
            return Ok(Fate::Done);
        }
        // Stripe was only asked, and has no such transfer.
        Outcome::Refused(_) if row.times_sent == 0 => {
            call_off(tx, &row)?;
            return Ok(Fate::Done);
        }
        Outcome::Refused(reason) => {
            if payout::is_about_account(reason) {
                tx.set_stripe_unready(row.project, row.account, &row.destination, payout::REFUSED_TO_ACCOUNT)?;
            }
            give_back(tx, &row, PayoutStatus::Failed, Some(&delivery::without_addresses(reason)))?;
            return Ok(Fate::Done);
        }
        Outcome::Retry(_) => {
            tx.unsend_payout(row.project, row.id)?;
        }
        // Not where it was only asked for, to be called off: that is as unsent as before.
        Outcome::Done(None) | Outcome::Unclear(_) => tx.set_payout_reconciling(row.project, row.id)?,
    }
    let outcome = match outcome {
        Outcome::Done(None) => &Outcome::Unclear("no transfer is named".into()),
        outcome => outcome,
    };
    let (now_ms, entropy) = (tx.machine_now_ms(), tx.entropy()?);
    match delivery::fate(outcome, delivery.tries, now_ms, entropy) {
        // Asking goes on until the answer can be sure: an operator could not settle it before then either.
        Fate::Parked if !payout::is_certain(tx.payout(row.project, row.id)?.sendings, now_ms) => {
            Ok(Fate::Again { due_at_ms: now_ms + delivery::pause_ms(delivery.tries, entropy) })
        }
        fate => Ok(fate),
    }
}

/// Stripe says that it has paid what was given back, or has paid twice: nothing here can have caused it, and only
/// people can mend it.
fn check_settled(row: &PayoutRow, transfer: &str) {
    if row.transfer.as_deref() != Some(transfer) {
        tracing::error!(payout = %row.id, status = row.status.as_str(), transfer, "Stripe has a transfer that must not be");
    }
}

/// What an event tells of a transfer; the word for what came of it. One that arrives before its own answer, or instead
/// of it, settles the payout.
pub fn told(tx: &Tx<'_>, project: ProjectId, told: &ToldTransfer) -> Result<&'static str> {
    let found = told.group.parse::<PayoutId>().and_then(|id| tx.payout(project, id));
    let row = match found {
        Ok(row) => row,
        Err(Error { kind: crate::domain::Kind::NotFound, .. }) => return Ok("ignored"),
        Err(fault) => return Err(fault),
    };
    let is_it = (told.amount_minor, told.currency.as_str()) == (row.amount_minor, row.currency.as_str())
        && [told.destination.as_str(), ""].contains(&row.destination.as_str());
    if !is_it {
        tracing::error!(payout = %row.id, transfer = told.id, "Stripe has a transfer of this group that is another");
        return Ok("ignored");
    }
    // Also where it seems not to have been sent: Stripe knows better, as after an older copy of the file was put back.
    if row.status.is_open() {
        note_paid(tx, &row, &told.id)?;
    } else {
        check_settled(&row, &told.id);
    }
    tx.note_transfer(project, row.id, &told.id, told.reversed_minor)?;
    Ok("transfer")
}
