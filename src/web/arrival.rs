//! How a visitor came: the cookie that remembers a click, and what a request says about who sends it.

use super::limit::network;
use super::session::Session;
use super::{Context, auth};
use crate::domain::click::{is_ahead_of_visit, is_machine};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::engine::{Arrival, Browser, CameFrom, Devices, Remembered};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse};

fn cookie_name(context: &Context) -> &'static str {
    if context.is_https() { "__Host-refloop_visit" } else { "refloop_visit" }
}

/// What the browser remembers of a click, good or not.
pub fn remembered(context: &Context, request: &HttpRequest) -> Option<String> {
    request.cookie(cookie_name(context)).map(|cookie| cookie.value().to_owned())
}

/// Has the browser remember a click.
pub fn remember<B>(context: &Context, click: &Remembered, response: &mut HttpResponse<B>) {
    let cookie = Cookie::build(cookie_name(context), click.token.as_str()).path("/").http_only(true);
    let cookie = cookie.same_site(SameSite::Lax).secure(context.is_https());
    // One that cannot be set is a click that is not remembered; there is nothing better to do here.
    let _ = response.add_cookie(&cookie.max_age(Duration::days(click.days.into())).finish());
}

fn said<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or_default())
}

fn user_agent(request: &HttpRequest) -> &str {
    said(request, header::USER_AGENT.as_str()).unwrap_or_default()
}

/// Whether a person is behind it, as far as can be told: no known machine, and nothing that is fetched in advance.
pub fn is_personal(request: &HttpRequest) -> bool {
    let purposes = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    let is_ahead = purposes.into_iter().filter_map(|name| said(request, name)).any(is_ahead_of_visit);
    !is_ahead && !is_machine(user_agent(request))
}

/// Whether a person opens this page. A page that is loaded as an image or a frame of another one is not a visit, but
/// how clicks are made up.
pub fn is_visit(request: &HttpRequest) -> bool {
    let is_document = said(request, "sec-fetch-dest").is_none_or(|destination| destination == "document");
    request.method() == Method::GET && is_document && is_personal(request)
}

/// A request as it comes from anywhere: without what its browser knows.
pub fn bare(context: &Context, request: &HttpRequest) -> Arrival {
    Arrival {
        network: network(context.settings.trusted_proxies.client_of(request)),
        user_agent: user_agent(request).to_owned(),
        remembered: None,
        account: None,
        devices: Devices::default(),
    }
}

/// A request with what its browser remembers, and who is signed in.
pub fn with_cookies(context: &Context, request: &HttpRequest, account: Option<AccountId>) -> Arrival {
    let Browser { devices, .. } = Session::Account.browser(context, request);
    Arrival { remembered: remembered(context, request), account, devices, ..bare(context, request) }
}

/// Who is signed in to this project.
pub fn account(context: &Context, request: &HttpRequest, project: ProjectId) -> Result<Option<AccountId>> {
    let session = auth::account_session(context, request)?;
    Ok(session.filter(|session| session.project == project).map(|session| session.account))
}

/// How a browser that signs up came here; `None` when that is not to be known now, which keeps nobody from signing up.
pub async fn came_from(context: &Context, request: &HttpRequest, project: ProjectId) -> Option<CameFrom> {
    context.engine.came_from(project, &with_cookies(context, request, None)).await.ok()
}

/// Notes from where someone with an account comes, for those whom they refer from the same place. What goes wrong keeps
/// nobody from anything.
pub async fn sight(context: &Context, request: &HttpRequest, project: ProjectId, account: AccountId) {
    if let Err(fault) = context.engine.sight(project, account, &bare(context, request)).await {
        tracing::debug!(%fault, "a sighting is not noted");
    }
}
