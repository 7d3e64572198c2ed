//! What tidies up behind the clock. No balance depends on it.

use super::Engine;
use super::rewards::settle;
use crate::domain::error::Result;
use crate::domain::time::DAY_MS;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

const ACCOUNTS_A_STEP: usize = 100;
const EVENTS_A_STEP: usize = 1_000;
const CLICKS_A_STEP: usize = 1_000;
const KEYS_A_WRITE: usize = 500;

/// What one step of the sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Accounts whose expired credits were booked.
    pub expired: usize,
    /// Ids of usage events that were forgotten.
    pub forgotten: usize,
    /// Single clicks that were forgotten.
    pub clicks: usize,
}

impl Swept {
    /// The step was a full one: there may be more to do.
    pub fn is_full(self) -> bool {
        self.expired >= ACCOUNTS_A_STEP || self.forgotten == EVENTS_A_STEP || self.clicks >= CLICKS_A_STEP
    }
}

impl Engine {
    /// One bounded step: notes key use and clicks, forgets old usage ids and clicks, books expiries, empties the log after an erasure.
    pub fn sweep(&self) -> Result<Swept> {
        self.write_down_key_use()?;
        let kept_ms = i64::from(self.settings.usage_id_days) * DAY_MS;
        let most = i64::try_from(EVENTS_A_STEP).unwrap_or(i64::MAX);
        let forgotten =
            self.store.write_blocking(move |tx| tx.prune_usage_events(tx.machine_now_ms() - kept_ms, most))?;
        self.store_waiting_clicks();
        let clicks = self.forget_clicks(CLICKS_A_STEP)?;
        let swept = Swept { forgotten, clicks, expired: self.book_expiries()? };
        if self.traces_left.swap(false, Ordering::SeqCst) && !self.store.truncate_wal_blocking().unwrap_or(false) {
            self.traces_left.store(true, Ordering::SeqCst);
        }
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

    fn write_down_key_use(&self) -> Result<()> {
        let used = std::mem::take(&mut *self.used_keys.lock().unwrap_or_else(PoisonError::into_inner));
        if used.is_empty() {
            return Ok(());
        }
        // In portions: one job of all would hold everyone up, and keep all pages that it changes in memory.
        let keys: Vec<_> = used.iter().map(|(key, hour)| (*key, *hour)).collect();
        let written = keys.chunks(KEYS_A_WRITE).try_for_each(|keys| {
            let keys = keys.to_vec();
            self.store.write_blocking(move |tx| keys.iter().try_for_each(|(key, hour)| tx.set_key_used(*key, *hour)))
        });
        if written.is_err() {
            let mut noted = self.used_keys.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, hour) in used {
                // It may have been used again meanwhile.
                noted.entry(key).and_modify(|newer| *newer = hour.max(*newer)).or_insert(hour);
            }
        }
        written
    }
}
