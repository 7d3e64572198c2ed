//! What a read and a write see: the connection, the time, and what the instance is.

use super::cache::Cache;
use super::holdings::{self, Holdings};
use super::keys::KnownCaller;
use super::leaderboard::Boards;
use super::projection;
use super::reports::KnownFigures;
use super::staging::{LiveAccount, Staging};
use super::test_clocks::{Ahead, TestClocks};
use crate::domain::error::{Error, Result};
use crate::domain::id::{self, AccountId, ProjectId};
use crate::domain::program::Program;
use rusqlite::Connection;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where `now` comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// Tests move it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => jiff::Timestamp::now().as_millisecond(),
            Self::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }
}

/// The instance's own secrets.
#[derive(Clone)]
pub struct Instance {
    /// ed25519, for ledger heads.
    pub signing_key: [u8; 32],
    /// Keyed hashes of identities and form tokens.
    pub pepper: [u8; 32],
}

/// Referrers whose figures are kept in memory.
const MOST_FIGURES: usize = 16_384;

/// What every connection of a store has in common.
pub struct Shared {
    pub instance: Instance,
    pub clock: Clock,
    pub test_clocks: TestClocks,
    /// Versions never change once they are committed, so what was parsed once stays right; a transaction that is
    /// undone may have parsed one that never came to be.
    pub programs: Mutex<HashMap<(ProjectId, i64), Arc<Program>>>,
    /// What accounts have, ahead of the projections.
    pub accounts: Cache<AccountId, LiveAccount>,
    /// How often rows of accounts were made complete.
    pub completions: AtomicU64,
    pub callers: Cache<i64, KnownCaller>,
    pub figures: Cache<AccountId, KnownFigures>,
    pub boards: Boards,
    /// Whether this process serves the file. Beside the one that does, it cannot know what accounts have.
    pub serves: bool,
    /// Whether this process can send mail: if not, none is put into the outbox.
    pub sends_mail: AtomicBool,
    /// Whether this process can ask when domains were registered.
    pub asks_rdap: AtomicBool,
    /// Whether SQLite has met something in the file that makes no sense.
    pub damaged: AtomicBool,
    usage_hasher: UsageHasher,
}

/// Hashes of usage events' ids. Keyed, so that nobody can choose ids that collide.
pub struct UsageHasher([u8; 32]);

impl UsageHasher {
    pub fn new(pepper: &[u8; 32]) -> Self {
        Self(blake3::derive_key("refloop 2026 usage id", pepper))
    }

    pub fn hash(&self, project: ProjectId, event_id: &str) -> i64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&project.0.to_le_bytes()).update(event_id.as_bytes());
        i64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().unwrap_or_default())
    }
}

impl Shared {
    pub fn new(instance: Instance, clock: Clock, serves: bool, accounts_in_memory: usize) -> Self {
        let usage_hasher = UsageHasher::new(&instance.pepper);
        Self {
            instance,
            clock,
            test_clocks: TestClocks::default(),
            programs: Mutex::default(),
            accounts: Cache::pinning(accounts_in_memory, |live| !live.is_written(), |live| live.completed),
            completions: AtomicU64::new(0),
            callers: Cache::new(accounts_in_memory),
            figures: Cache::new(MOST_FIGURES),
            boards: Boards::default(),
            serves,
            sends_mail: AtomicBool::new(false),
            asks_rdap: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            usage_hasher,
        }
    }

    /// The hash by which an event is found.
    pub fn usage_hash(&self, project: ProjectId, event_id: &str) -> i64 {
        self.usage_hasher.hash(project, event_id)
    }

    /// After a transaction was undone.
    pub fn forget_programs(&self) {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// When another program may have changed anything.
    pub fn forget_everything(&self) {
        self.forget_programs();
        self.accounts.clear();
        self.callers.clear();
        self.figures.clear();
        self.boards.note_change();
    }

    pub fn cached_program(
        &self,
        project: ProjectId,
        version: i64,
        load: impl FnOnce() -> Result<Program>,
    ) -> Result<Arc<Program>> {
        const MOST: usize = 1_000;
        let programs = || self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs().get(&(project, version)) {
            return Ok(Arc::clone(program));
        }
        let program = Arc::new(load()?);
        let mut programs = programs();
        if programs.len() >= MOST {
            programs.clear();
        }
        programs.insert((project, version), Arc::clone(&program));
        Ok(program)
    }
}

/// One consistent state of the database, and the time at which it is looked at.
pub struct Snapshot<'c> {
    pub(super) connection: &'c Connection,
    pub(super) shared: &'c Shared,
    /// The writer's own, in a transaction.
    pub(super) staging: Option<&'c RefCell<Staging>>,
    /// As of before the first read.
    completions: u64,
    machine_now_ms: i64,
    ahead: Option<Ahead>,
}

