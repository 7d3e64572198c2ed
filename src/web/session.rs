//! The cookies by which operators and accounts are signed in, and when a request that carries one is believed.

use super::Context;
use crate::domain::device;
use crate::domain::error::{Error, Kind, Result};
use crate::engine::{BegunSession, Browser, Devices, SESSION_DAYS};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::http::uri::Authority;
use actix_web::{HttpRequest, HttpResponse};

/// How long a browser is known after it has signed in.
const DEVICE_DAYS: i64 = 365;

/// One browser may be signed in as both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    Operator,
    Account,
}

impl Session {
    fn cookie_name(self, context: &Context) -> &'static str {
        match (self, context.is_https()) {
            (Self::Operator, true) => "__Host-refloop_operator",
            (Self::Operator, false) => "refloop_operator",
            (Self::Account, true) => "__Host-refloop_session",
            (Self::Account, false) => "refloop_session",
        }
    }

    /// What the browser sends as its session, good or not.
    pub fn token(self, context: &Context, request: &HttpRequest) -> Option<String> {
        let cookie = request.cookie(self.cookie_name(context))?;
        (!cookie.value().is_empty()).then(|| cookie.value().to_owned())
    }

    /// By it a browser is known to have signed in before, also when it has signed out since.
    fn devices_name(self, context: &Context) -> &'static str {
        match (self, context.is_https()) {
            (Self::Operator, true) => "__Host-refloop_operator_device",
            (Self::Operator, false) => "refloop_operator_device",
            (Self::Account, true) => "__Host-refloop_device",
            (Self::Account, false) => "refloop_device",
        }
    }

    /// What the browser brings along to sign in with.
    pub fn browser(self, context: &Context, request: &HttpRequest) -> Browser {
        let devices = request.cookie(self.devices_name(context));
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Browser {
            previous: self.token(context, request),
            devices: devices.map(|cookie| Devices::parse(cookie.value())).unwrap_or_default(),
            name: user_agent.and_then(device::describe),
        }
    }

    /// Gives the browser a session to keep, and has it known from now on.
    pub fn begin(self, context: &Context, begun: &BegunSession, response: &mut HttpResponse) -> Result<()> {
        set(response, &cookie(context, self.cookie_name(context), &begun.token, Duration::days(SESSION_DAYS)))?;
        let devices = begun.devices.to_string();
        set(response, &cookie(context, self.devices_name(context), &devices, Duration::days(DEVICE_DAYS)))
    }

    /// Has the browser forget its session.
    pub fn end(self, context: &Context, response: &mut HttpResponse) -> Result<()> {
        set(response, &cookie(context, self.cookie_name(context), "", Duration::ZERO))
    }
}

/// For this host alone, and out of reach of scripts.
pub fn cookie<'c>(context: &Context, name: &'c str, value: &'c str, lasts: Duration) -> Cookie<'c> {
    let cookie = Cookie::build(name, value).path("/").http_only(true);
    cookie.same_site(SameSite::Lax).secure(context.is_https()).max_age(lasts).finish()
}

pub fn set(response: &mut HttpResponse, cookie: &Cookie<'_>) -> Result<()> {
    response.add_cookie(cookie).map_err(|fault| Error::internal(format!("cookie: {fault}")))
}

/// Refuses a change that another site has a signed-in browser ask for. `SameSite=Lax` keeps the cookie from requests
/// of foreign sites; this also stops pages on other names of the same domain, which count as the same site.
///
/// Every browser of today says where a request comes from: in `Sec-Fetch-Site`, which no page can set, or, over plain
/// http, in `Origin`. What says neither is no browser, and sends the cookie because it means to.
pub fn check_origin(context: &Context, request: &HttpRequest) -> Result<()> {
    let said = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let own = match (said("sec-fetch-site"), said(header::ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => is_own(context, origin, asked(request)),
        (None, None) => true,
    };
    if own || request.method().is_safe() {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, "cross_site", "A session makes no changes for pages of another site."))
}

/// The name that was asked, with its port; HTTP/2 has no header for it.
fn asked(request: &HttpRequest) -> &str {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| request.uri().authority().map(Authority::as_str)).unwrap_or_default()
}

/// The public address, or the one that was asked; a proxy may have changed the latter.
fn is_own(context: &Context, origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let Some((public_scheme, rest)) = context.settings.public_url.split_once("://") else { return false };
    let public = rest.split('/').next().unwrap_or_default();
    let is_public = scheme.eq_ignore_ascii_case(public_scheme) && authority.eq_ignore_ascii_case(public);
    is_public || (!authority.is_empty() && authority.eq_ignore_ascii_case(host))
}
