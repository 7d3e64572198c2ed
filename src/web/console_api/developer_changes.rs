//! What is done to one developer: credits, sessions, keys, code, erasure.

use super::developers::{BalanceBody, developer_in};
use super::shared::{Answer, Subject, idempotency_key, mark_replayed, reason};
use crate::domain::developer::{Adjustment, confirmed, reason_for};
use crate::domain::error::Error;
use crate::domain::id::{EntryId, KeyId};
use crate::domain::program::MAX_AMOUNT;
use crate::domain::time::rfc3339;
use crate::engine::{Adjusted, Intervention};
use crate::web::auth::AdminWrite;
use crate::web::body::{Fields, Json, OptionalJson};
use crate::web::{Context, json};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde::Serialize;
use serde_json::{Map, Value, json as document};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/developers/{id}/adjustments").route(web::post().to(adjust)))
        .service(web::resource("/developers/{id}/sign-out").route(web::post().to(sign_out)))
        .service(web::resource("/developers/{id}/keys/rotate").route(web::post().to(rotate_keys)))
        .service(web::resource("/developers/{id}/keys/{key}").route(web::delete().to(revoke_key)))
        .service(web::resource("/developers/{id}/code").route(web::delete().to(revoke_code)))
        .service(web::resource("/developers/{id}/erase").route(web::post().to(erase)));
}

#[derive(Serialize)]
struct AdjustedBody {
    id: EntryId,
    amount: i64,
    at: String,
    balance: BalanceBody,
}

impl From<Adjusted> for AdjustedBody {
    fn from(made: Adjusted) -> Self {
        Self { id: made.entry, amount: made.amount, at: rfc3339(made.at_ms), balance: made.balance.into() }
    }
}

fn adjustment(body: &Map<String, Value>) -> Result<Adjustment, Error> {
    let mut fields = Fields::new(body);
    let amount = fields.integer("amount", -MAX_AMOUNT..=MAX_AMOUNT);
    let typed = fields.text("reason").unwrap_or_default();
    let adjustment = fields.check(Adjustment::parse(amount.unwrap_or(1), typed));
    fields.finish()?;
    adjustment.ok_or_else(|| Error::internal("an adjustment without its fields"))
}

pub async fn adjust(
    access: AdminWrite,
    context: web::Data<Context>,
    path: Subject,
    request: HttpRequest,
    Json(body): Json,
) -> Answer {
    let (id, key, adjustment) = (developer_in(&path)?, idempotency_key(&request)?, adjustment(&body)?);
    let made = context.engine.adjust(access.project.id, id, adjustment, key, access.actor).await?;
    let mut response = json(StatusCode::CREATED, AdjustedBody::from(made));
    mark_replayed(&mut response, made.replayed);
    Ok(response)
}

fn intervention(access: &AdminWrite, path: &Subject, reason: Option<String>) -> Result<Intervention, Error> {
    Ok(Intervention { project: access.project.id, account: developer_in(path)?, actor: access.actor, reason })
}

pub async fn sign_out(
    access: AdminWrite,
    context: web::Data<Context>,
    path: Subject,
    OptionalJson(body): OptionalJson,
) -> Answer {
    let on = intervention(&access, &path, reason(&body)?)?;
    let ended = context.engine.sign_out_developer(on).await?;
    Ok(json(StatusCode::OK, document!({ "id": path.1, "sessions_ended": ended })))
}

pub async fn rotate_keys(
    access: AdminWrite,
    context: web::Data<Context>,
    path: Subject,
    OptionalJson(body): OptionalJson,
) -> Answer {
    let on = intervention(&access, &path, reason(&body)?)?;
    let (made, revoked) = context.engine.rotate_keys(on).await?;
    let body = document!({ "id": made.row.id, "key": made.secret, "hint": made.row.hint, "revoked": revoked });
    Ok(json(StatusCode::CREATED, body))
}

pub async fn revoke_key(
    access: AdminWrite,
    context: web::Data<Context>,
    path: web::Path<(String, String, String)>,
) -> Answer {
    let (project, developer, key) = path.into_inner();
    let key: KeyId = key.parse().map_err(|_| Error::not_found("No such key."))?;
    let on = intervention(&access, &Subject::from((project, developer)), None)?;
    context.engine.revoke_developer_key(on, key).await?;
    Ok(json(StatusCode::OK, document!({ "id": key, "revoked": true })))
}

pub async fn revoke_code(access: AdminWrite, context: web::Data<Context>, path: Subject) -> Answer {
    let code = context.engine.revoke_developer_code(intervention(&access, &path, None)?).await?;
    Ok(json(StatusCode::OK, document!({ "referral_code": code, "is_active": false })))
}

/// Takes the id once more, so that nobody is erased by a slip.
pub async fn erase(access: AdminWrite, context: web::Data<Context>, path: Subject, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let (typed, said) = (fields.text("confirm").unwrap_or_default(), fields.text("reason").unwrap_or_default());
    let id = developer_in(&path)?;
    fields.check(confirmed(id, typed));
    let reason = fields.check(reason_for(said));
    fields.finish()?;
    context.engine.erase_developer(intervention(&access, &path, reason)?).await?;
    Ok(json(StatusCode::OK, document!({ "id": id, "erased": true })))
}
