//! A project's program: reading and changing it, and what a change would have paid.

use super::{Engine, audit};
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, Result};
use crate::domain::id::ProjectId;
use crate::domain::program::{Config, Program};
use crate::domain::replay::Comparison;
use crate::store::{ProgramVersion, Project, Snapshot, Tx, VersionedProgram};
use serde_json::json;

impl Engine {
    /// By slug or id. `NotFound`.
    pub fn project_named(&self, name: &str) -> Result<Project> {
        self.store.read_blocking(|db| db.project_named(name))
    }

    /// The program in force and all its versions, newest first.
    pub fn program(&self, project: &Project) -> Result<(VersionedProgram, Vec<ProgramVersion>)> {
        self.store.read_blocking(|db| Ok((db.program(project.id)?, db.program_versions(project.id)?)))
    }

    /// One version as it was taken in. `NotFound`.
    pub fn program_text(&self, project: &Project, version: i64) -> Result<String> {
        self.store.read_blocking(|db| db.program_text(project.id, version))
    }

    /// Makes a validated program the next version. `Conflict` when it changes the unit of credits that exist.
    pub fn set_program(&self, project: &Project, program: Program, author: &str) -> Result<i64> {
        let (project, author) = (project.id, author.to_owned());
        self.store.write_blocking(move |tx| replace(tx, project, &program, &author, &Actor::CommandLine))
    }

    /// The program in the four fields of the projects API.
    pub async fn config(&self, project: ProjectId) -> Result<Config> {
        self.store.read(move |db| Ok(db.program(project)?.config())).await
    }

    /// Makes the program with these four fields the next version. `Conflict` when it says more than they can, or it
    /// changes the unit of credits that exist.
    pub async fn set_config(&self, project: ProjectId, config: Config, actor: Actor) -> Result<Config> {
        self.store
            .write(move |tx| {
                let program = tx.program(project)?.with_config(&config).ok_or_else(|| {
                    let message = "The program has rules that these fields cannot say; use refloop project program.";
                    Error::conflict("program_not_expressible", message)
                })?;
                replace(tx, project, &program, &actor.to_string(), &actor)?;
                Ok(program.config())
            })
            .await
    }

    /// What a validated program would have paid over the project's past, beside what the one in force would have:
    /// nothing is written. `Conflict` where [`Engine::set_program`] would refuse it.
    pub fn try_program(&self, project: &Project, program: &Program) -> Result<(VersionedProgram, Comparison)> {
        self.store.read_blocking(|db| {
            let current = db.program(project.id)?;
            check_unit(db, project.id, &current, program)?;
            let mut comparison = Comparison::new(&current, program);
            db.each_history(project.id, |history| comparison.add(&current, program, history))?;
            Ok((current, comparison))
        })
    }
}

/// Makes a program the next version, unless it is the one in force. Its version.
fn replace(tx: &Tx<'_>, project: ProjectId, program: &Program, author: &str, actor: &Actor) -> Result<i64> {
    let current = tx.program(project)?;
    if *current == *program {
        return Ok(current.version);
    }
    check_unit(tx, project, &current, program)?;
    let version = tx.add_program(project, program, author)?;
    let details = json!({ "from": current.version, "to": version });
    audit::note(tx, project, actor, action::PROGRAM_CHANGE, &format!("v{version}"), &details)?;
    Ok(version)
}

pub(super) fn check_unit(db: &Snapshot<'_>, project: ProjectId, current: &Program, program: &Program) -> Result<()> {
    if current.unit == program.unit || !db.has_entries(project)? {
        return Ok(());
    }
    Err(Error::conflict(
        "unit_is_fixed",
        format!(
            "The ledger has entries in {}; a program in {} needs a project of its own.",
            current.unit, program.unit
        ),
    ))
}
