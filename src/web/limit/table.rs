//! One limit: how much each key may still do, in memory that is bounded whoever calls.
//!
//! It is the generic cell rate algorithm: all that is known of a key is when it will have used nothing. The tables of the
//! well-kept libraries for it can be neither bounded nor looked into, hence this one.
//!
//! What is remembered is never given up for a newcomer, or crowding would wipe out anybody's count. When there is no
//! room left, newcomers are counted by a coarser key instead: a network by the larger one around it, which then has
//! an allowance of several; so a flood narrows the allowance of newcomers who come from where it comes from, and of
//! nobody else as long as it does not come from everywhere. Who has had no calls for as long as the allowance takes to
//! fill up is forgotten, which changes nothing.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many a period: a burst of all of them, then one each period / count. 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub count: u32,
    pub period: Duration,
}

impl Quota {
    pub const fn new(count: u32, period: Duration) -> Self {
        Self { count, period }
    }
}

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A client address, by [`super::network`].
    Network(IpAddr),
    /// A row of the file: a key, an operator.
    Row(i64),
    /// Something that is not remembered itself.
    Hashed(u64),
}

/// A key as the table holds it: what it is, and of which kind and coarseness.
type Place = [u64; 2];

const V4: u64 = 0;
const V6: u64 = 1;
const ROW: u64 = 2;
const HASHED: u64 = 3;
/// Of rows and hashes, when there is no room for each.
const GROUPS: u64 = 1 << 14;

fn place(kind: u64, level: u64, value: u64) -> Place {
    [value, kind << 8 | level]
}

impl Who {
    /// From the finest to the coarsest, of which there are few enough.
    fn places(self) -> [Place; 3] {
        match self {
            Self::Network(IpAddr::V4(address)) => {
                let bits = u64::from(address.to_bits());
                [place(V4, 0, bits), place(V4, 1, bits >> 16), place(V4, 2, bits >> 24)]
            }
            Self::Network(IpAddr::V6(address)) => {
                // What a subscriber has, what a provider has, and what a registry has.
                let bits = (address.to_bits() >> 64) as u64;
                [place(V6, 0, bits), place(V6, 1, bits >> 32), place(V6, 2, bits >> 52)]
            }
            Self::Row(id) => Self::grouped(ROW, id.cast_unsigned()),
            Self::Hashed(hash) => Self::grouped(HASHED, hash),
        }
    }

    fn grouped(kind: u64, value: u64) -> [Place; 3] {
        let group = place(kind, 2, value % GROUPS);
        [place(kind, 0, value), group, group]
    }

    /// How many allowances a coarser key has together. Guesses at one secret get no more by being crowded.
    fn share(self) -> u64 {
        if matches!(self, Self::Hashed(_)) { 1 } else { 16 }
    }
}

/// A network or key as an operator sees it, without saying exactly who it is.
fn shown([value, kind_and_level]: Place) -> String {
    let v4 = |bits: u64| Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX));
    let v6 = |bits: u64| Ipv6Addr::from_bits(u128::from(bits) << 64);
    match (kind_and_level >> 8, kind_and_level & 0xff) {
        (V4, 0) => format!("{}/24", v4(value & !0xff)),
        (V4, 1) => format!("{}/16", v4(value << 16)),
        (V4, _) => format!("{}/8", v4(value << 24)),
        (V6, 0) => format!("{}/48", v6(value & !0xffff)),
        (V6, 1) => format!("{}/32", v6(value << 32)),
        (V6, _) => format!("{}/12", v6(value << 52)),
        (ROW, 0) => "one key or user".into(),
        (HASHED, 0) => "one address or browser".into(),
        _ => "several together".into(),
    }
}

/// Someone who would be refused now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// By which it can be lifted.
    pub handle: String,
    pub who: String,
    pub wait_s: u64,
}

const SHARDS: usize = 16;
/// Of each coarseness, in a shard. The last has always room: there are at most 21,000 of them in all.
const ROOM: [usize; 3] = [5_000, 6_000, usize::MAX];

#[derive(Default)]
struct Shard {
    /// When, in nanoseconds since the table began, each will have used nothing.
    full_again: HashMap<Place, u64>,
    tidied_ns: u64,
}

impl Shard {
    fn forget_idle(&mut self, now_ns: u64) {
        self.full_again.retain(|_, full_again| *full_again > now_ns);
        self.tidied_ns = now_ns;
    }

    /// At most once a second: it looks at all.
    fn has_room(&mut self, level: usize, now_ns: u64) -> bool {
        const A_SECOND: u64 = 1_000_000_000;
        let room = ROOM.get(level).copied().unwrap_or(usize::MAX);
        if self.full_again.len() >= room && now_ns >= self.tidied_ns + A_SECOND {
            self.forget_idle(now_ns);
        }
        self.full_again.len() < room
    }
}

