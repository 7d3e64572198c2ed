//! Scheduled backups: what their files are called, when the next one is due, which are to be removed.

use super::time::HOUR_MS;

const STAMP: &str = "%Y%m%dT%H%M%SZ";
/// Before one that failed is tried again.
const AFTER_A_FAILURE_MS: i64 = HOUR_MS / 4;

/// When a file was made, as it stands in names: UTC to the second.
pub fn stamp(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default().strftime(STAMP).to_string()
}

/// The name of a backup of `stem.db`: `stem-20260115T100000Z.db`.
pub fn name(stem: &str, at_ms: i64) -> String {
    format!("{stem}-{}.db", stamp(at_ms))
}

/// When a backup of this name was made; `None` for a name that [`name`] does not give.
pub fn made_at_ms(stem: &str, file: &str) -> Option<i64> {
    let text = file.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(".db")?;
    let at = jiff::civil::DateTime::strptime(STAMP, text).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    let at_ms = at.timestamp().as_millisecond();
    (name(stem, at_ms) == file).then_some(at_ms)
}

/// Whether one is due, where some are there and the last try may have failed. Those from the future, made before the clock
/// was set right, do not count.
pub fn is_due(made_ms: &[i64], failed_at_ms: Option<i64>, every_hours: u32, now_ms: i64) -> bool {
    let newest = made_ms.iter().copied().filter(|at_ms| *at_ms <= now_ms).max();
    let is_time = newest.is_none_or(|newest| now_ms - newest >= i64::from(every_hours) * HOUR_MS);
    let may_try = failed_at_ms.is_none_or(|failed| !(0..AFTER_A_FAILURE_MS).contains(&(now_ms - failed)));
    is_time && may_try
}

/// Those that are to be removed so that the newest `keep` stay. Those from the future stay, and do not count.
pub fn outdated(made_ms: &[i64], keep: u32, now_ms: i64) -> Vec<i64> {
    let mut past: Vec<_> = made_ms.iter().copied().filter(|at_ms| *at_ms <= now_ms).collect();
    past.sort_unstable_by(|one, other| other.cmp(one));
    past.split_off(past.len().min(usize::try_from(keep).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-15T10:00:00Z
    const AT_MS: i64 = 1_768_471_200_000;

    #[test]
    fn names_read_back_and_others_do_not() {
        assert_eq!(name("refloop", AT_MS + 999), "refloop-20260115T100000Z.db");
        assert_eq!(made_at_ms("refloop", "refloop-20260115T100000Z.db"), Some(AT_MS));
        for other in [
            "refloop.db",
            "refloop-20260115T100000Z.db.partial",
            "refloop-20260115T100000Z.db-wal",
            "refloop-20260115.db",
            "refloop-20261315T100000Z.db",
            "refloop-20260115T1000Z.db",
            "refloop-020260115T100000Z.db",
            "refloop-2026-01-15T10:00:00Z.db",
            "refloop-before.db",
            "acme-20260115T100000Z.db",
            "my-refloop-20260115T100000Z.db",
        ] {
            assert_eq!(made_at_ms("refloop", other), None, "{other}");
        }
    }

    #[test]
    fn one_is_due_when_the_newest_is_old_enough() {
        let hour = |hours: i64| AT_MS + hours * HOUR_MS;
        for (made, failed, now, due) in [
            (&[][..], None, hour(0), true),
            (&[hour(0)], None, hour(24) - 1, false),
            (&[hour(0)], None, hour(24), true),
            (&[hour(0), hour(20)], None, hour(24), false),
            // Made before the clock was set back.
            (&[hour(0), hour(9_000)], None, hour(24), true),
            (&[hour(9_000)], None, hour(0), true),
            (&[hour(0)], Some(hour(24)), hour(24) + AFTER_A_FAILURE_MS - 1, false),
            (&[hour(0)], Some(hour(24)), hour(24) + AFTER_A_FAILURE_MS, true),
            (&[], Some(hour(24)), hour(0), true),
        ] {
            assert_eq!(is_due(made, failed, 24, now), due, "{made:?} {failed:?} {now}");
        }
    }

    #[test]
    fn the_newest_stay() {
        let made = [5, 1, 4, 2, 3, 99];
        assert_eq!(outdated(&made, 2, 10), [3, 2, 1]);
        assert_eq!(outdated(&made, 5, 10), [0; 0]);
        assert_eq!(outdated(&made, 1_000, 10), [0; 0]);
        // A clock that was set back must not cost the one that was just made.
        assert_eq!(outdated(&[7, 99], 1, 7), [0; 0]);
    }
}
