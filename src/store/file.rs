//! The file itself: opening, pragmas, schema, and the lock that keeps a second server out.

use super::replica::is_replicated;
use super::schema::Schema;
use super::tx::{Clock, Instance};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::partner::DEFAULT_AGREEMENT;
use crate::domain::program::Preset;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, OpenFlags, params};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Says in SQLite's header that a file is refloop's: `refl`.
const APPLICATION_ID: i64 = 0x7265_666c;

const WRITER_PRAGMAS: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;
     PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;
     PRAGMA wal_autocheckpoint = 0;";
const CHECKPOINT_PRAGMAS: &str = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;";
/// None of these reads the schema, which takes a third of a megabyte on each connection: one that never reads is to have
/// none.
const READER_PRAGMAS: &str = "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA trusted_schema = OFF;
     PRAGMA temp_store = MEMORY;";

pub fn unusable(message: String) -> Error {
    Error::new(Kind::Conflict, "database_unusable", message)
}

/// The directory that a file is in, or is to be.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub fn is_existing_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0)
}

/// Held by the one process that keeps what accounts have in memory, for as long as it lives.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// [`ServeLock::take`] that gives a command a moment to end.
    pub fn wait_for(database: &Path) -> Result<Option<Self>> {
        const TRIES: u32 = 10;
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
        for _ in 1..TRIES {
            if let Some(lock) = Self::take(database)? {
                return Ok(Some(lock));
            }
            std::thread::sleep(PAUSE);
        }
        Self::take(database)
    }

    /// `None` when another process has it.
    pub fn take(database: &Path) -> Result<Option<Self>> {
        if database.is_dir() {
            return Err(unusable(format!("{} is a directory", database.display())));
        }
        // Two names of one file must come to one lock.
        let path = beside(&std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned()), "-lock");
        let file = create_private(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(fault)) => Err(unusable(format!("cannot lock {}: {fault}", path.display()))),
        }
    }
}

/// The file of this name and ending.
pub fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Creates or opens a file that only its owner may read: it holds password hashes and the signing key.
fn create_private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|fault| unusable(format!("cannot open {}: {fault}", path.display())))
}

/// Opens the file for the writer: the schema is made when there is none, and checked when there is.
pub fn open_for_writing(path: &Path, clock: &Clock, schema: &Schema) -> Result<(Connection, Instance)> {
    drop(create_private(path)?);
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(256);
    let is_new = is_empty(&connection, path, schema)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|fault| unusable(format!("cannot write to {}: {fault}", path.display())))?;
    if mode != "wal" {
        return Err(unusable(format!("{} cannot use a write-ahead log ({mode})", path.display())));
    }
    connection.execute_batch(WRITER_PRAGMAS)?;
    leave_the_log_to_litestream(&connection, path)?;
    if is_new {
        create(&connection, clock.now_ms(), schema)?;
    }
    log_statements(&connection);
    let instance = read_instance(&connection)?;
    Ok((connection, instance))
}

/// The last connection to close moves the whole log into the file and removes it: not where Litestream still needs it.
pub fn leave_the_log_to_litestream(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    if is_replicated(path) { never_move_the_log(connection) } else { Ok(()) }
}

pub fn never_move_the_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// With `REFLOOP_LOG=refloop::sql=trace` the log says which statements run, without what is bound to them.
fn log_statements(connection: &Connection) {
    if tracing::enabled!(target: "refloop::sql", tracing::Level::TRACE) {
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(log_statement));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "SQLite's callback has this shape")]
fn log_statement(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(_, sql) = event {
        tracing::trace!(target: "refloop::sql", sql);
    }
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    Empty,
    Current,
    /// With the version of its schema.
    Older(i64),
}

/// The code of the refusal of a schema from the future.
pub const NEWER_SCHEMA: &str = "newer_schema";

/// Refuses files of others and schemas from the future.
pub fn identity(connection: &Connection, path: &Path, schema: &Schema) -> Result<Identity> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let foreign = |detail: &str| unusable(format!("{} is not a refloop database: {detail}", path.display()));
    let application_id = pragma("application_id").map_err(|fault| foreign(&fault.to_string()))?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|fault| foreign(&fault.to_string()))?;
    let known = schema.version();
    match (application_id, pragma("user_version")?) {
        (0, 0) if tables == 0 => Ok(Identity::Empty),
        (APPLICATION_ID, version) if version == known => Ok(Identity::Current),
        (APPLICATION_ID, older) if (1..known).contains(&older) => Ok(Identity::Older(older)),
        (APPLICATION_ID, newer) if newer > known => {
            let (path, is) = (path.display(), format!("has schema {newer}, made by a newer refloop"));
            let message = format!("{path} {is}; this one knows schema {known}. Use the newer binary");
            Err(Error::new(Kind::Conflict, NEWER_SCHEMA, message))
        }
        _ => Err(foreign("its application id is another")),
    }
}

