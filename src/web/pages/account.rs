//! `/account`: who someone is here, their password, the browsers that they are signed in with, and leaving.

use super::done::Done;
use super::login::{LOGIN, see, sign_in_first};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::SessionId;
use crate::domain::time::{self, DAY_MS, HOUR_MS};
use crate::engine::{AccountSession, Attempt, Browser, Change, LetterChoice, OwnAccount, SESSION_DAYS, SessionRow};
use crate::web::Context;
use crate::web::auth::{Visit, visit};
use crate::web::error::status;
use crate::web::page::{
    FormGuard, Frame, Menu, MessagePage, Place, add_headers, error_page, error_page_of, form, page,
};
use crate::web::session::Session;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

/// The last page of an account.
pub const ERASED: &str = "/account/erased";
/// What is typed to confirm that the account is to be erased.
const CONFIRMATION: &str = "ERASE";

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    email: Option<String>,
    /// Empty for who is not listed; `None` where there is no leaderboard.
    leaderboard_name: Option<String>,
    member_since: String,
    has_password: bool,
    sessions: Vec<SessionItem>,
    available: Option<String>,
    letters: Option<LetterChoice>,
    session_days: i64,
    confirmation: &'static str,
    confirmed: String,
    csrf: String,
    done: Option<Done>,
    faults: Faults,
}

/// A session in words.
struct SessionItem {
    id: SessionId,
    device: String,
    since: String,
    last_used: String,
    is_this_browser: bool,
}

impl SessionItem {
    fn of(row: SessionRow, own: SessionId, now_ms: i64) -> Self {
        Self {
            id: row.id,
            device: row.device.unwrap_or_else(|| "A browser that we do not know".into()),
            since: time::day_in_words(row.created_at_ms),
            last_used: ago(now_ms, row.last_used_at_ms),
            is_this_browser: row.id == own,
        }
    }
}

/// As exact as it is known: to the hour.
fn ago(now_ms: i64, hour_ms: i64) -> String {
    let past_ms = now_ms - hour_ms;
    match (past_ms / HOUR_MS, past_ms / DAY_MS) {
        (..=0, _) => "within the last hour".into(),
        (1, _) => "an hour ago".into(),
        (hours, 0) => format!("{hours} hours ago"),
        (_, 1) => "a day ago".into(),
        (_, days) => format!("{days} days ago"),
    }
}

/// What is wrong with a form: beside each field, and for the whole of it.
#[derive(Default)]
struct Faults {
    heading: &'static str,
    form: Option<String>,
    fields: Vec<(String, String)>,
}

impl Faults {
    fn of(asked: &str, error: &Error) -> Self {
        let heading = match asked {
            "profile" => "Your profile is not saved yet",
            "password" => "Your password is not changed",
            _ => "Your account is not erased",
        };
        let fields: Vec<_> = error.fields.iter().map(|fault| (fault.field.clone(), fault.detail.clone())).collect();
        let form = fields.is_empty().then(|| error.message.clone());
        Self { heading, form, fields }
    }

    fn any(&self) -> bool {
        self.form.is_some() || !self.fields.is_empty()
    }

    /// The message beside a field.
    fn at(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(at, _)| at == field).map(|(_, message)| message.as_str())
    }

    fn in_erasing(&self) -> bool {
        self.heading == "Your account is not erased"
    }

    fn label(field: &str) -> &'static str {
        match field {
            "name" => "Name",
            "leaderboard_name" => "Name on the leaderboard",
            "current_password" => "Current password",
            "new_password" => "New password",
            "erase_password" => "Password",
            _ => "Confirmation",
        }
    }
}

