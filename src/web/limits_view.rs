//! How the rate limits stand, and changing them, for the console and its calls.

use super::Context;
use super::limit::{Limited, Quota, in_words};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Result};
use crate::domain::id::TeamId;
use crate::domain::limit::LimitName;
use crate::engine::{NamedOwner, mask};
use std::time::Duration;

/// Of those who are held up now, at most so many are shown for each limit.
const MOST_SHOWN: usize = 20;

pub struct LimitView {
    pub name: LimitName,
    /// A period; 0: no limit.
    pub count: u32,
    /// What the server was started with.
    pub started_with: u32,
    pub is_set: bool,
    pub remembered: usize,
    pub limited: usize,
    pub longest: Vec<HeldUp>,
}

/// Someone whom a limit holds up.
pub struct HeldUp {
    /// By which it can be lifted.
    pub handle: String,
    /// A network without its last part, or whose password it is.
    pub who: String,
    /// `dev_…` or `op_…`, of this team.
    pub subject: Option<String>,
    pub wait_s: u64,
    /// The same as people say it.
    pub wait: String,
}

/// Who it is, as somebody may see it who sees `whole` addresses or masked ones.
fn named(owner: &NamedOwner, whole: bool) -> String {
    let email = || owner.email.clone().unwrap_or_else(|| owner.id.clone());
    match (owner.is_operator, whole) {
        // A team's operators know each other.
        (true, _) => format!("{} (operator)", email()),
        (false, true) => format!("{} (developer)", email()),
        (false, false) => {
            let masked = owner.email.as_deref().and_then(mask);
            format!("{} (developer)", masked.unwrap_or_else(|| owner.id.clone()))
        }
    }
}

/// The one whose password or code somebody tries too often, if it is one of the team's.
async fn owner(context: &Context, team: TeamId, hash: Option<u64>) -> Result<Option<NamedOwner>> {
    match hash.and_then(|hash| context.limiter.owner_of(hash)) {
        Some(owner) => context.engine.owner_in_team(team, owner).await,
        None => Ok(None),
    }
}

async fn held_up(context: &Context, team: TeamId, one: Limited, whole: bool) -> Result<HeldUp> {
    let owner = owner(context, team, one.hash).await?;
    let who = owner.as_ref().map_or(one.who, |owner| named(owner, whole));
    let (wait_s, wait) = (one.wait_s, in_words(one.wait_s));
    Ok(HeldUp { handle: one.handle, who, subject: owner.map(|owner| owner.id), wait_s, wait })
}

/// With `whole` addresses or masked ones. `NotFound` for who may not see them.
pub async fn all(context: &Context, team: TeamId, whole: bool) -> Result<Vec<LimitView>> {
    let kept = context.engine.limits_of(team).await?;
    let mut views = Vec::new();
    for name in LimitName::ALL {
        let set = kept.iter().find(|(known, _)| *known == name).map(|(_, count)| *count);
        let started_with = context.settings.limits.of(name).count;
        let standing = context.limiter.standing(name, MOST_SHOWN);
        let mut longest = Vec::new();
        for one in standing.longest {
            longest.push(held_up(context, team, one, whole).await?);
        }
        views.push(LimitView {
            name,
            count: set.unwrap_or(started_with),
            started_with,
            is_set: set.is_some(),
            remembered: standing.remembered,
            limited: standing.limited,
            longest,
        });
    }
    Ok(views)
}

/// From now on, and after the next start; `None`: as the server was started. `Invalid`; `NotFound`.
pub async fn set(context: &Context, team: TeamId, actor: Actor, name: LimitName, count: Option<i64>) -> Result<()> {
    let count = count.map(|count| name.check(count)).transpose()?;
    context.engine.keep_limit(team, actor, name, count).await?;
    context.limiter.set(name, quota(context, name, count));
    Ok(())
}

/// A set limit counts in the period of its name; without one it is what the server was started with.
pub fn quota(context: &Context, name: LimitName, count: Option<u32>) -> Quota {
    let set = |count| Quota::new(count, Duration::from_secs(name.period().1));
    count.map_or_else(|| context.settings.limits.of(name), set)
}

/// Gives one their whole allowance back, and says who it was, as it is shown. It is noted first: what cannot be noted
/// is not done. `NotFound`.
pub async fn lift(context: &Context, team: TeamId, actor: Actor, name: LimitName, handle: &str) -> Result<String> {
    // Looked at before, so that nobody else's operator can.
    context.engine.limits_of(team).await?;
    let found = context.limiter.find(name, handle);
    let (who, hash) = found.ok_or_else(|| Error::not_found("Nobody is held up any more there."))?;
    let owner = owner(context, team, hash).await?;
    let of = owner.as_ref().map(|owner| owner.id.clone());
    context.engine.note_lifted(team, actor, name, who.clone(), of).await?;
    context.limiter.lift(name, handle);
    Ok(owner.map_or(who, |owner| named(&owner, true)))
}