/// Whether the file is empty. Refuses what is not refloop's, and other schemas than this one.
pub fn is_empty(connection: &Connection, path: &Path, schema: &Schema) -> Result<bool> {
    match identity(connection, path, schema)? {
        Identity::Empty => Ok(true),
        Identity::Current => Ok(false),
        Identity::Older(older) => Err(unusable(format!(
            "{} has schema {older}, made by an older refloop; this one has schema {}. `refloop serve` brings it up to \
             date, and keeps a copy from before",
            path.display(),
            schema.version()
        ))),
    }
}

/// One transaction, so that a kill in the middle leaves an empty file and not half a schema.
fn create(connection: &Connection, now_ms: i64, schema: &Schema) -> Result<()> {
    let random = || -> Result<[u8; 32]> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|fault| Error::internal(format!("no entropy: {fault}")))?;
        Ok(bytes)
    };
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(schema.sql)?;
    let version = schema.version();
    transaction
        .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};"))?;
    transaction.execute(
        "INSERT INTO instance (id, signing_key, pepper, created_at_ms) VALUES (1, $1, $2, $3)",
        params![random()?, random()?, now_ms],
    )?;
    transaction.execute("INSERT INTO projected (id, entry_seq, event_seq) VALUES (1, 0, 0)", [])?;
    let key = crate::domain::id::next_key(now_ms, 0, 0);
    transaction.execute(
        "INSERT INTO team (id, slug, name, created_at_ms) VALUES ($1, 'default', 'Default team', $2)",
        params![key, now_ms],
    )?;
    transaction.execute(
        "INSERT INTO project (id, team_id, slug, name, mode, key_prefix, created_at_ms)
         VALUES ($1, $1, 'default', 'Developer API', 'live', 'bw', $2)",
        params![key, now_ms],
    )?;
    transaction.execute(
        "INSERT INTO program (project_id, version, body, author, created_at_ms) VALUES ($1, 1, $2, 'first start', $3)",
        params![key, Preset::Credits.program().to_json(), now_ms],
    )?;
    transaction.execute(
        "INSERT INTO partner_agreement (project_id, version, body, created_at_ms) VALUES ($1, 1, $2, $3)",
        params![key, DEFAULT_AGREEMENT, now_ms],
    )?;
    transaction.commit()?;
    Ok(())
}

pub fn read_instance(connection: &Connection) -> Result<Instance> {
    let row = connection.query_row("SELECT signing_key, pepper FROM instance", [], |row| {
        Ok(Instance { signing_key: row.get(0)?, pepper: row.get(1)? })
    });
    Ok(row?)
}

const READER_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

fn prepare_reader(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    log_statements(connection);
    leave_the_log_to_litestream(connection, path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch(READER_PRAGMAS)
}

/// Connections that cannot write.
pub fn reader_manager(path: &Path) -> SqliteConnectionManager {
    let manager = SqliteConnectionManager::file(path).with_flags(READER_FLAGS);
    let path = path.to_owned();
    manager.with_init(move |connection| prepare_reader(connection, &path))
}

/// One connection that only moves the write-ahead log into the file.
pub fn open_for_checkpoints(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch(CHECKPOINT_PRAGMAS)?;
    leave_the_log_to_litestream(&connection, path)?;
    Ok(connection)
}

/// Commits on this connection do not wait for the disk.
pub fn trust_the_system(connection: &Connection) -> Result<()> {
    Ok(connection.execute_batch("PRAGMA synchronous = OFF")?)
}

/// One connection that cannot write.
pub fn open_for_reading(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, READER_FLAGS)?;
    prepare_reader(&connection, path)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use r2d2::ManageConnection;

    #[test]
    fn a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refloop.db");
        drop(open_for_writing(&path, &Clock::System, &Schema::CURRENT).unwrap());
        let reader = reader_manager(&path).connect().unwrap();
        for sql in ["INSERT INTO team VALUES (5, 'x', 'x', 1)", "DELETE FROM usage_event", "CREATE TABLE t (a)"] {
            let refusal = reader.execute_batch(sql).unwrap_err();
            assert_eq!(refusal.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly), "{sql}");
        }
    }

    #[test]
    fn the_writer_s_settings_are_on() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, _) = open_for_writing(&dir.path().join("refloop.db"), &Clock::System, &Schema::CURRENT).unwrap();
        for (name, value) in [
            ("foreign_keys", 1),
            ("recursive_triggers", 1),
            ("synchronous", 2),
            ("secure_delete", 1),
            ("trusted_schema", 0),
        ] {
            let set: i64 = writer.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
            assert_eq!(set, value, "{name}");
        }
    }
}
