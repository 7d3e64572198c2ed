//! Backups that are made by themselves, into one directory, of which the newest stay.

use super::Engine;
use crate::domain::backup;
use crate::domain::error::{Error, Result};
use crate::store::{Copying, NewFile, back_up};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// Where to, how often, and how many stay.
#[derive(Debug, Clone)]
pub struct BackupPlan {
    pub dir: PathBuf,
    pub every_hours: u32,
    pub keep: u32,
}

/// What went wrong last, and when; nothing once one has been made.
#[derive(Debug, Clone)]
pub struct BackupFailure {
    pub at_ms: i64,
    pub problem: String,
}

/// One that is due. It knows what it needs, and keeps nothing of the database open.
#[derive(Debug, Clone)]
pub struct DueBackup {
    db: PathBuf,
    plan: BackupPlan,
    at_ms: i64,
}

/// What comes before the time in a backup's name: the database's own name.
pub fn stem(db: &Path) -> String {
    db.file_stem().map_or_else(|| "refloop".into(), |stem| stem.to_string_lossy().into_owned())
}

/// The backups of this database that are in a directory: when they were made, by their names.
pub fn backups_in(dir: &Path, db: &Path) -> Result<Vec<i64>> {
    let stem = stem(db);
    let made = names_in(dir)?.into_iter().filter_map(|name| backup::made_at_ms(&stem, &name));
    Ok(made.collect())
}

/// Removes what was left by backups into this directory that were killed. Those that are being made stay.
pub fn clear_unfinished(dir: &Path, db: &Path) -> Result<()> {
    let stem = stem(db);
    let is_ours = |name: &str| backup::made_at_ms(&stem, name).is_some();
    for left in names_in(dir)?.iter().filter(|name| name.strip_suffix(".partial").is_some_and(is_ours)) {
        let _ = NewFile::clear(&dir.join(left));
    }
    Ok(())
}

/// Names of files, without links to files elsewhere.
fn names_in(dir: &Path) -> Result<Vec<String>> {
    let cannot = |fault| Error::conflict("no_backup_dir", format!("cannot look into {}: {fault}", dir.display()));
    let files = std::fs::read_dir(dir).map_err(cannot)?.filter_map(std::result::Result::ok);
    let files = files.filter(|item| item.file_type().is_ok_and(|kind| kind.is_file()));
    Ok(files.filter_map(|item| item.file_name().into_string().ok()).collect())
}

impl DueBackup {
    /// Makes it, until `goes_on` says no, and removes those that are too old then: never before, and only files with names
    /// as it gives them.
    pub fn make(&self, goes_on: &dyn Fn() -> bool) -> Result<PathBuf> {
        let (dir, stem) = (&self.plan.dir, stem(&self.db));
        clear_unfinished(dir, &self.db)?;
        let made = back_up(&self.db, &dir.join(backup::name(&stem, self.at_ms)), &mut |_: Copying| goes_on())?;
        for old in backup::outdated(&backups_in(dir, &self.db)?, self.plan.keep, self.at_ms) {
            let old = dir.join(backup::name(&stem, old));
            if let Err(fault) = std::fs::remove_file(&old) {
                tracing::warn!(file = %old.display(), %fault, "an old backup cannot be removed");
            }
        }
        Ok(made.file)
    }
}

impl Engine {
    /// The scheduled backup, if it is due by the machine's clock and by what is in the directory. A directory that cannot be
    /// read has none, so that making one says what is wrong.
    pub fn due_backup(&self) -> Option<DueBackup> {
        let plan = self.settings.backups.as_ref()?;
        let (db, at_ms) = (self.store.path(), self.store.machine_now_ms());
        let made = backups_in(&plan.dir, db).unwrap_or_default();
        let failed_at_ms = self.backup_failure().map(|failure| failure.at_ms);
        let is_due = backup::is_due(&made, failed_at_ms, plan.every_hours, at_ms);
        is_due.then(|| DueBackup { db: db.to_owned(), plan: plan.clone(), at_ms })
    }

    /// Notes what came of it.
    pub fn note_backup(&self, due: &DueBackup, made: &Result<PathBuf>) {
        let failure = match made {
            Ok(file) => {
                tracing::info!(file = %file.display(), "backed up");
                None
            }
            Err(fault) => {
                tracing::error!(%fault, "the scheduled backup failed");
                Some(BackupFailure { at_ms: due.at_ms, problem: fault.message.clone() })
            }
        };
        *self.backup_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Why there is no newer scheduled backup, if the last one failed.
    pub fn backup_failure(&self) -> Option<BackupFailure> {
        self.backup_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
