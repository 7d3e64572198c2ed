//! Signals of abuse: where they are looked for, and what follows from them.
//!
//! A referral is looked at as it begins, when its referee reaches the milestone that pays for calls, a day after that,
//! and when RDAP has said how old a domain is. What is found stays; when it weighs enough, the referral is held: nothing
//! that it brings vests until an operator has cleared or rejected it. Held once and cleared, it is not held again.

use super::logins::Devices;
use super::lookalikes::{Browser, mailboxes};
use super::places::{from_here, ring, was_at_any};
use super::{Engine, domains};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::referral::{Identity, Status};
use crate::domain::reward::Verdict;
use crate::domain::signal::{
    Beginning, MOST_COMPARED, REJECTED, REVIEW_RULE, Signal, SignalCode, Trace, TraceKind, UNDER_REVIEW, are_erased,
    ring_inputs,
};
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::store::{Account, NewDecision, Referral, Sibling, Tx, VersionedProgram};
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Signups of a day with one code, for the share of them that comes from one address.
const MOST_COUNTED: i64 = 1_000;
/// An account that is erased sooner after its code was used was made for what that brought.
const SOON_MS: i64 = 7 * DAY_MS;
/// Accounts and places that are remembered to have been noted today.
const MOST_NOTED: usize = 100_000;

/// From where somebody comes, as far as that says anything.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub address: Option<Trace>,
    pub devices: Devices,
}

/// Sightings that are on the disk already, so that each is written once a day.
#[derive(Default)]
pub struct Sightings(Mutex<HashSet<(AccountId, Trace)>>);

impl Sightings {
    fn is_new(&self, account: AccountId, address: Trace) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= MOST_NOTED {
            noted.clear();
        }
        noted.insert((account, address))
    }

    fn forget(&self, account: AccountId, address: Trace) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(account, address));
    }
}

impl Engine {
    /// Without the day's key there is nothing to compare, which keeps nobody from anything.
    pub(super) async fn seen(&self, project: ProjectId, arrival: &super::Arrival) -> Seen {
        // Asked with any key first: nobody makes one for who comes from the machine itself.
        let address = match Trace::of_address(&[0; 32], project, arrival.network) {
            None => None,
            Some(_) => match self.visitor_key().await {
                Ok(key) => Trace::of_address(&key, project, arrival.network),
                Err(_) => None,
            },
        };
        Seen { address, devices: arrival.devices.clone() }
    }

    /// Notes from where an account's owner comes today, once each.
    pub async fn sight(&self, project: ProjectId, account: AccountId, arrival: &super::Arrival) -> Result<()> {
        let Some(address) = self.seen(project, arrival).await.address else { return Ok(()) };
        if !self.sightings.is_new(account, address) {
            return Ok(());
        }
        let written = self.store.write(move |tx| tx.add_sighting(project, account, TraceKind::Address, address)).await;
        if written.is_err() {
            self.sightings.forget(account, address);
        }
        written
    }
}

/// What is known of someone who has just been referred.
pub struct Newcomer<'a> {
    pub account: &'a Account,
    pub identity: Option<&'a Identity>,
    pub code: i64,
    pub devices: &'a Devices,
}

