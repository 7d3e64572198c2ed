//! Figures for the referrer, and the leaderboard.

use super::Engine;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{Balance, Totals};
use crate::domain::time::{self, DAY_MS};
pub use crate::store::DayRow;
use crate::store::{Board, LeaderRow, MOST_LEADERS, Reader, ReferralCounts};

/// Everything that `referral-stats` shows.
#[derive(Debug, Clone)]
pub struct Stats {
    pub clicks: i64,
    pub counts: ReferralCounts,
    pub totals: Totals,
    pub balance: Balance,
    pub milestones: Milestones,
    pub series: Vec<SeriesDay>,
}

/// How many referrals have come how far.
#[derive(Debug, Clone, Copy)]
pub struct Milestones {
    pub signed_up: i64,
    pub first_call: i64,
    pub active: i64,
    pub converted: i64,
}

#[derive(Debug, Clone)]
pub struct SeriesDay {
    pub date: String,
    pub row: DayRow,
}

/// How far back a leaderboard looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    All,
    Month,
    Week,
}

impl Period {
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "all" => Ok(Self::All),
            "month" => Ok(Self::Month),
            "week" => Ok(Self::Week),
            _ => Err(Error::field("period", "invalid_period", "A period is all, month (30 days) or week (7 days).")),
        }
    }

    fn looks_back_ms(self) -> Option<i64> {
        match self {
            Self::All => None,
            Self::Month => Some(30 * DAY_MS),
            Self::Week => Some(7 * DAY_MS),
        }
    }
}

pub type Leader = LeaderRow;

/// Where someone stands who looks at a leaderboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Listed,
    /// They have chosen no name to be listed by.
    Unnamed,
    /// With a name, but without a referral that counts in the period.
    NoReferrals,
    /// Too many have more of them.
    Below,
}

/// Days without gaps, with what happened on them.
pub fn series(first_day: i64, today: i64, rows: &[DayRow]) -> Vec<SeriesDay> {
    let mut series: Vec<SeriesDay> = (first_day..=today)
        .map(|day| SeriesDay { date: time::date(day * DAY_MS), row: DayRow { day, ..DayRow::default() } })
        .collect();
    for row in rows {
        let place = usize::try_from(row.day - first_day).unwrap_or(usize::MAX);
        if let Some(day) = series.get_mut(place) {
            day.row.clicks += row.clicks;
            day.row.signups += row.signups;
            day.row.conversions += row.conversions;
            day.row.credits += row.credits;
        }
    }
    series
}

impl Engine {
    /// Figures to now, and a series of the last `days` UTC days, today included, without gaps.
    pub async fn stats(&self, reader: &Reader, project: ProjectId, account: AccountId, days: i64) -> Result<Stats> {
        let now_ms = self.now_ms(project);
        let today = now_ms.div_euclid(DAY_MS);
        let first_day = today - days + 1;
        let figures = self.store.figures(project, account, first_day).await?;
        let has = reader.with_holdings(project, account, |has| (has.totals(), has.balance(now_ms)))?;
        let (totals, balance) = has.ok_or_else(|| Error::not_found("No such account."))?;
        let counts = figures.counts;
        Ok(Stats {
            clicks: figures.clicks,
            counts,
            totals,
            balance,
            milestones: Milestones {
                signed_up: counts.total,
                first_call: counts.first_call,
                active: counts.active,
                converted: counts.converted,
            },
            series: series(first_day, today, &figures.days),
        })
    }

    /// Those who chose a name, most referrals first. `NotFound` where the program has no leaderboard.
    pub async fn leaderboard(&self, project: ProjectId, period: Period) -> Result<Board> {
        if !self.store.read(move |db| Ok(db.program(project)?.leaderboard.enabled)).await? {
            return Err(Error::not_found("This project has no leaderboard."));
        }
        self.store.leaderboard(project, period.looks_back_ms()).await
    }

    /// Where an account stands on a board of its project.
    pub async fn standing(&self, project: ProjectId, account: AccountId, board: &[Leader]) -> Result<Standing> {
        if board.iter().any(|leader| leader.account == account) {
            return Ok(Standing::Listed);
        }
        let is_named = self.store.read(move |db| Ok(db.account(project, account)?.leaderboard_name.is_some())).await?;
        Ok(match (is_named, board.len() < MOST_LEADERS) {
            (false, _) => Standing::Unnamed,
            (true, true) => Standing::NoReferrals,
            (true, false) => Standing::Below,
        })
    }
}
