//! One-time links: the first operator's, which the first start prints, and those of invitations.

use super::frame::{TITLE, see};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::operator::OperatorRole;
use crate::engine::Door;
use crate::web::error::status;
use crate::web::page::{FormGuard, Frame, add_headers, error_page_of, form, page};
use crate::web::query::Query;
use crate::web::session::Session;
use crate::web::{Context, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

pub const JOIN: &str = "/admin/join";
const SETUP: &str = "/admin/setup";

pub fn routes(config: &mut web::ServiceConfig) {
    // Two addresses of one page: the first start has always printed the former.
    for place in [SETUP, JOIN] {
        config.service(readable(place, door).route(web::post().to(join)));
    }
}

#[derive(Template)]
#[template(path = "admin_join.html")]
struct JoinPage {
    frame: Frame,
    is_first: bool,
    role: &'static str,
    token: String,
    email: String,
    csrf: String,
    error: Option<Error>,
}

impl JoinPage {
    /// What is wrong with a field.
    fn at(&self, field: &str) -> Option<&str> {
        let fields = self.error.as_ref().map(|error| error.fields.as_slice()).unwrap_or_default();
        fields.iter().find(|fault| fault.field == field).map(|fault| fault.detail.as_str())
    }

    /// What is wrong with none of them.
    fn at_large(&self) -> Option<&str> {
        self.error.as_ref().filter(|error| error.fields.is_empty()).map(|error| error.message.as_str())
    }
}

fn refused(error: Error) -> HttpResponse {
    error_page_of(Frame::new(TITLE), ("Sign in", super::frame::LOGIN.into()), error)
}

async fn door(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        // A guess at a link is a guess at a key.
        context.limiter.public(context.settings.trusted_proxies.client_of(&request))?;
        let token = Query::parse(request.query_string())?.get("token").unwrap_or_default().to_owned();
        show(&request, &context, token, String::new(), None).await
    };
    shown.await.unwrap_or_else(refused)
}

async fn show(
    request: &HttpRequest,
    context: &Context,
    token: String,
    email: String,
    error: Option<Error>,
) -> Result<HttpResponse> {
    let role = match context.engine.door(token.clone()).await? {
        Door::Setup => None,
        Door::Invited(_, role) => Some(role),
    };
    let guard = FormGuard::of(context, request)?;
    let csrf = guard.token(context);
    let is_first = role.is_none();
    let role = role.unwrap_or(OperatorRole::Owner).title();
    let template = JoinPage { frame: Frame::new(TITLE), is_first, role, token, email, csrf, error };
    let mut response = page(template.error.as_ref().map_or(StatusCode::OK, |error| status(error.kind)), &template);
    if let Some(error) = &template.error {
        add_headers(error, &mut response);
    }
    guard.keep(context, &mut response);
    Ok(response)
}

async fn join(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take(&request, payload, &context).await.unwrap_or_else(refused)
}

async fn take(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let client = context.settings.trusted_proxies.client_of(request);
    context.limiter.public(client)?;
    context.limiter.login(client)?;
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    FormGuard::of(context, request)?.check(context, &field("csrf"))?;
    let browser = Session::Operator.browser(context, request);
    match context.engine.join(field("token"), &field("email"), field("password"), browser).await {
        Ok(begun) => {
            let mut response = see("/admin");
            Session::Operator.begin(context, &begun, &mut response)?;
            Ok(response)
        }
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            show(request, context, field("token"), field("email"), Some(error)).await
        }
        Err(error) => Err(error),
    }
}
