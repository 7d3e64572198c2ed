//! Whether it can work, and how much of what there is.

use super::Engine;
use crate::domain::error::{Error, Kind, Result};
use crate::store::{Census, Vitals};
use prometheus::core::Collector;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long the writer may be at one thing while others wait, by the machine's clock.
const STUCK_AFTER_MS: i64 = 10_000;
/// How long a probe waits for its own write.
const PATIENCE: Duration = Duration::from_secs(3);
/// Less than this is a full disk: the next burst would not find room.
const FULL_BELOW: u64 = 1 << 20;
/// For how long a count is good, at least, and how many times as long as it took: counting takes at most one hundredth
/// of a core, however much there is.
const COUNTED_FOR_MS: i64 = 5_000;
const TIMES_AS_LONG: i64 = 100;

/// A count that is good for a while.
#[derive(Debug)]
pub(super) struct Counted {
    census: Arc<Census>,
    from_ms: i64,
    until_ms: i64,
}

/// Why nothing can be written now.
fn not_ready(code: &'static str, message: &str) -> Error {
    Error { retry_after_s: Some(5), ..Error::new(Kind::Busy, code, message) }
}

impl Engine {
    /// Whether the disk takes a write, tried at most once a second. `Busy` with `writer_stuck`, `disk_full`,
    /// `not_writable` or `database_damaged` when it does not.
    pub async fn ready(&self) -> Result<()> {
        const FRESH: Duration = Duration::from_secs(1);
        self.store.check_undamaged()?;
        let vitals = self.store.vitals();
        let stuck =
            || not_ready("writer_stuck", "The writer does not get on: reading works, writes wait. Look at the disk.");
        if vitals.stalled_ms > STUCK_AFTER_MS {
            return Err(stuck());
        }
        let is_full = vitals.free_bytes.is_some_and(|free| free < FULL_BELOW);
        if is_full {
            return Err(disk_full());
        }
        let last_write = || self.last_write.lock().unwrap_or_else(PoisonError::into_inner);
        if last_write().is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        // Noted before it is known, so that many who ask at once do not all write.
        *last_write() = Some(Instant::now());
        let write = self.store.write(|tx| tx.note_readiness(tx.machine_now_ms()));
        let written = tokio::time::timeout(PATIENCE, write).await;
        let written = written.unwrap_or_else(|_| Err(stuck()));
        if written.is_err() {
            *last_write() = None;
        }
        written.map_err(|fault| match fault.code {
            "busy" => not_ready("not_writable", "The database takes no writes at the moment; reading works."),
            _ => fault,
        })
    }

    /// How the writer and the file stand.
    pub fn vitals(&self) -> Vitals {
        self.store.vitals()
    }

    /// What the writer counts.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.store.collectors()
    }

    /// How much of what there is, as of some seconds ago. One reads, whoever else asks waits for the same.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is of one snapshot's lifetime only")]
    pub async fn census(&self) -> Result<Arc<Census>> {
        let mut counted = self.counted.lock().await;
        let now_ms = self.store.machine_now_ms();
        if let Some(known) = counted.as_ref().filter(|known| (known.from_ms..known.until_ms).contains(&now_ms)) {
            return Ok(Arc::clone(&known.census));
        }
        let began = Instant::now();
        let census = Arc::new(self.store.read(|db| db.census()).await?);
        let took_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX / TIMES_AS_LONG);
        let until_ms = now_ms + COUNTED_FOR_MS.max(took_ms.saturating_mul(TIMES_AS_LONG));
        *counted = Some(Counted { census: Arc::clone(&census), from_ms: now_ms, until_ms });
        Ok(census)
    }

    /// How long ago the last whole sweep ended, or the engine began.
    pub fn sweep_lag_ms(&self) -> i64 {
        (self.store.machine_now_ms() - self.swept_at_ms.load(Ordering::Relaxed)).max(0)
    }

    pub(super) fn note_swept(&self) {
        self.swept_at_ms.store(self.store.machine_now_ms(), Ordering::Relaxed);
    }
}

fn disk_full() -> Error {
    not_ready("disk_full", "The disk is full: reading works, writes do not. It goes on by itself once there is room.")
}