pub struct Table {
    /// Between two calls of one key, in the long run. 0: no limit.
    interval_ns: AtomicU64,
    period_ns: AtomicU64,
    shards: [Mutex<Shard>; SHARDS],
    started: Instant,
    hasher: RandomState,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

impl Table {
    pub fn new(quota: Quota) -> Self {
        let table = Self {
            interval_ns: AtomicU64::new(0),
            period_ns: AtomicU64::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            started: Instant::now(),
            hasher: RandomState::new(),
        };
        table.set(quota);
        table
    }

    /// Another limit from now on. Everyone begins anew.
    pub fn set(&self, quota: Quota) {
        let interval = nanos(quota.period).checked_div(u64::from(quota.count)).unwrap_or(0);
        self.interval_ns.store(interval, Ordering::SeqCst);
        self.period_ns.store(interval.saturating_mul(u64::from(quota.count)), Ordering::SeqCst);
        for shard in &self.shards {
            *lock(shard) = Shard::default();
        }
    }

    pub fn now_ns(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    fn shard_of(&self, place: Place) -> &Mutex<Shard> {
        let shard = usize::try_from(self.hasher.hash_one(place) >> 32).unwrap_or(0) % SHARDS;
        &self.shards[shard]
    }

    /// Counts a call at a time, or says how long to wait.
    pub fn check(&self, who: Who, now_ns: u64) -> Result<(), Duration> {
        let (interval, period) = (self.interval_ns.load(Ordering::Relaxed), self.period_ns.load(Ordering::Relaxed));
        if interval == 0 {
            return Ok(());
        }
        for (level, place) in who.places().into_iter().enumerate() {
            let mut shard = lock(self.shard_of(place));
            if !shard.full_again.contains_key(&place) && !shard.has_room(level, now_ns) {
                continue;
            }
            let interval = if level == 0 { interval } else { interval.div_ceil(who.share()) };
            let full_again = shard.full_again.entry(place).or_insert(now_ns);
            let next = (*full_again).max(now_ns) + interval;
            if next > now_ns + period {
                return Err(Duration::from_nanos(next - now_ns - period));
            }
            *full_again = next;
            break;
        }
        Ok(())
    }

    /// How many keys it remembers.
    pub fn remembered(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).full_again.len()).sum()
    }

    /// How many would be refused now, and the `most` that have to wait the longest.
    pub fn limited(&self, most: usize) -> (usize, Vec<Limited>) {
        let (now_ns, period) = (self.now_ns(), self.period_ns.load(Ordering::Relaxed));
        let interval = self.interval_ns.load(Ordering::Relaxed);
        let mut found = Vec::new();
        for shard in &self.shards {
            let waits = |full_again: u64| (full_again + interval).saturating_sub(now_ns + period);
            let shard = lock(shard);
            let limited = shard.full_again.iter().map(|(place, full_again)| (*place, waits(*full_again)));
            found.extend(limited.filter(|(_, wait)| *wait > 0 && interval > 0));
        }
        let count = found.len();
        found.sort_unstable_by_key(|(place, wait)| (std::cmp::Reverse(*wait), *place));
        found.truncate(most);
        let limited = |(place, wait): (Place, u64)| Limited {
            handle: self.handle(place),
            who: shown(place),
            wait_s: wait.div_ceil(1_000_000_000),
        };
        (count, found.into_iter().map(limited).collect())
    }

    /// Names a key to who may lift it, and says nothing else about it.
    fn handle(&self, place: Place) -> String {
        format!("{:016x}", self.hasher.hash_one((place, "handle")))
    }

    /// Gives one its whole allowance back. What is shown of whom, if there is such a one.
    pub fn lift(&self, handle: &str) -> Option<String> {
        self.shards.iter().find_map(|shard| {
            let mut shard = lock(shard);
            let place = shard.full_again.keys().find(|place| self.handle(**place) == handle).copied()?;
            shard.full_again.remove(&place);
            Some(shown(place))
        })
    }

    /// Drops the state of those who have not called for a while.
    pub fn forget_idle(&self) {
        let now_ns = self.now_ns();
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.forget_idle(now_ns);
            shard.full_again.shrink_to_fit();
        }
    }

    /// What its memory comes to, in bytes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        // A slot of the standard map is the pair and one byte; seven of eight can be filled.
        let slots = |capacity: usize| (capacity * 8 / 7).next_power_of_two();
        self.shards.iter().map(|shard| slots(lock(shard).full_again.capacity()) * 25).sum()
    }
}

