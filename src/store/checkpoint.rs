//! Moving the write-ahead log into the file, beside the writer and never inside a commit.
//!
//! A thread with a connection of its own does most of it while commits go on. It cannot do the last of it, as more is
//! being added all the time; so when it has done a round, the writer does the short rest between two batches, and the
//! log starts again from its beginning.

use super::file;
use super::replica::is_replicated;
use crate::domain::error::{Error, Result};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(100);
/// Pages in the log below which it is left alone.
const FEW_PAGES: i64 = 4_000;

/// The thread's end on the writer's side.
pub struct Checkpoints {
    round_done: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Where Litestream moves the log, nothing else may.
    pub fn none() -> Self {
        Self { round_done: Arc::default(), stop: None, thread: None }
    }

    pub fn start(path: &Path, durable: bool) -> Result<Self> {
        let connection = file::open_for_checkpoints(path)?;
        if !durable {
            file::trust_the_system(&connection)?;
        }
        let round_done = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = channel();
        let done = Arc::clone(&round_done);
        let path = path.to_owned();
        let work = move || {
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                let is_due = || pages_to_move(&connection).is_ok_and(|pages| pages > FEW_PAGES);
                if done.load(Ordering::SeqCst) || !is_due() {
                    continue;
                }
                if is_replicated(&path) {
                    tracing::error!(
                        "Litestream has begun to replicate the file: start refloop again with --replication litestream"
                    );
                    break;
                }
                if move_pages(&connection).is_ok() {
                    done.store(true, Ordering::SeqCst);
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn(work);
        let thread = thread.map_err(|fault| Error::internal(format!("cannot start the checkpoints: {fault}")))?;
        Ok(Self { round_done, stop: Some(stop), thread: Some(thread) })
    }

    pub fn are_ours(&self) -> bool {
        self.thread.is_some()
    }

    /// Between two batches: the rest of a round.
    pub fn finish(&self, writer: &Connection) {
        if self.round_done.load(Ordering::SeqCst) {
            let _ = move_pages(writer).inspect_err(|fault| tracing::warn!(%fault, "checkpoint"));
            self.round_done.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Pages that are in the log and not in the file yet.
fn pages_to_move(connection: &Connection) -> Result<i64> {
    let sql = "PRAGMA wal_checkpoint(NOOP)";
    Ok(connection.query_row(sql, [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))?)
}

/// Moves what it can without waiting for anyone.
fn move_pages(connection: &Connection) -> Result<()> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}
