//! An operator's own account: password, second factor, sessions.

use super::{ConsoleFrame, Section, TeamConsole, failed};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::SessionId;
use crate::domain::totp;
use crate::engine::RecoveryCodes;
use crate::web::day::Day;
use crate::web::session::Session;
use crate::web::{Context, own_password, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

const HERE: &str = "/admin/account";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable(HERE, account).route(web::post().to(change)));
}

#[derive(Template)]
#[template(path = "console/account.html")]
struct AccountPage {
    frame: ConsoleFrame,
    has_second_factor: bool,
    codes_left: i64,
    sessions: Vec<Line>,
    /// For who is about to switch it on.
    offer: Option<Offer>,
    /// Shown now and never again.
    codes: Vec<String>,
    fault: Option<Fault>,
}

struct Line {
    id: SessionId,
    device: String,
    since: Day,
    is_this: bool,
}

/// A second factor that is not the operator's yet.
struct Offer {
    secret: String,
    /// That this server has made it for this visitor.
    seal: String,
    /// As a data URL.
    qr: String,
}

/// What was wrong with which form.
struct Fault {
    form: String,
    message: String,
}

impl AccountPage {
    fn at(&self, form: &str) -> Option<&str> {
        self.fault.as_ref().filter(|fault| fault.form == form).map(|fault| fault.message.as_str())
    }
}

/// What a page shows beside what is always there.
#[derive(Default)]
struct Extra {
    offer: Option<Offer>,
    codes: Vec<String>,
    error: Option<(String, Error)>,
}

async fn account(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = TeamConsole::enter(&context, &request, Section::Account)?;
        show(&request, &console, &context, Extra::default()).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

fn own_session(context: &Context, request: &HttpRequest) -> String {
    Session::Operator.token(context, request).unwrap_or_default()
}

async fn show(request: &HttpRequest, console: &TeamConsole, context: &Context, extra: Extra) -> Result<HttpResponse> {
    let own = context.engine.own_operator(console.operator.operator, own_session(context, request)).await?;
    let line = |row: crate::engine::OperatorSessionRow| Line {
        id: row.id,
        device: row.device.unwrap_or_else(|| "A browser".into()),
        since: Day::of(row.created_at_ms),
        is_this: row.is_this,
    };
    let error = extra.error.as_ref().map(|(_, error)| error.clone());
    let template = AccountPage {
        frame: console.frame(context),
        has_second_factor: own.has_second_factor,
        codes_left: own.recovery_codes_left,
        sessions: own.sessions.into_iter().map(line).collect(),
        offer: extra.offer,
        codes: extra.codes,
        fault: extra.error.map(|(form, error)| Fault { form, message: error.message }),
    };
    console.page_or(context, error.as_ref(), &template)
}

fn seal(console: &TeamConsole, context: &Context, secret: &str) -> String {
    console.guard.seal(context, &format!("second factor of {} {secret}", console.operator.operator))
}

fn offer(console: &TeamConsole, context: &Context, secret: &totp::Secret) -> Result<Offer> {
    let uri = totp::uri(secret, &console.operator.email);
    let qr = qrcode::QrCode::new(uri).map_err(|fault| Error::internal(format!("qr: {fault}")))?;
    let svg = qr.render::<qrcode::render::svg::Color>().min_dimensions(240, 240).build();
    let encoded = percent_encoding::utf8_percent_encode(&svg, percent_encoding::NON_ALPHANUMERIC);
    let text = totp::base32(secret);
    let seal = seal(console, context, &text);
    Ok(Offer { secret: text, seal, qr: format!("data:image/svg+xml,{encoded}") })
}

async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn take(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = TeamConsole::enter(context, request, Section::Account)?;
    let form = console.own_form(request, payload, context).await?;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (by, session, engine) = (&console.operator, own_session(context, request), &context.engine);
    let name = field("form");
    let done = match name.as_str() {
        "offer" => {
            let offer = offer(&console, context, &engine.new_second_factor()?)?;
            return show(request, &console, context, Extra { offer: Some(offer), ..Extra::default() }).await;
        }
        "on" => return switch_on(request, &console, context, &form).await,
        "off" => match check_password(request, &console, context, field("password")).await {
            Ok(()) => engine.switch_off_second_factor(by).await.map(|()| "The second factor is off."),
            Err(error) => Err(error),
        },
        "password" => match check_password(request, &console, context, field("password")).await {
            Ok(()) => {
                let changed = engine.change_operator_password(by, session, field("new_password")).await;
                changed.map(|()| "Your password is changed. You are signed out everywhere else.")
            }
            Err(error) => Err(error),
        },
        "session" => {
            let ended = engine.end_operator_sessions(by, session, Some(field("session").parse()?)).await;
            ended.map(|()| "That browser is signed out.")
        }
        "others" => {
            engine.end_operator_sessions(by, session, None).await.map(|()| "You are signed out everywhere else.")
        }
        _ => Err(Error::not_found("There is no such form.")),
    };
    match done {
        Ok(done) => console.see(context, HERE, done),
        Err(error) => refuse(request, &console, context, name, error, None).await,
    }
}

/// Shows the form again with what is wrong with it.
async fn refuse(
    request: &HttpRequest,
    console: &TeamConsole,
    context: &Context,
    form: String,
    error: Error,
    offer: Option<Offer>,
) -> Result<HttpResponse> {
    let is_shown = matches!(error.kind, Kind::Invalid | Kind::Conflict | Kind::Unauthenticated | Kind::RateLimited);
    if !is_shown {
        return Err(error);
    }
    show(request, console, context, Extra { offer, codes: Vec::new(), error: Some((form, error)) }).await
}

async fn check_password(
    request: &HttpRequest,
    console: &TeamConsole,
    context: &Context,
    password: String,
) -> Result<()> {
    own_password::check(context, request, console.operator.operator, password).await
}

async fn switch_on(
    request: &HttpRequest,
    console: &TeamConsole,
    context: &Context,
    form: &HashMap<String, String>,
) -> Result<HttpResponse> {
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let ours = field("seal") == seal(console, context, &field("secret"));
    let Some(secret) = totp::from_base32(&field("secret")).filter(|_| ours) else {
        return Err(Error::field("secret", "expired", "Begin again: this code was made for another page."));
    };
    let switched = match check_password(request, console, context, field("password")).await {
        Ok(()) => {
            let session = own_session(context, request);
            context.engine.switch_on_second_factor(&console.operator, session, secret, field("code")).await
        }
        Err(error) => Err(error),
    };
    match switched {
        Ok(RecoveryCodes(codes)) => show(request, console, context, Extra { codes, ..Extra::default() }).await,
        Err(error) => {
            let offer = offer(console, context, &secret)?;
            refuse(request, console, context, "on".into(), error, Some(offer)).await
        }
    }
}
