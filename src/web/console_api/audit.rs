//! The audit log.

use crate::domain::error::Result;
use crate::domain::id::Cursor;
use crate::domain::{text, time};
use crate::engine::AuditFilter;
use crate::web::audit_body::body;
use crate::web::auth::AdminRead;
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

type Answer = std::result::Result<HttpResponse, ApiError>;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/audit", list)).service(readable("/audit/head", head));
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

pub async fn list(access: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let (limit, before, filter) = (query.limit()?, query.cursor()?, filter(&query)?);
    let page = context.engine.audit(access.project.team, Some(access.project.id), filter, before, limit).await?;
    let data = page.records.iter().map(body).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: page.next.map(Cursor) }))
}

pub async fn head(_: AdminRead, context: web::Data<Context>) -> Answer {
    Ok(json(StatusCode::OK, context.engine.signed_audit_head().await?))
}
