//! Payouts, and what operators do about them.

use super::shared::{Answer, Subject, page, reason};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, PayoutId};
use crate::domain::payout_order::{PayoutFilter, PayoutOrder};
use crate::domain::time::rfc3339;
use crate::engine::ProjectPayout;
use crate::web::auth::{AdminRead, AdminWrite};
use crate::web::body::OptionalJson;
use crate::web::query::Query;
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/payouts", list))
        .service(readable("/payouts/{id}", show))
        .service(web::resource("/payouts/{id}/approve").route(web::post().to(approve)))
        .service(web::resource("/payouts/{id}/cancel").route(web::post().to(cancel)))
        .service(web::resource("/payouts/{id}/retry").route(web::post().to(retry)))
        .service(web::resource("/payouts/{id}/resolve").route(web::post().to(resolve)));
}

#[derive(Serialize)]
struct PayoutBody {
    id: PayoutId,
    developer_id: AccountId,
    amount: i64,
    currency: String,
    status: &'static str,
    /// Why an operator is needed, if one is.
    waits_for: Option<&'static str>,
    approved: bool,
    cancel_asked: bool,
    resolve_asked: bool,
    /// What the partner owes meanwhile.
    owed: i64,
    problem: Option<String>,
    failure: Option<String>,
    times_sent: i64,
    first_sent_at: Option<String>,
    last_sent_at: Option<String>,
    /// From then on it can be resolved.
    certain_at: Option<String>,
    transfer_id: Option<String>,
    reversed_amount: i64,
    created_at: String,
    paid_at: Option<String>,
}

impl From<ProjectPayout> for PayoutBody {
    fn from(found: ProjectPayout) -> Self {
        let (waits_for, certain_at) = (found.listed.waits_for(), found.listed.certain_at_ms().map(rfc3339));
        let (row, owed) = (found.listed.payout, found.listed.owed);
        Self {
            id: row.id,
            developer_id: row.account,
            amount: row.amount_minor,
            currency: row.currency,
            status: row.status.as_str(),
            waits_for,
            approved: row.approved,
            cancel_asked: row.cancel_asked,
            resolve_asked: row.resolve_asked,
            owed,
            problem: found.listed.problem,
            failure: row.failure,
            times_sent: row.times_sent,
            first_sent_at: row.sendings.map(|sent| rfc3339(sent.first_at_ms)),
            last_sent_at: row.sendings.map(|sent| rfc3339(sent.last_at_ms)),
            certain_at,
            transfer_id: row.transfer,
            reversed_amount: row.reversed_minor,
            created_at: rfc3339(row.created_at_ms),
            paid_at: row.paid_at_ms.map(rfc3339),
        }
    }
}

fn id_in(path: &Subject) -> Result<PayoutId> {
    path.1.parse().map_err(|_| Error::not_found("No such payout."))
}

pub async fn list(access: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let filter = PayoutFilter::parse(query.get("status").unwrap_or("all"))?;
    let (before, limit) = (query.cursor()?, query.limit()?);
    let rows = context.engine.project_payouts(access.project.id, filter, before, limit + 1).await?;
    Ok(json(StatusCode::OK, page(rows, limit, |row: &ProjectPayout| row.listed.payout.id.0, PayoutBody::from)))
}

pub async fn show(access: AdminRead, context: web::Data<Context>, path: Subject) -> Answer {
    let found = context.engine.project_payout(access.project.id, id_in(&path)?).await?;
    Ok(json(StatusCode::OK, PayoutBody::from(found)))
}

async fn order(
    access: AdminWrite,
    context: &Context,
    path: &Subject,
    body: &Map<String, Value>,
    order: PayoutOrder,
) -> Answer {
    let (id, reason) = (id_in(path)?, reason(body)?);
    let found = context.engine.order_payout(access.project.id, id, order, access.actor, reason).await?;
    Ok(json(StatusCode::OK, PayoutBody::from(found)))
}

pub async fn approve(
    access: AdminWrite,
    context: web::Data<Context>,
    path: Subject,
    OptionalJson(body): OptionalJson,
) -> Answer {
    order(access, &context, &path, &body, PayoutOrder::Approve).await
}

pub async fn cancel(
    access: AdminWrite,
    context: web::Data<Context>,
    path: Subject,
    OptionalJson(body): OptionalJson,
) -> Answer {
    order(access, &context, &path, &body, PayoutOrder::Cancel).await
}

pub async fn retry(
    access: AdminWrite,
    context: web::Data<Context>,
    path: Subject,
    OptionalJson(body): OptionalJson,
) -> Answer {
    order(access, &context, &path, &body, PayoutOrder::Retry).await
}

pub async fn resolve(
    access: AdminWrite,
    context: web::Data<Context>,
    path: Subject,
    OptionalJson(body): OptionalJson,
) -> Answer {
    order(access, &context, &path, &body, PayoutOrder::Resolve).await
}
