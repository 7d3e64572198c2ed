//! `refloop verify`: folds the entries from the first to the last and compares with what the file projects.

use super::audit::{self, KeptHeads};
use super::file::{is_empty, leave_the_log_to_litestream, unusable};
use super::ledger;
use super::payouts;
use super::projection::{self, Mark, Tail};
use super::schema::Schema;
use super::tx::UsageHasher;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{Books, Chain, Entry, EntryKind, Head, Lot, SignedHead, Totals};
use foldhash::{HashMap, HashMapExt};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::sync_channel;

/// What a check of a whole file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub entries: i64,
    pub head: Head,
    /// Of the audit log.
    pub audit: Head,
    pub fault: Option<Fault>,
}

/// The first row that is off. `seq` 0: nothing in the chain, but the file around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub seq: i64,
    pub problem: String,
}

/// [`verify_all`] against a kept head of the ledger alone.
pub fn verify_file(path: &Path, kept: Option<&SignedHead>) -> Result<Verdict> {
    verify_all(path, KeptHeads { ledger: kept, audit: &[] })
}

/// Checks the chain, a head that someone kept, the projections, the audit log, and the triggers, in this order.
/// Reads one snapshot, also beside a running server. An error means that the file cannot be read at all.
pub fn verify_all(path: &Path, kept: KeptHeads<'_>) -> Result<Verdict> {
    verify_by(path, kept, &Schema::CURRENT)
}

/// [`verify_all`] of a file that has this schema.
pub fn verify_by(path: &Path, kept: KeptHeads<'_>, schema: &Schema) -> Result<Verdict> {
    let connection = open(path)?;
    connection.execute_batch("BEGIN")?;
    if is_empty(&connection, path, schema)? {
        return Err(unusable(format!("{} is empty", path.display())));
    }
    let mark = projection::mark(&connection)?;
    let reported = reported_groups(&connection, mark)?;
    let (folded, listed, usage) = std::thread::scope(|scope| {
        let listed = scope.spawn(|| listed_entries(path, mark));
        let usage = scope.spawn(|| usage(path, mark));
        let folded = fold(&connection, mark, &reported);
        (folded, listed.join().unwrap_or_else(|_| Err(panicked())), usage.join().unwrap_or_else(|_| Err(panicked())))
    });
    let Folded { books, entries, spends, charged, fault } = folded?;
    let (audit, problem) = audit::verify(&connection, kept.audit, &public_key(&connection)?)?;
    let checks: [&dyn Fn() -> Result<Option<Fault>>; 6] = [
        &|| check_rest(&connection, &books, kept.ledger),
        &|| check_progress(&connection, mark, books.head(), &spends),
        &|| check_listed(&connection, &entries, listed.as_ref().map_err(Clone::clone)?),
        &|| Ok(check_usage(usage.as_ref().map_err(Clone::clone)?, first_event(&connection)?, charged)),
        &|| Ok(problem.clone().map(|problem| Fault { seq: 0, problem })),
        &|| check_schema(&connection, schema),
    ];
    let fault = match fault {
        Some(fault) => Some(fault),
        None => checks.iter().find_map(|check| check().transpose()).transpose()?,
    };
    Ok(Verdict { entries: books.head().seq, head: books.head(), audit, fault })
}

fn panicked() -> Error {
    Error::internal("a check panicked")
}

/// To read only; beside a server, and from where nothing can be written.
pub fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0")?;
    leave_the_log_to_litestream(&connection, path)?;
    Ok(connection)
}

/// Which entries are an account's, as a sum over their numbers: two lists that differ have different ones, but for a
/// chance of one in 2⁶⁴.
type EntrySums = HashMap<AccountId, u64>;

fn add_entry(sums: &mut EntrySums, account: AccountId, seq: i64) {
    let sum = sums.entry(account).or_default();
    *sum = sum.wrapping_add(mixed(seq));
}

