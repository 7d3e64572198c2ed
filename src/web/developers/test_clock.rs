//! The clock of a test project.

use crate::domain::time;
use crate::web::auth::{Admin, Gateway};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::{Context, json};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json as document;

pub async fn advance(
    gateway: Gateway<Admin>,
    context: web::Data<Context>,
    Json(body): Json,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let duration = fields.text("advance").unwrap_or_default().to_owned();
    fields.finish()?;
    let now_ms = context.engine.advance_clock(gateway.project, duration).await?;
    Ok(json(StatusCode::OK, document!({ "now": time::rfc3339(now_ms) })))
}
