//! The outbox: what other systems are to be told, and what came of it. The network is not here: [`crate::work`] takes
//! a delivery from [`Engine::next_delivery`], has its receiver told, and brings the outcome to
//! [`Engine::end_delivery`].

use super::letters::Letter;
use super::transfers::{self, TransferTask};
use super::{Engine, audit, domains, letters};
use crate::domain::audit::{Actor, action};
use crate::domain::delivery::{self, DeliveryKind, Fate, Outcome};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::DeliveryId;
use crate::store::{Delivery, DeliveryRow, Tx};
use serde_json::{Value, json};

/// What a receiver is to be told, complete.
#[derive(Debug, Clone)]
pub enum Content {
    Letter(Box<Letter>),
    /// A call, in the words that were written down when it was caused.
    Call(Value),
    Transfer(TransferTask),
    /// The domain whose age is asked for.
    Domain(String),
}

/// A delivery that has begun: its receiver may have been told from now on.
#[derive(Debug, Clone)]
pub struct Begun {
    pub delivery: Delivery,
    pub content: Content,
}

impl Engine {
    /// The next delivery of a kind that is due, begun. `None` when there is nothing more to deliver now.
    ///
    /// A process that is killed before the outcome is noted leaves it due, and it is delivered again: receivers are
    /// told by what they can know it for the same.
    pub fn next_delivery(&self, kind: DeliveryKind) -> Result<Option<Begun>> {
        while let Some(id) = self.store.read_blocking(|db| db.due_delivery(kind))? {
            let begun = self.store.write_blocking(move |tx| {
                let Some(delivery) = tx.begin_delivery(id)? else { return Ok(None) };
                let content = content(tx, &delivery)?;
                if content.is_none() {
                    tx.end_delivery(id, Fate::Done, None)?;
                }
                Ok(content.map(|content| Begun { delivery, content }))
            });
            match begun {
                Ok(None) => {}
                Ok(begun) => return Ok(begun),
                // It stays where it is, but out of the way of all others.
                Err(fault) => {
                    self.postpone(id, None, &fault)?;
                }
            }
        }
        Ok(None)
    }

    /// Puts a delivery off that cannot begin, or whose outcome cannot be noted. `tries`: how many there were, this one
    /// included; `None` where it was not counted, as its beginning was undone.
    fn postpone(&self, id: DeliveryId, tries: Option<i64>, fault: &Error) -> Result<Fate> {
        tracing::error!(%id, %fault, "a delivery is put off");
        let outcome = Outcome::Retry(fault.message.clone());
        self.store.write_blocking(move |tx| {
            let tries = tries.map_or_else(|| tx.count_try(id), Ok)?;
            let fate = delivery::fate(&outcome, tries, tx.machine_now_ms(), tx.entropy()?);
            tx.end_delivery(id, fate, outcome.problem().as_deref())?;
            Ok(fate)
        })
    }

    /// Notes what came of a try, with all that follows from it, in one transaction. Where that cannot be noted the delivery
    /// is put off, and made again: its receiver knows it for the same.
    pub fn end_delivery(&self, begun: &Begun, outcome: Outcome) -> Result<Fate> {
        let delivery = begun.delivery.clone();
        let noted = self.store.write_blocking(move |tx| {
            let fate = fate(tx, &delivery, &outcome)?;
            tx.end_delivery(delivery.id, fate, outcome.problem().as_deref())?;
            Ok(fate)
        });
        match noted {
            // It would go wrong again at once, and hold up all others.
            Err(fault) if fault.kind != Kind::Busy => {
                self.postpone(begun.delivery.id, Some(begun.delivery.tries), &fault)
            }
            noted => noted,
        }
    }

    /// A project's deliveries that wait or are parked, oldest first.
    pub fn open_deliveries(&self, project: &str) -> Result<Vec<DeliveryRow>> {
        const MOST: i64 = 1_000;
        self.store.read_blocking(|db| db.open_deliveries(db.project_named(project)?.id, MOST))
    }

    /// Has a delivery tried again now, whether it is parked or waits for its next try. `NotFound` when it is done.
    pub fn retry_delivery(&self, id: DeliveryId) -> Result<()> {
        self.store.write_blocking(move |tx| {
            if !tx.retry_delivery(id)? {
                return Err(Error::not_found("There is no such delivery, or it is done."));
            }
            let project = tx.project_of_delivery(id)?;
            audit::note(tx, project, &Actor::CommandLine, action::DELIVERY_RETRY, &id.to_string(), &json!({}))
        })
    }
}

/// What a delivery says, as of now; in the transaction from which on it may have arrived. `None`: it has nothing to say
/// any more.
fn content(tx: &Tx<'_>, delivery: &Delivery) -> Result<Option<Content>> {
    match delivery.kind {
        DeliveryKind::Mail => Ok(letters::letter(tx, delivery)?.map(|letter| Content::Letter(Box::new(letter)))),
        DeliveryKind::Transfer => Ok(transfers::begin(tx, delivery)?.map(Content::Transfer)),
        DeliveryKind::Domain => Ok(domains::begin(tx, delivery)?.map(Content::Domain)),
    }
}

/// What becomes of a delivery, and what else follows from the outcome, in the transaction that notes it. A kind may
/// make something else of an outcome: a payout that Stripe refuses is done when its money is returned.
fn fate(tx: &Tx<'_>, delivery: &Delivery, outcome: &Outcome) -> Result<Fate> {
    match delivery.kind {
        DeliveryKind::Mail => Ok(delivery::fate(outcome, delivery.tries, tx.machine_now_ms(), tx.entropy()?)),
        DeliveryKind::Transfer => transfers::conclude(tx, delivery, outcome),
        DeliveryKind::Domain => domains::conclude(tx, delivery, outcome),
    }
}
