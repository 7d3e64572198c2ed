//! Whether it is there, and whether it can work.

use super::error::ApiError;
use super::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/healthz", alive)).service(readable("/readyz", ready));
}

async fn alive() -> HttpResponse {
    json(StatusCode::OK, serde_json::json!({ "status": "ok" }))
}

/// The writer and the disk answer. That a backup failed is said, but keeps nobody from being served.
async fn ready(context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    context.engine.ready().await?;
    let mut answer = serde_json::json!({ "status": "ready" });
    if context.engine.backup_failure().is_some() {
        answer["warnings"] = serde_json::json!(["backup_failed"]);
    }
    Ok(json(StatusCode::OK, answer))
}
