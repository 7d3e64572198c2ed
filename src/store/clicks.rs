//! Clicks: single ones while a signup can come of them, and how many there were on each day for good.

use super::tx::{Snapshot, Tx};
use crate::domain::click::{MOST_A_DAY_AND_PROJECT, MOST_A_DAY_AND_REFERRER, VisitorId};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::time::DAY_MS;
use rusqlite::{OptionalExtension, params};

/// A click that may be counted.
#[derive(Debug, Clone, Copy)]
pub struct NewClick {
    pub project: ProjectId,
    pub code: i64,
    pub referrer: AccountId,
    /// Whom it counts for; `None` for a click on one's own link.
    pub visitor: Option<VisitorId>,
    /// Who the same visitor is to those who do not see their cookies: they are marked, so as not to count again.
    pub also: Option<VisitorId>,
    pub at_ms: i64,
    /// An earlier click of the visitor with this code counts for this one, unless it was before.
    pub window_from_ms: i64,
}

/// Visitors of a referrer's codes who have not signed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedClicks {
    pub count: i64,
    /// When the latest of them came, newest first.
    pub recent_at_ms: Vec<i64>,
}

impl Snapshot<'_> {
    /// All clicks of a referrer's codes that were ever counted.
    pub fn counted_clicks(&self, project: ProjectId, referrer: AccountId) -> Result<i64> {
        let sql = "SELECT coalesce(sum(clicks), 0) FROM click_day WHERE project_id = $1 AND referrer_id = $2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, referrer.0], |row| row.get(0))?)
    }

    pub fn unsigned_clicks(
        &self,
        project: ProjectId,
        referrer: AccountId,
        since_ms: i64,
        most_recent: i64,
    ) -> Result<UnsignedClicks> {
        let sql = "SELECT count(*) FROM click
                   WHERE project_id = $1 AND referrer_id = $2 AND signed_up = 0 AND at_ms > $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let count = statement.query_row(params![project.0, referrer.0, since_ms], |row| row.get(0))?;
        let sql = "SELECT at_ms FROM click WHERE project_id = $1 AND referrer_id = $2 AND signed_up = 0 AND at_ms > $3
                   ORDER BY at_ms DESC LIMIT $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, referrer.0, since_ms, most_recent], |row| row.get(0))?;
        Ok(UnsignedClicks { count, recent_at_ms: rows.collect::<rusqlite::Result<_>>()? })
    }

    /// Whether there is a click that is no longer needed by itself.
    pub fn has_clicks_before(&self, project: ProjectId, before_ms: i64) -> Result<bool> {
        let sql = "SELECT 1 FROM click WHERE project_id = $1 AND at_ms <= $2 LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, before_ms], |_| Ok(())).optional()?.is_some())
    }

    /// The key of visitors' hashes, and its day.
    pub fn visitor_key(&self) -> Result<Option<(i64, [u8; 32])>> {
        let sql = "SELECT visitor_key_day, visitor_key FROM instance WHERE visitor_key_day IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    fn has_room_for_click(&self, project: ProjectId, referrer: AccountId, day: i64) -> Result<bool> {
        let sql = "SELECT clicks FROM click_day WHERE project_id = $1 AND referrer_id = $2 AND day = $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let of_referrer: Option<i64> =
            statement.query_row(params![project.0, referrer.0, day], |row| row.get(0)).optional()?;
        let sql = "SELECT clicks FROM project_click_day WHERE project_id = $1 AND day = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let of_project: Option<i64> = statement.query_row(params![project.0, day], |row| row.get(0)).optional()?;
        Ok(of_referrer.unwrap_or(0) < MOST_A_DAY_AND_REFERRER && of_project.unwrap_or(0) < MOST_A_DAY_AND_PROJECT)
    }
}

