//! Signing in and out. Who has a second factor is asked for its code on a page of its own.

use super::frame::{LOGIN, TITLE, failed, own_place, see};
use crate::domain::error::{Error, Kind, Result};
use crate::engine::{Credentials, SignIn};
use crate::web::error::status;
use crate::web::page::{FormGuard, Frame, add_headers, error_page_of, form, page};
use crate::web::query::Query;
use crate::web::session::{Session, cookie, set};
use crate::web::{Context, readable};
use actix_web::cookie::time::Duration;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const HOME: &str = "/admin";
const CODE: &str = "/admin/login/code";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable(LOGIN, login_form).route(web::post().to(login)))
        .service(readable(CODE, code_form).route(web::post().to(code)))
        .service(web::resource("/admin/logout").route(web::post().to(logout)));
}

#[derive(Template)]
#[template(path = "admin_login.html")]
struct LoginPage {
    frame: Frame,
    email: String,
    csrf: String,
    next: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "admin_code.html")]
struct CodePage {
    frame: Frame,
    csrf: String,
    next: String,
    error: Option<String>,
}

fn refused(error: Error) -> HttpResponse {
    error_page_of(Frame::new(TITLE), ("Sign in", LOGIN.into()), error)
}

fn limit(context: &Context, request: &HttpRequest) -> Result<()> {
    context.limiter.public(context.settings.trusted_proxies.client_of(request))
}

/// Where the query says that it goes on, if that is a page of the console.
fn next(request: &HttpRequest) -> Result<String> {
    let query = Query::parse(request.query_string())?;
    Ok(query.get("next").and_then(own_place).unwrap_or_default().to_owned())
}

/// An error's page, with its status and headers.
fn answer(context: &Context, guard: &FormGuard, error: Option<&Error>, template: &impl Template) -> HttpResponse {
    let mut response = page(error.map_or(StatusCode::OK, |error| status(error.kind)), template);
    if let Some(error) = error {
        add_headers(error, &mut response);
    }
    guard.keep(context, &mut response);
    response
}

async fn login_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = limit(&context, &request)
        .and_then(|()| next(&request))
        .and_then(|next| show_login(&request, &context, (String::new(), next), None));
    shown.unwrap_or_else(refused)
}

fn show_login(
    request: &HttpRequest,
    context: &Context,
    (email, next): (String, String),
    error: Option<&Error>,
) -> Result<HttpResponse> {
    let guard = FormGuard::of(context, request)?;
    let (csrf, message) = (guard.token(context), error.map(|error| error.message.clone()));
    let template = LoginPage { frame: Frame::new(TITLE), email, csrf, next, error: message };
    Ok(answer(context, &guard, error, &template))
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
    let next = own_place(&field("next")).unwrap_or_default().to_owned();
    let credentials = Credentials { email: field("email"), password: field("password") };
    let browser = Session::Operator.browser(context, request);
    let attempt = context.engine.sign_in_attempt(credentials, &browser.devices).await?;
    let signed_in = match context.limiter.guess(client, by_address, attempt.guess) {
        Ok(()) => context.engine.sign_in(attempt, browser).await,
        Err(error) => Err(error),
    };
    match signed_in {
        Ok(sign_in) => go_on(context, &sign_in, &next),
        Err(error) if matches!(error.kind, Kind::Unauthenticated | Kind::RateLimited) => {
            show_login(request, context, (field("email"), next), Some(&error))
        }
        Err(error) => Err(error),
    }
}

fn go_on(context: &Context, sign_in: &SignIn, next: &str) -> Result<HttpResponse> {
    match sign_in {
        SignIn::Begun(begun) => {
            let mut response = see(if next.is_empty() { HOME } else { next });
            Session::Operator.begin(context, begun, &mut response)?;
            forget_step(context, &mut response)?;
            Ok(response)
        }
        SignIn::CodeNeeded(step) => {
            let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
            let mut response =
                if next.to_string().is_empty() { see(CODE) } else { see(&format!("{CODE}?next={next}")) };
            set(&mut response, &cookie(context, step_name(context), step, Duration::minutes(10)))?;
            Ok(response)
        }
    }
}

/// What shows that the password was right.
fn step_name(context: &Context) -> &'static str {
    if context.is_https() { "__Host-refloop_operator_step" } else { "refloop_operator_step" }
}

fn forget_step(context: &Context, response: &mut HttpResponse) -> Result<()> {
    set(response, &cookie(context, step_name(context), "", Duration::ZERO))
}

fn step(context: &Context, request: &HttpRequest) -> Option<String> {
    request.cookie(step_name(context)).map(|cookie| cookie.value().to_owned())
}

async fn code_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_code_form(&request, &context).await.unwrap_or_else(refused)
}

async fn show_code_form(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    limit(context, request)?;
    let next = next(request)?;
    let Some(step) = step(context, request) else { return Ok(see(LOGIN)) };
    let browser = Session::Operator.browser(context, request);
    match context.engine.code_attempt(step, &browser.devices).await {
        Ok(_) => show_code(request, context, next, None),
        Err(_) => Ok(see(LOGIN)),
    }
}

fn show_code(request: &HttpRequest, context: &Context, next: String, error: Option<&Error>) -> Result<HttpResponse> {
    let guard = FormGuard::of(context, request)?;
    let (csrf, message) = (guard.token(context), error.map(|error| error.message.clone()));
    Ok(answer(context, &guard, error, &CodePage { frame: Frame::new(TITLE), csrf, next, error: message }))
}

async fn code(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_code(&request, payload, &context).await.unwrap_or_else(refused)
}

async fn take_code(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    limit(context, request)?;
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    FormGuard::of(context, request)?.check(context, &field("csrf"))?;
    let next = own_place(&field("next")).unwrap_or_default().to_owned();
    let Some(step) = step(context, request) else { return Ok(see(LOGIN)) };
    let browser = Session::Operator.browser(context, request);
    let Ok(attempt) = context.engine.code_attempt(step, &browser.devices).await else { return Ok(see(LOGIN)) };
    let signed_in = match context.limiter.code(attempt.guess) {
        Ok(()) => context.engine.sign_in_with_code(attempt, field("code"), browser).await,
        Err(error) => Err(error),
    };
    match signed_in {
        Ok(begun) => go_on(context, &SignIn::Begun(begun), &next),
        Err(error) if matches!(error.kind, Kind::Unauthenticated | Kind::RateLimited) => {
            show_code(request, context, next, Some(&error))
        }
        Err(error) => Err(error),
    }
}

async fn logout(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_logout(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
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
