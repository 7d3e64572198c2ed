//! What a read and a write see: the connection, the time, and what the instance is.

use crate::domain::error::{Error, Result};
use crate::domain::id::{self, ProjectId};
use crate::domain::program::Program;
use rusqlite::Connection;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
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

/// What every connection of a store has in common.
pub struct Shared {
    pub instance: Instance,
    pub clock: Clock,
    /// Versions never change once they are committed, so what was parsed once stays right; a transaction that is
    /// undone may have parsed one that never came to be.
    pub programs: Mutex<HashMap<(ProjectId, i64), Arc<Program>>>,
}

impl Shared {
    pub fn new(instance: Instance, clock: Clock) -> Self {
        Self { instance, clock, programs: Mutex::default() }
    }

    /// After a transaction was undone.
    pub fn forget_programs(&self) {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
    now_ms: i64,
}

impl<'c> Snapshot<'c> {
    pub(super) fn new(connection: &'c Connection, shared: &'c Shared) -> Self {
        Self { connection, shared, now_ms: shared.clock.now_ms() }
    }

    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub fn pepper(&self) -> &[u8; 32] {
        &self.shared.instance.pepper
    }
}

/// One job's part of a transaction. Dropped without a commit of its own: the writer commits whole batches.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    last_key: &'c Cell<i64>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(connection: &'c Connection, shared: &'c Shared, last_key: &'c Cell<i64>) -> Self {
        Self { snapshot: Snapshot::new(connection, shared), last_key }
    }

    /// A fresh key for a row with a public id.
    pub fn next_key(&self) -> Result<i64> {
        let entropy = entropy()?;
        let key =
            id::next_key(self.now_ms(), u32::try_from(entropy & 0xffff_ffff).unwrap_or_default(), self.last_key.get());
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
