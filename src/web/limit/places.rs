//! Whose calls are counted, and where that is kept: memory that is bounded whoever calls.

use governor::nanos::Nanos;
use governor::state::StateStore;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
pub type Place = [u64; 2];

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
    pub fn places(self) -> [Place; 3] {
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

    /// Whether several that are counted together have one allowance only. Guesses at one secret get no more by being
    /// crowded.
    pub fn shares_one(self) -> bool {
        matches!(self, Self::Hashed(_))
    }
}

/// What [`Who::Hashed`] was made with, where it stands for nothing else.
pub fn hash_of([value, kind_and_level]: Place) -> Option<u64> {
    (kind_and_level == HASHED << 8).then_some(value)
}

/// A network or key as an operator sees it, without saying exactly who it is.
pub fn shown([value, kind_and_level]: Place) -> String {
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

const SHARDS: usize = 16;
/// Of each coarseness, in a shard. The last has always room: there are at most 21,000 of them in all.
const ROOM: [usize; 3] = [5_000, 6_000, usize::MAX];

#[derive(Default)]
struct Shard {
    /// When, in nanoseconds since the limit began, each will have used nothing.
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

/// What is remembered for one limit.
#[derive(Clone, Default)]
pub struct Places(Arc<Shards>);

#[derive(Default)]
struct Shards {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl Places {
    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.0.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shard_of(&self, place: Place) -> MutexGuard<'_, Shard> {
        let shard = usize::try_from(self.0.hasher.hash_one(place) >> 32).unwrap_or(0) % SHARDS;
        self.0.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The finest of a caller's places that there is room for, and whether it is not theirs alone.
    pub fn of(&self, who: Who, now_ns: u64) -> (Place, bool) {
        let [own, wider, widest] = who.places();
        let takes = |place: Place, level| {
            let mut shard = self.shard_of(place);
            shard.full_again.contains_key(&place) || shard.has_room(level, now_ns)
        };
        match (takes(own, 0), || takes(wider, 1)) {
            (true, _) => (own, false),
            (false, takes_wider) if takes_wider() => (wider, true),
            _ => (widest, true),
        }
    }

    pub fn has(&self, who: Who) -> bool {
        let [own, ..] = who.places();
        self.shard_of(own).full_again.contains_key(&own)
    }

    pub fn count(&self) -> usize {
        self.shards().map(|shard| shard.full_again.len()).sum()
    }

    /// Every one, whether it stands for several, and when it will have used nothing.
    pub fn all(&self) -> Vec<(Place, bool, u64)> {
        let mut all = Vec::new();
        for shard in self.shards() {
            all.extend(shard.full_again.iter().map(|(place, at)| (*place, place[1] & 0xff > 0, *at)));
        }
        all
    }

    /// Names one to who may lift it, and says nothing else about it.
    pub fn handle(&self, place: Place) -> String {
        format!("{:016x}", self.0.hasher.hash_one((place, "handle")))
    }

    /// The one with this handle.
    pub fn find(&self, handle: &str) -> Option<Place> {
        self.shards().find_map(|shard| shard.full_again.keys().find(|place| self.handle(**place) == handle).copied())
    }

    pub fn forget(&self, place: Place) {
        self.shard_of(place).full_again.remove(&place);
    }

    pub fn forget_idle(&self, now_ns: u64) {
        for mut shard in self.shards() {
            shard.forget_idle(now_ns);
            shard.full_again.shrink_to_fit();
        }
    }

    /// What its memory comes to, in bytes.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        // A slot of the standard map is the pair and one byte; seven of eight can be filled.
        let slots = |capacity: usize| (capacity * 8 / 7).next_power_of_two();
        self.shards().map(|shard| slots(shard.full_again.capacity()) * 25).sum()
    }
}

impl StateStore for Places {
    type Key = Place;

    fn measure_and_replace<T, F, E>(&self, place: &Place, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shard_of(*place);
        let (answer, full_again) = measure(shard.full_again.get(place).copied().map(Nanos::new))?;
        shard.full_again.insert(*place, full_again.as_u64());
        Ok(answer)
    }
}
