//! Reviews: operators look at referrals, clear them, reject them, and change their minds.
//!
//! A rejected referral that an operator clears again is paid again by new entries: the ledger keeps the reversal as it
//! was, and what was owed because of it is repaid first. Its terms stay those of the first grants.

use super::Engine;
use super::purchases::take_back;
use super::rewards::settle;
use super::usage::{Calls, reach_milestones};
use crate::domain::audit::{Actor, action};
use crate::domain::code::Code;
use crate::domain::email::{Email, identity_hash};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, EntryId, ProjectId, ReferralId};
use crate::domain::ledger::{self, Carried, EntryKind, Grant, Lot, Movement, NEVER_MS, Terms, line_status};
use crate::domain::referral::Status;
use crate::domain::reward::Verdict;
use crate::domain::signal::{REJECTED, REOPENED, REVIEW_RULE};
use crate::store::{
    DecisionRow, NewAudit, NewDecision, Referral, ReferralLot, ReviewFilter, ReviewLine, SignalRow, Snapshot, Tx,
};
use serde_json::{Value, json};

/// A referral in a list of operators'.
#[derive(Debug, Clone)]
pub struct ReviewItem {
    pub line: ReviewLine,
    pub signals: Vec<SignalRow>,
    /// What it brought and is not taken back or expired.
    pub at_stake: i64,
}

#[derive(Debug, Clone)]
pub struct ReviewPage {
    pub items: Vec<ReviewItem>,
    pub next: Option<i64>,
    /// How many of the project's wait in all.
    pub held: i64,
}

/// One grant of a referral's.
#[derive(Debug, Clone)]
pub struct ReviewGrant {
    pub id: EntryId,
    pub account: AccountId,
    pub reason: String,
    pub amount: i64,
    pub reversed: i64,
    pub pending: i64,
    pub available: i64,
    pub owed: i64,
    pub status: &'static str,
    pub granted_at_ms: i64,
    pub vests_at_ms: i64,
}

/// A referral with its whole history.
#[derive(Debug, Clone)]
pub struct ReviewView {
    pub item: ReviewItem,
    pub decisions: Vec<DecisionRow>,
    pub grants: Vec<ReviewGrant>,
    /// The threshold of the program in force.
    pub threshold: u32,
}

impl ReviewView {
    pub fn is_held(&self) -> bool {
        self.item.line.referral.progress.status == Status::Review
    }

    pub fn can_be_rejected(&self) -> bool {
        self.item.line.referral.progress.status != Status::Rejected
    }

    pub fn status_word(&self) -> &'static str {
        self.item.line.referral.progress.status.as_str()
    }

    /// Rejected by an operator, not by a rule.
    pub fn can_be_reopened(&self) -> bool {
        let line = &self.item.line;
        line.referral.progress.status == Status::Rejected && line.reason.as_deref() == Some(REJECTED)
    }
}

/// What of a grant can still be taken back.
pub fn at_stake(lot: &Lot) -> i64 {
    ledger::reversal_due(lot, None)
}

fn item(db: &Snapshot<'_>, project: ProjectId, line: ReviewLine) -> Result<ReviewItem> {
    let (id, signals) = (line.referral.id, db.signals(project, line.referral.id)?);
    let at_stake = db.all_lots_of_referral(project, id)?.iter().map(|of| at_stake(&of.lot)).sum();
    Ok(ReviewItem { line, signals, at_stake })
}

/// The lots as they are now: what was spent and is not written back yet counts.
fn grants(db: &Snapshot<'_>, project: ProjectId, id: ReferralId) -> Result<Vec<ReviewGrant>> {
    let now_ms = db.now_ms(project);
    let one = |ReferralLot { lot, reason, .. }: ReferralLot| {
        let open = db.with_holdings(project, lot.account, |has| has.lots().find(|open| open.seq == lot.seq))?;
        let lot = open.flatten().unwrap_or(Lot { remaining: 0, ..lot });
        let carried = Carried { by: None, reserved: db.reserved(project, &lot)? };
        Ok(ReviewGrant {
            id: EntryId(lot.seq),
            account: lot.account,
            reason,
            amount: lot.granted,
            reversed: lot.reversed,
            pending: lot.pending(now_ms),
            available: lot.available(now_ms),
            owed: lot.owed(),
            status: line_status(EntryKind::Grant, &lot, carried, now_ms),
            granted_at_ms: lot.granted_at_ms,
            vests_at_ms: lot.vests_at_ms,
        })
    };
    db.all_lots_of_referral(project, id)?.into_iter().map(one).collect()
}

fn view(db: &Snapshot<'_>, project: ProjectId, id: ReferralId) -> Result<ReviewView> {
    Ok(ReviewView {
        item: item(db, project, db.review(project, id)?)?,
        decisions: db.decisions(project, id)?,
        grants: grants(db, project, id)?,
        threshold: db.program(project)?.abuse.threshold,
    })
}

