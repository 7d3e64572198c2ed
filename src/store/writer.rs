//! The writer: one thread, a bounded queue, many jobs a commit.
//!
//! It takes what is waiting, runs each job in a savepoint of its own, commits once with `synchronous=FULL`, and only
//! then replies. Batches come from load, not from a timer.

use super::Capacity;
use super::checkpoint::Checkpoints;
use super::projection;
use super::seen_ids::SeenIds;
use super::staging::Staging;
use super::tx::{Shared, Tx};
use super::write_back::WriteBack;
use crate::domain::error::{Error, Result};
use rusqlite::Connection;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the writer waits for work before it looks whether another program has written to the file.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// Before a write-back is tried again.
const AFTER_A_FAULT: Duration = Duration::from_millis(100);

/// Bounds what one commit carries, in units of work, so that the first of a batch does not wait for ever.
const MAX_BATCH: usize = 2_000;

enum Message {
    /// A job, and how many units of work it is.
    Job(Box<dyn Job>, usize),
    TruncateWal(oneshot::Sender<Result<bool>>),
    CatchUp(oneshot::Sender<Result<()>>),
}

/// A caller's closure with the way back to the caller.
trait Job: Send {
    /// Whether what it did is to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// What it did could not be kept after all.
    fn fail(&mut self, fault: Error);
    /// It can run again after it was undone.
    fn is_repeatable(&self) -> bool;
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

    fn fail(&mut self, fault: Error) {
        self.answer = Err(fault);
    }

    fn is_repeatable(&self) -> bool {
        false
    }

    fn reply(self: Box<Self>, fault: Option<&Error>) {
        // A caller that has gone away does not want the answer.
        let _ = self.caller.send(fault.map_or(self.answer, |fault| Err(fault.clone())));
    }
}

/// Work that borrows what it needs, and so can be run a second time.
struct RepeatableWork<F, T> {
    closure: F,
    answer: Result<T>,
    caller: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for RepeatableWork<F, T>
where
    F: Fn(&Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        self.answer = Err(panicked());
        self.answer = (self.closure)(tx);
        self.answer.is_ok()
    }

    fn fail(&mut self, fault: Error) {
        self.answer = Err(fault);
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn reply(self: Box<Self>, fault: Option<&Error>) {
        let _ = self.caller.send(fault.map_or(self.answer, |fault| Err(fault.clone())));
    }
}

fn panicked() -> Error {
    Error::internal("a job panicked")
}

pub struct Writer {
    queue: Option<Sender<Message>>,
    /// Units of work that have been accepted and not done, and the most that may be.
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(
        path: &Path,
        connection: Connection,
        shared: Arc<Shared>,
        checkpoints: Checkpoints,
        capacity: Capacity,
    ) -> Result<Self> {
        let most_waiting = capacity.queued_writes;
        // Bounded by `waiting`: a channel with a bound of its own would hold memory for as much from the start on.
        let (queue, inbox) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        // Before anything is read: what others commit from here on is noticed.
        let data_version = data_version(&connection)?;
        let mut seen = if shared.serves { SeenIds::start(path)? } else { SeenIds::unknown(path) };
        if shared.serves {
            let hash = |project, id: &str| seen.noted(shared.usage_hash(project, id));
            // Immediate: a command may be writing at this moment.
            connection.execute_batch("BEGIN IMMEDIATE")?;
            projection::catch_up(&connection, projection::mark(&connection)?, hash)?;
            connection.execute_batch("COMMIT")?;
        }
        let head = projection::head(&connection)?;
        let event = projection::newest_event(&connection)?;
        let writer = Loop {
            data_version,
            connection,
            shared,
            waiting: Arc::clone(&waiting),
            checkpoints,
            staging: RefCell::new(Staging::new(head, event, WriteBack::new(capacity.pace, seen))),
            last_key: Cell::new(0),
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || writer.run(&inbox))
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
        self.queue_up(units, Box::new(Work { closure: Some(work), answer: Err(panicked()), caller }))?;
        Ok(answer)
    }

    /// [`Writer::submit`] for work that is cheaper in company: it shares a savepoint with its neighbours of the same
    /// kind, and if one of them fails, all of them run again in savepoints of their own.
    pub fn submit_repeatable<T, F>(&self, units: usize, work: F) -> Result<oneshot::Receiver<Result<T>>>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        self.queue_up(units, Box::new(RepeatableWork { closure: work, answer: Err(panicked()), caller }))?;
        Ok(answer)
    }

