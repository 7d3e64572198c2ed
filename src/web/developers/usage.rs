//! What a gateway in front of the API calls: usage and key checks.

use crate::domain::error::{Error, FieldError, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::text;
use crate::engine::{Reader, UsageAnswer, UsageEvent, UsageStatus, Who};
use crate::web::auth::{Gateway, UsageWrite};
use crate::web::body::{BATCH_LIMIT, Fields, Json};
use crate::web::error::ApiError;
use crate::web::{Context, json};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};

const MOST_EVENTS: usize = 1_000;
const MOST_CALLS: i64 = 1_000_000_000;
const MOST_SPEND: i64 = 1_000_000_000_000;

#[derive(Serialize)]
struct UsageBody {
    id: String,
    developer_id: Option<AccountId>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    charged: i64,
    uncovered: i64,
    available: i64,
}

impl From<UsageAnswer> for UsageBody {
    fn from(answer: UsageAnswer) -> Self {
        let (status, code) = match answer.status {
            UsageStatus::Recorded => ("recorded", None),
            UsageStatus::Duplicate => ("duplicate", None),
            UsageStatus::Rejected(code) => ("rejected", Some(code)),
        };
        Self {
            id: answer.id,
            developer_id: answer.account,
            status,
            code,
            charged: answer.charged,
            uncovered: answer.uncovered,
            available: answer.available,
        }
    }
}

/// Reads the one name that an event gives its account by; a key is one of them only for usage.
pub fn who(fields: &mut Fields<'_>, by_key: bool) -> Option<Who> {
    let names: &[&str] =
        if by_key { &["developer_id", "external_id", "api_key"] } else { &["developer_id", "external_id"] };
    let given: Vec<&str> = names.iter().copied().filter(|name| fields.has(name)).collect();
    let [name] = given[..] else {
        fields.add("developer_id", "required", &format!("Give exactly one of {}.", names.join(", ")));
        return None;
    };
    let text = fields.text(name).map(|text| text::client_id(name, text));
    let text = text.and_then(|text| fields.check(text))?;
    Some(match name {
        // An id that does not read is nobody's, like any other that is not known here.
        "developer_id" => Who::Developer(text.parse().unwrap_or(AccountId(-1))),
        "external_id" => Who::External(text),
        _ => Who::Key(text),
    })
}

fn event(mut fields: Fields<'_>) -> std::result::Result<UsageEvent, Vec<FieldError>> {
    let id = fields.text("id").map(|id| text::client_id("id", id));
    let id = id.and_then(|id| fields.check(id));
    let who = who(&mut fields, true);
    let calls = fields.integer("calls", 0..=MOST_CALLS);
    let spend = fields.optional_integer("spend", 0..=MOST_SPEND).or(calls);
    let require_full = match fields.optional_text("require") {
        None => false,
        Some("full") => true,
        Some(_) => {
            fields.add("require", "invalid_choice", "This is \"full\", or absent.");
            false
        }
    };
    match (fields.faults(), id, who, calls, spend) {
        (faults, Some(id), Some(who), Some(calls), Some(spend)) if faults.is_empty() => {
            Ok(UsageEvent { id, who, calls, spend, require_full })
        }
        (faults, ..) => Err(faults),
    }
}

fn batch(list: &[Value]) -> Result<Vec<UsageEvent>> {
    if list.is_empty() || list.len() > MOST_EVENTS {
        return Err(Error::field("events", "out_of_range", format!("A batch has 1 to {MOST_EVENTS} events.")));
    }
    let (mut events, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    for (place, item) in list.iter().enumerate() {
        let path = format!("events[{place}]");
        match item {
            Value::Object(map) => match event(Fields::at(map, format!("{path}."))) {
                Ok(event) => events.push(event),
                Err(wrong) => faults.extend(wrong),
            },
            _ => faults.push(FieldError { field: path, code: "wrong_type", detail: "An event is an object.".into() }),
        }
    }
    if faults.is_empty() { Ok(events) } else { Err(Error::fields(faults)) }
}

/// The events of a body, and whether it is a batch.
fn events(body: &Map<String, Value>) -> Result<(Vec<UsageEvent>, bool)> {
    match body.get("events") {
        Some(Value::Array(list)) => Ok((batch(list)?, true)),
        Some(_) => Err(Error::field("events", "wrong_type", "This is a list of events.")),
        None => Ok((vec![event(Fields::new(body)).map_err(Error::fields)?], false)),
    }
}

pub async fn record(
    gateway: Gateway<UsageWrite>,
    context: web::Data<Context>,
    Json(body): Json<BATCH_LIMIT>,
) -> std::result::Result<HttpResponse, ApiError> {
    let (events, is_batch) = events(&body)?;
    let answers = context.engine.record_usage(gateway.project, events).await?;
    let mut results: Vec<UsageBody> = answers.into_iter().map(UsageBody::from).collect();
    match results.pop() {
        Some(only) if !is_batch => Ok(json(StatusCode::OK, only)),
        last => {
            results.extend(last);
            Ok(json(StatusCode::OK, serde_json::json!({ "results": results })))
        }
    }
}

#[derive(Serialize)]
struct VerifyBody {
    valid: bool,
    developer_id: Option<AccountId>,
    project_id: Option<ProjectId>,
    available: i64,
}

pub async fn verify_key(
    gateway: Gateway<UsageWrite>,
    context: web::Data<Context>,
    reader: web::Data<Reader>,
    Json(body): Json,
) -> std::result::Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let secret = fields.text("api_key").map(|secret| text::client_id("api_key", secret));
    let secret = secret.and_then(|secret| fields.check(secret));
    fields.finish()?;
    let secret = secret.ok_or_else(|| Error::internal("a key check without its key"))?;
    context.engine.give_way().await;
    let found = context.engine.verify_key(&reader, gateway.project, &secret)?;
    let body = VerifyBody {
        valid: found.is_some(),
        developer_id: found.map(|(account, _)| account),
        project_id: found.map(|_| gateway.project),
        available: found.map_or(0, |(_, available)| available),
    };
    Ok(json(StatusCode::OK, body))
}
