//! Developers as operators see them: finding one, and everything about one.

use super::Engine;
use crate::domain::developer::Search;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{Balance, Lot, Totals};
use crate::store::{
    BoughtRow, DeveloperRow, KeyRow, ListedDecision, OwnedCode, PayoutRow, Referral, ReferralCounts, ReferralLine,
    SessionRow, Snapshot, VersionedProgram,
};

/// Someone in a list, with what they can spend.
#[derive(Debug, Clone)]
pub struct ListedDeveloper {
    pub row: DeveloperRow,
    pub balance: Balance,
    pub totals: Totals,
}

/// One page of a list, and where the next one starts.
#[derive(Debug, Clone, Default)]
pub struct DeveloperPage {
    pub items: Vec<ListedDeveloper>,
    pub next: Option<i64>,
}

/// Everything about one developer but what comes in lists of its own.
#[derive(Debug, Clone)]
pub struct DeveloperFile {
    pub row: DeveloperRow,
    pub balance: Balance,
    pub totals: Totals,
    pub calls: i64,
    /// The open lots in spend order, each with the reason of its grant; the first hundred.
    pub lots: Vec<(Lot, String)>,
    pub codes: Vec<OwnedCode>,
    /// Good ones.
    pub keys: Vec<KeyRow>,
    pub sessions: Vec<SessionRow>,
    pub referrals: ReferralCounts,
    /// What brought this one in.
    pub referred: Option<Referral>,
    pub has_open_payout: bool,
    pub program: VersionedProgram,
    pub now_ms: i64,
}

/// The newest of what comes in lists.
#[derive(Debug, Clone)]
pub struct DeveloperHistory {
    pub referrals: Vec<ReferralLine>,
    pub purchases: Vec<BoughtRow>,
    pub payouts: Vec<PayoutRow>,
    pub decisions: Vec<ListedDecision>,
}

fn listed(db: &Snapshot<'_>, project: ProjectId, row: DeveloperRow) -> Result<ListedDeveloper> {
    let (balance, totals) = (db.balance(project, row.account.id)?, db.totals(project, row.account.id)?);
    Ok(ListedDeveloper { row, balance, totals })
}

fn file(db: &Snapshot<'_>, project: ProjectId, id: AccountId) -> Result<DeveloperFile> {
    const MOST_LOTS: usize = 100;
    let row = db.developer(project, id)?;
    let is_there = row.erased_at_ms.is_none();
    let (open, calls) = db.with_holdings(project, id, |has| (has.lots().collect(), has.calls()))?.unwrap_or_default();
    let open: Vec<Lot> = open;
    let lots = open.into_iter().take(MOST_LOTS).map(|lot| Ok((lot.clone(), db.reason_of_grant(project, lot.seq)?)));
    Ok(DeveloperFile {
        balance: db.balance(project, id)?,
        totals: db.totals(project, id)?,
        calls,
        lots: lots.collect::<Result<_>>()?,
        codes: db.codes_of(project, id)?,
        keys: db.keys(project, Some(id))?,
        sessions: if is_there { db.account_sessions(project, id)? } else { Vec::new() },
        referrals: db.referral_counts(project, id)?,
        referred: db.referral_of(project, id)?,
        has_open_payout: db.has_open_payout(project, id)?,
        program: db.program(project)?,
        now_ms: db.now_ms(project),
        row,
    })
}

impl Engine {
    /// Those that fit, a page of them.
    pub async fn search_developers(
        &self,
        project: ProjectId,
        search: Search,
        after: Option<i64>,
        limit: usize,
    ) -> Result<DeveloperPage> {
        self.store
            .read(move |db| {
                // One more than is shown says whether there is a next page.
                let (named, mut found) = db.search_developers(project, &search, after, limit + 1)?;
                let has_more = found.len() > limit;
                found.truncate(limit);
                let next = found.last().filter(|_| has_more).map(|row| row.account.id.0);
                found.retain(|row| !named.iter().any(|known| known.account.id == row.account.id));
                // They lead the first page, and are on no other.
                let leading = if after.is_none() { named } else { Vec::new() };
                let items = leading.into_iter().chain(found).map(|row| listed(db, project, row));
                Ok(DeveloperPage { items: items.collect::<Result<_>>()?, next })
            })
            .await
    }

    /// An erased one too. `NotFound`.
    pub async fn developer(&self, project: ProjectId, id: AccountId) -> Result<DeveloperFile> {
        self.store.read(move |db| file(db, project, id)).await
    }

    /// The newest referrals, purchases, payouts and decisions of a developer, up to `limit` each. `NotFound`.
    pub async fn developer_history(&self, project: ProjectId, id: AccountId, limit: usize) -> Result<DeveloperHistory> {
        let read = move |db: &Snapshot<'_>| {
            db.developer(project, id)?;
            Ok(DeveloperHistory {
                referrals: db.referrals(project, id, None, None, i64::try_from(limit).unwrap_or(i64::MAX))?,
                purchases: db.page_of_purchases(project, id, None, limit)?,
                payouts: db.payouts(project, id, None, limit)?,
                decisions: db.decisions_about(project, id, limit)?,
            })
        };
        self.store.read(read).await
    }

    /// Newest first, those before `before` only. `NotFound` for another project's account.
    pub async fn referrals_of_developer(
        &self,
        project: ProjectId,
        id: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<ReferralLine>> {
        let read = move |db: &Snapshot<'_>| {
            db.developer(project, id)?;
            db.referrals(project, id, None, before, i64::try_from(limit).unwrap_or(i64::MAX))
        };
        self.store.read(read).await
    }

    /// Newest first, those before `before` only. `NotFound` for another project's account.
    pub async fn purchases_of_developer(
        &self,
        project: ProjectId,
        id: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<BoughtRow>> {
        let read = move |db: &Snapshot<'_>| {
            db.developer(project, id)?;
            db.page_of_purchases(project, id, before, limit)
        };
        self.store.read(read).await
    }
}
