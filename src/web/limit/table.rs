//! One limit: how much each caller may still do.
//!
//! governor decides, by the generic cell rate algorithm: all that is known of a caller is when they will have used
//! nothing. Where that is kept is our own, as its stores can be neither bounded nor looked into.
//!
//! What is remembered is never given up for a newcomer, or crowding would wipe out anybody's count. When there is no
//! room left, newcomers are counted by a coarser key instead: a network by the larger one around it, which then has
//! an allowance of several; so a flood narrows the allowance of newcomers who come from where it comes from, and of
//! nobody else as long as it does not come from everywhere. Who has had no calls for as long as the allowance takes to
//! fill up is forgotten, which changes nothing.

use super::places::{Place, Places, Who, hash_of, shown};
use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::{Quota as Rate, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

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

/// Someone who would be refused now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// By which it can be lifted.
    pub handle: String,
    pub who: String,
    /// By which it may be known whose password it is.
    pub hash: Option<u64>,
    pub wait_s: u64,
}

/// How many allowances several have that are counted together.
const SHARE: u32 = 16;

type Governor<C> = RateLimiter<Place, Places, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A limit in force.
struct Running<C: Clock> {
    each: Governor<C>,
    /// For those that are counted together.
    together: Governor<C>,
    places: Places,
    /// Between two calls of one caller, in the long run.
    interval_ns: u64,
    period_ns: u64,
    clock: C,
    began: C::Instant,
}

impl<C: Clock + Clone> Running<C> {
    /// `None` for no limit.
    fn new(quota: Quota, clock: &C) -> Option<Self> {
        let (count, share) = (NonZeroU32::new(quota.count)?, NonZeroU32::new(SHARE)?);
        let (interval, places) = (quota.period / quota.count, Places::default());
        let governor = |interval, burst| {
            let rate = Rate::with_period(interval)?.allow_burst(burst);
            Some(RateLimiter::new(rate, places.clone(), clock.clone()))
        };
        let interval_ns = nanos(interval);
        Some(Self {
            each: governor(interval, count)?,
            together: governor(interval / SHARE, count.saturating_mul(share))?,
            places,
            interval_ns,
            period_ns: interval_ns.saturating_mul(u64::from(quota.count)),
            clock: clock.clone(),
            began: clock.now(),
        })
    }

    fn now_ns(&self) -> u64 {
        self.clock.now().duration_since(self.began).as_u64()
    }

    fn check(&self, who: Who) -> Result<(), Duration> {
        let (place, is_shared) = self.places.of(who, self.now_ns());
        let governor = if is_shared && !who.shares_one() { &self.together } else { &self.each };
        governor.check_key(&place).map_err(|refusal| refusal.wait_time_from(self.clock.now()))
    }

