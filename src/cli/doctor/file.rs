//! The file, what is beside it, and the disk under it.

use super::Finding;
use crate::cli::backup::size;
use crate::domain::time::{DAY_MS, rfc3339};
use crate::store::{
    Content, Identity, KeptHeads, NEWER_SCHEMA, beside, directory_of, free_bytes, identify, integrity, is_served,
    verify_all,
};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::Path;

/// A log that is emptied all the time is a few megabytes; under load it is some hundred.
const LONG_LOG: u64 = 1_000_000_000;
/// Less than this fills up before anyone has looked.
const LITTLE_ROOM: u64 = 64_000_000;
const CLOCKS_MAY_DIFFER_MS: i64 = 60_000;
const LONG_QUIET_MS: i64 = 366 * DAY_MS;

pub fn look(db: &Path, content: Option<&Content>, now_ms: i64) -> Vec<Finding> {
    let (file, meta) = file(db);
    let mut findings = vec![file];
    let Some(meta) = meta else {
        findings.push(directory(db));
        return findings;
    };
    findings.extend([permissions(db, &meta), directory(db), server(db), log(db), room(db, &meta)]);
    findings.extend(content.map(|content| clock(content, now_ms)));
    if let Ok(known) = identify(db) {
        let intact = intact(db);
        let is_intact = intact.state == super::State::Ok;
        findings.push(intact);
        if is_intact && known == Identity::Current {
            findings.push(ledger(db));
        }
    }
    findings
}

/// Whether it is one of refloop's, and what there is to know of it if it is there.
fn file(db: &Path) -> (Finding, Option<Metadata>) {
    let name = db.display();
    let back = format!(
        "start `refloop serve` to make a new one, name another with --db, or put a backup back: refloop restore BACKUP --db {name}"
    );
    let fault = |detail: String, remedy: &str| Finding::fault("file", detail, remedy);
    let meta = match std::fs::File::open(db).and_then(|file| file.metadata()) {
        Err(gone) if gone.kind() == ErrorKind::NotFound => {
            return (fault(format!("there is no database at {name}"), &back), None);
        }
        Err(denied) if denied.kind() == ErrorKind::PermissionDenied => {
            return (
                fault(format!("{name} cannot be read: {denied}"), "run this as the user that refloop runs as"),
                None,
            );
        }
        Err(other) => return (fault(format!("{name} cannot be read: {other}"), &back), None),
        Ok(meta) if !meta.is_file() => return (fault(format!("{name} is no file"), &back), None),
        Ok(meta) if meta.len() == 0 => return (fault(format!("{name} is empty"), &back), None),
        Ok(meta) => meta,
    };
    let finding = match identify(db) {
        Ok(Identity::Current) => Finding::ok("file", format!("{name}, {}", size(meta.len()))),
        Ok(Identity::Older(version)) => Finding::warning(
            "file",
            format!("{name} has schema {version}, made by an older refloop"),
            "start `refloop serve`: it brings the file up to date, and keeps a copy from before",
        ),
        Ok(Identity::Empty) => fault(format!("{name} is an empty database"), &back),
        Err(refused) if refused.code == NEWER_SCHEMA => {
            fault(refused.message, "use the binary that this file was served with last")
        }
        Err(refused) => fault(
            refused.message,
            &format!(
                "stop the server, keep the file as it is under another name, and put a backup back: refloop restore BACKUP --db {name}"
            ),
        ),
    };
    (finding, Some(meta))
}

