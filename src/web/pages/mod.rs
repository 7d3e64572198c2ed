//! Face four: pages. They work without JavaScript.

mod account;
mod ask;
mod clicks;
mod confirm;
mod dashboard;
mod done;
mod forgot;
mod leaderboard;
mod login;
mod signup;
mod unsubscribe;

pub use clicks::notice;

use super::auth::host;
use super::error::{ApiError, problem};
use super::page::{CSS_URL, JS_URL, error_page, static_text};
use super::{Context, readable};
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::engine::Project;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

const CSS: &str = include_str!("../../../templates/refloop.css");
const JS: &str = include_str!("../../../templates/refloop.js");

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/", clicks::home))
        .service(web::scope("/r").service(readable("/{code}", clicks::follow).route(web::post().to(clicks::report))))
        .service(readable("/ref.js", clicks::script))
        .service(
            web::resource("/signup")
                .route(web::get().to(signup::signup_form))
                .route(web::head().to(signup::signup_form))
                .route(web::post().to(signup::sign_up)),
        )
        .configure(dashboard::routes)
        .service(readable("/login", login::login_form).route(web::post().to(login::log_in)))
        .service(readable("/leaderboard", leaderboard::leaderboard))
        .service(web::resource("/logout").route(web::post().to(login::log_out)))
        .service(readable("/account", account::account).route(web::post().to(account::change)))
        .service(readable(account::ERASED, account::erased))
        .service(readable("/forgot", forgot::forgot_form).route(web::post().to(forgot::forgot)))
        .service(readable("/reset", forgot::reset_form).route(web::post().to(forgot::reset)))
        .service(readable("/confirm", confirm::confirm_form).route(web::post().to(confirm::confirm)))
        .service(readable("/confirm/again", confirm::again_form).route(web::post().to(confirm::again)))
        .service(readable("/unsubscribe", unsubscribe::choice_form).route(web::post().to(unsubscribe::choose)))
        .service(web::scope("/qr").service(readable("/{code}.svg", qr)))
        .service(readable(CSS_URL, stylesheet))
        .service(readable(JS_URL, script));
}

/// Pages and calls that are not there: a person gets a page, a program a problem.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_api = ["/v1/", "/api/"].iter().any(|prefix| request.path().starts_with(prefix));
    if accepts.contains("text/html") && !is_api {
        return error_page(Error::not_found("The address may have been mistyped."));
    }
    problem(StatusCode::NOT_FOUND, "not_found", "There is no such call.")
}

async fn stylesheet(request: HttpRequest) -> HttpResponse {
    static_text(&request, "text/css; charset=utf-8", CSS)
}

async fn script(request: HttpRequest) -> HttpResponse {
    static_text(&request, "text/javascript; charset=utf-8", JS)
}

/// The project of the asked host, within the limit for public pages.
async fn project(context: &Context, request: &HttpRequest) -> Result<Project> {
    context.limiter.public(context.settings.trusted_proxies.client_of(request))?;
    context.engine.project_for_host(host(request)).await
}

/// What a code's owner shares, as a QR code.
async fn qr(
    request: HttpRequest,
    context: web::Data<Context>,
    code: web::Path<String>,
) -> std::result::Result<HttpResponse, ApiError> {
    let project = project(&context, &request).await?;
    let no_code = || Error::not_found("There is no such code.");
    let code = Code::parse("code", &code).map_err(|_| no_code())?;
    if !context.engine.is_shareable(project.id, code.clone()).await? {
        return Err(no_code().into());
    }
    let url = format!("{}/r/{code}", context.url_of(project.host.as_deref()));
    let qr = qrcode::QrCode::new(url).map_err(|fault| Error::internal(format!("qr: {fault}")))?;
    let svg = qr.render::<qrcode::render::svg::Color>().min_dimensions(240, 240).build();
    Ok(HttpResponse::Ok().content_type("image/svg+xml").body(svg))
}
