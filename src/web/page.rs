//! What pages have in common: the frame, the answer to an error, and forms that only their visitor can send.

use super::Context;
use super::body::{self, DEFAULT_LIMIT};
use super::error::{problem, status};
use super::session::check_origin;
use super::watch;
use crate::domain::error::{Error, Kind, Result};
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;
use subtle::ConstantTimeEq;

pub const CSS_URL: &str = "/assets/refloop.css";
pub const JS_URL: &str = "/assets/refloop.js";

/// Nothing from elsewhere, nothing inline.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every page needs.
pub struct Frame {
    pub css_url: &'static str,
    pub js_url: &'static str,
    pub project_name: String,
    pub menu: Option<Menu>,
}

/// Where someone who is signed in can go, and the token of the form that signs them out.
pub struct Menu {
    pub here: Place,
    pub csrf: String,
    /// The program has one.
    pub has_partner_track: bool,
}

/// The pages of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Overview,
    Referrals,
    Ledger,
    Partner,
    Keys,
    Account,
    /// Not of the menu: it is there only where the program has one.
    Leaderboard,
}

impl Place {
    pub const ALL: [Self; 6] =
        [Self::Overview, Self::Referrals, Self::Ledger, Self::Partner, Self::Keys, Self::Account];

    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Referrals => "Referrals",
            Self::Ledger => "Ledger",
            Self::Partner => "Partner",
            Self::Keys => "API keys",
            Self::Account => "Account",
            Self::Leaderboard => "Leaderboard",
        }
    }

    pub fn url(self) -> &'static str {
        match self {
            Self::Overview => "/dashboard",
            Self::Referrals => "/dashboard/referrals",
            Self::Ledger => "/dashboard/ledger",
            Self::Partner => "/dashboard/partner",
            Self::Keys => "/dashboard/keys",
            Self::Account => "/account",
            Self::Leaderboard => "/leaderboard",
        }
    }
}

impl Place {
    /// The page of the menu that has exactly this address.
    pub fn at(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.url() == url)
    }
}

impl Menu {
    pub fn places(&self) -> impl Iterator<Item = (Place, bool)> {
        let is_there = |place: &Place| *place != Place::Partner || self.has_partner_track;
        Place::ALL.into_iter().filter(is_there).map(|place| (place, place == self.here))
    }
}

impl Frame {
    pub fn new(project_name: &str) -> Self {
        Self { css_url: CSS_URL, js_url: JS_URL, project_name: project_name.to_owned(), menu: None }
    }

    pub fn with_menu(project_name: &str, menu: Menu) -> Self {
        Self { menu: Some(menu), ..Self::new(project_name) }
    }
}

#[derive(Template)]
#[template(path = "message.html")]
pub struct MessagePage {
    pub frame: Frame,
    pub heading: String,
    pub text: String,
    pub link: Option<(String, String)>,
}

pub fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
            .body(html),
        Err(fault) => {
            tracing::error!(%fault, "a page does not render");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here; it has been logged.")
        }
    }
}

