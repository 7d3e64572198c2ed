//! Usage: calls are counted, credits are spent, milestones are reached.

use super::rewards::{reward, settle};
use super::{Engine, letters, paces};
use crate::domain::access::{Caller, Role};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{self, Movement};
use crate::domain::referral::Status;
use crate::domain::reward::Event;
use crate::store::{Referral, Tx, UsageRow, VersionedProgram};

/// How a gateway names an account.
#[derive(Debug, Clone)]
pub enum Who {
    Developer(AccountId),
    External(String),
    Key(String),
}

/// Calls that an account made, reported by a gateway under the gateway's own id.
#[derive(Debug, Clone)]
pub struct UsageEvent {
    pub id: String,
    pub who: Who,
    pub calls: i64,
    pub spend: i64,
    /// Charge all of `spend` or reject the event.
    pub require_full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageStatus {
    Recorded,
    Duplicate,
    /// Nothing was recorded, and the id is still free. The stable code says why.
    Rejected(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageAnswer {
    pub id: String,
    pub account: Option<AccountId>,
    pub status: UsageStatus,
    pub charged: i64,
    pub uncovered: i64,
    pub available: i64,
}

impl Engine {
    /// Records events in their order, all in one transaction.
    pub async fn record_usage(&self, project: ProjectId, events: Vec<UsageEvent>) -> Result<Vec<UsageAnswer>> {
        self.store
            .write_repeatable(events.len(), move |tx| {
                let program = tx.program(project)?;
                events.iter().map(|event| record(tx, project, &program, event)).collect()
            })
            .await
    }
}

/// The account that an event is about, or why there is none.
pub fn find(tx: &Tx<'_>, project: ProjectId, who: &Who) -> Result<std::result::Result<AccountId, &'static str>> {
    Ok(match who {
        Who::Developer(id) => {
            let erased = tx.with_holdings(project, *id, |has| has.is_erased())?;
            if erased == Some(false) { Ok(*id) } else { Err("unknown_developer") }
        }
        Who::External(id) => tx.account_with_external_id(project, id)?.ok_or("unknown_developer"),
        Who::Key(secret) => match tx.caller(secret)? {
            Some(Caller { project: owner, role: Role::Developer(account), .. }) if owner == project => Ok(account),
            _ => Err("invalid_key"),
        },
    })
}

fn record(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, event: &UsageEvent) -> Result<UsageAnswer> {
    let hash = tx.usage_hash(project, &event.id);
    if let Some(known) = tx.usage_event(project, &event.id, hash)? {
        return Ok(UsageAnswer {
            id: event.id.clone(),
            account: Some(known.account),
            status: UsageStatus::Duplicate,
            charged: known.charged,
            uncovered: known.uncovered,
            available: tx.balance(project, known.account)?.available,
        });
    }
    let rejected = |account, code, available| UsageAnswer {
        id: event.id.clone(),
        account,
        status: UsageStatus::Rejected(code),
        charged: 0,
        uncovered: event.spend,
        available,
    };
    let account = match find(tx, project, &event.who)? {
        Ok(account) => account,
        Err(code) => return Ok(rejected(None, code, 0)),
    };
    settle(tx, project, account)?;
    let Some(mut has) = tx.holdings(project, account)? else { return Ok(rejected(None, "unknown_developer", 0)) };
    let before = has.balance(tx.now_ms(project)).available;
    if event.require_full && before < event.spend {
        return Ok(rejected(Some(account), "insufficient_credits", before));
    }
    let lots = has.lots_to_spend(event.spend, tx.now_ms(project));
    let drafts = ledger::spend(&lots, event.spend, tx.now_ms(project));
    let charged: i64 = drafts.iter().map(|draft| -draft.amount).sum();
    let group_seq = tx.append(Movement { project, account, reason: "api_usage".into(), drafts })?;
    let usage = UsageRow { account, charged, uncovered: event.spend - charged };
    tx.add_usage_event(project, &event.id, hash, event.calls, usage, group_seq)?;
    let calls = Calls { before: has.calls(), after: has.calls().saturating_add(event.calls) };
    let earned = reach_milestones(tx, project, program, has.referral(), calls)?;
    Ok(UsageAnswer {
        id: event.id.clone(),
        account: Some(account),
        status: UsageStatus::Recorded,
        charged,
        uncovered: usage.uncovered,
        available: if earned { tx.balance(project, account)?.available } else { before - charged },
    })
}

/// What a referee's calls were, and what they are now.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    pub before: i64,
    pub after: i64,
}

/// Pays for the milestones that these calls reach. Whether that changed what the account itself can spend.
pub fn reach_milestones(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: Option<&Referral>,
    Calls { before, after }: Calls,
) -> Result<bool> {
    let Some(referral) = referral.filter(|_| after > before) else { return Ok(false) };
    if referral.progress.status == Status::Rejected {
        return Ok(false);
    }
    let held = paces::look_at_calls(tx, project, program, referral, before, after)?;
    let now_held = if held { Some(tx.referral(project, referral.id)?) } else { None };
    let referral = now_held.as_ref().unwrap_or(referral);
    let progress = referral.progress.after_calls(program, before, after, tx.now_ms(project));
    let rules_changed = referral.judged_version != program.version;
    let event = Event::Calls { before, after, rules_changed };
    let awaited = program.awaits(event);
    if progress == referral.progress && !rules_changed && !awaited {
        return Ok(held);
    }
    let (mut referral, had) = (referral.clone(), referral.progress);
    if progress != referral.progress {
        referral = tx.set_progress(project, &referral, &progress)?;
    }
    if rules_changed {
        referral = tx.set_judged_version(project, &referral, program.version)?;
    }
    let granted = if awaited { reward(tx, project, program, &referral, event, None)? } else { Vec::new() };
    letters::milestone(tx, project, program, &referral, had, &granted)?;
    Ok(held || granted.iter().any(|grant| grant.account == referral.referee))
}
