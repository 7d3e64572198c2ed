//! What tidies up behind the clock. No balance depends on it.

use super::Engine;
use super::rewards::settle;
use crate::domain::error::Result;
use crate::domain::time::DAY_MS;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// What one step of the sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Accounts whose expired credits were booked.
    pub expired: usize,
    /// Ids of usage events that were forgotten.
    pub forgotten: usize,
    /// Keys whose hour of use was written down.
    pub keys: usize,
}

impl Swept {
    /// There may be more to do.
    pub fn is_busy(self) -> bool {
        self.expired > 0 || self.forgotten > 0
    }
}

impl Engine {
    /// One bounded step: books expiries, forgets old usage ids, notes key use, empties the log after an erasure.
    pub fn sweep(&self) -> Result<Swept> {
        const ACCOUNTS_A_STEP: i64 = 100;
        const EVENTS_A_STEP: i64 = 1_000;
        let used: Vec<_> = self.used_keys.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        let kept_ms = i64::from(self.settings.usage_id_days) * DAY_MS;
        let swept = self.store.write_blocking(move |tx| {
            for (key, hour) in &used {
                tx.set_key_used(*key, *hour)?;
            }
            let lapsed = tx.accounts_with_lapsed_lots(ACCOUNTS_A_STEP)?;
            for (project, account) in &lapsed {
                settle(tx, *project, *account)?;
            }
            let forgotten = tx.prune_usage_events(tx.now_ms() - kept_ms, EVENTS_A_STEP)?;
            Ok(Swept { expired: lapsed.len(), forgotten, keys: used.len() })
        })?;
        if self.traces_left.load(Ordering::SeqCst) && self.store.truncate_wal_blocking()? {
            self.traces_left.store(false, Ordering::SeqCst);
        }
        Ok(swept)
    }
}
