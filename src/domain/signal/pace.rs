//! How calls look that are made up.

use super::{Signal, SignalCode};
use serde_json::json;

/// How a referee's calls came in on the way to a milestone. Reports of one moment, as from a gateway's batch, are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub reports: i64,
    /// In all reports.
    pub calls: i64,
    /// Calls of the newest report, which may still grow, and of the one before it; 0 when there is none.
    pub last_calls: i64,
    pub calls_before: i64,
    /// Reports with as many calls as the one before them, the newest left out.
    pub equal_reports: i64,
    pub first_at_ms: i64,
    pub last_at_ms: i64,
    /// Before the newest report; 0 when there is none.
    pub last_gap_ms: i64,
    /// Gaps that are much like the one before them.
    pub steady_gaps: i64,
    pub reached_at_ms: Option<i64>,
}

fn is_near(one: i64, other: i64, percent: i64) -> bool {
    (one - other).abs().saturating_mul(100) <= one.max(other).saturating_mul(percent)
}

impl Pace {
    /// Fewer reports say nothing about how regular they are.
    const FEWEST_REPORTS: i64 = 20;
    /// Nobody tries anything out a hundred times in less.
    const HASTE_MS: i64 = 60_000;
    /// By how much the gaps of what runs in step differ, jitter included.
    const STEADY_PERCENT: i64 = 25;

    pub fn new(calls: i64, at_ms: i64) -> Self {
        Self {
            reports: 1,
            calls,
            last_calls: calls,
            calls_before: 0,
            equal_reports: 0,
            first_at_ms: at_ms,
            last_at_ms: at_ms,
            last_gap_ms: 0,
            steady_gaps: 0,
            reached_at_ms: None,
        }
    }

    #[must_use]
    pub fn and(self, calls: i64, at_ms: i64) -> Self {
        let gap_ms = at_ms - self.last_at_ms;
        let in_all = self.calls.saturating_add(calls);
        if gap_ms <= 0 {
            return Self { calls: in_all, last_calls: self.last_calls.saturating_add(calls), ..self };
        }
        let is_steady = self.last_gap_ms > 0 && is_near(gap_ms, self.last_gap_ms, Self::STEADY_PERCENT);
        Self {
            reports: self.reports + 1,
            calls: in_all,
            last_calls: calls,
            calls_before: self.last_calls,
            equal_reports: self.equal_in_all(),
            last_at_ms: at_ms,
            last_gap_ms: gap_ms,
            steady_gaps: self.steady_gaps + i64::from(is_steady),
            ..self
        }
    }

    fn equal_in_all(&self) -> i64 {
        self.equal_reports + i64::from(self.last_calls == self.calls_before)
    }

    fn took_ms(&self) -> i64 {
        self.last_at_ms - self.first_at_ms
    }

    /// Whether calls come as a machine makes them up: nearly all reports alike, and in a rush or in step, as far as half
    /// of the gaps go. One call that is doubled, a pause or some jitter changes nothing. What a gateway reports in
    /// batches is neither.
    pub fn oddity(&self) -> Option<Signal> {
        let are_equal = self.equal_in_all() * 5 >= (self.reports - 1) * 4;
        if self.reports < Self::FEWEST_REPORTS || !are_equal {
            return None;
        }
        let is_in_step = self.steady_gaps * 2 >= self.reports - 2;
        let why = match (self.took_ms() <= Self::HASTE_MS, is_in_step) {
            (true, _) => "in_a_rush",
            (false, true) => "in_step",
            (false, false) => return None,
        };
        let inputs = json!({ "reports": self.reports, "seconds": self.took_ms() / 1_000, "how": why });
        Some(Signal { code: SignalCode::OddUsage, inputs })
    }

    /// Whether two went the way to the milestone alike: with as many calls in as many reports, and in the same time.
    pub fn is_like(&self, other: &Self) -> bool {
        let both_rushed = self.took_ms().max(other.took_ms()) <= Self::HASTE_MS;
        is_near(self.reports, other.reports, 10)
            && is_near(self.calls, other.calls, 3)
            && (both_rushed || is_near(self.took_ms(), other.took_ms(), 10))
    }

    /// Whether there are enough reports to know it again by.
    pub fn is_telling(&self) -> bool {
        self.reports >= Self::FEWEST_REPORTS
    }

    /// Whether calls have ended at a milestone, or as few after it as are made to hide that.
    pub fn ends_at(milestone: i64, calls: i64) -> bool {
        (milestone..=milestone.saturating_add(milestone / 20)).contains(&calls)
    }
}

