//! The one SQLite file. The only place that names rusqlite and r2d2; SQL lives here and in `schema.sql`.
//!
//! Writes are closures that the writer thread runs and commits together; reads run on a read-only pool, one snapshot
//! each. Both see the database through [`Snapshot`]; what changes it is on [`Tx`].
//!
//! What comes by the thousand, usage, is kept off the disk where it can be: an event is two appends in the transaction
//! that answers it, and what it does to its account is known in memory ([`Holdings`], staged by the batch, then
//! everyone's) until it is written back in bulk. The rule that keeps this right: whoever changes or lists an account's
//! rows has them completed before. Only the process that holds the file's lock keeps accounts in memory.

mod accounts;
mod adjustments;
mod audit;
mod backup;
mod books;
mod bulk;
mod cache;
mod census;
mod checkpoint;
mod clicks;
mod codes;
mod decisions;
mod developers;
mod exports;
mod fault;
mod file;
mod histories;
mod holdings;
mod inspect;
mod instance;
mod jwt_keys;
mod keys;
mod leaderboard;
mod ledger;
mod limits;
mod mail;
mod new_file;
mod operators;
mod outbox;
mod paces;
mod partners;
mod payouts;
mod programs;
mod projection;
mod projects;
mod pulse;
mod purchases;
mod referrals;
mod replica;
mod reports;
mod reviews;
mod schema;
mod seen_ids;
mod sessions;
mod settings;
mod signals;
mod soundness;
mod staging;
mod stripe_events;
mod stripe_refunds;
mod team;
mod test_clocks;
mod tx;
mod usage;
mod verify;
mod write_back;
mod writer;

pub use accounts::{Account, NewAccount, Profile};
pub use adjustments::AdjustmentRow;
pub use audit::{AuditFilter, AuditPage, KeptHeads, NewAudit};
pub use backup::{Copied, Copying, back_up, restore};
pub use books::{Population, ProjectBooks, Waiting};
pub use census::{Census, WaitingDeliveries};
pub use clicks::{NewClick, UnsignedClicks};
pub use codes::CodeRow;
pub use decisions::{DecidedRule, NewDecision, Refusal};
pub use developers::{BoughtRow, DeveloperRow, ListedDecision, OwnedCode};
pub use exports::ExportedReferral;
pub use file::{Identity, NEWER_SCHEMA, beside, directory_of, is_existing_file};
pub use holdings::Holdings;
pub use inspect::{Content, StripeSetup, content, identify, integrity, is_served};
pub use jwt_keys::JwtKey;
pub use keys::{KeyRow, NewKey};
pub use leaderboard::{Board, LeaderRow, MOST_LEADERS};
pub use ledger::{LedgerFilter, LedgerLine, LedgerPage};
pub use mail::TokenPurpose;
pub use new_file::{COMPANIONS, NewFile, check_free, give_name};
pub use operators::{Operator, OperatorRow};
pub use outbox::{Delivery, DeliveryFilter, DeliveryRow, NewDelivery};
pub use paces::DomainAge;
pub use partners::{Acceptance, Agreement, StripeAccount};
pub use payouts::{NewPayout, PayoutRow};
pub use programs::{ProgramVersion, VersionedProgram};
pub use projects::{NewProject, Project, Team};
pub use pulse::{Vitals, free_bytes};
pub use purchases::PurchaseRow;
pub use referrals::{CustomerReferral, NewReferral, Referral, ReferralLine};
pub use replica::{Ack, Replication};
pub use reports::{DayRow, Figures, ReferralCounts};
pub use reviews::{DecisionRow, ReferralLot, ReviewFilter, ReviewLine, Side};
pub use schema::Schema;
pub use sessions::{AccountSession, NewSession, SessionRow};
pub use signals::{Sibling, SignalRow};
pub use stripe_events::{NewStripeEvent, WaitingEvent};
pub use stripe_refunds::ToldRefund;
pub use team::{Invitation, OperatorSessionRow};
pub use tx::{Clock, Instance, Snapshot, Tx};
pub use usage::UsageRow;
pub use verify::{Fault, Verdict, verify_all, verify_by, verify_file};
pub use write_back::Pace;

use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use checkpoint::Checkpoints;
use file::ServeLock;
use prometheus::core::Collector;
use pulse::Pulse;
use r2d2_sqlite::SqliteConnectionManager;
use replica::Replica;
use staging::LiveAccount;
use std::path::Path;
use std::sync::Arc;
use tx::Shared;
use writer::Writer;

