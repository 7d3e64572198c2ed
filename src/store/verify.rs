//! `refloop verify`: folds the entries from the first to the last and compares with what the file projects.

use super::file::{SCHEMA, check_identity, unusable};
use super::ledger;
use super::projection::{self, Tail};
use crate::domain::error::Result;
use crate::domain::id::AccountId;
use crate::domain::ledger::{Books, Head, Lot, SignedHead, Totals};
use rusqlite::{Connection, OpenFlags};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// What a check of a whole file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub entries: i64,
    pub head: Head,
    pub fault: Option<Fault>,
}

/// The first row that is off. `seq` 0: nothing in the chain, but the file around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub seq: i64,
    pub problem: String,
}

/// Checks the chain, a head that someone kept, the projections, and the triggers, in this order.
/// Reads one snapshot, also beside a running server. An error means that the file cannot be read at all.
pub fn verify_file(path: &Path, kept: Option<&SignedHead>) -> Result<Verdict> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    connection.execute_batch("PRAGMA query_only = ON; BEGIN")?;
    if check_identity(&connection, path)? {
        return Err(unusable(format!("{} is empty", path.display())));
    }
    let mut books = Books::default();
    let fault =
        fold(&connection, &mut books)?.map_or_else(|| check_rest(&connection, &books, kept), |f| Ok(Some(f)))?;
    Ok(Verdict { entries: books.head().seq, head: books.head(), fault })
}

fn check_rest(connection: &Connection, books: &Books, kept: Option<&SignedHead>) -> Result<Option<Fault>> {
    if let Some(kept) = kept
        && let Some(fault) = check_kept_head(connection, books.head(), kept)?
    {
        return Ok(Some(fault));
    }
    // What a server has only in memory, or did not come to write before it ended.
    let tail = projection::tail(connection, projection::mark(connection)?)?;
    if let Some(fault) = check_lots(connection, books, &tail)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = check_totals(connection, books, &tail)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = check_accounts(connection, books)? {
        return Ok(Some(fault));
    }
    check_schema(connection)
}

fn fold(connection: &Connection, books: &mut Books) -> Result<Option<Fault>> {
    let mut statement = connection.prepare(&ledger::all_entries_sql())?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let Ok(entry) = ledger::entry(row) else {
            return Ok(Some(Fault {
                seq,
                problem: "the entry does not read: a field has another type or word".into(),
            }));
        };
        if let Err(problem) = books.apply(&entry) {
            // What is missing is named by its own number, and so is what stands in the wrong place.
            let seq = seq.min(books.head().seq + 1);
            return Ok(Some(Fault { seq, problem }));
        }
    }
    Ok(None)
}

fn check_kept_head(connection: &Connection, head: Head, kept: &SignedHead) -> Result<Option<Fault>> {
    let signing_key = super::file::read_instance(connection)?.signing_key;
    let public_key = ed25519_dalek::SigningKey::from_bytes(&signing_key).verifying_key().to_bytes();
    let problem = match kept.check(&public_key) {
        Err(problem) => return Ok(Some(Fault { seq: kept.seq, problem })),
        Ok(kept) if kept == Head::EMPTY => None,
        Ok(kept) if kept.seq > head.seq => {
            return Ok(Some(Fault {
                seq: head.seq + 1,
                problem: format!(
                    "the tail was cut: entries {} to {} of the kept head are gone",
                    head.seq + 1,
                    kept.seq
                ),
            }));
        }
        Ok(kept) => {
            let sql = "SELECT hash FROM entry WHERE seq = $1";
            let hash: [u8; 32] = connection.query_row(sql, [kept.seq], |row| row.get(0))?;
            (hash != kept.hash)
                .then(|| "history was rewritten: the entry has another hash than in the kept head".into())
        }
    };
    Ok(problem.map(|problem| Fault { seq: kept.seq, problem }))
}

