//! An account's ledger as its owner reads it, and the instance's signed head.

use super::Engine;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{Chain, Heads};
use crate::store::{LedgerFilter, LedgerPage};

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

    /// [`Engine::ledger`], with what the account's entries come to at the page's first line (`None` far from the newest),
    /// and what of it has expired without being booked yet.
    pub async fn ledger_with_total(
        &self,
        project: ProjectId,
        account: AccountId,
        filter: LedgerFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<(LedgerPage, Option<i64>, i64)> {
        self.store
            .read_rows(project, account, move |db| {
                let page = db.ledger(project, account, filter, before, limit)?;
                Ok((page, db.total_before(project, account, before)?, db.balance(project, account)?.lapsed))
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
