//! Who is at which page of the console, and what all of its pages have in common.

use super::done;
use super::nav::{self, Group, Section};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::operator::OperatorRole;
use crate::engine::{Project, SignedIn};
use crate::web::Context;
use crate::web::auth::reader;
use crate::web::page::{FormGuard, Frame, JS_URL, add_headers, error_page_of, form, page};
use crate::web::session::Session;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::HashMap;

pub const CSS_URL: &str = "/assets/console.css";
pub const LOGIN: &str = "/admin/login";
/// Operators run all projects of their team: what belongs to none of them is headed by none of them.
pub const TITLE: &str = "refloop";

/// What `console/base.html` shows around a page.
pub struct ConsoleFrame {
    pub css_url: &'static str,
    pub js_url: &'static str,
    pub groups: Vec<Group>,
    /// Name and mode of the page's project; none on the team's pages.
    pub project: Option<(String, String)>,
    /// Name, address, and whether it is this one.
    pub projects: Vec<(String, String, bool)>,
    pub email: String,
    pub role: &'static str,
    pub on_account: bool,
    pub csrf: String,
    /// What was just done.
    pub done: Option<String>,
}

/// An operator at a page of the team's.
pub struct TeamConsole {
    pub operator: SignedIn,
    pub guard: FormGuard,
    pub section: Section,
    projects: Vec<Project>,
    sees_limits: bool,
    done: Option<String>,
}

/// An operator at a page of a project. What is the same for the team's pages is there by [`TeamConsole`].
pub struct Console {
    pub project: Project,
    team: TeamConsole,
}

impl std::ops::Deref for Console {
    type Target = TeamConsole;
    fn deref(&self) -> &TeamConsole {
        &self.team
    }
}

impl TeamConsole {
    /// `Unauthenticated` for who is not signed in: [`failed`] leads there.
    pub fn enter(context: &Context, request: &HttpRequest, section: Section) -> Result<Self> {
        let client = context.settings.trusted_proxies.client_of(request);
        let signed_in = || Error::new(Kind::Unauthenticated, "sign_in", "Sign in first.");
        let token = Session::Operator.token(context, request);
        let found = token.map(|token| context.engine.operator_of(reader(request)?, &token)).transpose()?;
        let Some(operator) = found.flatten() else {
            context.limiter.public(client)?;
            return Err(signed_in());
        };
        context.limiter.operator(operator.operator)?;
        let guard = FormGuard::of(context, request)?;
        let done = done::read(context, request, &guard);
        let (projects, sees_limits) = context.engine.projects_of(reader(request)?, operator.team)?;
        Ok(Self { operator, guard, section, projects, sees_limits, done })
    }

    pub fn role(&self) -> OperatorRole {
        self.operator.role
    }

    /// The team's, oldest first.
    pub fn projects(&self) -> &[Project] {
        &self.projects
    }

    /// Whether the rate limits of the whole server are this team's to see.
    pub fn check_sees_limits(&self) -> Result<()> {
        if self.sees_limits { Ok(()) } else { Err(Error::not_found("There is no such page.")) }
    }

    pub fn csrf(&self, context: &Context) -> String {
        self.guard.token(context)
    }

    pub fn frame(&self, context: &Context) -> ConsoleFrame {
        self.frame_at(context, None)
    }

    fn frame_at(&self, context: &Context, project: Option<&Project>) -> ConsoleFrame {
        let named =
            |it: &Project| (it.name.clone(), nav::project_url(it), project.is_some_and(|here| here.id == it.id));
        ConsoleFrame {
            css_url: CSS_URL,
            js_url: JS_URL,
            groups: nav::groups(project, self.section, self.sees_limits),
            project: project.map(|it| (it.name.clone(), it.mode.clone())),
            projects: self.projects.iter().map(named).collect(),
            email: self.operator.email.clone(),
            role: self.operator.role.title(),
            on_account: self.section == Section::Account,
            csrf: self.csrf(context),
            done: self.done.clone(),
        }
    }

