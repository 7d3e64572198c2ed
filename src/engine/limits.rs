//! Rate limits that operators set. Counting is not here: it is in memory, where the calls come in.

use super::Engine;
use super::audit::note_team;
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, Result};
use crate::domain::id::TeamId;
use crate::domain::limit::LimitName;
use crate::store::Snapshot;
use serde_json::json;

/// The limits are the whole server's, so they are those operators' whose team came with it.
fn check_team(db: &Snapshot<'_>, team: TeamId) -> Result<()> {
    if db.first_team()? == team { Ok(()) } else { Err(Error::not_found("The limits are not this team's.")) }
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

    /// Notes that somebody has their whole allowance back. `who` says it no more exactly than the page does.
    pub async fn note_lifted(&self, team: TeamId, actor: Actor, name: LimitName, who: String) -> Result<()> {
        self.store
            .write(move |tx| {
                check_team(tx, team)?;
                note_team(tx, team, &actor, action::LIMIT_LIFT, name.as_str(), &json!({ "who": who }))
            })
            .await
    }
}
