//! Gateway keys.

use super::shared::{Answer, Subject};
use crate::domain::access::Scope;
use crate::domain::error::Error;
use crate::domain::id::{Cursor, KeyId, OperatorId};
use crate::domain::{text, time};
use crate::engine::KeyRow;
use crate::web::auth::{AdminRead, AdminWrite};
use crate::web::body::{Fields, Json};
use crate::web::query::Page;
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::web;
use serde::Serialize;
use serde_json::json as document;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/keys", list).route(web::post().to(make)))
        .service(web::resource("/keys/{id}").route(web::delete().to(revoke)));
}

#[derive(Serialize)]
struct KeyBody {
    id: KeyId,
    name: Option<String>,
    hint: String,
    scopes: Vec<String>,
    /// An operator; null for the command line, the first start, or another key.
    made_by: Option<OperatorId>,
    created_at: String,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
    /// Shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<KeyRow> for KeyBody {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            hint: row.hint,
            scopes: row.scopes.split(',').map(str::to_owned).collect(),
            made_by: row.made_by,
            created_at: time::rfc3339(row.created_at_ms),
            last_used_at: row.last_used_at_ms.map(time::rfc3339),
            revoked_at: row.revoked_at_ms.map(time::rfc3339),
            key: None,
        }
    }
}

/// Newest first, revoked ones too.
pub async fn list(access: AdminRead, context: web::Data<Context>) -> Answer {
    let rows = context.engine.keys_of_project(access.project.id).await?;
    let data = rows.into_iter().map(KeyBody::from).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: None::<Cursor> }))
}

pub async fn make(access: AdminWrite, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let name = fields.optional_text("name").map(|name| text::display("name", name, 100));
    let name = name.and_then(|name| fields.check(name));
    let scopes = fields.text("scopes").map(Scope::parse_list);
    let scopes = scopes.and_then(|scopes| fields.check(scopes));
    fields.finish()?;
    let made =
        context.engine.make_key_of_project(access.project.id, scopes.unwrap_or_default(), name, access.actor).await?;
    Ok(json(StatusCode::CREATED, KeyBody { key: Some(made.secret), ..KeyBody::from(made.row) }))
}

pub async fn revoke(access: AdminWrite, context: web::Data<Context>, path: Subject) -> Answer {
    let id: KeyId = path.1.parse().map_err(|_| Error::not_found("No such key."))?;
    context.engine.revoke_key_of_project(access.project.id, id, access.actor).await?;
    Ok(json(StatusCode::OK, document!({ "id": id, "revoked": true })))
}
