//! What is still to be told to other systems.

use super::shared::{Answer, People, Subject, page};
use crate::domain::delivery::DeliveryKind;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, DeliveryId};
use crate::domain::time::rfc3339;
use crate::engine::{DeliveryFilter, DeliveryRow, DeliveryView};
use crate::web::auth::{AdminRead, AdminWrite};
use crate::web::body::{Fields, Json};
use crate::web::query::Query;
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::web;
use serde::Serialize;
use serde_json::{Value, json as document};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/deliveries", list))
        .service(web::resource("/deliveries/retry").route(web::post().to(retry_all)))
        .service(web::resource("/deliveries/{id}/retry").route(web::post().to(retry)))
        .service(readable("/deliveries/{id}", show).route(web::delete().to(discard)));
}

#[derive(Serialize)]
struct DeliveryBody {
    id: DeliveryId,
    kind: String,
    developer_id: Option<AccountId>,
    state: String,
    tries: i64,
    due_at: String,
    problem: Option<String>,
    body: Value,
    created_at: String,
}

impl From<DeliveryRow> for DeliveryBody {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            developer_id: row.account,
            state: row.state,
            tries: row.tries,
            due_at: rfc3339(row.due_at_ms),
            problem: row.problem,
            body: serde_json::from_str(&row.body).unwrap_or_default(),
            created_at: rfc3339(row.created_at_ms),
        }
    }
}

/// A letter as it would be sent now; its link is left out.
#[derive(Serialize)]
struct LetterBody {
    to: String,
    subject: String,
    text: String,
}

#[derive(Serialize)]
struct ViewBody {
    #[serde(flatten)]
    delivery: DeliveryBody,
    letter: Option<LetterBody>,
}

fn id_in(path: &Subject) -> Result<DeliveryId> {
    path.1.parse().map_err(|_| Error::not_found("There is no such delivery, or it is done."))
}

fn kind(field: &str, text: &str) -> Result<DeliveryKind> {
    let names = DeliveryKind::ALL.map(DeliveryKind::as_str).join(", ");
    let unknown = || Error::field(field, "unknown_kind", format!("A kind is one of {names}."));
    DeliveryKind::parse(text).ok_or_else(unknown)
}

fn filter(query: &Query) -> Result<DeliveryFilter> {
    let parked = match query.get("state") {
        None => None,
        Some("parked") => Some(true),
        Some("waiting") => Some(false),
        Some(_) => return Err(Error::field("state", "invalid_state", "A state is waiting or parked.")),
    };
    Ok(DeliveryFilter { kind: query.get("kind").map(|text| kind("kind", text)).transpose()?, parked })
}

pub async fn list(access: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let (filter, before, limit) = (filter(&query)?, query.cursor()?, query.limit()?);
    let rows = context.engine.deliveries(access.project.id, filter, before, limit + 1).await?;
    Ok(json(StatusCode::OK, page(rows, limit, |row: &DeliveryRow| row.id.0, DeliveryBody::from)))
}

pub async fn show(access: AdminRead, context: web::Data<Context>, path: Subject) -> Answer {
    let people = People::seen_by(&access);
    let public_url = context.settings.public_url.clone();
    let DeliveryView { row, letter } = context.engine.delivery(access.project.id, id_in(&path)?, public_url).await?;
    let letter = letter.filter(|_| people.may_read_letters()).map(|(to, letter)| LetterBody {
        to,
        subject: letter.subject,
        text: letter.text,
    });
    Ok(json(StatusCode::OK, ViewBody { delivery: row.into(), letter }))
}

pub async fn retry(access: AdminWrite, context: web::Data<Context>, path: Subject) -> Answer {
    let id = id_in(&path)?;
    context.engine.retry_delivery_of(access.project.id, id, access.actor).await?;
    Ok(json(StatusCode::OK, document!({ "id": id, "state": "waiting" })))
}

/// All of one kind that are parked.
pub async fn retry_all(access: AdminWrite, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let kind = fields.text("kind").map(|text| kind("kind", text)).and_then(|kind| fields.check(kind));
    fields.finish()?;
    let kind = kind.ok_or_else(|| Error::internal("a retry without its kind"))?;
    let retried = context.engine.retry_deliveries_of(access.project.id, kind, access.actor).await?;
    Ok(json(StatusCode::OK, document!({ "kind": kind.as_str(), "retried": retried })))
}

/// A letter that nobody needs any more. What is about money stays until it is settled.
pub async fn discard(access: AdminWrite, context: web::Data<Context>, path: Subject) -> Answer {
    let id = id_in(&path)?;
    context.engine.discard_delivery(access.project.id, id, access.actor).await?;
    Ok(json(StatusCode::OK, document!({ "id": id, "discarded": true })))
}
