//! The writer: one thread, a bounded queue, many jobs a commit.
//!
//! It takes what is waiting, runs each job in a savepoint of its own, commits once with `synchronous=FULL`, and only
//! then replies. Batches come from load, not from a timer.

use super::tx::{Shared, Tx};
use crate::domain::error::{Error, Result};
use rusqlite::Connection;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Bounds what one commit carries, in units of work, so that the first of a batch does not wait for ever.
const MAX_BATCH: usize = 2_000;

enum Message {
    /// A job, and how many units of work it is.
    Job(Box<dyn Job>, usize),
    TruncateWal(oneshot::Sender<Result<bool>>),
}

/// A caller's closure with the way back to the caller.
trait Job: Send {
    /// Whether its savepoint is to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Replies; with the batch's fault instead of the job's own answer when there is one.
    fn reply(self: Box<Self>, fault: Option<&Error>);
}

struct Work<F, T> {
    closure: Option<F>,
    answer: Result<T>,
    caller: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for Work<F, T>
where
    F: FnOnce(&Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        if let Some(closure) = self.closure.take() {
            self.answer = closure(tx);
        }
        self.answer.is_ok()
    }

    fn reply(self: Box<Self>, fault: Option<&Error>) {
        // A caller that has gone away does not want the answer.
        let _ = self.caller.send(fault.map_or(self.answer, |fault| Err(fault.clone())));
    }
}

pub struct Writer {
    queue: Option<SyncSender<Message>>,
    /// Units of work that have been accepted and not done, and the most that may be.
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(connection: Connection, shared: Arc<Shared>, most_waiting: usize) -> Result<Self> {
        let (queue, inbox) = sync_channel(most_waiting);
        let waiting = Arc::new(AtomicUsize::new(0));
        let answered = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || run(&connection, &shared, &inbox, &answered))
            .map_err(|fault| Error::internal(format!("cannot start the writer: {fault}")))?;
        Ok(Self { queue: Some(queue), waiting, most_waiting, thread: Some(thread) })
    }

    /// Queues a job of so many units of work. `Busy` when too much is waiting: nothing was changed then. A job that is
    /// larger than all that may wait still gets its turn when nothing else does.
    pub fn submit<T, F>(&self, units: usize, work: F) -> Result<oneshot::Receiver<Result<T>>>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let never_ran = Err(Error::internal("a job panicked"));
        let job = Box::new(Work { closure: Some(work), answer: never_ran, caller });
        let before = self.waiting.fetch_add(units, Ordering::SeqCst);
        let sent = if before > 0 && before + units > self.most_waiting {
            Err(too_much_waiting())
        } else {
            self.send(Message::Job(job, units))
        };
        if sent.is_err() {
            self.waiting.fetch_sub(units, Ordering::SeqCst);
        }
        sent.map(|()| answer)
    }

    pub fn truncate_wal(&self) -> Result<oneshot::Receiver<Result<bool>>> {
        let (caller, answer) = oneshot::channel();
        self.send(Message::TruncateWal(caller))?;
        Ok(answer)
    }

    fn send(&self, message: Message) -> Result<()> {
        let queue = self.queue.as_ref().ok_or_else(|| Error::internal("the writer stopped"))?;
        queue.try_send(message).map_err(|fault| match fault {
            TrySendError::Full(_) => too_much_waiting(),
            TrySendError::Disconnected(_) => Error::internal("the writer stopped"),
        })
    }
}

fn too_much_waiting() -> Error {
    Error::busy("Too many writes are waiting; nothing was changed.")
}

impl Drop for Writer {
    /// Finishes what was accepted.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, shared: &Shared, inbox: &Receiver<Message>, waiting: &AtomicUsize) {
    let last_key = Cell::new(0);
    while let Ok(first) = inbox.recv() {
        let (mut jobs, mut truncations) = (Vec::new(), Vec::new());
        let mut units_in_batch = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Job(job, units) => {
                    jobs.push(job);
                    units_in_batch += units;
                }
                Message::TruncateWal(caller) => truncations.push(caller),
            }
            next = if units_in_batch < MAX_BATCH { inbox.try_recv().ok() } else { None };
        }
        if !jobs.is_empty() {
            let fault = commit_together(connection, shared, &last_key, &mut jobs).err();
            if fault.is_some() {
                shared.forget_programs();
            }
            // First: whoever has been answered may come again at once, and finds the room that was taken.
            waiting.fetch_sub(units_in_batch, Ordering::SeqCst);
            for job in jobs {
                job.reply(fault.as_ref());
            }
        }
        for caller in truncations {
            let _ = caller.send(truncate_wal(connection));
        }
    }
}

/// An error means that nothing of the batch was kept, and goes to everyone in it: what a job was told by the
/// transaction may have come from a neighbour that is undone as well.
fn commit_together(
    connection: &Connection,
    shared: &Shared,
    last_key: &Cell<i64>,
    jobs: &mut [Box<dyn Job>],
) -> Result<()> {
    if !connection.is_autocommit() {
        // An earlier roll-back failed; nothing can begin before it is done.
        connection.execute_batch("ROLLBACK")?;
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let outcome = run_jobs(connection, shared, last_key, jobs).and_then(|()| Ok(connection.execute_batch("COMMIT")?));
    if outcome.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    outcome
}

fn run_jobs(connection: &Connection, shared: &Shared, last_key: &Cell<i64>, jobs: &mut [Box<dyn Job>]) -> Result<()> {
    for job in jobs {
        connection.execute_batch("SAVEPOINT job")?;
        let tx = Tx::new(connection, shared, last_key);
        let keep = catch_unwind(AssertUnwindSafe(|| job.run(&tx))).unwrap_or(false);
        if connection.is_autocommit() {
            // A full disk or an I/O fault can end the whole transaction, not only the statement.
            return Err(Error::busy("The database cannot take this at the moment; nothing was changed."));
        }
        connection.execute_batch(if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
        if !keep {
            shared.forget_programs();
        }
    }
    Ok(())
}

fn truncate_wal(connection: &Connection) -> Result<bool> {
    connection.busy_timeout(std::time::Duration::from_millis(50))?;
    let blocked: rusqlite::Result<i64> = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(blocked? == 0)
}
