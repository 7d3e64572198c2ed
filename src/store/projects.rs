//! Teams and their projects.

use super::tx::Snapshot;
use crate::domain::error::{Error, Result};
use crate::domain::id::{ProjectId, TeamId};
use rusqlite::{OptionalExtension, Row, params};

/// One referral programme with its own accounts, codes, ledger and settings.
#[derive(Debug, Clone)]
pub struct Project {
    pub id: ProjectId,
    pub team: TeamId,
    pub slug: String,
    pub name: String,
    pub mode: String,
    pub host: Option<String>,
    pub landing_url: Option<String>,
    pub key_prefix: String,
    pub created_at_ms: i64,
}

const COLUMNS: &str = "id, team_id, slug, name, mode, host, landing_url, key_prefix, created_at_ms";

fn project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId(row.get(0)?),
        team: TeamId(row.get(1)?),
        slug: row.get(2)?,
        name: row.get(3)?,
        mode: row.get(4)?,
        host: row.get(5)?,
        landing_url: row.get(6)?,
        key_prefix: row.get(7)?,
        created_at_ms: row.get(8)?,
    })
}

impl Snapshot<'_> {
    pub fn project(&self, id: ProjectId) -> Result<Project> {
        let sql = format!("SELECT {COLUMNS} FROM project WHERE id = $1");
        let found = self.connection.prepare_cached(&sql)?.query_row(params![id.0], project).optional()?;
        found.ok_or_else(|| Error::not_found("No such project."))
    }

    /// By its slug or its id.
    pub fn project_named(&self, slug_or_id: &str) -> Result<Project> {
        if let Ok(id) = slug_or_id.parse::<ProjectId>() {
            return self.project(id);
        }
        let sql = format!("SELECT {COLUMNS} FROM project WHERE slug = $1");
        let found = self.connection.prepare_cached(&sql)?.query_row(params![slug_or_id], project).optional()?;
        found.ok_or_else(|| Error::not_found(format!("There is no project {slug_or_id:?}.")))
    }

    /// The project whose host this is, else the default one.
    pub fn project_for_host(&self, host: &str) -> Result<Project> {
        let sql = format!(
            "SELECT {COLUMNS} FROM project WHERE host = $1 OR slug = 'default' ORDER BY slug = 'default' LIMIT 1"
        );
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![host], project)?)
    }
}
