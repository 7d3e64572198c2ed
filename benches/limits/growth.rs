//! What an event costs as a database grows: the engine's own calls, without HTTP.

use super::Outcome;
use super::seed::Seeder;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Events of one sample: as many as a busy server writes back at once. Fewer on small files, which it would outgrow.
const SAMPLE: usize = 200_000;
const SMALLEST_SAMPLE: usize = 2_000;
/// Events in a transaction, and how many of those are under way.
const TOGETHER: usize = 100;
const AT_ONCE: usize = 8;
const CREDITS: i64 = 1_000_000_000;

/// Prints a line of JSON at each size that is reached in time.
pub fn measure(db: &Path, developers: usize, sizes: &[i64], hot: bool, seconds: u64) -> Outcome {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut seeder = Seeder::new(db, CREDITS)?;
    while seeder.developers.len() < developers {
        let missing = developers - seeder.developers.len();
        seeder.add_developers(missing.min(10_000))?;
        if Instant::now() > until {
            println!("{}", json!({ "developers": seeder.developers.len(), "stopped": "out of time" }));
            return Ok(());
        }
    }
    for size in sizes {
        if !seeder.fill(*size, Some(until))? {
            println!("{}", json!({ "developers": developers, "entries": seeder.entries()?, "stopped": "out of time" }));
            return Ok(());
        }
        let entries = seeder.entries()?;
        let sample = usize::try_from(entries)?.clamp(SMALLEST_SAMPLE, SAMPLE);
        seeder.store.catch_up_blocking()?;
        let (written, started) = (Written::now()?, Instant::now());
        seeder.record(sample, TOGETHER, AT_ONCE, hot)?;
        // What they did to the projections is a part of what they cost.
        seeder.store.catch_up_blocking()?;
        let took = started.elapsed();
        let (bytes, counter) = Written::now()?.since(&written);
        println!(
            "{}",
            json!({ "developers": developers, "entries": entries, "hot": hot,
                    "ns_per_event": took.as_nanos() / sample as u128,
                    "bytes_per_event": bytes / sample as u64, "counter": counter })
        );
    }
    Ok(())
}

/// The process's counters of what it has written.
struct Written {
    write_bytes: u64,
    wchar: u64,
}

impl Written {
    fn now() -> Outcome<Self> {
        let text = std::fs::read_to_string("/proc/self/io")?;
        let counter = |name: &str| -> Outcome<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            Ok(line.ok_or("a counter is missing in /proc/self/io")?.parse()?)
        };
        Ok(Self { write_bytes: counter("write_bytes")?, wchar: counter("wchar")? })
    }

    /// What reached the disk, or, where that is not counted, what was handed to the system.
    fn since(&self, before: &Self) -> (u64, &'static str) {
        match self.write_bytes - before.write_bytes {
            0 => (self.wchar - before.wchar, "wchar"),
            bytes => (bytes, "write_bytes"),
        }
    }
}
