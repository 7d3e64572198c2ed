//! One usage event as plain SQL on the product's schema: what the file costs without the product around it.

use super::Outcome;
use refloop::domain::id::{AccountId, ProjectId};
use refloop::domain::ledger::{Draft, Entry, EntryKind, Head, Movement};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, json};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The product's own (`src/store/file.rs`).
const PRAGMAS: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;
     PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;";

/// An event, with all that has to be looked up for it.
struct Event<'a> {
    project: ProjectId,
    account: AccountId,
    /// The grant that pays.
    lot: i64,
    id: &'a str,
    /// The event's row.
    seq: i64,
    now_ms: i64,
}

/// Everything that one event comes to in the file: the entry, the event, and the projections of both.
/// The one place to change when the schema does. Returns the new head.
fn insert_event(connection: &Connection, head: Head, event: &Event<'_>) -> Outcome<Head> {
    let draft = Draft {
        kind: EntryKind::Spend,
        amount: -1,
        lot: Some(event.lot),
        origin: None,
        referral: None,
        purchase: None,
        grant: None,
        new_expiry_ms: None,
    };
    let (project, account) = (event.project, event.account);
    let movement = Movement { project, account, reason: "api_usage".into(), drafts: vec![draft] };
    let sealed = movement.seal(head, event.now_ms);
    let entry = sealed.first().ok_or("a movement without an entry")?;
    let sql = "INSERT INTO entry (seq, project_id, account_id, lot, kind, amount, reason, group_seq, at_ms, prev_hash,
                   hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    connection.prepare_cached(sql)?.execute(params![
        entry.seq,
        project.0,
        account.0,
        entry.lot,
        entry.kind.as_str(),
        entry.amount,
        entry.reason,
        entry.group_seq,
        entry.at_ms,
        entry.prev_hash,
        entry.hash
    ])?;
    let sql =
        "INSERT INTO usage_event (seq, project_id, event_id, account_id, calls, charged, uncovered, group_seq, at_ms)
               VALUES ($1, $2, $3, $4, 1, 1, 0, $5, $6)";
    connection.prepare_cached(sql)?.execute(params![
        event.seq,
        project.0,
        event.id,
        account.0,
        entry.group_seq,
        event.now_ms
    ])?;
    project_event(connection, entry, event)?;
    Ok(Head { seq: entry.seq, hash: entry.hash })
}

/// What the product writes back later, many at a time.
fn project_event(connection: &Connection, entry: &Entry, event: &Event<'_>) -> Outcome {
    let account = event.account.0;
    let sql = "UPDATE lot SET remaining = remaining - 1 WHERE seq = $1";
    connection.prepare_cached(sql)?.execute(params![event.lot])?;
    let sql = "UPDATE balance SET spent = spent + 1, open = open - 1, spends_to = $1 WHERE account_id = $2";
    connection.prepare_cached(sql)?.execute(params![entry.seq, account])?;
    let sql = "INSERT INTO usage_total (account_id, calls, events_to) VALUES ($1, 1, $2)
               ON CONFLICT (account_id) DO UPDATE SET calls = calls + 1, events_to = excluded.events_to";
    connection.prepare_cached(sql)?.execute(params![account, event.seq])?;
    let sql = "INSERT INTO account_entry (account_id, seq) VALUES ($1, $2)";
    connection.prepare_cached(sql)?.execute(params![account, entry.seq])?;
    let hash = i64::from_le_bytes(blake3::hash(event.id.as_bytes()).as_bytes()[..8].try_into()?);
    connection.prepare_cached("INSERT INTO usage_id (hash, event_seq) VALUES ($1, $2)")?.execute([hash, event.seq])?;
    Ok(())
}

fn newest_event(connection: &Connection) -> Outcome<i64> {
    Ok(connection.query_row("SELECT coalesce(max(seq), 0) FROM usage_event", [], |row| row.get(0))?)
}

fn head(connection: &Connection) -> Outcome<Head> {
    let sql = "SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([], |row| Ok(Head { seq: row.get(0)?, hash: row.get(1)? })).optional()?;
    Ok(found.unwrap_or(Head::EMPTY))
}

fn lot_of(connection: &Connection, account: AccountId) -> Outcome<i64> {
    let sql = "SELECT seq FROM lot WHERE account_id = $1 AND remaining > 0 ORDER BY expires_at_ms, seq LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row(params![account.0], |row| row.get(0))?)
}

fn accounts_with_lots(connection: &Connection, most: i64) -> Outcome<Vec<(AccountId, i64)>> {
    let sql = "SELECT account_id, min(seq) FROM lot WHERE remaining > 1000000 GROUP BY account_id LIMIT $1";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([most], |row| Ok((AccountId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn open(db: &Path) -> Outcome<(Connection, ProjectId)> {
    let connection = Connection::open(db)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(PRAGMAS)?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("{} is not a seeded database: it has no write-ahead log", db.display()).into());
    }
    let project = connection.query_row("SELECT id FROM project WHERE slug = 'default'", [], |row| row.get(0))?;
    Ok((connection, ProjectId(project)))
}

fn now_ms() -> Outcome<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// The obvious server: a connection behind a lock, everything looked up in the file, a transaction for each event.
pub struct Naive {
    project: ProjectId,
    /// The connection, and the newest event's number.
    file: Mutex<(Connection, i64)>,
}

impl Naive {
    pub fn open(db: &Path) -> Outcome<Self> {
        let (connection, project) = open(db)?;
        let newest = newest_event(&connection)?;
        Ok(Self { project, file: Mutex::new((connection, newest)) })
    }

    /// Answers after the commit.
    pub fn record(&self, event_id: &str, developer: &str) -> Outcome {
        let account: AccountId = developer.parse().map_err(|_| "not a developer's id")?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (connection, newest) = &mut *file;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let now_ms = now_ms()?;
        *newest += 1;
        let lot = lot_of(&transaction, account)?;
        let event = Event { project: self.project, account, lot, id: event_id, seq: *newest, now_ms };
        insert_event(&transaction, head(&transaction)?, &event)?;
        Ok(transaction.commit()?)
    }
}

/// Prints events per second by the size of a transaction. Lots and the head are kept in memory, so that only the
/// inserts are left.
pub fn measure(db: &Path, rows: usize, seconds: u64) -> Outcome {
    const MOST_ACCOUNTS: i64 = 100_000;
    let (mut connection, project) = open(db)?;
    let accounts = accounts_with_lots(&connection, MOST_ACCOUNTS)?;
    if accounts.is_empty() {
        return Err("no account has credits".into());
    }
    let (mut chain, mut newest, run) = (head(&connection)?, newest_event(&connection)?, now_ms()?);
    let mut rates = Map::new();
    for size in [1, 100, 1_000] {
        let (started, mut done) = (Instant::now(), 0);
        while done < rows && started.elapsed() < Duration::from_secs(seconds) {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for _ in 0..size {
                let now_ms = now_ms()?;
                newest += 1;
                let (account, lot) = accounts[done % accounts.len()];
                let id = format!("raw-{run}-{size}-{done:010}");
                chain =
                    insert_event(&transaction, chain, &Event { project, account, lot, id: &id, seq: newest, now_ms })?;
                done += 1;
            }
            transaction.commit()?;
        }
        #[expect(clippy::cast_precision_loss)]
        let rate = done as f64 / started.elapsed().as_secs_f64();
        rates.insert(size.to_string(), json!(rate.round()));
    }
    println!("{}", json!({ "rows_per_s": rates }));
    Ok(())
}
