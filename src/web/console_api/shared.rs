//! What the console's calls have in common.

use crate::domain::developer::reason_for;
use crate::domain::error::{Error, Result};
use crate::domain::id::Cursor;
use crate::domain::text;
use crate::engine::mask;
use crate::web::auth::AdminRead;
use crate::web::body::Fields;
use crate::web::error::ApiError;
use crate::web::query::Page;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value};

pub type Answer = std::result::Result<HttpResponse, ApiError>;
/// The project, which has been looked at by then, and what the call is about.
pub type Subject = web::Path<(String, String)>;

/// A page of rows of which one more was read than is shown.
pub fn page<T, B>(mut rows: Vec<T>, limit: usize, key: impl Fn(&T) -> i64, body: impl Fn(T) -> B) -> Page<B> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| Cursor(key(row)));
    Page { data: rows.into_iter().map(body).collect(), next_cursor }
}

/// How much of people is shown. Whoever runs the programme needs their addresses to answer them; a read-only seat is for who
/// looks at figures, and gets what a referrer would: a masked address and no name.
#[derive(Debug, Clone, Copy)]
pub struct People {
    whole: bool,
}

impl People {
    pub fn seen_by(access: &AdminRead) -> Self {
        Self { whole: access.may_write() }
    }

    pub fn email(self, address: Option<String>) -> Option<String> {
        if self.whole { address } else { address.as_deref().and_then(mask) }
    }

    /// A letter addresses its reader by name.
    pub fn may_read_letters(self) -> bool {
        self.whole
    }

    pub fn name(self, name: Option<String>) -> Option<String> {
        name.filter(|_| self.whole)
    }
}

/// Why it is done, where that may be left out.
pub fn reason(body: &Map<String, Value>) -> Result<Option<String>> {
    let mut fields = Fields::new(body);
    let reason = fields.optional_text("reason").map(reason_for);
    let reason = reason.and_then(|reason| fields.check(reason));
    fields.finish()?;
    Ok(reason)
}

/// The caller's name for this very request, if there is one: printable, and at most 128 characters.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<String>> {
    const NAME: &str = "Idempotency-Key";
    let Some(value) = request.headers().get(NAME) else { return Ok(None) };
    let unreadable = || Error::field(NAME, "invalid_characters", "Give 1 to 128 printable characters.");
    let text = value.to_str().map_err(|_| unreadable())?;
    text::client_id(NAME, text).map(Some)
}

/// Says that the answer is that of an earlier request.
pub fn mark_replayed(response: &mut HttpResponse, replayed: bool) {
    if replayed {
        let name = HeaderName::from_static("idempotency-replayed");
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
}
