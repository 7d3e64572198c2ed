//! A file that has its name only once it is whole, and never takes another one's.

use super::file;
use crate::domain::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What SQLite has beside a database, and would take for a new one's of that name.
pub const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A file in the making, as `NAME.partial`. It is removed if it is not delivered.
#[derive(Debug)]
pub struct NewFile {
    target: PathBuf,
    partial: PathBuf,
    /// Tells one that is being made from one that was left behind.
    _lock: File,
}

impl NewFile {
    /// Begins a file that only its owner may read. `Conflict` when its name is taken, or another process is making it.
    pub fn begin(target: &Path) -> Result<Self> {
        check_free(target)?;
        let partial = file::beside(target, ".partial");
        Self::clear(&partial)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&partial).map_err(|fault| cannot("make", &partial, &fault))?;
        lock.try_lock().map_err(|fault| cannot("lock", &partial, &fault))?;
        Ok(Self { target: target.to_owned(), partial, _lock: lock })
    }

    /// Removes what a process has left that did not come to its end. One that is at work keeps it.
    pub fn clear(partial: &Path) -> Result<()> {
        let left = match File::open(partial) {
            Ok(left) => left,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(()),
            Err(fault) => return Err(cannot("open", partial, &fault)),
        };
        match left.try_lock() {
            Ok(()) => remove(partial).map_err(|fault| cannot("remove", partial, &fault)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::conflict("file_exists", format!("another process is making {}", partial.display())))
            }
            Err(TryLockError::Error(fault)) => Err(cannot("lock", partial, &fault)),
        }
    }

    /// Where it is until then.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives it its name, once the disk has all of it; and waits until the disk has the name, too.
    pub fn deliver(self) -> Result<()> {
        give_name(&self.partial, &self.target)?;
        // The other name goes when this is dropped.
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _ = remove(&self.partial);
    }
}

fn remove(file: &Path) -> std::io::Result<()> {
    for suffix in COMPANIONS {
        let _ = std::fs::remove_file(file::beside(file, suffix));
    }
    std::fs::remove_file(file)
}

/// Gives a finished file its name, which nobody else must have taken meanwhile, once the disk has all of it.
pub fn give_name(finished: &Path, name: &Path) -> Result<()> {
    File::open(finished).and_then(|file| file.sync_all()).map_err(|fault| cannot("write", name, &fault))?;
    check_free(name)?;
    match std::fs::hard_link(finished, name) {
        Ok(()) => {}
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => return Err(is_there(name)),
        // Not every file system knows a second name.
        Err(_) if name.exists() => return Err(is_there(name)),
        Err(_) => std::fs::rename(finished, name).map_err(|fault| cannot("make", name, &fault))?,
    }
    // Some file systems cannot be asked for it.
    let _ = File::open(file::directory_of(name)).and_then(|directory| directory.sync_all());
    Ok(())
}

/// That neither the file nor a log of another one of that name is there: SQLite would replay it into the new file.
pub fn check_free(name: &Path) -> Result<()> {
    for suffix in [&[""][..], &COMPANIONS].concat() {
        let name = file::beside(name, suffix);
        if name.symlink_metadata().is_ok() {
            return Err(is_there(&name));
        }
    }
    Ok(())
}

fn is_there(name: &Path) -> Error {
    let message = format!("{} is there already, and is never overwritten; name another one", name.display());
    Error::conflict("file_exists", message)
}

fn cannot(what: &str, file: &Path, fault: &dyn std::fmt::Display) -> Error {
    Error::conflict("cannot_write", format!("cannot {what} {}: {fault}", file.display()))
}