/// How much may wait and how many may read at once.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    pub queued_writes: usize,
    pub readers: u32,
    /// Accounts, and keys, that are kept in memory, at about a kilobyte both. Those with spends to be written back come on
    /// top of it.
    pub accounts_in_memory: usize,
    pub pace: Pace,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { queued_writes: 16_384, readers: 8, accounts_in_memory: 49_152, pace: Pace::default() }
    }
}

/// A read-only connection that one thread keeps to itself: for a few point reads, straight on that thread.
/// What is long or unbounded goes through [`Store::read`].
pub struct Reader {
    shared: Arc<Shared>,
    connection: rusqlite::Connection,
}

impl Reader {
    /// Runs `work` on one snapshot. It cannot write.
    pub fn read<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        on_snapshot(&self.connection, &self.shared, work)
    }

    /// Looks at what an account has; `None` when there is no such account in the project. In memory, where it stays.
    pub fn with_holdings<T>(
        &self,
        project: ProjectId,
        account: AccountId,
        look: impl FnOnce(&mut Holdings) -> T,
    ) -> Result<Option<T>> {
        let (accounts, mut in_project) = (&self.shared.accounts, holdings::look_once(project, look));
        if let Some(seen) = accounts.with(account, |live| in_project(&mut live.holdings)) {
            return Ok(seen);
        }
        let ticket = accounts.ticket(account);
        let Some(mut holdings) = self.read(|db| db.holdings(project, account))? else { return Ok(None) };
        let seen = in_project(&mut holdings);
        // One that has come into memory meanwhile is there already, perhaps with spends to be written back.
        if holdings.is_written() {
            accounts.offer(account, LiveAccount::written(holdings), ticket);
        }
        Ok(seen)
    }
}

/// The open database.
pub struct Store {
    path: std::path::PathBuf,
    shared: Arc<Shared>,
    readers: r2d2::Pool<SqliteConnectionManager>,
    writer: Writer,
    pulse: Arc<Pulse>,
    /// Given back last, when everything is written.
    _lock: Option<ServeLock>,
}

impl Store {
    /// Opens the file to serve it, and makes it when there is none. Refuses what is not refloop's, what is newer, and
    /// what another process serves. One that is older is brought up to date.
    pub fn serve(path: &Path, clock: Clock, capacity: Capacity) -> Result<Self> {
        Self::serve_as(path, clock, capacity, &Schema::CURRENT, &Replication::Off)
    }

    /// [`Store::serve`] by another schema than this release's.
    pub fn serve_by(path: &Path, clock: Clock, capacity: Capacity, schema: &Schema) -> Result<Self> {
        Self::serve_as(path, clock, capacity, schema, &Replication::Off)
    }

    /// [`Store::serve`] with a copy elsewhere. Refuses to go without one where Litestream has begun one.
    pub fn serve_replicated(path: &Path, clock: Clock, capacity: Capacity, replication: &Replication) -> Result<Self> {
        Self::serve_as(path, clock, capacity, &Schema::CURRENT, replication)
    }

    fn serve_as(
        path: &Path,
        clock: Clock,
        capacity: Capacity,
        schema: &Schema,
        replication: &Replication,
    ) -> Result<Self> {
        replica::check_told(path, replication)?;
        let lock = ServeLock::wait_for(path)?.ok_or_else(|| {
            let path = path.display();
            file::unusable(format!(
                "another refloop is serving {path}, or at work on it; two on one file would be wrong"
            ))
        })?;
        soundness::check(path)?;
        if let Some(copy) = schema::upgrade(path, schema, clock.now_ms())? {
            let (db, copy, schema) = (path.display(), copy.display(), schema.version());
            tracing::info!(%db, %copy, schema, "brought up to date; the copy is from before");
        }
        Self::with(path, clock, capacity, Some(lock), true, schema, replication)
    }

    /// [`Store::serve`] for a file that nobody has yet, and that is thrown away if it is not filled to its end: nothing
    /// waits for the disk, and whoever fills it sees to it that the disk has it.
    pub fn fill(path: &Path, clock: Clock, capacity: Capacity) -> Result<Self> {
        Self::with(path, clock, capacity, ServeLock::take(path)?, false, &Schema::CURRENT, &Replication::Off)
    }

