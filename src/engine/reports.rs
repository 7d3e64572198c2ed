//! Figures for the referrer, and the leaderboard.

use super::Engine;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{Balance, Totals};
use crate::domain::time::{self, DAY_MS};
pub use crate::store::DayRow;
use crate::store::{LeaderRow, Reader, ReferralCounts};

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

    fn since_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::All => i64::MIN,
            Self::Month => now_ms - 30 * DAY_MS,
            Self::Week => now_ms - 7 * DAY_MS,
        }
    }
}

pub type Leader = LeaderRow;

impl Engine {
    /// Figures to now, and a series of the last `days` UTC days, today included, without gaps.
    pub async fn stats(&self, reader: &Reader, project: ProjectId, account: AccountId, days: i64) -> Result<Stats> {
        let now_ms = self.now_ms(project);
        let today = now_ms.div_euclid(DAY_MS);
        let first_day = today - days + 1;
        let figures = self.store.figures(project, account, first_day).await?;
        let has = reader.with_holdings(project, account, |has| (has.totals(), has.balance(now_ms)))?;
        let (totals, balance) = has.ok_or_else(|| Error::not_found("No such account."))?;
        let mut series: Vec<SeriesDay> = (first_day..=today)
            .map(|day| SeriesDay { date: time::date(day * DAY_MS), row: DayRow { day, ..DayRow::default() } })
            .collect();
        for row in &figures.days {
            let place = usize::try_from(row.day - first_day).unwrap_or(usize::MAX);
            if let Some(day) = series.get_mut(place) {
                day.row.clicks += row.clicks;
                day.row.signups += row.signups;
                day.row.conversions += row.conversions;
                day.row.credits += row.credits;
            }
        }
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
            series,
        })
    }

    /// `NotFound` where the program has none.
    pub async fn leaderboard(&self, project: ProjectId, period: Period) -> Result<Vec<Leader>> {
        const MOST: i64 = 100;
        self.store
            .read(move |db| {
                if !db.program(project)?.leaderboard.enabled {
                    return Err(Error::not_found("This project has no leaderboard."));
                }
                db.leaderboard(project, period.since_ms(db.now_ms(project)), MOST)
            })
            .await
    }
}
