//! The series of the statistics as charts, and as the table behind them.

mod plot;

pub use plot::Shape;

use super::day::{Day, day_and_month};
use crate::domain::money::grouped;
use crate::domain::program::Program;
use crate::domain::time::DAY_MS;
use crate::engine::SeriesDay;
use plot::{HEIGHT, Plot, WIDTH};

/// How far back the charts can look, and what that is called.
pub const PERIODS: [(i64, &str); 4] = [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "12 months")];
/// As in the API. Pages that need no series ask for this one, as it is likely to be in memory.
pub const USUAL_DAYS: i64 = 30;
/// A longer series is shown week by week.
const MOST_DAYS: usize = 92;
/// Signups and conversions up to so many a day are too few for a line: each is a bar, and so is what they brought.
const MOST_IN_BARS: i64 = 20;

pub struct Charts {
    pub width: i32,
    pub height: i32,
    pub graphs: Vec<Graph>,
    pub rows: Vec<Row>,
    /// What one row is: a day or a week.
    pub step: &'static str,
    pub first: String,
    pub last: String,
}

/// One small chart.
pub struct Graph {
    pub id: &'static str,
    pub title: String,
    pub total: String,
    pub unit: String,
    pub plot: Plot,
    pub ticks: Vec<String>,
    pub description: String,
}

/// One day or week.
pub struct Row {
    pub label: String,
    pub iso: String,
    pub cells: [String; 4],
}

/// A row's figures: clicks, signups, conversions, credits.
struct Bucket {
    first_ms: i64,
    last_ms: i64,
    figures: [i64; 4],
}

fn figures_of(day: &SeriesDay) -> [i64; 4] {
    [day.row.clicks, day.row.signups, day.row.conversions, day.row.credits]
}

/// Days, or weeks that end today; what is left over at the front is a shorter one.
fn buckets(series: &[SeriesDay]) -> Vec<Bucket> {
    let length = if series.len() > MOST_DAYS { 7 } else { 1 };
    let bucket = |days: &[SeriesDay]| {
        let mut figures = [0; 4];
        for day in days {
            for (sum, figure) in figures.iter_mut().zip(figures_of(day)) {
                *sum += figure;
            }
        }
        let ends = days.first().zip(days.last()).map_or((0, 0), |(first, last)| (first.row.day, last.row.day));
        Bucket { first_ms: ends.0 * DAY_MS, last_ms: ends.1 * DAY_MS, figures }
    };
    let mut buckets: Vec<Bucket> = series.rchunks(length).map(bucket).collect();
    buckets.reverse();
    buckets
}

impl Graph {
    pub fn shape(&self) -> &Shape {
        &self.plot.shape
    }
}

impl Charts {
    pub fn of(series: &[SeriesDay], program: &Program) -> Self {
        let buckets = buckets(series);
        let end = |bucket: Option<&Bucket>, at: fn(&Bucket) -> i64| bucket.map(|it| Day::of(at(it)).text);
        Self {
            width: WIDTH,
            height: HEIGHT,
            graphs: graphs(&buckets, program),
            rows: buckets.iter().rev().map(|bucket| row(bucket, program)).collect(),
            step: if series.len() > MOST_DAYS { "Week" } else { "Day" },
            first: end(buckets.first(), |bucket| bucket.first_ms).unwrap_or_default(),
            last: end(buckets.last(), |bucket| bucket.last_ms).unwrap_or_default(),
        }
    }
}

/// Clicks, signups, conversions and credits.
fn graphs(buckets: &[Bucket], program: &Program) -> Vec<Graph> {
    let credits = if program.unit == "credits" { "Credits" } else { "Earnings" };
    let people = buckets.iter().flat_map(|bucket| [bucket.figures[1], bucket.figures[2]]);
    let few = people.max().is_none_or(|most| most <= MOST_IN_BARS);
    let graph = |(place, (title, id))| {
        let values: Vec<i64> = buckets.iter().map(|bucket| bucket.figures[place]).collect();
        let plot = if few && place > 0 { Plot::bars(&values) } else { Plot::line(&values) };
        graph((id, title), &values, plot, buckets, (place == 3).then_some(program))
    };
    let all = ["Clicks", "Signups", "Conversions", credits].into_iter().zip(["g0", "g1", "g2", "g3"]);
    all.enumerate().map(graph).collect()
}

