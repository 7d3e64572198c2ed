//! Lines and bars as SVG, made on the server: paths in a box that the page stretches, and the axes' words beside it.

/// The box that the paths are drawn in. It is stretched to the room there is, so nothing in it may be text.
pub const WIDTH: i32 = 600;
pub const HEIGHT: i32 = 160;
/// Coordinates are worked out in tenths, in integers.
const SCALE: i64 = 10;
const MOST_STEPS: i64 = 4;

/// What is drawn for each day: a line through the days, or a bar for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    Line {
        /// Through all days but the last.
        line: String,
        /// The last, which is not over yet: a dot, as a line down to it would look like a fall.
        open: String,
        /// What is below the line.
        area: String,
    },
    Bars {
        /// Of all days but the last.
        bars: String,
        /// Of the last, which is not over yet.
        open: String,
    },
}

/// One shape over the days, and the axis that it is read by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    pub shape: Shape,
    /// The axis from the top down, evenly spaced.
    pub ticks: Vec<i64>,
    /// Where the lines of the grid are, from the top down.
    pub grid: Vec<i64>,
}

impl Plot {
    /// A line of figures that are not negative, evenly spaced.
    pub fn line(values: &[i64]) -> Self {
        Self::of(values, line)
    }

    /// Bars of such figures, for those that are too few to have a course.
    pub fn bars(values: &[i64]) -> Self {
        Self::of(values, bars)
    }

    /// With the shape that the heights have, each from the top down.
    fn of(values: &[i64], shape: fn(&[i64]) -> Shape) -> Self {
        let (step, steps) = axis(values.iter().copied().max().unwrap_or(0));
        let top = step.saturating_mul(steps);
        let height = i64::from(HEIGHT) * SCALE;
        let ys: Vec<i64> = values.iter().map(|value| height - scaled((*value).max(0), height, top)).collect();
        let ticks = (0..=steps).rev().map(|place| step.saturating_mul(place)).collect();
        let grid = (0..=steps).map(|place| i64::from(HEIGHT) * place / steps).collect();
        Self { shape: shape(&ys), ticks, grid }
    }
}

/// Through the heights from the first day to the last.
fn line(ys: &[i64]) -> Shape {
    let width = i64::from(WIDTH) * SCALE;
    let last = i64::try_from(ys.len()).unwrap_or(1) - 1;
    let x = |place: usize| match last {
        // A single day has no width of its own.
        ..=0 => i64::try_from(place).unwrap_or(0) * width,
        last => i64::try_from(place).unwrap_or(0) * width / last,
    };
    let ys = if last == 0 { vec![ys[0], ys[0]] } else { ys.to_vec() };
    let mut points: Vec<(i64, i64)> = ys.iter().enumerate().map(|(place, y)| (x(place), *y)).collect();
    let open = match points.len() {
        // Zero long, with round ends.
        3.. => points.pop().map_or_else(String::new, |(x, y)| format!("M{0} {1}H{0}", tenths(x), tenths(y))),
        _ => String::new(),
    };
    let line = smooth(&points).concat();
    let area = match (points.first(), points.last()) {
        (Some(first), Some(end)) => format!("{line}L{} {HEIGHT}L{} {HEIGHT}Z", tenths(end.0), tenths(first.0)),
        _ => String::new(),
    };
    Shape::Line { line, open, area }
}

/// Oldest first, each in the middle of its share of the width.
fn bars(ys: &[i64]) -> Shape {
    const WIDEST: i64 = 28 * SCALE;
    let width = i64::from(WIDTH) * SCALE;
    let count = i64::try_from(ys.len()).unwrap_or(1).max(1);
    let size = (width * 7 / (count * 10)).clamp(1, WIDEST);
    let bar = |(place, y): (i64, &i64)| {
        let left = (width * (2 * place + 1) / count - size) / 2;
        format!("M{} {HEIGHT}V{}h{}V{HEIGHT}z", tenths(left), tenths(*y), tenths(size))
    };
    let mut bars: Vec<String> = (0..).zip(ys).map(bar).collect();
    let open = bars.pop().unwrap_or_default();
    Shape::Bars { bars: bars.concat(), open }
}

/// A tidy step (1, 2 or 5 times a power of ten) and how many of them hold `most`: two to four, or one for 1.
fn axis(most: i64) -> (i64, i64) {
    let mut power = 1_i64;
    loop {
        for step in [1, 2, 5].map(|factor| power.saturating_mul(factor)) {
            let steps = most / step + i64::from(most % step > 0);
            if steps <= MOST_STEPS {
                return (step, steps.max(if most <= 1 { 1 } else { 2 }));
            }
        }
        power = power.saturating_mul(10);
    }
}

/// `part` of `whole`, as a share of `length`, rounded.
fn scaled(part: i64, length: i64, whole: i64) -> i64 {
    let (part, length, whole) = (i128::from(part), i128::from(length), i128::from(whole.max(1)));
    i64::try_from((part * length * 2 + whole) / (whole * 2)).unwrap_or(0)
}

