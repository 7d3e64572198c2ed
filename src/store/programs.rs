//! Programs, every version of them.

use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::ProjectId;
use crate::domain::program::Program;
use rusqlite::{OptionalExtension, params};
use std::ops::Deref;
use std::sync::Arc;

/// The program in force, with the version that grants will name.
#[derive(Debug, Clone)]
pub struct VersionedProgram {
    pub version: i64,
    program: Arc<Program>,
}

impl Deref for VersionedProgram {
    type Target = Program;
    fn deref(&self) -> &Program {
        &self.program
    }
}

/// When a version came into force, and by whom.
#[derive(Debug, Clone)]
pub struct ProgramVersion {
    pub version: i64,
    pub author: String,
    pub created_at_ms: i64,
}

impl Snapshot<'_> {
    pub fn program(&self, project: ProjectId) -> Result<VersionedProgram> {
        if let Some(known) = self.staging.and_then(|staging| staging.borrow().program(project)) {
            return Ok(known);
        }
        let sql = "SELECT max(version) FROM program WHERE project_id = $1";
        let version: i64 = self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?;
        let program = self.program_of_version(project, version)?;
        if let Some(staging) = self.staging {
            staging.borrow_mut().keep_program(project, program.clone());
        }
        Ok(program)
    }

    /// The program that was in force at a time; for any time before the first version, that one.
    pub fn program_at(&self, project: ProjectId, at_ms: i64) -> Result<VersionedProgram> {
        let current = self.program(project)?;
        let sql = "SELECT coalesce(max(version), 1) FROM program WHERE project_id = $1 AND created_at_ms <= $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let version: i64 = statement.query_row(params![project.0, at_ms], |row| row.get(0))?;
        if version == current.version { Ok(current) } else { self.program_of_version(project, version) }
    }

    fn program_of_version(&self, project: ProjectId, version: i64) -> Result<VersionedProgram> {
        let program = self.shared.cached_program(project, version, || {
            let sql = "SELECT body FROM program WHERE project_id = $1 AND version = $2";
            let body: String =
                self.connection.prepare_cached(sql)?.query_row(params![project.0, version], |row| row.get(0))?;
            Program::from_json(&body)
                .map_err(|fault| Error::internal(format!("program {version} of {project} does not read: {fault}")))
        })?;
        Ok(VersionedProgram { version, program })
    }

    /// Newest first.
    pub fn program_versions(&self, project: ProjectId) -> Result<Vec<ProgramVersion>> {
        let sql = "SELECT version, author, created_at_ms FROM program WHERE project_id = $1 ORDER BY version DESC";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0], |row| {
            Ok(ProgramVersion { version: row.get(0)?, author: row.get(1)?, created_at_ms: row.get(2)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One version's text as it was taken in. `NotFound`.
    pub fn program_text(&self, project: ProjectId, version: i64) -> Result<String> {
        let sql = "SELECT body FROM program WHERE project_id = $1 AND version = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, version], |row| row.get(0)).optional()?;
        found.ok_or_else(|| Error::not_found(format!("There is no version {version} of this program.")))
    }

    /// Whether the project's ledger has entries: then its unit is fixed.
    pub fn has_entries(&self, project: ProjectId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entry WHERE project_id = $1)";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Makes a validated program the next version.
    pub fn add_program(&self, project: ProjectId, program: &Program, author: &str) -> Result<i64> {
        let version = self.program(project)?.version + 1;
        let sql = "INSERT INTO program (project_id, version, body, author, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
        self.connection.execute(sql, params![project.0, version, program.to_json(), author, self.now_ms(project)])?;
        self.staging.borrow_mut().forget_program(project);
        Ok(version)
    }
}
