//! The operators' pages: signing in and out, and who is signed in.

use super::error::status;
use super::page::{FormGuard, Frame, add_headers, error_page_of, form, page};
use super::session::Session;
use super::{Context, readable};
use crate::domain::error::{Error, Kind, Result};
use crate::engine::{Credentials, Reader};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

const HOME: &str = "/admin";
const LOGIN: &str = "/admin/login";
/// Operators run all projects of their team, so their pages are headed by none of them.
const TITLE: &str = "refloop";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable(HOME, home))
        .service(readable(LOGIN, login_form).route(web::post().to(login)))
        .service(web::resource("/admin/logout").route(web::post().to(logout)));
}

#[derive(Template)]
#[template(path = "admin_login.html")]
struct LoginPage {
    frame: Frame,
    email: String,
    csrf: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "admin_home.html")]
struct HomePage {
    frame: Frame,
    email: String,
    csrf: String,
}

fn refused(error: Error) -> HttpResponse {
    error_page_of(Frame::new(TITLE), ("Sign in", LOGIN.into()), error)
}

fn see(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).finish()
}

fn limit(context: &Context, request: &HttpRequest) -> Result<()> {
    context.limiter.public(context.settings.trusted_proxies.client_of(request))
}

async fn home(request: HttpRequest, context: web::Data<Context>, reader: web::Data<Reader>) -> HttpResponse {
    show_home(&request, &context, &reader).unwrap_or_else(refused)
}

fn show_home(request: &HttpRequest, context: &Context, reader: &Reader) -> Result<HttpResponse> {
    limit(context, request)?;
    let token = Session::Operator.token(context, request);
    let operator = token.map(|token| context.engine.operator_of(reader, &token)).transpose()?.flatten();
    let Some(operator) = operator else { return Ok(see(LOGIN)) };
    let guard = FormGuard::of(context, request)?;
    let template = HomePage { frame: Frame::new(TITLE), email: operator.email, csrf: guard.token(context) };
    let mut response = page(StatusCode::OK, &template);
    guard.keep(context, &mut response);
    Ok(response)
}

async fn login_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = limit(&context, &request).and_then(|()| show_login(&request, &context, String::new(), None));
    shown.unwrap_or_else(refused)
}

fn show_login(request: &HttpRequest, context: &Context, email: String, error: Option<Error>) -> Result<HttpResponse> {
    let guard = FormGuard::of(context, request)?;
    let status = error.as_ref().map_or(StatusCode::OK, |error| status(error.kind));
    let (csrf, message) = (guard.token(context), error.as_ref().map(|error| error.message.clone()));
    let mut response = page(status, &LoginPage { frame: Frame::new(TITLE), email, csrf, error: message });
    if let Some(error) = error {
        add_headers(&error, &mut response);
    }
    guard.keep(context, &mut response);
    Ok(response)
}

async fn login(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_login(&request, payload, &context).await.unwrap_or_else(refused)
}

async fn take_login(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    limit(context, request)?;
    // Each try counts, whatever is wrong with it.
    let client = context.settings.trusted_proxies.client_of(request);
    let by_address = context.limiter.login(client);
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    FormGuard::of(context, request)?.check(context, &field("csrf"))?;
    let credentials = Credentials { email: field("email"), password: field("password") };
    let browser = Session::Operator.browser(context, request);
    let attempt = context.engine.sign_in_attempt(credentials, &browser.devices).await?;
    let signed_in = match context.limiter.guess(client, by_address, attempt.guess) {
        Ok(()) => context.engine.sign_in(attempt, browser).await,
        Err(error) => Err(error),
    };
    match signed_in {
        Ok(begun) => {
            let mut response = see(HOME);
            Session::Operator.begin(context, &begun, &mut response)?;
            Ok(response)
        }
        Err(error) if matches!(error.kind, Kind::Unauthenticated | Kind::RateLimited) => {
            show_login(request, context, field("email"), Some(error))
        }
        Err(error) => Err(error),
    }
}

async fn logout(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_logout(&request, payload, &context).await.unwrap_or_else(refused)
}

async fn take_logout(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    limit(context, request)?;
    let form = form(request, payload).await?;
    FormGuard::of(context, request)?.check(context, form.get("csrf").map(String::as_str).unwrap_or_default())?;
    if let Some(token) = Session::Operator.token(context, request) {
        context.engine.sign_out(token).await?;
    }
    let mut response = see(LOGIN);
    Session::Operator.end(context, &mut response)?;
    Ok(response)
}
