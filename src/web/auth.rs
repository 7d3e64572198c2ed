//! Extractors: who calls, and for which project.

mod admin;
mod jwt;

pub use admin::{AdminOperator, AdminOwner, AdminRead, AdminWrite};
pub use jwt::JwtSubject;

use super::Context;
use super::error::ApiError;
use super::session::{self, Session};
use crate::domain::access::{Caller, Role, Scope};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::engine::{AccountSession, Project, Reader, SignedIn};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

type Extracted<T> = LocalBoxFuture<'static, std::result::Result<T, ApiError>>;

/// This thread's own connection for point reads.
pub fn reader(request: &HttpRequest) -> Result<&web::Data<Reader>> {
    request.app_data::<web::Data<Reader>>().ok_or_else(|| Error::internal("no reader"))
}

pub fn context(request: &HttpRequest) -> Result<web::Data<Context>> {
    request.app_data::<web::Data<Context>>().cloned().ok_or_else(|| Error::internal("no context"))
}

/// A developer with a key of their own.
pub struct Developer {
    pub project: ProjectId,
    pub account: AccountId,
}

impl FromRequest for Developer {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let developer = |caller: Arc<Caller>| Ok(Self { project: caller.project, account: caller.developer()? });
        ready(caller(request).and_then(developer).map_err(ApiError))
    }
}

/// Names the scope that a gateway key must have.
pub trait Needs: 'static {
    const SCOPE: Scope;
}

pub struct UsageWrite;
impl Needs for UsageWrite {
    const SCOPE: Scope = Scope::UsageWrite;
}

pub struct PurchasesWrite;
impl Needs for PurchasesWrite {
    const SCOPE: Scope = Scope::PurchasesWrite;
}

pub struct Admin;
impl Needs for Admin {
    const SCOPE: Scope = Scope::Admin;
}

pub struct ReferralsRead;
impl Needs for ReferralsRead {
    const SCOPE: Scope = Scope::ReferralsRead;
}

pub struct ReferralsWrite;
impl Needs for ReferralsWrite {
    const SCOPE: Scope = Scope::ReferralsWrite;
}

/// A project's gateway with a scope.
pub struct Gateway<S> {
    pub project: ProjectId,
    scope: PhantomData<S>,
}

impl<S: Needs> FromRequest for Gateway<S> {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let gateway = |caller: Arc<Caller>| {
            caller.require(S::SCOPE)?;
            Ok(Self { project: caller.project, scope: PhantomData })
        };
        ready(caller(request).and_then(gateway).map_err(ApiError))
    }
}

/// A good key passes, however many bad ones come from the same address; a bad one counts against its address.
/// Nothing here waits: a handler's extractors run side by side, and so a bad key is refused, and counted, before the
/// body or the query behind it are.
fn caller(request: &HttpRequest) -> Result<Arc<Caller>> {
    let context = context(request)?;
    let refused = |error: Error| match context.limiter.bad_key(context.settings.trusted_proxies.client_of(request)) {
        Ok(()) => error,
        Err(limited) => limited,
    };
    let secret = bearer(request).map_err(refused)?;
    let caller = match context.engine.authenticate(reader(request)?, &secret) {
        Err(error) if error.kind == Kind::Unauthenticated => return Err(refused(error)),
        answer => answer?,
    };
    match caller.role {
        Role::Developer(_) => context.limiter.developer(caller.key)?,
        Role::Gateway(_) => context.limiter.gateway(caller.key)?,
    }
    Ok(caller)
}

fn bearer(request: &HttpRequest) -> Result<String> {
    let missing = || Error::new(Kind::Unauthenticated, "missing_key", "Send a key as Authorization: Bearer <key>.");
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, secret) = value.and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
    let secret = secret.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || secret.is_empty() {
        return Err(missing());
    }
    Ok(secret.to_owned())
}

