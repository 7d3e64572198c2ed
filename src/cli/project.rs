//! Projects and what is set for them.

use super::{Report, open, open_to_read, program, read_file};
use crate::domain::error::{Error, FieldError, Result};
use crate::domain::program::Preset;
use crate::domain::setting::Setting;
use crate::domain::time;
use crate::engine::{Project, ProjectView, Team};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Make a project
    Create {
        /// Its short name: 1 to 40 of a-z, 0-9 and -
        #[arg(long)]
        slug: String,
        /// The program that it starts with: credits, commission, bonus or subscription
        #[arg(long, default_value = "credits", value_parser = preset)]
        preset: Preset,
        /// Who runs it: a team's slug or id; the team is made when there is none of that slug
        #[arg(long, default_value = "default")]
        team: String,
        /// Its name as people read it [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// A test project has a clock of its own, and sends and charges nothing
        #[arg(long, default_value = "live", value_parser = ["live", "test"])]
        mode: String,
    },
    /// List all projects
    List,
    /// Show a project's settings, secrets left out
    Show {
        /// Slug or id
        project: String,
    },
    /// Change settings of a project, all of them or none
    Set {
        /// Slug or id
        project: String,
        /// name, host, landing_url, key_prefix, jwt.algorithm (HS256, RS256, ES256, EdDSA), jwt.key=@FILE,
        /// stripe.webhook_secret=@FILE, stripe.api_key=@FILE, partner.agreement=@FILE (@- for standard input); nothing after = unsets it
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = assignment)]
        values: Vec<Assignment>,
    },
    /// Print a project's program as JSON, or make FILE its next version
    Program(program::ProgramCommand),
}

/// `NAME=VALUE` as it was typed.
#[derive(Debug, Clone)]
pub struct Assignment {
    name: String,
    value: String,
}

fn assignment(text: &str) -> std::result::Result<Assignment, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Assignment { name: name.into(), value: value.into() }),
        _ => Err("give NAME=VALUE".into()),
    }
}

fn preset(text: &str) -> std::result::Result<Preset, String> {
    let known = || Preset::ALL.map(Preset::as_str).join(", ");
    Preset::parse(text).ok_or_else(|| format!("there are {}", known()))
}

pub fn run(db: &Path, command: &ProjectCommand) -> Result<Report> {
    match command {
        ProjectCommand::Create { slug, preset, team, name, mode } => {
            let mode = if mode == "test" { "test" } else { "live" };
            let name = name.as_deref().unwrap_or(slug);
            let project = open(db)?.create_project(team, slug, name, *preset, mode)?;
            let document = json!({ "team_id": project.team, "project_id": project.id, "slug": project.slug, "mode": project.mode });
            Ok(Report::new(document, format!("{} is there: {} ({mode}).", project.slug, project.id)))
        }
        ProjectCommand::List => {
            let projects = open_to_read(db)?.projects()?;
            let line = |(project, team): &(Project, Team)| {
                let host = project.host.as_deref().unwrap_or("-");
                format!("{}  {}  {}/{}  {host}  {}", project.id, project.mode, team.slug, project.slug, project.name)
            };
            let text = projects.iter().map(line).collect::<Vec<_>>().join("\n");
            let documents: Vec<_> = projects.iter().map(|(project, team)| summary(project, team)).collect();
            Ok(Report::new(json!({ "projects": documents }), text))
        }
        ProjectCommand::Show { project } => Ok(shown(&open_to_read(db)?.project_view(project)?)),
        ProjectCommand::Set { project, values } => Ok(shown(&set(db, project, values)?)),
        ProjectCommand::Program(command) => program::run(db, command),
    }
}

fn summary(project: &Project, team: &Team) -> Value {
    json!({
        "project_id": project.id,
        "team_id": team.id,
        "team": team.slug,
        "slug": project.slug,
        "name": project.name,
        "mode": project.mode,
        "host": project.host,
        "created_at": time::rfc3339(project.created_at_ms),
    })
}

/// Of secrets it says that they are set, and no more.
fn shown(view: &ProjectView) -> Report {
    let (settings, newest) = (&view.settings, view.newest.as_ref());
    let mut document = summary(&view.project, &view.team);
    document["landing_url"] = json!(settings.landing_url);
    document["key_prefix"] = json!(settings.key_prefix);
    document["jwt"] = json!({ "algorithm": settings.jwt_algorithm, "key_is_set": settings.jwt_key.is_some() });
    document["stripe"] = json!({
        "webhook_secrets": settings.stripe_webhook_secrets.len(),
        "api_key_is_set": settings.stripe_api_key.is_some(),
    });
    document["partner"] = json!({ "agreement_version": view.agreement.version });
    document["program"] = json!({
        "version": view.program.version,
        "unit": view.program.unit,
        "enabled": view.program.enabled,
        "author": newest.map(|version| &version.author),
        "created_at": newest.map(|version| time::rfc3339(version.created_at_ms)),
    });
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    Report::new(document, text)
}

/// Reads the secrets, while no server is kept from starting, then sets everything together. Faults of both are told at
/// once.
fn set(db: &Path, project: &str, typed: &[Assignment]) -> Result<ProjectView> {
    let mut settings = open_to_read(db)?.project_view(project)?.settings;
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    let mut stdin_is_read = false;
    for Assignment { name, value } in typed {
        match resolve(name, value, &mut stdin_is_read) {
            Ok(value) => values.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        return open(db)?.set_project(project, values);
    }
    if let Err(error) = settings.assign(&values) {
        // Algorithm and key are judged together, and one of them may be what is missing.
        let is_jwt = |fault: &FieldError| fault.field.starts_with("jwt.");
        let without_jwt = faults.iter().any(is_jwt);
        faults.extend(error.fields.into_iter().filter(|fault| !(without_jwt && is_jwt(fault))));
    }
    Err(Error::fields(faults))
}

/// A setting and its value, which for a secret is in a file. What was typed is never part of a refusal: it may be the
/// secret, or a misspelt name before one.
fn resolve(name: &str, value: &str, stdin_is_read: &mut bool) -> std::result::Result<(Setting, String), FieldError> {
    let fault = |code, detail: String| FieldError { field: name.into(), code, detail };
    let Some(setting) = Setting::parse(name) else {
        let known = Setting::ALL.map(Setting::as_str).join(", ");
        return Err(fault("unknown_setting", format!("There are {known}.")));
    };
    if !setting.is_in_a_file() || value.is_empty() {
        return Ok((setting, value.into()));
    }
    let Some(file) = value.strip_prefix('@').filter(|file| !file.is_empty()) else {
        let give = format!("give {name}=@FILE, or {name}=@- for standard input.");
        if !setting.is_secret() {
            return Err(fault("file_expected", format!("This is a text of many lines: {give}")));
        }
        let detail = format!("Others on this machine can read the command line: {give}");
        return Err(fault("secret_on_command_line", detail));
    };
    if file == "-" && std::mem::replace(stdin_is_read, true) {
        return Err(fault("given_twice", "Standard input can be one of them only.".into()));
    }
    let text = read_file(Path::new(file)).map_err(|error| fault("unreadable_file", format!("{}.", error.message)))?;
    if text.trim().is_empty() {
        return Err(fault("empty_file", format!("There is nothing in {file}; {name}= unsets it.")));
    }
    Ok((setting, text))
}
