//! Stripe's webhook: events convert referrals, invoices are purchases, refunds are refunds.
//!
//! Events come more than once, out of order and late. So each is recorded first, and then everything is done that can
//! be done with what is known by now: an event whose customer is not known waits for the one that says who it is, a
//! refund for the word on which invoice was refunded.

use super::Engine;
use super::connect;
use super::purchases::{Bought, buy, convert, earning_referral, is_its_work, program_of_purchase, take_back};
use super::rewards::Occasion;
use super::transfers;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::program::Conversion;
use crate::domain::reward::Event;
use crate::domain::stripe::{self, Fact, Refund, RefundState, StripeEvent};
use crate::store::{NewStripeEvent, Snapshot, ToldRefund, Tx, VersionedProgram, WaitingEvent};
use std::collections::BTreeSet;

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub event_id: String,
    /// `false`: told before, and nothing was done.
    pub new: bool,
    /// As a stable word.
    pub outcome: String,
}

impl Engine {
    /// Takes a delivery for a project, by slug or id. `NotFound` for no such project, or one without a secret;
    /// `Unauthenticated` for a signature that does not hold; `Malformed` for what is not JSON.
    pub async fn take_stripe_event(
        &self,
        project: String,
        signature: Option<String>,
        body: Vec<u8>,
    ) -> Result<Delivered> {
        let found = move |db: &Snapshot<'_>| {
            let project = db.project_named(&project)?.id;
            Ok((project, db.stripe_secrets(project)?))
        };
        let (project, secrets) = self.store.read(found).await?;
        if secrets.is_empty() {
            let message = "This project has no Stripe webhook secret.";
            return Err(Error::new(Kind::NotFound, "stripe_not_set_up", message));
        }
        stripe::verify(signature.as_deref(), &body, &secrets, self.store.machine_now_ms())?;
        let event = StripeEvent::parse(&body)?;
        self.store.write(move |tx| take(tx, project, &event)).await
    }
}

fn take(tx: &Tx<'_>, project: ProjectId, event: &StripeEvent) -> Result<Delivered> {
    let delivered = |new, outcome| Delivered { event_id: event.id.clone(), new, outcome };
    if let Some(outcome) = tx.stripe_outcome(project, &event.id)? {
        return Ok(delivered(false, outcome));
    }
    let told_at_ms = event.created_ms.unwrap_or(tx.machine_now_ms());
    let outcome = match &event.fact {
        Fact::Conversion { .. } | Fact::Purchase { .. } if event.customer.is_none() && event.names.is_empty() => {
            "no_customer"
        }
        Fact::Conversion { .. } | Fact::Purchase { .. } => "waiting",
        // Says who a customer is, if only of somebody that is not known yet.
        Fact::Link | Fact::Unpaid if event.customer.is_some() && !event.names.is_empty() => "waiting",
        Fact::Link => "link",
        Fact::Unpaid => "unpaid",
        Fact::Refunds(_) => "refund",
        Fact::Account(state) => connect::told(tx, project, state, told_at_ms)?,
        Fact::Bank { stripe_account, refusal } => {
            connect::bank_told(tx, project, stripe_account, refusal.as_deref(), told_at_ms)?
        }
        Fact::Transfer(transfer) => transfers::told(tx, project, transfer)?,
        Fact::Other => "ignored",
        Fact::Unusable => "unusable",
    };
    let id = record(tx, project, event, outcome)?;
    for link in &event.links {
        tx.add_stripe_link(project, link)?;
    }
    if let Fact::Refunds(refunds) = &event.fact {
        note_refunds(tx, project, told_at_ms, refunds)?;
    }
    if outcome == "waiting" {
        for name in event.names.iter().chain(&event.customer) {
            tx.await_stripe_customer(project, id, name)?;
        }
        if let Some(account) = customer_account(tx, project, event)? {
            catch_up(tx, project, account)?;
        }
    }
    for invoice in invoices(tx, project, event)? {
        bring_into_line(tx, project, &invoice)?;
    }
    let outcome = tx.stripe_outcome(project, &event.id)?;
    Ok(delivered(true, outcome.ok_or_else(|| Error::internal("an event that is not there"))?))
}

