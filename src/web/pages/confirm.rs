//! `/confirm`: the link that a mail brings to who has signed up, and another one for who has lost it.

use super::ask::{Ask, Field, asked_address, mail_visit, say, sent, show, stale_link};
use crate::domain::error::Result;
use crate::domain::referral::abuse_text;
use crate::engine::{Applied, Confirmed};
use crate::web::Context;
use crate::web::page::error_page;
use crate::web::query::Query;
use actix_web::{HttpRequest, HttpResponse, web};

const CONFIRM: &str = "/confirm";
const AGAIN: (&str, &str) = ("Ask for a new link", "/confirm/again");

/// A click of a person's: programs that look through mail open links, too.
fn ask_click(token: String) -> Ask {
    Ask {
        heading: "Confirm your e-mail address",
        lead: "One click, and your referral counts.",
        action: CONFIRM.into(),
        hidden: vec![("token", token)],
        field: None,
        choice: None,
        button: "Confirm the address",
        busy: "Confirming…",
    }
}

fn ask_address(typed: String) -> Ask {
    Ask {
        heading: "Confirm your e-mail address",
        lead: "We send you another link.",
        action: AGAIN.1.into(),
        hidden: Vec::new(),
        field: Some(Field::Email(typed)),
        choice: None,
        button: "Send the link",
        busy: "Sending…",
    }
}

pub async fn confirm_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_confirm(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_confirm(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = mail_visit(context, request).await?;
    let token = Query::parse(request.query_string())?.get("token").unwrap_or_default().to_owned();
    match context.engine.check_confirmation(visit.project.id, token.clone()).await {
        Ok(()) => show(request, context, &visit, ask_click(token), None),
        Err(error) => stale_link(&visit, AGAIN, error),
    }
}

pub async fn confirm(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_confirm(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_confirm(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    context.limiter.login(context.settings.trusted_proxies.client_of(request))?;
    let visit = mail_visit(context, request).await?;
    let mut fields = match sent(request, payload, context, &visit, AGAIN.1).await? {
        Ok(fields) => fields,
        Err(refusal) => return Ok(refusal),
    };
    let token = fields.remove("token").unwrap_or_default();
    match context.engine.confirm_address(visit.project.id, token).await {
        Ok(confirmed) => {
            let link = Some(("Sign in", super::login::LOGIN));
            Ok(say(&visit, "Your address is confirmed", in_words(confirmed), link))
        }
        Err(error) => stale_link(&visit, AGAIN, error),
    }
}

fn in_words(confirmed: Confirmed) -> String {
    let Confirmed { project_name, referral, bonus } = confirmed;
    match (referral, bonus) {
        (_, Some(bonus)) => format!("Your account at {project_name} starts with {bonus}."),
        (Some(Applied::Rejected { reason }), _) => format!("No bonus was credited. {}", abuse_text(reason)),
        (Some(Applied::Held { .. }), _) => super::signup::HELD.to_owned(),
        _ => format!("You are all set at {project_name}."),
    }
}

pub async fn again_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_again(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_again(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = mail_visit(context, request).await?;
    show(request, context, &visit, ask_address(String::new()), None)
}

pub async fn again(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_again(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_again(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let (visit, email) = match asked_address(request, payload, context, ask_address).await? {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refusal),
    };
    context.engine.confirm_again(visit.project.id, email).await?;
    let text = "If this address is still to be confirmed, a mail with a new link is on its way.";
    Ok(say(&visit, "Look at your mail", text.into(), Some(("Back to sign in", super::login::LOGIN))))
}
