//! The process as Linux sees it, under the names that all exporters use. Elsewhere, and where `/proc` is hidden, what is
//! not known is left out.

use super::moment::Moment;
use crate::domain::error::Result;
use std::time::{SystemTime, UNIX_EPOCH};

pub fn add(moment: &Moment, started: SystemTime) -> Result<()> {
    let version = [(env!("CARGO_PKG_VERSION"), 1)];
    moment.gauges("refloop_build_info", "Which refloop this is; always 1.", "version", version.into_iter())?;
    let since = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let started_ms = i64::try_from(since).unwrap_or(0);
    moment.gauge_ms("process_start_time_seconds", "When the process started, since 1970.", started_ms)?;
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory that the process has.", resident_bytes()),
        ("process_open_fds", "Files and connections that are open.", open_files()),
        ("process_max_fds", "Files and connections that may be open.", most_open_files()),
    ] {
        if let Some(value) = value {
            moment.gauge(name, help, value)?;
        }
    }
    Ok(())
}

fn number_after(file: &str, start: &str) -> Option<i64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn resident_bytes() -> Option<i64> {
    number_after("/proc/self/status", "VmRSS:").map(|kib| kib * 1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

/// None when there is no limit.
fn most_open_files() -> Option<i64> {
    number_after("/proc/self/limits", "Max open files")
}
