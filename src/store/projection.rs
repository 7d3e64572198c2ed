//! What spends and usage events do to the projections, written back in bulk: see the second half of `schema.sql`.

use super::bulk::{Insert, insert};
use super::file::unusable;
use super::holdings::{Unwritten, Written};
use super::{ledger, referrals};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::Head;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

const ACCOUNT_ENTRIES: Insert = insert!("account_entry (account_id, seq)", "(?, ?)", " ON CONFLICT DO NOTHING");
const USAGE_IDS: Insert = insert!("usage_id (hash, event_seq)", "(?, ?)", " ON CONFLICT DO NOTHING");

/// A place in the file's two logs: the newest entry and the newest usage event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub entry: i64,
    pub event: i64,
}

/// Up to where the projections are complete.
pub fn mark(connection: &Connection) -> Result<Mark> {
    let sql = "SELECT entry_seq, event_seq FROM projected";
    Ok(connection.query_row(sql, [], |row| Ok(Mark { entry: row.get(0)?, event: row.get(1)? }))?)
}

pub fn set_mark(connection: &Connection, mark: Mark) -> Result<()> {
    let sql = "UPDATE projected SET entry_seq = $1, event_seq = $2";
    connection.prepare_cached(sql)?.execute(params![mark.entry, mark.event])?;
    Ok(())
}

/// The newest event's number, also when it has been pruned.
pub fn newest_event(connection: &Connection) -> Result<i64> {
    let newest: i64 = connection.query_row("SELECT coalesce(max(seq), 0) FROM usage_event", [], |row| row.get(0))?;
    Ok(newest.max(mark(connection)?.event))
}

pub fn head(connection: &Connection) -> Result<Head> {
    let sql = "SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1";
    let head = connection.query_row(sql, [], |row| Ok(Head { seq: row.get(0)?, hash: row.get(1)? })).optional()?;
    Ok(head.unwrap_or(Head::EMPTY))
}

/// An account as the projections have it; `None` for one that never was.
pub fn load(connection: &Connection, account: AccountId) -> Result<Option<Written>> {
    let sql = "SELECT account.project_id, account.erased_at_ms IS NOT NULL, coalesce(usage_total.calls, 0),
                      coalesce(balance.granted, 0), coalesce(balance.spent, 0), coalesce(balance.expired, 0),
                      coalesce(balance.reversed, 0), coalesce(balance.paid, 0), coalesce(balance.open, 0),
                      coalesce(balance.owed, 0)
               FROM account LEFT JOIN usage_total ON usage_total.account_id = account.id
                 LEFT JOIN balance ON balance.account_id = account.id
               WHERE account.id = $1";
    let found = connection.prepare_cached(sql)?.query_row(params![account.0], |row| {
        Ok(Written {
            project: ProjectId(row.get(0)?),
            erased: row.get(1)?,
            calls: row.get(2)?,
            totals: ledger::totals(row, 3)?,
            lots: Vec::new(),
            referral: None,
        })
    });
    let Some(mut written) = found.optional()? else { return Ok(None) };
    written.lots = ledger::open_lots(connection, account)?;
    // It stays for long, among very many.
    written.lots.shrink_to_fit();
    written.referral = referrals::of_referee(connection, account)?;
    Ok(Some(written))
}