    fn queue_up(&self, units: usize, job: Box<dyn Job>) -> Result<()> {
        let before = self.waiting.fetch_add(units, Ordering::SeqCst);
        let sent = if before > 0 && before + units > self.most_waiting {
            Err(too_much_waiting())
        } else {
            self.send(Message::Job(job, units))
        };
        if sent.is_err() {
            self.waiting.fetch_sub(units, Ordering::SeqCst);
        }
        sent
    }

    /// Whether work is waiting or being done.
    pub fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub fn truncate_wal(&self) -> Result<oneshot::Receiver<Result<bool>>> {
        let (caller, answer) = oneshot::channel();
        self.send(Message::TruncateWal(caller))?;
        Ok(answer)
    }

    pub fn catch_up(&self) -> Result<oneshot::Receiver<Result<()>>> {
        let (caller, answer) = oneshot::channel();
        self.send(Message::CatchUp(caller))?;
        Ok(answer)
    }

    fn send(&self, message: Message) -> Result<()> {
        let queue = self.queue.as_ref().ok_or_else(|| Error::internal("the writer stopped"))?;
        queue.send(message).map_err(|_| Error::internal("the writer stopped"))
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

/// The writer's thread and what it keeps between batches.
struct Loop {
    connection: Connection,
    shared: Arc<Shared>,
    waiting: Arc<AtomicUsize>,
    checkpoints: Checkpoints,
    staging: RefCell<Staging>,
    last_key: Cell<i64>,
    /// SQLite's count of what other connections have committed.
    data_version: i64,
}

impl Loop {
    fn run(mut self, inbox: &Receiver<Message>) {
        while let Some(first) = self.next(inbox) {
            let (mut jobs, mut others) = (Vec::new(), Vec::new());
            let mut units = 0;
            let mut next = first;
            while let Some(message) = next {
                match message {
                    Message::Job(job, its_units) => {
                        jobs.push(job);
                        units += its_units;
                    }
                    other => others.push(other),
                }
                next = if units < MAX_BATCH { inbox.try_recv().ok() } else { None };
            }
            if !jobs.is_empty() {
                self.commit(jobs, units);
            }
            self.tidy(units);
            for other in others {
                match other {
                    Message::TruncateWal(caller) => drop(caller.send(truncate_wal(&self.connection))),
                    Message::CatchUp(caller) => drop(caller.send(self.catch_up())),
                    Message::Job(..) => {}
                }
            }
        }
        if let Err(fault) = self.write_everything_back() {
            tracing::error!(%fault, "the projections are behind; the next start brings them up to date");
        }
    }

    /// The next message; `Some(None)` when none came in time for what else there is to do, `None` at the end.
    fn next(&self, inbox: &Receiver<Message>) -> Option<Option<Message>> {
        let patience = self.staging.borrow().write_back.patience().unwrap_or(LOOK_AROUND).min(LOOK_AROUND);
        match inbox.recv_timeout(patience) {
            Ok(message) => Some(Some(message)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>, units: usize) {
        let fault = self.commit_together(&mut jobs).err();
        if fault.is_some() {
            self.staging.get_mut().drop_batch();
            self.shared.forget_programs();
        } else {
            self.staging.get_mut().publish(&self.shared);
        }
        // First: whoever has been answered may come again at once, and finds the room that was taken.
        self.waiting.fetch_sub(units, Ordering::SeqCst);
        for job in jobs {
            job.reply(fault.as_ref());
        }
    }

    /// An error means that nothing of the batch was kept, and goes to everyone in it: what a job was told by the
    /// transaction may have come from a neighbour that is undone as well.
    fn commit_together(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<()> {
        if self.staging.borrow().write_back.is_full() {
            return Err(Error::busy("The database does not take what is to be written back; nothing was changed."));
        }
        self.begin()?;
        let outcome = self.run_jobs(jobs).and_then(|()| Ok(self.connection.prepare_cached("COMMIT")?.execute([])?));
        if outcome.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        outcome.map(|_| ())
    }

    /// Begins a transaction in which everything is known that others have committed.
    fn begin(&mut self) -> Result<()> {
        if !self.connection.is_autocommit() {
            // An earlier roll-back failed; nothing can begin before it is done.
            self.connection.execute_batch("ROLLBACK")?;
        }
        loop {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            if data_version(&self.connection)? == self.data_version {
                return Ok(());
            }
            self.connection.execute_batch("ROLLBACK")?;
            self.meet_others()?;
        }
    }

    fn run_jobs(&self, jobs: &mut [Box<dyn Job>]) -> Result<()> {
        for company in jobs.chunk_by_mut(|one, next| one.is_repeatable() && next.is_repeatable()) {
            if company.len() == 1 || !self.run_together(company)? {
                for job in company {
                    self.run_together(std::slice::from_mut(job))?;
                }
            }
        }
        self.staging.borrow_mut().read_changed(&self.connection)
    }

    /// Runs jobs in one savepoint. Whether it was kept: it is undone when one of them fails.
    fn run_together(&self, jobs: &mut [Box<dyn Job>]) -> Result<bool> {
        self.connection.prepare_cached("SAVEPOINT job")?.execute([])?;
        self.staging.borrow_mut().begin_job();
        let keep = jobs.iter_mut().all(|job| {
            let tx = Tx::new(&self.connection, &self.shared, &self.last_key, &self.staging);
            catch_unwind(AssertUnwindSafe(|| job.run(&tx))).unwrap_or(false)
        });
        let appended = if keep { self.staging.borrow_mut().append_now(&self.connection) } else { Ok(()) };
        let keep = keep && appended.is_ok();
        if let Err(fault) = appended {
            for job in jobs.iter_mut() {
                job.fail(fault.clone());
            }
        }
        if self.connection.is_autocommit() {
            // A full disk or an I/O fault can end the whole transaction, not only the statement.
            return Err(Error::busy("The database cannot take this at the moment; nothing was changed."));
        }
        if !keep {
            self.connection.execute_batch("ROLLBACK TO job")?;
            self.staging.borrow_mut().undo_job();
            self.shared.forget_programs();
        }
        self.connection.prepare_cached("RELEASE job")?.execute([])?;
        Ok(keep)
    }

    /// What there is to do beside the callers' work, in small portions.
    fn tidy(&mut self, units: usize) {
        let staging = self.staging.get_mut();
        if units == 0 && data_version(&self.connection).is_ok_and(|version| version != self.data_version) {
            let _ = self.meet_others().inspect_err(|fault| tracing::error!(%fault, "another program's changes"));
            return;
        }
        let now = staging.committed();
        staging.write_back.seal_if_due(now, units == 0);
        let budget = staging.write_back.budget(units);
        if let Err(fault) = staging.write_back.step(&self.connection, &self.shared, budget) {
            tracing::error!(%fault, "the projections are behind");
            std::thread::sleep(AFTER_A_FAULT);
        }
        self.checkpoints.finish(&self.connection);
    }

    fn write_everything_back(&mut self) -> Result<()> {
        let staging = self.staging.get_mut();
        let now = staging.committed();
        while !staging.write_back.is_done() {
            staging.write_back.seal(now);
            let budget = staging.write_back.budget(0);
            staging.write_back.step(&self.connection, &self.shared, budget)?;
        }
        Ok(())
    }

    fn catch_up(&mut self) -> Result<()> {
        self.write_everything_back()?;
        if data_version(&self.connection)? == self.data_version { Ok(()) } else { self.meet_others() }
    }

    /// Another program has written to the file. Whatever is in memory is written back and forgotten, and what the other
    /// has added to the ledger is projected.
    fn meet_others(&mut self) -> Result<()> {
        self.write_everything_back()?;
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let from = self.staging.borrow().committed();
        let seen = &mut self.staging.get_mut().write_back.seen;
        let hash = |project, id: &str| seen.noted(self.shared.usage_hash(project, id));
        let caught_up = if self.shared.serves { projection::catch_up(&self.connection, from, hash) } else { Ok(from) };
        let met = caught_up.and_then(|mark| {
            let (head, version) = (projection::head(&self.connection)?, data_version(&self.connection)?);
            self.connection.execute_batch("COMMIT")?;
            Ok((mark, head, version))
        });
        if met.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        let (mark, head, version) = met?;
        self.staging.get_mut().start_again(head, mark.event);
        self.data_version = version;
        self.shared.forget_everything();
        Ok(())
    }
}

fn data_version(connection: &Connection) -> Result<i64> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

fn truncate_wal(connection: &Connection) -> Result<bool> {
    connection.busy_timeout(Duration::from_millis(50))?;
    let blocked: rusqlite::Result<i64> = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(blocked? == 0)
}