/// The project that a path names by `{team}` and `{project}`, for its own gateway with a scope, or for an operator of
/// the team. A key goes before a session.
pub struct ProjectAccess<S> {
    pub project: ProjectId,
    /// Who asks, for the record.
    pub actor: Actor,
    scope: PhantomData<S>,
}

impl<S: Needs> FromRequest for ProjectAccess<S> {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let access = project_access(request, S::SCOPE);
        ready(access.map(|(project, actor)| Self { project, actor, scope: PhantomData }).map_err(ApiError))
    }
}

fn project_access(request: &HttpRequest, scope: Scope) -> Result<(ProjectId, Actor)> {
    let context = context(request)?;
    let named = || {
        let part = |name| request.match_info().get(name).unwrap_or_default();
        context.engine.project_of_team(reader(request)?, part("team"), part("project"))
    };
    let token =
        Session::Operator.token(&context, request).filter(|_| !request.headers().contains_key(header::AUTHORIZATION));
    let (project, is_own, actor) = if let Some(token) = token {
        let operator = signed_in(&context, request, &token)?;
        session::check_origin(&context, request)?;
        let project = named()?;
        if project.team == operator.team && !request.method().is_safe() {
            operator.role.check_write()?;
        }
        (project.id, project.team == operator.team, Actor::Operator(operator.operator))
    } else {
        let caller = caller(request)?;
        caller.require(scope)?;
        let project = named()?;
        (project.id, project.id == caller.project, Actor::Key(caller.key))
    };
    // In the words for a project that is not there.
    if is_own { Ok((project, actor)) } else { Err(Error::not_found("The team has no such project.")) }
}

/// The operator whose session this is, within their limit. A bad one counts like a bad key.
fn signed_in(context: &Context, request: &HttpRequest, token: &str) -> Result<SignedIn> {
    let Some(operator) = context.engine.operator_of(reader(request)?, token)? else {
        context.limiter.bad_key(context.settings.trusted_proxies.client_of(request))?;
        let message = "The session has ended; sign in again.";
        return Err(Error::new(Kind::Unauthenticated, "invalid_session", message));
    };
    context.limiter.operator(operator.operator)?;
    Ok(operator)
}

/// The project whose host was asked for a page, and who is signed in there.
pub struct Visit {
    pub project: Project,
    pub session: Option<AccountSession>,
}

/// Within the limit for public pages. A session of another project is none.
pub async fn visit(context: &Context, request: &HttpRequest) -> Result<Visit> {
    context.limiter.public(context.settings.trusted_proxies.client_of(request))?;
    let project = context.engine.project_for_host(host(request)).await?;
    let session = account_session(context, request)?;
    Ok(Visit { session: session.filter(|session| session.project == project.id), project })
}

/// The session that a browser has, in whichever project.
pub fn account_session(context: &Context, request: &HttpRequest) -> Result<Option<AccountSession>> {
    let token = Session::Account.token(context, request);
    Ok(token.map(|token| context.engine.account_of(reader(request)?, &token)).transpose()?.flatten())
}

/// Where a request comes from.
pub struct ClientAddress(pub IpAddr);

impl FromRequest for ClientAddress {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let client = context(request).map(|context| Self(context.settings.trusted_proxies.client_of(request)));
        ready(client.map_err(ApiError))
    }
}

/// The project whose host was asked, for public calls and pages; within the limit for those.
pub struct PublicProject(pub Project);

impl FromRequest for PublicProject {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let context = context(&request)?;
            context.limiter.public(context.settings.trusted_proxies.client_of(&request))?;
            Ok(Self(context.engine.project_for_host(host(&request)).await?))
        })
    }
}

/// The asked host without its port. Only the request's own: a forwarded one can be anybody's.
pub fn host(request: &HttpRequest) -> String {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = named.or_else(|| request.uri().authority().map(actix_web::http::uri::Authority::as_str));
    let host = host.unwrap_or_default().to_ascii_lowercase();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => &host,
    };
    // A name with the root's dot is the same name.
    name.strip_suffix('.').unwrap_or(name).to_owned()
}