pub async fn account(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_account(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_account(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    let Some(session) = visit.session else { return Ok(sign_in_first(Place::Account)) };
    show_account(request, context, &visit, session, None).await
}

/// A form that was refused: what it asked for, its fields, and why.
struct Refused<'a> {
    asked: &'a str,
    fields: &'a HashMap<String, String>,
    error: Error,
}

async fn show_account(
    request: &HttpRequest,
    context: &Context,
    visit: &Visit,
    session: AccountSession,
    refused: Option<Refused<'_>>,
) -> Result<HttpResponse> {
    let guard = FormGuard::of(context, request)?;
    let done = Done::of(context, request, &guard).filter(|_| refused.is_none());
    let own = context.engine.own_account(session.project, session.account).await?;
    let template = render(context, visit, session, &guard, own, done, refused.as_ref());
    let status = refused.as_ref().map_or(StatusCode::OK, |refused| status(refused.error.kind));
    let mut response = page(status, &template);
    if let Some(refused) = refused {
        add_headers(&refused.error, &mut response);
    }
    if done.is_some() {
        Done::forget(context, &mut response)?;
    }
    guard.keep(context, &mut response);
    Ok(response)
}

fn render(
    context: &Context,
    visit: &Visit,
    session: AccountSession,
    guard: &FormGuard,
    own: OwnAccount,
    done: Option<Done>,
    refused: Option<&Refused<'_>>,
) -> AccountPage {
    let account = own.profile.profile.account;
    let now_ms = context.engine.machine_now_ms();
    let mut sessions: Vec<_> = own.sessions.into_iter().map(|row| SessionItem::of(row, session.id, now_ms)).collect();
    sessions.sort_by_key(|item| !item.is_this_browser);
    // What was typed stays, whatever was wrong with it.
    let typed = |asked: &str, field: &str| refused.filter(|refused| refused.asked == asked)?.fields.get(field).cloned();
    let csrf = guard.token(context);
    let menu = Menu { here: Place::Account, csrf: csrf.clone(), has_partner_track: own.has_partner_track };
    AccountPage {
        frame: Frame::with_menu(&visit.project.name, menu),
        name: typed("profile", "name").or(account.name).unwrap_or_default(),
        leaderboard_name: own
            .has_leaderboard
            .then(|| typed("profile", "leaderboard_name").or(account.leaderboard_name).unwrap_or_default()),
        email: account.email,
        member_since: time::day_in_words(account.created_at_ms),
        has_password: account.has_password,
        sessions,
        available: own.available,
        letters: own.letters,
        session_days: SESSION_DAYS,
        confirmation: CONFIRMATION,
        confirmed: typed("erase", "erase_confirmation").unwrap_or_default(),
        csrf,
        done,
        faults: refused.map(|refused| Faults::of(refused.asked, &refused.error)).unwrap_or_default(),
    }
}

pub async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_change(&request, payload, &context).await.unwrap_or_else(error_page)
}

/// One of the page's forms, from someone who is signed in.
struct Asked<'a> {
    request: &'a HttpRequest,
    context: &'a Context,
    session: AccountSession,
    fields: &'a HashMap<String, String>,
}

async fn take_change(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    let Some(session) = visit.session else { return Ok(sign_in_first(Place::Account)) };
    let fields = form(request, payload).await?;
    let guard = FormGuard::of(context, request)?;
    if let Err(error) = guard.check(context, fields.get("csrf").map(String::as_str).unwrap_or_default()) {
        return Ok(error_page_of(
            Frame::new(&visit.project.name),
            ("Your account", Place::Account.url().into()),
            error,
        ));
    }
    let asked = Asked { request, context, session, fields: &fields };
    let outcome = match asked.field("form") {
        "profile" => asked.save_profile().await,
        "password" => asked.change_password().await,
        "letters" => asked.choose_letters().await,
        "session" => asked.end_session().await,
        "others" => asked.end_others().await,
        "erase" => asked.erase().await,
        _ => Err(Error::new(Kind::Malformed, "malformed_form", "The page has no such form.")),
    };
    match outcome {
        Ok((done, mut response)) => {
            done.leave(context, &guard, &mut response)?;
            Ok(response)
        }
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::RateLimited | Kind::Conflict) => {
            let refused = Refused { asked: asked.field("form"), fields: &fields, error };
            show_account(request, context, &visit, session, Some(refused)).await
        }
        Err(error) => Err(error),
    }
}

