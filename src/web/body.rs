//! Bodies: bounded in size and time, JSON without surprises, fields with precise faults.

use super::Context;
use super::error::ApiError;
use crate::domain::error::{Error, FieldError, Kind, Result};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::ops::RangeInclusive;

pub const DEFAULT_LIMIT: usize = 64 * 1024;
pub const BATCH_LIMIT: usize = 1024 * 1024;

/// Reads a whole body within the limit and the time that the settings give it.
pub async fn read(request: &HttpRequest, payload: &mut Payload, limit: usize) -> Result<Vec<u8>> {
    let too_large = || Error::new(Kind::TooLarge, "body_too_large", format!("A body has at most {limit} bytes."));
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large());
    }
    let timeout = request.app_data::<web::Data<Context>>().map(|context| context.settings.body_timeout);
    let collect = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Error::new(Kind::Malformed, "body_unreadable", "The body broke off."))?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    match tokio::time::timeout(timeout.unwrap_or_default(), collect).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Error::new(Kind::TimedOut, "body_too_slow", "The body took too long to arrive.")),
    }
}

/// The media type without its parameters, in lower case.
pub fn media_type(request: &HttpRequest) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A JSON object of at most `LIMIT` bytes.
pub struct Json<const LIMIT: usize = DEFAULT_LIMIT>(pub Map<String, Value>);

impl<const LIMIT: usize> FromRequest for Json<LIMIT> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            check_media_type(&request)?;
            Ok(Self(object(&read(&request, &mut payload, LIMIT).await?)?))
        })
    }
}

/// A JSON object, or nothing at all, which is an empty one.
pub struct OptionalJson(pub Map<String, Value>);

impl FromRequest for OptionalJson {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read(&request, &mut payload, DEFAULT_LIMIT).await?;
            if bytes.is_empty() {
                return Ok(Self(Map::new()));
            }
            check_media_type(&request)?;
            Ok(Self(object(&bytes)?))
        })
    }
}

fn check_media_type(request: &HttpRequest) -> Result<()> {
    let media_type = media_type(request);
    if media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json")) {
        return Ok(());
    }
    Err(Error::new(Kind::UnsupportedMedia, "unsupported_media_type", "Send JSON with Content-Type: application/json."))
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    let malformed = |detail: String| Error::new(Kind::Malformed, "malformed_json", detail);
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("The body is not UTF-8.".into()))?;
    let Strict(value) = serde_json::from_str(text).map_err(|fault| {
        let place = format!("line {} column {}", fault.line(), fault.column());
        match fault.classify() {
            serde_json::error::Category::Data => malformed(format!("A key stands twice in one object, at {place}.")),
            _ => malformed(format!("The body is not JSON, at {place}.")),
        }
    })?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Error::new(Kind::Invalid, "wrong_type", "The body is a JSON object.")),
    }
}

