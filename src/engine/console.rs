//! A project as its operators see it at a glance.

use super::Engine;
use super::reports::{SeriesDay, series};
use crate::domain::error::Result;
use crate::domain::id::ProjectId;
use crate::domain::time::DAY_MS;
use crate::store::{Population, ProjectBooks, VersionedProgram, Waiting};

#[derive(Debug, Clone)]
pub struct ProjectOverview {
    pub program: VersionedProgram,
    pub books: ProjectBooks,
    pub waiting: Waiting,
    pub population: Population,
    /// The last days, today included, without gaps.
    pub series: Vec<SeriesDay>,
}

impl Engine {
    /// All in one snapshot, so that the books balance whatever goes on meanwhile. It reads much: not for a hot path.
    pub async fn project_overview(&self, project: ProjectId, days: i64) -> Result<ProjectOverview> {
        self.store
            .read(move |db| {
                let today = db.now_ms(project).div_euclid(DAY_MS);
                let first_day = today - days + 1;
                Ok(ProjectOverview {
                    program: db.program(project)?,
                    books: db.project_books(project)?,
                    waiting: db.waiting(project)?,
                    population: db.population(project)?,
                    series: series(first_day, today, &db.project_days(project, first_day)?),
                })
            })
            .await
    }

    /// What waits in each of some projects.
    pub async fn waiting(&self, projects: Vec<ProjectId>) -> Result<Vec<Waiting>> {
        self.store.read(move |db| projects.iter().map(|project| db.waiting(*project)).collect()).await
    }
}