impl Tx<'_> {
    /// Counts a click, unless the visitor's last one with the code is within the window or the day is full.
    pub fn count_click(&self, click: &NewClick) -> Result<bool> {
        let NewClick { project, referrer, at_ms, .. } = *click;
        if let Some(also) = click.also {
            self.mark_visitor(click, also)?;
        }
        let Some(visitor) = click.visitor else { return Ok(false) };
        let day = at_ms.div_euclid(DAY_MS);
        if !self.has_room_for_click(project, referrer, day)? {
            return Ok(false);
        }
        let sql = "INSERT INTO click (project_id, code_id, referrer_id, visitor, at_ms) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (code_id, visitor) DO UPDATE SET at_ms = excluded.at_ms, signed_up = 0
                   WHERE click.at_ms <= $6";
        let new = params![project.0, click.code, referrer.0, visitor.0, at_ms, click.window_from_ms];
        if self.connection.prepare_cached(sql)?.execute(new)? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO click_day (project_id, referrer_id, day, clicks) VALUES ($1, $2, $3, 1)
                   ON CONFLICT (project_id, referrer_id, day) DO UPDATE SET clicks = click_day.clicks + 1";
        self.connection.prepare_cached(sql)?.execute(params![project.0, referrer.0, day])?;
        let sql = "INSERT INTO project_click_day (project_id, day, clicks, marks) VALUES ($1, $2, 1, 0)
                   ON CONFLICT (project_id, day) DO UPDATE SET clicks = project_click_day.clicks + 1";
        self.connection.prepare_cached(sql)?.execute(params![project.0, day])?;
        self.staging.borrow_mut().note_figures(referrer);
        Ok(true)
    }

    /// A row that stands for no click of its own: in no figure, and not among those who have not signed up. A day has
    /// room for so many of them, too.
    fn mark_visitor(&self, click: &NewClick, visitor: VisitorId) -> Result<()> {
        let NewClick { project, referrer, at_ms, .. } = *click;
        let day = at_ms.div_euclid(DAY_MS);
        let sql = "SELECT marks FROM project_click_day WHERE project_id = $1 AND day = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let marks: Option<i64> = statement.query_row(params![project.0, day], |row| row.get(0)).optional()?;
        if marks.unwrap_or(0) >= MOST_A_DAY_AND_PROJECT {
            return Ok(());
        }
        let sql = "INSERT INTO click (project_id, code_id, referrer_id, visitor, at_ms, signed_up)
                   VALUES ($1, $2, $3, $4, $5, 1)
                   ON CONFLICT (code_id, visitor) DO UPDATE SET at_ms = excluded.at_ms, signed_up = 1
                   WHERE click.at_ms <= $6";
        let new = params![project.0, click.code, referrer.0, visitor.0, at_ms, click.window_from_ms];
        if self.connection.prepare_cached(sql)?.execute(new)? > 0 {
            let sql = "INSERT INTO project_click_day (project_id, day, clicks, marks) VALUES ($1, $2, 0, 1)
                       ON CONFLICT (project_id, day) DO UPDATE SET marks = project_click_day.marks + 1";
            self.connection.prepare_cached(sql)?.execute(params![project.0, day])?;
        }
        Ok(())
    }

    /// The visitor has signed up with this code.
    pub fn set_click_signed_up(&self, project: ProjectId, code: i64, visitor: VisitorId) -> Result<()> {
        let sql = "UPDATE click SET signed_up = 1 WHERE project_id = $1 AND code_id = $2 AND visitor = $3";
        self.connection.prepare_cached(sql)?.execute(params![project.0, code, visitor.0])?;
        Ok(())
    }

    /// Removes the oldest single clicks up to `before_ms`, so many at most. The days' figures stay.
    pub fn forget_clicks(&self, project: ProjectId, before_ms: i64, most: i64) -> Result<usize> {
        let sql = "DELETE FROM click WHERE id IN (
                     SELECT id FROM click WHERE project_id = $1 AND at_ms <= $2 ORDER BY at_ms LIMIT $3)";
        Ok(self.connection.prepare_cached(sql)?.execute(params![project.0, before_ms, most])?)
    }

    /// The key of visitors' hashes on that UTC day: `fresh`, unless there is one already. Any other day's is gone then.
    pub fn visitor_key_of(&self, day: i64, fresh: &[u8; 32]) -> Result<[u8; 32]> {
        let sql = "UPDATE instance SET visitor_key = $1, visitor_key_day = $2
                   WHERE visitor_key_day IS NULL OR visitor_key_day <> $2";
        if self.connection.prepare_cached(sql)?.execute(params![fresh, day])? > 0 {
            self.forget_all_sightings()?;
        }
        let sql = "SELECT visitor_key FROM instance";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Throws the key of any other day away, with all that was hashed with it and is of no use without.
    pub fn forget_visitor_key(&self, today: i64) -> Result<()> {
        let sql = "UPDATE instance SET visitor_key = NULL, visitor_key_day = NULL WHERE visitor_key_day <> $1";
        if self.connection.prepare_cached(sql)?.execute(params![today])? > 0 {
            self.forget_all_sightings()?;
        }
        Ok(())
    }
}