fn lock(shard: &Mutex<Shard>) -> std::sync::MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn v4(bits: u32) -> Who {
        Who::Network(IpAddr::V4(Ipv4Addr::from_bits(bits)))
    }

    fn v6(bits: u64) -> Who {
        Who::Network(IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 64)))
    }

    /// 32 bits that look like any others.
    fn spread_v4(n: u64) -> u32 {
        u32::try_from(spread(n) >> 32).unwrap()
    }

    /// A number that looks like any other.
    fn spread(n: u64) -> u64 {
        n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let table = Table::new(Quota::new(10, HOUR));
        let minute = 60_000_000_000;
        for _ in 0..10 {
            table.check(v4(1), 0).unwrap();
        }
        assert_eq!(table.check(v4(1), 0), Err(Duration::from_secs(360)));
        table.check(v4(2), 0).unwrap();
        assert!(table.check(v4(1), 6 * minute - 1).is_err());
        table.check(v4(1), 6 * minute).unwrap();
        assert!(table.check(v4(1), 6 * minute).is_err());
        for _ in 0..10 {
            table.check(v4(1), 200 * minute).unwrap();
        }
        assert!(table.check(v4(1), 200 * minute).is_err(), "nobody saves up more than the burst");
    }

    #[test]
    fn a_flood_from_a_million_addresses_stays_in_bounds() {
        /// As many as the limiter has, all of which such a flood may fill.
        const TABLES: usize = 14;
        let table = Table::new(Quota::new(10, HOUR));
        for n in 0..1_000_000 {
            let who = match n % 3 {
                0 => v4(spread_v4(n)),
                1 => v6(0x2000_0000_0000_0000 | spread(n) >> 3),
                _ => Who::Hashed(spread(n)),
            };
            let _ = table.check(who, n);
        }
        assert!(table.remembered() < 115_000, "{}", table.remembered());
        let bytes = TABLES * table.bytes();
        assert!(bytes < 64 << 20, "{bytes} bytes");
    }

    #[test]
    fn crowding_wipes_out_nobody_s_count() {
        let table = Table::new(Quota::new(2, HOUR));
        let guessed_at = Who::Hashed(u64::MAX);
        for who in [v4(7), guessed_at] {
            table.check(who, 0).unwrap();
            table.check(who, 0).unwrap();
        }
        for n in 0..300_000 {
            let _ = table.check(v4(0x0a00_0000 | spread_v4(n) >> 8), 0);
            let _ = table.check(Who::Hashed(spread(n)), 0);
        }
        assert!(table.check(v4(7), 0).is_err() && table.check(guessed_at, 0).is_err());
    }

    #[test]
    fn a_crowd_narrows_its_own_neighbourhood_alone() {
        let table = Table::new(Quota::new(10, HOUR));
        // Everything that 10.0.0.0/8 has: more than there is room for.
        for n in 0..1 << 20 {
            let _ = table.check(v4(0x0a00_0000 | n << 4), 0);
        }
        assert!((0..200).any(|n| table.check(v4(0x0a00_0001 | n << 8), 0).is_err()), "its newcomers share");
        for n in 0..100_u32 {
            table.check(v4(0xc000_0200 | n), 0).unwrap();
        }
    }

    #[test]
    fn who_is_idle_makes_room() {
        let table = Table::new(Quota::new(2, HOUR));
        for n in 0..200_000 {
            let _ = table.check(Who::Hashed(spread(n)), 0);
        }
        let later = 2 * nanos(HOUR);
        for n in 500_000..501_000 {
            table.check(Who::Hashed(spread(n)), later).unwrap();
        }
        assert!(table.remembered() <= 1_000 + 16 * 6_000, "{}", table.remembered());
        assert!(!table.limited(1).1.is_empty() || table.limited(1).0 == 0);
    }

    #[test]
    fn who_is_limited_is_seen_truncated_and_can_be_lifted() {
        let table = Table::new(Quota::new(1, HOUR));
        let client: IpAddr = "192.0.2.77".parse().unwrap();
        let subscriber: IpAddr = "2001:db8:1:2::".parse().unwrap();
        for who in [Who::Network(client), Who::Network(subscriber)] {
            table.check(who, table.now_ns()).unwrap();
            assert!(table.check(who, table.now_ns()).is_err());
        }
        let (count, limited) = table.limited(10);
        let mut shown: Vec<_> = limited.iter().map(|one| one.who.as_str()).collect();
        shown.sort_unstable();
        assert_eq!((count, shown), (2, vec!["192.0.2.0/24", "2001:db8:1::/48"]));
        assert!(limited.iter().all(|one| (3_500..=3_600).contains(&one.wait_s)));
        assert_eq!(table.limited(1).1.len(), 1);
        let first = limited.iter().find(|one| one.who.starts_with("192")).unwrap();
        assert_eq!(table.lift(&first.handle).as_deref(), Some("192.0.2.0/24"));
        assert_eq!(table.lift(&first.handle), None);
        table.check(Who::Network(client), table.now_ns()).unwrap();
    }

    #[test]
    fn a_changed_limit_begins_anew() {
        let table = Table::new(Quota::new(1, HOUR));
        table.check(v4(1), 0).unwrap();
        assert!(table.check(v4(1), 0).is_err());
        table.set(Quota::new(3, HOUR));
        for passes in [true, true, true, false] {
            assert_eq!(table.check(v4(1), 0).is_ok(), passes);
        }
        table.set(Quota::new(0, HOUR));
        for _ in 0..1_000 {
            table.check(v4(1), 0).unwrap();
        }
        assert_eq!(table.limited(5), (0, vec![]));
    }
}
