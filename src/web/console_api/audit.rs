//! The audit log.

use super::path;
use crate::domain::audit::Record;
use crate::domain::error::Result;
use crate::domain::id::{Cursor, ProjectId};
use crate::domain::{text, time};
use crate::engine::AuditFilter;
use crate::web::auth::AdminRead;
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable(&path("audit"), list)).service(readable(&path("audit/head"), head));
}

#[derive(Serialize)]
struct RecordBody {
    seq: i64,
    /// `null`: about the team itself.
    project_id: Option<ProjectId>,
    actor: String,
    action: String,
    subject: Option<String>,
    reason: Option<String>,
    details: Value,
    ledger_seq: i64,
    ledger_hash: String,
    at: String,
    hash: String,
}

impl From<Record> for RecordBody {
    fn from(record: Record) -> Self {
        Self {
            seq: record.seq,
            project_id: record.project,
            actor: record.actor,
            action: record.action,
            subject: record.subject,
            reason: record.reason,
            details: serde_json::from_str(&record.details).unwrap_or_default(),
            ledger_seq: record.ledger.seq,
            ledger_hash: hex::encode(record.ledger.hash),
            at: time::rfc3339(record.at_ms),
            hash: hex::encode(record.hash),
        }
    }
}

fn filter(query: &Query) -> Result<AuditFilter> {
    let text = |name: &str| query.get(name).map(|value| text::client_id(name, value)).transpose();
    let time = |name: &str| query.get(name).map(|value| time::parse(name, value)).transpose();
    Ok(AuditFilter {
        actor: text("actor")?,
        action: text("action")?,
        subject: text("subject")?,
        from_ms: time("from")?.unwrap_or(i64::MIN),
        to_ms: time("to")?.unwrap_or(i64::MAX),
    })
}

pub async fn list(
    access: AdminRead,
    context: web::Data<Context>,
    query: Query,
) -> std::result::Result<HttpResponse, ApiError> {
    let (limit, before, filter) = (query.limit()?, query.cursor()?, filter(&query)?);
    let page = context.engine.audit(access.project.team, Some(access.project.id), filter, before, limit).await?;
    let data = page.records.into_iter().map(RecordBody::from).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: page.next.map(Cursor) }))
}

pub async fn head(_: AdminRead, context: web::Data<Context>) -> std::result::Result<HttpResponse, ApiError> {
    Ok(json(StatusCode::OK, context.engine.signed_audit_head().await?))
}
