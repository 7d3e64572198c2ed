//! Rate limits: how each is set, whom it holds up now, and changing both.

use super::{ConsoleFrame, Section, TeamConsole, failed};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::limit::LimitName;
use crate::domain::money::grouped;
use crate::web::limits_view::{self, LimitView};
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

const HERE: &str = "/admin/limits";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable(HERE, limits).route(web::post().to(change)));
}

#[derive(Template)]
#[template(path = "console/limits.html")]
struct LimitsPage {
    frame: ConsoleFrame,
    limits: Vec<Line>,
    may_change: bool,
    error: Option<String>,
}

struct Line {
    view: LimitView,
    count: String,
    remembered: String,
}

async fn limits(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = TeamConsole::enter(&context, &request, Section::Limits)?;
        console.check_sees_limits()?;
        show(&console, &context, None).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

async fn show(console: &TeamConsole, context: &Context, error: Option<Error>) -> Result<HttpResponse> {
    let views = limits_view::all(context, console.operator.team, console.role().may_write()).await?;
    let line = |view: LimitView| Line {
        count: grouped(i64::from(view.count)),
        remembered: grouped(i64::try_from(view.remembered).unwrap_or(i64::MAX)),
        view,
    };
    let template = LimitsPage {
        frame: console.frame(context),
        limits: views.into_iter().map(line).collect(),
        may_change: console.role().is_owner(),
        error: error.as_ref().map(|error| error.message.clone()),
    };
    console.page_or(context, error.as_ref(), &template)
}

async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn take(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = TeamConsole::enter(context, request, Section::Limits)?;
    let form = console.form(request, payload, context).await?;
    console.role().check_owner()?;
    let field = |name: &str| form.get(name).map(|text| text.trim()).unwrap_or_default();
    let name = LimitName::parse(field("limit"))?;
    let (team, actor) = (console.operator.team, Actor::Operator(console.operator.operator));
    let done = match field("form") {
        "lift" => limits_view::lift(context, team, actor, name, field("handle"))
            .await
            .map(|who| format!("{who} has the whole allowance again.")),
        "reset" => limits_view::set(context, team, actor, name, None)
            .await
            .map(|()| "The limit is as the server was started.".into()),
        _ => match field("count").parse::<i64>() {
            Ok(count) => {
                limits_view::set(context, team, actor, name, Some(count)).await.map(|()| "The limit is changed.".into())
            }
            Err(_) => Err(Error::field("count", "wrong_type", "Give a whole number.")),
        },
    };
    match done {
        Ok(done) => console.see(context, HERE, &done),
        Err(error) if matches!(error.kind, Kind::Invalid) => show(&console, context, Some(error)).await,
        Err(error) => Err(error),
    }
}
