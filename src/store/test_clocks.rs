//! The clocks of test projects: each is ahead of the machine's by as much as it was moved forward.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::ProjectId;
use foldhash::HashMap;
use rusqlite::{Connection, params};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How far each test project is ahead, in milliseconds. A live project, and one that was never moved, is not in it.
pub type Ahead = Arc<HashMap<ProjectId, i64>>;

/// As they are committed.
#[derive(Default)]
pub struct TestClocks {
    any: AtomicBool,
    ahead: RwLock<Ahead>,
}

impl TestClocks {
    /// For one transaction, so that its time stands still; `None` as long as no clock was moved.
    pub fn now(&self) -> Option<Ahead> {
        let any = self.any.load(Ordering::SeqCst);
        any.then(|| Arc::clone(&self.ahead.read().unwrap_or_else(PoisonError::into_inner)))
    }

    pub fn ahead_ms(&self, project: ProjectId) -> i64 {
        self.now().and_then(|ahead| ahead.get(&project).copied()).unwrap_or(0)
    }

    pub fn set(&self, project: ProjectId, ahead_ms: i64) {
        Arc::make_mut(&mut self.ahead.write().unwrap_or_else(PoisonError::into_inner)).insert(project, ahead_ms);
        self.any.store(true, Ordering::SeqCst);
    }

    pub fn load(&self, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare("SELECT id, clock_ahead_ms FROM project WHERE clock_ahead_ms > 0")?;
        let rows = statement.query_map([], |row| Ok((ProjectId(row.get(0)?), row.get(1)?)))?;
        for row in rows {
            let (project, ahead_ms) = row?;
            self.set(project, ahead_ms);
        }
        Ok(())
    }
}

impl Snapshot<'_> {
    /// By how much the project's clock is ahead of the machine's, as the file has it.
    pub fn clock_ahead_ms(&self, project: ProjectId) -> Result<i64> {
        let sql = "SELECT clock_ahead_ms FROM project WHERE id = $1";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Sets the clock of a test project. Transactions that begin after this one is committed go by it.
    pub fn set_clock_ahead(&self, project: ProjectId, ahead_ms: i64) -> Result<()> {
        let sql = "UPDATE project SET clock_ahead_ms = $1 WHERE id = $2";
        self.connection.execute(sql, params![ahead_ms, project.0])?;
        self.staging.borrow_mut().note_clock(project, ahead_ms);
        Ok(())
    }
}
