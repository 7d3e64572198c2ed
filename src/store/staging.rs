//! What the writer knows ahead of the file: the accounts, the ledger's head and the newest event as the batch under way
//! leaves them. It becomes everyone's after the commit, and is dropped when there is none.

use super::holdings::Holdings;
use super::ledger::append_spends;
use super::programs::VersionedProgram;
use super::projection::{self, Mark};
use super::tx::Shared;
use super::usage::{NewUsageEvent, append_events};
use super::write_back::WriteBack;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{self, Head};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use rusqlite::Connection;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

/// An account in memory, for everyone.
pub struct LiveAccount {
    pub holdings: Holdings,
    /// Its spends that `account_entry` does not have yet.
    pub entries: Vec<i64>,
    /// When its rows were last made complete, counted in `Shared::completions`.
    pub completed: u64,
}

impl LiveAccount {
    /// As the file has it.
    pub fn written(holdings: Holdings) -> Self {
        Self { holdings, entries: Vec::new(), completed: 0 }
    }

    pub fn is_written(&self) -> bool {
        self.holdings.is_written()
    }

    /// So much is to be written back that it should not wait.
    fn is_laden(&self) -> bool {
        const MOST_LOTS: usize = 64;
        const MOST_ENTRIES: usize = 4_096;
        self.holdings.unwritten().spent.len() > MOST_LOTS || self.entries.len() > MOST_ENTRIES
    }
}

/// An account as the batch leaves it.
#[derive(Clone)]
enum Staged {
    /// Its rows are complete and were changed: to be read again.
    Changed,
    Known(StagedAccount),
}

#[derive(Clone)]
struct StagedAccount {
    since: Since,
    holdings: Holdings,
    /// Spends since then that `account_entry` does not have.
    entries: Vec<i64>,
}

/// What a staged account goes on from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    /// The account in everyone's memory, which may have entries of its own to be written.
    Memory,
    /// Its rows, which are complete.
    Rows,
}

impl StagedAccount {
    fn new(since: Since, holdings: Holdings) -> Self {
        Self { since, holdings, entries: Vec::new() }
    }

    /// `None` for an account that never was.
    fn load(db: &Connection, account: AccountId) -> Result<Option<Self>> {
        Ok(projection::load(db, account)?.map(|written| Self::new(Since::Rows, Holdings::new(written))))
    }
}

#[derive(Clone, Copy)]
struct Place {
    head: Head,
    event: i64,
}

pub struct Staging {
    committed: Place,
    before_job: Place,
    now: Place,
    /// Spends and events of the jobs under way that are not rows yet.
    spends: Vec<ledger::Entry>,
    events: Vec<NewUsageEvent>,
    accounts: HashMap<AccountId, Staged>,
    /// Accounts as they were before the job under way.
    undo: HashMap<AccountId, Option<Staged>>,
    /// Ids of the batch's events, and how many there were before the job.
    ids: Vec<(i64, i64)>,
    ids_before_job: usize,
    /// Accounts whose figures change with this batch.
    figures: HashSet<AccountId>,
    keys_changed: bool,
    board_changed: bool,
    /// Test projects' clocks that were moved.
    clocks: Vec<(ProjectId, i64)>,
    clocks_before_job: usize,
    programs: HashMap<ProjectId, VersionedProgram>,
    pub write_back: WriteBack,
}

impl Staging {
    pub fn new(head: Head, event: i64, write_back: WriteBack) -> Self {
        let now = Place { head, event };
        Self {
            committed: now,
            before_job: now,
            now,
            spends: Vec::new(),
            events: Vec::new(),
            accounts: HashMap::new(),
            undo: HashMap::new(),
            ids: Vec::new(),
            ids_before_job: 0,
            figures: HashSet::new(),
            keys_changed: false,
            board_changed: false,
            clocks: Vec::new(),
            clocks_before_job: 0,
            programs: HashMap::new(),
            write_back,
        }
    }

    pub fn head(&self) -> Head {
        self.now.head
    }

    pub fn note_head(&mut self, head: Head) {
        self.now.head = head;
    }

    pub fn committed(&self) -> Mark {
        Mark { entry: self.committed.head.seq, event: self.committed.event }
    }