impl Asked<'_> {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    fn back(done: Done) -> (Done, HttpResponse) {
        (done, see(Place::Account.url()))
    }

    async fn save_profile(&self) -> Result<(Done, HttpResponse)> {
        // The page has the second field only where there is a leaderboard.
        let listed =
            self.fields.get("leaderboard_name").map(|name| Some(name.as_str()).filter(|name| !name.trim().is_empty()));
        let change = Change::parse(Some(self.field("name")), listed)?;
        self.context.engine.change_account(self.session.project, self.session.account, change).await?;
        Ok(Self::back(Done::ProfileSaved))
    }

    /// A try at the own password, which counts like one at the sign-in: the browser may be in other hands.
    async fn attempt(&self, field: &str, browser: &Browser) -> Result<Attempt<crate::domain::id::AccountId>> {
        let client = self.context.settings.trusted_proxies.client_of(self.request);
        let by_address = self.context.limiter.login(client);
        let (project, account) = (self.session.project, self.session.account);
        let password = self.field(field).to_owned();
        let attempt = self.context.engine.own_attempt(project, account, password, &browser.devices).await?;
        self.context.limiter.guess(client, by_address, attempt.guess)?;
        Ok(attempt)
    }

    async fn change_password(&self) -> Result<(Done, HttpResponse)> {
        let browser = Session::Account.browser(self.context, self.request);
        let attempt = self.attempt("current_password", &browser).await?;
        let new_password = self.field("new_password").to_owned();
        let changed = self.context.engine.change_password(self.session.project, attempt, new_password, browser);
        let begun = changed.await?;
        let (done, mut response) = Self::back(Done::PasswordChanged);
        Session::Account.begin(self.context, &begun, &mut response)?;
        Ok((done, response))
    }

    /// A box that is not ticked is not sent.
    async fn choose_letters(&self) -> Result<(Done, HttpResponse)> {
        let milestones = self.field("milestones") == "1";
        self.context.engine.choose_own_letters(self.session.project, self.session.account, milestones).await?;
        Ok(Self::back(Done::LettersChosen))
    }

    async fn end_session(&self) -> Result<(Done, HttpResponse)> {
        // What is no id is no session, and one that is not there has ended.
        if let Ok(id) = self.field("session").parse() {
            self.context.engine.end_session(self.session.project, self.session.account, id).await?;
        }
        Ok(Self::back(Done::SessionEnded))
    }

    async fn end_others(&self) -> Result<(Done, HttpResponse)> {
        self.context.engine.end_other_sessions(self.session).await?;
        Ok(Self::back(Done::OthersEnded))
    }

    async fn erase(&self) -> Result<(Done, HttpResponse)> {
        if !self.field("erase_confirmation").trim().eq_ignore_ascii_case(CONFIRMATION) {
            let detail = format!("Type {CONFIRMATION} to confirm that this is meant.");
            return Err(Error::field("erase_confirmation", "not_confirmed", detail));
        }
        let (project, account) = (self.session.project, self.session.account);
        let own = self.context.engine.own_account(project, account).await?;
        if own.profile.profile.account.has_password {
            let browser = Session::Account.browser(self.context, self.request);
            let attempt = self.attempt("erase_password", &browser).await?;
            self.context.engine.erase_own_account(project, attempt).await?;
        } else {
            self.context.engine.erase_account(project, account).await?;
        }
        let mut response = see(ERASED);
        Session::Account.end(self.context, &mut response)?;
        Ok((Done::Erased, response))
    }
}

pub async fn erased(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_erased(&request, &context).await.unwrap_or_else(error_page)
}

/// Only for who comes from erasing.
async fn show_erased(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    let guard = FormGuard::of(context, request)?;
    if Done::of(context, request, &guard) != Some(Done::Erased) {
        return Ok(see(LOGIN));
    }
    let text = "Your name, e-mail address, password, keys and sessions are gone, and nobody can use your code any more. \
                The ledger keeps its entries, under a number that no longer belongs to anyone.";
    let frame = Frame::new(&visit.project.name);
    let template = MessagePage { frame, heading: "Your account is erased".into(), text: text.into(), link: None };
    let mut response = page(StatusCode::OK, &template);
    Done::forget(context, &mut response)?;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_said_to_the_hour() {
        for (past_ms, words) in [
            (-5 * DAY_MS, "within the last hour"),
            (0, "within the last hour"),
            (HOUR_MS - 1, "within the last hour"),
            (HOUR_MS, "an hour ago"),
            (DAY_MS - 1, "23 hours ago"),
            (DAY_MS, "a day ago"),
            (13 * DAY_MS, "13 days ago"),
        ] {
            assert_eq!(ago(1_000 * DAY_MS, 1_000 * DAY_MS - past_ms), words);
        }
    }
}
