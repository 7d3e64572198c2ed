//! Litestream beside the server: it copies the write-ahead log to another place, and says when a copy is there.

use super::Store;
use super::file::unusable;
use crate::domain::error::{Error, Kind, Result};
use serde::Deserialize;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Who moves the write-ahead log into the file, and whose copy is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Replication {
    /// The server moves it. There is no copy.
    #[default]
    Off,
    /// Litestream moves it, when it has copied it.
    Litestream(Ack),
}

/// What must have the write before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ack {
    /// This machine's disk.
    Local,
    /// The replica too; Litestream is asked at this socket.
    Replica(PathBuf),
}

/// Litestream's own bound on one confirmation, in seconds.
const PATIENCE_S: u64 = 5;
/// After a failure, nobody else waits before it has been this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Litestream's control socket, as far as one file goes.
pub struct Replica {
    socket: PathBuf,
    database: PathBuf,
    /// The last attempt, when it failed.
    failed: Option<Instant>,
}

/// Litestream's answer: up to which of its transactions it has read, and copied.
#[derive(Deserialize)]
struct Position {
    txid: u64,
    replicated_txid: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Replica {
    /// `database` as Litestream's configuration names it: without symbolic links.
    pub fn new(socket: &Path, database: &Path) -> Result<Self> {
        let database = std::fs::canonicalize(database)
            .map_err(|fault| Error::internal(format!("cannot find {}: {fault}", database.display())))?;
        Ok(Self { socket: socket.to_owned(), database, failed: None })
    }

    /// Whether it is worth while to write anything: after a failure, the replica must have caught up first.
    /// An error means that nothing was written.
    pub fn caught_up(&mut self) -> Result<()> {
        let unreachable = || {
            let message = "The replica cannot be reached; nothing was changed.";
            Error { retry_after_s: Some(2), ..Error::new(Kind::Busy, "replica_unreachable", message) }
        };
        match self.failed {
            None => Ok(()),
            Some(when) if when.elapsed() < PAUSE => Err(unreachable()),
            Some(_) => self.confirm().map_err(|_| unreachable()),
        }
    }

    /// Waits until the replica has everything that is committed. An error means that it is on this disk, and may be
    /// nowhere else.
    pub fn confirm(&mut self) -> Result<()> {
        match self.ask() {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!("the replica has caught up");
                }
                Ok(())
            }
            Err(problem) => {
                if self.failed.replace(Instant::now()).is_none() {
                    tracing::error!(%problem, "the replica does not confirm; writes are refused until it does");
                }
                let message = "It is written here, and its replica has not confirmed that yet. Ask again, with the same id \
                               or key where the call has one.";
                Err(Error { retry_after_s: Some(2), ..Error::new(Kind::Busy, "not_replicated", message) })
            }
        }
    }

    fn ask(&self) -> std::result::Result<(), String> {
        let socket = self.socket.display();
        let answer = self.post().map_err(|fault| format!("Litestream does not answer at {socket}: {fault}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("Litestream's answer is cut off")?;
        if head.split(' ').nth(1) != Some("200") {
            let refusal = serde_json::from_str(body).map_or_else(|_| head.to_owned(), |Refusal { error }| error);
            return Err(format!("Litestream says: {refusal}"));
        }
        match serde_json::from_str(body) {
            Ok(Position { txid, replicated_txid }) if replicated_txid >= txid => Ok(()),
            Ok(Position { txid, replicated_txid }) => Err(format!("Litestream has copied {replicated_txid} of {txid}")),
            Err(fault) => Err(format!("Litestream's answer cannot be read: {fault}")),
        }
    }

    /// Of HTTP/1.0, so that the answer ends where the connection does.
    fn post(&self) -> std::io::Result<String> {
        const MOST: u64 = 64 * 1024;
        let body = serde_json::json!({ "path": self.database, "wait": true, "timeout": PATIENCE_S }).to_string();
        let mut stream = UnixStream::connect(&self.socket)?;
        let patience = Some(Duration::from_secs(PATIENCE_S + 1));
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(patience)?;
        write!(
            stream,
            "POST /sync HTTP/1.0\r\nHost: litestream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.take(MOST).read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// Whether Litestream replicates the file, or did: it keeps a directory beside it. What moves the log into the file
/// unasked can ruin the replica without a word.
pub fn is_replicated(database: &Path) -> bool {
    let database = std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let Some(name) = database.file_name() else { return false };
    let mut directory = std::ffi::OsString::from(".");
    directory.push(name);
    directory.push("-litestream");
    database.with_file_name(directory).is_dir()
}

/// For commands, which go by what they find: they answer before any replica does.
pub fn as_found(database: &Path) -> Replication {
    if is_replicated(database) { Replication::Litestream(Ack::Local) } else { Replication::Off }
}

/// Refuses to move the log of a file that Litestream has begun to copy.
pub fn check_told(database: &Path, replication: &Replication) -> Result<()> {
    if *replication != Replication::Off || !is_replicated(database) {
        return Ok(());
    }
    Err(unusable(format!(
        "Litestream replicates {}, or did (the directory -litestream beside it says so), and refloop is not told: it would \
         move the log that Litestream reads. Start it with --replication litestream; or stop Litestream for good, and \
         remove the directory",
        database.display()
    )))
}

impl Store {
    /// Waits until the replica has what is in the file, where its word is needed: a new file is known to Litestream some
    /// time after it is there.
    pub fn wait_for_replica(&self, patience: Duration) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(500);
        let since = Instant::now();
        loop {
            match self.write_blocking(|_| Ok(())) {
                Err(fault) if since.elapsed() > patience => return Err(fault),
                Err(_) => std::thread::sleep(PAUSE),
                Ok(()) => return Ok(()),
            }
        }
    }
}
