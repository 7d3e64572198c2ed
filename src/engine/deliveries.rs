//! A project's deliveries as operators look at them, and trying them again.

use super::letter_words::{Rendered, render};
use super::{Engine, audit, letters};
use crate::domain::audit::{Actor, action};
use crate::domain::delivery::DeliveryKind;
use crate::domain::error::{Error, Result};
use crate::domain::id::{DeliveryId, ProjectId};
use crate::store::{Delivery, DeliveryFilter, DeliveryRow, Snapshot};
use serde_json::json;

/// A delivery, and the letter that it would be, if it is one, if it was sent now: to whom, and in which words.
#[derive(Debug, Clone)]
pub struct DeliveryView {
    pub row: DeliveryRow,
    pub letter: Option<(String, Rendered)>,
}

fn view(db: &Snapshot<'_>, project: ProjectId, id: DeliveryId, public_url: &str) -> Result<DeliveryView> {
    let row = db.delivery(project, id)?;
    if row.kind != DeliveryKind::Mail.as_str() {
        return Ok(DeliveryView { row, letter: None });
    }
    let delivery = Delivery {
        id,
        project,
        kind: DeliveryKind::Mail,
        account: row.account,
        body: serde_json::from_str(&row.body).map_err(|fault| Error::internal(format!("{id}: {fault}")))?,
        tries: row.tries,
        created_at_ms: row.created_at_ms,
    };
    let letter = match letters::letter_preview(db, &delivery)? {
        Some(letter) => Some((letter.to.clone(), render(&letter, public_url)?)),
        None => None,
    };
    Ok(DeliveryView { row, letter })
}

impl Engine {
    /// Those that wait or are parked, newest first, those before `before` only.
    pub async fn deliveries(
        &self,
        project: ProjectId,
        filter: DeliveryFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        self.store.read(move |db| db.deliveries(project, filter, before, limit)).await
    }

    /// How many are parked.
    pub async fn parked_deliveries(&self, project: ProjectId) -> Result<i64> {
        self.store.read(move |db| db.parked_deliveries(project)).await
    }

    /// `NotFound` when it is done.
    pub async fn delivery(&self, project: ProjectId, id: DeliveryId, public_url: String) -> Result<DeliveryView> {
        self.store.read(move |db| view(db, project, id, &public_url)).await
    }

    /// [`Engine::retry_delivery`] of one project.
    pub async fn retry_delivery_of(&self, project: ProjectId, id: DeliveryId, actor: Actor) -> Result<()> {
        self.store
            .write(move |tx| {
                tx.delivery(project, id)?;
                tx.retry_delivery(id)?;
                audit::note(tx, project, &actor, action::DELIVERY_RETRY, &id.to_string(), &json!({}))
            })
            .await
    }

    /// Has all of a kind tried again now that are parked. How many there are.
    pub async fn retry_deliveries_of(&self, project: ProjectId, kind: DeliveryKind, actor: Actor) -> Result<usize> {
        self.store
            .write(move |tx| {
                let retried = tx.retry_parked_deliveries(project, kind)?;
                let details = json!({ "retried": retried });
                audit::note(tx, project, &actor, action::DELIVERY_RETRY, kind.as_str(), &details)?;
                Ok(retried)
            })
            .await
    }

    /// Drops what is not delivered yet, such as a letter or a question. `Conflict` for what is about money: that is
    /// settled, never dropped.
    pub async fn discard_delivery(&self, project: ProjectId, id: DeliveryId, actor: Actor) -> Result<()> {
        self.store
            .write(move |tx| {
                if tx.delivery(project, id)?.kind == DeliveryKind::Transfer.as_str() {
                    let message = "This is about money: it is tried until it is settled. See the payout.";
                    return Err(Error::conflict("not_discardable", message));
                }
                tx.end_delivery(id, crate::domain::delivery::Fate::Done, None)?;
                audit::note(tx, project, &actor, action::DELIVERY_DISCARD, &id.to_string(), &json!({}))
            })
            .await
    }
}
