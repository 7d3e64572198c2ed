//! Making projects, listing them, and changing what is set for them.

use super::{Engine, SignedIn, audit};
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, FieldError, Kind, Result};
use crate::domain::id::ProjectId;
use crate::domain::id::TeamId;
use crate::domain::program::Preset;
use crate::domain::setting::{self, ProjectSettings, Setting};
use crate::domain::text;
use crate::store::{Agreement, NewProject, ProgramVersion, Project, Snapshot, Team, Tx, VersionedProgram};
use serde_json::json;

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
            let team = if is_id { tx.team_called(&team)?.id } else { tx.team_named(&team)? };
            add_project(tx, team, NewName { slug, name }, preset, mode, &Actor::CommandLine)
        })
    }

    /// A project of an owner's own team, as [`Engine::create_project`] makes it. `Forbidden` for who is no owner.
    pub async fn create_project_by(
        &self,
        by: &SignedIn,
        slug: &str,
        name: &str,
        preset: &str,
        mode: &str,
    ) -> Result<Project> {
        by.role.check_owner()?;
        let (slug, name) = (setting::slug("slug", slug), text::display("name", name, 100));
        let preset = Preset::parse(preset).ok_or_else(|| Error::field("preset", "unknown_preset", "Choose one."));
        let mode = ["live", "test"].into_iter().find(|known| *known == mode);
        let mode = mode.ok_or_else(|| Error::field("mode", "unknown_mode", "A project is live or test."));
        let ((Ok(slug), Ok(name)), (Ok(preset), Ok(mode))) = ((&slug, &name), (&preset, &mode)) else {
            let faults = [slug.err(), name.err(), preset.err(), mode.err()].into_iter().flatten();
            return Err(Error::fields(faults.flat_map(|fault| fault.fields).collect()));
        };
        let new = NewName { slug: slug.clone(), name: name.clone() };
        let (team, preset, mode, actor) = (by.team, *preset, *mode, Actor::Operator(by.operator));
        self.store.write(move |tx| add_project(tx, team, new, preset, mode, &actor)).await
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
            let project = tx.project_named(&name)?.id;
            assign(tx, project, &values, &Actor::CommandLine)?;
            view(tx, tx.project(project)?)
        })
    }

    /// [`Engine::project_view`] off the async threads.
    pub async fn project_settings(&self, project: ProjectId) -> Result<ProjectView> {
        self.store.read(move |db| view(db, db.project(project)?)).await
    }

    /// [`Engine::set_project`] by whoever may change the project.
    pub async fn set_project_by(
        &self,
        project: ProjectId,
        values: Vec<(Setting, String)>,
        actor: Actor,
    ) -> Result<ProjectView> {
        self.store
            .write(move |tx| {
                assign(tx, project, &values, &actor)?;
                view(tx, tx.project(project)?)
            })
            .await
    }
}

/// What a project is called, both checked.
struct NewName {
    slug: String,
    name: String,
}

fn add_project(
    tx: &Tx<'_>,
    team: TeamId,
    NewName { slug, name }: NewName,
    preset: Preset,
    mode: &'static str,
    actor: &Actor,
) -> Result<Project> {
    let author = actor.to_string();
    let new = NewProject { team, slug, name, mode, key_prefix: "bw".into(), program: preset.program(), author };
    let project = tx.add_project(&new)?;
    let details = json!({ "slug": project.slug, "mode": mode, "preset": preset.as_str() });
    audit::note(tx, project.id, actor, action::PROJECT_CREATE, &project.id.to_string(), &details)?;
    Ok(project)
}

/// Sets all values or none. The audit log has the changed settings' names alone: some are secrets.
fn assign(tx: &Tx<'_>, project: ProjectId, values: &[(Setting, String)], actor: &Actor) -> Result<()> {
    let before = tx.project_settings(project)?;
    let mut settings = before.clone();
    settings.assign(values)?;
    if let Some(host) = &settings.host
        && let Some(other) = tx.host_taken_by(project, host)?
    {
        return Err(host_taken(host, &other));
    }
    let agreement = tx.agreement(project)?.version;
    tx.set_project_settings(project, &settings)?;
    let names: Vec<_> = settings.changed_since(&before).into_iter().map(Setting::as_str).collect();
    let subject = project.to_string();
    if !names.is_empty() {
        audit::note(tx, project, actor, action::PROJECT_CHANGE, &subject, &json!({ "settings": names }))?;
    }
    let changed = tx.agreement(project)?.version;
    if changed == agreement {
        return Ok(());
    }
    let details = json!({ "from": agreement, "to": changed });
    audit::note(tx, project, actor, action::AGREEMENT_CHANGE, &format!("v{changed}"), &details)
}

fn host_taken(host: &str, other: &str) -> Error {
    let detail = format!("The project {other:?} has {host} already.");
    let field = FieldError { field: Setting::Host.as_str().into(), code: "host_taken", detail };
    Error { kind: Kind::Conflict, ..Error::fields(vec![field]) }
}
