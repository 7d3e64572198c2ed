//! Days as pages write them.

use crate::domain::time;

/// A time as its UTC day: for people, and for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    pub text: String,
    pub iso: String,
}

impl Day {
    pub fn of(at_ms: i64) -> Self {
        let iso = time::date(at_ms);
        Self { text: format!("{} {}", day_and_month(&iso), iso.get(..4).unwrap_or_default()), iso }
    }
}

/// A time to the minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub text: String,
    pub iso: String,
}

impl Moment {
    pub fn of(at_ms: i64) -> Self {
        let iso = time::rfc3339(at_ms);
        Self { text: format!("{}, {}", Day::of(at_ms).text, iso.get(11..16).unwrap_or_default()), iso }
    }
}

/// `15 Jan` of `2026-01-15`.
pub fn day_and_month(iso: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let part = |range| iso.get(range).and_then(|text: &str| text.parse::<usize>().ok()).unwrap_or(1);
    let month = MONTHS.get(part(5..7) - 1).copied().unwrap_or_default();
    format!("{} {month}", part(8..10))
}
