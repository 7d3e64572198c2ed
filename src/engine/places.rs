//! Who was at one network address today, and what they have to do with each other.

use super::lookalikes::Browser;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::referral::Status;
use crate::domain::signal::{ClosedBy, LONGEST_RING, MOST_COMPARED, Trace};
use crate::domain::time::DAY_MS;
use crate::store::{Referral, Tx};
use std::collections::HashMap;

/// Who has been here for longer was not made up for what is referred today.
const NEW_MS: i64 = 14 * DAY_MS;

pub fn was_at_any(tx: &Tx<'_>, project: ProjectId, account: AccountId, places: &[Trace]) -> Result<bool> {
    for place in places {
        if tx.has_left(project, account, *place)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The other referrals that came from where a referee is today.
#[derive(Default)]
pub struct FromHere {
    /// Of the same referrer.
    pub siblings: Vec<ReferralId>,
    /// Of another one, with whom theirs has a referrer in common somewhere up the chain.
    pub relatives: Vec<ReferralId>,
    /// All whose referrers are new themselves, if the referee's own is.
    pub newcomers: Vec<ReferralId>,
}

pub fn from_here(tx: &Tx<'_>, project: ProjectId, referral: &Referral, here: &[Trace]) -> Result<FromHere> {
    let mut others = Vec::new();
    for place in here {
        others.extend(tx.referrals_of_trace(project, *place, MOST_COMPARED)?);
    }
    others.sort();
    others.dedup();
    let mut found = FromHere::default();
    if others.iter().all(|(id, _)| *id == referral.id) {
        return Ok(found);
    }
    let own = chain(tx, project, referral.referrer)?;
    let is_new = is_new(tx, project, referral.referrer)?;
    // By referrer: whether they are related, and whether they are new.
    let mut known: HashMap<AccountId, (bool, bool)> = HashMap::new();
    for (id, referrer) in others.into_iter().filter(|(id, _)| *id != referral.id) {
        let (is_related, are_new) = if let Some(known) = known.get(&referrer) {
            *known
        } else {
            let is_related = chain(tx, project, referrer)?.iter().any(|account| own.contains(account));
            (is_related, is_new && self::is_new(tx, project, referrer)?)
        };
        known.insert(referrer, (is_related, are_new));
        if are_new {
            found.newcomers.push(id);
        }
        if referrer == referral.referrer {
            found.siblings.push(id);
        } else if is_related {
            found.relatives.push(id);
        }
    }
    Ok(found)
}

fn is_new(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<bool> {
    let created_at_ms = tx.find_account(project, account)?.map(|account| account.created_at_ms);
    Ok(created_at_ms.is_some_and(|at_ms| tx.now_ms(project) - at_ms < NEW_MS))
}

/// A referrer, who referred them, and so on.
fn chain(tx: &Tx<'_>, project: ProjectId, referrer: AccountId) -> Result<Vec<AccountId>> {
    let mut chain = vec![referrer];
    let mut lowest = referrer;
    while chain.len() < LONGEST_RING
        && let Some(link) = tx.referral_of(project, lowest)?
        && link.progress.status != Status::Rejected
        && !chain.contains(&link.referrer)
    {
        lowest = link.referrer;
        chain.push(lowest);
    }
    Ok(chain)
}

/// A chain of referrals that leads back to where it began.
pub struct Ring {
    /// The other referrals of it.
    pub below: Vec<ReferralId>,
    pub by: ClosedBy,
}

/// Goes up the chain of referrers, and sees whether it leads back to the referee: the same account, or one that was
/// where the referee is today, or was signed in to in the same browser. The referrer is compared elsewhere.
pub fn ring(
    tx: &Tx<'_>,
    project: ProjectId,
    referral: &Referral,
    here: &[Trace],
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
