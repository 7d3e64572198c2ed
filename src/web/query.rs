//! Query strings: paging, filters.

use super::error::ApiError;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::Cursor;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use std::collections::HashMap;
use std::future::{Ready, ready};
use std::ops::RangeInclusive;

/// The parameters of a query string; unknown ones are ignored.
pub struct Query(HashMap<String, String>);

impl FromRequest for Query {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.query_string();
        let strict = if decodes(text) { Self::parse(text) } else { Err(malformed("The parameters do not decode.")) };
        ready(strict.map_err(ApiError))
    }
}

fn malformed(detail: &str) -> Error {
    Error::new(Kind::Malformed, "malformed_query", detail)
}

/// Whether each % begins two hexadecimal digits, and what they stand for is UTF-8. Browsers and [`Query::parse`] are
/// more patient, and put a replacement character for what does not decode.
fn decodes(text: &str) -> bool {
    let escapes = text.split('%').skip(1);
    let complete = |escape: &str| escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    escapes.into_iter().all(complete) && percent_encoding::percent_decode_str(text).decode_utf8().is_ok()
}

impl Query {
    /// `Malformed` when it does not read, or names a parameter twice.
    pub fn parse(text: &str) -> Result<Self> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text);
        let pairs = pairs.map_err(|_| malformed("The parameters do not read."))?.into_inner();
        let count = pairs.len();
        let map: HashMap<_, _> = pairs.into_iter().collect();
        if map.len() < count { Err(malformed("A parameter is given twice.")) } else { Ok(Self(map)) }
    }

    /// An empty parameter is taken for an absent one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn integer(&self, name: &str, range: RangeInclusive<i64>, default: i64) -> Result<i64> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse() {
            Ok(value) if range.contains(&value) => Ok(value),
            _ => Err(Error::field(name, "out_of_range", format!("This is {} to {}.", range.start(), range.end()))),
        }
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Error::field(name, "wrong_type", "This is true or false.")),
        }
    }

    /// `limit`, 1 to 200, 50 when nothing is said.
    pub fn limit(&self) -> Result<usize> {
        Ok(usize::try_from(self.integer("limit", 1..=200, 50)?).unwrap_or(50))
    }

    /// The place that an earlier page's `next_cursor` names.
    pub fn cursor(&self) -> Result<Option<i64>> {
        let parse = |text: &str| {
            let cursor = text.parse::<Cursor>();
            cursor.map_err(|_| Error::field("cursor", "invalid_cursor", "Give the next_cursor of an earlier page."))
        };
        Ok(self.get("cursor").map(parse).transpose()?.map(|cursor| cursor.0))
    }
}

/// A page of a list.
#[derive(serde::Serialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<Cursor>,
}