fn graph(
    (id, title): (&'static str, &str),
    values: &[i64],
    plot: Plot,
    buckets: &[Bucket],
    program: Option<&Program>,
) -> Graph {
    let total: i64 = values.iter().sum();
    let text = |amount| program.map_or_else(|| grouped(amount), |program| program.amount_text(amount));
    let (figure, unit) = program.map_or_else(|| (grouped(total), String::new()), |it| it.amount_parts(total));
    let is_money = program.is_some_and(|program| program.unit != "credits");
    let ticks = plot.ticks.iter().map(|tick| short(*tick, if is_money { 100 } else { 1 })).collect();
    let most = values.iter().zip(buckets).max_by_key(|(value, _)| **value).filter(|(value, _)| **value > 0);
    let description = match most {
        Some((value, bucket)) => {
            format!("{} in all; most, {}, at {}.", text(total), text(*value), label(bucket))
        }
        None => "None in this period.".to_owned(),
    };
    Graph { id, title: title.to_owned(), total: figure, unit, plot, ticks, description }
}

fn label(bucket: &Bucket) -> String {
    let (first, last) = (Day::of(bucket.first_ms), Day::of(bucket.last_ms));
    if first == last { last.text } else { format!("{} – {}", day_and_month(&first.iso), last.text) }
}

fn row(bucket: &Bucket, program: &Program) -> Row {
    let [clicks, signups, conversions, credits] = bucket.figures;
    let cells = [grouped(clicks), grouped(signups), grouped(conversions), program.amount_text(credits)];
    Row { label: label(bucket), iso: Day::of(bucket.first_ms).iso, cells }
}

/// A tick of the axis in a few characters: `1,500`, `20k`, `1.5M`, `0.50`.
fn short(amount: i64, per_unit: i64) -> String {
    let whole = amount / per_unit;
    let scaled = |size: i64, letter: &str| {
        let (units, part) = (whole / size, whole % size * 10 / size);
        let figure = if part == 0 { grouped(units) } else { format!("{}.{part}", grouped(units)) };
        format!("{figure}{letter}")
    };
    match whole {
        1_000_000_000.. => scaled(1_000_000_000, "B"),
        1_000_000.. => scaled(1_000_000, "M"),
        10_000.. => scaled(1_000, "k"),
        _ if amount % per_unit != 0 => format!("{}.{:02}", grouped(whole), amount % per_unit),
        _ => grouped(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::DayRow;

    fn series(days: i64) -> Vec<SeriesDay> {
        let day = |day| SeriesDay {
            date: String::new(),
            row: DayRow { day, clicks: 3, signups: 1, conversions: day % 2, credits: 10 * day },
        };
        (0..days).map(day).collect()
    }

    #[test]
    fn ticks_are_short() {
        for (amount, per_unit, text) in [
            (0, 1, "0"),
            (5_000, 1, "5,000"),
            (20_000, 1, "20k"),
            (1_500_000, 1, "1.5M"),
            (2_000_000_000, 1, "2B"),
            (50, 100, "0.50"),
            (250, 100, "2.50"),
            (500_000, 100, "5,000"),
            (0, 100, "0"),
        ] {
            assert_eq!(short(amount, per_unit), text, "{amount}");
        }
    }

    #[test]
    fn weeks_add_up_to_the_days() {
        for (days, count, first_length) in [(7, 7, 1), (92, 92, 1), (365, 53, 1), (366, 53, 2), (98, 14, 7), (1, 1, 1)]
        {
            let series = series(days);
            let buckets = buckets(&series);
            assert_eq!(buckets.len(), count, "{days}");
            let sum = |place: usize| buckets.iter().map(|bucket| bucket.figures[place]).sum::<i64>();
            let daily = |place: usize| series.iter().map(|day| figures_of(day)[place]).sum::<i64>();
            assert_eq!([0, 1, 2, 3].map(sum), [0, 1, 2, 3].map(daily), "{days}");
            assert_eq!(buckets[0].figures[1], first_length, "{days}");
            assert_eq!(buckets.last().map(|bucket| bucket.last_ms), Some((days - 1) * DAY_MS));
        }
    }

    #[test]
    fn few_signups_are_bars_and_many_a_line() {
        let program = crate::domain::program::Preset::Credits.program();
        for (signups, is_bars) in [(0, true), (20, true), (21, false)] {
            let day = SeriesDay {
                date: String::new(),
                row: DayRow { day: 0, clicks: 2, signups, conversions: 1, credits: 50_000 },
            };
            let buckets = buckets(&[day]);
            let bars = graphs(&buckets, &program).into_iter().map(|it| matches!(it.shape(), Shape::Bars { .. }));
            assert_eq!(bars.collect::<Vec<_>>(), [false, is_bars, is_bars, is_bars], "{signups}");
        }
    }
}
