//! The team's projects, and making another.

use super::nav::project_url;
use super::{ConsoleFrame, Section, TeamConsole, failed};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::program::Preset;
use crate::engine::Waiting;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

const NEW: &str = "/admin/projects";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/admin", home)).service(readable(NEW, new_form).route(web::post().to(create)));
}

#[derive(Template)]
#[template(path = "console/home.html")]
struct HomePage {
    frame: ConsoleFrame,
    projects: Vec<ProjectLine>,
    may_create: bool,
}

struct ProjectLine {
    name: String,
    slug: String,
    url: String,
    is_test: bool,
    host: String,
    waiting: Waiting,
}

/// What was typed for a new project.
#[derive(Default)]
struct Typed {
    name: String,
    slug: String,
    preset: String,
    mode: String,
}

#[derive(Template)]
#[template(path = "console/new_project.html")]
struct NewProjectPage {
    frame: ConsoleFrame,
    typed: Typed,
    presets: Vec<(&'static str, &'static str)>,
    error: Option<Error>,
}

impl NewProjectPage {
    /// What is wrong with a field.
    fn at(&self, field: &str) -> Option<&str> {
        let fields = self.error.as_ref().map(|error| error.fields.as_slice()).unwrap_or_default();
        fields.iter().find(|fault| fault.field == field).map(|fault| fault.detail.as_str())
    }

    /// What is wrong with none of them.
    fn at_large(&self) -> Option<&str> {
        self.error.as_ref().filter(|error| error.fields.is_empty()).map(|error| error.message.as_str())
    }
}

pub fn preset_title(preset: Preset) -> &'static str {
    match preset {
        Preset::Credits => "Credits for signups and API calls",
        Preset::Commission => "Commission on purchases, with partners and payouts",
        Preset::Bonus => "A bonus for each conversion",
        Preset::Subscription => "Credit for a first subscription, with Stripe",
    }
}

async fn home(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn show(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = TeamConsole::enter(context, request, Section::Projects)?;
    let waiting = context.engine.waiting(console.projects().iter().map(|project| project.id).collect()).await?;
    let lines = console.projects().iter().zip(waiting).map(|(project, waiting)| ProjectLine {
        name: project.name.clone(),
        slug: project.slug.clone(),
        url: project_url(project),
        is_test: project.mode == "test",
        host: project.host.clone().unwrap_or_default(),
        waiting,
    });
    let (projects, may_create) = (lines.collect(), console.role().is_owner());
    console.page_or(context, None, &HomePage { frame: console.frame(context), projects, may_create })
}

async fn new_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let console = TeamConsole::enter(&context, &request, Section::Projects);
    let shown = console.and_then(|console| show_new(&console, &context, Typed::default(), None));
    shown.unwrap_or_else(|error| failed(&request, error))
}

fn show_new(console: &TeamConsole, context: &Context, typed: Typed, error: Option<Error>) -> Result<HttpResponse> {
    console.role().check_owner()?;
    let presets = Preset::ALL.map(|preset| (preset.as_str(), preset_title(preset))).to_vec();
    let template = NewProjectPage { frame: console.frame(context), typed, presets, error };
    console.page_or(context, template.error.as_ref(), &template)
}

async fn create(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn take(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = TeamConsole::enter(context, request, Section::Projects)?;
    let form = console.form(request, payload, context).await?;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let typed = Typed { name: field("name"), slug: field("slug"), preset: field("preset"), mode: field("mode") };
    let made =
        context.engine.create_project_by(&console.operator, &typed.slug, &typed.name, &typed.preset, &typed.mode);
    match made.await {
        Ok(project) => console.see(context, &project_url(&project), &format!("{} is there.", project.name)),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            show_new(&console, context, typed, Some(error))
        }
        Err(error) => Err(error),
    }
}
