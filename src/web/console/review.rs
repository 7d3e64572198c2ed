//! `/admin/{project}/review`: the queue of referrals that wait for an operator.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::{Section, project_url};
use super::review_words::{QueueItem, plain};
use crate::domain::audit::Actor;
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::id::{Cursor, ReferralId};
use crate::domain::referral::Status;
use crate::domain::text;
use crate::web::page::static_text;
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::HashMap;

const PAGE: usize = 25;
/// Of a reason, in characters.
pub const LONGEST_REASON: usize = 500;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/review", show).route(web::post().to(decide)));
}

#[derive(Template)]
#[template(path = "console/review.html")]
struct ReviewPage {
    frame: ConsoleFrame,
    here: String,
    csrf: String,
    may_write: bool,
    held: i64,
    views: Vec<(&'static str, String, bool)>,
    wanted: Wanted,
    bulk_url: Option<String>,
    items: Vec<QueueItem>,
    is_first: bool,
    newest: String,
    next: Option<String>,
    error: Option<String>,
}

/// What the queue is narrowed to, as it was typed.
#[derive(Default, Clone)]
pub struct Wanted {
    /// `all` for every status.
    pub status: String,
    pub code: String,
    pub domain: String,
}

impl Wanted {
    fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name| get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        let status = Some(text("status")).filter(|status| !status.is_empty());
        Self { status: status.unwrap_or_else(|| "review".into()), code: text("code"), domain: text("domain") }
    }

    fn status(&self) -> Result<Option<Status>> {
        let unknown = || Error::field("status", "invalid_status", "There is no such status.");
        match self.status.as_str() {
            "all" => Ok(None),
            status => Status::parse(status).ok_or_else(unknown).map(Some),
        }
    }

    fn code(&self) -> Result<Option<Code>> {
        if self.code.is_empty() { Ok(None) } else { Code::parse("code", &self.code).map(Some) }
    }

    fn domain(&self) -> Option<String> {
        (!self.domain.is_empty()).then(|| self.domain.clone())
    }

    pub fn url(&self, here: &str, cursor: Option<i64>) -> String {
        let cursor = cursor.map(|cursor| Cursor(cursor).to_string()).unwrap_or_default();
        let fields =
            [("status", self.status.as_str()), ("code", &self.code), ("domain", &self.domain), ("cursor", &cursor)];
        let given =
            fields.into_iter().filter(|(name, value)| !value.is_empty() && (*name, *value) != ("status", "review"));
        let pairs: Vec<_> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if pairs.is_empty() { here.to_owned() } else { format!("{here}?{}", pairs.join("&")) }
    }

    /// Where all of a code or of a domain are rejected.
    fn bulk_url(&self, here: &str) -> Option<String> {
        match (self.code.as_str(), self.domain.as_str()) {
            ("", "") => None,
            ("", domain) => Some(format!("{here}/reject?domain={}", encoded(domain))),
            (code, "") => Some(format!("{here}/reject?code={}", encoded(code))),
            // What is rejected together is all of one of them.
            _ => None,
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

pub async fn script(request: HttpRequest) -> HttpResponse {
    static_text(&request, "text/javascript; charset=utf-8", include_str!("../../../templates/review.js"))
}

async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_queue(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn show_queue(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Review)?;
    let query = Query::parse(request.query_string())?;
    let wanted = Wanted::of(|name| query.get(name).map(str::to_owned));
    let before = query.cursor()?;
    let found = queue(context, &console, &wanted, before).await;
    let (template, error) = match found {
        Ok(template) => (template, None),
        // What was typed stays, with what is wrong with it.
        Err(error) if !error.fields.is_empty() => {
            let template = ReviewPage { error: Some(error.message.clone()), ..empty(context, &console, wanted) };
            (template, Some(error))
        }
        Err(error) => return Err(error),
    };
    console.page_or(context, error.as_ref(), &template)
}

fn empty(context: &Context, console: &Console, wanted: Wanted) -> ReviewPage {
    let here = console.url(Section::Review);
    let view = |name, status: &str| {
        let url = Wanted { status: status.into(), ..wanted.clone() }.url(&here, None);
        (name, url, wanted.status == status)
    };
    ReviewPage {
        frame: console.frame(context),
        csrf: console.csrf(context),
        may_write: console.role().may_write(),
        held: 0,
        views: vec![view("Waiting", "review"), view("Rejected", "rejected"), view("All", "all")],
        bulk_url: wanted.bulk_url(&here).filter(|_| console.role().may_write()),
        items: Vec::new(),
        is_first: true,
        newest: wanted.url(&here, None),
        next: None,
        error: None,
        wanted,
        here,
    }
}

async fn queue(context: &Context, console: &Console, wanted: &Wanted, before: Option<i64>) -> Result<ReviewPage> {
    let (engine, project) = (&context.engine, console.project.id);
    let (status, code, domain) = (wanted.status()?, wanted.code()?, wanted.domain());
    let page = engine.reviews(project, status, code, domain, before, PAGE).await?;
    let program = engine.program_of(project).await?;
    let (place, may_write) = (project_url(&console.project), console.role().may_write());
    let template = empty(context, console, wanted.clone());
    Ok(ReviewPage {
        held: page.held,
        items: page.items.iter().map(|item| QueueItem::of(item, &program, &place, may_write)).collect(),
        is_first: before.is_none(),
        next: page.next.map(|next| wanted.url(&template.here, Some(next))),
        ..template
    })
}

async fn decide(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_decision(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

/// A decision from the queue leads back to it, from the referral's own page to that.
async fn take_decision(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Review)?;
    let form = console.form(request, payload, context).await?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let none = || Error::not_found("There is no such referral.");
    let id: ReferralId = field("referral").parse().map_err(|_| none())?;
    let done = carry_out(context, &console, id, &form).await?;
    let here = console.url(Section::Review);
    let back = match field("from") {
        "referral" => format!("{here}/{id}"),
        _ => Wanted::of(|name| form.get(name).cloned()).url(&here, None),
    };
    console.see(context, &back, &done)
}

async fn carry_out(
    context: &Context,
    console: &Console,
    id: ReferralId,
    form: &HashMap<String, String>,
) -> Result<String> {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let (engine, project, actor) = (&context.engine, console.project.id, Actor::Operator(console.operator.operator));
    match field("do") {
        "clear" => {
            let reason = reason_or(field("reason"), "Looked at, and found in order")?;
            let view = engine.clear_referral(project, actor, id, reason).await?;
            Ok(format!("Cleared: {} goes on, and is {} now.", id, plain(view.status_word())))
        }
        "reject" => {
            let reason = reason_or(field("reason"), "Looked at, and found to be made up")?;
            engine.reject_referral(project, actor, id, reason).await?;
            Ok(format!("Rejected: what {id} brought is taken back."))
        }
        _ => Err(Error::field("do", "invalid_decision", "A referral is cleared or rejected.")),
    }
}

/// What was typed, or words for who types nothing.
pub fn reason_or(typed: &str, otherwise: &str) -> Result<String> {
    let typed = if typed.trim().is_empty() { otherwise } else { typed };
    text::display("reason", typed, LONGEST_REASON)
}