    /// Who would be refused now, and for how many nanoseconds yet.
    fn limited(&self) -> Vec<(Place, u64)> {
        let now_ns = self.now_ns();
        let wait = |(place, is_shared, full_again): (Place, bool, u64)| {
            let interval_ns = if is_shared { self.interval_ns / u64::from(SHARE) } else { self.interval_ns };
            (place, (full_again + interval_ns).saturating_sub(now_ns + self.period_ns))
        };
        self.places.all().into_iter().map(wait).filter(|(_, wait_ns)| *wait_ns > 0).collect()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

pub struct Table<C: Clock = MonotonicClock> {
    running: RwLock<Option<Running<C>>>,
    clock: C,
    /// How many calls it has refused.
    refused: AtomicU64,
}

impl Table {
    pub fn new(quota: Quota) -> Self {
        Self::with_clock(quota, MonotonicClock)
    }
}

impl<C: Clock + Clone> Table<C> {
    fn with_clock(quota: Quota, clock: C) -> Self {
        Self { running: RwLock::new(Running::new(quota, &clock)), clock, refused: AtomicU64::new(0) }
    }

    /// Another limit from now on. Everyone begins anew.
    pub fn set(&self, quota: Quota) {
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Running::new(quota, &self.clock);
    }

    fn running(&self) -> RwLockReadGuard<'_, Option<Running<C>>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, or says how long to wait.
    pub fn check(&self, who: Who) -> Result<(), Duration> {
        let checked = self.running().as_ref().map_or(Ok(()), |running| running.check(who));
        if checked.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        checked
    }

    /// How many calls it has refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many callers it remembers.
    pub fn remembered(&self) -> usize {
        self.running().as_ref().map_or(0, |running| running.places.count())
    }

    /// How many would be refused now, and the `most` that have to wait the longest.
    pub fn limited(&self, most: usize) -> (usize, Vec<Limited>) {
        let running = self.running();
        let Some(running) = running.as_ref() else { return (0, Vec::new()) };
        let mut found = running.limited();
        let count = found.len();
        found.sort_unstable_by_key(|(place, wait_ns)| (std::cmp::Reverse(*wait_ns), *place));
        found.truncate(most);
        let limited = |(place, wait_ns): (Place, u64)| Limited {
            handle: running.places.handle(place),
            who: shown(place),
            hash: hash_of(place),
            wait_s: wait_ns.div_ceil(1_000_000_000),
        };
        (count, found.into_iter().map(limited).collect())
    }

    /// What is shown of the one with this handle, and what [`Limited`] has as its hash.
    pub fn find(&self, handle: &str) -> Option<(String, Option<u64>)> {
        self.running().as_ref()?.places.find(handle).map(|place| (shown(place), hash_of(place)))
    }

    /// Gives one its whole allowance back. Whether there was such a one.
    pub fn lift(&self, handle: &str) -> bool {
        let running = self.running();
        let Some(places) = running.as_ref().map(|running| &running.places) else { return false };
        places.find(handle).is_some_and(|place| {
            places.forget(place);
            true
        })
    }

    /// Whether it remembers the one with this hash.
    pub fn counts(&self, hash: u64) -> bool {
        self.running().as_ref().is_some_and(|running| running.places.has(Who::Hashed(hash)))
    }

    /// Drops the state of those who have not called for a while.
    pub fn forget_idle(&self) {
        if let Some(running) = self.running().as_ref() {
            running.places.forget_idle(running.now_ns());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        let clock = FakeRelativeClock::default();
        let table = Table::with_clock(Quota::new(10, HOUR), clock.clone());
        let minute = Duration::from_secs(60);
        for _ in 0..10 {
            table.check(v4(1)).unwrap();
        }
        assert_eq!(table.check(v4(1)), Err(Duration::from_secs(360)));
        table.check(v4(2)).unwrap();
        clock.advance(Duration::from_nanos(359_999_999_999));
        assert!(table.check(v4(1)).is_err());
        clock.advance(Duration::from_nanos(1));
        table.check(v4(1)).unwrap();
        assert!(table.check(v4(1)).is_err());
        clock.advance(194 * minute);
        for _ in 0..10 {
            table.check(v4(1)).unwrap();
        }
        assert!(table.check(v4(1)).is_err(), "nobody saves up more than the burst");
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
            let _ = table.check(who);
        }
        assert!(table.remembered() < 115_000, "{}", table.remembered());
        let bytes = TABLES * table.running().as_ref().unwrap().places.bytes();
        assert!(bytes < 64 << 20, "{bytes} bytes");
    }

    #[test]
    fn crowding_wipes_out_nobody_s_count() {
        let table = Table::new(Quota::new(2, HOUR));
        let guessed_at = Who::Hashed(u64::MAX);
        for who in [v4(7), guessed_at] {
            table.check(who).unwrap();
            table.check(who).unwrap();
        }
        for n in 0..300_000 {
            let _ = table.check(v4(0x0a00_0000 | spread_v4(n) >> 8));
            let _ = table.check(Who::Hashed(spread(n)));
        }
        assert!(table.check(v4(7)).is_err() && table.check(guessed_at).is_err());
    }

    #[test]
    fn a_crowd_narrows_its_own_neighbourhood_alone() {
        let table = Table::new(Quota::new(10, HOUR));
        // Everything that 10.0.0.0/8 has: more than there is room for.
        for n in 0..1 << 20 {
            let _ = table.check(v4(0x0a00_0000 | n << 4));
        }
        assert!((0..200).any(|n| table.check(v4(0x0a00_0001 | n << 8)).is_err()), "its newcomers share");
        for n in 0..100_u32 {
            table.check(v4(0xc000_0200 | n)).unwrap();
        }
    }

    #[test]
    fn who_is_idle_makes_room() {
        let clock = FakeRelativeClock::default();
        let table = Table::with_clock(Quota::new(2, HOUR), clock.clone());
        for n in 0..200_000 {
            let _ = table.check(Who::Hashed(spread(n)));
        }
        clock.advance(2 * HOUR);
        for n in 500_000..501_000 {
            table.check(Who::Hashed(spread(n))).unwrap();
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
            table.check(who).unwrap();
            assert!(table.check(who).is_err());
        }
        let (count, limited) = table.limited(10);
        let mut shown: Vec<_> = limited.iter().map(|one| one.who.as_str()).collect();
        shown.sort_unstable();
        assert_eq!((count, shown), (2, vec!["192.0.2.0/24", "2001:db8:1::/48"]));
        assert!(limited.iter().all(|one| (3_500..=3_600).contains(&one.wait_s)));
        assert_eq!(table.limited(1).1.len(), 1);
        let first = limited.iter().find(|one| one.who.starts_with("192")).unwrap();
        assert_eq!(table.find(&first.handle), Some(("192.0.2.0/24".into(), None)));
        assert!(table.lift(&first.handle));
        assert!(!table.lift(&first.handle) && table.find(&first.handle).is_none());
        table.check(Who::Network(client)).unwrap();
    }

    #[test]
    fn a_changed_limit_begins_anew() {
        let table = Table::new(Quota::new(1, HOUR));
        table.check(v4(1)).unwrap();
        assert!(table.check(v4(1)).is_err());
        table.set(Quota::new(3, HOUR));
        for passes in [true, true, true, false] {
            assert_eq!(table.check(v4(1)).is_ok(), passes);
        }
        table.set(Quota::new(0, HOUR));
        for _ in 0..1_000 {
            table.check(v4(1)).unwrap();
        }
        assert_eq!(table.limited(5), (0, vec![]));
    }
}