/// Looks at a referral as it begins, and at those before it that it throws a light on.
pub fn look_at_beginning(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: &Referral,
    new: &Newcomer<'_>,
) -> Result<()> {
    let here = tx.sightings(project, referral.referee)?;
    let siblings = tx.siblings(project, referral.referrer, referral.id, MOST_COMPARED)?;
    let (alike, alike_to) = mailboxes(tx, project, new.account, referral, &siblings)?;
    let from_here = from_here(tx, project, referral, &here)?;
    let together = came_together(tx, project, referral, &from_here.siblings)?;
    let (hour_ago_ms, day_ago_ms) = (tx.now_ms(project) - HOUR_MS, tx.now_ms(project) - DAY_MS);
    let some_more = |limit: u32| i64::from(limit) + 1;
    let browser = Browser { tx, devices: new.devices };
    let ring = ring(tx, project, referral, &here, &browser)?;
    let beginning = Beginning {
        referrer_was_here: was_at_any(tx, project, referral.referrer, &here)?,
        browser_of: browser.whose(project, referral.referrer, &siblings)?,
        code_signups: tx.signups_with_code(
            project,
            new.code,
            hour_ago_ms,
            some_more(program.abuse.code_signups_per_hour),
        )?,
        day_signups: tx.counted_with_code(project, new.code, day_ago_ms, MOST_COUNTED)?,
        others_from_here: count(&from_here.siblings),
        relatives_from_here: count(&from_here.relatives),
        newcomers_from_here: count(&from_here.newcomers),
        together: count(&together),
        siblings: count(&siblings),
        erased: count(&erased_soon(&siblings)),
        company: tx.company(project, referral.referrer, MOST_COMPARED)?,
        referrer_is_held: is_bad(tx, project, referral.referrer)?,
        domain_signups: match new.identity {
            Some(identity) => {
                let most = some_more(program.abuse.domain_signups_per_day);
                tx.signups_of_household(project, &identity.household, day_ago_ms, most)?
            }
            None => 0,
        },
        mailboxes: alike,
        ring: ring.as_ref().map(|ring| (ring.below.len() + 1, ring.by)),
    };
    let signals = beginning.signals(&program.abuse);
    for signal in &signals {
        add(tx, project, program, referral.id, signal)?;
    }
    hold_if_due(tx, project, program, referral.id)?;
    let found = |code| signals.iter().find(|signal| signal.code == code);
    if let Some(burst) = found(SignalCode::AddressBurst) {
        add_to_all(tx, project, program, &from_here.siblings, burst)?;
        add_to_all(tx, project, program, &together, burst)?;
        let is_of_tree = count(&from_here.relatives) >= 2 * i64::from(program.abuse.address_signups_per_day);
        if is_of_tree {
            add_to_all(tx, project, program, &from_here.relatives, burst)?;
        }
    } else if let Some(shared) = found(SignalCode::SharedAddress) {
        add_to_all(tx, project, program, &from_here.siblings, shared)?;
    }
    // The others have it already.
    let is_first_of_crowd = count(&from_here.newcomers) == i64::from(program.abuse.address_crowd_per_day);
    if let Some(crowd) = found(SignalCode::CrowdedAddress).filter(|_| is_first_of_crowd) {
        add_to_all(tx, project, program, &from_here.newcomers, crowd)?;
    }
    if let Some(variation) = found(SignalCode::MailboxVariation) {
        add_to_all(tx, project, program, &alike_to, variation)?;
    }
    if let Some(ring) = ring.filter(|_| found(SignalCode::Ring).is_some()) {
        let inputs = ring_inputs(ring.below.len() + 1, ring.by);
        add_to_all(tx, project, program, &ring.below, &Signal { code: SignalCode::Ring, inputs })?;
    }
    domains::look_at(tx, project, program, referral)
}

fn count<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap_or(i64::MAX)
}

/// The referrer's other referrals of which several came from one address on some day, those that are here today included.
fn came_together(tx: &Tx<'_>, project: ProjectId, referral: &Referral, here: &[ReferralId]) -> Result<Vec<ReferralId>> {
    if here.is_empty() {
        return Ok(Vec::new());
    }
    let mut together = tx.referrals_showing(project, referral.referrer, SignalCode::SharedAddress, MOST_COMPARED)?;
    together.extend(here.iter().filter(|id| **id != referral.id));
    together.sort();
    together.dedup();
    Ok(together)
}

/// Those whose accounts were erased soon after the code was used.
fn erased_soon(siblings: &[Sibling]) -> Vec<ReferralId> {
    let soon = |sibling: &&Sibling| sibling.erased_after_ms.is_some_and(|after_ms| after_ms < SOON_MS);
    siblings.iter().filter(soon).map(|sibling| sibling.referral).collect()
}

