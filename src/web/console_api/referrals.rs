//! Referrals under review: the queue, one with its whole history, clearing and rejecting.

use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, Cursor, EntryId, ReferralId};
use crate::domain::referral::Status;
use crate::domain::{text, time};
use crate::engine::{
    BulkRejected, Cohort, CohortAccount, DecisionRow, Preview, ReviewItem, ReviewView, Side, SignalRow, mask,
};
use crate::web::auth::{AdminRead, AdminWrite};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, rt, web};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

type Answer = std::result::Result<HttpResponse, ApiError>;

/// Of a reason, in characters.
pub const LONGEST_REASON: usize = 500;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/referrals", list))
        .service(web::resource("/referrals/reject").route(web::post().to(reject_all)))
        .service(readable("/referrals/{id}", show))
        .service(web::resource("/referrals/{id}/clear").route(web::post().to(clear)))
        .service(web::resource("/referrals/{id}/reject").route(web::post().to(reject)));
}

#[derive(Serialize)]
struct SideBody {
    id: AccountId,
    external_id: Option<String>,
    email: Option<String>,
    name: Option<String>,
}

impl SideBody {
    /// To who may only look, addresses are masked, and names are not shown.
    fn of(side: Side, may_write: bool) -> Self {
        let email = if may_write { side.email } else { side.email.as_deref().and_then(mask) };
        Self { id: side.id, external_id: side.external_id, email, name: side.name.filter(|_| may_write) }
    }
}

#[derive(Serialize)]
struct SignalBody {
    code: &'static str,
    text: &'static str,
    weight: i64,
    inputs: Value,
    program_version: i64,
    at: String,
}

impl From<SignalRow> for SignalBody {
    fn from(row: SignalRow) -> Self {
        Self {
            code: row.code.as_str(),
            text: row.code.text(),
            weight: row.weight,
            inputs: row.inputs,
            program_version: row.program_version,
            at: time::rfc3339(row.at_ms),
        }
    }
}

#[derive(Serialize)]
struct ReferralBody {
    id: ReferralId,
    status: &'static str,
    reason: Option<String>,
    code: String,
    referrer: SideBody,
    referee: SideBody,
    weight: i64,
    signals: Vec<SignalBody>,
    at_stake: i64,
    signed_up_at: String,
    first_call_at: Option<String>,
    active_at: Option<String>,
    converted_at: Option<String>,
    rejected_at: Option<String>,
    cleared_at: Option<String>,
}

impl ReferralBody {
    fn of(item: ReviewItem, may_write: bool) -> Self {
        let ReviewItem { line, signals, at_stake } = item;
        let progress = line.referral.progress;
        Self {
            id: line.referral.id,
            status: progress.status.as_str(),
            reason: line.reason,
            code: line.code,
            referrer: SideBody::of(line.referrer, may_write),
            referee: SideBody::of(line.referee, may_write),
            weight: line.weight,
            signals: signals.into_iter().map(Into::into).collect(),
            at_stake,
            signed_up_at: time::rfc3339(line.referral.signed_up_at_ms),
            first_call_at: progress.first_call_at_ms.map(time::rfc3339),
            active_at: progress.active_at_ms.map(time::rfc3339),
            converted_at: progress.converted_at_ms.map(time::rfc3339),
            rejected_at: line.rejected_at_ms.map(time::rfc3339),
            cleared_at: line.cleared_at_ms.map(time::rfc3339),
        }
    }
}

#[derive(Serialize)]
struct DecisionBody {
    event: String,
    rule: String,
    program_version: i64,
    inputs: Value,
    verdict: String,
    code: String,
    at: String,
}

impl From<DecisionRow> for DecisionBody {
    fn from(row: DecisionRow) -> Self {
        let DecisionRow { event, rule, program_version, inputs, verdict, code, at_ms } = row;
        Self { event, rule, program_version, inputs, verdict, code, at: time::rfc3339(at_ms) }
    }
}

