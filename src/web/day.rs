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

/// A time: for people, and for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub text: String,
    pub iso: String,
}

impl Moment {
    /// To the minute, `15 Jan 2026, 10:00`.
    pub fn of(at_ms: i64) -> Self {
        let iso = time::rfc3339(at_ms);
        Self { text: format!("{}, {}", Day::of(at_ms).text, iso.get(11..16).unwrap_or_default()), iso }
    }

    /// To the minute, `2026-01-15 10:00`: for tables that are read by column.
    pub fn in_figures(at_ms: i64) -> Self {
        let iso = time::rfc3339(at_ms);
        let (day, clock) = (iso.get(..10).unwrap_or_default(), iso.get(11..16).unwrap_or_default());
        Self { text: format!("{day} {clock}"), iso }
    }

    /// The UTC day, `2026-01-15`.
    pub fn day_in_figures(at_ms: i64) -> Self {
        let iso = time::date(at_ms);
        Self { text: iso.clone(), iso }
    }
}

/// `15 Jan` of `2026-01-15`.
pub fn day_and_month(iso: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let part = |range| iso.get(range).and_then(|text: &str| text.parse::<usize>().ok()).unwrap_or(1);
    let month = MONTHS.get(part(5..7) - 1).copied().unwrap_or_default();
    format!("{} {month}", part(8..10))
}
