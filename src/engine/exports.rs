//! A project's rows for files that are downloaded, step by step: each step is a snapshot of its own, so that a slow reader of a
//! long file does not keep the log from being emptied.

use super::{Engine, ListedDeveloper};
use crate::domain::error::Result;
use crate::domain::id::ProjectId;
use crate::domain::ledger::Entry;
use crate::store::{ExportedReferral, PayoutRow};

/// Some rows, and the place to go on from while there may be more.
#[derive(Debug, Clone)]
pub struct Step<T> {
    pub rows: Vec<T>,
    pub next: Option<i64>,
}

/// Rows of one step.
const STEP: usize = 500;

fn step<T>(rows: Vec<T>, key: impl Fn(&T) -> i64) -> Step<T> {
    let next = if rows.len() == STEP { rows.last().map(key) } else { None };
    Step { rows, next }
}

impl Engine {
    /// The project's ledger, oldest first, with each entry's status.
    pub async fn export_ledger(&self, project: ProjectId, after: i64) -> Result<Step<(Entry, &'static str)>> {
        let (rows, next) = self.store.read(move |db| db.exported_entries(project, after, STEP)).await?;
        Ok(Step { rows, next })
    }

    /// Oldest first; erased ones are left out.
    pub async fn export_developers(&self, project: ProjectId, after: i64) -> Result<Step<ListedDeveloper>> {
        self.store
            .read(move |db| {
                let rows = db.exported_developers(project, after, STEP)?.into_iter().map(|row| {
                    let (balance, totals) = (db.balance(project, row.account.id)?, db.totals(project, row.account.id)?);
                    Ok(ListedDeveloper { row, balance, totals })
                });
                Ok(step(rows.collect::<Result<_>>()?, |listed: &ListedDeveloper| listed.row.account.id.0))
            })
            .await
    }

    /// Oldest first.
    pub async fn export_referrals(&self, project: ProjectId, after: i64) -> Result<Step<ExportedReferral>> {
        let read = self.store.read(move |db| db.exported_referrals(project, after, STEP));
        Ok(step(read.await?, |referral| referral.id.0))
    }

    /// Oldest first.
    pub async fn export_payouts(&self, project: ProjectId, after: i64) -> Result<Step<PayoutRow>> {
        let read = self.store.read(move |db| db.exported_payouts(project, after, STEP));
        Ok(step(read.await?, |payout| payout.id.0))
    }
}