    /// A page, which says what was done if something was.
    pub fn page(&self, context: &Context, status: StatusCode, template: &impl Template) -> Result<HttpResponse> {
        let mut response = page(status, template);
        if self.done.is_some() {
            done::forget(context, &mut response)?;
        }
        self.guard.keep(context, &mut response);
        Ok(response)
    }

    /// [`TeamConsole::page`] with the status that an error calls for, if there is one.
    pub fn page_or(&self, context: &Context, error: Option<&Error>, template: &impl Template) -> Result<HttpResponse> {
        let status = error.map_or(StatusCode::OK, |error| crate::web::error::status(error.kind));
        let mut response = self.page(context, status, template)?;
        if let Some(error) = error {
            add_headers(error, &mut response);
        }
        Ok(response)
    }

    /// The fields of a form that was made for this visitor, who may change things. `Forbidden` for any other.
    pub async fn form(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        context: &Context,
    ) -> Result<HashMap<String, String>> {
        let form = self.own_form(request, payload, context).await?;
        self.operator.role.check_write()?;
        Ok(form)
    }

    /// [`TeamConsole::form`] that changes nothing but what is the operator's own, whatever the role.
    pub async fn own_form(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        context: &Context,
    ) -> Result<HashMap<String, String>> {
        let form = form(request, payload).await?;
        self.guard.check(context, form.get("csrf").map(String::as_str).unwrap_or_default())?;
        Ok(form)
    }

    /// Leads to a page that says what was done.
    pub fn see(&self, context: &Context, url: &str, done: &str) -> Result<HttpResponse> {
        let mut response = see(url);
        done::leave(context, &self.guard, done, &mut response)?;
        Ok(response)
    }
}

impl Console {
    /// The project is the one that the path names by `{project}`. `Unauthenticated` for who is not signed in, and
    /// `NotFound` for another team's project: [`failed`] shows both.
    pub fn enter(context: &Context, request: &HttpRequest, section: Section) -> Result<Self> {
        let team = TeamConsole::enter(context, request, section)?;
        let named = request.match_info().get("project").unwrap_or_default();
        let is_it = |project: &&Project| project.slug == named || project.id.to_string() == named;
        let project = team.projects.iter().find(is_it).cloned();
        let project = project.ok_or_else(|| Error::not_found("Your team has no such project."))?;
        Ok(Self { project, team })
    }

    pub fn frame(&self, context: &Context) -> ConsoleFrame {
        self.frame_at(context, Some(&self.project))
    }

    /// A page of this project: `section`, or something below it by its last part.
    pub fn url(&self, section: Section) -> String {
        section.url(Some(&self.project))
    }
}

pub fn see(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).finish()
}

/// Where a page of the console may lead back to after signing in: one of its own.
pub fn own_place(place: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~?=&%".contains(&byte);
    let is_own = place == "/admin" || place.starts_with("/admin/");
    (is_own && place.len() <= 500 && !place.contains("//") && place.bytes().all(is_plain)).then_some(place)
}

/// An error as an operator wants to see it. Who is not signed in is led there, and back afterwards.
pub fn failed(request: &HttpRequest, error: Error) -> HttpResponse {
    if error.kind != Kind::Unauthenticated {
        return error_page_of(Frame::new(TITLE), ("To the console", "/admin".into()), error);
    }
    let asked = request.uri().path_and_query().map_or("/admin", |asked| asked.as_str());
    match own_place(asked).filter(|asked| *asked != "/admin" && request.method().is_safe()) {
        Some(asked) => see(&format!("{LOGIN}?next={}", utf8_percent_encode(asked, NON_ALPHANUMERIC))),
        None => see(LOGIN),
    }
}

#[cfg(test)]
mod tests {
    use super::own_place;

    #[test]
    fn nobody_is_led_elsewhere() {
        for place in ["/admin", "/admin/acme/review?cursor=cur_0", "/admin/limits"] {
            assert_eq!(own_place(place), Some(place));
        }
        for place in
            ["", "/", "/admins", "//evil.example", "/admin//evil.example", "/admin/\\x", "https://x/admin", "/admin/\n"]
        {
            assert_eq!(own_place(place), None, "{place:?}");
        }
    }
}
