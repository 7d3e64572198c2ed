//! Face two, `/api/referral`: links, conversions and figures for an app that signs its users in itself (Creatiq).
//!
//! Inside, refusals are the same as everywhere; on their way out they are put into this face's envelope.

use super::auth::{JwtSubject, PublicProject};
use super::body::{Fields, Json};
use super::error::ApiError;
use super::{Context, json, readable};
use crate::domain::code::Code;
use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::text;
use crate::engine::{Conversion, SubjectStats};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde::Serialize;
use std::future::{Ready, ready};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/api/referral")
            .wrap(from_fn(enveloped))
            .service(readable("/link", link))
            .service(web::resource("/convert").route(web::post().to(convert)))
            .service(readable("/stats", stats))
            .default_service(web::to(nothing_here)),
    );
}

#[derive(Serialize)]
struct Success<T> {
    success: bool,
    data: T,
}

#[derive(Serialize)]
struct Failure {
    success: bool,
    error: String,
}

fn success(data: impl Serialize) -> HttpResponse {
    json(StatusCode::OK, Success { success: true, data })
}

/// Puts what was refused, by a handler, an extractor or the router, into the envelope. Its headers stay: when to come
/// back, which methods there are, how to authenticate.
async fn enveloped<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> std::result::Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let refusal = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let (status, words) = match (refusal, response.status()) {
        (Some(ApiError(refusal)), status) => {
            let pattern = response.request().match_pattern().unwrap_or_default();
            (if refusal.kind == Kind::Invalid { StatusCode::BAD_REQUEST } else { status }, words(refusal, &pattern))
        }
        (None, StatusCode::METHOD_NOT_ALLOWED) => (response.status(), "Not with this method.".to_owned()),
        _ => return Ok(response),
    };
    let failure = serde_json::to_string(&Failure { success: false, error: words }).unwrap_or_default();
    Ok(response.map_body(|head, _| {
        head.status = status;
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        BoxBody::new(failure)
    }))
}

/// What went wrong, in the words of the seed where it has some.
fn words(refusal: &Error, pattern: &str) -> String {
    match refusal.kind {
        Kind::Internal => match pattern.rsplit('/').next() {
            Some("link") => "Failed to get referral link",
            Some("convert") => "Failed to convert referral",
            _ => "Failed to get referral stats",
        }
        .to_owned(),
        Kind::Invalid if refusal.fields.is_empty() => format!("Validation error: {}", refusal.message),
        Kind::Invalid => {
            let faults = refusal.fields.iter().map(|fault| format!("{}: {}", fault.field, fault.detail));
            format!("Validation error: {}", faults.collect::<Vec<_>>().join(" "))
        }
        _ => refusal.message.clone(),
    }
}

async fn nothing_here() -> std::result::Result<HttpResponse, ApiError> {
    Err(Error::not_found("There is nothing at this address.").into())
}

#[derive(Serialize)]
struct LinkBody {
    code: String,
    link: String,
}

async fn link(caller: JwtSubject, context: web::Data<Context>) -> std::result::Result<HttpResponse, ApiError> {
    let code = context.engine.subject_code(caller.project, caller.subject).await?;
    let link = format!("{}/login?ref={code}", context.settings.public_url);
    Ok(success(LinkBody { code, link }))
}

/// One of the conversions that an address may try; counted before anything of it is read.
struct ConvertAllowance;

impl FromRequest for ConvertAllowance {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = request.app_data::<web::Data<Context>>().ok_or_else(|| Error::internal("no context"));
        let counted =
            context.and_then(|context| context.limiter.convert(context.settings.trusted_proxies.client_of(request)));
        ready(counted.map(|()| Self).map_err(ApiError))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConvertBody {
    converted: bool,
    referrer_id: Option<String>,
}

/// Any text of 1 to 20 characters is acceptable; one that is no code of ours, `None`, only converts nothing.
fn referral_code(text: &str) -> Result<Option<Code>> {
    let length = text::printable("referralCode", text)?.chars().count();
    if !(1..=20).contains(&length) {
        return Err(Error::field("referralCode", "invalid_code", "Use 1 to 20 characters."));
    }
    Ok(Code::parse("referralCode", text).ok())
}

async fn convert(
    _allowance: ConvertAllowance,
    PublicProject(project): PublicProject,
    context: web::Data<Context>,
    Json(body): Json,
) -> std::result::Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let code = fields.text("referralCode").map(referral_code).and_then(|code| fields.check(code));
    let email = fields.text("email").map(|email| Email::parse("email", email)).and_then(|email| fields.check(email));
    fields.finish()?;
    let Conversion { converted, referrer } = match (code.flatten(), email) {
        (Some(code), Some(email)) => context.engine.convert(project.id, code, email).await?,
        _ => Conversion::default(),
    };
    Ok(success(ConvertBody { converted, referrer_id: referrer }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatsBody {
    total_referrals: i64,
    converted_referrals: i64,
    pending_referrals: i64,
    total_rewards: i64,
}

async fn stats(caller: JwtSubject, context: web::Data<Context>) -> std::result::Result<HttpResponse, ApiError> {
    let stats = context.engine.subject_stats(caller.project, caller.subject).await?;
    let SubjectStats { referrals, converted, rewards } = stats;
    Ok(success(StatsBody {
        total_referrals: referrals,
        converted_referrals: converted,
        pending_referrals: referrals - converted,
        total_rewards: rewards,
    }))
}
