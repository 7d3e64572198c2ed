//! Whether a newcomer is someone who was here before: by the browser, and by the mailbox. Accounts that were erased today
//! are compared by what they left behind.

use super::logins::{Devices, browsers_of};
use crate::domain::email::Email;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::signal::{Alike, Likeness, Look, MOST_COMPARED, Trace, TraceKind};
use crate::domain::time::DAY_MS;
use crate::store::{Account, Referral, Sibling, Tx};

/// Whom a browser is known to have signed in as. Of most nothing is known.
pub struct Browser<'a> {
    pub tx: &'a Tx<'a>,
    pub devices: &'a Devices,
}

impl Browser<'_> {
    pub fn has_been(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        if self.devices.is_empty() || self.tx.find_account(project, account)?.is_none() {
            return Ok(false);
        }
        let (_, hash) = self.tx.own_password(project, account)?;
        Ok(hash.is_some_and(|hash| self.devices.know(self.tx.pepper(), account, &hash)))
    }

    /// Whom of a referrer and their other referrals it has signed in as, in a word.
    pub fn whose(&self, project: ProjectId, referrer: AccountId, siblings: &[Sibling]) -> Result<Option<&'static str>> {
        if self.devices.is_empty() {
            return Ok(None);
        }
        if self.has_been(project, referrer)? {
            return Ok(Some("referrer"));
        }
        for sibling in siblings {
            let known = if let Some(hash) = &sibling.password_hash {
                self.devices.know(self.tx.pepper(), sibling.referee, hash)
            } else {
                let left = self.tx.browsers_of_erased(project, sibling.referee)?;
                left.into_iter().any(|browsers| self.devices.are_among(browsers))
            };
            if known {
                return Ok(Some("other_referral"));
            }
        }
        Ok(None)
    }
}

fn look(address: Option<&str>) -> Option<Look> {
    Some(Look::of(&Email::parse("email", address?).ok()?))
}

fn today(tx: &Tx<'_>) -> i64 {
    tx.machine_now_ms().div_euclid(DAY_MS)
}

/// The key of today's traces, if there is one.
fn todays_key(tx: &Tx<'_>) -> Result<Option<[u8; 32]>> {
    Ok(tx.visitor_key()?.filter(|(day, _)| *day == today(tx)).map(|(_, key)| key))
}

/// The key of today's traces: this one from now on, if there is none.
pub fn todays_key_or(tx: &Tx<'_>, fresh: &[u8; 32]) -> Result<[u8; 32]> {
    tx.visitor_key_of(today(tx), fresh)
}

/// How many of a referrer's other mailboxes a newcomer's is like, and whose they are.
pub fn mailboxes(
    tx: &Tx<'_>,
    project: ProjectId,
    new: &Account,
    referral: &Referral,
    siblings: &[Sibling],
) -> Result<(Alike, Vec<ReferralId>)> {
    let (mut alike, mut whose) = (Alike::default(), Vec::new());
    let Some(own) = look(new.email.as_deref()) else { return Ok((alike, whose)) };
    for sibling in siblings {
        match look(sibling.email.as_deref()).and_then(|other| own.likeness(&other)) {
            Some(Likeness::Spelling) => alike.spellings += 1,
            Some(Likeness::Series) => alike.series += 1,
            None => continue,
        }
        whose.push(sibling.referral);
    }
    let Some(key) = todays_key(tx)? else { return Ok((alike, whose)) };
    for (kind, text) in own.shapes() {
        let left = tx.referrals_of_trace(project, Trace::of(&key, project, kind, text.as_bytes()), MOST_COMPARED)?;
        for (id, referrer) in left {
            if referrer != referral.referrer || id == referral.id || whose.contains(&id) {
                continue;
            }
            match kind {
                TraceKind::Spelling => alike.spellings += 1,
                _ => alike.series += 1,
            }
            whose.push(id);
        }
    }
    Ok((alike, whose))
}

/// What a referee who is about to be erased leaves behind for the rest of the day, under `key`.
pub fn leave_traces(tx: &Tx<'_>, project: ProjectId, account: &Account, key: &[u8; 32]) -> Result<()> {
    for (kind, text) in look(account.email.as_deref()).iter().flat_map(Look::shapes) {
        tx.add_sighting(project, account.id, kind, Trace::of(key, project, kind, text.as_bytes()))?;
    }
    if let (_, Some(hash)) = tx.own_password(project, account.id)? {
        tx.add_sighting(project, account.id, TraceKind::Browser, browsers_of(tx.pepper(), account.id, &hash))?;
    }
    Ok(())
}