fn mixed(number: i64) -> u64 {
    let mixed = number.cast_unsigned().wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// What `account_entry` lists.
struct Listed {
    /// Up to the mark. Below it nothing is added any more, so a snapshot of its own is right.
    sums: EntrySums,
    /// Listed after the mark, and not the account's; or not listed, and no spend.
    fault: Option<Fault>,
}

fn listed_entries(path: &Path, mark: Mark) -> Result<Listed> {
    let connection = open(path)?;
    connection.execute_batch("BEGIN")?;
    let mut statement = connection.prepare("SELECT account_id, seq FROM account_entry")?;
    let mut is_there = connection.prepare("SELECT EXISTS (SELECT 1 FROM entry WHERE seq = $1 AND account_id = $2)")?;
    let (mut rows, mut listed) = (statement.query([])?, Listed { sums: EntrySums::new(), fault: None });
    while let Some(row) = rows.next()? {
        let (account, seq) = (AccountId(row.get(0)?), row.get(1)?);
        if seq <= mark.entry {
            add_entry(&mut listed.sums, account, seq);
        } else if !is_there.query_row([seq, account.0], |row| row.get::<_, bool>(0))? {
            let problem = format!("the list of {account}'s entries has one that is not theirs");
            listed.fault.get_or_insert(Fault { seq, problem });
        }
    }
    let sql = "SELECT min(seq) FROM entry WHERE seq > $1 AND kind <> 'spend' AND NOT EXISTS (
                 SELECT 1 FROM account_entry WHERE account_id = entry.account_id AND account_entry.seq = entry.seq)";
    if let Some(seq) = connection.query_row(sql, [mark.entry], |row| row.get(0))? {
        listed.fault.get_or_insert(Fault { seq, problem: "the entry is not in its account's list".into() });
    }
    Ok(listed)
}

/// Usage up to the mark, as the events have it and as it is looked up.
#[derive(Default)]
struct Usage {
    first: Option<i64>,
    by_event: u64,
    by_id: u64,
    charged: i128,
    /// Two events of one id, events that go back, calls that do not add up.
    problem: Option<String>,
}

fn usage(path: &Path, mark: Mark) -> Result<Usage> {
    let connection = open(path)?;
    connection.execute_batch("BEGIN")?;
    let hasher = UsageHasher::new(&super::file::read_instance(&connection)?.pepper);
    let mut usage = Usage::default();
    let (mut calls, mut newest) = (HashMap::<AccountId, i64>::new(), 0);
    let mut statement = connection
        .prepare("SELECT seq, project_id, event_id, account_id, calls, charged FROM usage_event ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        (usage.first, newest) = (usage.first.or(Some(seq)), seq);
        *calls.entry(AccountId(row.get(3)?)).or_default() += row.get::<_, i64>(4)?;
        if seq <= mark.event {
            usage.charged += i128::from(row.get::<_, i64>(5)?);
            let hash = hasher.hash(ProjectId(row.get(1)?), row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?);
            usage.by_event = usage.by_event.wrapping_add(mixed(hash ^ seq.rotate_left(32)));
        }
    }
    if newest > 0 && newest < mark.event {
        usage.problem = Some("the projections are said to be ahead of the usage events".into());
    }
    let same = "SELECT EXISTS (SELECT 1 FROM usage_event AS one JOIN usage_event AS other
                ON other.project_id = one.project_id AND other.event_id = one.event_id WHERE one.seq = $1 AND other.seq = $2)";
    let mut same = connection.prepare(same)?;
    let mut statement = connection.prepare("SELECT hash, event_seq FROM usage_id ORDER BY hash, event_seq")?;
    let (mut rows, mut before) = (statement.query([])?, None);
    while let Some(row) = rows.next()? {
        let (hash, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
        if seq <= mark.event {
            usage.by_id = usage.by_id.wrapping_add(mixed(hash ^ seq.rotate_left(32)));
        }
        if let Some((_, other)) = before.replace((hash, seq)).filter(|(other, _)| *other == hash)
            && same.query_row([other, seq], |row| row.get::<_, bool>(0))?
        {
            usage.problem = Some(format!("usage events {other} and {seq} have the same id"));
        }
    }
    // As long as none is pruned.
    if usage.first.is_none_or(|first| first == 1) && (newest > 0 || mark.event == 0) {
        check_calls(&connection, &mut usage, &calls, mark)?;
    }
    Ok(usage)
}

