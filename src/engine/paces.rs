//! How referees call on the way to the milestone that pays, and whether that looks made up.

use super::Engine;
use super::signals::{add, add_to_all, hold_if_due};
use crate::domain::error::Result;
use crate::domain::id::{ProjectId, ReferralId};
use crate::domain::program::{Program, Trigger};
use crate::domain::referral::Status;
use crate::domain::signal::{MOST_COMPARED, Pace, Signal, SignalCode, are_alike};
use crate::domain::time::DAY_MS;
use crate::store::{Referral, Tx, VersionedProgram};
use serde_json::json;

/// After the milestone, before it is looked at whether the calls went on.
const LOOK_AGAIN_MS: i64 = DAY_MS;

impl Engine {
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
    let mut pace = match tx.pace(project, referral.id)? {
        Some(pace) => pace.and(after - before, now_ms),
        None => Pace::new(after - before, now_ms),
    };
    if after < milestone {
        tx.set_pace(project, referral.id, &pace, None)?;
        return Ok(false);
    }
    pace.reached_at_ms = Some(now_ms);
    tx.set_pace(project, referral.id, &pace, Some(now_ms + LOOK_AGAIN_MS))?;
    if let Some(signal) = pace.oddity() {
        add(tx, project, program, referral.id, &signal)?;
    }
    let reached = tx.reached_paces(project, referral.referrer, referral.id, MOST_COMPARED)?;
    let mut alike: Vec<_> = reached.iter().filter(|(_, other)| pace.is_like(other)).map(|(id, _)| *id).collect();
    alike.push(referral.id);
    if are_alike(alike.len(), reached.len() + 1, pace.is_telling()) {
        show_likeness(tx, project, program, &alike, reached.len() + 1, "paced")?;
    }
    hold_if_due(tx, project, program, referral.id)?;
    // It may also be held together with others.
    let now = tx.referral(project, referral.id)?.progress.status;
    Ok(now == Status::Review && referral.progress.status != Status::Review)
}

/// All of them show that they called alike.
fn show_likeness(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    alike: &[ReferralId],
    of: usize,
    how: &'static str,
) -> Result<()> {
    let inputs = json!({ "how": how, "alike": alike.len(), "of": of });
    add_to_all(tx, project, program, alike, &Signal { code: SignalCode::SameUsage, inputs })
}

/// A day after the milestone: whether there was hardly a call more.
fn look_at_end_of_calls(tx: &Tx<'_>, project: ProjectId, id: ReferralId) -> Result<()> {
    tx.end_pace(project, id)?;
    let (program, referral) = (tx.program(project)?, tx.referral(project, id)?);
    let calls = tx.with_holdings(project, referral.referee, |has| has.calls())?.unwrap_or(0);
    let Some(milestone) = milestone_of_calls(&program).filter(|milestone| Pace::ends_at(*milestone, calls)) else {
        return Ok(());
    };
    let signal = Signal { code: SignalCode::BareMilestone, inputs: json!({ "calls": calls, "milestone": milestone }) };
    add(tx, project, &program, id, &signal)?;
    hold_if_due(tx, project, &program, id)?;
    let reached = tx.reached_paces(project, referral.referrer, id, MOST_COMPARED)?;
    // Of the others nobody knows yet whether their calls go on.
    let is_over = |pace: &Pace| pace.reached_at_ms.is_some_and(|at_ms| at_ms + LOOK_AGAIN_MS <= tx.now_ms(project));
    let ended = reached.iter().filter(|(_, pace)| is_over(pace)).count();
    let mut bare = tx.referrals_showing(project, referral.referrer, SignalCode::BareMilestone, MOST_COMPARED)?;
    bare.retain(|other| *other != id);
    bare.push(id);
    if are_alike(bare.len(), ended + 1, false) {
        show_likeness(tx, project, &program, &bare, ended + 1, "ended")?;
    }
    Ok(())
}
