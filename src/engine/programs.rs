//! A project's program, for the command line.

use super::Engine;
use crate::domain::error::{Error, Result};
use crate::domain::program::Program;
use crate::store::{ProgramVersion, Project, VersionedProgram};

impl Engine {
    /// By slug or id. `NotFound`.
    pub fn project_named(&self, name: &str) -> Result<Project> {
        self.store.read_blocking(|db| db.project_named(name))
    }

    pub fn program(&self, project: &Project) -> Result<(VersionedProgram, Vec<ProgramVersion>)> {
        self.store.read_blocking(|db| Ok((db.program(project.id)?, db.program_versions(project.id)?)))
    }

    /// Makes a validated program the next version. `Conflict` when it changes the unit of credits that exist.
    pub fn set_program(&self, project: &Project, program: Program, author: &str) -> Result<i64> {
        let (project, author) = (project.id, author.to_owned());
        self.store.write_blocking(move |tx| {
            let current = tx.program(project)?;
            if *current == program {
                return Ok(current.version);
            }
            if current.unit != program.unit && tx.has_entries(project)? {
                return Err(Error::conflict(
                    "unit_is_fixed",
                    format!(
                        "The ledger has entries in {}; a program in {} needs a project of its own.",
                        current.unit, program.unit
                    ),
                ));
            }
            tx.add_program(project, &program, &author)
        })
    }
}
