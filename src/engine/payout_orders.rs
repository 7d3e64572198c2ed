//! A project's payouts as operators list them, and what they order.

use super::audit::By;
use super::{Engine, ListedPayout, payouts};
use crate::domain::audit::Actor;
use crate::domain::error::Result;
use crate::domain::id::{PayoutId, ProjectId};
use crate::domain::payout_order::{PayoutFilter, PayoutOrder};
use crate::store::{PayoutRow, Snapshot};

/// A payout with whose it is.
#[derive(Debug, Clone)]
pub struct ProjectPayout {
    pub listed: ListedPayout,
    /// The partner's address, while there is one.
    pub email: Option<String>,
}

fn with_partner(
    db: &Snapshot<'_>,
    project: ProjectId,
    found: (PayoutRow, Option<String>, bool),
) -> Result<ProjectPayout> {
    let listed = payouts::listed(db, project, found)?;
    let account = db.find_account(project, listed.payout.account)?;
    Ok(ProjectPayout { listed, email: account.and_then(|account| account.email) })
}

impl Engine {
    /// Newest first, those before `before` only.
    pub async fn project_payouts(
        &self,
        project: ProjectId,
        filter: PayoutFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<ProjectPayout>> {
        self.store
            .read(move |db| {
                let found = db.payouts_in(project, &filter.states(), before, limit)?;
                found.into_iter().map(|found| with_partner(db, project, found)).collect()
            })
            .await
    }

    /// `NotFound`.
    pub async fn project_payout(&self, project: ProjectId, id: PayoutId) -> Result<ProjectPayout> {
        self.store.read(move |db| with_partner(db, project, db.listed_payout(project, id)?)).await
    }

    /// Does what an operator orders. `NotFound`; `Conflict` where it cannot be done, or not yet.
    pub async fn order_payout(
        &self,
        project: ProjectId,
        id: PayoutId,
        order: PayoutOrder,
        actor: Actor,
        reason: Option<String>,
    ) -> Result<ProjectPayout> {
        self.store
            .write(move |tx| {
                tx.payout(project, id)?;
                payouts::order(tx, project, id, order, &By { actor, reason })?;
                with_partner(tx, project, tx.listed_payout(project, id)?)
            })
            .await
    }
}
