//! The team's operators. Owners alone say who they are.

use crate::domain::error::{Error, Result};
use crate::domain::id::{InvitationId, OperatorId};
use crate::domain::operator::OperatorRole;
use crate::domain::time;
use crate::web::auth::{AdminOwner, AdminRead};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::query::Query;
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json as document};

type Answer = std::result::Result<HttpResponse, ApiError>;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/operators", list))
        .service(web::resource("/operators/{operator}").route(web::patch().to(change)).route(web::delete().to(remove)))
        .service(web::resource("/invitations").route(web::post().to(invite)))
        .service(web::resource("/invitations/{invitation}").route(web::delete().to(withdraw)));
}

pub async fn list(access: AdminRead, context: web::Data<Context>) -> Answer {
    let (operators, invitations) = context.engine.team(access.project.team).await?;
    let operators = operators.into_iter().map(|row| {
        document!({ "id": row.id, "email": row.email, "role": row.role.as_str(),
            "second_factor": row.has_second_factor, "created_at": time::rfc3339(row.created_at_ms),
            "keys": row.keys })
    });
    let invitations = invitations.into_iter().map(|row| {
        document!({ "id": row.id, "role": row.role.as_str(), "invited_by": row.invited_by,
            "expires_at": time::rfc3339(row.expires_at_ms) })
    });
    let (data, invitations): (Vec<_>, Vec<_>) = (operators.collect(), invitations.collect());
    Ok(json(StatusCode::OK, document!({ "data": data, "invitations": invitations, "next_cursor": null })))
}

fn role(body: &Map<String, Value>) -> Result<OperatorRole> {
    let mut fields = Fields::new(body);
    let role = fields.text("role");
    fields.finish()?;
    let unknown = || Error::field("role", "unknown_role", "A role is owner, operator or read_only.");
    OperatorRole::parse(role.unwrap_or_default()).ok_or_else(unknown)
}

type Place = web::Path<(String, String)>;

pub async fn change(owner: AdminOwner, context: web::Data<Context>, place: Place, Json(body): Json) -> Answer {
    let (id, role) = (place.1.parse::<OperatorId>()?, role(&body)?);
    context.engine.set_operator_role(&owner.operator, id, role).await?;
    Ok(json(StatusCode::OK, document!({ "id": id, "role": role.as_str() })))
}

/// With `?revoke_keys=true` the keys that they have made end, too.
pub async fn remove(owner: AdminOwner, context: web::Data<Context>, place: Place, query: Query) -> Answer {
    let (id, revoke_keys) = (place.1.parse::<OperatorId>()?, query.flag("revoke_keys", false)?);
    let revoked = context.engine.remove_operator(&owner.operator, id, revoke_keys).await?;
    Ok(json(StatusCode::OK, document!({ "id": id, "removed": true, "keys_revoked": revoked })))
}

pub async fn invite(owner: AdminOwner, context: web::Data<Context>, Json(body): Json) -> Answer {
    let role = role(&body)?;
    let (id, token) = context.engine.invite(&owner.operator, role).await?;
    let url = format!("{}/admin/join?token={token}", context.settings.public_url);
    Ok(json(StatusCode::CREATED, document!({ "id": id, "role": role.as_str(), "url": url })))
}

pub async fn withdraw(owner: AdminOwner, context: web::Data<Context>, place: Place) -> Answer {
    let id = place.1.parse::<InvitationId>()?;
    context.engine.withdraw_invitation(&owner.operator, id).await?;
    Ok(json(StatusCode::OK, document!({ "id": id, "withdrawn": true })))
}