/// Whether so many referees of one referrer, of all that have reached the milestone, do not call alike by accident.
/// A few of them do so whose calls come in one or two batches, or who stop where the reward is: three people who try an
/// API out together.
pub fn are_alike(alike: usize, reached: usize, is_telling: bool) -> bool {
    alike >= if is_telling { 3 } else { 5 } && alike * 4 >= reached * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(reports: &[(i64, i64)]) -> Pace {
        let first = Pace::new(reports[0].0, reports[0].1);
        reports[1..].iter().fold(first, |pace, (calls, at_ms)| pace.and(*calls, *at_ms))
    }

    fn each(gap: fn(i64) -> i64, calls: fn(i64) -> i64) -> Vec<(i64, i64)> {
        let mut at_ms = 0;
        let mut next = |n| {
            at_ms += gap(n);
            (calls(n), at_ms)
        };
        (0..100).map(&mut next).collect()
    }

    /// As people call: now and then, and sometimes at once.
    fn now_and_then(n: i64) -> i64 {
        5_000 + n * n * 7_919 % 600_000
    }

    #[test]
    fn calls_that_a_machine_makes_up_are_odd_and_a_gateway_s_batches_are_not() {
        let how = |reports: &[(i64, i64)]| paced(reports).oddity().map(|signal| signal.inputs["how"].clone());
        assert_eq!(how(&each(|_| 200, |_| 1)), Some("in_a_rush".into()));
        assert_eq!(how(&each(|_| 60_000, |_| 1)), Some("in_step".into()));
        assert_eq!(how(&each(|n| 60_000 + n * 10, |_| 1)), Some("in_step".into()));
        assert_eq!(how(&each(|n| 48_000 + n * 7_919 % 24_000, |_| 1)), Some("in_step".into()), "with jitter");
        assert_eq!(how(&each(|n| if n == 50 { 9_000_000 } else { 60_000 }, |_| 1)), Some("in_step".into()), "a pause");
        assert_eq!(how(&each(|_| 60_000, |n| if n == 40 { 2 } else { 1 })), Some("in_step".into()), "one doubled");
        assert_eq!(how(&each(|n| if n == 40 { 0 } else { 60_000 }, |_| 1)), Some("in_step".into()), "two at once");
        assert_eq!(how(&each(now_and_then, |_| 1)), None);
        assert_eq!(how(&each(|_| 60_000, |n| 1 + n % 3)), None, "a gateway that reports each minute");
        assert_eq!(how(&each(|_| 0, |_| 1)), None, "one batch");
        assert_eq!(how(&[(100, 0)]), None, "one report");
    }

    #[test]
    fn two_that_went_the_same_way() {
        let like = |one: &[(i64, i64)], other: &[(i64, i64)]| paced(one).is_like(&paced(other));
        assert!(like(&[(100, 0)], &[(100, 900_000)]), "in one report");
        assert!(like(&[(1, 0), (99, 600_000)], &[(1, 5), (101, 630_000)]));
        assert!(!like(&[(1, 0), (99, 600_000)], &[(1, 0), (99, 700_000)]), "in another time");
        assert!(!like(&[(1, 0), (99, 600_000)], &[(1, 0), (120, 600_000)]), "with more calls");
        assert!(!like(&[(100, 0)], &[(50, 0), (50, 600_000)]), "in more reports");
        assert!(like(&each(|_| 60_000, |_| 1), &each(|n| 58_000 + n * 31 % 4_000, |_| 1)));
        assert!(!like(&each(|_| 60_000, |_| 1), &each(now_and_then, |_| 1)));
    }

    #[test]
    fn how_many_are_no_accident_and_where_calls_end() {
        for (alike, reached, is) in
            [(2, 2, false), (3, 3, true), (3, 4, true), (3, 5, false), (14, 20, false), (15, 20, true)]
        {
            assert_eq!(are_alike(alike, reached, true), is, "{alike} of {reached}");
        }
        for (alike, reached, is) in [(4, 4, false), (5, 5, true), (5, 6, true), (5, 7, false)] {
            assert_eq!(are_alike(alike, reached, false), is, "{alike} of {reached}, in a batch or two");
        }
        for (calls, is) in [(99, false), (100, true), (101, true), (105, true), (106, false)] {
            assert_eq!(Pace::ends_at(100, calls), is, "{calls}");
        }
    }
}