fn check_calls(connection: &Connection, usage: &mut Usage, calls: &HashMap<AccountId, i64>, mark: Mark) -> Result<()> {
    let tail = projection::tail(connection, mark)?;
    let mut known = HashMap::new();
    let mut statement = connection.prepare("SELECT account_id, calls FROM usage_total")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        known.insert(AccountId(row.get(0)?), row.get::<_, i64>(1)?);
    }
    for (account, (unwritten, _)) in &tail {
        *known.entry(*account).or_default() += unwritten.calls;
    }
    let differs = |account: &&AccountId| calls.get(account).unwrap_or(&0) != known.get(account).unwrap_or(&0);
    if let Some(account) = calls.keys().chain(known.keys()).filter(differs).min() {
        usage.problem = Some(format!("the calls of {account} are not what its usage events add up to"));
    }
    Ok(())
}

fn check_usage(usage: &Usage, first: Option<i64>, charged: i128) -> Option<Fault> {
    let problem = match &usage.problem {
        Some(problem) => Some(problem.clone()),
        None if usage.by_event != usage.by_id => Some("usage_id is not what the usage events have".into()),
        // Unless a running server has pruned some just now.
        None if usage.first == first && usage.charged != charged => {
            Some("the usage events were charged another sum than the ledger's entries for them".into())
        }
        None => None,
    };
    problem.map(|problem| Fault { seq: 0, problem })
}

fn first_event(connection: &Connection) -> Result<Option<i64>> {
    Ok(connection.query_row("SELECT min(seq) FROM usage_event", [], |row| row.get(0))?)
}

/// The movements of the events that are kept, up to the mark.
fn reported_groups(connection: &Connection, mark: Mark) -> Result<std::ops::RangeInclusive<i64>> {
    let group = |order: &str| {
        let sql = format!(
            "SELECT group_seq FROM usage_event WHERE seq <= $1 AND group_seq IS NOT NULL ORDER BY seq {order} LIMIT 1"
        );
        connection.query_row(&sql, [mark.event], |row| row.get(0)).optional()
    };
    Ok(group("ASC")?.unwrap_or(1)..=group("DESC")?.unwrap_or(0))
}

/// What says up to where projections are complete.
fn check_progress(
    connection: &Connection,
    mark: Mark,
    head: Head,
    spends: &HashMap<AccountId, Spends>,
) -> Result<Option<Fault>> {
    if mark.entry > head.seq {
        let problem = "the projections are said to be ahead of the ledger".into();
        return Ok(Some(Fault { seq: head.seq, problem }));
    }
    let mut statement = connection.prepare("SELECT account_id, spends_to FROM balance")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (account, spends_to) = (AccountId(row.get(0)?), row.get(1)?);
        let known = spends.get(&account).copied().unwrap_or_default();
        if !(known.marked..=known.newest).contains(&spends_to) {
            let problem = format!("the balance of {account} is said to be complete up to another entry than it is");
            return Ok(Some(Fault { seq: newest_entry_of(connection, account)?, problem }));
        }
    }
    let sql = "SELECT min(account_id) FROM usage_total
               WHERE events_to > max($1, (SELECT coalesce(max(seq), 0) FROM usage_event))";
    let ahead: Option<i64> = connection.query_row(sql, [mark.event], |row| row.get(0))?;
    let problem = |account| format!("the calls of {} are said to be ahead of the usage events", AccountId(account));
    Ok(ahead.map(|account| Fault { seq: 0, problem: problem(account) }))
}

