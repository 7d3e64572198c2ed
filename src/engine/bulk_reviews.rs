//! Rejecting all referrals of a code or of an e-mail domain: first what that would do, then exactly that.

use super::Engine;
use super::reviews::{at_stake, filter, reject};
use crate::domain::audit::{Actor, action};
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::store::{NewAudit, Snapshot};
use serde_json::json;
use std::collections::BTreeMap;

/// Rejected in one go; what is beyond it, in the next.
const MOST_AT_ONCE: i64 = 10_000;
/// Rejected by one job: some milliseconds of the writer's time.
const MOST_A_JOB: usize = 25;
/// Accounts that a preview names, those with the most at stake first.
const MOST_ACCOUNTS: usize = 200;

/// Referrals that have something in common.
#[derive(Debug, Clone)]
pub enum Cohort {
    Code(Code),
    /// E-mail domain of the referees.
    Domain(String),
}

/// What rejecting a cohort means for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CohortAccount {
    pub account: AccountId,
    /// Nothing of an account that was erased.
    pub email: Option<String>,
    /// Taken back: from what is pending and what is available of these grants, ...
    pub pending: i64,
    pub available: i64,
    /// ... and of what has been spent, from what else the account has available; the rest becomes debt.
    pub from_others: i64,
    pub debt: i64,
}

impl CohortAccount {
    pub fn sum(&self) -> i64 {
        self.pending + self.available + self.from_others + self.debt
    }
}

/// What rejecting a cohort would do.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    pub referrals: usize,
    /// Those of the cohort that operators have rejected before: as far as it went, if it broke off.
    pub rejected: i64,
    /// There are more than can be rejected in one go.
    pub more: bool,
    /// All accounts together.
    pub total: i64,
    pub pending: i64,
    pub available: i64,
    pub from_others: i64,
    pub debt: i64,
    pub account_count: usize,
    pub accounts: Vec<CohortAccount>,
    /// Names these referrals with these grants: what was previewed is what is carried out.
    pub digest: String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BulkRejected {
    pub referrals: usize,
    pub taken_back: i64,
}

/// The referrals that are to be rejected, and what that means.
struct Plan {
    ids: Vec<ReferralId>,
    preview: Preview,
}

fn plan(db: &Snapshot<'_>, project: ProjectId, cohort: &Cohort) -> Result<Plan> {
    let filter = match cohort {
        Cohort::Code(code) => filter(db, project, None, Some(code), None)?,
        Cohort::Domain(domain) => filter(db, project, None, None, Some(domain))?,
    };
    let mut ids = db.open_referrals(project, &filter, MOST_AT_ONCE + 1)?;
    let most = usize::try_from(MOST_AT_ONCE).unwrap_or(usize::MAX);
    let more = ids.len() > most;
    ids.truncate(most);
    let mut hasher = blake3::Hasher::new();
    // By account: what is due of each lot.
    let mut due: BTreeMap<AccountId, BTreeMap<i64, i64>> = BTreeMap::new();
    for id in &ids {
        hasher.update(&id.0.to_le_bytes());
        for of in db.all_lots_of_referral(project, *id)? {
            let amount = at_stake(&of.lot);
            hasher.update(&of.lot.seq.to_le_bytes()).update(&amount.to_le_bytes());
            due.entry(of.lot.account).or_default().insert(of.lot.seq, amount);
        }
    }
    let mut accounts = Vec::new();
    for (account, lots) in &due {
        accounts.push(loss(db, project, *account, lots)?);
    }
    accounts.sort_by_key(|account| std::cmp::Reverse(account.sum()));
    let sum = |part: fn(&CohortAccount) -> i64| accounts.iter().map(part).sum();
    let preview = Preview {
        referrals: ids.len(),
        rejected: db.rejected_by_operators(project, &filter)?,
        more,
        total: sum(CohortAccount::sum),
        pending: sum(|account| account.pending),
        available: sum(|account| account.available),
        from_others: sum(|account| account.from_others),
        debt: sum(|account| account.debt),
        account_count: accounts.len(),
        digest: hasher.finalize().to_hex().as_str()[..32].to_owned(),
        accounts: accounts.into_iter().take(MOST_ACCOUNTS).collect(),
    };
    Ok(Plan { ids, preview })
}

