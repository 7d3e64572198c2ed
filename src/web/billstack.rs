//! Face three, `/api/billstack/…/referrals`: a project's configuration and codes, for its own server and operators
//! (BillStack). Accounts go by the team's own ids here, and lists by `limit` and `offset`.

use super::auth::{ProjectAccess, ReferralsRead, ReferralsWrite};
use super::body::{Fields, Json};
use super::error::ApiError;
use super::query::Query;
use super::{Context, json, readable};
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::id::{ProjectId, ReferralId};
use crate::domain::program::{Config, MAX_AMOUNT};
use crate::domain::referral::{Progress, Status};
use crate::domain::{text, time};
use crate::engine::{AppliedCode, CustomerCode, ReferredCustomer, Slice};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value, json as document};

/// Referrals that come with a code when no limit is given, and at most.
const MOST_REFERRALS: i64 = 1_000;

type Answer = std::result::Result<HttpResponse, ApiError>;
/// Team, project and code of a path. The first two have been looked at by [`ProjectAccess`].
type CodePath = web::Path<(String, String, String)>;

pub fn routes(config: &mut web::ServiceConfig) {
    let project = web::scope("/{team}/projects/{project}/referrals")
        .service(readable("/config", config_in_force).route(web::put().to(set_config)))
        .service(readable("/codes", codes).route(web::post().to(make_code)))
        .service(readable("/codes/{code}", code).route(web::delete().to(deactivate)))
        .service(web::resource("/apply").route(web::post().to(apply)));
    config.service(web::scope("/api/billstack/teams").service(project));
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigBody {
    enabled: bool,
    referrer_credit_amount: i64,
    referee_credit_amount: i64,
    currency: String,
    project_id: ProjectId,
}

fn config_answer(project: ProjectId, config: Config) -> HttpResponse {
    let body = ConfigBody {
        enabled: config.enabled,
        referrer_credit_amount: config.referrer_amount,
        referee_credit_amount: config.referee_amount,
        currency: config.unit,
        project_id: project,
    };
    json(StatusCode::OK, document!({ "config": body }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CodeBody {
    code: String,
    customer_id: String,
    /// Not beside a code's referrals.
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<ProjectId>,
    is_active: bool,
    created_at: String,
}

impl CodeBody {
    fn new(project: Option<ProjectId>, code: CustomerCode) -> Self {
        Self {
            code: code.code,
            customer_id: code.customer,
            project_id: project,
            is_active: code.active,
            created_at: time::rfc3339(code.created_at_ms),
        }
    }
}

/// A referral in a code's history.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferralBody {
    id: ReferralId,
    referee_customer_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_at: String,
    converted_at: Option<String>,
}

impl From<ReferredCustomer> for ReferralBody {
    fn from(referral: ReferredCustomer) -> Self {
        Self {
            id: referral.id,
            referee_customer_id: referral.customer,
            status: status(referral.progress),
            reason: referral.reason,
            created_at: time::rfc3339(referral.applied_at_ms),
            converted_at: referral.progress.converted_at_ms.map(time::rfc3339),
        }
    }
}

/// A referral that was just made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppliedBody {
    id: ReferralId,
    code: String,
    referrer_customer_id: String,
    referee_customer_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    created_at: String,
}

impl From<AppliedCode> for AppliedBody {
    fn from(AppliedCode { code, referral }: AppliedCode) -> Self {
        Self {
            id: referral.id,
            code: code.code,
            referrer_customer_id: code.customer,
            referee_customer_id: referral.customer,
            status: status(referral.progress),
            reason: referral.reason,
            created_at: time::rfc3339(referral.applied_at_ms),
        }
    }
}

/// The seed's two words, and one each for what stands in the way of a referral.
fn status(progress: Progress) -> &'static str {
    match progress.status {
        Status::Review => "review",
        Status::Rejected => "rejected",
        _ if progress.converted_at_ms.is_some() => "converted",
        _ => "pending",
    }
}

async fn config_in_force(access: ProjectAccess<ReferralsRead>, context: web::Data<Context>) -> Answer {
    let config = context.engine.config(access.project).await?;
    Ok(config_answer(access.project, config))
}

fn config(body: &Map<String, Value>) -> Result<Config> {
    let mut fields = Fields::new(body);
    let enabled = fields.boolean("enabled");
    let referrer_amount = fields.integer("referrerCreditAmount", 0..=MAX_AMOUNT);
    let referee_amount = fields.integer("refereeCreditAmount", 0..=MAX_AMOUNT);
    let unit = fields.optional_text("currency").unwrap_or("usd").to_ascii_lowercase();
    if unit.len() != 3 || !unit.bytes().all(|b| b.is_ascii_lowercase()) {
        fields.add("currency", "invalid_currency", "Give a currency code of three letters, such as usd.");
    }
    fields.finish()?;
    match (enabled, referrer_amount, referee_amount) {
        (Some(enabled), Some(referrer_amount), Some(referee_amount)) => {
            Ok(Config { enabled, referrer_amount, referee_amount, unit })
        }
        _ => Err(Error::internal("a configuration without its fields")),
    }
}

async fn set_config(access: ProjectAccess<ReferralsWrite>, context: web::Data<Context>, Json(body): Json) -> Answer {
    let config = context.engine.set_config(access.project, config(&body)?, access.actor).await?;
    Ok(config_answer(access.project, config))
}

async fn codes(access: ProjectAccess<ReferralsRead>, context: web::Data<Context>, query: Query) -> Answer {
    let slice = Slice { limit: query.integer("limit", 1..=200, 50)?, offset: offset(&query)? };
    let active_only = query.flag("activeOnly", true)?;
    let codes = context.engine.customer_codes(access.project, active_only, slice).await?;
    let codes: Vec<_> = codes.into_iter().map(|code| CodeBody::new(Some(access.project), code)).collect();
    Ok(json(StatusCode::OK, document!({ "codes": codes })))
}

fn offset(query: &Query) -> Result<i64> {
    query.integer("offset", 0..=i64::MAX, 0)
}

async fn make_code(access: ProjectAccess<ReferralsWrite>, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let customer = customer_id(&mut fields, "customerId");
    fields.finish()?;
    let customer = customer.ok_or_else(|| Error::internal("a code without its customer"))?;
    let (code, made) = context.engine.code_for_customer(access.project, customer, access.actor).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, document!({ "code": CodeBody::new(Some(access.project), code) })))
}

