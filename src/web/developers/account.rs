//! The developer's own account and keys.

use crate::domain::error::Error;
use crate::domain::id::{AccountId, Cursor, KeyId};
use crate::domain::{text, time};
use crate::engine::{Change, KeyRow, MadeKey, ProfileView};

use crate::web::auth::Developer;
use crate::web::body::{Fields, Json, OptionalJson};
use crate::web::error::ApiError;
use crate::web::query::Page;
use crate::web::{Context, json};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;

/// The seed's Developer object.
#[derive(Serialize)]
pub struct DeveloperBody {
    id: AccountId,
    email: Option<String>,
    name: Option<String>,
    leaderboard_name: Option<String>,
    referred_by: Option<AccountId>,
    referral_code: Option<String>,
    referral_credits_earned: i64,
    referral_credits_used: i64,
    referral_credits_balance: i64,
    referred_developers_count: i64,
    created_at: String,
}

impl From<ProfileView> for DeveloperBody {
    fn from(view: ProfileView) -> Self {
        let ProfileView { profile, totals, balance } = view;
        Self {
            id: profile.account.id,
            email: profile.account.email,
            name: profile.account.name,
            leaderboard_name: profile.account.leaderboard_name,
            referred_by: profile.referred_by,
            referral_code: profile.code,
            referral_credits_earned: totals.granted,
            referral_credits_used: totals.spent,
            referral_credits_balance: balance.available,
            referred_developers_count: profile.referred_count,
            created_at: time::rfc3339(profile.account.created_at_ms),
        }
    }
}

pub async fn me(developer: Developer, context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    let profile = context.engine.profile(developer.project, developer.account).await?;
    Ok(json(StatusCode::OK, DeveloperBody::from(profile)))
}

pub async fn change(
    developer: Developer,
    context: web::Data<Context>,
    Json(body): Json,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    if body.get("name").is_some_and(serde_json::Value::is_null) {
        fields.add("name", "required", "A name cannot be taken away.");
    }
    let (name, leaderboard_name) = (fields.optional_text("name"), fields.nullable_text("leaderboard_name"));
    let change = fields.check(Change::parse(name, leaderboard_name));
    fields.finish()?;
    let change = change.unwrap_or_default();
    let profile = context.engine.change_account(developer.project, developer.account, change).await?;
    Ok(json(StatusCode::OK, DeveloperBody::from(profile)))
}

pub async fn erase(developer: Developer, context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    context.engine.erase_account(developer.project, developer.account).await?;
    Ok(json(StatusCode::OK, serde_json::json!({ "id": developer.account, "erased": true })))
}

/// A key without its secret, which is shown only when it is made.
#[derive(Serialize)]
struct KeyBody {
    id: KeyId,
    name: Option<String>,
    hint: String,
    created_at: String,
    last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<KeyRow> for KeyBody {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            hint: row.hint,
            created_at: time::rfc3339(row.created_at_ms),
            last_used_at: row.last_used_at_ms.map(time::rfc3339),
            key: None,
        }
    }
}

pub async fn keys(developer: Developer, context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    let rows = context.engine.keys(developer.project, developer.account).await?;
    let data = rows.into_iter().map(KeyBody::from).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: None::<Cursor> }))
}

pub async fn make_key(
    developer: Developer,
    context: web::Data<Context>,
    OptionalJson(body): OptionalJson,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let name = fields.optional_text("name").map(|name| text::display("name", name, 100));
    let name = name.and_then(|name| fields.check(name));
    fields.finish()?;
    let MadeKey { secret, row } = context.engine.make_key(developer.project, developer.account, name).await?;
    Ok(json(StatusCode::CREATED, KeyBody { key: Some(secret), ..KeyBody::from(row) }))
}

pub async fn revoke_key(
    developer: Developer,
    context: web::Data<Context>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: KeyId = id.parse().map_err(|_| Error::not_found("No such key."))?;
    context.engine.revoke_key(developer.project, developer.account, id).await?;
    Ok(json(StatusCode::OK, serde_json::json!({ "id": id, "revoked": true })))
}
