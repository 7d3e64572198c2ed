//! `/unsubscribe`: declining letters by the link in one of them, without signing in. A mail program does it by one
//! request (RFC 8058).

use super::ask::{Ask, say, show};
use crate::domain::error::{Error, Kind, Result};
use crate::engine::MailChoice;
use crate::web::Context;
use crate::web::auth::visit;
use crate::web::body;
use crate::web::page::{FormGuard, error_page};
use crate::web::query::Query;
use actix_web::{HttpRequest, HttpResponse, web};

const LONGEST_BODY: usize = 4 * 1024;

/// Whose letters, and the proof that the link was in one.
struct Link {
    account: String,
    token: String,
}

impl Link {
    fn of(request: &HttpRequest) -> Result<Self> {
        let query = Query::parse(request.query_string())?;
        let given = |name| query.get(name).unwrap_or_default().to_owned();
        Ok(Self { account: given("account"), token: given("token") })
    }

    /// It has been found to be of hexadecimal digits and an id by now.
    fn url(&self) -> String {
        format!("/unsubscribe?account={}&token={}", self.account, self.token)
    }
}

pub async fn choice_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_choice(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_choice(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let (visit, link) = (visit(context, request).await?, Link::of(request)?);
    let choice = context.engine.mail_choice(visit.project.id, link.account.clone(), link.token.clone()).await?;
    show(request, context, &visit, ask(&link, &choice), None)
}

fn ask(link: &Link, choice: &MailChoice) -> Ask {
    let (lead, button, wanted) = if choice.milestones {
        ("You hear by mail of what your referrals reach.", "No more such mails", "0")
    } else {
        ("You get no mail about what your referrals reach.", "Send them again", "1")
    };
    Ask {
        heading: "Mails about milestones",
        lead,
        action: link.url(),
        hidden: vec![("milestones", wanted.into())],
        field: None,
        choice: None,
        button,
        busy: "One moment…",
    }
}

pub async fn choose(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_choice(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_choice(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let (visit, link) = (visit(context, request).await?, Link::of(request)?);
    let body = body::read(request, &mut payload.into_inner(), LONGEST_BODY).await?;
    let body = String::from_utf8_lossy(&body);
    let wanted = wanted(request, context, &body)?;
    let choice = context.engine.choose_mail(visit.project.id, link.account, link.token, wanted).await?;
    let text = if choice.milestones {
        "You hear of your referrals' milestones again."
    } else {
        "You get no more mails about milestones. Mails about your account and your payouts still come."
    };
    Ok(say(&visit, "Done", text.into(), None))
}

/// A mail program's one request says so in a form of either kind, and has no cookie; a browser's form must be ours.
fn wanted(request: &HttpRequest, context: &Context, body: &str) -> Result<bool> {
    if body.contains("List-Unsubscribe") && body.contains("One-Click") {
        return Ok(false);
    }
    let malformed = || Error::new(Kind::Malformed, "malformed_form", "The form cannot be read.");
    let fields = web::Query::<Vec<(String, String)>>::from_query(body).map_err(|_| malformed())?.into_inner();
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    FormGuard::of(context, request)?.check(context, field("csrf").unwrap_or_default())?;
    match field("milestones") {
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        _ => Err(malformed()),
    }
}
