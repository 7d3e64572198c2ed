//! What was read from the file, kept in memory: bounded, and never older than what was acknowledged.
//!
//! The writer changes or forgets what it commits before it answers. A reader that fills a gap takes a [`Ticket`] before
//! its snapshot, and what it offers is taken only if nothing in that shard has changed since: otherwise the writer
//! could have forgotten the very thing that the reader is about to add.

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt};
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;

/// A shard's state before a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Two generations: when the young one is full the old one goes, except for what is pinned. What is used moves up, so
/// that what stays is what was used of late, at no cost but a second look-up.
struct Shard<K, V> {
    changes: u64,
    // Boxed: a table that has just grown is half empty.
    young: HashMap<K, Box<V>>,
    old: HashMap<K, Box<V>>,
}

pub struct Cache<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: RandomState,
    most_young: usize,
    is_pinned: fn(&V) -> bool,
    stamp: fn(&V) -> u64,
    newest_departed: AtomicU64,
}

impl<K: Hash + Eq + Copy, V> Cache<K, V> {
    /// Holds about `most` values.
    pub fn new(most: usize) -> Self {
        Self::pinning(most, |_| false, |_| 0)
    }

    /// Holds about `most` values, and more only while more are pinned. Stamps grow with time.
    pub fn pinning(most: usize, is_pinned: fn(&V) -> bool, stamp: fn(&V) -> u64) -> Self {
        let shard = || Mutex::new(Shard { changes: 0, young: HashMap::new(), old: HashMap::new() });
        let shards = (0..SHARDS).map(|_| shard()).collect();
        let most_young = (most / SHARDS / 2).max(1);
        let newest_departed = AtomicU64::new(0);
        Self { shards, hasher: RandomState::default(), most_young, is_pinned, stamp, newest_departed }
    }

    fn shard(&self, key: K) -> MutexGuard<'_, Shard<K, V>> {
        let place = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default() % SHARDS;
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<K, V>>> {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest stamp of all values that are gone.
    pub fn newest_departed(&self) -> u64 {
        self.newest_departed.load(Ordering::SeqCst)
    }

    /// Of a generation that goes, what is pinned stays.
    fn keep_pinned(&self, values: &mut HashMap<K, Box<V>>) {
        values.retain(|_, value| {
            let stays = (self.is_pinned)(value);
            if !stays {
                self.newest_departed.fetch_max((self.stamp)(value), Ordering::SeqCst);
            }
            stays
        });
    }

    /// Uses the value in its place, if there is one.
    pub fn with<T>(&self, key: K, work: impl FnOnce(&mut V) -> T) -> Option<T> {
        let mut shard = self.shard(key);
        if let Some(value) = shard.young.get_mut(&key) {
            return Some(work(value));
        }
        let mut value = shard.old.remove(&key)?;
        let answer = work(&mut value);
        self.insert(&mut shard, key, value);
        Some(answer)
    }

    /// To be taken before the snapshot from which a value is read.
    pub fn ticket(&self, key: K) -> Ticket {
        Ticket(self.shard(key).changes)
    }

    /// A reader's value, kept if the writer has changed nothing near it since the ticket.
    pub fn offer(&self, key: K, value: V, ticket: Ticket) {
        let mut shard = self.shard(key);
        if ticket == Ticket(shard.changes) && !shard.old.contains_key(&key) && !shard.young.contains_key(&key) {
            self.insert(&mut shard, key, Box::new(value));
        }
    }

    /// The writer's change: `change` makes the new value from what is there.
    pub fn change(&self, key: K, change: impl FnOnce(Option<V>) -> Option<V>) {
        let mut shard = self.shard(key);
        shard.changes += 1;
        let (young, old) = (shard.young.remove(&key), shard.old.remove(&key));
        if let Some(value) = change(young.or(old).map(|value| *value)) {
            self.insert(&mut shard, key, Box::new(value));
        }
    }

    pub fn forget(&self, key: K) {
        self.change(key, |_| None);
    }

    /// Forgets everything that is not pinned.
    pub fn clear(&self) {
        for mut shard in self.all_shards() {
            shard.changes += 1;
            let Shard { young, old, .. } = &mut *shard;
            self.keep_pinned(young);
            self.keep_pinned(old);
        }
    }

    fn insert(&self, shard: &mut Shard<K, V>, key: K, value: Box<V>) {
        if shard.young.len() >= self.most_young {
            self.keep_pinned(&mut shard.old);
            let young = std::mem::take(&mut shard.young);
            shard.old.extend(young);
        }
        shard.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_offers_too_late_is_not_kept() {
        let cache: Cache<i64, i64> = Cache::new(1_000);
        let ticket = cache.ticket(1);
        cache.offer(1, 10, ticket);
        assert_eq!(cache.with(1, |value| *value), Some(10));
        let late = cache.ticket(1);
        cache.forget(1);
        cache.offer(1, 10, late);
        assert_eq!(cache.with(1, |value| *value), None);
        let ticket = cache.ticket(1);
        cache.change(1, |_| Some(11));
        cache.offer(1, 10, ticket);
        assert_eq!(cache.with(1, |value| *value), Some(11), "the writer's value stands");
        let ticket = cache.ticket(1);
        cache.offer(1, 10, ticket);
        assert_eq!(cache.with(1, |value| *value), Some(11), "also when nothing has changed");
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used_or_pinned() {
        let cache: Cache<i64, i64> =
            Cache::pinning(6_400, |value| *value < 0, |value| u64::try_from(*value).unwrap_or(0));
        cache.change(-1, |_| Some(-1));
        for key in 0..100_000 {
            cache.change(key, |_| Some(key));
            assert_eq!(cache.with(0, |value| *value), Some(0), "in use all the time");
        }
        let kept = (0..100_000).filter(|key| cache.with(*key, |_| ()).is_some()).count();
        assert!((1_000..=7_000).contains(&kept), "{kept}");
        assert_eq!(cache.with(-1, |value| *value), Some(-1));
        assert!(cache.newest_departed() > 90_000);
        cache.clear();
        assert_eq!((cache.with(0, |value| *value), cache.with(-1, |value| *value)), (None, Some(-1)));
    }
}
