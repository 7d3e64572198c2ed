//! The schema, and how a file that an older refloop has made comes to it.
//!
//! `serve` brings such a file up to date before it opens it. First a copy is made that stays, then all of it is tried on a
//! second copy that must verify, and only then the file itself is changed, in one transaction: whenever it is killed, the
//! file is as before or as after.

use super::audit::KeptHeads;
use super::backup::{check_integrity, copy_pages};
use super::file::{self, Identity};
use super::new_file::NewFile;
use super::verify;
use crate::domain::backup::stamp;
use crate::domain::error::{Error, Result};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a new file gets, and the steps that bring an older one there.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    pub sql: &'static str,
    /// The first leads from version 1 to 2. A table that changes is made anew, by the text that `sql` has for it: schemas
    /// are compared by their text, comments included.
    pub steps: &'static [&'static str],
}

impl Schema {
    pub const CURRENT: Self = Self { sql: include_str!("../../schema.sql"), steps: &[] };

    /// `PRAGMA user_version` of a file that has it.
    pub fn version(&self) -> i64 {
        1 + i64::try_from(self.steps.len()).unwrap_or(i64::MAX - 1)
    }

    /// The first table, index, trigger or view that a file does not have like this, or has beside these.
    pub fn difference(&self, connection: &Connection) -> Result<Option<String>> {
        let fresh = Connection::open_in_memory()?;
        fresh.execute_batch(self.sql)?;
        let (expected, found) = (parts(&fresh)?, parts(connection)?);
        let off = expected.iter().find(|(name, sql)| found.get(*name) != Some(sql)).map(|(name, _)| name);
        Ok(off.or_else(|| found.keys().find(|name| !expected.contains_key(*name))).cloned())
    }
}

fn parts(connection: &Connection) -> Result<BTreeMap<String, String>> {
    // Litestream keeps two small tables of its own in what it copies.
    let sql = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'
                 AND NOT (type = 'table' AND name IN ('_litestream_seq', '_litestream_lock'))";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn cannot(path: &Path, fault: &dyn std::fmt::Display) -> Error {
    let path = path.display();
    file::unusable(format!("{path} cannot be brought up to date, and is as it was before: {fault}"))
}

/// What the name of a copy from before has behind the file's own.
const BEFORE: &str = ".before-v";

/// Removes what an upgrade has left that was killed; the caller holds the lock, so that no other is at work.
fn clear_unfinished(path: &Path) -> Result<()> {
    let ours = file::beside(Path::new(path.file_name().unwrap_or_default()), BEFORE);
    let ours = ours.to_string_lossy();
    let files = std::fs::read_dir(file::directory_of(path)).map_err(|fault| cannot(path, &fault))?;
    for left in files.filter_map(std::result::Result::ok) {
        let name = left.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&*ours) && name.ends_with(".partial") {
            NewFile::clear(&left.path())?;
        }
    }
    Ok(())
}

/// Brings an older file up to date; the caller holds its lock. Returns where the copy from before is, if it was older.
pub fn upgrade(path: &Path, schema: &Schema, now_ms: i64) -> Result<Option<PathBuf>> {
    if !file::is_existing_file(path) {
        return Ok(None);
    }
    let Identity::Older(_) = file::identity(&verify::open(path)?, path, schema)? else { return Ok(None) };
    clear_unfinished(path)?;
    // Whoever is started again at once finds the name of this second taken.
    let name =
        |second: i64| file::beside(path, &format!("{BEFORE}{}-{}", schema.version(), stamp(now_ms + second * 1_000)));
    let copy = (0..60).map(name).find(|copy| !copy.exists()).unwrap_or_else(|| name(0));
    let before = NewFile::begin(&copy)?;
    copy_pages(path, before.path(), &mut |_| true)?;
    check_integrity(before.path())?;
    let rehearsal = NewFile::begin(&file::beside(path, ".rehearsal"))?;
    copy_pages(before.path(), rehearsal.path(), &mut |_| true)?;
    migrate(rehearsal.path(), schema).map_err(|fault| cannot(path, &fault.message))?;
    let verdict = verify::verify_by(rehearsal.path(), KeptHeads::default(), schema)?;
    if let Some(fault) = verdict.fault {
        return Err(cannot(path, &fault.problem));
    }
    drop(rehearsal);
    before.deliver()?;
    migrate(path, schema).map_err(|fault| cannot(path, &fault.message))?;
    Ok(Some(copy))
}

/// Takes the steps that a file lacks, in one transaction. It has exactly this schema then, or is as it was.
pub fn migrate(path: &Path, schema: &Schema) -> Result<()> {
    let mut connection = Connection::open(path)?;
    file::leave_the_log_to_litestream(&connection, path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // Tables that others refer to are made anew as well: what refers to what is checked at the end.
    connection.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;
         PRAGMA recursive_triggers = ON; PRAGMA wal_autocheckpoint = 0",
    )?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Identity::Older(version) = file::identity(&transaction, path, schema)? else { return Ok(()) };
    let fault = |step: i64, fault: &dyn std::fmt::Display| {
        Error::conflict("cannot_migrate", format!("the step from schema {step} to {}: {fault}", step + 1))
    };
    let lacking = usize::try_from(version - 1).unwrap_or_default();
    for (step, sql) in (version..).zip(&schema.steps[lacking..]) {
        transaction.execute_batch(sql).map_err(|error| fault(step, &error))?;
    }
    if let Some(part) = schema.difference(&transaction)? {
        return Err(Error::conflict("cannot_migrate", format!("{part} did not become what it is in a new file")));
    }
    let mut dangling = transaction.prepare("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1")?;
    if let Some(row) = dangling.query([])?.next()? {
        let table: String = row.get(0)?;
        return Err(Error::conflict("cannot_migrate", format!("rows of {table} would refer to what is not there")));
    }
    drop(dangling);
    transaction.execute_batch(&format!("PRAGMA user_version = {}", schema.version()))?;
    Ok(transaction.commit()?)
}
