//! How calls look that are made up.

use super::{Signal, SignalCode};
use serde_json::json;

/// How a referee's calls came in on the way to a milestone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Reports of calls, those of one moment counted once.
    pub reports: i64,
    /// Calls of each report; `None` once they differ, or several came at one moment, as from a gateway's batch.
    pub calls_each: Option<i64>,
    pub first_at_ms: i64,
    pub last_at_ms: i64,
    pub shortest_gap_ms: i64,
    pub longest_gap_ms: i64,
}

impl Pace {
    /// Fewer reports say nothing about how regular they are.
    const FEWEST_REPORTS: i64 = 20;
    /// Nobody tries anything out a hundred times in less.
    const HASTE_MS: i64 = 60_000;

    pub fn new(calls: i64, at_ms: i64) -> Self {
        Self {
            reports: 1,
            calls_each: Some(calls),
            first_at_ms: at_ms,
            last_at_ms: at_ms,
            shortest_gap_ms: i64::MAX,
            longest_gap_ms: 0,
        }
    }

    #[must_use]
    pub fn and(self, calls: i64, at_ms: i64) -> Self {
        let gap_ms = at_ms - self.last_at_ms;
        if gap_ms <= 0 {
            return Self { calls_each: None, ..self };
        }
        Self {
            reports: self.reports + 1,
            calls_each: self.calls_each.filter(|each| *each == calls),
            last_at_ms: at_ms,
            shortest_gap_ms: self.shortest_gap_ms.min(gap_ms),
            longest_gap_ms: self.longest_gap_ms.max(gap_ms),
            ..self
        }
    }

    /// Whether calls come as a machine makes them up: one by one, all alike, and in a rush or in step. What a gateway
    /// reports in batches is neither.
    pub fn oddity(&self) -> Option<Signal> {
        if self.reports < Self::FEWEST_REPORTS || self.calls_each.is_none() {
            return None;
        }
        let took_ms = self.last_at_ms - self.first_at_ms;
        let in_step = self.longest_gap_ms - self.shortest_gap_ms <= self.longest_gap_ms / 10;
        let why = match (took_ms <= Self::HASTE_MS, in_step) {
            (true, _) => "in_a_rush",
            (false, true) => "in_step",
            (false, false) => return None,
        };
        let inputs = json!({ "reports": self.reports, "seconds": took_ms / 1_000, "how": why });
        Some(Signal { code: SignalCode::OddUsage, inputs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_a_machine_makes_up_are_odd_and_a_gateway_s_batches_are_not() {
        let paced = |reports: &[(i64, i64)]| {
            let first = Pace::new(reports[0].0, reports[0].1);
            reports[1..].iter().fold(first, |pace, (calls, at_ms)| pace.and(*calls, *at_ms)).oddity()
        };
        let each = |gap: fn(i64) -> i64, calls: fn(i64) -> i64| -> Vec<(i64, i64)> {
            let mut at_ms = 0;
            (0..100)
                .map(|n| {
                    (calls(n), {
                        at_ms += gap(n);
                        at_ms
                    })
                })
                .collect()
        };
        let how = |reports: &[(i64, i64)]| paced(reports).map(|signal| signal.inputs["how"].clone());
        assert_eq!(how(&each(|_| 200, |_| 1)), Some("in_a_rush".into()));
        assert_eq!(how(&each(|_| 60_000, |_| 1)), Some("in_step".into()));
        assert_eq!(how(&each(|n| 60_000 + n * 10, |_| 1)), Some("in_step".into()));
        assert_eq!(how(&each(|n| 60_000 + n * 900, |_| 1)), None, "as people call");
        assert_eq!(how(&each(|_| 60_000, |n| 1 + n % 3)), None, "a gateway that reports each minute");
        assert_eq!(how(&each(|_| 0, |_| 1)), None, "one batch");
        assert_eq!(how(&[(100, 0)]), None, "one report");
    }
}
