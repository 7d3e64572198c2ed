//! What the writer is doing and how much room there is, for who watches.

use crate::domain::error::{Error, Result};
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

/// Seconds. A commit takes from 0.1 ms on a good disk to seconds on one that is overloaded.
const SECONDS: [f64; 13] = [0.0001, 0.0003, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const UNITS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0];

/// What the writer counts. Atomics, and a few of them a batch.
#[derive(Debug)]
pub struct Pulse {
    pub batch_units: Histogram,
    /// From the beginning of a transaction until the disk has it.
    pub batch_seconds: Histogram,
    /// Of it, the commit itself: the log is written, and the disk says that it has it.
    pub commit_seconds: Histogram,
    pub failed_batches: IntCounter,
    /// When the writer last took something on or was through with something.
    moved_at_ms: AtomicI64,
}

impl Pulse {
    pub fn new(now_ms: i64) -> Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        };
        Ok(Self {
            batch_units: histogram(
                "refloop_writer_batch_units",
                "Units of work (usage events, signups, ...) that were committed together.",
                &UNITS,
            )?,
            batch_seconds: histogram(
                "refloop_writer_batch_seconds",
                "From the beginning of a batch's transaction until the disk has it.",
                &SECONDS,
            )?,
            commit_seconds: histogram(
                "refloop_writer_commit_seconds",
                "Of a batch, the commit alone: writing the log and waiting until the disk has it (fsync).",
                &SECONDS,
            )?,
            failed_batches: IntCounter::new(
                "refloop_writer_failed_batches_total",
                "Batches that could not be committed: nothing of them was kept.",
            )?,
            moved_at_ms: AtomicI64::new(now_ms),
        })
    }

    /// They count on wherever they are shown.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.batch_units.clone()),
            Box::new(self.batch_seconds.clone()),
            Box::new(self.commit_seconds.clone()),
            Box::new(self.failed_batches.clone()),
        ]
    }

    pub fn note_move(&self, now_ms: i64) {
        self.moved_at_ms.store(now_ms, Ordering::Relaxed);
    }

    pub fn moved_at_ms(&self) -> i64 {
        self.moved_at_ms.load(Ordering::Relaxed)
    }
}

/// A name that Prometheus does not take is a fault of ours.
impl From<prometheus::Error> for Error {
    fn from(fault: prometheus::Error) -> Self {
        Self::internal(format!("metrics: {fault}"))
    }
}

/// How the writer and the file stand at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Units of work that wait or are being done, and the most that may.
    pub queued: usize,
    pub most_queued: usize,
    /// For how long something has been waiting without the writer moving. 0 when nothing waits.
    pub stalled_ms: i64,
    pub file_bytes: u64,
    pub wal_bytes: u64,
    /// What the file system has left for this user; `None` when it does not say.
    pub free_bytes: Option<u64>,
}

/// What the file system around a file has left for this user.
pub fn free_bytes(file: &Path) -> Option<u64> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some file systems have no size at all.
    let system = rustix::fs::statvfs(dir).ok().filter(|system| system.f_blocks > 0)?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

/// 0 for a file that is not there.
pub fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |meta| meta.len())
}
