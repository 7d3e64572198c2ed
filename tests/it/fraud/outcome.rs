//! What came of it: of honest referrals how many are held, and of each kind of farmer what they can spend.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

/// What a fake would bring by the rewards alone: 1,000 and 500 at signup, 500 for a call, 1,000 for a hundred.
const BARE: i64 = 3_000;

/// A kind of farmer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Farm {
    pub fakes: i64,
    pub refused: i64,
    pub held: i64,
    /// What the rules against abuse let through, and what could ever be spent.
    pub granted: i64,
    pub spent: i64,
}

impl Farm {
    fn and(self, other: Self) -> Self {
        Self {
            fakes: self.fakes + other.fakes,
            refused: self.refused + other.refused,
            held: self.held + other.held,
            granted: self.granted + other.granted,
            spent: self.spent + other.spent,
        }
    }

    fn bare(self) -> i64 {
        self.fakes * BARE
    }

    pub fn spent_share(self) -> f64 {
        share(self.spent, self.bare())
    }

    /// Of all fakes, those that were refused or held.
    pub fn recall(self) -> f64 {
        share(self.refused + self.held, self.fakes)
    }
}

impl Display for Farm {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { fakes, refused, held, granted, spent } = self;
        let (bare, percent) = (self.bare(), percent(self.spent_share()));
        write!(f, "{fakes} | {refused} | {held} | {bare} | {granted} | {spent} ({percent})")
    }
}

#[derive(Default)]
pub struct Outcome {
    pub honest: i64,
    pub honest_held: i64,
    pub kinds: BTreeMap<&'static str, Farm>,
}

#[expect(clippy::cast_precision_loss, reason = "small figures")]
fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

impl Outcome {
    pub fn and(mut self, other: &Self) -> Self {
        for (kind, farm) in &other.kinds {
            let sum = self.kinds.entry(kind).or_default();
            *sum = sum.and(*farm);
        }
        Self { honest: self.honest + other.honest, honest_held: self.honest_held + other.honest_held, ..self }
    }

    /// All farmers together.
    pub fn farm(&self) -> Farm {
        self.kinds.values().fold(Farm::default(), |sum, farm| sum.and(*farm))
    }

    pub fn held_share(&self) -> f64 {
        share(self.honest_held, self.honest)
    }

    /// Of all that was held, what was made up.
    fn precision(&self) -> f64 {
        share(self.farm().held, self.farm().held + self.honest_held)
    }
}

/// The table of the README, with the sum as its last row.
impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (honest, held, farm) = (self.honest, self.honest_held, self.farm());
        let (of_honest, precision, recall) =
            (percent(self.held_share()), percent(self.precision()), percent(farm.recall()));
        writeln!(f, "{honest} honest referrals, {held} held ({of_honest}); precision {precision}, recall {recall}")?;
        writeln!(f, "| farmer | made up | refused | held | rewards alone | after the rules | ever spent |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (kind, farm) in &self.kinds {
            writeln!(f, "| {kind} | {farm} |")?;
        }
        write!(f, "| all | {farm} |")
    }
}