/// The file holds password hashes and the signing key; and what the server cannot open stops it.
fn permissions(db: &Path, meta: &Metadata) -> Finding {
    use std::os::unix::fs::MetadataExt;
    let files = ["", "-wal", "-shm", "-lock"].map(|suffix| beside(db, suffix));
    let there = || files.iter().filter_map(|file| Some((file, std::fs::metadata(file).ok()?)));
    let names = |files: Vec<&std::path::PathBuf>| {
        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    let open: Vec<_> = there().filter(|(_, meta)| meta.mode() & 0o077 != 0).map(|(file, _)| file).collect();
    let foreign: Vec<_> = there().filter(|(_, other)| other.uid() != meta.uid()).map(|(file, _)| file).collect();
    if !foreign.is_empty() {
        let names = names(foreign);
        let detail = format!("{names}: another owner than {} has, as after a command that root has run", db.display());
        return Finding::fault("permissions", detail, format!("chown --reference={} {names}", db.display()));
    }
    if !open.is_empty() {
        let names = names(open);
        let detail = format!("{names}: others on this machine may read or change it");
        return Finding::fault("permissions", detail, format!("chmod 600 {names}"));
    }
    Finding::ok("permissions", "the owner's alone")
}

fn directory(db: &Path) -> Finding {
    let directory = directory_of(db);
    match try_to_write(directory) {
        Ok(()) => Finding::ok("directory", format!("{} can be written to", directory.display())),
        Err(fault) => Finding::fault(
            "directory",
            format!("{} cannot be written to: {fault}", directory.display()),
            "the log beside the database is made there: give the directory to the user that refloop runs as, and mount it \
             for writing",
        ),
    }
}

/// Makes a file and removes it.
pub fn try_to_write(directory: &Path) -> std::io::Result<()> {
    let trial = directory.join(format!(".refloop-doctor-{}", std::process::id()));
    std::fs::File::options().write(true).create_new(true).open(&trial)?;
    std::fs::remove_file(trial)
}

fn server(db: &Path) -> Finding {
    Finding::ok("server", if is_served(db) { "a running one has the file" } else { "none has the file at the moment" })
}

fn log(db: &Path) -> Finding {
    let long = std::fs::metadata(beside(db, "-wal")).map_or(0, |meta| meta.len());
    if long < LONG_LOG {
        return Finding::ok("log", format!("the write-ahead log has {}", size(long)));
    }
    Finding::warning(
        "log",
        format!("the write-ahead log has {}: it is not emptied", size(long)),
        "some program reads the file all the time (a shell, a backup that hangs): end it, then restart the server",
    )
}

fn room(db: &Path, meta: &Metadata) -> Finding {
    let whole = meta.len() + std::fs::metadata(beside(db, "-wal")).map_or(0, |meta| meta.len());
    match free_bytes(db) {
        Some(free) => room_for(free, whole),
        None => Finding::ok("disk", "its space is not to be known"),
    }
}

fn room_for(free: u64, whole: u64) -> Finding {
    let detail = format!("{} free, beside {} of database and log", size(free), size(whole));
    let remedy = "make room, or move the database to a larger disk: without space nothing can be written any more";
    if free < LITTLE_ROOM {
        Finding::fault("disk", detail, remedy)
    } else if free < whole {
        Finding::warning("disk", format!("{detail}: an upgrade, which copies it first, has no room"), remedy)
    } else {
        Finding::ok("disk", detail)
    }
}

fn clock(content: &Content, now_ms: i64) -> Finding {
    let (now, newest) = (rfc3339(now_ms), rfc3339(content.newest_at_ms));
    let remedy = "set this machine's clock, by NTP (timedatectl set-ntp true): credits vest and expire by it";
    if now_ms + CLOCKS_MAY_DIFFER_MS < content.newest_at_ms {
        return Finding::fault("clock", format!("it is {now} here, but the newest entry is of {newest}"), remedy);
    }
    if now_ms - content.newest_at_ms > LONG_QUIET_MS {
        let detail = format!("it is {now} here, and the newest entry of {newest}, more than a year before");
        return Finding::warning("clock", detail, format!("if that is not so: {remedy}"));
    }
    Finding::ok("clock", format!("{now}, newest entry {newest}"))
}

fn restore_it(db: &Path) -> String {
    format!(
        "stop the server, keep the file under another name (and its -wal), and put the newest good backup back: refloop \
         restore BACKUP --db {}",
        db.display()
    )
}

fn intact(db: &Path) -> Finding {
    match integrity(db) {
        Ok(None) => Finding::ok("integrity", "SQLite finds nothing wrong"),
        Ok(Some(problem)) => Finding::fault("integrity", problem.replace('\n', " "), restore_it(db)),
        Err(fault) => Finding::fault("integrity", fault.message, restore_it(db)),
    }
}

/// The chain, and that balances, lists and usage are what its entries add up to.
fn ledger(db: &Path) -> Finding {
    match verify_all(db, KeptHeads::default()) {
        Ok(verdict) => match verdict.fault {
            None => Finding::ok("ledger", format!("{} entries: the chain holds, every balance fits", verdict.entries)),
            Some(fault) if fault.seq > 0 => {
                Finding::fault("ledger", format!("entry {}: {}", fault.seq, fault.problem), restore_it(db))
            }
            Some(fault) => Finding::fault("ledger", fault.problem, restore_it(db)),
        },
        Err(fault) => Finding::fault("ledger", fault.message, restore_it(db)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn little_room_is_a_fault_and_too_little_for_a_copy_a_warning() {
        const MB: u64 = 1_000_000;
        for (free, whole, state, detail) in [
            (63 * MB, MB, State::Fault, "63.0 MB free, beside 1.0 MB"),
            (64 * MB, MB, State::Ok, "64.0 MB free"),
            (900 * MB, 900 * MB, State::Ok, "900.0 MB free"),
            (899 * MB, 900 * MB, State::Warning, "has no room"),
        ] {
            let finding = room_for(free, whole);
            assert!(finding.state == state && finding.detail.contains(detail), "{finding:?}");
        }
    }
}