    /// [`Store::serve`], or if another process serves the file, beside it: then what accounts have is not to be known
    /// here, and nothing can be added to the ledger.
    pub fn open(path: &Path, clock: Clock, capacity: Capacity) -> Result<Self> {
        Self::with(path, clock, capacity, ServeLock::take(path)?, true, &Schema::CURRENT, &replica::as_found(path))
    }

    /// Opens the file to look at it: nothing is written, not even what a crash has left to be projected. What accounts
    /// have is not to be known.
    pub fn look(path: &Path, clock: Clock, capacity: Capacity) -> Result<Self> {
        Self::with(path, clock, capacity, None, true, &Schema::CURRENT, &replica::as_found(path))
    }

    fn with(
        path: &Path,
        clock: Clock,
        capacity: Capacity,
        lock: Option<ServeLock>,
        durable: bool,
        schema: &Schema,
        replication: &Replication,
    ) -> Result<Self> {
        let (connection, instance) = file::open_for_writing(path, &clock, schema)?;
        let (checkpoints, replica) = match replication {
            Replication::Off => (Checkpoints::start(path, durable)?, None),
            Replication::Litestream(ack) => {
                file::never_move_the_log(&connection)?;
                let replica = match ack {
                    Ack::Local => None,
                    Ack::Replica(socket) => Some(Replica::new(socket, path)?),
                };
                (Checkpoints::none(), replica)
            }
        };
        if !durable {
            file::trust_the_system(&connection)?;
        }
        let readers = r2d2::Pool::builder()
            .max_size(capacity.readers)
            .min_idle(Some(1))
            .connection_timeout(std::time::Duration::from_secs(5))
            .build(file::reader_manager(path))
            .map_err(|fault| Error::internal(format!("cannot open {} for reading: {fault}", path.display())))?;
        let pulse = Arc::new(Pulse::new(clock.now_ms())?);
        let shared = Arc::new(Shared::new(instance, clock, lock.is_some(), capacity.accounts_in_memory));
        shared.test_clocks.load(&connection)?;
        let writer =
            Writer::start(path, connection, Arc::clone(&shared), Arc::clone(&pulse), checkpoints, replica, capacity)?;
        Ok(Self { path: path.to_owned(), shared, readers, writer, pulse, _lock: lock })
    }

    /// How the writer and the file stand. Asks the file system, not the file.
    pub fn vitals(&self) -> Vitals {
        let (queued, most_queued) = self.writer.queue();
        let waited_ms = self.machine_now_ms() - self.pulse.moved_at_ms();
        Vitals {
            queued,
            most_queued,
            stalled_ms: if queued > 0 { waited_ms.max(0) } else { 0 },
            file_bytes: pulse::length(&self.path),
            wal_bytes: pulse::length(&file::beside(&self.path, "-wal")),
            free_bytes: pulse::free_bytes(&self.path),
        }
    }

    /// Fails once the file has turned out to be damaged.
    pub fn check_undamaged(&self) -> Result<()> {
        self.shared.check_undamaged()
    }

    /// What the writer counts.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.pulse.collectors()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// By the project's clock.
    pub fn now_ms(&self, project: ProjectId) -> i64 {
        self.shared.clock.now_ms() + self.shared.test_clocks.ahead_ms(project)
    }

    /// What does not belong to one project goes by the machine's clock.
    pub fn machine_now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// Whether this process can send mail. Until it is said, it cannot.
    pub fn set_sends_mail(&self, sends: bool) {
        self.shared.sends_mail.store(sends, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether there is somewhere to ask when domains were registered.
    pub fn set_asks_rdap(&self, asks: bool) {
        self.shared.asks_rdap.store(asks, std::sync::atomic::Ordering::SeqCst);
    }

    pub fn instance(&self) -> &Instance {
        &self.shared.instance
    }

    /// Runs `work` in a transaction and answers after its commit has reached the disk. An error undoes all of it.
    /// `Busy` when too many writes wait, or the disk refuses.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.write_much(1, work).await
    }

    /// [`Store::write`] for work that takes as long as `units` ordinary ones, so that many such do not make all others
    /// wait.
    pub async fn write_much<T, F>(&self, units: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.submit(units, work)?.await.unwrap_or_else(|_| Err(Error::internal("the writer stopped")))
    }

    /// [`Store::write_much`] for work that can be run again if it is undone, which makes it cheaper.
    pub async fn write_repeatable<T, F>(&self, units: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let answer = self.writer.submit_repeatable(units, work)?;
        answer.await.unwrap_or_else(|_| Err(Error::internal("the writer stopped")))
    }

    /// [`Store::write`] for threads that may block: the command line and the background worker.
    pub fn write_blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.submit(1, work)?.blocking_recv().unwrap_or_else(|_| Err(Error::internal("the writer stopped")))
    }

