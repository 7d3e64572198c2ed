//! Rate limits that operators set. Counting is not here: it is in memory, where the calls come in.

use super::audit::note_team;
use super::{Engine, Owner};
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, TeamId};
use crate::domain::limit::LimitName;
use crate::store::Snapshot;
use serde_json::json;

/// The limits are the whole server's, so they are those operators' whose team came with it.
fn check_team(db: &Snapshot<'_>, team: TeamId) -> Result<()> {
    if db.first_team()? == team { Ok(()) } else { Err(Error::not_found("The limits are not this team's.")) }
}

/// Somebody who has a password, as their team knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedOwner {
    pub id: String,
    /// Nothing of who was erased.
    pub email: Option<String>,
    pub is_operator: bool,
}

/// An account of one of a team's projects.
fn account_in_team(db: &Snapshot<'_>, team: TeamId, id: AccountId) -> Result<Option<NamedOwner>> {
    for project in db.projects_of_team(team)? {
        if let Some(account) = db.find_account(project.id, id)? {
            return Ok(Some(NamedOwner { id: id.to_string(), email: account.email, is_operator: false }));
        }
    }
    Ok(None)
}

impl Engine {
    /// What operators have set, over what the server was started with.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is of one snapshot's lifetime only")]
    pub fn kept_limits(&self) -> Result<Vec<(LimitName, u32)>> {
        self.store.read_blocking(|db| db.rate_limits())
    }

    /// [`Engine::kept_limits`] for who may see them. `NotFound` for another team's.
    pub async fn limits_of(&self, team: TeamId) -> Result<Vec<(LimitName, u32)>> {
        self.store
            .read(move |db| {
                check_team(db, team)?;
                db.rate_limits()
            })
            .await
    }

    /// Keeps a count, or with `None` forgets it. `NotFound` for another team's.
    pub async fn keep_limit(&self, team: TeamId, actor: Actor, name: LimitName, count: Option<u32>) -> Result<()> {
        self.store
            .write(move |tx| {
                check_team(tx, team)?;
                let before = tx.rate_limits()?.into_iter().find(|(known, _)| *known == name).map(|(_, count)| count);
                tx.set_rate_limit(name, count)?;
                let details = json!({ "from": before, "to": count });
                note_team(tx, team, &actor, action::LIMIT_CHANGE, name.as_str(), &details)
            })
            .await
    }

    /// Whose password it is, if they are a team's own: its operator, or a developer of one of its projects.
    pub async fn owner_in_team(&self, team: TeamId, owner: Owner) -> Result<Option<NamedOwner>> {
        self.store
            .read(move |db| match owner {
                Owner::Account(id) => account_in_team(db, team, id),
                Owner::Operator(id) => {
                    let row = db.operators(Some(team))?.into_iter().find(|row| row.id == id);
                    let named = |email| NamedOwner { id: id.to_string(), email: Some(email), is_operator: true };
                    Ok(row.map(|row| named(row.email)))
                }
            })
            .await
    }

    /// Notes that somebody gets their whole allowance back. `who` is a network without its last part, or no more than
    /// that it is somebody; `of` their id where it is known.
    pub async fn note_lifted(
        &self,
        team: TeamId,
        actor: Actor,
        name: LimitName,
        who: String,
        of: Option<String>,
    ) -> Result<()> {
        self.store
            .write(move |tx| {
                check_team(tx, team)?;
                let details = of.map_or_else(|| json!({ "who": who }), |of| json!({ "who": of }));
                note_team(tx, team, &actor, action::LIMIT_LIFT, name.as_str(), &details)
            })
            .await
    }
}