impl<'c> Snapshot<'c> {
    pub(super) fn new(connection: &'c Connection, shared: &'c Shared) -> Self {
        let completions = shared.completions.load(Ordering::SeqCst);
        Self {
            connection,
            shared,
            staging: None,
            completions,
            machine_now_ms: shared.clock.now_ms(),
            ahead: shared.test_clocks.now(),
        }
    }

    /// Looks at what an account has; `None` when there is no such account in the project.
    pub fn with_holdings<T>(
        &self,
        project: ProjectId,
        account: AccountId,
        look: impl FnOnce(&mut Holdings) -> T,
    ) -> Result<Option<T>> {
        if !self.shared.serves {
            let message = "A running server has this file: what accounts have is known to it alone.";
            return Err(Error::conflict("server_running", message));
        }
        let mut in_project = holdings::look_once(project, look);
        if let Some(staging) = self.staging {
            return Ok(staging.borrow_mut().holdings(self.connection, self.shared, account)?.and_then(in_project));
        }
        if let Some(seen) = self.shared.accounts.with(account, |live| in_project(&mut live.holdings)) {
            return Ok(seen);
        }
        let written = projection::load(self.connection, account)?;
        // It was not in memory a moment ago. Its rows are what there is, unless they were incomplete when this
        // snapshot was taken, and were completed and the account dropped from memory since.
        if self.shared.accounts.newest_departed() > self.completions {
            return Err(Error::busy("Too much is changing at once."));
        }
        Ok(written.and_then(|written| in_project(&mut Holdings::new(written))))
    }

    /// What an account has; `None` when there is no such account in the project.
    pub fn holdings(&self, project: ProjectId, account: AccountId) -> Result<Option<Holdings>> {
        self.with_holdings(project, account, |has| has.clone())
    }

    /// By the project's clock, as of this snapshot.
    pub fn now_ms(&self, project: ProjectId) -> i64 {
        self.machine_now_ms + self.ahead.as_ref().and_then(|ahead| ahead.get(&project).copied()).unwrap_or(0)
    }

    /// What does not belong to one project goes by the machine's clock.
    pub fn machine_now_ms(&self) -> i64 {
        self.machine_now_ms
    }

    pub fn pepper(&self) -> &[u8; 32] {
        &self.shared.instance.pepper
    }
}

/// One job's part of a transaction. Dropped without a commit of its own: the writer commits whole batches.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    last_key: &'c Cell<i64>,
    pub(super) staging: &'c RefCell<Staging>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        shared: &'c Shared,
        last_key: &'c Cell<i64>,
        staging: &'c RefCell<Staging>,
    ) -> Self {
        let snapshot = Snapshot { staging: Some(staging), ..Snapshot::new(connection, shared) };
        Self { snapshot, last_key, staging }
    }

    /// To be called before a change to rows that say what an account has: all of it is in the rows then, and whoever
    /// asks next reads them again.
    pub(super) fn complete_rows(&self, account: AccountId) -> Result<()> {
        self.staging.borrow_mut().complete_rows(self.connection, self.shared, account)
    }

    /// Makes rows of the spends and events that are gathered: before anything looks for them, or follows them.
    pub(super) fn append_now(&self) -> Result<()> {
        self.staging.borrow_mut().append_now(self.connection)
    }

    /// [`Tx::complete_rows`] for an account of this project.
    pub fn complete_rows_of(&self, project: ProjectId, account: AccountId) -> Result<()> {
        if self.with_holdings(project, account, |_| ())?.is_some() { self.complete_rows(account) } else { Ok(()) }
    }

    /// A fresh key for a row with a public id.
    pub fn next_key(&self) -> Result<i64> {
        let entropy = entropy()?;
        let key = id::next_key(
            self.machine_now_ms(),
            u32::try_from(entropy & 0xffff_ffff).unwrap_or_default(),
            self.last_key.get(),
        );
        self.last_key.set(key);
        Ok(key)
    }

    /// Randomness for codes.
    pub fn entropy(&self) -> Result<u64> {
        entropy()
    }
}

fn entropy() -> Result<u64> {
    getrandom::u64().map_err(|fault| Error::internal(format!("no entropy: {fault}")))
}

impl<'c> std::ops::Deref for Tx<'c> {
    type Target = Snapshot<'c>;
    fn deref(&self) -> &Snapshot<'c> {
        &self.snapshot
    }
}