fn customer_id(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    let id = fields.text(name).map(|id| text::client_id(name, id));
    id.and_then(|id| fields.check(id))
}

/// A code in a path. One that cannot be a code is not there.
fn code_in(path: &CodePath) -> Result<Code> {
    Code::parse("code", &path.2).map_err(|_| Error::not_found("There is no such referral code."))
}

async fn code(
    access: ProjectAccess<ReferralsRead>,
    context: web::Data<Context>,
    path: CodePath,
    query: Query,
) -> Answer {
    let limit = query.integer("limit", 1..=MOST_REFERRALS, MOST_REFERRALS)?;
    let slice = Slice { limit, offset: offset(&query)? };
    let (code, referrals) = context.engine.customer_code(access.project, code_in(&path)?, slice).await?;
    let referrals: Vec<_> = referrals.into_iter().map(ReferralBody::from).collect();
    Ok(json(StatusCode::OK, document!({ "code": CodeBody::new(None, code), "referrals": referrals })))
}

async fn deactivate(access: ProjectAccess<ReferralsWrite>, context: web::Data<Context>, path: CodePath) -> Answer {
    let code = context.engine.deactivate_code(access.project, code_in(&path)?, access.actor).await?;
    Ok(json(StatusCode::OK, document!({ "code": { "code": code, "isActive": false } })))
}

/// Takes no more than the right to read, so that a signup page's server can do it.
async fn apply(access: ProjectAccess<ReferralsRead>, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let code = fields.text("code").map(|code| Code::parse("code", code));
    let code = code.and_then(|code| fields.check(code));
    let referee = customer_id(&mut fields, "refereeCustomerId");
    fields.finish()?;
    let (Some(code), Some(referee)) = (code, referee) else {
        return Err(Error::internal("an application without its fields").into());
    };
    let applied = context.engine.apply_for_customer(access.project, code, referee, access.actor).await?;
    Ok(json(StatusCode::CREATED, document!({ "referral": AppliedBody::from(applied) })))
}