/// Tenths as a decimal number, as short as it can be written.
fn tenths(value: i64) -> String {
    let (whole, part) = (value.abs() / SCALE, value.abs() % SCALE);
    let sign = if value < 0 { "-" } else { "" };
    if part == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// A curve through all points that never goes above or below two neighbours: what is between them is drawn, not made
/// up (Fritsch and Carlson's monotone cubic, as Bézier segments). The start, and then each segment.
fn smooth(points: &[(i64, i64)]) -> Vec<String> {
    let Some(first) = points.first() else { return Vec::new() };
    let rises: Vec<i64> = points.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    // The slope at a point, in height per segment: none at a peak, a dip or an end of a level stretch; else between
    // those of its neighbours, and so gentle that the curve does not overshoot.
    let slope = |place: usize| match (place.checked_sub(1).and_then(|before| rises.get(before)), rises.get(place)) {
        (Some(before), Some(after)) if before.signum() * after.signum() > 0 => {
            let gentle = 3 * before.abs().min(after.abs());
            before.signum() * ((before + after).abs() / 2).min(gentle)
        }
        (None, Some(only)) | (Some(only), None) => *only,
        _ => 0,
    };
    let mut path = vec![format!("M{} {}", tenths(first.0), tenths(first.1))];
    for (place, pair) in points.windows(2).enumerate() {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        if y0 == y1 {
            path.push(format!("H{}", tenths(x1)));
            continue;
        }
        let third = (x1 - x0) / 3;
        let (c0, c1) = (y0 + slope(place) / 3, y1 - slope(place + 1) / 3);
        let controls = [(x0 + third, c0), (x1 - third, c1), (x1, y1)].map(|(x, y)| [tenths(x), tenths(y)].join(" "));
        path.push(format!("C{}", controls.join(",")));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line, the last day and the area.
    fn drawn(values: &[i64]) -> [String; 3] {
        match Plot::line(values).shape {
            Shape::Line { line, open, area } => [line, open, area],
            Shape::Bars { .. } => panic!("bars of {values:?}"),
        }
    }

    #[test]
    fn axes_are_tidy_and_hold_what_is_shown() {
        for (most, ticks) in [
            (0, vec![1, 0]),
            (1, vec![1, 0]),
            (2, vec![2, 1, 0]),
            (3, vec![3, 2, 1, 0]),
            (7, vec![8, 6, 4, 2, 0]),
            (12, vec![15, 10, 5, 0]),
            (100, vec![100, 50, 0]),
            (101, vec![150, 100, 50, 0]),
            (3_800, vec![4_000, 3_000, 2_000, 1_000, 0]),
        ] {
            assert_eq!(Plot::line(&[0, most]).ticks, ticks, "{most}");
            assert_eq!(Plot::bars(&[0, most]).ticks, ticks, "{most}");
        }
        for most in [i64::MAX, i64::MAX / 3, 999_999_999_999] {
            let plot = Plot::line(&[most, 0]);
            assert!(plot.ticks[0] >= most && plot.ticks.len() <= 5, "{plot:?}");
            assert!(drawn(&[most, 0])[0].starts_with("M0 "), "{plot:?}");
        }
        assert_eq!(Plot::line(&[0, 7]).grid, [0, 40, 80, 120, 160]);
    }

    #[test]
    fn points_are_where_their_figures_say() {
        assert_eq!(Plot::line(&[0, 4, 2]).ticks, [4, 3, 2, 1, 0]);
        let [line, open, area] = drawn(&[0, 4, 2]);
        assert!(line.starts_with("M0 160C") && line.ends_with(",300 0"), "{line}");
        assert_eq!(open, "M600 80H600", "the last day, on its own");
        assert!(area.starts_with(&line) && area.ends_with(",300 0L300 160L0 160Z"), "{area}");
        let [line, open, _] = drawn(&[4, 0]);
        assert_eq!((line.ends_with(",600 160"), open.as_str()), (true, ""), "two points are one segment");
    }

    #[test]
    fn bars_stand_on_the_ground_and_apart() {
        let Shape::Bars { bars, open } = Plot::bars(&[0, 4, 2, 1]).shape else { panic!("no bars") };
        assert_eq!(bars, "M61 160V160h28V160zM211 160V0h28V160zM361 160V80h28V160z");
        assert_eq!(open, "M511 160V120h28V160z");
        let Shape::Bars { bars, .. } = Plot::bars(&[1; 92]).shape else { panic!("no bars") };
        assert!(bars.starts_with("M1 160V0h4.5V160zM7.5 160V0h4.5"), "{bars}");
        assert_eq!(Plot::bars(&[]).shape, Shape::Bars { bars: String::new(), open: String::new() });
        assert_eq!(Plot::bars(&[1]).shape, Shape::Bars { bars: String::new(), open: "M286 160V0h28V160z".into() });
    }

    #[test]
    fn nothing_is_a_line_on_the_ground() {
        for values in [vec![0; 30], vec![0], vec![-5, -1]] {
            let [line, open, _] = drawn(&values);
            assert!(line.starts_with("M0 160H"), "{line}");
            assert!([line, open].concat().ends_with("H600"), "{values:?}");
        }
        assert_eq!(drawn(&[]), ["", "", ""]);
    }

    /// Every y of the path, control points too.
    fn heights(path: &str) -> Vec<f64> {
        let segments = path.split(['M', 'C']).skip(1);
        let pairs = segments.flat_map(|segment| segment.split(['H', 'L']).next().unwrap_or_default().split(','));
        pairs.map(|pair| pair.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(f64::NAN)).collect()
    }

    #[test]
    fn the_curve_never_leaves_the_range_of_its_figures() {
        for values in [vec![0, 10, 0, 0, 10], vec![1, 2, 9, 10, 3, 0], vec![5, 5, 0, 9, 9, 1], vec![0, 0, 1, 0, 0]] {
            let [line, _, area] = drawn(&values);
            let (top, bottom) = (0.0, f64::from(HEIGHT));
            for y in heights(&area) {
                assert!((top..=bottom).contains(&y), "{y} of {values:?}: {line}");
            }
            // Between two neighbours the control points stay between them.
            for segment in area.split('C').skip(1) {
                assert!(!segment.contains('-'), "{segment}");
            }
        }
    }
}
