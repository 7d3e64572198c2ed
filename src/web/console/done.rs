//! A word on what was just done, for the page that a form leads to. It travels in a cookie that only this server can
//! make for this visitor, so that no link can put words on a page.

use crate::domain::error::Result;
use crate::web::Context;
use crate::web::page::FormGuard;
use crate::web::session::{cookie, set};
use actix_web::cookie::time::Duration;
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

fn cookie_name(context: &Context) -> &'static str {
    if context.is_https() { "__Host-refloop_console_done" } else { "refloop_console_done" }
}

fn seal(context: &Context, guard: &FormGuard, text: &str) -> String {
    guard.seal(context, &format!("console done {text}"))
}

/// What the visitor is to be told.
pub fn read(context: &Context, request: &HttpRequest, guard: &FormGuard) -> Option<String> {
    let cookie = request.cookie(cookie_name(context))?;
    let (sealed, text) = cookie.value().split_once('.')?;
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (sealed == seal(context, guard, &text)).then(|| text.into_owned())
}

/// Has the next page say it.
pub fn leave(context: &Context, guard: &FormGuard, text: &str, response: &mut HttpResponse) -> Result<()> {
    let value = format!("{}.{}", seal(context, guard, text), utf8_percent_encode(text, NON_ALPHANUMERIC));
    set(response, &cookie(context, cookie_name(context), &value, Duration::MINUTE))
}

/// It has been said, and is not said again.
pub fn forget(context: &Context, response: &mut HttpResponse) -> Result<()> {
    set(response, &cookie(context, cookie_name(context), "", Duration::ZERO))
}
