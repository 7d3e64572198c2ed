//! Files that are damaged: not served, and if it shows later, not written to any more.

use super::file;
use super::tx::Shared;
use crate::domain::error::{Error, Kind, Result};
use rusqlite::config::DbConfig;
use std::path::Path;
use std::sync::atomic::Ordering;

const DAMAGED: &str = "database_damaged";
/// Up to this size all of it is looked through before it is served, which takes about a second. What is wrong in a larger
/// one shows when it is read.
const LOOKED_THROUGH: u64 = 256 << 20;

/// What SQLite says of a file that makes no sense to it. Trying again does not help.
pub fn damaged() -> Error {
    let message = "The database file is damaged; nothing is written to it any more. Stop refloop, keep the file aside, \
                   and put back a backup.";
    Error { retry_after_s: Some(60), ..Error::new(Kind::Busy, DAMAGED, message) }
}

fn is_damage(fault: &Error) -> bool {
    fault.code == DAMAGED
}

impl Shared {
    /// Remembers when an answer says that the file is damaged.
    pub fn note_damage<T>(&self, answer: &Result<T>) {
        if answer.as_ref().is_err_and(is_damage) && !self.damaged.swap(true, Ordering::SeqCst) {
            tracing::error!("the database file is damaged: stop refloop, keep the file aside, and put back a backup");
        }
    }

    /// Fails once damage was met.
    pub fn check_undamaged(&self) -> Result<()> {
        if self.damaged.load(Ordering::SeqCst) { Err(damaged()) } else { Ok(()) }
    }
}

/// Looks through a file that is there, without changing it.
pub fn check(path: &Path) -> Result<()> {
    if !file::is_existing_file(path) {
        return Ok(());
    }
    let problem = |what: &str| {
        file::unusable(format!(
            "{} is not a refloop database, or one that is damaged ({what}); it was left as it is. If it was yours, keep \
             it aside and put back a backup",
            path.display()
        ))
    };
    let look = || -> rusqlite::Result<String> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // Else a log beside it would be moved into it at the end.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        if std::fs::metadata(path).is_ok_and(|meta| meta.len() > LOOKED_THROUGH) {
            return Ok("ok".into());
        }
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    };
    match look() {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(problem(verdict.lines().last().unwrap_or_default())),
        Err(fault) => match fault.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Err(problem(&fault.to_string()))
            }
            // Whatever else is in the way is said by whoever opens it to work with it.
            _ => Ok(()),
        },
    }
}
