//! Copies of the whole file: made while a server writes, checked before they have their name, and put back.

use super::audit::KeptHeads;
use super::file::{self, Identity, ServeLock};
use super::new_file::{COMPANIONS, NewFile, check_free};
use super::schema::{self, Schema};
use super::verify::{self, Verdict};
use crate::domain::error::{Error, Kind, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How far a copy is. Verifying it comes after the last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copying {
    pub pages: i64,
    pub of: i64,
}

/// Is told how far a copy is, and says whether it is to go on.
pub type Watch<'w> = &'w mut dyn FnMut(Copying) -> bool;

/// A copy that is whole, and was found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub file: PathBuf,
    pub bytes: u64,
    pub verdict: Verdict,
}

/// Copies the database as it is at this moment to a new file, also while a server writes to it. What was answered before
/// is in it. `Conflict` when the name is taken, there is no room, or the copy is not in order: then nothing has the name.
pub fn back_up(db: &Path, to: &Path, watch: Watch<'_>) -> Result<Copied> {
    if file::is_empty(&verify::open(db)?, db, &Schema::CURRENT)? {
        return Err(file::unusable(format!("{} is empty", db.display())));
    }
    let copy = NewFile::begin(to)?;
    copy_pages(db, copy.path(), watch)?;
    finish(copy, to, db, KeptHeads::default())
}

/// Puts a backup where a server is to find it. One with an older schema is brought up to date on the way. `Conflict` when
/// something is there already, a server has that file, or the backup is not in order.
pub fn restore(from: &Path, db: &Path, kept: KeptHeads<'_>, now_ms: i64, watch: Watch<'_>) -> Result<Copied> {
    if !file::is_existing_file(from) {
        return Err(Error::not_found(format!("there is no backup at {}", from.display())));
    }
    if file::identity(&verify::open(from)?, from, &Schema::CURRENT)? == Identity::Empty {
        return Err(file::unusable(format!("{} is empty", from.display())));
    }
    // Before the file itself: whoever has it open would go on in one that has no name.
    let _lock = ServeLock::take(db)?.ok_or_else(|| {
        file::unusable(format!(
            "another refloop is serving {}; stop it first: a backup does not go under it",
            db.display()
        ))
    })?;
    check_free(db).map_err(|taken| {
        let message = format!(
            "{} is not empty: a backup is put back only where nothing is. Move the file away first, with its {}",
            db.display(),
            COMPANIONS.join(", ")
        );
        Error { message, ..taken }
    })?;
    let copy = NewFile::begin(db)?;
    copy_pages(from, copy.path(), watch)?;
    check_integrity(copy.path())?;
    schema::migrate(copy.path(), &Schema::CURRENT)?;
    note_restored(copy.path(), now_ms)?;
    finish(copy, db, from, kept)
}

/// The copy knows that it is one: see `payouts`.
fn note_restored(copy: &Path, now_ms: i64) -> Result<()> {
    Connection::open(copy)?.execute("UPDATE instance SET restored_at_ms = $1", [now_ms])?;
    Ok(())
}

/// Checks everything, and gives the copy its name.
fn finish(copy: NewFile, to: &Path, of: &Path, kept: KeptHeads<'_>) -> Result<Copied> {
    check_integrity(copy.path())?;
    let verdict = verify::verify_all(copy.path(), kept)?;
    if let Some(fault) = &verdict.fault {
        let place = if fault.seq > 0 { format!("entry {}: ", fault.seq) } else { String::new() };
        let message = format!("nothing was made, as {} is not in order: {place}{}", of.display(), fault.problem);
        return Err(Error::conflict("not_in_order", message));
    }
    let bytes = std::fs::metadata(copy.path()).map_or(0, |meta| meta.len());
    copy.deliver()?;
    Ok(Copied { file: to.to_owned(), bytes, verdict })
}

/// Copies all pages as of now. The read that stays open sees one state, whatever is written meanwhile, so that it comes to
/// its end under any load; until then the write-ahead log only grows. The copy is one file, without a log beside it.
pub fn copy_pages(from: &Path, to: &Path, watch: Watch<'_>) -> Result<()> {
    const PAGES: i32 = 2_000;
    const PAUSE: Duration = Duration::from_millis(20);
    const MOST_PAUSES: u32 = 500;
    let cannot = |fault: rusqlite::Error| cannot_copy(from, to, &fault);
    let source = verify::open(from)?;
    source.execute_batch("BEGIN").map_err(cannot)?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(cannot)?;
    let mut target = Connection::open(to).map_err(cannot)?;
    // Half of it is worth nothing, and the whole is synced once.
    target.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(())).map_err(cannot)?;
    target.execute_batch("PRAGMA synchronous = OFF").map_err(cannot)?;
    let backup = Backup::new(&source, &mut target).map_err(cannot)?;
    let mut pauses = 0;
    loop {
        let step = backup.step(PAGES).map_err(cannot)?;
        let progress = backup.progress();
        let (of, left) = (i64::from(progress.pagecount), i64::from(progress.remaining));
        if !watch(Copying { pages: of - left, of }) {
            return Err(Error::conflict("stopped", "The copy was stopped; nothing of it is left."));
        }
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ if pauses < MOST_PAUSES => {
                pauses += 1;
                std::thread::sleep(PAUSE);
            }
            _ => return Err(Error::busy(format!("{} is held by another program", from.display()))),
        }
    }
    drop(backup);
    drop(target);
    let copy = Connection::open(to).map_err(cannot)?;
    let mode: String = copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).map_err(cannot)?;
    if mode == "delete" { Ok(()) } else { Err(Error::internal(format!("the copy kept its log ({mode})"))) }
}

/// That SQLite finds nothing wrong with the file.
pub fn check_integrity(path: &Path) -> Result<()> {
    let problem = integrity(path)?;
    problem.map_or(Ok(()), |problem| {
        Err(Error::conflict("not_in_order", format!("the copy of the file is damaged: {problem}")))
    })
}

/// The first thing that SQLite finds wrong with a file; whether indexes have every row, by which rules are kept, too.
pub fn integrity(path: &Path) -> Result<Option<String>> {
    let connection = verify::open(path)?;
    let found: rusqlite::Result<String> = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
    match found {
        Ok(word) if word == "ok" => Ok(None),
        Ok(problem) => Ok(Some(problem)),
        Err(fault) if fault.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(Some(fault.to_string())),
        Err(fault) => Err(fault.into()),
    }
}

fn cannot_copy(from: &Path, to: &Path, fault: &rusqlite::Error) -> Error {
    let (from, to) = (from.display(), to.display());
    let message = match fault.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            format!("there is no space for {to}; what was written of it is removed, and nothing else has changed")
        }
        Some(ErrorCode::DatabaseCorrupt) => format!("{from} is damaged, and cannot be copied: {fault}"),
        _ => format!("cannot copy {from} to {to}: {fault}"),
    };
    Error::new(Kind::Conflict, "cannot_copy", message)
}