fn record(tx: &Tx<'_>, project: ProjectId, event: &StripeEvent, outcome: &'static str) -> Result<i64> {
    let (fact, object, amount_minor, currency) = match &event.fact {
        Fact::Conversion { object } => ("conversion", Some(object), None, None),
        Fact::Purchase { invoice, amount_minor, currency } => {
            ("purchase", Some(invoice), Some(*amount_minor), Some(currency.as_str()))
        }
        Fact::Refunds(_) => ("refund", None, None, None),
        Fact::Link => ("link", None, None, None),
        Fact::Unpaid => ("unpaid", None, None, None),
        // Whose it is, is to be forgotten when they are erased.
        Fact::Account(_) | Fact::Bank { .. } => ("account", None, None, None),
        Fact::Transfer(told) => ("transfer", Some(&told.id), Some(told.amount_minor), Some(told.currency.as_str())),
        Fact::Other | Fact::Unusable => ("none", None, None, None),
    };
    // By the project's clock it is as old as by the machine's, and never younger than now.
    let age_ms = event.created_ms.map_or(0, |created_ms| (tx.machine_now_ms() - created_ms).max(0));
    let new = NewStripeEvent {
        event_id: &event.id,
        kind: &event.kind,
        fact,
        object: object.map(String::as_str),
        amount_minor,
        currency,
        happened_at_ms: (tx.now_ms(project) - age_ms).max(0),
        outcome,
        customer: event.customer.as_deref().filter(|_| outcome == "waiting"),
    };
    tx.add_stripe_event(project, &new)
}

/// The account of the customer: by the names that the team gave it, best first; as a customer that was learned before;
/// by Stripe's id, where the team uses that as its own. A name may also be an account's public id.
fn customer_account(tx: &Tx<'_>, project: ProjectId, event: &StripeEvent) -> Result<Option<AccountId>> {
    for name in &event.names {
        if let Some(account) = named(tx, project, name)? {
            return Ok(Some(account));
        }
    }
    let Some(customer) = &event.customer else { return Ok(None) };
    match tx.account_of_stripe_customer(project, customer)? {
        Some(account) => Ok(Some(account)),
        None => tx.account_with_external_id(project, customer),
    }
}

fn named(tx: &Tx<'_>, project: ProjectId, name: &str) -> Result<Option<AccountId>> {
    if let Some(account) = tx.account_with_external_id(project, name)? {
        return Ok(Some(account));
    }
    let Ok(id) = name.parse::<AccountId>() else { return Ok(None) };
    Ok(tx.find_account(project, id)?.map(|account| account.id))
}

/// Settles every event that waits for this account.
pub fn catch_up(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<()> {
    let external_id = tx.account(project, account)?.external_id;
    let waiting = || tx.events_waiting_for(project, account, external_id.as_deref());
    // One may say which customer it is, and others wait for that alone.
    loop {
        let mut learned = false;
        for customer in waiting()?.iter().filter_map(|event| event.customer.as_ref()) {
            learned |= tx.set_stripe_customer(project, customer, account)?;
        }
        if !learned {
            break;
        }
    }
    let program = tx.program(project)?;
    // A checkout may have been told a moment before the code was applied.
    let unreferred = tx.unreferred_conversions(project, account)?;
    for event in waiting()?.into_iter().chain(unreferred) {
        let outcome = settle(tx, project, &program, account, &event)?;
        tx.end_waiting(project, event.id, outcome, account)?;
        for invoice in tx.invoices_of(project, event.object.as_deref().unwrap_or_default())? {
            bring_into_line(tx, project, &invoice)?;
        }
    }
    Ok(())
}

/// What comes of an event, now that its account is known.
fn settle(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    account: AccountId,
    event: &WaitingEvent,
) -> Result<&'static str> {
    let referral = earning_referral(tx, project, account)?;
    let referral = referral.filter(|referral| is_its_work(program, referral, event.received_at_ms));
    match (event.fact.as_str(), event.object.as_deref(), event.amount_minor) {
        ("conversion", ..) => {
            if program.conversion != Conversion::FirstPurchase {
                return Ok("no_conversion");
            }
            let Some(referral) = referral else { return Ok("no_referral") };
            let converted = referral.progress.converted_at_ms.is_some();
            let occasion = Occasion { purchase: None, at_ms: event.happened_at_ms };
            convert(tx, project, program, &referral, Event::Subscription { converted }, occasion)?;
            Ok(if converted { "known" } else { "converted" })
        }
        ("purchase", Some(_), Some(0)) | ("unpaid", ..) => Ok("unpaid"),
        ("purchase", Some(invoice), Some(gross_minor)) => {
            let currency = event.currency.as_deref().unwrap_or_default();
            if tx.purchase(project, invoice)?.is_some() {
                return Ok("known");
            }
            if program.unit != "credits" && program.unit != currency {
                return Ok("other_currency");
            }
            let new = Bought { id: invoice, account, gross_minor, currency, at_ms: event.happened_at_ms };
            let program = program_of_purchase(tx, project, referral.as_ref(), event.happened_at_ms)?;
            buy(tx, project, &program, &new, referral.is_some())?;
            Ok("purchase")
        }
        _ => Ok("link"),
    }
}