/// Adds to an account's projections what is not in them. `entries` are its spends by number.
pub fn write_back(connection: &Connection, account: AccountId, unwritten: &Unwritten, entries: &[i64]) -> Result<()> {
    if unwritten.spends_to > 0 {
        let sql = "UPDATE lot SET remaining = remaining - $1 WHERE seq = $2 AND remaining > $1";
        let (mut lessen, sql) = (
            connection.prepare_cached(sql)?,
            "UPDATE lot SET remaining = remaining - $1,
                   side = CASE WHEN remaining > $1 THEN 1 WHEN remaining < $1 THEN -1 ELSE 0 END WHERE seq = $2",
        );
        for (lot, amount) in &unwritten.spent {
            // The first leaves every index alone.
            if lessen.execute(params![amount, lot])? == 0 {
                connection.prepare_cached(sql)?.execute(params![amount, lot])?;
            }
        }
        let sql = "UPDATE balance SET spent = spent + $1, open = open - $1, spends_to = $2 WHERE account_id = $3";
        let spent = unwritten.spent_in_all();
        connection.prepare_cached(sql)?.execute(params![spent, unwritten.spends_to, account.0])?;
    }
    if unwritten.events_to > 0 {
        let sql = "INSERT INTO usage_total (account_id, calls, events_to) VALUES ($1, $2, $3)
                   ON CONFLICT (account_id) DO UPDATE
                   SET calls = usage_total.calls + excluded.calls, events_to = excluded.events_to";
        connection.prepare_cached(sql)?.execute(params![account.0, unwritten.calls, unwritten.events_to])?;
    }
    ACCOUNT_ENTRIES.run(connection, entries, |seq| [&account.0, seq])
}

/// `ids` are hashes with their events, in order.
pub fn write_usage_ids(connection: &Connection, ids: &[(i64, i64)]) -> Result<()> {
    USAGE_IDS.run(connection, ids, |(hash, event)| [hash, event])
}

/// What of the entries and events after `from` is not in the projections, by account.
pub type Tail = BTreeMap<AccountId, (Unwritten, Vec<i64>)>;

/// Reads the tail: each account's row says what is in it already.
pub fn tail(connection: &Connection, from: Mark) -> Result<Tail> {
    let mut tail = Tail::new();
    let sql = "SELECT entry.seq, entry.account_id, entry.lot, -entry.amount, coalesce(balance.spends_to, 0)
               FROM entry LEFT JOIN balance ON balance.account_id = entry.account_id
               WHERE entry.seq > $1 AND entry.kind = 'spend' ORDER BY entry.seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params![from.entry])?;
    while let Some(row) = rows.next()? {
        let (seq, account): (i64, i64) = (row.get(0)?, row.get(1)?);
        if seq > row.get(4)? {
            let (unwritten, entries) = tail.entry(AccountId(account)).or_default();
            unwritten.spend(row.get(2)?, row.get(3)?, seq);
            entries.push(seq);
        }
    }
    let sql = "SELECT usage_event.seq, usage_event.account_id, usage_event.calls, coalesce(usage_total.events_to, 0)
               FROM usage_event LEFT JOIN usage_total ON usage_total.account_id = usage_event.account_id
               WHERE usage_event.seq > $1 ORDER BY usage_event.seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params![from.event])?;
    while let Some(row) = rows.next()? {
        let (seq, account): (i64, i64) = (row.get(0)?, row.get(1)?);
        if seq > row.get(3)? {
            tail.entry(AccountId(account)).or_default().0.count(row.get(2)?, seq);
        }
    }
    Ok(tail)
}

/// Projects everything that is not projected yet, in one transaction: what a process that ended without doing so, or
/// another program, has left. Returns the newest of both logs. Only for whoever has the file's lock.
pub fn catch_up(
    connection: &Connection,
    from: Mark,
    mut usage_hash: impl FnMut(ProjectId, &str) -> i64,
) -> Result<Mark> {
    let to = Mark { entry: head(connection)?.seq, event: newest_event(connection)? };
    if to.entry < from.entry || to.event < from.event {
        return Err(unusable("the file's projections are ahead of its entries: `refloop verify` says more".into()));
    }
    if to != from {
        for (account, (unwritten, entries)) in tail(connection, from)? {
            write_back(connection, account, &unwritten, &entries)?;
        }
        let sql = "SELECT seq, project_id, event_id FROM usage_event WHERE seq > $1";
        let mut hashes = Vec::new();
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(params![from.event])?;
        while let Some(row) = rows.next()? {
            let event_id: String = row.get(2)?;
            hashes.push((usage_hash(ProjectId(row.get(1)?), &event_id), row.get(0)?));
        }
        hashes.sort_unstable();
        write_usage_ids(connection, &hashes)?;
        set_mark(connection, to)?;
    }
    Ok(to)
}
