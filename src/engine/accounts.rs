//! An account's own view of itself, changing it, erasing it.

use super::{Engine, lookalikes, secrets, signals};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{Balance, Totals};
use crate::domain::{payout, text};
use crate::store::{Account, NewAccount, Profile, Snapshot, Tx};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The seed's Developer object.
#[derive(Debug, Clone)]
pub struct ProfileView {
    pub profile: Profile,
    pub totals: Totals,
    pub balance: Balance,
}

pub fn profile(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<ProfileView> {
    Ok(ProfileView {
        profile: db.profile(project, account)?,
        totals: db.totals(project, account)?,
        balance: db.balance(project, account)?,
    })
}

/// The account with the team's own id; made when there is none.
pub fn known_as(tx: &Tx<'_>, project: ProjectId, external_id: &str) -> Result<Account> {
    match tx.account_with_external_id(project, external_id)? {
        Some(id) => tx.account(project, id),
        None => tx.add_account(project, &NewAccount { external_id: Some(external_id.into()), ..NewAccount::default() }),
    }
}

/// What `PATCH` may change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    name: Option<String>,
    leaderboard_name: Option<Option<String>>,
}

impl Change {
    pub fn parse(name: Option<&str>, leaderboard_name: Option<Option<&str>>) -> Result<Self> {
        let listed = |name: Option<&str>| name.map(|name| text::display("leaderboard_name", name, 40)).transpose();
        let name = name.map(|name| text::display("name", name, 100)).transpose();
        match (name, leaderboard_name.map(listed).transpose()) {
            (Ok(name), Ok(leaderboard_name)) => Ok(Self { name, leaderboard_name }),
            (name, leaderboard_name) => {
                let faults = [name.err(), leaderboard_name.err()];
                Err(Error::fields(faults.into_iter().flatten().flat_map(|fault| fault.fields).collect()))
            }
        }
    }
}

/// Blanks the account's personal data; `by` is who did it, if it was not its owner. Whoever calls this empties the
/// write-ahead log after it. What a referee leaves behind is hashed under the day's key, which is `fresh` if there was
/// none yet.
pub fn erase(
    tx: &Tx<'_>,
    project: ProjectId,
    account: AccountId,
    by: Option<&Actor>,
    fresh: &[u8; 32],
    traces_left: &AtomicBool,
) -> Result<()> {
    let row = tx.account(project, account)?;
    // Whom it was for has to be known until it is settled.
    if tx.has_open_payout(project, account)? {
        return Err(payout::payout_open());
    }
    let is_referee = tx.referral_of(project, account)?.is_some();
    if is_referee {
        lookalikes::leave_traces(tx, project, &row, &lookalikes::todays_key_or(tx, fresh)?)?;
    }
    tx.erase_account(project, account, by)?;
    signals::look_at_erasure(tx, project, account)?;
    // Said by the writer itself: whoever empties the log after this finds the erasure in it, also when the caller has
    // hung up by then.
    traces_left.store(true, Ordering::SeqCst);
    Ok(())
}

impl Engine {
    pub async fn profile(&self, project: ProjectId, account: AccountId) -> Result<ProfileView> {
        self.store.read(move |db| profile(db, project, account)).await
    }

    pub async fn change_account(&self, project: ProjectId, account: AccountId, change: Change) -> Result<ProfileView> {
        self.store
            .write(move |tx| {
                tx.account(project, account)?;
                if let Some(name) = &change.name {
                    tx.set_name(project, account, name)?;
                }
                if let Some(name) = &change.leaderboard_name {
                    tx.set_leaderboard_name(project, account, name.as_deref())?;
                }
                profile(tx, project, account)
            })
            .await
    }

    /// Blanks the account's personal data everywhere, the write-ahead log included. The ledger stays valid. `Conflict`
    /// while a payout is under way.
    pub async fn erase_account(&self, project: ProjectId, account: AccountId) -> Result<()> {
        let traces_left = Arc::clone(&self.traces_left);
        let fresh = secrets::fresh_key()?;
        self.store.write(move |tx| erase(tx, project, account, None, &fresh, &traces_left)).await?;
        // If readers are in the way now, the sweep tries again.
        let _ = self.store.truncate_wal().await;
        Ok(())
    }
}