#[derive(Serialize)]
struct GrantBody {
    id: EntryId,
    developer_id: AccountId,
    reason: String,
    amount: i64,
    reversed: i64,
    pending: i64,
    available: i64,
    owed: i64,
    status: &'static str,
    granted_at: String,
    vests_at: String,
}

/// A referral with its whole history.
#[derive(Serialize)]
struct ReviewBody {
    #[serde(flatten)]
    referral: ReferralBody,
    threshold: u32,
    decisions: Vec<DecisionBody>,
    grants: Vec<GrantBody>,
}

impl ReviewBody {
    fn of(view: ReviewView, may_write: bool) -> Self {
        let grants = view.grants.into_iter().map(|grant| GrantBody {
            id: grant.id,
            developer_id: grant.account,
            reason: grant.reason,
            amount: grant.amount,
            reversed: grant.reversed,
            pending: grant.pending,
            available: grant.available,
            owed: grant.owed,
            status: grant.status,
            granted_at: time::rfc3339(grant.granted_at_ms),
            vests_at: time::rfc3339(grant.vests_at_ms),
        });
        Self {
            threshold: view.threshold,
            grants: grants.collect(),
            decisions: view.decisions.into_iter().map(Into::into).collect(),
            referral: ReferralBody::of(view.item, may_write),
        }
    }
}

/// What the list is narrowed to: `status`, `code`, `domain`.
pub fn asked(query: &Query) -> Result<(Option<Status>, Option<Code>, Option<String>)> {
    let status = query.get("status").map(|text| {
        let names = Status::ALL.map(Status::as_str).join(", ");
        Status::parse(text)
            .ok_or_else(|| Error::field("status", "invalid_status", format!("A status is one of {names}.")))
    });
    let code = query.get("code").map(|text| Code::parse("code", text));
    Ok((status.transpose()?, code.transpose()?, query.get("domain").map(str::to_owned)))
}

/// A reason as an operator types it: it must say something.
pub fn reason(text: &str) -> Result<String> {
    text::display("reason", text, LONGEST_REASON)
}

/// The referrals that have a code or a domain in common; one of the two is named.
pub fn cohort(code: Option<&str>, domain: Option<&str>) -> Result<Cohort> {
    match (code, domain) {
        (Some(code), None) => Code::parse("code", code).map(Cohort::Code),
        (None, Some(domain)) => text::display("domain", domain, 253).map(Cohort::Domain),
        (None, None) => Err(Error::field("code", "required", "Name a code or a domain.")),
        (Some(_), Some(_)) => Err(Error::field("code", "one_of", "Name either a code or a domain.")),
    }
}

pub fn id(text: &str) -> Result<ReferralId> {
    text.parse().map_err(|_| Error::not_found("There is no such referral."))
}

async fn list(admin: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let ((status, code, domain), before, limit) = (asked(&query)?, query.cursor()?, query.limit()?);
    let page = context.engine.reviews(admin.project.id, status, code, domain, before, limit).await?;
    let data = page.items.into_iter().map(|item| ReferralBody::of(item, admin.may_write())).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: page.next.map(Cursor) }))
}

async fn show(admin: AdminRead, context: web::Data<Context>, path: web::Path<(String, String)>) -> Answer {
    let view = context.engine.review(admin.project.id, id(&path.1)?).await?;
    Ok(json(StatusCode::OK, ReviewBody::of(view, admin.may_write())))
}

fn given_reason(body: &serde_json::Map<String, Value>) -> Result<String> {
    let mut fields = Fields::new(body);
    let reason = fields.text("reason").map(reason).and_then(|reason| fields.check(reason));
    fields.finish()?;
    reason.ok_or_else(|| Error::internal("a decision without its reason"))
}

async fn clear(
    admin: AdminWrite,
    context: web::Data<Context>,
    path: web::Path<(String, String)>,
    Json(body): Json,
) -> Answer {
    let (id, reason) = (id(&path.1)?, given_reason(&body)?);
    let view = context.engine.clear_referral(admin.project.id, admin.actor, id, reason).await?;
    Ok(json(StatusCode::OK, ReviewBody::of(view, true)))
}