fn check_listed(connection: &Connection, entries: &EntrySums, listed: &Listed) -> Result<Option<Fault>> {
    if let Some(fault) = &listed.fault {
        return Ok(Some(fault.clone()));
    }
    let listed = &listed.sums;
    let differs = |account: &&AccountId| entries.get(account) != listed.get(account);
    let Some(account) = entries.keys().chain(listed.keys()).filter(differs).min() else { return Ok(None) };
    let problem = format!("the list of {account}'s entries is not what the ledger has");
    Ok(Some(Fault { seq: newest_entry_of(connection, *account)?, problem }))
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
    if let Some((seq, problem)) = payouts::misfit(connection, books)? {
        return Ok(Some(Fault { seq, problem }));
    }
    check_accounts(connection, books)
}

#[derive(Default)]
struct Folded {
    books: Books,
    /// Up to the mark.
    entries: EntrySums,
    spends: HashMap<AccountId, Spends>,
    /// By the movements of the events that are kept, up to the mark.
    charged: i128,
    fault: Option<Fault>,
}

/// An account's newest spend up to the mark, and in all.
#[derive(Debug, Clone, Copy, Default)]
struct Spends {
    marked: i64,
    newest: i64,
}

/// Adds up all entries from the first on, until one is off. Reading them and checking them go side by side.
fn fold(connection: &Connection, mark: Mark, reported: &std::ops::RangeInclusive<i64>) -> Result<Folded> {
    const MANY: usize = 1_000;
    let (sender, receiver) = sync_channel::<Vec<(i64, Option<Entry>)>>(8);
    std::thread::scope(|scope| {
        let folder = scope.spawn(move || {
            let mut folded = Folded::default();
            for (seq, entry) in receiver.into_iter().flatten() {
                if let Err(fault) = fold_one(&mut folded, seq, entry.as_ref(), mark, reported) {
                    folded.fault = Some(fault);
                    break;
                }
            }
            folded
        });
        let mut statement = connection.prepare(&ledger::all_entries_sql())?;
        let mut rows = statement.query([])?;
        let mut read = Vec::with_capacity(MANY);
        while let Some(row) = rows.next()? {
            read.push((row.get(0)?, ledger::entry(row).ok()));
            // The other end is gone when it has found a fault.
            if read.len() == MANY && sender.send(std::mem::replace(&mut read, Vec::with_capacity(MANY))).is_err() {
                break;
            }
        }
        let _ = sender.send(read);
        drop(sender);
        folder.join().map_err(|_| panicked())
    })
}

fn fold_one(
    folded: &mut Folded,
    seq: i64,
    entry: Option<&Entry>,
    mark: Mark,
    reported: &std::ops::RangeInclusive<i64>,
) -> std::result::Result<(), Fault> {
    let unreadable = || Fault { seq, problem: "the entry does not read: a field has another type or word".into() };
    let entry = entry.ok_or_else(unreadable)?;
    if let Err(problem) = folded.books.apply(entry) {
        // What is missing is named by its own number, and so is what stands in the wrong place.
        return Err(Fault { seq: seq.min(folded.books.head().seq + 1), problem });
    }
    let is_marked = seq <= mark.entry;
    if is_marked {
        add_entry(&mut folded.entries, entry.account, seq);
    }
    if entry.kind == EntryKind::Spend {
        let spends = folded.spends.entry(entry.account).or_default();
        *spends = Spends { marked: if is_marked { seq } else { spends.marked }, newest: seq };
        if reported.contains(&entry.group_seq) {
            folded.charged -= i128::from(entry.amount);
        }
    }
    Ok(())
}

fn public_key(connection: &Connection) -> Result<[u8; 32]> {
    let signing_key = super::file::read_instance(connection)?.signing_key;
    Ok(ed25519_dalek::SigningKey::from_bytes(&signing_key).verifying_key().to_bytes())
}

fn check_kept_head(connection: &Connection, head: Head, kept: &SignedHead) -> Result<Option<Fault>> {
    let problem = match kept.check(Chain::Ledger, &public_key(connection)?) {
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
fn check_schema(connection: &Connection, schema: &Schema) -> Result<Option<Fault>> {
    let off = schema.difference(connection)?;
    Ok(off.map(|name| Fault { seq: 0, problem: format!("{name} is missing, changed or added in the file's schema") }))
}
