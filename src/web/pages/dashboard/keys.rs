//! The account's API keys: what there is, a new one, and the end of one.

use super::words::Day;
use super::{Member, failed, sign_in_first};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::KeyId;
use crate::domain::text;
use crate::engine::{KeyRow, MadeKey};
use crate::web::Context;
use crate::web::error::status;
use crate::web::page::{Frame, Place};
use crate::web::pages::login::see;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

#[derive(Template)]
#[template(path = "dashboard/keys.html")]
struct KeysPage {
    frame: Frame,
    csrf: String,
    rows: Vec<Row>,
    name: String,
    /// What is wrong with the name.
    name_error: Option<String>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "dashboard/new_key.html")]
struct NewKeyPage {
    frame: Frame,
    name: Option<String>,
    api_key: String,
    curl: String,
}

struct Row {
    id: String,
    name: Option<String>,
    hint: String,
    made: Day,
    used: Option<Day>,
}

impl From<KeyRow> for Row {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            hint: row.hint,
            made: Day::of(row.created_at_ms),
            used: row.last_used_at_ms.map(Day::of),
        }
    }
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let answer = async {
        let Some(member) = Member::of(&request, &context).await? else { return Ok(sign_in_first(Place::Keys)) };
        list(&context, &member, String::new(), None).await
    };
    answer.await.unwrap_or_else(failed)
}

async fn list(context: &Context, member: &Member, name: String, error: Option<Error>) -> Result<HttpResponse> {
    let keys = context.engine.keys(member.project.id, member.account).await?;
    let status = error.as_ref().map_or(StatusCode::OK, |error| status(error.kind));
    let (name_error, error) = match error {
        Some(error) if error.kind == Kind::Invalid => (Some(error.message), None),
        error => (None, error.map(|error| error.message)),
    };
    let template = KeysPage {
        frame: member.frame(context, Place::Keys),
        csrf: member.guard.token(context),
        rows: keys.into_iter().map(Row::from).collect(),
        name,
        name_error,
        error,
    };
    Ok(member.page(context, status, &template))
}

pub async fn make(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_name(&request, payload, &context).await.unwrap_or_else(failed)
}

async fn take_name(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let Some(member) = Member::of(request, context).await? else { return Ok(sign_in_first(Place::Keys)) };
    let form = member.form(request, payload, context).await?;
    let typed = form.get("name").map(|name| name.trim().to_owned()).unwrap_or_default();
    let name = Some(typed.as_str()).filter(|name| !name.is_empty());
    let outcome = match name.map(|name| text::display("name", name, 100)).transpose() {
        Ok(name) => context.engine.make_key(member.project.id, member.account, name).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(new_key(context, &member, made)),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            list(context, &member, typed, Some(error)).await
        }
        Err(error) => Err(error),
    }
}

/// Nothing here may fail: the key is made, and it is shown now or never.
fn new_key(context: &Context, member: &Member, made: MadeKey) -> HttpResponse {
    let MadeKey { secret: api_key, row } = made;
    let url = context.url_of(member.project.host.as_deref());
    let template = NewKeyPage {
        frame: member.frame(context, Place::Keys),
        name: row.name,
        curl: format!("curl {url}/v1/developers/me \\\n  -H \"Authorization: Bearer {api_key}\""),
        api_key,
    };
    member.page(context, StatusCode::CREATED, &template)
}

pub async fn revoke(
    request: HttpRequest,
    payload: web::Payload,
    context: web::Data<Context>,
    id: web::Path<String>,
) -> HttpResponse {
    take_back(&request, payload, &context, &id).await.unwrap_or_else(failed)
}

async fn take_back(request: &HttpRequest, payload: web::Payload, context: &Context, id: &str) -> Result<HttpResponse> {
    let Some(member) = Member::of(request, context).await? else { return Ok(sign_in_first(Place::Keys)) };
    member.form(request, payload, context).await?;
    let id: KeyId = id.parse().map_err(|_| Error::not_found("No such key."))?;
    match context.engine.revoke_key(member.project.id, member.account, id).await {
        Ok(()) => Ok(see(Place::Keys.url())),
        Err(error) if error.kind == Kind::Conflict => list(context, &member, String::new(), Some(error)).await,
        Err(error) => Err(error),
    }
}
