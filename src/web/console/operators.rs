//! The team's operators: who they are, inviting, roles, removing.

use super::join::JOIN;
use super::{ConsoleFrame, Section, TeamConsole, failed};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{InvitationId, OperatorId};
use crate::domain::operator::OperatorRole;
use crate::engine::INVITATION_DAYS;
use crate::web::day::Day;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

const HERE: &str = "/admin/operators";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable(HERE, operators).route(web::post().to(change)));
}

#[derive(Template)]
#[template(path = "console/operators.html")]
struct OperatorsPage {
    frame: ConsoleFrame,
    operators: Vec<Line>,
    invitations: Vec<Invited>,
    roles: [OperatorRole; 3],
    days: i64,
    is_owner: bool,
    /// A link that was just made: shown now and never again.
    link: Option<String>,
    error: Option<String>,
}

struct Line {
    id: OperatorId,
    email: String,
    role: OperatorRole,
    has_second_factor: bool,
    since: Day,
    is_you: bool,
    /// Good keys that they have made.
    keys: i64,
}

struct Invited {
    id: InvitationId,
    role: &'static str,
    until: Day,
}

async fn operators(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = TeamConsole::enter(&context, &request, Section::Operators)?;
        show(&console, &context, None, None).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

async fn show(
    console: &TeamConsole,
    context: &Context,
    link: Option<String>,
    error: Option<Error>,
) -> Result<HttpResponse> {
    let (operators, invitations) = context.engine.team(console.operator.team).await?;
    let lines = operators.into_iter().map(|row| Line {
        is_you: row.id == console.operator.operator,
        id: row.id,
        email: row.email,
        role: row.role,
        has_second_factor: row.has_second_factor,
        since: Day::of(row.created_at_ms),
        keys: row.keys,
    });
    let invited = invitations.into_iter();
    let invited = invited.map(|it| Invited { id: it.id, role: it.role.title(), until: Day::of(it.expires_at_ms) });
    let template = OperatorsPage {
        frame: console.frame(context),
        operators: lines.collect(),
        invitations: invited.collect(),
        roles: OperatorRole::ALL,
        days: INVITATION_DAYS,
        is_owner: console.role().is_owner(),
        link,
        error: error.as_ref().map(|error| error.message.clone()),
    };
    console.page_or(context, error.as_ref(), &template)
}

async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn take(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = TeamConsole::enter(context, request, Section::Operators)?;
    let form = console.form(request, payload, context).await?;
    console.role().check_owner()?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let role = || OperatorRole::parse(field("role")).ok_or_else(|| Error::field("role", "unknown_role", "Choose one."));
    let id = || field("operator").parse::<OperatorId>();
    let (by, engine) = (&console.operator, &context.engine);
    let done = match field("form") {
        "invite" => {
            let (_, token) = engine.invite(by, role()?).await?;
            let link = format!("{}{JOIN}?token={token}", context.settings.public_url);
            return show(&console, context, Some(link), None).await;
        }
        "withdraw" => {
            let id = field("invitation").parse::<InvitationId>()?;
            engine.withdraw_invitation(by, id).await.map(|()| "The invitation is withdrawn.")
        }
        "role" => engine.set_operator_role(by, id()?, role()?).await.map(|()| "The role is changed."),
        "remove" => {
            let revoked = engine.remove_operator(by, id()?, form.contains_key("revoke_keys")).await;
            revoked.map(|keys| match keys {
                0 => "The operator is removed, and signed out.",
                _ => "The operator is removed and signed out, and the keys that they made are revoked.",
            })
        }
        _ => Err(Error::not_found("There is no such form.")),
    };
    match done {
        Ok(done) => console.see(context, HERE, done),
        Err(error) if error.kind == Kind::Conflict => show(&console, context, None, Some(error)).await,
        Err(error) => Err(error),
    }
}
