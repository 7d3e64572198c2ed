//! Signals of abuse: where they are looked for, and what follows from them.
//!
//! A referral is looked at as it begins, when its referee reaches the milestone that pays for calls, a day after that,
//! and when RDAP has said how old a domain is. What is found stays; when it weighs enough, the referral is held: nothing
//! that it brings vests until an operator has cleared or rejected it. Held once and cleared, it is not held again.

use super::logins::Devices;
use super::{Engine, domains};
use crate::domain::email::Email;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::program::{Program, Trigger};
use crate::domain::referral::{Identity, Status};
use crate::domain::reward::Verdict;
use crate::domain::signal::{
    AddressHash, Alike, Beginning, ClosedBy, LONGEST_RING, Likeness, Look, MOST_COMPARED, Pace, REVIEW_RULE, Signal,
    SignalCode, UNDER_REVIEW, ring_inputs,
};
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::store::{Account, NewDecision, Referral, Sibling, Tx, VersionedProgram};
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// After the milestone, before it is looked at whether the calls went on.
const LOOK_AGAIN_MS: i64 = DAY_MS;
/// Signups of a day with one code, for the share of them that comes from one address.
const MOST_COUNTED: i64 = 1_000;
/// Accounts and places that are remembered to have been noted today.
const MOST_NOTED: usize = 100_000;

/// From where somebody comes, as far as that says anything.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub address: Option<AddressHash>,
    pub devices: Devices,
}

/// Sightings that are on the disk already, so that each is written once a day.
#[derive(Default)]
pub struct Sightings(Mutex<HashSet<(AccountId, AddressHash)>>);

impl Sightings {
    fn is_new(&self, account: AccountId, address: AddressHash) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= MOST_NOTED {
            noted.clear();
        }
        noted.insert((account, address))
    }

    fn forget(&self, account: AccountId, address: AddressHash) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(account, address));
    }
}

