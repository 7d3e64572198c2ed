//! UTC milliseconds inside, RFC 3339 with `Z` outside.

use super::error::{Error, Result};

pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The end of what RFC 3339 can write, 9999-12-30T22:00:00Z, where the clock library ends.
pub const LAST_MS: i64 = 253_402_207_200_000;

/// RFC 3339 in UTC; a time outside of what that can say is shown as its nearest end.
pub fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms.clamp(0, LAST_MS)).unwrap_or_default().to_string()
}

/// The UTC day, `2026-01-15`.
pub fn date(at_ms: i64) -> String {
    let mut text = rfc3339(at_ms);
    text.truncate(10);
    text
}

/// The UTC day as people write it, `15 January 2026`.
pub fn day_in_words(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms.clamp(0, LAST_MS)).unwrap_or_default();
    at.strftime("%-d %B %Y").to_string()
}

/// The UTC year.
pub fn year(at_ms: i64) -> i32 {
    date(at_ms).get(..4).and_then(|year| year.parse().ok()).unwrap_or(1970)
}

/// Parses an RFC 3339 time, or a bare date as its first instant. Negative and far times are refused.
pub fn parse(field: &str, text: &str) -> Result<i64> {
    let instant = match text.parse::<jiff::civil::Date>() {
        Ok(day) if text.len() == 10 => day.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp()),
        _ => text.parse::<jiff::Timestamp>(),
    };
    match instant.map(jiff::Timestamp::as_millisecond) {
        Ok(at_ms) if (0..=LAST_MS).contains(&at_ms) => Ok(at_ms),
        _ => Err(Error::field(field, "invalid_time", "Give an RFC 3339 time, such as 2026-01-15T10:00:00Z.")),
    }
}

/// The time after an ISO 8601 duration, such as `P7D` or `PT1H30M`; months and years by the calendar. It goes forward only.
pub fn after(field: &str, from_ms: i64, duration: &str) -> Result<i64> {
    let refuse = |detail| Error::field(field, "invalid_duration", detail);
    let is_iso = duration.starts_with('P') && duration.len() <= 64;
    let span = duration.parse::<jiff::Span>().ok().filter(|span| is_iso && span.is_positive());
    let span = span.ok_or_else(|| refuse("Give an ISO 8601 duration that goes forward, such as P7D or PT1H."))?;
    let from = jiff::Timestamp::from_millisecond(from_ms).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    let to = from.checked_add(span).map(|zoned| zoned.timestamp().as_millisecond());
    to.ok().filter(|to_ms| (0..=LAST_MS).contains(to_ms)).ok_or_else(|| refuse("That is beyond what a clock can show."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_forward_by_the_calendar() {
        let from = parse("at", "2026-01-31T10:00:00Z").unwrap();
        for (duration, to) in [
            ("P7D", "2026-02-07T10:00:00Z"),
            ("PT1H30M", "2026-01-31T11:30:00Z"),
            ("P1M", "2026-02-28T10:00:00Z"),
            ("P1Y2W", "2027-02-14T10:00:00Z"),
            ("PT0.001S", "2026-01-31T10:00:00.001Z"),
        ] {
            assert_eq!(rfc3339(after("advance", from, duration).unwrap()), to, "{duration}");
        }
        for refused in ["", "P", "PT", "P0D", "-P1D", "P-1D", "7 days", "1d", "P7", "P9999Y", "P1D P1D", "p7d\0"] {
            assert!(after("advance", from, refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn times_read_back_as_written() {
        for text in ["2026-01-15T10:00:00Z", "2026-01-15T10:00:00.123Z", "1970-01-01T00:00:00Z"] {
            assert_eq!(rfc3339(parse("at", text).unwrap()), text);
        }
        assert_eq!(rfc3339(parse("at", "2026-01-15").unwrap()), "2026-01-15T00:00:00Z");
        assert_eq!(rfc3339(parse("at", "2026-01-15T10:00:00+02:00").unwrap()), "2026-01-15T08:00:00Z");
        assert_eq!((date(0).as_str(), year(LAST_MS)), ("1970-01-01", 9999));
        assert_eq!(rfc3339(i64::MAX), rfc3339(LAST_MS));
        assert_eq!(day_in_words(parse("at", "2026-01-05").unwrap()), "5 January 2026");
        assert_eq!(day_in_words(i64::MIN), "1 January 1970");
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "yesterday", "2026-13-01", "1969-12-31T23:59:59Z", "10:00", "2026-01-15T10:00:00", "5"] {
            assert!(parse("at", text).is_err(), "{text}");
        }
    }
}