fn check_lots(connection: &Connection, books: &Books, tail: &Tail) -> Result<Option<Fault>> {
    let mut statement = connection.prepare(&ledger::all_lots_sql())?;
    let mut rows = statement.query([])?;
    let mut seen = HashSet::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        // A row that does not read is one that differs.
        let mut projected = ledger::projected_lot(row).ok();
        if let Some(lot) = &mut projected {
            count_tail_in(tail, lot);
        }
        if projected.is_none() || books.lots.get(&seq) != projected.as_ref() {
            let problem = "the lot's projection differs from what its entries add up to".into();
            return Ok(Some(Fault { seq, problem }));
        }
        seen.insert(seq);
    }
    if let Some(seq) = books.lots.keys().filter(|seq| !seen.contains(seq)).min() {
        return Ok(Some(Fault { seq: *seq, problem: "the grant's lot is not projected".into() }));
    }
    let sql = ledger::misplaced_lot_sql();
    let misplaced: Option<i64> = connection.query_row(sql, [], |row| row.get(0))?;
    let problem = "the lot's projection names another project, decision or side than its grant";
    Ok(misplaced.map(|seq| Fault { seq, problem: problem.into() }))
}

/// What is left of a lot when the spends that are not projected yet are.
fn count_tail_in(tail: &Tail, lot: &mut Lot) {
    lot.remaining -= tail.get(&lot.account).map_or(0, |(unwritten, _)| unwritten.of(lot.seq));
}

fn tail_of_totals(tail: &Tail, account: AccountId, totals: Totals) -> Totals {
    let spent = tail.get(&account).map_or(0, |(unwritten, _)| unwritten.spent_in_all());
    Totals { spent: totals.spent + spent, open: totals.open - spent, ..totals }
}

fn check_totals(connection: &Connection, books: &Books, tail: &Tail) -> Result<Option<Fault>> {
    let sql = "SELECT granted, spent, expired, reversed, paid, open, owed, account_id FROM balance";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut seen = HashSet::new();
    while let Some(row) = rows.next()? {
        let account = AccountId(row.get(7)?);
        if books.totals.get(&account) != Some(&tail_of_totals(tail, account, ledger::totals(row, 0)?)) {
            let problem = format!("the balance of {account} differs from what its entries add up to");
            return Ok(Some(Fault { seq: newest_entry_of(connection, account)?, problem }));
        }
        seen.insert(account);
    }
    let Some(account) = books.totals.keys().filter(|account| !seen.contains(account)).min() else { return Ok(None) };
    let problem = format!("the balance of {account} is not projected");
    Ok(Some(Fault { seq: newest_entry_of(connection, *account)?, problem }))
}

/// Foreign keys can be switched off in a shell.
fn check_accounts(connection: &Connection, books: &Books) -> Result<Option<Fault>> {
    let mut statement = connection.prepare("SELECT EXISTS (SELECT 1 FROM account WHERE id = $1)")?;
    for account in books.totals.keys() {
        if !statement.query_row([account.0], |row| row.get::<_, bool>(0))? {
            let sql = "SELECT min(seq) FROM entry WHERE account_id = $1";
            let seq = connection.query_row(sql, [account.0], |row| row.get(0))?;
            return Ok(Some(Fault { seq, problem: format!("the entry is about {account}, which does not exist") }));
        }
    }
    Ok(None)
}

fn newest_entry_of(connection: &Connection, account: AccountId) -> Result<i64> {
    let sql = "SELECT coalesce(max(seq), 0) FROM entry WHERE account_id = $1";
    Ok(connection.query_row(sql, [account.0], |row| row.get(0))?)
}

/// The triggers that keep the ledger append-only, and the tables under them, as `schema.sql` has them.
fn check_schema(connection: &Connection) -> Result<Option<Fault>> {
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(SCHEMA)?;
    let (expected, found) = (schema_of(&fresh)?, schema_of(connection)?);
    let off = expected.iter().find(|(name, sql)| found.get(*name) != Some(sql)).map(|(name, _)| name);
    let off = off.or_else(|| found.keys().find(|name| !expected.contains_key(*name)));
    Ok(off.map(|name| Fault { seq: 0, problem: format!("{name} is missing, changed or added in the file's schema") }))
}

fn schema_of(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let sql = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
