//! Changing a program from the console: what it is now, what a change would have cost, and making it.

use super::audit::By;
use super::programs::check_unit;
use super::{Engine, VersionedProgram};
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, Result};
use crate::domain::id::ProjectId;
use crate::domain::program::{Change, Program, changes};
use crate::domain::replay::Comparison;
use crate::domain::time::DAY_MS;
use crate::store::{ProgramVersion, Snapshot};
use serde_json::json;

/// A program that is to follow on the version that its author has seen.
#[derive(Debug, Clone)]
pub struct NewProgram {
    pub program: Program,
    pub on_version: i64,
    pub reason: Option<String>,
}

/// What a change would mean.
#[derive(Debug, Clone)]
pub struct ProgramPreview {
    pub current: VersionedProgram,
    pub changes: Vec<Change>,
    pub comparison: Comparison,
    /// Events since then were replayed; `None`: all.
    pub since_ms: Option<i64>,
}

/// What no replay of the past can know, by stable code and in words.
pub const UNKNOWABLE: [(&str, &str); 5] = [
    ("behaviour", "People act by the rewards that they see: others might have come, or have done more or less."),
    ("refunds", "Grants are counted as they are decided. What was refunded or reversed later is not taken off."),
    ("rejected", "Referrals that were rejected are left out under both programs."),
    ("tracks", "Whoever is a partner now counts as one from the start."),
    (
        "call_times",
        "Calls are kept as a number. When one that no rule waited for was made is known only roughly: grants that may lie \
         before the days asked for are counted apart, as unsure.",
    ),
];

impl Engine {
    /// The program in force, and who made it when.
    pub async fn program_in_force(&self, project: ProjectId) -> Result<(VersionedProgram, ProgramVersion)> {
        self.store
            .read(move |db| {
                let (program, versions) = (db.program(project)?, db.program_versions(project)?);
                let newest = versions.into_iter().next();
                Ok((program, newest.ok_or_else(|| Error::internal("a project without a program"))?))
            })
            .await
    }

    /// Newest first.
    pub async fn program_versions(&self, project: ProjectId) -> Result<Vec<ProgramVersion>> {
        self.store.read(move |db| db.program_versions(project)).await
    }

    /// `NotFound` for a version that is not there.
    pub async fn program_version(&self, project: ProjectId, version: i64) -> Result<Program> {
        self.store.read(move |db| version_of(db, project, version)).await
    }

    /// What is different between two versions. `NotFound`.
    pub async fn program_diff(&self, project: ProjectId, from: i64, to: i64) -> Result<Vec<Change>> {
        let read = move |db: &Snapshot<'_>| Ok(changes(&version_of(db, project, from)?, &version_of(db, project, to)?));
        self.store.read(read).await
    }

    /// What a validated program would have cost, beside the one in force: nothing is written. `Conflict` where
    /// [`Engine::change_program`] would refuse it; `Busy` while others are being tried.
    pub async fn preview_program(
        &self,
        project: ProjectId,
        program: Program,
        days: Option<u32>,
    ) -> Result<ProgramPreview> {
        // Each reads a good part of the file.
        let _turn =
            self.previews.try_acquire().map_err(|_| Error::busy("Another program is being tried right now."))?;
        self.store
            .read(move |db| {
                let current = db.program(project)?;
                check_unit(db, project, &current, &program)?;
                let since_ms = days.map(|days| db.now_ms(project) - i64::from(days) * DAY_MS);
                let mut comparison = Comparison::new(&current, &program).since(since_ms);
                db.each_history(project, |history| comparison.add(&current, &program, history))?;
                Ok(ProgramPreview { changes: changes(&current, &program), current, comparison, since_ms })
            })
            .await
    }

    /// Makes a validated program the next version; what is granted already stays as it is. Its version, which is the
    /// present one when nothing is different. `Conflict` when another version is in force than the author has seen, or the
    /// unit of credits that exist would change.
    pub async fn change_program(&self, project: ProjectId, new: NewProgram, actor: Actor) -> Result<i64> {
        self.store
            .write(move |tx| {
                let current = tx.program(project)?;
                if current.version != new.on_version {
                    let message = format!(
                        "The program was changed meanwhile: version {} is in force, and this was made from version {}.",
                        current.version, new.on_version
                    );
                    return Err(Error::conflict("program_changed", message));
                }
                if *current == new.program {
                    return Ok(current.version);
                }
                check_unit(tx, project, &current, &new.program)?;
                let version = tx.add_program(project, &new.program, &actor.to_string())?;
                let changes = changes(&current, &new.program);
                let paths: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
                let details = json!({ "from": current.version, "to": version, "changed": paths });
                let by = By { actor, reason: new.reason };
                by.note(tx, project, action::PROGRAM_CHANGE, &format!("v{version}"), &details)?;
                Ok(version)
            })
            .await
    }
}

fn version_of(db: &Snapshot<'_>, project: ProjectId, version: i64) -> Result<Program> {
    let text = db.program_text(project, version)?;
    Program::from_json(&text)
        .map_err(|fault| Error::internal(format!("program {version} of {project} does not read: {fault}")))
}
