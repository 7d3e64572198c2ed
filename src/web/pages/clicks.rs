//! Links with a code: `/r/{code}`, `?ref=` on any page, and `/ref.js` with its reports for landing pages elsewhere.

use super::login::see;
use super::project;
use crate::domain::click::landing_link;
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::program::ClickModel;
use crate::engine::{Arrival, Project, Remembered};
use crate::web::arrival::{account, bare, is_personal, is_visit, remember, with_cookies};
use crate::web::auth::reader;
use crate::web::error::ApiError;
use crate::web::page::{error_page, static_text};
use crate::web::query::Query;
use crate::web::{Context, auth};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use std::time::Duration;

const REF_JS: &str = include_str!("../../../templates/ref.js");
/// How long a visitor waits for the disk, in all.
const PATIENCE: Duration = Duration::from_secs(2);
const RESOURCE_POLICY: &str = "cross-origin-resource-policy";

pub fn code_of_query(request: &HttpRequest) -> Option<Code> {
    let query = Query::parse(request.query_string()).ok()?;
    Code::parse("ref", query.get("ref")?).ok()
}

fn code_of_path(request: &HttpRequest) -> Option<Code> {
    Code::parse("code", request.match_info().get("code")?).ok()
}

/// Counts a click, and says what the browser is to remember of it. No fault here keeps a visitor from where they go, nor
/// does a disk that takes its time: the click may still be counted then.
async fn count(
    request: &HttpRequest,
    context: &Context,
    project: &Project,
    code: Code,
    arrival: Arrival,
) -> Option<Remembered> {
    let engine = &context.engine;
    let mut remembered = None;
    let counting = async {
        if let Some(clicked) = engine.click(reader(request)?, project.id, code, arrival).await? {
            remembered.clone_from(&clicked.remembered);
            engine.count_click(&clicked).await;
        }
        Ok::<_, Error>(())
    };
    if let Ok(Err(fault)) = timeout(PATIENCE, counting).await {
        tracing::debug!(%fault, "a click is not counted");
    }
    remembered
}

async fn arrive(request: &HttpRequest, context: &Context, project: &Project, code: Code) -> Option<Remembered> {
    if !is_visit(request) {
        return None;
    }
    let account = account(context, request, project.id).ok()?;
    count(request, context, project, code, with_cookies(context, request, account)).await
}

/// At the public address, a link with a code that only another project has leads on to that project's host.
pub async fn elsewhere(
    request: &HttpRequest,
    context: &Context,
    project: &Project,
    code: Option<&Code>,
) -> Result<Option<HttpResponse>> {
    let Some(code) = code.filter(|_| project.host.is_none()) else { return Ok(None) };
    let host = context.engine.host_of_code(project.id, code.clone()).await?;
    let place = request.uri().path_and_query().map_or("/", |place| place.as_str());
    Ok(host.map(|host| see(&format!("{}{place}", context.url_of(Some(&host))))))
}

/// `/r/{code}`: leads to the landing page, else to the signup, also with a code that cannot be used.
pub async fn follow(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    lead_on(&request, &context, code_of_path(&request), true).await.unwrap_or_else(error_page)
}

/// A shared link may name the bare address: its code goes along.
pub async fn home(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    lead_on(&request, &context, code_of_query(&request), false).await.unwrap_or_else(error_page)
}

async fn lead_on(
    request: &HttpRequest,
    context: &Context,
    code: Option<Code>,
    may_leave: bool,
) -> Result<HttpResponse> {
    // Beyond the limit nobody is held up, and nothing is counted.
    let is_counted = context.limiter.public(context.settings.trusted_proxies.client_of(request)).is_ok();
    let project = context.engine.project_for_host(auth::host(request)).await?;
    if let Some(response) = elsewhere(request, context, &project, code.as_ref()).await? {
        return Ok(response);
    }
    let place = project.landing_url.as_deref().filter(|_| may_leave).unwrap_or("/signup");
    let mut response = see(&landing_link(place, code.as_ref()));
    if let Some(code) = code.filter(|_| is_counted)
        && let Some(click) = arrive(request, context, &project, code).await
    {
        remember(context, &click, &mut response);
    }
    Ok(response)
}

/// Around every page: `?ref=CODE` counts a click once the page is there.
pub async fn notice<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> std::result::Result<ServiceResponse<B>, actix_web::Error> {
    let mut response = next.call(request).await?;
    let media_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_page = response.status() == StatusCode::OK && media_type.is_some_and(|text| text.starts_with(b"text/html"));
    if is_page && response.request().method() == Method::GET {
        let request = response.request().clone();
        notice_code(&request, response.response_mut()).await;
    }
    Ok(response)
}

async fn notice_code<B>(request: &HttpRequest, response: &mut HttpResponse<B>) {
    let (Some(code), Ok(context)) = (code_of_query(request), auth::context(request)) else { return };
    let Ok(project) = context.engine.project_for_host(auth::host(request)).await else { return };
    if let Some(click) = arrive(request, &context, &project, code).await {
        remember(&context, &click, response);
    }
}

/// What `ref.js` reports from a landing page: a click, by nobody in particular. The answer says whether the code can be
/// used, which any page may read, and nothing else.
pub async fn report(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let mut response = match take_report(&request, &context).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(error) => ApiError(error).error_response(),
    };
    for_any_page(&mut response);
    response
}

async fn take_report(request: &HttpRequest, context: &Context) -> Result<()> {
    let project = project(context, request).await?;
    let no_code = || Error::not_found("There is no such code, or it can be used no more.");
    let code = code_of_path(request).ok_or_else(no_code)?;
    if !context.engine.is_usable(reader(request)?, project.id, &code)? {
        return Err(no_code());
    }
    if is_personal(request) {
        count(request, context, &project, code, bare(context, request)).await;
    }
    Ok(())
}

fn for_any_page(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::HeaderName::from_static(RESOURCE_POLICY), HeaderValue::from_static("cross-origin"));
}

/// `/ref.js`, for landing pages elsewhere: with the project's window and click model in it. Without a limit, as those
/// pages have none.
pub async fn script(request: HttpRequest, context: web::Data<Context>) -> std::result::Result<HttpResponse, ApiError> {
    let project = context.engine.project_for_host(auth::host(&request)).await?;
    let attribution = context.engine.attribution(reader(&request)?, project.id)?;
    let first = u8::from(attribution.click == ClickModel::First);
    let lines = REF_JS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let text = lines.flat_map(|line| [line, "\n"]).collect::<String>();
    let text = text.replace("$DAYS", &attribution.window_days.to_string()).replace("$FIRST", &first.to_string());
    let mut response = static_text(&request, "text/javascript; charset=utf-8", text);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    for_any_page(&mut response);
    Ok(response)
}