    /// Forgets what another program may have changed. Only when everything is written back.
    pub fn start_again(&mut self, head: Head, event: i64) {
        self.committed = Place { head, event };
        self.now = self.committed;
        self.programs.clear();
    }

    pub fn program(&self, project: ProjectId) -> Option<VersionedProgram> {
        self.programs.get(&project).cloned()
    }

    pub fn keep_program(&mut self, project: ProjectId, program: VersionedProgram) {
        self.programs.insert(project, program);
    }

    pub fn forget_program(&mut self, project: ProjectId) {
        self.programs.remove(&project);
    }

    pub fn note_figures(&mut self, account: AccountId) {
        self.figures.insert(account);
    }

    pub fn note_clock(&mut self, project: ProjectId, ahead_ms: i64) {
        self.clocks.push((project, ahead_ms));
    }

    pub fn note_keys(&mut self) {
        self.keys_changed = true;
    }

    /// Who is on a leaderboard, or with how many referrals.
    pub fn note_board(&mut self) {
        self.board_changed = true;
    }

    /// The number of an event that is recorded now, under this hash of its id.
    pub fn add_event(&mut self, hash: i64) -> i64 {
        self.now.event += 1;
        self.ids.push((hash, self.now.event));
        self.write_back.add_id(hash, self.now.event);
        self.now.event
    }

    /// The ledger goes on behind these spends, which become rows a little later. Returns their `group_seq`.
    pub fn append_later(&mut self, entries: Vec<ledger::Entry>) -> Option<i64> {
        let group_seq = entries.first().map(|entry| entry.group_seq);
        if let Some(last) = entries.last() {
            self.now.head = Head { seq: last.seq, hash: last.hash };
        }
        self.spends.extend(entries);
        group_seq
    }

    pub fn record_later(&mut self, event: NewUsageEvent) {
        self.events.push(event);
    }

    pub fn append_now(&mut self, db: &Connection) -> Result<()> {
        let (spends, events) = (std::mem::take(&mut self.spends), std::mem::take(&mut self.events));
        append_spends(db, &spends)?;
        append_events(db, &events)
    }

    // --- accounts ---

    /// The account as it is now; `None` for one that never was.
    pub fn holdings(&mut self, db: &Connection, shared: &Shared, account: AccountId) -> Result<Option<&mut Holdings>> {
        Ok(self.staged(db, shared, account)?.map(|staged| &mut staged.holdings))
    }

    /// From here on it is the batch's own: what is only in everyone's memory can leave it at any time.
    fn staged(&mut self, db: &Connection, shared: &Shared, account: AccountId) -> Result<Option<&mut StagedAccount>> {
        if !matches!(self.accounts.get(&account), Some(Staged::Known(_))) {
            let live = match self.accounts.get(&account) {
                Some(_) => None,
                None => shared.accounts.with(account, |live| live.holdings.clone()),
            };
            let known = match live {
                Some(holdings) => Some(StagedAccount::new(Since::Memory, holdings)),
                None => StagedAccount::load(db, account)?,
            };
            let Some(known) = known else { return Ok(None) };
            self.remember(account);
            self.accounts.insert(account, Staged::Known(known));
        }
        Ok(match self.accounts.get_mut(&account) {
            Some(Staged::Known(known)) => Some(known),
            _ => None,
        })
    }

    fn changing(&mut self, db: &Connection, shared: &Shared, account: AccountId) -> Result<&mut StagedAccount> {
        self.remember(account);
        self.staged(db, shared, account)?.ok_or_else(|| Error::internal(format!("{account} is not there")))
    }

    /// Changes what is known of an account that is there.
    pub fn change(
        &mut self,
        db: &Connection,
        shared: &Shared,
        account: AccountId,
        change: impl FnOnce(&mut Holdings),
    ) -> Result<()> {
        change(&mut self.changing(db, shared, account)?.holdings);
        Ok(())
    }

    /// Notes spends that are in the ledger now.
    pub fn spend(
        &mut self,
        db: &Connection,
        shared: &Shared,
        account: AccountId,
        entries: &[ledger::Entry],
    ) -> Result<()> {
        let staged = self.changing(db, shared, account)?;
        staged.entries.extend(entries.iter().map(|entry| entry.seq));
        staged.holdings.spend(entries);
        Ok(())
    }