    /// For reads that many callers keep asking for: while writes are waiting, those that have arrived on this thread go
    /// first, a few rounds of its events long. They wait for the disk anyway, and in company they wait once; a read that
    /// is always ready would keep each of them waiting for its turn, and for that of its answer.
    pub async fn give_way(&self) {
        const ROUNDS: usize = 3;
        for _ in 0..ROUNDS {
            if !self.writer.is_busy() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// [`Store::write`] that nobody waits for: it is lost when the queue is full.
    pub fn write_unattended<F>(&self, work: F)
    where
        F: FnOnce(&Tx<'_>) -> Result<()> + Send + 'static,
    {
        if let Err(fault) = self.writer.submit(1, work) {
            tracing::warn!(%fault, "what nobody waits for was not written");
        }
    }

    /// A connection for a thread of its own.
    pub fn reader(&self) -> Result<Reader> {
        Ok(Reader { shared: Arc::clone(&self.shared), connection: file::open_for_reading(&self.path)? })
    }

    /// Runs `work` on one snapshot, off the async threads. It cannot write.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
    {
        let (shared, readers) = (Arc::clone(&self.shared), self.readers.clone());
        let task = tokio::task::spawn_blocking(move || read_on(&readers, &shared, work));
        task.await.unwrap_or_else(|_| Err(Error::internal("a read panicked")))
    }

    /// [`Store::read`] for what the file has of an account's lots and entries: what is only in memory is written down
    /// before. `Busy` as with writes.
    pub async fn read_rows<T, F>(&self, project: ProjectId, account: AccountId, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
    {
        if self.shared.accounts.with(account, |live| live.is_written()) == Some(false) {
            self.write(move |tx| tx.complete_rows_of(project, account)).await?;
        }
        self.read(work).await
    }

    /// What a referrer's referrals and grants add up to, with the days from `first_day` on. From memory if it is there.
    pub async fn figures(&self, project: ProjectId, account: AccountId, first_day: i64) -> Result<Arc<Figures>> {
        if let Some(known) = self.shared.figures.with(account, |known| Arc::clone(known)) {
            if known.first_day == first_day && known.project == project {
                return Ok(known);
            }
            // Of another day or length: it would stand in the way of the new ones.
            self.shared.figures.forget(account);
        }
        let ticket = self.shared.figures.ticket(account);
        let figures = Arc::new(self.read(move |db| db.figures(project, account, first_day)).await?);
        self.shared.figures.offer(account, Arc::clone(&figures), ticket);
        Ok(figures)
    }

    /// Writes down everything that is only in memory, and sees what other programs have changed. Happens by itself
    /// within seconds.
    pub fn catch_up_blocking(&self) -> Result<()> {
        self.writer.catch_up()?.blocking_recv().unwrap_or_else(|_| Err(Error::internal("the writer stopped")))
    }

    /// [`Store::read`] for threads that may block.
    pub fn read_blocking<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        read_on(&self.readers, &self.shared, work)
    }

    /// Empties the write-ahead log into the file, so that what was erased is gone from the disk as well.
    /// `false`: readers are in the way, try again later.
    pub async fn truncate_wal(&self) -> Result<bool> {
        self.writer.truncate_wal()?.await.unwrap_or_else(|_| Err(Error::internal("the writer stopped")))
    }

    /// [`Store::truncate_wal`] for threads that may block.
    pub fn truncate_wal_blocking(&self) -> Result<bool> {
        self.writer.truncate_wal()?.blocking_recv().unwrap_or_else(|_| Err(Error::internal("the writer stopped")))
    }
}

fn read_on<T>(
    readers: &r2d2::Pool<SqliteConnectionManager>,
    shared: &Shared,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T>,
) -> Result<T> {
    let connection = readers.get().map_err(|_| Error::busy("Too many requests are being read at once."))?;
    on_snapshot(&connection, shared, work)
}

fn on_snapshot<T>(
    connection: &rusqlite::Connection,
    shared: &Shared,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = connection.unchecked_transaction()?;
    let answer = work(&Snapshot::new(&transaction, shared));
    drop(transaction);
    shared.note_damage(&answer);
    answer
}
