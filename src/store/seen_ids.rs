//! Which usage events have certainly not been seen before, so that a new one is not looked for in the file.
//!
//! A Bloom filter over the hashes in `usage_id` and all that are on their way there: it may be wrong about an id that it
//! has, never about one that it lacks. A thread fills it from the file while the writer adds what is new; until it is
//! through, and for what the filter may have, the file is asked. One that is full is followed by one of twice its size,
//! up to a bound; beyond that it is wrong more often, and that much slower.

use super::file;
use crate::domain::error::{Error, Result};
use fastbloom::AtomicBloomFilter;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Wrong once in 40 when it is full.
const BITS_PER_ID: usize = 8;
const HASHES: u32 = 4;
const LEAST_ROOM: usize = 1 << 16;
/// 16 MiB.
const MOST_ROOM: usize = 1 << 24;

struct Filling {
    filter: Arc<AtomicBloomFilter>,
    room: usize,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

pub struct SeenIds {
    path: PathBuf,
    /// Has everything.
    ready: Option<Arc<AtomicBloomFilter>>,
    filling: Option<Filling>,
    ids: usize,
    room: usize,
}

impl SeenIds {
    /// For a process that adds no events: nothing is known, and the file is always asked.
    pub fn unknown(path: &Path) -> Self {
        Self { path: path.to_owned(), ready: None, filling: None, ids: 0, room: usize::MAX }
    }

    /// Begins to read the file's ids. Every id that is added to the file from here on has to be [`SeenIds::add`]ed.
    pub fn start(path: &Path) -> Result<Self> {
        Self::with_room(path, LEAST_ROOM)
    }

    fn with_room(path: &Path, least: usize) -> Result<Self> {
        let connection = file::open_for_reading(path)?;
        let sql = "SELECT coalesce((SELECT max(seq) FROM usage_event) - (SELECT min(seq) FROM usage_event) + 1, 0)";
        let ids: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        let mut seen = Self::unknown(path);
        seen.ids = usize::try_from(ids).unwrap_or(0);
        seen.fill(least.max(seen.ids.next_power_of_two()), std::iter::empty())?;
        Ok(seen)
    }

    /// `false`: no event of this hash was ever recorded.
    pub fn may_have(&self, hash: i64) -> bool {
        self.ready.as_ref().is_none_or(|filter| filter.contains_hash(hash.cast_unsigned()))
    }

    /// [`SeenIds::add`] for an id that is on its way to somewhere.
    pub fn noted(&mut self, hash: i64) -> i64 {
        self.add(hash);
        hash
    }

    pub fn add(&mut self, hash: i64) {
        self.ids += 1;
        let filters = self.ready.iter().chain(self.filling.as_ref().map(|filling| &filling.filter));
        for filter in filters {
            filter.insert_hash(hash.cast_unsigned());
        }
    }

    /// Takes over what has been filled, and begins a larger one when it is time; `pending` are the ids that the file
    /// does not have yet.
    pub fn settle(&mut self, pending: impl Iterator<Item = i64>) {
        if self.filling.as_ref().is_some_and(|filling| filling.thread.is_finished())
            && let Some(filling) = self.filling.take()
        {
            match filling.thread.join().unwrap_or_else(|_| Err(Error::internal("reading the ids panicked"))) {
                Ok(()) => self.ready = Some(filling.filter),
                Err(fault) => tracing::warn!(%fault, "the ids of usage events cannot be kept in memory"),
            }
            // Also after a fault: the next try comes with the next size.
            self.room = filling.room;
        }
        if self.filling.is_none() && self.ids > self.room && self.room < MOST_ROOM {
            let began = self.fill(self.ids.next_power_of_two(), pending);
            if let Err(fault) = began {
                tracing::warn!(%fault, "the ids of usage events cannot be kept in memory");
                self.room = self.room.saturating_mul(2);
            }
        }
    }

    fn fill(&mut self, room: usize, pending: impl Iterator<Item = i64>) -> Result<()> {
        let room = room.min(MOST_ROOM);
        let filter = Arc::new(AtomicBloomFilter::with_num_bits(room * BITS_PER_ID).hashes(HASHES));
        for hash in pending {
            filter.insert_hash(hash.cast_unsigned());
        }
        let connection = file::open_for_reading(&self.path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (to_fill, told_to_stop) = (Arc::clone(&filter), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("seen-ids".into())
            .spawn(move || add_all(&connection, &to_fill, &told_to_stop))
            .map_err(|fault| Error::internal(format!("cannot start to read the ids: {fault}")))?;
        self.filling = Some(Filling { filter, room, stop, thread });
        Ok(())
    }
}

fn add_all(connection: &Connection, filter: &AtomicBloomFilter, stop: &AtomicBool) -> Result<()> {
    let mut statement = connection.prepare("SELECT hash FROM usage_id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        filter.insert_hash(row.get::<_, i64>(0)?.cast_unsigned());
    }
    Ok(())
}

impl Drop for SeenIds {
    fn drop(&mut self) {
        if let Some(filling) = self.filling.take() {
            filling.stop.store(true, Ordering::Relaxed);
            let _ = filling.thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tx::Clock;

    fn file_with(ids: std::ops::Range<i64>) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refloop.db");
        let (connection, _) = file::open_for_writing(&path, &Clock::System, &crate::store::Schema::CURRENT).unwrap();
        for id in ids {
            connection.execute("INSERT INTO usage_id VALUES ($1, $2)", [hash(id), id]).unwrap();
        }
        (dir, path)
    }

    fn hash(id: i64) -> i64 {
        i64::from_le_bytes(blake3::hash(&id.to_le_bytes()).as_bytes()[..8].try_into().unwrap())
    }

    fn settle(seen: &mut SeenIds, pending: std::ops::Range<i64>) {
        seen.settle(pending.map(hash));
        while seen.filling.as_ref().is_some_and(|filling| !filling.thread.is_finished()) {
            std::thread::yield_now();
        }
        seen.settle(std::iter::empty());
    }

    #[test]
    fn what_the_file_has_or_was_added_is_never_denied() {
        let (_dir, path) = file_with(0..1_000);
        let mut seen = SeenIds::start(&path).unwrap();
        assert!((0..10_000).all(|id| seen.may_have(hash(id))), "nothing is known before the file was read");
        (2_000..2_500).for_each(|id| seen.add(hash(id)));
        settle(&mut seen, 0..0);
        (2_500..3_000).for_each(|id| seen.add(hash(id)));
        assert!((0..1_000).chain(2_000..3_000).all(|id| seen.may_have(hash(id))));
        let wrong = (10_000..20_000).filter(|id| seen.may_have(hash(*id))).count();
        assert!(wrong < 100, "{wrong} of 10,000");
    }

    #[test]
    fn a_larger_one_takes_over_with_what_is_not_in_the_file_yet() {
        let (_dir, path) = file_with(0..100);
        let mut seen = SeenIds::with_room(&path, 64).unwrap();
        settle(&mut seen, 0..0);
        for end in [500, 1_000, 10_000] {
            (100..end).for_each(|id| seen.add(hash(id)));
            settle(&mut seen, 100..end);
            assert!((0..end).all(|id| seen.may_have(hash(id))), "{end}");
            let wrong = (100_000..110_000).filter(|id| seen.may_have(hash(*id))).count();
            assert!(wrong < 1_000, "{wrong} of 10,000 with {end}");
        }
    }

    #[test]
    fn a_process_that_adds_nothing_always_asks_the_file() {
        let seen = SeenIds::unknown(Path::new("none"));
        assert!(seen.may_have(1));
    }
}
