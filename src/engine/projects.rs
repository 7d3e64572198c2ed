//! Making projects, listing them, and changing what is set for them.

use super::Engine;
use crate::domain::error::{Error, FieldError, Kind, Result};
use crate::domain::id::TeamId;
use crate::domain::program::Preset;
use crate::domain::setting::{self, ProjectSettings, Setting};
use crate::domain::text;
use crate::store::{Agreement, NewProject, ProgramVersion, Project, Snapshot, Team, VersionedProgram};

/// A project with everything that its team may see of it. The settings have secrets in them: never to be shown.
pub struct ProjectView {
    pub project: Project,
    pub team: Team,
    pub settings: ProjectSettings,
    pub program: VersionedProgram,
    /// What partners agree to.
    pub agreement: Agreement,
    /// When the program came into force, and by whom.
    pub newest: Option<ProgramVersion>,
}

fn view(db: &Snapshot<'_>, project: Project) -> Result<ProjectView> {
    Ok(ProjectView {
        team: db.team_called(&project.team.to_string())?,
        settings: db.project_settings(project.id)?,
        program: db.program(project.id)?,
        agreement: db.agreement(project.id)?,
        newest: db.program_versions(project.id)?.into_iter().next(),
        project,
    })
}

impl Engine {
    /// A project that starts with a preset's program; its team, by slug or id, is made when there is none of that slug.
    /// `Conflict` for a slug that is taken; `Invalid`; `NotFound` for a team's id that is nobody's.
    pub fn create_project(
        &self,
        team: &str,
        slug: &str,
        name: &str,
        preset: Preset,
        mode: &'static str,
    ) -> Result<Project> {
        let (slug, name) = (setting::slug("slug", slug)?, text::display("name", name, 100)?);
        let is_id = team.parse::<TeamId>().is_ok();
        let team = if is_id { team.to_owned() } else { setting::slug("team", team)? };
        self.store.write_blocking(move |tx| {
            tx.add_project(&NewProject {
                team: if is_id { tx.team_called(&team)?.id } else { tx.team_named(&team)? },
                slug,
                name,
                mode,
                key_prefix: "bw".into(),
                program: preset.program(),
                author: "command line".into(),
            })
        })
    }

    /// Oldest first, each with its team's slug.
    pub fn projects(&self) -> Result<Vec<(Project, Team)>> {
        self.store.read_blocking(|db| {
            let with_team = |project: Project| Ok((db.team_called(&project.team.to_string())?, project));
            let pairs = db.projects()?.into_iter().map(with_team).collect::<Result<Vec<_>>>()?;
            Ok(pairs.into_iter().map(|(team, project)| (project, team)).collect())
        })
    }

    /// By slug or id. `NotFound`.
    pub fn project_view(&self, name: &str) -> Result<ProjectView> {
        self.store.read_blocking(|db| view(db, db.project_named(name)?))
    }

    /// Sets all values or none, and answers with what is set then. `Invalid` with each fault by its setting's name;
    /// `Conflict` for a host that another project has.
    pub fn set_project(&self, name: &str, values: Vec<(Setting, String)>) -> Result<ProjectView> {
        let name = name.to_owned();
        self.store.write_blocking(move |tx| {
            let project = tx.project_named(&name)?;
            let mut settings = tx.project_settings(project.id)?;
            settings.assign(&values)?;
            if let Some(host) = &settings.host
                && let Some(other) = tx.host_taken_by(project.id, host)?
            {
                return Err(host_taken(host, &other));
            }
            tx.set_project_settings(project.id, &settings)?;
            view(tx, tx.project(project.id)?)
        })
    }
}

fn host_taken(host: &str, other: &str) -> Error {
    let detail = format!("The project {other:?} has {host} already.");
    let field = FieldError { field: Setting::Host.as_str().into(), code: "host_taken", detail };
    Error { kind: Kind::Conflict, ..Error::fields(vec![field]) }
}
