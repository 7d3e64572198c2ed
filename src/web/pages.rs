//! Face four: pages. They work without JavaScript.

use super::auth::host;
use super::error::{ApiError, problem};
use super::page::{CSS_URL, FormGuard, Frame, JS_URL, MessagePage, error_page, error_page_of, form, page};
use super::query::Query;
use super::{Context, readable};
use crate::domain::code::Code;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::referral::abuse_text;
use crate::engine::{Applied, Project, SignedUp, Signup};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

const CSS: &str = include_str!("../../templates/refloop.css");
const JS: &str = include_str!("../../templates/refloop.js");

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/", home))
        .service(
            web::resource("/signup")
                .route(web::get().to(signup_form))
                .route(web::head().to(signup_form))
                .route(web::post().to(sign_up)),
        )
        .service(readable("/admin/setup", operator_link))
        .service(readable("/qr/{code}.svg", qr))
        .service(readable(CSS_URL, stylesheet))
        .service(readable(JS_URL, script));
}

#[derive(Template)]
#[template(path = "signup.html")]
struct SignupPage {
    frame: Frame,
    bonus: Option<String>,
    code: String,
    code_known: bool,
    name: String,
    email: String,
    csrf: String,
    errors: FormErrors,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    frame: Frame,
    name: String,
    api_key: String,
    bonus: Option<String>,
    rejected: Option<String>,
    curl: String,
    code_curl: String,
}

/// A message beside each field, and one for the whole form.
#[derive(Default)]
struct FormErrors {
    name: Option<String>,
    email: Option<String>,
    password: Option<String>,
    referral_code: Option<String>,
    form: Option<String>,
}

impl FormErrors {
    fn of(error: &Error) -> Self {
        let mut errors = Self::default();
        for fault in &error.fields {
            let place = match fault.field.as_str() {
                "name" => &mut errors.name,
                "email" => &mut errors.email,
                "password" => &mut errors.password,
                "referral_code" => &mut errors.referral_code,
                _ => &mut errors.form,
            };
            place.get_or_insert_with(|| fault.detail.clone());
        }
        if !errors.any() {
            errors.form = Some(error.message.clone());
        }
        errors
    }

    fn any(&self) -> bool {
        [&self.name, &self.email, &self.password, &self.referral_code, &self.form].iter().any(|error| error.is_some())
    }
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

/// A shared link may name the bare address: its code goes along.
async fn home(request: HttpRequest) -> HttpResponse {
    let query = Query::parse(request.query_string()).ok();
    let code = query.and_then(|query| Code::parse("ref", query.get("ref")?).ok());
    let signup = code.map_or_else(|| "/signup".to_owned(), |code| format!("/signup?ref={code}"));
    HttpResponse::SeeOther().insert_header((header::LOCATION, signup)).finish()
}

fn asset(request: &HttpRequest, media_type: &str, content: &'static str) -> HttpResponse {
    let tag = format!("\"{}\"", &blake3::hash(content.as_bytes()).to_hex()[..16]);
    let seen = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|seen| seen.to_str().ok());
    let mut seen = seen.flat_map(|seen| seen.split(',')).map(str::trim);
    // A proxy that compresses makes the tag a weak one.
    let known = seen.any(|seen| seen == "*" || seen.strip_prefix("W/").unwrap_or(seen) == tag);
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.content_type(media_type).insert_header((header::ETAG, tag));
    response.insert_header((header::CACHE_CONTROL, "public, no-cache"));
    if known { response.finish() } else { response.body(content) }
}

async fn stylesheet(request: HttpRequest) -> HttpResponse {
    asset(&request, "text/css; charset=utf-8", CSS)
}

async fn script(request: HttpRequest) -> HttpResponse {
    asset(&request, "text/javascript; charset=utf-8", JS)
}

/// The project of the asked host, within the limit for public pages.
async fn project(context: &Context, request: &HttpRequest) -> Result<Project> {
    context.limiter.public(context.settings.trusted_proxies.client_of(request))?;
    context.engine.project_for_host(host(request)).await
}

async fn signup_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_signup(&request, &context).await.unwrap_or_else(error_page)
}

async fn show_signup(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let project = project(context, request).await?;
    let query = Query::parse(request.query_string())?;
    let typed = Typed { code: query.get("ref").unwrap_or_default().to_owned(), ..Typed::default() };
    render_signup(StatusCode::OK, request, context, &project, typed, FormErrors::default()).await
}