/// Whether the referral that brought an account in is held, or was rejected after a review.
fn is_bad(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<bool> {
    let Some(referral) = tx.referral_of(project, account)? else { return Ok(false) };
    Ok(match referral.progress.status {
        Status::Review => true,
        Status::Rejected => tx.referral_reason(project, referral.id)?.as_deref() == Some(REJECTED),
        _ => false,
    })
}

/// A referee has erased their account: what that says of all who did so.
pub fn look_at_erasure(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<()> {
    let Some(referral) = tx.referral_of(project, account)? else { return Ok(()) };
    let program = tx.program(project)?;
    let siblings = tx.siblings(project, referral.referrer, ReferralId(0), MOST_COMPARED)?;
    let (erased, all) = (erased_soon(&siblings), count(&siblings));
    if are_erased(count(&erased), all) {
        let inputs = json!({ "erased": erased.len(), "of": all });
        add_to_all(tx, project, &program, &erased, &Signal { code: SignalCode::ErasedSoon, inputs })?;
    }
    Ok(())
}

/// Records a signal; one that the referral has already stays as it is.
pub fn add(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: ReferralId,
    signal: &Signal,
) -> Result<()> {
    let weight = program.abuse.weights.of(signal.code);
    if weight > 0 {
        tx.add_signal(project, referral, program.version, signal, weight)?;
    }
    Ok(())
}

/// Earlier referrals show the same thing, only nobody could know it then.
pub fn add_to_all(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referrals: &[ReferralId],
    signal: &Signal,
) -> Result<()> {
    for referral in referrals {
        add(tx, project, program, *referral, signal)?;
        hold_if_due(tx, project, program, *referral)?;
    }
    Ok(())
}

/// Holds a referral whose signals weigh enough, unless that was decided already, and then perhaps the others of the same
/// referrer, and the one that brought the referrer in. Whether it is held from now on.
pub fn hold_if_due(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, id: ReferralId) -> Result<bool> {
    let Some(mut referrer) = hold(tx, project, program, id)? else { return Ok(false) };
    loop {
        hold_the_rest(tx, project, program, referrer)?;
        let company = tx.company(project, referrer, MOST_COMPARED)?;
        let Some(own) = tx.referral_of(project, referrer)? else { break };
        if !company.is_all_held(tx.weight_of_signals(project, own.id)? > 0) {
            break;
        }
        let inputs = json!({ "held": "brought", "of": company.all });
        add(tx, project, program, own.id, &Signal { code: SignalCode::HeldCompany, inputs })?;
        // Each can be held once, so this comes to an end.
        let Some(next) = hold(tx, project, program, own.id)? else { break };
        referrer = next;
    }
    Ok(true)
}

/// Holds what a referrer has brought and looks suspect by itself, if most of it is held. Others who are here already go
/// on: a stranger who makes accounts up with somebody's code is not to stop those who came before.
fn hold_the_rest(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, referrer: AccountId) -> Result<()> {
    let company = tx.company(project, referrer, MOST_COMPARED)?;
    if !company.is_bad() || company.held == company.all {
        return Ok(());
    }
    let signal = Signal { code: SignalCode::HeldCompany, inputs: company.inputs() };
    for sibling in tx.siblings(project, referrer, ReferralId(0), MOST_COMPARED)? {
        if !sibling.is_held && tx.weight_of_signals(project, sibling.referral)? > 0 {
            add(tx, project, program, sibling.referral, &signal)?;
            hold(tx, project, program, sibling.referral)?;
        }
    }
    Ok(())
}

/// Holds one referral. Whose it is, if it is held from now on.
fn hold(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, id: ReferralId) -> Result<Option<AccountId>> {
    let weight = tx.weight_of_signals(project, id)?;
    let threshold = i64::from(program.abuse.threshold);
    if weight < threshold || tx.is_cleared(project, id)? {
        return Ok(None);
    }
    let referral = tx.referral(project, id)?;
    if matches!(referral.progress.status, Status::Review | Status::Rejected) {
        return Ok(None);
    }
    let signals: Vec<_> = tx.signals(project, id)?.iter().map(|signal| signal.code.as_str()).collect();
    tx.set_standing(project, &referral, Status::Review, Some(UNDER_REVIEW))?;
    let inputs = json!({ "signals": signals, "weight": weight, "threshold": threshold });
    tx.add_decision(
        project,
        &NewDecision {
            referral: id,
            purchase: None,
            program_version: program.version,
            event: REVIEW_RULE,
            rule: REVIEW_RULE,
            inputs: &inputs,
            verdict: Verdict::Held,
            code: UNDER_REVIEW,
            basis_points: None,
        },
    )?;
    Ok(Some(referral.referrer))
}
