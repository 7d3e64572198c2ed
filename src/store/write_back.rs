//! Bringing the projections up to date behind the writer's back: little by little, in the order of their keys.
//!
//! What has piled up is sealed and written in steps between the batches, each in a transaction of its own, while the
//! next pile grows. When a pile is through, the mark is moved. Writing many changes of near keys together is what makes
//! it cheap: one by one, each would cost a page of its own.

use super::projection::{self, Mark};
use super::seen_ids::SeenIds;
use super::tx::Shared;
use crate::domain::error::Result;
use crate::domain::id::AccountId;
use foldhash::{HashMap, HashSet, HashSetExt};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A pile that grows slowly is sealed when it is this old.
const SEAL_AFTER: Duration = Duration::from_secs(10);
/// Entries and events that may wait, should the file refuse to take them.
const MOST_WAITING: usize = 2_000_000;

/// How much is written back at a time.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Entries and events in a pile. Also bounds what is to be read again after a crash.
    pub pile: usize,
    /// Rows between two batches, at least.
    pub rows: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { pile: 400_000, rows: 512 }
    }
}

struct Sealed {
    /// Largest first, taken from the end.
    accounts: Vec<AccountId>,
    /// Those that are not written yet, largest first, taken from the end.
    unwritten_ids: Vec<(i64, i64)>,
    ids: Ids,
    mark: Mark,
}

/// Events by the hash of their id. Two of one hash are as good as never seen.
#[derive(Default)]
struct Ids {
    first: HashMap<i64, i64>,
    others: Vec<(i64, i64)>,
}

impl Ids {
    fn insert(&mut self, hash: i64, event: i64) {
        match self.first.entry(hash) {
            Entry::Vacant(place) => drop(place.insert(event)),
            Entry::Occupied(_) => self.others.push((hash, event)),
        }
    }

    fn remove(&mut self, hash: i64, event: i64) {
        if self.first.get(&hash) == Some(&event) {
            self.first.remove(&hash);
        }
        self.others.retain(|other| *other != (hash, event));
    }

    fn events(&self, hash: i64) -> impl Iterator<Item = i64> + '_ {
        let others = self.others.iter().filter(move |(other, _)| *other == hash).map(|(_, event)| *event);
        self.first.get(&hash).copied().into_iter().chain(others)
    }

    fn hashes(&self) -> impl Iterator<Item = i64> + '_ {
        self.first.keys().copied().chain(self.others.iter().map(|(hash, _)| *hash))
    }

    fn all(&self) -> Vec<(i64, i64)> {
        self.first.iter().map(|(hash, event)| (*hash, *event)).chain(self.others.iter().copied()).collect()
    }
}

pub struct WriteBack {
    pace: Pace,
    dirty: HashSet<AccountId>,
    ids: Ids,
    pub seen: SeenIds,
    units: usize,
    since: Option<Instant>,
    /// Accounts with more than should wait.
    laden: BTreeSet<AccountId>,
    sealed: Option<Sealed>,
}

impl WriteBack {
    pub fn new(pace: Pace, seen: SeenIds) -> Self {
        Self {
            pace,
            dirty: HashSet::new(),
            ids: Ids::default(),
            seen,
            units: 0,
            since: None,
            laden: BTreeSet::new(),
            sealed: None,
        }
    }

    pub fn add_id(&mut self, hash: i64, event: i64) {
        self.ids.insert(hash, event);
        self.seen.add(hash);
    }

    pub fn remove_id(&mut self, hash: i64, event: i64) {
        self.ids.remove(hash, event);
    }

    /// Events under this hash that `usage_id` may not have yet.
    pub fn events(&self, hash: i64) -> Vec<i64> {
        self.ids.events(hash).chain(self.sealed.iter().flat_map(|sealed| sealed.ids.events(hash))).collect()
    }

    pub fn note_dirty(&mut self, account: AccountId, laden: bool, entries: usize) {
        self.dirty.insert(account);
        self.units += entries;
        if laden {
            self.laden.insert(account);
        }
    }

    /// After a commit that recorded so many events, or added to the ledger.
    pub fn note_commit(&mut self, events: usize) {
        self.since.get_or_insert_with(Instant::now);
        self.units += events;
    }

    /// How long the writer may wait for work before there is something to write back; `None`: nothing is to be done.
    pub fn patience(&self) -> Option<Duration> {
        if self.sealed.is_some() {
            return Some(Duration::ZERO);
        }
        self.since.map(|since| SEAL_AFTER.saturating_sub(since.elapsed()))
    }

    /// Seals the pile if it is time, or if there is nothing else to do.
    pub fn seal_if_due(&mut self, now: Mark, is_idle: bool) {
        if is_idle || self.units >= self.pace.pile || self.patience().is_some_and(|wait| wait.is_zero()) {
            self.seal(now);
        }
    }