/// Has the page's forms lead on to another site. Chromium holds `form-action` against what a form is redirected to, too.
pub fn let_forms_lead_to(origin: &str, response: &mut HttpResponse) {
    let policy = PAGE_POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"));
    if let Ok(policy) = header::HeaderValue::try_from(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// An error as a person wants to see it, where no project is known.
pub fn error_page(error: Error) -> HttpResponse {
    error_page_of(Frame::new("Referrals"), ("Sign up", "/signup".into()), error)
}

/// An error as a person wants to see it, with a way on: what it is called, and where it leads.
pub fn error_page_of(frame: Frame, (label, url): (&str, String), error: Error) -> HttpResponse {
    let heading = match error.kind {
        Kind::NotFound => "There is nothing here",
        Kind::Forbidden if error.code == "csrf" || error.code == "cross_site" => "This form has expired",
        Kind::Forbidden => "This is not yours to do",
        Kind::Conflict => "This cannot be done now",
        Kind::RateLimited => "Too many tries",
        Kind::Busy => "Busy for a moment",
        Kind::Internal => "Something went wrong",
        _ => "This could not be read",
    };
    let retry_after_s = error.retry_after_s;
    let kind = error.kind;
    let (text, fault) = match kind {
        Kind::Internal => ("It has been logged. Please try again later.".to_owned(), Some(error.message)),
        _ => (error.message, None),
    };
    let link = Some((label.to_owned(), url));
    let template = MessagePage { frame, heading: heading.into(), text, link };
    let mut response = page(status(kind), &template);
    if let Some(fault) = fault {
        watch::note_fault(&mut response, &fault);
    }
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    if matches!(kind, Kind::TimedOut | Kind::TooLarge) {
        response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    response
}

/// The headers that the status of an error calls for.
pub fn add_headers(error: &Error, response: &mut HttpResponse) {
    let headers = response.headers_mut();
    if error.kind == Kind::Unauthenticated {
        // Keys are what the API takes beside a session.
        headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = error.retry_after_s {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
}

fn is_nonce(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What binds a form to its visitor: a random cookie, and in the form the instance's keyed hash of it.
pub struct FormGuard {
    nonce: String,
    is_new: bool,
    is_from_elsewhere: bool,
}

impl FormGuard {
    fn cookie_name(context: &Context) -> &'static str {
        if context.is_https() { "__Host-refloop_form" } else { "refloop_form" }
    }

    pub fn of(context: &Context, request: &HttpRequest) -> Result<Self> {
        let is_from_elsewhere = check_origin(context, request).is_err();
        let cookie = request.cookie(Self::cookie_name(context));
        if let Some(cookie) = cookie.filter(|cookie| is_nonce(cookie.value())) {
            return Ok(Self { nonce: cookie.value().to_owned(), is_new: false, is_from_elsewhere });
        }
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|fault| Error::internal(format!("no entropy: {fault}")))?;
        Ok(Self { nonce: hex::encode(bytes), is_new: true, is_from_elsewhere })
    }

    pub fn token(&self, context: &Context) -> String {
        context.engine.form_token(&self.nonce)
    }

    /// A mark that only this server can put on something for this visitor.
    pub fn seal(&self, context: &Context, what: &str) -> String {
        context.engine.form_token(&format!("{} {what}", self.nonce))
    }

    /// `Forbidden` unless the form was made for this visitor, and sent from one of our pages as far as the browser says.
    pub fn check(&self, context: &Context, token: &str) -> Result<()> {
        if !self.is_new && !self.is_from_elsewhere && bool::from(token.as_bytes().ct_eq(self.token(context).as_bytes()))
        {
            return Ok(());
        }
        let message = "Open the page again and send the form from there. Cookies must be allowed.";
        Err(Error::new(Kind::Forbidden, "csrf", message))
    }

    pub fn keep(&self, context: &Context, response: &mut HttpResponse) {
        if self.is_new {
            let name = Self::cookie_name(context);
            let cookie = Cookie::build(name, self.nonce.as_str()).path("/").http_only(true).same_site(SameSite::Lax);
            // A cookie that cannot be set leaves a form that will be refused; there is nothing better to do here.
            let _ = response.add_cookie(&cookie.secure(context.is_https()).finish());
        }
    }
}

/// A form's fields, each at most once. What is in them is for the fields' own rules.
pub async fn form(request: &HttpRequest, payload: web::Payload) -> Result<HashMap<String, String>> {
    if body::media_type(request) != "application/x-www-form-urlencoded" {
        return Err(Error::new(Kind::UnsupportedMedia, "unsupported_media_type", "This is not a form."));
    }
    let bytes = body::read(request, &mut payload.into_inner(), DEFAULT_LIMIT).await?;
    let malformed = || Error::new(Kind::Malformed, "malformed_form", "The form cannot be read.");
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    let pairs = web::Query::<Vec<(String, String)>>::from_query(&text).map_err(|_| malformed())?.into_inner();
    let count = pairs.len();
    let fields: HashMap<_, _> = pairs.into_iter().collect();
    if fields.len() < count { Err(malformed()) } else { Ok(fields) }
}

/// A text that ships with the binary, such as a stylesheet: asked for again each time, and seldom sent again.
pub fn static_text(request: &HttpRequest, media_type: &str, content: impl Into<web::Bytes>) -> HttpResponse {
    let content = content.into();
    let tag = format!("\"{}\"", &blake3::hash(&content).to_hex()[..16]);
    let seen = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|seen| seen.to_str().ok());
    let mut seen = seen.flat_map(|seen| seen.split(',')).map(str::trim);
    // A proxy that compresses makes the tag a weak one.
    let known = seen.any(|seen| seen == "*" || seen.strip_prefix("W/").unwrap_or(seen) == tag);
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.content_type(media_type).insert_header((header::ETAG, tag));
    response.insert_header((header::CACHE_CONTROL, "public, no-cache"));
    if known { response.finish() } else { response.body(content) }
}
