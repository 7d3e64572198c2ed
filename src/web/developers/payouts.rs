//! Payouts to partners.

use crate::domain::error::Error;
use crate::domain::id::{Cursor, PayoutId};
use crate::domain::payout::failure_words;
use crate::domain::time;
use crate::engine::PayoutRow;
use crate::web::auth::Developer;
use crate::web::body::{Fields, OptionalJson};
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, json};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;

const MOST_MINOR: i64 = 1_000_000_000_000;

#[derive(Serialize)]
struct PayoutBody {
    id: PayoutId,
    amount: i64,
    currency: String,
    status: &'static str,
    created_at: String,
    paid_at: Option<String>,
    /// In our words.
    failure: Option<&'static str>,
}

impl From<PayoutRow> for PayoutBody {
    fn from(row: PayoutRow) -> Self {
        Self {
            id: row.id,
            amount: row.amount_minor,
            currency: row.currency,
            status: row.status.as_str(),
            created_at: time::rfc3339(row.created_at_ms),
            paid_at: row.paid_at_ms.map(time::rfc3339),
            failure: row.failure.as_deref().map(failure_words),
        }
    }
}

#[derive(Serialize)]
struct Wrapped {
    payout: PayoutBody,
}

pub async fn request(
    developer: Developer,
    context: web::Data<Context>,
    OptionalJson(body): OptionalJson,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let amount_minor = fields.optional_integer("amount", 1..=MOST_MINOR);
    fields.finish()?;
    let row = context.engine.request_payout(developer.project, developer.account, amount_minor).await?;
    Ok(json(StatusCode::CREATED, Wrapped { payout: row.into() }))
}

pub async fn list(developer: Developer, context: web::Data<Context>, query: Query) -> Result<HttpResponse, ApiError> {
    let (limit, before) = (query.limit()?, query.cursor()?);
    // One more than is shown says whether there is a next page.
    let mut rows = context.engine.payouts(developer.project, developer.account, before, limit + 1).await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| Cursor(row.id.0));
    Ok(json(StatusCode::OK, Page { data: rows.into_iter().map(PayoutBody::from).collect(), next_cursor }))
}

pub async fn show(
    developer: Developer,
    context: web::Data<Context>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: PayoutId = id.parse().map_err(|_| Error::not_found("No such payout."))?;
    let row = context.engine.payout(developer.project, developer.account, id).await?;
    Ok(json(StatusCode::OK, Wrapped { payout: row.into() }))
}
