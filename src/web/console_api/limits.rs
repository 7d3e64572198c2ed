//! The server's rate limits.

use crate::domain::audit::Actor;
use crate::domain::error::{Error, Kind};
use crate::domain::limit::{LimitName, MOST};
use crate::web::auth::{AdminOwner, AdminRead};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::limits_view::{self, LimitView};
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json as document};

type Answer = std::result::Result<HttpResponse, ApiError>;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/limits", list))
        .service(web::resource("/limits/{limit}").route(web::put().to(set)).route(web::delete().to(reset)))
        .service(web::resource("/limits/{limit}/lift").route(web::post().to(lift)));
}

fn body(view: &LimitView) -> Value {
    let held = view.longest.iter();
    let held = held.map(
        |one| document!({ "handle": one.handle, "who": one.who, "subject": one.subject, "wait_seconds": one.wait_s }),
    );
    document!({
        "name": view.name.as_str(),
        "counts": view.name.title(),
        "count": view.count,
        "per": view.name.period().0,
        "started_with": view.started_with,
        "is_set": view.is_set,
        "remembered": view.remembered,
        "limited": view.limited,
        "longest": held.collect::<Vec<_>>(),
    })
}

pub async fn list(access: AdminRead, context: web::Data<Context>) -> Answer {
    let views = limits_view::all(&context, access.project.team, access.may_write()).await?;
    Ok(json(StatusCode::OK, document!({ "data": views.iter().map(body).collect::<Vec<_>>(), "next_cursor": null })))
}

type Place = web::Path<(String, String)>;

pub async fn set(owner: AdminOwner, context: web::Data<Context>, place: Place, Json(given): Json) -> Answer {
    let name = LimitName::parse(&place.1)?;
    let mut fields = Fields::new(&given);
    let count = fields.integer("count", 0..=MOST);
    fields.finish()?;
    change(&owner, &context, name, count).await
}

pub async fn reset(owner: AdminOwner, context: web::Data<Context>, place: Place) -> Answer {
    change(&owner, &context, LimitName::parse(&place.1)?, None).await
}

async fn change(owner: &AdminOwner, context: &Context, name: LimitName, count: Option<i64>) -> Answer {
    let (team, actor) = (owner.project.team, Actor::Operator(owner.operator.operator));
    limits_view::set(context, team, actor, name, count).await?;
    let views = limits_view::all(context, team, true).await?;
    let view = views.iter().find(|view| view.name == name);
    Ok(json(StatusCode::OK, view.map(body).ok_or_else(|| Error::new(Kind::NotFound, "not_found", "No such limit."))?))
}

pub async fn lift(owner: AdminOwner, context: web::Data<Context>, place: Place, Json(given): Json) -> Answer {
    let name = LimitName::parse(&place.1)?;
    let mut fields = Fields::new(&given);
    let handle = fields.text("handle");
    fields.finish()?;
    let (team, actor) = (owner.project.team, Actor::Operator(owner.operator.operator));
    let who = limits_view::lift(&context, team, actor, name, handle.unwrap_or_default()).await?;
    Ok(json(StatusCode::OK, document!({ "name": name.as_str(), "who": who, "lifted": true })))
}
