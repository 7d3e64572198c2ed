//! Pages that mail leads to: one question, one form.

use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Result};
use crate::web::Context;
use crate::web::auth::{Visit, visit};
use crate::web::error::status;
use crate::web::page::{FormGuard, Frame, MessagePage, error_page_of, form, page};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

/// What a form asks for beside a click.
pub enum Field {
    /// With what was typed before.
    Email(String),
    NewPassword,
}

/// A box to tick.
pub struct Choice {
    pub name: &'static str,
    pub label: &'static str,
    pub is_ticked: bool,
}

pub struct Ask {
    pub heading: &'static str,
    pub lead: &'static str,
    pub action: String,
    pub hidden: Vec<(&'static str, String)>,
    pub field: Option<Field>,
    pub choice: Option<Choice>,
    pub button: &'static str,
    /// On the button while the form is on its way.
    pub busy: &'static str,
}

#[derive(Template)]
#[template(path = "ask.html")]
struct AskPage {
    frame: Frame,
    ask: Ask,
    csrf: String,
    error: Option<String>,
}

/// The form, with what was wrong the last time.
pub fn show(
    request: &HttpRequest,
    context: &Context,
    visit: &Visit,
    ask: Ask,
    error: Option<Error>,
) -> Result<HttpResponse> {
    let guard = FormGuard::of(context, request)?;
    let status = error.as_ref().map_or(StatusCode::OK, |error| status(error.kind));
    let message = |error: Error| error.fields.first().map_or(error.message.clone(), |fault| fault.detail.clone());
    let template =
        AskPage { frame: Frame::new(&visit.project.name), ask, csrf: guard.token(context), error: error.map(message) };
    let mut response = page(status, &template);
    guard.keep(context, &mut response);
    Ok(response)
}

/// A visit to a page that is there only where mail is sent. `NotFound` elsewhere.
pub async fn mail_visit(context: &Context, request: &HttpRequest) -> Result<Visit> {
    let visit = visit(context, request).await?;
    if context.engine.sends_mail(visit.project.id).await? {
        return Ok(visit);
    }
    Err(Error::not_found("Mail is not set up here, so there are no links to send. Ask the team that runs this."))
}

/// A form of [`show`] that was sent: its fields, or the page that says why it is refused.
pub async fn sent(
    request: &HttpRequest,
    payload: web::Payload,
    context: &Context,
    visit: &Visit,
    back: &str,
) -> Result<std::result::Result<HashMap<String, String>, HttpResponse>> {
    let fields = form(request, payload).await?;
    let token = fields.get("csrf").map(String::as_str).unwrap_or_default();
    Ok(match FormGuard::of(context, request)?.check(context, token) {
        Ok(()) => Ok(fields),
        Err(error) => Err(error_page_of(Frame::new(&visit.project.name), ("Back to the page", back.into()), error)),
    })
}

/// A form of an address that was sent, within the limits of whoever asks and of the mail to that address; or the page that
/// asks again.
pub async fn asked_address(
    request: &HttpRequest,
    payload: web::Payload,
    context: &Context,
    ask: fn(String) -> Ask,
) -> Result<std::result::Result<(Visit, Email), HttpResponse>> {
    context.limiter.login(context.settings.trusted_proxies.client_of(request))?;
    let visit = mail_visit(context, request).await?;
    let fields = match sent(request, payload, context, &visit, &ask(String::new()).action).await? {
        Ok(fields) => fields,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let typed = fields.get("email").cloned().unwrap_or_default();
    let email = match Email::parse("email", &typed) {
        Ok(email) => email,
        Err(error) => return show(request, context, &visit, ask(typed), Some(error)).map(Err),
    };
    context.limiter.mail(visit.project.id, &email.address())?;
    Ok(Ok((visit, email)))
}

/// What there is to say at the end.
pub fn say(visit: &Visit, heading: &str, text: String, link: Option<(&str, &str)>) -> HttpResponse {
    let link = link.map(|(label, url)| (label.to_owned(), url.to_owned()));
    let frame = Frame::new(&visit.project.name);
    page(StatusCode::OK, &MessagePage { frame, heading: heading.into(), text, link })
}

/// A link that is no good any more, with the way to a new one.
pub fn stale_link(visit: &Visit, way: (&str, &str), error: Error) -> Result<HttpResponse> {
    if error.kind != Kind::NotFound {
        return Err(error);
    }
    let (frame, heading) = (Frame::new(&visit.project.name), "This link does not work any more".to_owned());
    let link = Some((way.0.to_owned(), way.1.to_owned()));
    Ok(page(StatusCode::NOT_FOUND, &MessagePage { frame, heading, text: error.message, link }))
}