/// What an account loses, given what is due of each of its lots.
fn loss(db: &Snapshot<'_>, project: ProjectId, account: AccountId, due: &BTreeMap<i64, i64>) -> Result<CohortAccount> {
    let now_ms = db.now_ms(project);
    let open = db.with_holdings(project, account, |has| has.lots().collect::<Vec<_>>())?.unwrap_or_default();
    let (own, others): (Vec<_>, Vec<_>) = open.iter().partition(|lot| due.contains_key(&lot.seq));
    let pending: i64 = own.iter().map(|lot| lot.pending(now_ms)).sum();
    let available: i64 = own.iter().map(|lot| lot.available(now_ms)).sum();
    // What has expired by the clock and is not booked is gone, not owed.
    let lapsed: i64 = own.iter().map(|lot| lot.lapsed(now_ms)).sum();
    let spent = due.values().sum::<i64>() - pending - available - lapsed;
    let elsewhere: i64 = others.iter().map(|lot| lot.available(now_ms)).sum();
    let from_others = spent.min(elsewhere).max(0);
    let email = db.find_account(project, account)?.and_then(|account| account.email);
    Ok(CohortAccount { account, email, pending, available, from_others, debt: spent - from_others })
}

impl Engine {
    /// What [`Engine::reject_cohort`] would do now. `Invalid` for a code that is not there, or a domain that is no one's
    /// own.
    pub async fn preview_rejection(&self, project: ProjectId, cohort: Cohort) -> Result<Preview> {
        Ok(self.store.read(move |db| plan(db, project, &cohort)).await?.preview)
    }

    /// Rejects the referrals that a preview was of, a few at a time: everyone else goes on in between. Each is rejected
    /// for good as soon as its part is on the disk. That it has begun is noted first: a beginning without an end in the
    /// audit log is one that a crash has broken off, a new preview says how far it went, and doing it again does the
    /// rest. `Conflict` when there are other referrals or grants than the digest names.
    pub async fn reject_cohort(
        &self,
        project: ProjectId,
        actor: Actor,
        cohort: Cohort,
        digest: String,
        reason: String,
    ) -> Result<BulkRejected> {
        let for_plan = cohort.clone();
        let Plan { ids, preview } = self.store.read(move |db| plan(db, project, &for_plan)).await?;
        if preview.digest != digest {
            let message = "There are other referrals or credits by now; look at the preview again.";
            return Err(Error::conflict("preview_outdated", message));
        }
        if ids.is_empty() {
            // What does nothing has nothing to say.
            return Ok(BulkRejected::default());
        }
        let planned = BulkRejected { referrals: preview.referrals, taken_back: preview.total };
        self.note_bulk(project, actor, &cohort, action::REFERRAL_REJECT_ALL_BEGIN, planned, &reason).await?;
        let mut done = BulkRejected::default();
        for part in ids.chunks(MOST_A_JOB) {
            let (part, reason) = (part.to_vec(), reason.clone());
            let rejected = self.store.write(move |tx| {
                let mut rejected = BulkRejected::default();
                for id in part {
                    if let Some(amount) = reject(tx, project, actor, id, &reason)? {
                        rejected.referrals += 1;
                        rejected.taken_back += amount;
                    }
                }
                Ok(rejected)
            });
            let rejected = rejected.await?;
            done.referrals += rejected.referrals;
            done.taken_back += rejected.taken_back;
        }
        self.note_bulk(project, actor, &cohort, action::REFERRAL_REJECT_ALL, done, &reason).await?;
        Ok(done)
    }

    /// What is about to be done in all, or was, by the code's owner; each referral's part is noted with it.
    async fn note_bulk(
        &self,
        project: ProjectId,
        actor: Actor,
        cohort: &Cohort,
        action: &'static str,
        sums: BulkRejected,
        reason: &str,
    ) -> Result<()> {
        // A code may be made from a name, and a domain may be one.
        let (code, by) = match cohort {
            Cohort::Code(code) => (Some(code.clone()), "code"),
            Cohort::Domain(_) => (None, "domain"),
        };
        let details = json!({ "by": by, "referrals": sums.referrals, "total": sums.taken_back });
        let reason = reason.to_owned();
        let write = move |tx: &crate::store::Tx<'_>| {
            let row = code.map(|code| tx.code(project, &code)).transpose()?.flatten();
            let subject = row.map(|row| row.owner.to_string());
            tx.add_audit(&NewAudit {
                project: Some(project),
                actor: &actor,
                action,
                subject: subject.as_deref(),
                reason: Some(&reason),
                details: &details,
            })
        };
        self.store.write(write).await.map(drop)
    }
}
