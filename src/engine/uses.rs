//! When keys and sessions were last used, to the hour. Remembered for the next sweep, so that reads do not write.

use crate::domain::error::Result;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

const MOST_NOTED: usize = 100_000;
const USES_A_WRITE: usize = 500;

/// What was used, and in which hour, until it is written down.
pub struct Uses<Id>(Mutex<HashMap<Id, i64>>);

impl<Id> Default for Uses<Id> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Id: Copy + Eq + Hash> Uses<Id> {
    fn noted(&self) -> MutexGuard<'_, HashMap<Id, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room.
    pub fn note(&self, id: Id, hour_ms: i64) -> bool {
        let mut noted = self.noted();
        let room = noted.len() < MOST_NOTED || noted.contains_key(&id);
        if room {
            noted.insert(id, hour_ms);
        }
        room
    }

    /// The hour of a use that is not written down yet.
    pub fn hour_of(&self, id: Id) -> Option<i64> {
        self.noted().get(&id).copied()
    }

    /// In portions: one job of all would hold everyone up, and keep all pages that it changes in memory.
    pub fn write_down(&self, write: impl Fn(Vec<(Id, i64)>) -> Result<()>) -> Result<()> {
        let used: Vec<_> = std::mem::take(&mut *self.noted()).into_iter().collect();
        let written = used.chunks(USES_A_WRITE).try_for_each(|portion| write(portion.to_vec()));
        if written.is_err() {
            let mut noted = self.noted();
            for (id, hour) in used {
                // It may have been used again meanwhile.
                noted.entry(id).and_modify(|newer| *newer = hour.max(*newer)).or_insert(hour);
            }
        }
        written
    }
}
