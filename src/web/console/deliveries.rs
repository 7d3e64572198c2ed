//! Deliveries: what waits to be told to other systems, and what is parked.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::Section;
use super::words::Moment;
use crate::domain::audit::Actor;
use crate::domain::delivery::DeliveryKind;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{Cursor, DeliveryId};
use crate::engine::{DeliveryFilter, DeliveryRow, DeliveryView};
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

const A_PAGE: usize = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/deliveries", show).route(web::post().to(change)))
        .service(readable("/deliveries/{id}", show_one));
}

#[derive(Template)]
#[template(path = "console/deliveries.html")]
struct DeliveriesPage {
    frame: ConsoleFrame,
    csrf: String,
    url: String,
    can_write: bool,
    parked: i64,
    only_parked: bool,
    kinds: Vec<(&'static str, &'static str)>,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<String>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "console/delivery.html")]
struct DeliveryPage {
    frame: ConsoleFrame,
    csrf: String,
    url: String,
    can_write: bool,
    row: Row,
    letter: Option<(String, String, String)>,
}

struct Row {
    id: String,
    url: String,
    what: String,
    is_mail: bool,
    /// What is about money is not.
    can_be_dropped: bool,
    is_parked: bool,
    tries: i64,
    problem: Option<String>,
    who_url: Option<String>,
    due: Moment,
    made: Moment,
}

/// What a delivery is about, by what the outbox keeps of it.
fn what(row: &DeliveryRow) -> String {
    let body: serde_json::Value = serde_json::from_str(&row.body).unwrap_or_default();
    match (row.kind.as_str(), body["letter"].as_str()) {
        ("mail", Some("confirm_address")) => "Letter: confirm your address".into(),
        ("mail", Some("reset_password")) => "Letter: choose a new password".into(),
        ("mail", Some("payout_requested")) => "Letter: a payout was asked for".into(),
        ("mail", Some("payout_paid")) => "Letter: a payout was sent".into(),
        ("mail", Some("payout_refused")) => "Letter: a payout was refused".into(),
        ("mail", Some("milestone")) => "Letter: a referral’s milestone".into(),
        ("mail", _) => "Letter".into(),
        ("transfer", _) => format!("Transfer of {}", body["payout_id"].as_str().unwrap_or("a payout")),
        (kind, _) => kind.replace('_', " "),
    }
}

impl Row {
    fn new(row: DeliveryRow, console: &Console) -> Self {
        let id = row.id.to_string();
        Self {
            url: format!("{}/{id}", console.url(Section::Deliveries)),
            id,
            what: what(&row),
            is_mail: row.kind == DeliveryKind::Mail.as_str(),
            can_be_dropped: row.kind != DeliveryKind::Transfer.as_str(),
            is_parked: row.state == "parked",
            tries: row.tries,
            problem: row.problem,
            who_url: row.account.map(|account| format!("{}/{account}", console.url(Section::Developers))),
            due: Moment::in_figures(row.due_at_ms),
            made: Moment::in_figures(row.created_at_ms),
        }
    }
}

fn kind_title(kind: &'static str) -> &'static str {
    match kind {
        "mail" => "letters",
        "transfer" => "transfers",
        other => other,
    }
}

async fn list(
    request: &HttpRequest,
    context: &Context,
    console: &Console,
    error: Option<&Error>,
) -> Result<HttpResponse> {
    let query = Query::parse(request.query_string())?;
    let (only_parked, before) = (query.get("state") == Some("parked"), query.cursor()?);
    let filter = DeliveryFilter { kind: None, parked: only_parked.then_some(true) };
    let mut rows = context.engine.deliveries(console.project.id, filter, before, A_PAGE + 1).await?;
    let has_more = rows.len() > A_PAGE;
    rows.truncate(A_PAGE);
    let url = console.url(Section::Deliveries);
    let next = rows.last().filter(|_| has_more).map(|row| Cursor(row.id.0));
    let state = if only_parked { "parked" } else { "" };
    let template = DeliveriesPage {
        frame: console.frame(context),
        csrf: console.csrf(context),
        can_write: console.role().may_write(),
        parked: context.engine.parked_deliveries(console.project.id).await?,
        only_parked,
        kinds: DeliveryKind::ALL.iter().map(|kind| (kind.as_str(), kind_title(kind.as_str()))).collect(),
        rows: rows.into_iter().map(|row| Row::new(row, console)).collect(),
        is_first: before.is_none(),
        next: next.map(|next| format!("{url}?state={state}&cursor={next}")),
        error: error.map(|error| error.message.clone()),
        url,
    };
    console.page_or(context, error, &template)
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = Console::enter(&context, &request, Section::Deliveries)?;
        list(&request, &context, &console, None).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

pub async fn show_one(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    one(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn one(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Deliveries)?;
    let id = id_of(request.match_info().get("id").unwrap_or_default())?;
    let public_url = context.settings.public_url.clone();
    let DeliveryView { row, letter } = context.engine.delivery(console.project.id, id, public_url).await?;
    let can_write = console.role().may_write();
    let template = DeliveryPage {
        frame: console.frame(context),
        csrf: console.csrf(context),
        url: console.url(Section::Deliveries),
        can_write,
        row: Row::new(row, &console),
        // It addresses its reader by name.
        letter: letter.filter(|_| can_write).map(|(to, letter)| (to, letter.subject, letter.text)),
    };
    console.page(context, StatusCode::OK, &template)
}

fn id_of(text: &str) -> Result<DeliveryId> {
    text.parse().map_err(|_| Error::not_found("There is no such delivery, or it is done."))
}

pub async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    changed(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn changed(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Deliveries)?;
    let form = console.form(request, payload, context).await?;
    match take(context, &console, &form).await {
        Ok(said) => console.see(context, &console.url(Section::Deliveries), &said),
        Err(error) if error.kind == Kind::Conflict => list(request, context, &console, Some(&error)).await,
        Err(error) => Err(error),
    }
}

async fn take(context: &Context, console: &Console, form: &HashMap<String, String>) -> Result<String> {
    let (project, actor) = (console.project.id, Actor::Operator(console.operator.operator));
    if let Some(id) = form.get("retry") {
        context.engine.retry_delivery_of(project, id_of(id)?, actor).await?;
        return Ok("It is tried again now.".into());
    }
    if let Some(id) = form.get("discard") {
        context.engine.discard_delivery(project, id_of(id)?, actor).await?;
        return Ok("The letter will not be sent.".into());
    }
    let kind = form.get("all").and_then(|kind| DeliveryKind::parse(kind));
    let kind = kind.ok_or_else(|| Error::new(Kind::Malformed, "malformed_form", "The form cannot be read."))?;
    let retried = context.engine.retry_deliveries_of(project, kind, actor).await?;
    Ok(format!("{retried} parked {} are tried again now.", kind_title(kind.as_str())))
}
