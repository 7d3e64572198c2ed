//! The developer's ledger as a list and as CSV, and the instance's signed head.

use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, Cursor, EntryId, ProjectId};
use crate::domain::ledger::LINE_STATUSES;
use crate::domain::time;
use crate::engine::{LedgerFilter, LedgerLine, LedgerPage, mask};

use crate::web::auth::{Developer, PublicProject};
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, json};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use futures_util::stream::{self, Stream};
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

fn filter(query: &Query) -> Result<LedgerFilter> {
    let mut filter = LedgerFilter::default();
    if let Some(from) = query.get("from") {
        filter.from_ms = time::parse("from", from)?;
    }
    if let Some(to) = query.get("to") {
        filter.to_ms = time::parse("to", to)?;
    }
    if let Some(status) = query.get("status") {
        let known = LINE_STATUSES.into_iter().find(|known| known.eq_ignore_ascii_case(status));
        let detail = || format!("A status is one of {}.", LINE_STATUSES.join(", "));
        filter.status = Some(known.ok_or_else(|| Error::field("status", "invalid_status", detail()))?);
    }
    Ok(filter)
}

pub async fn list(
    developer: Developer,
    context: web::Data<Context>,
    query: Query,
) -> std::result::Result<HttpResponse, ApiError> {
    let (filter, before, limit) = (filter(&query)?, query.cursor()?, query.limit()?);
    let page = context.engine.ledger(developer.project, developer.account, filter, before, limit).await?;
    let data = page.lines.into_iter().map(EntryBody::from).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: page.next.map(Cursor) }))
}

const CSV_HEADER: [&str; 15] = [
    "date",
    "id",
    "kind",
    "reason",
    "credit_amount",
    "status",
    "vests_at",
    "expires_at",
    "referrer_id",
    "referee_id",
    "referee_email",
    "lot_id",
    "group_id",
    "seq",
    "hash",
];
const CSV_CHUNK: usize = 500;

/// Oldest first, in chunks that are read as the client takes them.
pub async fn export(
    developer: Developer,
    context: web::Data<Context>,
    query: Query,
) -> std::result::Result<HttpResponse, ApiError> {
    let chunks = csv_chunks(developer.project, developer.account, context, filter(&query)?);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("Content-Disposition", "attachment; filename=\"ledger.csv\""))
        .streaming(chunks))
}

fn csv_chunks(
    project: ProjectId,
    account: AccountId,
    context: web::Data<Context>,
    filter: LedgerFilter,
) -> impl Stream<Item = std::result::Result<web::Bytes, ApiError>> {
    stream::unfold(Some((0, true)), move |state| {
        let context = context.clone();
        async move {
            let (mut after, first) = state?;
            let page = loop {
                match context.engine.ledger_forward(project, account, filter, after, CSV_CHUNK).await {
                    // An empty chunk would end the answer.
                    Ok(LedgerPage { lines, next: Some(next) }) if lines.is_empty() && !first => after = next,
                    page => break page,
                }
            };
            match page {
                Ok(page) if page.lines.is_empty() && !first => None,
                Ok(page) => {
                    let next = page.next.map(|next| (next, false));
                    Some((csv_chunk(page.lines, first).map(web::Bytes::from).map_err(ApiError), next))
                }
                // The answer has begun: breaking it off is the only way left to say that it is not whole.
                Err(fault) => Some((Err(ApiError(fault)), None)),
            }
        }
    })
}

fn csv_chunk(lines: Vec<LedgerLine>, with_header: bool) -> Result<Vec<u8>> {
    let fault = |fault: String| Error::internal(format!("csv: {fault}"));
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if with_header {
        writer.write_record(CSV_HEADER).map_err(|error| fault(error.to_string()))?;
    }
    for line in lines {
        let email = line.referee_email.as_deref().and_then(mask).unwrap_or_default();
        let entry = EntryBody::from(line);
        let optional_id = |id: Option<AccountId>| id.map(|id| id.to_string()).unwrap_or_default();
        let record = [
            entry.created_at,
            entry.id.to_string(),
            entry.kind.into(),
            defused(entry.reason),
            entry.credit_amount.to_string(),
            entry.status.into(),
            entry.vests_at.unwrap_or_default(),
            entry.expires_at.unwrap_or_default(),
            optional_id(entry.referrer_id),
            optional_id(entry.referee_id),
            defused(email),
            entry.lot_id.to_string(),
            entry.group_id.to_string(),
            entry.seq.to_string(),
            entry.hash,
        ];
        writer.write_record(record).map_err(|error| fault(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| fault(error.to_string()))
}

/// Text that a spreadsheet would take for a formula gets a quote in front. Numbers are written by us and stay bare.
fn defused(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

pub async fn head(_project: PublicProject, context: web::Data<Context>) -> std::result::Result<HttpResponse, ApiError> {
    Ok(json(StatusCode::OK, context.engine.signed_head().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_defused() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            assert_eq!(defused(text.into()), format!("'{text}"));
        }
        assert_eq!(defused("user***@domain.com".into()), "user***@domain.com");
    }
}
