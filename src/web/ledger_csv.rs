//! The ledger's filter, and the ledger as CSV: the same for a key and for a session.

use super::Context;
use super::csv_download::defused;
use super::error::ApiError;
use super::query::Query;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, EntryId, ProjectId};
use crate::domain::ledger::LINE_STATUSES;
use crate::domain::time;
use crate::engine::{LedgerFilter, LedgerLine, LedgerPage, mask};
use actix_web::{HttpResponse, web};
use futures_util::stream::{self, Stream};

/// `from`, `to` (exclusive) and `status`.
pub fn filter(query: &Query) -> Result<LedgerFilter> {
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
pub fn export(
    project: ProjectId,
    account: AccountId,
    context: web::Data<Context>,
    filter: LedgerFilter,
) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("Content-Disposition", "attachment; filename=\"ledger.csv\""))
        .streaming(csv_chunks(project, account, context, filter))
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
        let id = line.id();
        let LedgerLine { entry, status, referrer, referee, .. } = line;
        let optional_time = |at_ms: Option<i64>| at_ms.map(time::rfc3339).unwrap_or_default();
        let optional_id = |id: Option<AccountId>| id.map(|id| id.to_string()).unwrap_or_default();
        let record = [
            time::rfc3339(entry.at_ms),
            id.to_string(),
            entry.kind.as_str().into(),
            defused(entry.reason.into_owned()),
            entry.amount.to_string(),
            status.into(),
            optional_time(entry.vests_at_ms),
            optional_time(entry.expires_at_ms),
            optional_id(referrer),
            optional_id(referee),
            defused(email),
            EntryId(entry.lot).to_string(),
            EntryId(entry.group_seq).to_string(),
            entry.seq.to_string(),
            hex::encode(entry.hash),
        ];
        writer.write_record(record).map_err(|error| fault(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| fault(error.to_string()))
}
