//! Teams and their projects.

use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{ProjectId, TeamId};
use crate::domain::partner::DEFAULT_AGREEMENT;
use crate::domain::program::Program;
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

/// Who runs projects.
#[derive(Debug, Clone)]
pub struct Team {
    pub id: TeamId,
    pub slug: String,
}

/// A project that is about to be made.
#[derive(Debug, Clone)]
pub struct NewProject {
    pub team: TeamId,
    pub slug: String,
    pub name: String,
    /// `live` or `test`.
    pub mode: &'static str,
    pub key_prefix: String,
    pub program: Program,
    pub author: String,
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
    /// By its slug or its id.
    pub fn team_called(&self, slug_or_id: &str) -> Result<Team> {
        let id = slug_or_id.parse::<TeamId>().ok().map(|id| id.0);
        let sql = "SELECT id, slug FROM team WHERE id = $1 OR slug = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found =
            statement.query_row(params![id, slug_or_id], |row| Ok(Team { id: TeamId(row.get(0)?), slug: row.get(1)? }));
        found.optional()?.ok_or_else(|| Error::not_found(format!("There is no team {slug_or_id:?}.")))
    }

    pub fn project(&self, id: ProjectId) -> Result<Project> {
        let sql = format!("SELECT {COLUMNS} FROM project WHERE id = $1");
        let found = self.connection.prepare_cached(&sql)?.query_row(params![id.0], project).optional()?;
        found.ok_or_else(|| Error::not_found("No such project."))
    }

    /// All of them, oldest first.
    pub fn projects(&self) -> Result<Vec<Project>> {
        let sql = format!("SELECT {COLUMNS} FROM project ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([], project)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
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

    /// A team's project, each by its slug or its id. `NotFound` for another team's.
    pub fn project_of_team(&self, team: &str, slug_or_id: &str) -> Result<Project> {
        // The same for one that is not there and for another team's.
        let none = || Error::not_found("The team has no such project.");
        let project = self.project_named(slug_or_id).map_err(|error| match error.kind {
            Kind::NotFound => none(),
            _ => error,
        })?;
        let is_its_team = if let Ok(id) = team.parse::<TeamId>() {
            id == project.team
        } else {
            let sql = "SELECT slug = $1 FROM team WHERE id = $2";
            self.connection.prepare_cached(sql)?.query_row(params![team, project.team.0], |row| row.get(0))?
        };
        if is_its_team { Ok(project) } else { Err(none()) }
    }

    /// The project whose host this is, else the default one.
    pub fn project_for_host(&self, host: &str) -> Result<Project> {
        let sql = format!(
            "SELECT {COLUMNS} FROM project WHERE host = $1 OR slug = 'default' ORDER BY slug = 'default' LIMIT 1"
        );
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![host], project)?)
    }
}

impl Tx<'_> {
    /// The team of this slug, made when there is none.
    pub fn team_named(&self, slug: &str) -> Result<TeamId> {
        let found = self.connection.query_row("SELECT id FROM team WHERE slug = $1", params![slug], |row| row.get(0));
        if let Some(id) = found.optional()? {
            return Ok(TeamId(id));
        }
        let id = self.next_key()?;
        let sql = "INSERT INTO team (id, slug, name, created_at_ms) VALUES ($1, $2, $3, $4)";
        self.connection.execute(sql, params![id, slug, slug, self.machine_now_ms()])?;
        Ok(TeamId(id))
    }

    /// `Conflict` for a slug that is taken.
    pub fn add_project(&self, new: &NewProject) -> Result<Project> {
        if self.project_named(&new.slug).is_ok() {
            return Err(Error::conflict("slug_taken", format!("There is a project {:?} already.", new.slug)));
        }
        let (id, now_ms) = (self.next_key()?, self.machine_now_ms());
        let sql = "INSERT INTO project (id, team_id, slug, name, mode, key_prefix, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = params![id, new.team.0, new.slug, new.name, new.mode, new.key_prefix, now_ms];
        self.connection.execute(sql, values)?;
        let sql = "INSERT INTO program (project_id, version, body, author, created_at_ms) VALUES ($1, 1, $2, $3, $4)";
        self.connection.execute(sql, params![id, new.program.to_json(), new.author, now_ms])?;
        self.set_agreement(ProjectId(id), DEFAULT_AGREEMENT)?;
        self.project(ProjectId(id))
    }
}
