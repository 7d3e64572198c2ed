//! The clocks of test projects: each is ahead of the machine's by as much as it was moved forward.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::ProjectId;
use foldhash::HashMap;
use rusqlite::{Connection, params};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// As they are committed.
#[derive(Default)]
pub struct TestClocks {
    any: AtomicBool,
    ahead_ms: RwLock<HashMap<ProjectId, i64>>,
}

impl TestClocks {
    /// 0 for a live project.
    pub fn ahead_ms(&self, project: ProjectId) -> i64 {
        if !self.any.load(Ordering::SeqCst) {
            return 0;
        }
        self.ahead_ms.read().unwrap_or_else(PoisonError::into_inner).get(&project).copied().unwrap_or(0)
    }

    pub fn set(&self, project: ProjectId, ahead_ms: i64) {
        self.ahead_ms.write().unwrap_or_else(PoisonError::into_inner).insert(project, ahead_ms);
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
    /// Sets the clock of a test project. It holds from the next transaction on.
    pub fn set_clock_ahead(&self, project: ProjectId, ahead_ms: i64) -> Result<()> {
        let sql = "UPDATE project SET clock_ahead_ms = $1 WHERE id = $2";
        self.connection.execute(sql, params![ahead_ms, project.0])?;
        self.staging.borrow_mut().note_clock(project, ahead_ms);
        Ok(())
    }
}