/// Which referrals an operator asks for.
pub fn filter(
    db: &Snapshot<'_>,
    project: ProjectId,
    status: Option<Status>,
    code: Option<&Code>,
    domain: Option<&str>,
) -> Result<ReviewFilter> {
    let code = match code {
        Some(code) => {
            let row = db.code(project, code)?;
            Some(row.ok_or_else(|| Error::field("code", "unknown_code", "There is no such referral code."))?.id)
        }
        None => None,
    };
    let strict = db.program(project)?.abuse.strict_domains;
    let household = match domain {
        Some(domain) => {
            let invalid = |_| Error::field("domain", "invalid_domain", "This is not an e-mail domain.");
            let email = Email::parse("domain", &format!("somebody@{domain}")).map_err(invalid)?;
            let household = email.household(strict);
            if household.contains('@') {
                let detail = "Many people who have nothing to do with each other have mailboxes there.";
                return Err(Error::field("domain", "public_domain", detail));
            }
            Some(identity_hash(db.pepper(), &household))
        }
        None => None,
    };
    Ok(ReviewFilter { status, code, household })
}

impl Engine {
    /// A project's referrals, newest first. `Invalid` for a code that is not there, or a domain that is no one's own.
    pub async fn reviews(
        &self,
        project: ProjectId,
        status: Option<Status>,
        code: Option<Code>,
        domain: Option<String>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ReviewPage> {
        self.store
            .read(move |db| {
                let filter = filter(db, project, status, code.as_ref(), domain.as_deref())?;
                let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
                let mut lines = db.reviews(project, &filter, before, one_more)?;
                let more = lines.len() > limit;
                lines.truncate(limit);
                let next = if more { lines.last().map(|line| line.referral.id.0) } else { None };
                let items = lines.into_iter().map(|line| item(db, project, line));
                Ok(ReviewPage { items: items.collect::<Result<_>>()?, next, held: db.held_count(project)? })
            })
            .await
    }

    /// A referral with everything that was decided about it. `NotFound`.
    pub async fn review(&self, project: ProjectId, id: ReferralId) -> Result<ReviewView> {
        self.store.read(move |db| view(db, project, id)).await
    }

    /// Lets a referral go on that is held, or opens one again that an operator has rejected: then what was taken back is
    /// granted again. Once cleared it stays so, and to clear it again changes nothing. `Conflict` for one that was never
    /// held, or was rejected by a rule.
    pub async fn clear_referral(
        &self,
        project: ProjectId,
        actor: Actor,
        id: ReferralId,
        reason: String,
    ) -> Result<ReviewView> {
        self.store
            .write(move |tx| {
                clear(tx, project, actor, id, &reason)?;
                view(tx, project, id)
            })
            .await
    }

    /// Rejects a referral and takes back all that it brought; one that is rejected stays as it is.
    pub async fn reject_referral(
        &self,
        project: ProjectId,
        actor: Actor,
        id: ReferralId,
        reason: String,
    ) -> Result<ReviewView> {
        self.store
            .write(move |tx| {
                reject(tx, project, actor, id, &reason)?;
                view(tx, project, id)
            })
            .await
    }
}

/// Notes what an operator decided: with the referral, and in the audit log.
fn note(
    tx: &Tx<'_>,
    project: ProjectId,
    actor: Actor,
    id: ReferralId,
    reason: &str,
    verdict: Verdict,
    figures: &Value,
) -> Result<()> {
    let (code, action) = match verdict {
        Verdict::Rejected => (REJECTED, action::REFERRAL_REJECT),
        Verdict::Reopened => (REOPENED, action::REFERRAL_REOPEN),
        _ => ("cleared", action::REFERRAL_CLEAR),
    };
    let inputs = json!({ "actor": actor.to_string(), "reason": reason, "lots": figures });
    tx.add_decision(
        project,
        &NewDecision {
            referral: id,
            purchase: None,
            program_version: tx.program(project)?.version,
            event: REVIEW_RULE,
            rule: REVIEW_RULE,
            inputs: &inputs,
            verdict,
            code,
            basis_points: None,
        },
    )?;
    let (subject, details) = (id.to_string(), json!({ "lots": figures }));
    let new = NewAudit {
        project: Some(project),
        actor: &actor,
        action,
        subject: Some(&subject),
        reason: Some(reason),
        details: &details,
    };
    tx.add_audit(&new).map(drop)
}

/// Takes back all that a referral brought, and says how much. `None`: it was rejected already.
pub fn reject(tx: &Tx<'_>, project: ProjectId, actor: Actor, id: ReferralId, reason: &str) -> Result<Option<i64>> {
    let referral = tx.referral(project, id)?;
    if referral.progress.status == Status::Rejected {
        return Ok(None);
    }
    let referral = tx.set_standing(project, &referral, Status::Rejected, Some(REJECTED))?;
    for account in [referral.referrer, referral.referee] {
        settle(tx, project, account)?;
    }
    let mut taken = Vec::new();
    for seq in lots(tx, project, &referral)?.iter().map(|of| of.lot.seq) {
        // One reversal may have taken from the next lot.
        let now = lots(tx, project, &referral)?.into_iter().find(|of| of.lot.seq == seq);
        let Some(ReferralLot { lot, .. }) = now else { continue };
        let due = at_stake(&lot);
        let drafts = ledger::reverse(&lot, &tx.open_lots(project, lot.account)?, due, tx.now_ms(project));
        tx.append(Movement { project, account: lot.account, reason: "abuse".into(), drafts })?;
        if due > 0 {
            taken.push(json!({ "lot": EntryId(seq), "amount": due }));
        }
    }
    let sum = taken.iter().filter_map(|of| of["amount"].as_i64()).sum();
    note(tx, project, actor, id, reason, Verdict::Rejected, &taken.into())?;
    Ok(Some(sum))
}

/// With the rows of both accounts complete.
fn lots(tx: &Tx<'_>, project: ProjectId, referral: &Referral) -> Result<Vec<ReferralLot>> {
    tx.complete_rows_of(project, referral.referrer)?;
    tx.complete_rows_of(project, referral.referee)?;
    tx.all_lots_of_referral(project, referral.id)
}

fn clear(tx: &Tx<'_>, project: ProjectId, actor: Actor, id: ReferralId, reason: &str) -> Result<()> {
    let (referral, program) = (tx.referral(project, id)?, tx.program(project)?);
    let status = referral.progress.once_cleared(&program);
    match referral.progress.status {
        Status::Review => {
            tx.set_standing(project, &referral, status, None)?;
            note(tx, project, actor, id, reason, Verdict::Cleared, &json!([]))
        }
        Status::Rejected => {
            if tx.referral_reason(project, id)?.as_deref() != Some(REJECTED) {
                let message = "A rule of the program has refused this referral; there is nothing to be cleared.";
                return Err(Error::conflict("rejected_by_rule", message));
            }
            if tx.has_successor(project, id)? {
                let message = "Somebody else of the same mailbox or e-mail domain has been referred meanwhile.";
                return Err(Error::conflict("household_taken", message));
            }
            reopen(tx, project, actor, &referral, status, reason)
        }
        _ if tx.is_cleared(project, id)? => Ok(()),
        _ => Err(Error::conflict("not_held", "This referral is not held.")),
    }
}

/// Grants again what the rejection took back, on the terms of then, and what was reached meanwhile.
fn reopen(
    tx: &Tx<'_>,
    project: ProjectId,
    actor: Actor,
    referral: &Referral,
    status: Status,
    reason: &str,
) -> Result<()> {
    let referral = tx.set_standing(project, referral, status, None)?;
    let taken = tx.decisions(project, referral.id)?.into_iter().rfind(|decided| decided.verdict == "rejected");
    let taken = taken.map(|decided| decided.inputs["lots"].clone()).unwrap_or_default();
    let mut given = Vec::new();
    for ReferralLot { lot, decision, program_version, .. } in lots(tx, project, &referral)? {
        let is_it = |of: &&Value| of["lot"] == EntryId(lot.seq).to_string();
        let amount = taken.as_array().and_then(|all| all.iter().find(is_it)).and_then(|of| of["amount"].as_i64());
        // What would have expired by now stays away.
        let Some(amount) = amount.filter(|_| lot.expires_at_ms > tx.now_ms(project)) else { continue };
        let terms = Terms {
            decision,
            program_version,
            vests_at_ms: lot.vests_at_ms,
            vesting: lot.vesting,
            expires_at_ms: (lot.expires_at_ms != NEVER_MS).then_some(lot.expires_at_ms),
        };
        settle(tx, project, lot.account)?;
        let grant = Grant { amount, referral: lot.referral, purchase: lot.purchase, terms };
        let drafts = ledger::grant(&tx.open_lots(project, lot.account)?, grant);
        let movement = Movement { project, account: lot.account, reason: REOPENED.into(), drafts };
        if let Some(seq) = tx.append(movement)? {
            given.push(json!({ "lot": EntryId(seq), "amount": amount }));
        }
    }
    note(tx, project, actor, referral.id, reason, Verdict::Reopened, &given.into())?;
    // What was refunded meanwhile had nothing to be taken from.
    for (purchase_id, purchase) in tx.purchases_of(project, referral.referee)? {
        take_back(tx, project, &purchase_id, &purchase)?;
    }
    catch_up_calls(tx, project, referral.id)
}

/// Calls that came in while the referral was rejected count now.
fn catch_up_calls(tx: &Tx<'_>, project: ProjectId, id: ReferralId) -> Result<()> {
    let (program, referral) = (tx.program(project)?, tx.referral(project, id)?);
    let after = tx.with_holdings(project, referral.referee, |has| has.calls())?.unwrap_or(0);
    let progress = referral.progress;
    let before = match (progress.active_at_ms, progress.first_call_at_ms) {
        (Some(_), _) => after,
        (None, Some(_)) => 1,
        (None, None) => 0,
    };
    reach_milestones(tx, project, &program, Some(&referral), Calls { before, after }).map(drop)
}

/// The e-mail domain of an address, where it says something about the person.
pub fn own_domain(address: &str) -> Option<String> {
    Email::parse("email", address).ok()?.own_domain().map(str::to_owned)
}