/// What a form came with; the password is never given back.
#[derive(Default)]
struct Typed {
    name: String,
    email: String,
    code: String,
}

async fn render_signup(
    status: StatusCode,
    request: &HttpRequest,
    context: &Context,
    project: &Project,
    typed: Typed,
    errors: FormErrors,
) -> Result<HttpResponse> {
    let parsed = Code::parse("referral_code", &typed.code).ok();
    let code = parsed
        .as_ref()
        .map_or_else(|| typed.code.chars().filter(char::is_ascii_graphic).take(20).collect(), ToString::to_string);
    let (code_known, bonus) = context.engine.signup_offer(project.id, parsed).await?;
    let guard = FormGuard::of(context, request)?;
    let mut response = page(
        status,
        &SignupPage {
            frame: Frame::new(&project.name),
            bonus,
            code,
            code_known,
            name: typed.name,
            email: typed.email,
            csrf: guard.token(context),
            errors,
        },
    );
    guard.keep(context, &mut response);
    Ok(response)
}

async fn sign_up(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_signup(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_signup(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    context.limiter.signup(context.settings.trusted_proxies.client_of(request))?;
    let project = project(context, request).await?;
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if let Err(error) = FormGuard::of(context, request)?.check(context, field("csrf")) {
        // The way back keeps the code, and with it the bonus.
        let code = Code::parse("referral_code", field("referral_code"));
        let signup_url = code.map_or_else(|_| "/signup".to_owned(), |code| format!("/signup?ref={code}"));
        return Ok(error_page_of(Frame::new(&project.name), ("Sign up", signup_url), error));
    }
    let signup = Signup::parse(field("email"), field("password"), field("name"), Some(field("referral_code")));
    let outcome = match signup {
        Ok(signup) => context.engine.sign_up(project.id, signup).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(signed_up) => Ok(welcome(context, &project, signed_up)),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            let owned = |name: &str| field(name).to_owned();
            let typed = Typed { name: owned("name"), email: owned("email"), code: owned("referral_code") };
            let status = super::error::status(error.kind);
            render_signup(status, request, context, &project, typed, FormErrors::of(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// Nothing here may fail: the account is made, and its key is shown now or never.
fn welcome(context: &Context, project: &Project, signed_up: SignedUp) -> HttpResponse {
    let SignedUp { profile, api_key, referral, bonus } = signed_up;
    let rejected = match referral {
        Some(Applied::Rejected { reason }) => {
            Some(format!("Your account is ready, but no bonus was credited. {}", abuse_text(reason)))
        }
        _ => None,
    };
    let url = &context.settings.public_url;
    let authorization = format!("-H \"Authorization: Bearer {api_key}\"");
    page(
        StatusCode::CREATED,
        &WelcomePage {
            frame: Frame::new(&project.name),
            name: profile.profile.account.name.unwrap_or_default(),
            bonus,
            rejected,
            curl: format!("curl {url}/v1/developers/me \\\n  {authorization}"),
            code_curl: format!("curl -X POST {url}/v1/developers/referral-code \\\n  {authorization}"),
            api_key,
        },
    )
}

async fn operator_link(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_operator_link(&request, &context).await.unwrap_or_else(error_page)
}

/// The first operator's one-time link. The console is not built yet, and the page says so.
async fn show_operator_link(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let project = project(context, request).await?;
    let query = Query::parse(request.query_string())?;
    let token = query.get("token").unwrap_or_default().to_owned();
    if !context.engine.is_setup_token(token).await? {
        return Err(Error::not_found("This is not the link that the first start printed."));
    }
    let text = "Your link is good, and stays good until it is used. The operators' console comes with a later release; \
                until then the command line does its work: refloop --help.";
    let frame = Frame::new(&project.name);
    Ok(page(
        StatusCode::OK,
        &MessagePage { frame, heading: "Operators' console".into(), text: text.into(), link: None },
    ))
}

/// A code's signup link as a QR code.
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
    let url = format!("{}/signup?ref={code}", context.settings.public_url);
    let qr = qrcode::QrCode::new(url).map_err(|fault| Error::internal(format!("qr: {fault}")))?;
    let svg = qr.render::<qrcode::render::svg::Color>().min_dimensions(240, 240).build();
    Ok(HttpResponse::Ok().content_type("image/svg+xml").body(svg))
}
