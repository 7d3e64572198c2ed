//! A project's program: what is in force, and the next version.

use super::Engine;
use crate::domain::error::{Error, Result};
use crate::domain::id::ProjectId;
use crate::domain::program::{Config, Program};
use crate::store::{ProgramVersion, Project, Tx, VersionedProgram};

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
        self.store.write_blocking(move |tx| replace(tx, project, &program, &author))
    }

    /// The program in the four fields of the projects API.
    pub async fn config(&self, project: ProjectId) -> Result<Config> {
        self.store.read(move |db| Ok(db.program(project)?.config())).await
    }

    /// Makes the program with these four fields the next version. `Conflict` when it says more than they can, or it
    /// changes the unit of credits that exist.
    pub async fn set_config(&self, project: ProjectId, config: Config, author: String) -> Result<Config> {
        self.store
            .write(move |tx| {
                let program = tx.program(project)?.with_config(&config).ok_or_else(|| {
                    let message = "The program has rules that these fields cannot say; use refloop project program.";
                    Error::conflict("program_not_expressible", message)
                })?;
                replace(tx, project, &program, &author)?;
                Ok(program.config())
            })
            .await
    }
}

/// Makes a program the next version, unless it is the one in force. Its version.
fn replace(tx: &Tx<'_>, project: ProjectId, program: &Program, author: &str) -> Result<i64> {
    let current = tx.program(project)?;
    if *current == *program {
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
    tx.add_program(project, program, author)
}