    /// Makes an account's rows complete, for a change that is made to the rows themselves.
    pub fn complete_rows(&mut self, db: &Connection, shared: &Shared, account: AccountId) -> Result<()> {
        // First: a spend fits its lot as it was before.
        self.append_now(db)?;
        self.remember(account);
        let live = |shared: &Shared| {
            shared.accounts.with(account, |live| (live.holdings.unwritten().clone(), live.entries.clone()))
        };
        let (unwritten, entries) = match self.accounts.get(&account) {
            Some(Staged::Changed) => return Ok(()),
            Some(Staged::Known(StagedAccount { since, holdings, entries })) => {
                let mut all = match since {
                    Since::Memory => live(shared).unwrap_or_default().1,
                    Since::Rows => Vec::new(),
                };
                all.extend(entries);
                (holdings.unwritten().clone(), all)
            }
            None => live(shared).unwrap_or_default(),
        };
        projection::write_back(db, account, &unwritten, &entries)?;
        self.accounts.insert(account, Staged::Changed);
        Ok(())
    }

    fn remember(&mut self, account: AccountId) {
        if let Entry::Vacant(place) = self.undo.entry(account) {
            place.insert(self.accounts.get(&account).cloned());
        }
    }

    // --- jobs and batches ---

    pub fn begin_job(&mut self) {
        self.before_job = self.now;
        self.ids_before_job = self.ids.len();
        self.clocks_before_job = self.clocks.len();
        self.undo.clear();
    }

    pub fn undo_job(&mut self) {
        self.now = self.before_job;
        self.spends.clear();
        self.events.clear();
        for (account, before) in self.undo.drain() {
            match before {
                Some(before) => self.accounts.insert(account, before),
                None => self.accounts.remove(&account),
            };
        }
        for (hash, event) in self.ids.drain(self.ids_before_job..) {
            self.write_back.remove_id(hash, event);
        }
        self.clocks.truncate(self.clocks_before_job);
        self.programs.clear();
    }

    /// Reads again what was changed in its rows, within the transaction that is about to be committed.
    pub fn read_changed(&mut self, db: &Connection) -> Result<()> {
        for (account, staged) in &mut self.accounts {
            if matches!(staged, Staged::Changed)
                && let Some(known) = StagedAccount::load(db, *account)?
            {
                *staged = Staged::Known(known);
            }
        }
        Ok(())
    }

    /// Nothing of the batch was kept.
    pub fn drop_batch(&mut self) {
        self.now = self.committed;
        self.spends.clear();
        self.events.clear();
        self.accounts.clear();
        for (hash, event) in self.ids.drain(..) {
            self.write_back.remove_id(hash, event);
        }
        self.figures.clear();
        self.clocks.clear();
        self.keys_changed = false;
        self.board_changed = false;
        self.programs.clear();
    }

    /// The batch is committed: readers see it from now on.
    pub fn publish(&mut self, shared: &Shared) {
        if (self.now.head.seq, self.now.event) != (self.committed.head.seq, self.committed.event) {
            self.write_back.note_commit(self.ids.len());
        }
        self.committed = self.now;
        let completion = shared.completions.fetch_add(1, Ordering::SeqCst) + 1;
        for (account, staged) in self.accounts.drain() {
            let Staged::Known(StagedAccount { since, holdings, entries: added }) = staged else {
                shared.accounts.forget(account);
                continue;
            };
            let so_many = added.len();
            shared.accounts.change(account, |live| {
                let (mut entries, completed) = match live {
                    Some(live) if since == Since::Memory => (live.entries, live.completed),
                    _ => (Vec::new(), completion),
                };
                entries.extend(added);
                let live = LiveAccount { holdings, entries, completed };
                if !live.is_written() {
                    self.write_back.note_dirty(account, live.is_laden(), so_many);
                }
                Some(live)
            });
        }
        self.ids.clear();
        for (project, ahead_ms) in self.clocks.drain(..) {
            shared.test_clocks.set(project, ahead_ms);
        }
        for account in self.figures.drain() {
            shared.figures.forget(account);
        }
        if std::mem::take(&mut self.keys_changed) {
            shared.callers.clear();
        }
        if std::mem::take(&mut self.board_changed) {
            shared.boards.note_change();
        }
    }
}
