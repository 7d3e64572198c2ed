//! The developer's ledger as a list and as CSV, and the instance's signed head.

use crate::domain::id::{AccountId, Cursor, EntryId};
use crate::domain::time;
use crate::engine::LedgerLine;
use crate::web::auth::{Developer, PublicProject};
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, json, ledger_csv};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;

/// The seed's `ReferralCredit`, and what refloop adds to it.
#[derive(Serialize)]
struct EntryBody {
    id: EntryId,
    referrer_id: Option<AccountId>,
    referee_id: Option<AccountId>,
    credit_amount: i64,
    reason: String,
    created_at: String,
    kind: &'static str,
    status: &'static str,
    vests_at: Option<String>,
    expires_at: Option<String>,
    lot_id: EntryId,
    group_id: EntryId,
    seq: i64,
    hash: String,
}

impl From<LedgerLine> for EntryBody {
    fn from(line: LedgerLine) -> Self {
        let id = line.id();
        let LedgerLine { entry, status, referrer, referee, .. } = line;
        Self {
            id,
            referrer_id: referrer,
            referee_id: referee,
            credit_amount: entry.amount,
            reason: entry.reason.into_owned(),
            created_at: time::rfc3339(entry.at_ms),
            kind: entry.kind.as_str(),
            status,
            vests_at: entry.vests_at_ms.map(time::rfc3339),
            expires_at: entry.expires_at_ms.map(time::rfc3339),
            lot_id: EntryId(entry.lot),
            group_id: EntryId(entry.group_seq),
            seq: entry.seq,
            hash: hex::encode(entry.hash),
        }
    }
}

pub async fn list(
    developer: Developer,
    context: web::Data<Context>,
    query: Query,
) -> std::result::Result<HttpResponse, ApiError> {
    let (filter, before, limit) = (ledger_csv::filter(&query)?, query.cursor()?, query.limit()?);
    let page = context.engine.ledger(developer.project, developer.account, filter, before, limit).await?;
    let data = page.lines.into_iter().map(EntryBody::from).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: page.next.map(Cursor) }))
}

/// Oldest first, in chunks that are read as the client takes them.
pub async fn export(
    developer: Developer,
    context: web::Data<Context>,
    query: Query,
) -> std::result::Result<HttpResponse, ApiError> {
    Ok(ledger_csv::export(developer.project, developer.account, context, ledger_csv::filter(&query)?))
}

pub async fn head(_project: PublicProject, context: web::Data<Context>) -> std::result::Result<HttpResponse, ApiError> {
    Ok(json(StatusCode::OK, context.engine.signed_heads().await?))
}
