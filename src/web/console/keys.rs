//! Gateway keys: what there is, a new one, and the end of one.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::Section;
use super::words::Moment;
use crate::domain::access::Scope;
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{KeyId, OperatorId};
use crate::domain::text;
use crate::engine::{KeyRow, OperatorRow};
use crate::web::{Context, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/keys", show).route(web::post().to(change)));
}

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    frame: ConsoleFrame,
    csrf: String,
    url: String,
    can_write: bool,
    rows: Vec<Row>,
    scopes: Vec<ScopeBox>,
    name: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "console/new_key.html")]
struct NewKeyPage {
    frame: ConsoleFrame,
    url: String,
    key: String,
    scopes: String,
}

struct ScopeBox {
    name: &'static str,
    what: &'static str,
    is_checked: bool,
}

struct Row {
    id: String,
    name: Option<String>,
    hint: String,
    scopes: String,
    made: Moment,
    made_by: Option<String>,
    used: Option<Moment>,
    revoked: Option<Moment>,
}

impl Row {
    /// Who made it is named as they are called now.
    fn new(row: KeyRow, operators: &[OperatorRow]) -> Self {
        let named = |id: OperatorId| {
            let known = operators.iter().find(|operator| operator.id == id);
            known.map_or_else(|| format!("{id}, who was removed"), |operator| operator.email.clone())
        };
        Self {
            made_by: row.made_by.map(named),
            id: row.id.to_string(),
            name: row.name,
            hint: row.hint,
            scopes: row.scopes.replace(',', ", "),
            made: Moment::day_in_figures(row.created_at_ms),
            used: row.last_used_at_ms.map(Moment::in_figures),
            revoked: row.revoked_at_ms.map(Moment::day_in_figures),
        }
    }
}

fn what_for(scope: Scope) -> &'static str {
    match scope {
        Scope::ReferralsRead => "Read codes and referrals, and apply codes",
        Scope::ReferralsWrite => "Make and end codes, change the four fields of the program",
        Scope::UsageWrite => "Report usage, and ask whose key a key is",
        Scope::PurchasesWrite => "Report purchases and refunds",
        Scope::Admin => "Everything that this console does",
    }
}

fn is_checked(form: &HashMap<String, String>, scope: Scope) -> bool {
    form.contains_key(&format!("scope.{}", scope.as_str()))
}

async fn list(
    context: &Context,
    console: &Console,
    form: &HashMap<String, String>,
    error: Option<&Error>,
) -> Result<HttpResponse> {
    let keys = context.engine.keys_of_project(console.project.id).await?;
    let (operators, _) = context.engine.team(console.operator.team).await?;
    let scope_box =
        |scope: Scope| ScopeBox { name: scope.as_str(), what: what_for(scope), is_checked: is_checked(form, scope) };
    let template = KeysPage {
        frame: console.frame(context),
        csrf: console.csrf(context),
        url: console.url(Section::Keys),
        can_write: console.role().may_write(),
        rows: keys.into_iter().map(|key| Row::new(key, &operators)).collect(),
        scopes: Scope::ALL.map(scope_box).into_iter().collect(),
        name: form.get("name").cloned().unwrap_or_default(),
        error: error.map(|error| error.message.clone()),
    };
    console.page_or(context, error, &template)
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = Console::enter(&context, &request, Section::Keys)?;
        list(&context, &console, &HashMap::new(), None).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

pub async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    changed(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn changed(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Keys)?;
    let form = console.form(request, payload, context).await?;
    let outcome = match form.get("revoke") {
        Some(id) => revoke(context, &console, id).await,
        None => make(context, &console, &form).await,
    };
    match outcome {
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            list(context, &console, &form, Some(&error)).await
        }
        outcome => outcome,
    }
}

async fn revoke(context: &Context, console: &Console, id: &str) -> Result<HttpResponse> {
    let id: KeyId = id.parse().map_err(|_| Error::not_found("No such key."))?;
    let actor = Actor::Operator(console.operator.operator);
    context.engine.revoke_key_of_project(console.project.id, id, actor).await?;
    console.see(context, &console.url(Section::Keys), "The key is revoked: nothing can be done with it any more.")
}

async fn make(context: &Context, console: &Console, form: &HashMap<String, String>) -> Result<HttpResponse> {
    let typed = form.get("name").map(|name| name.trim()).filter(|name| !name.is_empty());
    let name = typed.map(|name| text::display("name", name, 100)).transpose()?;
    let scopes: Vec<_> = Scope::ALL.into_iter().filter(|scope| is_checked(form, *scope)).collect();
    if scopes.is_empty() {
        return Err(Error::field("scopes", "required", "Choose at least one thing that the key may do."));
    }
    let actor = Actor::Operator(console.operator.operator);
    let made = context.engine.make_key_of_project(console.project.id, scopes, name, actor).await?;
    let (frame, url) = (console.frame(context), console.url(Section::Keys));
    let template = NewKeyPage { frame, url, key: made.secret, scopes: made.row.scopes.replace(',', ", ") };
    console.page(context, StatusCode::CREATED, &template)
}
