//! `/forgot` and `/reset`: a new password by a link in a mail.

use super::ask::{Ask, Choice, Field, asked_address, mail_visit, say, sent, show, stale_link};
use crate::domain::error::{Kind, Result};
use crate::web::Context;
use crate::web::page::error_page;
use crate::web::query::Query;
use actix_web::{HttpRequest, HttpResponse, web};

const FORGOT: &str = "/forgot";
const RESET: &str = "/reset";
const TAKES_OVER: &str = "You have not confirmed this address before, so somebody else may have signed up with it. You will \
                          be signed out everywhere, and all API keys end, and a connection to Stripe if there is one.";
const KEEPS: &str = "I signed up myself: keep the API keys and the connection to Stripe";

const TAKEN_OVER: &str = "You are signed out everywhere. The API keys made so far have ended, and a connection to Stripe if \
                          there was one, as this address was not confirmed before. It is now: sign in and make new ones.";

fn ask_address(typed: String) -> Ask {
    Ask {
        heading: "Forgot your password?",
        lead: "We send you a link to a new one. It is good for an hour.",
        action: FORGOT.into(),
        hidden: Vec::new(),
        field: Some(Field::Email(typed)),
        choice: None,
        button: "Send the link",
        busy: "Sending…",
    }
}

fn ask_password(token: String, takes_over: bool, keeps: bool) -> Ask {
    Ask {
        heading: "Choose a new password",
        lead: if takes_over { TAKES_OVER } else { "You will be signed out everywhere." },
        action: RESET.into(),
        hidden: vec![("token", token)],
        field: Some(Field::NewPassword),
        choice: takes_over.then_some(Choice { name: "keep", label: KEEPS, is_ticked: keeps }),
        button: "Set the password",
        busy: "Setting…",
    }
}

pub async fn forgot_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_forgot(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_forgot(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = mail_visit(context, request).await?;
    show(request, context, &visit, ask_address(String::new()), None)
}

pub async fn forgot(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_forgot(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_forgot(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let (visit, email) = match asked_address(request, payload, context, ask_address).await? {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refusal),
    };
    context.engine.forgot_password(visit.project.id, email).await?;
    let text = "If there is an account with this address, a mail with a link is on its way. It may take a minute; look \
                among the unwanted mail, too.";
    Ok(say(&visit, "Look at your mail", text.into(), Some(("Back to sign in", super::login::LOGIN))))
}

pub async fn reset_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open_reset(&request, &context).await.unwrap_or_else(error_page)
}

async fn open_reset(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = mail_visit(context, request).await?;
    let token = Query::parse(request.query_string())?.get("token").unwrap_or_default().to_owned();
    match context.engine.check_reset(visit.project.id, token.clone()).await {
        Ok(link) => show(request, context, &visit, ask_password(token, link.takes_over, false), None),
        Err(error) => stale_link(&visit, ("Ask for a new link", FORGOT), error),
    }
}

pub async fn reset(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_reset(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_reset(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    context.limiter.login(context.settings.trusted_proxies.client_of(request))?;
    let visit = mail_visit(context, request).await?;
    let mut fields = match sent(request, payload, context, &visit, FORGOT).await? {
        Ok(fields) => fields,
        Err(refusal) => return Ok(refusal),
    };
    let mut field = |name: &str| fields.remove(name).unwrap_or_default();
    let (token, password, keeps) = (field("token"), field("password"), field("keep") == "1");
    match context.engine.reset_password(visit.project.id, token.clone(), password, keeps).await {
        Ok(link) => {
            let text = if link.takes_over {
                TAKEN_OVER
            } else {
                "You are signed out everywhere. Your API keys work as before."
            };
            Ok(say(&visit, "Your password is changed", text.into(), Some(("Sign in", super::login::LOGIN))))
        }
        Err(error) if error.kind == Kind::Invalid => {
            let link = context.engine.check_reset(visit.project.id, token.clone()).await;
            let ask = ask_password(token, link.is_ok_and(|link| link.takes_over), keeps);
            show(request, context, &visit, ask, Some(error))
        }
        Err(error) => stale_link(&visit, ("Ask for a new link", FORGOT), error),
    }
}
