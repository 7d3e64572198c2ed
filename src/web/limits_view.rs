//! How the rate limits stand, and changing them, for the console and its calls.

use super::Context;
use super::limit::{Limited, Quota};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Result};
use crate::domain::id::TeamId;
use crate::domain::limit::LimitName;
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
    pub longest: Vec<Limited>,
}

/// `NotFound` for who may not see them.
pub async fn all(context: &Context, team: TeamId) -> Result<Vec<LimitView>> {
    let kept = context.engine.limits_of(team).await?;
    let view = |name: LimitName| {
        let set = kept.iter().find(|(known, _)| *known == name).map(|(_, count)| *count);
        let started_with = context.settings.limits.of(name).count;
        let standing = context.limiter.standing(name, MOST_SHOWN);
        LimitView {
            name,
            count: set.unwrap_or(started_with),
            started_with,
            is_set: set.is_some(),
            remembered: standing.remembered,
            limited: standing.limited,
            longest: standing.longest,
        }
    };
    Ok(LimitName::ALL.map(view).into())
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

/// Gives one their whole allowance back, and says who it was, as it is shown. `NotFound`.
pub async fn lift(context: &Context, team: TeamId, actor: Actor, name: LimitName, handle: &str) -> Result<String> {
    // Looked at before, so that nobody else's operator can.
    context.engine.limits_of(team).await?;
    let who =
        context.limiter.lift(name, handle).ok_or_else(|| Error::not_found("Nobody is held up any more there."))?;
    context.engine.note_lifted(team, actor, name, who.clone()).await?;
    Ok(who)
}