/// A JSON value in which no object has a key twice: which of the two was meant is anyone's guess.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.insert(key, value).is_some() {
                return Err(de::Error::custom("a key stands twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

/// Reads an object's fields and collects what is wrong with them. Unknown fields are ignored.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    faults: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self::at(map, String::new())
    }

    /// For an object within the body: `events[3].`
    pub fn at(map: &'a Map<String, Value>, path: String) -> Self {
        Self { map, path, faults: Vec::new() }
    }

    fn fault<T>(&mut self, name: &str, code: &'static str, detail: impl Into<String>) -> Option<T> {
        self.faults.push(FieldError { field: format!("{}{name}", self.path), code, detail: detail.into() });
        None
    }

    fn present(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text that may be absent or null.
    pub fn optional_text(&mut self, name: &str) -> Option<&'a str> {
        match self.present(name)? {
            Value::String(text) => Some(text),
            _ => self.fault(name, "wrong_type", "This is a text."),
        }
    }

    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        match self.present(name) {
            None => self.fault(name, "required", "Fill this in."),
            Some(_) => self.optional_text(name),
        }
    }

    /// A text that may be absent (`None`) or null (`Some(None)`).
    pub fn nullable_text(&mut self, name: &str) -> Option<Option<&'a str>> {
        match self.map.get(name)? {
            Value::Null => Some(None),
            _ => self.optional_text(name).map(Some),
        }
    }

    pub fn optional_integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        match self.present(name)?.as_i64() {
            Some(value) if range.contains(&value) => Some(value),
            Some(_) => self.fault(name, "out_of_range", format!("This is {} to {}.", range.start(), range.end())),
            None => self.fault(name, "wrong_type", "This is a whole number."),
        }
    }

    pub fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        match self.present(name) {
            None => self.fault(name, "required", "Fill this in."),
            Some(_) => self.optional_integer(name, range),
        }
    }

    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.present(name) {
            None => self.fault(name, "required", "Fill this in."),
            Some(Value::Bool(value)) => Some(*value),
            Some(_) => self.fault(name, "wrong_type", "This is true or false."),
        }
    }

    /// Takes over the faults of a domain check; a field that was found wrong before needs no second one.
    pub fn check<T>(&mut self, checked: Result<T>) -> Option<T> {
        let refusal = match checked {
            Ok(value) => return Some(value),
            Err(refusal) => refusal,
        };
        for fault in refusal.fields {
            let field = format!("{}{}", self.path, fault.field);
            if self.faults.iter().all(|known| known.field != field) {
                self.faults.push(FieldError { field, ..fault });
            }
        }
        None
    }

    /// Whether the field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.present(name).is_some()
    }

    pub fn add(&mut self, name: &str, code: &'static str, detail: &str) {
        self.fault::<()>(name, code, detail);
    }

    pub fn faults(self) -> Vec<FieldError> {
        self.faults
    }

    /// `Invalid` with every fault that was found.
    pub fn finish(self) -> Result<()> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::fields(self.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_malformed_body() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let nested_twice = r#"{"a":[{"b":1,"b":2}]}"#;
        for text in [
            "",
            "{",
            "nope",
            r#"{"a":1}x"#,
            r#"{"a":1,"a":1}"#,
            nested_twice,
            &deep,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e999}"#,
        ] {
            assert_eq!(object(text.as_bytes()).unwrap_err().code, "malformed_json", "{text:.40}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}").unwrap_err().code, "malformed_json");
        for text in ["[]", "1", "null", "\"x\""] {
            assert_eq!(object(text.as_bytes()).unwrap_err().kind, Kind::Invalid, "{text}");
        }
    }

    #[test]
    fn fields_name_every_fault_at_once() {
        let map =
            object(br#"{"text":5,"number":"5","half":1.5,"big":9223372036854775808,"low":0,"none":null}"#).unwrap();
        let mut fields = Fields::at(&map, "events[2].".into());
        assert_eq!(fields.text("text"), None);
        assert_eq!(fields.integer("number", 0..=9), None);
        assert_eq!(fields.integer("half", 0..=9), None);
        assert_eq!(fields.integer("big", 0..=i64::MAX), None);
        assert_eq!(fields.integer("low", 1..=9), None);
        assert_eq!(fields.text("none"), None);
        assert_eq!(fields.optional_text("none"), None);
        assert_eq!(fields.nullable_text("none"), Some(None));
        assert_eq!(fields.nullable_text("absent"), None);
        let faults = fields.faults();
        assert_eq!(
            faults.iter().map(|fault| (fault.field.as_str(), fault.code)).collect::<Vec<_>>(),
            [
                ("events[2].text", "wrong_type"),
                ("events[2].number", "wrong_type"),
                ("events[2].half", "wrong_type"),
                ("events[2].big", "wrong_type"),
                ("events[2].low", "out_of_range"),
                ("events[2].none", "required"),
            ]
        );
    }
}