fn note_refunds(tx: &Tx<'_>, project: ProjectId, told_at_ms: i64, refunds: &[Refund]) -> Result<()> {
    for refund in refunds {
        let mut refund = refund.clone();
        if refund.state == RefundState::Sum {
            // A charge's sum has in it what is still under way, or failed only afterwards.
            let under_way = |told: &&ToldRefund| match told.state {
                RefundState::Pending => true,
                RefundState::Failed => told.told_at_ms > told_at_ms,
                RefundState::Succeeded | RefundState::Sum => false,
            };
            let told = tx.told_refunds(project, &refund.object)?;
            let not_yet: i64 = told.iter().filter(under_way).map(|told| told.amount_minor).sum();
            refund.amount_minor = (refund.amount_minor - not_yet).max(0);
        }
        tx.note_stripe_refund(project, &refund, told_at_ms)?;
    }
    Ok(())
}

/// The invoices of which an event has told something that refunds depend on.
fn invoices(tx: &Tx<'_>, project: ProjectId, event: &StripeEvent) -> Result<BTreeSet<String>> {
    let mut objects: BTreeSet<&str> = event.links.iter().map(|link| link.object.as_str()).collect();
    if let Fact::Refunds(refunds) = &event.fact {
        objects
            .extend(refunds.iter().flat_map(|refund| [&refund.charge, &refund.intent]).flatten().map(String::as_str));
    }
    let mut invoices = BTreeSet::new();
    for object in objects {
        invoices.extend(tx.invoices_of(project, object)?);
    }
    Ok(invoices)
}

/// Makes refunds of an invoice what Stripe has said of its payments, and takes back accordingly. Each refund may be
/// told by itself and as a part of its charge's sum: for each charge the larger of the two ways to add up counts.
fn bring_into_line(tx: &Tx<'_>, project: ProjectId, invoice: &str) -> Result<()> {
    let told = tx.told_refunds(project, invoice)?;
    let total = |payment: &Option<String>, state| -> i64 {
        let those = told.iter().filter(|told| told.state == state && told.payment == *payment);
        those.map(|told| told.amount_minor).sum()
    };
    let payments: BTreeSet<_> = told.iter().map(|told| told.payment.clone()).collect();
    let refunded = payments.iter().map(|of| total(of, RefundState::Succeeded).max(total(of, RefundState::Sum)));
    let in_all: i64 = refunded.sum();
    let mut due = in_all - tx.refunded_minor(project, invoice)?;
    for refund in told.iter().filter(|told| told.state == RefundState::Succeeded) {
        let amount_minor = refund.amount_minor.min(due);
        if amount_minor > 0 && !tx.refund_is_known(project, &refund.object)? {
            tx.add_refund(project, &refund.object, invoice, amount_minor, false)?;
            due -= amount_minor;
        }
    }
    // What only sums tell of has no id of its own.
    let (rest, id) = (in_all - tx.refunded_minor(project, invoice)?, format!("{invoice}:{in_all}"));
    if rest > 0 && !tx.refund_is_known(project, &id)? {
        tx.add_refund(project, &id, invoice, rest, true)?;
    }
    match tx.purchase(project, invoice)? {
        Some(purchase) => take_back(tx, project, invoice, &purchase),
        None => Ok(()),
    }
}