async fn reject(
    admin: AdminWrite,
    context: web::Data<Context>,
    path: web::Path<(String, String)>,
    Json(body): Json,
) -> Answer {
    let (id, reason) = (id(&path.1)?, given_reason(&body)?);
    let view = context.engine.reject_referral(admin.project.id, admin.actor, id, reason).await?;
    Ok(json(StatusCode::OK, ReviewBody::of(view, true)))
}

#[derive(Serialize)]
struct LossBody {
    developer_id: AccountId,
    email: Option<String>,
    pending: i64,
    available: i64,
    from_other_credits: i64,
    debt: i64,
}

impl LossBody {
    /// To who may only look, addresses are masked.
    fn of(of: CohortAccount, may_write: bool) -> Self {
        let CohortAccount { account, email, pending, available, from_others, debt } = of;
        let email = if may_write { email } else { email.as_deref().and_then(mask) };
        Self { developer_id: account, email, pending, available, from_other_credits: from_others, debt }
    }
}

#[derive(Serialize)]
struct PreviewBody {
    referrals: usize,
    rejected_before: i64,
    more: bool,
    total: i64,
    pending: i64,
    available: i64,
    from_other_credits: i64,
    debt: i64,
    account_count: usize,
    accounts: Vec<LossBody>,
    digest: String,
}

impl PreviewBody {
    fn of(preview: Preview, may_write: bool) -> Self {
        Self {
            referrals: preview.referrals,
            rejected_before: preview.rejected,
            more: preview.more,
            total: preview.total,
            pending: preview.pending,
            available: preview.available,
            from_other_credits: preview.from_others,
            debt: preview.debt,
            account_count: preview.account_count,
            accounts: preview.accounts.into_iter().map(|account| LossBody::of(account, may_write)).collect(),
            digest: preview.digest,
        }
    }
}

/// What a bulk rejection is asked to do.
enum Bulk {
    Preview(Cohort),
    Reject { cohort: Cohort, digest: String, reason: String },
}

fn bulk(body: &serde_json::Map<String, Value>) -> Result<Bulk> {
    let mut fields = Fields::new(body);
    let (code, domain) = (fields.optional_text("code"), fields.optional_text("domain"));
    let preview = fields.has("preview") && fields.boolean("preview").unwrap_or(true);
    let cohort = fields.check(cohort(code, domain));
    let given = if preview {
        None
    } else {
        let digest = fields.text("digest").map(|digest| text::client_id("digest", digest));
        let reason = fields.text("reason").map(reason);
        Some((digest.and_then(|it| fields.check(it)), reason.and_then(|it| fields.check(it))))
    };
    fields.finish()?;
    match (cohort, given) {
        (Some(cohort), None) => Ok(Bulk::Preview(cohort)),
        (Some(cohort), Some((Some(digest), Some(reason)))) => Ok(Bulk::Reject { cohort, digest, reason }),
        _ => Err(Error::internal("a bulk rejection without its fields")),
    }
}

/// The preview writes nothing: whoever may look may ask for it.
async fn reject_all(admin: AdminRead, context: web::Data<Context>, Json(body): Json) -> Answer {
    let project = admin.project.id;
    match bulk(&body)? {
        Bulk::Preview(cohort) => {
            let preview = context.engine.preview_rejection(project, cohort).await?;
            Ok(json(StatusCode::OK, PreviewBody::of(preview, admin.may_write())))
        }
        Bulk::Reject { cohort, digest, reason } => {
            admin.check_write()?;
            let (engine, actor) = (Arc::clone(&context.engine), admin.actor);
            // On its own, so that it goes on to its end when the caller has hung up.
            let rejecting =
                rt::spawn(async move { engine.reject_cohort(project, actor, cohort, digest, reason).await });
            let done = rejecting.await.map_err(|fault| Error::internal(fault.to_string()))??;
            let BulkRejected { referrals, taken_back } = done;
            Ok(json(StatusCode::OK, serde_json::json!({ "referrals": referrals, "taken_back": taken_back })))
        }
    }
}
