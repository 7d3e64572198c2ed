//! `/login` and `/logout`: accounts' sessions.

use super::clicks::{code_of_query, elsewhere};
use super::done::Done;
use super::signup::code_to_fill_in;
use crate::domain::code::Code;
use crate::domain::error::{Error, Kind, Result};
use crate::engine::Credentials;
use crate::web::Context;
use crate::web::auth::{Visit, visit};
use crate::web::error::status;
use crate::web::page::{FormGuard, Frame, Place, add_headers, error_page, error_page_of, form, page};
use crate::web::query::Query;
use crate::web::session::Session;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

/// Where a session begins.
pub const HOME: &str = "/dashboard";
pub const LOGIN: &str = "/login";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    email: String,
    next: &'static str,
    signup: Invitation,
    sends_mail: bool,
    csrf: String,
    done: Option<Done>,
    error: Option<String>,
}

/// The way to sign up, with the code that the visitor came with.
struct Invitation {
    url: String,
    code: Option<Code>,
    bonus: Option<String>,
}

pub fn see(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).finish()
}

/// To the sign-in, and from there to a page of the menu.
pub fn sign_in_first(place: Place) -> HttpResponse {
    see(&format!("{LOGIN}?next={}", place.url()))
}

/// Where to go on from the sign-in: to a page of the menu, never anywhere else.
fn way_on(next: &str) -> &'static str {
    Place::at(next).map_or(HOME, Place::url)
}

/// What the form is filled in with.
#[derive(Default)]
struct Typed {
    email: String,
    next: String,
    code: String,
}

pub async fn login_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_login(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_login(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    let query = Query::parse(request.query_string())?;
    let asked = |name: &str| query.get(name).unwrap_or_default().to_owned();
    if let Some(response) = elsewhere(request, context, &visit.project, code_of_query(request).as_ref()).await? {
        return Ok(response);
    }
    if visit.session.is_some() {
        return Ok(see(way_on(&asked("next"))));
    }
    let typed = Typed { email: String::new(), next: asked("next"), code: asked("ref") };
    show_login(request, context, &visit, typed, None).await
}

/// A code that can be used is taken along to the signup, and what it brings is said.
async fn invite(request: &HttpRequest, context: &Context, visit: &Visit, given: &str) -> Result<Invitation> {
    let code = match given {
        "" => None,
        _ => code_to_fill_in(request, context, visit.project.id, given)?,
    };
    let (is_usable, bonus) = context.engine.signup_offer(visit.project.id, code.clone()).await?;
    let url = code.as_ref().map_or_else(|| "/signup".to_owned(), |code| format!("/signup?ref={code}"));
    Ok(Invitation { url, code: code.filter(|_| is_usable), bonus: bonus.filter(|_| is_usable) })
}

async fn show_login(
    request: &HttpRequest,
    context: &Context,
    visit: &Visit,
    typed: Typed,
    error: Option<Error>,
) -> Result<HttpResponse> {
    let guard = FormGuard::of(context, request)?;
    let status = error.as_ref().map_or(StatusCode::OK, |error| status(error.kind));
    let done = Done::of(context, request, &guard).filter(|_| error.is_none());
    let template = LoginPage {
        frame: Frame::new(&visit.project.name),
        email: typed.email,
        next: way_on(&typed.next),
        signup: invite(request, context, visit, &typed.code).await?,
        sends_mail: context.engine.sends_mail(visit.project.id).await?,
        csrf: guard.token(context),
        done,
        error: error.as_ref().map(|error| error.message.clone()),
    };
    let mut response = page(status, &template);
    if let Some(error) = error {
        add_headers(&error, &mut response);
    }
    if done.is_some() {
        Done::forget(context, &mut response)?;
    }
    guard.keep(context, &mut response);
    Ok(response)
}

pub async fn log_in(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_login(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_login(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    // Each try counts, whatever is wrong with it.
    let client = context.settings.trusted_proxies.client_of(request);
    let by_address = context.limiter.login(client);
    let visit = visit(context, request).await?;
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    if let Err(error) = FormGuard::of(context, request)?.check(context, &field("csrf")) {
        return Ok(error_page_of(Frame::new(&visit.project.name), ("Sign in", LOGIN.into()), error));
    }
    let credentials = Credentials { email: field("email"), password: field("password") };
    let browser = Session::Account.browser(context, request);
    let attempt = context.engine.login_attempt(visit.project.id, credentials, &browser.devices).await?;
    let begun = match context.limiter.guess(client, by_address, attempt.guess) {
        Ok(()) => context.engine.log_in(visit.project.id, attempt, browser).await,
        Err(error) => Err(error),
    };
    match begun {
        Ok(begun) => {
            let mut response = see(way_on(&field("next")));
            Session::Account.begin(context, &begun, &mut response)?;
            Ok(response)
        }
        Err(error) if matches!(error.kind, Kind::Unauthenticated | Kind::RateLimited) => {
            let typed = Typed { email: field("email"), next: field("next"), code: field("ref") };
            show_login(request, context, &visit, typed, Some(error)).await
        }
        Err(error) => Err(error),
    }
}

pub async fn log_out(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_logout(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_logout(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    let form = form(request, payload).await?;
    let guard = FormGuard::of(context, request)?;
    if let Err(error) = guard.check(context, form.get("csrf").map(String::as_str).unwrap_or_default()) {
        return Ok(error_page_of(
            Frame::new(&visit.project.name),
            ("Your account", Place::Account.url().into()),
            error,
        ));
    }
    if let Some(token) = Session::Account.token(context, request) {
        context.engine.log_out(token).await?;
    }
    let mut response = see(LOGIN);
    Session::Account.end(context, &mut response)?;
    Done::SignedOut.leave(context, &guard, &mut response)?;
    Ok(response)
}
