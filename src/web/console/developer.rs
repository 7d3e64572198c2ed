//! One developer: everything there is, and what can be done.

use super::developer_view::{DeveloperPage, Typed};
use super::frame::{Console, failed};
use super::nav::Section;
use super::words::parse_amount;
use crate::domain::audit::Actor;
use crate::domain::developer::{Adjustment, confirmed, reason_for};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, KeyId};
use crate::engine::{DeveloperFile, Intervention, LedgerFilter, MadeKey, OperatorRow};
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

/// Rows of each list on the page.
const A_LIST: usize = 20;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/developers/{id}", show).route(web::post().to(change)));
}

#[derive(Template)]
#[template(path = "console/developer_key.html")]
struct NewKeyPage {
    frame: super::frame::ConsoleFrame,
    url: String,
    key: String,
    revoked: usize,
}

/// A developer at a page of their project.
struct Stage<'a> {
    request: &'a HttpRequest,
    context: &'a Context,
    console: Console,
    id: AccountId,
}

impl<'a> Stage<'a> {
    fn enter(request: &'a HttpRequest, context: &'a Context) -> Result<Self> {
        let console = Console::enter(context, request, Section::Developers)?;
        let id = request.match_info().get("id").unwrap_or_default();
        let id = id.parse().map_err(|_| Error::not_found("There is no such developer."))?;
        Ok(Self { request, context, console, id })
    }

    fn url(&self) -> String {
        format!("{}/{}", self.console.url(Section::Developers), self.id)
    }

    async fn page(&self, typed: Typed, error: Option<&Error>) -> Result<HttpResponse> {
        let (engine, project) = (&self.context.engine, self.console.project.id);
        let file = engine.developer(project, self.id).await?;
        let history = engine.developer_history(project, self.id, A_LIST).await?;
        let eraser = self.eraser(&file).await?;
        let before = Query::parse(self.request.query_string())?.cursor()?;
        let ledger = engine.ledger(project, self.id, LedgerFilter::default(), before, A_LIST).await?;
        let page = DeveloperPage::new(
            self.context,
            &self.console,
            &self.url(),
            typed,
            error,
            (file, history, ledger, eraser),
            before,
        )?;
        self.console.page_or(self.context, error, &page)
    }

    /// Who erased the account, by what they are called now.
    async fn eraser(&self, file: &DeveloperFile) -> Result<String> {
        let Some(by) = &file.row.erased_by else { return Ok("themselves".into()) };
        let (operators, _) = self.context.engine.team(self.console.operator.team).await?;
        let is_it = |row: &&OperatorRow| row.id.to_string() == *by;
        Ok(operators.iter().find(is_it).map_or_else(|| by.clone(), |row| row.email.clone()))
    }

    fn on(&self, reason: Option<String>) -> Intervention {
        Intervention {
            project: self.console.project.id,
            account: self.id,
            actor: Actor::Operator(self.console.operator.operator),
            reason,
        }
    }

    /// Does what the form says, and says what was done.
    async fn take(&self, form: &HashMap<String, String>) -> Result<HttpResponse> {
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let engine = &self.context.engine;
        let reason = Some(field("reason").trim()).filter(|reason| !reason.is_empty()).map(reason_for).transpose();
        let said = match field("form") {
            "adjust" => self.adjust(&field).await?,
            "sign_out" => {
                let ended = engine.sign_out_developer(self.on(reason?)).await?;
                format!("Signed out everywhere: {ended} sessions have ended.")
            }
            "rotate" => {
                let (made, revoked) = engine.rotate_keys(self.on(reason?)).await?;
                return self.new_key(made, revoked);
            }
            "revoke_key" => {
                let key: KeyId = field("key").parse().map_err(|_| Error::not_found("No such key."))?;
                engine.revoke_developer_key(self.on(reason?), key).await?;
                "The key is revoked.".into()
            }
            "revoke_code" => {
                let code = engine.revoke_developer_code(self.on(reason?)).await?;
                format!("The code {code} brings in nobody any more.")
            }
            "erase" => {
                confirmed(self.id, field("confirm"))?;
                engine.erase_developer(self.on(Some(reason_for(field("reason"))?))).await?;
                "Erased: everything personal is gone, and the ledger stays valid.".into()
            }
            _ => return Err(Error::new(Kind::Malformed, "malformed_form", "The form cannot be read.")),
        };
        self.console.see(self.context, &self.url(), &said)
    }

    async fn adjust<'f>(&self, field: &impl Fn(&str) -> &'f str) -> Result<String> {
        let program = self.context.engine.program_of(self.console.project.id).await?;
        let amount = parse_amount(field("amount"), &program)?;
        let amount = if field("direction") == "take" { -amount } else { amount };
        let adjustment = Adjustment::parse(amount, field("reason"))?;
        let key = Some(field("key").to_owned()).filter(|key| !key.is_empty());
        let (project, actor) = (self.console.project.id, Actor::Operator(self.console.operator.operator));
        let made = self.context.engine.adjust(project, self.id, adjustment, key, actor).await?;
        let (what, now) = (program.amount_text(made.amount.abs()), program.amount_text(made.balance.available));
        let did = if made.amount > 0 { "were given" } else { "were taken back" };
        Ok(format!("{what} {did}. Available now: {now}."))
    }

    /// Nothing here may fail: the key is made, and it is shown now or never.
    fn new_key(&self, made: MadeKey, revoked: usize) -> Result<HttpResponse> {
        let (frame, url) = (self.console.frame(self.context), self.url());
        let page = NewKeyPage { frame, url, key: made.secret, revoked };
        self.console.page(self.context, StatusCode::CREATED, &page)
    }
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async { Stage::enter(&request, &context)?.page(Typed::default(), None).await };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

pub async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    changed(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn changed(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let stage = Stage::enter(request, context)?;
    let form = stage.console.form(request, payload, context).await?;
    match stage.take(&form).await {
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            stage.page(Typed::of(&form), Some(&error)).await
        }
        outcome => outcome,
    }
}
