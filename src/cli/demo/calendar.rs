//! When people come: more from month to month, fewer at weekends, in summer and at the turn of the year.

use super::dice::Dice;
use crate::domain::time::{self, DAY_MS, HOUR_MS};

pub const DAYS: i64 = 365;
/// Times that things happen at, so that what happens together is written down together.
const STEP_MS: i64 = 97 * 60_000;

/// The year up to a certain moment.
pub struct Calendar {
    pub start_ms: i64,
    pub end_ms: i64,
    /// Up to and including each day, how many have come of all.
    upto: Vec<f64>,
}

impl Calendar {
    /// By the hour, so that two that are made one after the other are the same.
    pub fn until(now_ms: i64) -> Self {
        let end_ms = now_ms.div_euclid(HOUR_MS) * HOUR_MS;
        let start_ms = (end_ms.div_euclid(DAY_MS) - DAYS) * DAY_MS;
        let mut upto = Vec::new();
        let mut sum = 0.0;
        for day in 0..=DAYS {
            sum += busyness(start_ms + day * DAY_MS, start_ms, end_ms);
            upto.push(sum);
        }
        Self { start_ms, end_ms, upto }
    }

    /// A moment at which someone comes by.
    pub fn arrival_ms(&self, dice: &mut Dice) -> i64 {
        let rolled = dice.share() * self.upto.last().copied().unwrap_or_default();
        let day = self.upto.iter().position(|sum| rolled < *sum).unwrap_or_default();
        let day = i64::try_from(day).unwrap_or_default();
        self.in_daytime(self.start_ms + day * DAY_MS, dice).min(self.step_ms(self.end_ms - STEP_MS))
    }

    /// Some days after another moment; `None` when that is still to come.
    pub fn later_ms(&self, at_ms: i64, days: f64, dice: &mut Dice) -> Option<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "whole days of a year")]
        let days = days.clamp(0.0, 2.0 * 365.0) as i64;
        let to_ms = match days {
            0 => self.step_ms(at_ms + dice.between(STEP_MS, 9 * HOUR_MS)),
            _ => self.in_daytime(at_ms + days * DAY_MS, dice),
        };
        (at_ms < to_ms && to_ms < self.end_ms).then_some(to_ms)
    }

    /// How far the year has gone, from 0 to 1.
    pub fn progress(&self, at_ms: i64) -> f64 {
        share_of_year(at_ms - self.start_ms)
    }

    /// Mostly in the afternoon of the day.
    fn in_daytime(&self, at_ms: i64, dice: &mut Dice) -> i64 {
        let day_ms = at_ms.div_euclid(DAY_MS) * DAY_MS;
        let hours = dice.between(6, 20) + dice.between(8, 22);
        self.step_ms(day_ms + hours * HOUR_MS / 2 + dice.between(0, HOUR_MS))
    }

    fn step_ms(&self, at_ms: i64) -> i64 {
        let steps = (at_ms - self.start_ms).max(STEP_MS) / STEP_MS;
        self.start_ms + steps * STEP_MS
    }
}

fn share_of_year(ms: i64) -> f64 {
    i32::try_from(ms / HOUR_MS).map_or(1.0, |hours| f64::from(hours) / (365.0 * 24.0)).clamp(0.0, 1.0)
}

fn busyness(day_ms: i64, start_ms: i64, end_ms: i64) -> f64 {
    let growth = 0.3 + 1.7 * share_of_year(day_ms - start_ms).powf(1.3);
    // 1970-01-01 was a Thursday.
    let weekday = match (day_ms.div_euclid(DAY_MS) + 3) % 7 {
        4 => 0.85,
        5 => 0.4,
        6 => 0.35,
        _ => 1.0,
    };
    let season = match time::date(day_ms).get(5..).unwrap_or_default() {
        date if !("01-03".."12-20").contains(&date) => 0.45,
        date if date.starts_with("07") || date.starts_with("08") => 0.8,
        date if date.starts_with("03") || date.starts_with("09") => 1.15,
        _ => 1.0,
    };
    // Of the last day there is only a part.
    let part = share_of_year((end_ms - day_ms).min(DAY_MS)) * 365.0;
    growth * weekday * season * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_within_the_year_more_and_more_and_less_at_weekends() {
        let calendar = Calendar::until(time::parse("end", "2026-06-30T15:00:00Z").unwrap());
        let mut dice = Dice::new(3);
        let arrivals: Vec<i64> = (0..4_000).map(|_| calendar.arrival_ms(&mut dice)).collect();
        let count = |which: &dyn Fn(i64) -> bool| arrivals.iter().filter(|at_ms| which(**at_ms)).count();
        assert_eq!(count(&|at_ms| (calendar.start_ms..calendar.end_ms).contains(&at_ms)), 4_000);
        let half_ms = calendar.start_ms + DAYS / 2 * DAY_MS;
        assert!(count(&|at_ms| at_ms >= half_ms) > 2 * count(&|at_ms| at_ms < half_ms));
        let weekend = count(&|at_ms| (at_ms.div_euclid(DAY_MS) + 3) % 7 >= 5);
        assert!((400..800).contains(&weekend), "{weekend}");
        for days in [0.0, 0.4, 1.0, 30.0] {
            let later_ms = calendar.later_ms(half_ms, days, &mut dice).unwrap();
            assert!(later_ms > half_ms && later_ms < calendar.end_ms, "{days}");
        }
        assert_eq!(calendar.later_ms(half_ms, 400.0, &mut dice), None);
    }
}