    /// Seals the pile; the one before it must be through.
    pub fn seal(&mut self, now: Mark) {
        if self.sealed.is_some() || self.since.is_none() {
            return;
        }
        let mut accounts: Vec<AccountId> = self.dirty.drain().collect();
        accounts.sort_unstable_by(|one, other| other.cmp(one));
        let ids = std::mem::take(&mut self.ids);
        let mut unwritten_ids = ids.all();
        unwritten_ids.sort_unstable_by(|one, other| other.cmp(one));
        self.sealed = Some(Sealed { accounts, unwritten_ids, ids, mark: now });
        (self.units, self.since) = (0, None);
    }

    pub fn is_done(&self) -> bool {
        self.sealed.is_none() && self.since.is_none()
    }

    /// Rows to be written beside so many units of work.
    pub fn budget(&self, units: usize) -> usize {
        const IDLE: usize = 4;
        /// A unit is up to five rows: its id, its entry, and an account with a lot of its own.
        const MOST_ROWS: usize = 6;
        let falls_behind = self.sealed.is_some() && self.units > self.pace.pile / 2;
        match units {
            0 => IDLE * self.pace.rows,
            _ if falls_behind => (IDLE * self.pace.rows).max(MOST_ROWS * units),
            _ => self.pace.rows.max(2 * units),
        }
    }

    /// Writes up to about `budget` rows in one transaction. An error leaves everything to be tried again.
    pub fn step(&mut self, connection: &Connection, shared: &Shared, budget: usize) -> Result<()> {
        self.seen.settle(self.ids.hashes().chain(self.sealed.iter().flat_map(|sealed| sealed.ids.hashes())));
        if self.sealed.is_none() && self.laden.is_empty() {
            return Ok(());
        }
        let (laden, mut accounts, mut ids) = (std::mem::take(&mut self.laden), Vec::new(), Vec::new());
        let outcome = self.write(connection, shared, budget, &laden, &mut accounts, &mut ids);
        if outcome.is_err() {
            self.laden = laden;
            if let Some(sealed) = &mut self.sealed {
                sealed.accounts.extend(accounts.into_iter().rev());
                sealed.unwritten_ids.extend(ids.into_iter().rev());
            }
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            return outcome;
        }
        let completion = shared.completions.fetch_add(1, Ordering::SeqCst) + 1;
        for account in laden.into_iter().chain(accounts) {
            shared.accounts.with(account, |live| {
                live.holdings.note_written();
                live.entries = Vec::new();
                live.completed = completion;
            });
        }
        if self.sealed.as_ref().is_some_and(|sealed| sealed.accounts.is_empty() && sealed.unwritten_ids.is_empty()) {
            self.sealed = None;
        }
        Ok(())
    }

    fn write(
        &mut self,
        connection: &Connection,
        shared: &Shared,
        budget: usize,
        laden: &BTreeSet<AccountId>,
        accounts: &mut Vec<AccountId>,
        ids: &mut Vec<(i64, i64)>,
    ) -> Result<()> {
        if !connection.is_autocommit() {
            // An earlier roll-back failed; nothing can begin before it is done.
            connection.execute_batch("ROLLBACK")?;
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut rows = 0;
        for account in laden {
            rows += write_account(connection, shared, *account)?;
        }
        if let Some(sealed) = &mut self.sealed {
            while rows < budget
                && let Some(account) = sealed.accounts.pop()
            {
                if !laden.contains(&account) {
                    accounts.push(account);
                    rows += write_account(connection, shared, account)?;
                }
            }
            while rows < budget
                && let Some(id) = sealed.unwritten_ids.pop()
            {
                ids.push(id);
                rows += 1;
            }
            projection::write_usage_ids(connection, ids)?;
            if sealed.accounts.is_empty() && sealed.unwritten_ids.is_empty() {
                projection::set_mark(connection, sealed.mark)?;
            }
        }
        connection.execute_batch("COMMIT")?;
        Ok(())
    }

    /// No more can be taken before some of it is written back.
    pub fn is_full(&self) -> bool {
        self.units > MOST_WAITING
    }
}

/// Returns how many rows it took.
fn write_account(connection: &Connection, shared: &Shared, account: AccountId) -> Result<usize> {
    let live = |live: &mut super::staging::LiveAccount| (live.holdings.unwritten().clone(), live.entries.clone());
    // Written already, and gone since, when there is none.
    let Some((unwritten, entries)) = shared.accounts.with(account, live) else { return Ok(0) };
    projection::write_back(connection, account, &unwritten, &entries)?;
    Ok(2 + unwritten.spent.len() + entries.len())
}
