//! What tidies up behind the clock. No balance depends on it.

use super::Engine;
use super::rewards::settle;
use crate::domain::error::Result;
use crate::domain::time::DAY_MS;
use crate::store::Tx;
use std::sync::atomic::Ordering;

const ACCOUNTS_A_STEP: usize = 100;
const EVENTS_A_STEP: usize = 1_000;
const CLICKS_A_STEP: usize = 1_000;
const PACES_A_STEP: usize = 100;

/// What one step of the sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Accounts whose expired credits were booked.
    pub expired: usize,
    /// Ids of usage events that were forgotten.
    pub forgotten: usize,
    /// Single clicks that were forgotten.
    pub clicks: usize,
    /// Referrals whose calls were looked at a while after their milestone.
    pub paces: usize,
}

impl Swept {
    /// The step was a full one: there may be more to do.
    pub fn is_full(self) -> bool {
        self.expired >= ACCOUNTS_A_STEP
            || self.forgotten == EVENTS_A_STEP
            || self.clicks >= CLICKS_A_STEP
            || self.paces >= PACES_A_STEP
    }
}

impl Engine {
    /// One bounded step: notes the use of keys and sessions and clicks, forgets old usage ids and clicks, looks
    /// whether calls went on after a milestone, books expiries,
    /// empties the log after an erasure.
    pub fn sweep(&self) -> Result<Swept> {
        self.write_down_uses()?;
        let kept_ms = i64::from(self.settings.usage_id_days) * DAY_MS;
        let most = i64::try_from(EVENTS_A_STEP).unwrap_or(i64::MAX);
        let forgotten =
            self.store.write_blocking(move |tx| tx.prune_usage_events(tx.machine_now_ms() - kept_ms, most))?;
        self.store_waiting_clicks();
        let clicks = self.forget_clicks(CLICKS_A_STEP)?;
        let paces = self.look_at_due_paces(PACES_A_STEP)?;
        let swept = Swept { forgotten, clicks, paces, expired: self.book_expiries()? };
        if self.traces_left.swap(false, Ordering::SeqCst) && !self.store.truncate_wal_blocking().unwrap_or(false) {
            self.traces_left.store(true, Ordering::SeqCst);
        }
        self.note_swept();
        Ok(swept)
    }

    /// An account that cannot be settled is reported, and keeps no other from it.
    fn book_expiries(&self) -> Result<usize> {
        let most = i64::try_from(ACCOUNTS_A_STEP).unwrap_or(i64::MAX);
        let lapsed = self.store.read_blocking(|db| {
            let mut lapsed = Vec::new();
            for project in db.projects()? {
                let accounts = db.accounts_with_lapsed_lots(project.id, most)?;
                lapsed.extend(accounts.into_iter().map(|account| (project.id, account)));
            }
            Ok(lapsed)
        })?;
        let mut booked = 0;
        for (project, account) in lapsed {
            match self.store.write_blocking(move |tx| settle(tx, project, account)) {
                Ok(expired) => booked += usize::from(expired),
                Err(fault) => tracing::error!(%account, %fault, "expired credits are not booked"),
            }
        }
        Ok(booked)
    }

    fn write_down_uses(&self) -> Result<()> {
        self.used_keys.write_down(|uses| {
            self.store.write_blocking(move |tx| uses.iter().try_for_each(|(key, hour)| tx.set_key_used(*key, *hour)))
        })?;
        self.used_sessions.write_down(|uses| {
            let write =
                move |tx: &Tx<'_>| uses.iter().try_for_each(|(id, hour)| tx.set_account_session_used(*id, *hour));
            self.store.write_blocking(write)
        })
    }
}
