//! An account's ledger as its owner reads it, and the instance's signed head.

use super::Engine;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{Chain, Heads};
use crate::store::{LedgerFilter, LedgerPage};

/// A page of a ledger with what its reader wants to know beside it.
#[derive(Debug, Clone)]
pub struct LedgerSheet {
    pub page: LedgerPage,
    /// What the account's entries come to at the page's first line; `None` far from the newest.
    pub total: Option<i64>,
    /// Expired by the clock, and not booked yet.
    pub lapsed: i64,
    /// In a payout that is not settled.
    pub reserved: i64,
}

impl Engine {
    /// Newest first.
    pub async fn ledger(
        &self,
        project: ProjectId,
        account: AccountId,
        filter: LedgerFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<LedgerPage> {
        self.store.read_rows(project, account, move |db| db.ledger(project, account, filter, before, limit)).await
    }

    /// [`Engine::ledger`], with what is beside it.
    pub async fn ledger_sheet(
        &self,
        project: ProjectId,
        account: AccountId,
        filter: LedgerFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<LedgerSheet> {
        self.store
            .read_rows(project, account, move |db| {
                Ok(LedgerSheet {
                    page: db.ledger(project, account, filter, before, limit)?,
                    total: db.total_before(project, account, before)?,
                    lapsed: db.balance(project, account)?.lapsed,
                    reserved: db.payout_sums(project, account)?.0,
                })
            })
            .await
    }

    /// Oldest first, up to `limit` entries after `after`. Each call is a snapshot of its own, so that a slow reader
    /// of a long export does not keep the log from being emptied; the ledger only grows, so nothing shifts.
    pub async fn ledger_forward(
        &self,
        project: ProjectId,
        account: AccountId,
        filter: LedgerFilter,
        after: i64,
        limit: usize,
    ) -> Result<LedgerPage> {
        self.store
            .read_rows(project, account, move |db| db.ledger_forward(project, account, filter, after, limit))
            .await
    }

    /// The newest entry's number and hash, and those of the audit log, signed by this instance.
    pub async fn signed_heads(&self) -> Result<Heads> {
        let signing_key = self.store.instance().signing_key;
        self.store
            .read(move |db| {
                let now_ms = db.machine_now_ms();
                Ok(Heads {
                    ledger: db.ledger_head()?.sign(Chain::Ledger, &signing_key, now_ms),
                    audit: Some(db.audit_head()?.sign(Chain::Audit, &signing_key, now_ms)),
                })
            })
            .await
    }
}
