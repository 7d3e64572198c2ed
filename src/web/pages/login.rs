//! `/login` and `/logout`: accounts' sessions.

use crate::domain::error::{Error, Kind, Result};
use crate::engine::Credentials;
use crate::web::Context;
use crate::web::auth::{Visit, visit};
use crate::web::error::status;
use crate::web::page::{FormGuard, Frame, error_page, error_page_of, form, page};
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
    csrf: String,
    error: Option<String>,
}

pub fn see(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).finish()
}

pub async fn login_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_login(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_login(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    if visit.session.is_some() {
        return Ok(see(HOME));
    }
    show_login(request, context, &visit, String::new(), None)
}

fn show_login(
    request: &HttpRequest,
    context: &Context,
    visit: &Visit,
    email: String,
    error: Option<Error>,
) -> Result<HttpResponse> {
    let guard = FormGuard::of(context, request)?;
    let status = error.as_ref().map_or(StatusCode::OK, |error| status(error.kind));
    let (csrf, error) = (guard.token(context), error.map(|error| error.message));
    let mut response = page(status, &LoginPage { frame: Frame::new(&visit.project.name), email, csrf, error });
    if status == StatusCode::UNAUTHORIZED {
        // A 401 must name a scheme, and keys are what the API takes beside a session.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    guard.keep(context, &mut response);
    Ok(response)
}

pub async fn log_in(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_login(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_login(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    // Before anything is read or hashed: each try counts, whatever is wrong with it.
    context.limiter.login(context.settings.trusted_proxies.client_of(request))?;
    let visit = visit(context, request).await?;
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    if let Err(error) = FormGuard::of(context, request)?.check(context, &field("csrf")) {
        return Ok(error_page_of(Frame::new(&visit.project.name), ("Sign in", LOGIN.into()), error));
    }
    let credentials = Credentials { email: field("email"), password: field("password") };
    let previous = Session::Account.token(context, request);
    match context.engine.log_in(visit.project.id, credentials, previous, None).await {
        Ok(token) => {
            let mut response = see(HOME);
            Session::Account.begin(context, &token, &mut response)?;
            Ok(response)
        }
        Err(error) if error.kind == Kind::Unauthenticated => {
            show_login(request, context, &visit, field("email"), Some(error))
        }
        Err(error) => Err(error),
    }
}

pub async fn log_out(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_logout(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_logout(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    visit(context, request).await?;
    let form = form(request, payload).await?;
    FormGuard::of(context, request)?.check(context, form.get("csrf").map(String::as_str).unwrap_or_default())?;
    if let Some(token) = Session::Account.token(context, request) {
        context.engine.log_out(token).await?;
    }
    let mut response = see(LOGIN);
    Session::Account.end(context, &mut response)?;
    Ok(response)
}