impl Engine {
    /// Without the day's key there is nothing to compare, which keeps nobody from anything.
    pub(super) async fn seen(&self, project: ProjectId, arrival: &super::Arrival) -> Seen {
        // Asked with any key first: nobody makes one for who comes from the machine itself.
        let address = match AddressHash::of(&[0; 32], project, arrival.network) {
            None => None,
            Some(_) => match self.visitor_key().await {
                Ok(key) => AddressHash::of(&key, project, arrival.network),
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
        let written = self.store.write(move |tx| tx.add_sighting(project, account, address)).await;
        if written.is_err() {
            self.sightings.forget(account, address);
        }
        written
    }

    /// Looks whether calls went on after the milestones of a while ago. Returns how many referrals were looked at.
    pub(super) fn look_at_due_paces(&self, most: usize) -> Result<usize> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due = self.store.read_blocking(|db| {
            let mut due = Vec::new();
            for project in db.projects()? {
                due.extend(db.due_paces(project.id, most)?.into_iter().map(|referral| (project.id, referral)));
            }
            Ok(due)
        })?;
        for (project, referral) in &due {
            let (project, referral) = (*project, *referral);
            self.store.write_blocking(move |tx| look_at_end_of_calls(tx, project, referral))?;
        }
        Ok(due.len())
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
    let (alike, alike_to) = mailboxes(new.account, &siblings);
    let from_here = from_here(tx, project, referral, &here)?;
    let (hour_ago_ms, day_ago_ms) = (tx.now_ms(project) - HOUR_MS, tx.now_ms(project) - DAY_MS);
    let some_more = |limit: u32| i64::from(limit) + 1;
    let browser = Browser { tx, devices: new.devices };
    let ring = ring(tx, project, referral, &here, &browser)?;
    let beginning = Beginning {
        referrer_was_here: was_at_any(tx, project, referral.referrer, &here)?,
        browser_of_referrer: browser.has_been(project, referral.referrer)?,
        browser_of_other_referral: browser.has_been_any(&siblings),
        code_signups: tx.signups_with_code(
            project,
            new.code,
            hour_ago_ms,
            some_more(program.abuse.code_signups_per_hour),
        )?,
        day_signups: tx.counted_with_code(project, new.code, day_ago_ms, MOST_COUNTED)?,
        others_from_here: i64::try_from(from_here.len()).unwrap_or(i64::MAX),
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
    let shows = |code| signals.iter().any(|signal| signal.code == code);
    if shows(SignalCode::AddressBurst) {
        let burst = Signal { code: SignalCode::AddressBurst, inputs: beginning.address_burst(&program.abuse) };
        add_to_all(tx, project, program, &from_here, &burst)?;
    }
    if shows(SignalCode::MailboxVariation) {
        let variation = Signal { code: SignalCode::MailboxVariation, inputs: alike.inputs() };
        add_to_all(tx, project, program, &alike_to, &variation)?;
    }
    if let Some(ring) = ring.filter(|_| shows(SignalCode::Ring)) {
        let inputs = ring_inputs(ring.below.len() + 1, ring.by);
        add_to_all(tx, project, program, &ring.below, &Signal { code: SignalCode::Ring, inputs })?;
    }
    domains::look_at(tx, project, program, referral)
}

fn was_at_any(tx: &Tx<'_>, project: ProjectId, account: AccountId, places: &[AddressHash]) -> Result<bool> {
    for place in places {
        if tx.was_seen_at(project, account, *place)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The referrer's other referrals from where the referee is.
fn from_here(tx: &Tx<'_>, project: ProjectId, referral: &Referral, here: &[AddressHash]) -> Result<Vec<ReferralId>> {
    let mut others = Vec::new();
    for place in here {
        let those = tx.referrals_from(project, referral.referrer, *place, MOST_COMPARED)?;
        others.extend(those.into_iter().filter(|other| *other != referral.id));
    }
    others.sort();
    others.dedup();
    Ok(others)
}

/// Whom a browser is known to have signed in as. Of most nothing is known.
struct Browser<'a> {
    tx: &'a Tx<'a>,
    devices: &'a Devices,
}

impl Browser<'_> {
    fn has_been(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        if self.devices.is_empty() || self.tx.find_account(project, account)?.is_none() {
            return Ok(false);
        }
        let (_, hash) = self.tx.own_password(project, account)?;
        Ok(hash.is_some_and(|hash| self.devices.know(self.tx.pepper(), account, &hash)))
    }

    fn has_been_any(&self, siblings: &[Sibling]) -> bool {
        let known = |sibling: &Sibling| {
            let hash = sibling.password_hash.as_deref();
            hash.is_some_and(|hash| self.devices.know(self.tx.pepper(), sibling.referee, hash))
        };
        !self.devices.is_empty() && siblings.iter().any(known)
    }
}

/// How many of the siblings' mailboxes a newcomer's is like, and whose they are.
fn mailboxes(new: &Account, siblings: &[Sibling]) -> (Alike, Vec<ReferralId>) {
    let look = |address: Option<&str>| Some(Look::of(&Email::parse("email", address?).ok()?));
    let (mut alike, mut whose) = (Alike::default(), Vec::new());
    let Some(own) = look(new.email.as_deref()) else { return (alike, whose) };
    for sibling in siblings {
        match look(sibling.email.as_deref()).and_then(|other| own.likeness(&other)) {
            Some(Likeness::Spelling) => alike.spellings += 1,
            Some(Likeness::Series) => alike.series += 1,
            None => continue,
        }
        whose.push(sibling.referral);
    }
    (alike, whose)
}

/// A chain of referrals that leads back to where it began.
struct Ring {
    /// The other referrals of it.
    below: Vec<ReferralId>,
    by: ClosedBy,
}

/// Goes up the chain of referrers, and sees whether it leads back to the referee: the same account, or one that was
/// where the referee is today, or was signed in to in the same browser. The referrer is compared elsewhere.
fn ring(
    tx: &Tx<'_>,
    project: ProjectId,
    referral: &Referral,
    here: &[AddressHash],
    browser: &Browser<'_>,
) -> Result<Option<Ring>> {
    let (mut lowest, mut below) = (referral.referrer, Vec::new());
    while below.len() < LONGEST_RING {
        let Some(link) = tx.referral_of(project, lowest)? else { break };
        if link.progress.status == Status::Rejected {
            break;
        }
        below.push(link.id);
        lowest = link.referrer;
        let by = if lowest == referral.referee {
            ClosedBy::Account
        } else if was_at_any(tx, project, lowest, here)? {
            ClosedBy::Address
        } else if browser.has_been(project, lowest)? {
            ClosedBy::Visitor
        } else {
            continue;
        };
        return Ok(Some(Ring { below, by }));
    }
    Ok(None)
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
fn add_to_all(
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

/// Holds a referral whose signals weigh enough, unless that was decided already. Whether it is held from now on.
pub fn hold_if_due(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, id: ReferralId) -> Result<bool> {
    let weight = tx.weight_of_signals(project, id)?;
    let threshold = i64::from(program.abuse.threshold);
    if weight < threshold || tx.is_cleared(project, id)? {
        return Ok(false);
    }
    let referral = tx.referral(project, id)?;
    if matches!(referral.progress.status, Status::Review | Status::Rejected) {
        return Ok(false);
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
    Ok(true)
}

/// The milestone of calls that pays, if there is one.
fn milestone_of_calls(program: &Program) -> Option<i64> {
    let pays = program.rules.iter().any(|rule| matches!(rule.on, Trigger::Calls(calls) if calls > 1));
    pays.then(|| program.active_calls())
}

/// Looks at how a referee's calls come in, as long as they have not reached the milestone that pays. Whether the referral
/// is held from now on.
pub fn look_at_calls(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: &Referral,
    before: i64,
    after: i64,
) -> Result<bool> {
    let Some(milestone) = milestone_of_calls(program).filter(|milestone| before < *milestone) else { return Ok(false) };
    let now_ms = tx.now_ms(project);
    let pace = match tx.pace(project, referral.id)? {
        Some(pace) => pace.and(after - before, now_ms),
        None => Pace::new(after - before, now_ms),
    };
    let is_there = after >= milestone;
    tx.set_pace(project, referral.id, &pace, is_there.then_some(now_ms + LOOK_AGAIN_MS))?;
    match pace.oddity().filter(|_| is_there) {
        Some(signal) => {
            add(tx, project, program, referral.id, &signal)?;
            hold_if_due(tx, project, program, referral.id)
        }
        None => Ok(false),
    }
}

/// A day after the milestone: whether there was not a single call more.
fn look_at_end_of_calls(tx: &Tx<'_>, project: ProjectId, id: ReferralId) -> Result<()> {
    tx.forget_pace(project, id)?;
    let (program, referral) = (tx.program(project)?, tx.referral(project, id)?);
    let calls = tx.with_holdings(project, referral.referee, |has| has.calls())?.unwrap_or(0);
    if milestone_of_calls(&program) == Some(calls) {
        let signal = Signal { code: SignalCode::BareMilestone, inputs: json!({ "calls": calls }) };
        add(tx, project, &program, id, &signal)?;
        hold_if_due(tx, project, &program, id)?;
    }
    Ok(())
}
