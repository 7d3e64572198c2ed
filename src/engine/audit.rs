//! The audit log: noting what is done, and reading it.

use super::Engine;
use crate::domain::audit::Actor;
use crate::domain::error::Result;
use crate::domain::id::{ProjectId, TeamId};
use crate::domain::ledger::{Chain, SignedHead};
use crate::store::{AuditFilter, AuditPage, NewAudit, Tx};
use serde_json::Value;

/// Who does something, and why, if they say.
#[derive(Debug, Clone)]
pub struct By {
    pub actor: Actor,
    pub reason: Option<String>,
}

impl By {
    pub const COMMAND_LINE: Self = Self { actor: Actor::CommandLine, reason: None };

    /// [`note`] with the reason.
    pub fn note(&self, tx: &Tx<'_>, project: ProjectId, action: &str, subject: &str, details: &Value) -> Result<()> {
        let (actor, reason) = (&self.actor, self.reason.as_deref());
        tx.add_audit(&NewAudit { project: Some(project), actor, action, subject: Some(subject), reason, details })?;
        Ok(())
    }
}

/// Notes what the same transaction does to something in a project, without a reason.
pub fn note(
    tx: &Tx<'_>,
    project: ProjectId,
    actor: &Actor,
    action: &str,
    subject: &str,
    details: &Value,
) -> Result<()> {
    let project = Some(project);
    tx.add_audit(&NewAudit { project, actor, action, subject: Some(subject), reason: None, details })?;
    Ok(())
}

/// [`note`] when an operator does it: what a project's own server does with its key every day is no operator's act.
pub fn note_operator(
    tx: &Tx<'_>,
    project: ProjectId,
    actor: &Actor,
    action: &str,
    subject: &str,
    details: &Value,
) -> Result<()> {
    match actor {
        Actor::Operator(_) => note(tx, project, actor, action, subject, details),
        _ => Ok(()),
    }
}

/// Notes what the same transaction does to a team itself.
pub fn note_team(tx: &Tx<'_>, team: TeamId, actor: &Actor, action: &str, subject: &str, details: &Value) -> Result<()> {
    let new = NewAudit { project: None, actor, action, subject: Some(subject), reason: None, details };
    tx.add_audit_of(team, &new)?;
    Ok(())
}

impl Engine {
    /// What was done to a project and to its team as a whole (without a project: to all of the team's), newest first.
    pub async fn audit(
        &self,
        team: TeamId,
        project: Option<ProjectId>,
        filter: AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<AuditPage> {
        self.store.read(move |db| db.audit(team, project, &filter, before, limit)).await
    }

    /// The newest row's number and hash, signed by this instance.
    pub async fn signed_audit_head(&self) -> Result<SignedHead> {
        let signing_key = self.store.instance().signing_key;
        self.store.read(move |db| Ok(db.audit_head()?.sign(Chain::Audit, &signing_key, db.machine_now_ms()))).await
    }
}
