//! The one error type. Which kind becomes which HTTP status is decided once, in `web::error`.

/// What sort of refusal it is; the only thing that callers branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be read: malformed JSON, bad UTF-8.
    Malformed,
    /// No key, or one that is not known.
    Unauthenticated,
    /// A known caller without the right to do this.
    Forbidden,
    /// Not there, or not the caller's.
    NotFound,
    /// It contradicts what is stored.
    Conflict,
    /// Readable, but a field is not acceptable.
    Invalid,
    /// The body did not arrive in time.
    TimedOut,
    /// The body is larger than the call takes.
    TooLarge,
    /// The body is not JSON (or, for pages, not a form).
    UnsupportedMedia,
    /// Too many requests; `retry_after_s` says when to come back.
    RateLimited,
    /// The queue is full or the disk refuses: nothing was changed, try again.
    Busy,
    /// A fault of ours. Its message is for the log, never for the caller.
    Internal,
}

/// One field's fault, as RFC 9457 extension member `errors` carries it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    pub field: String,
    pub code: &'static str,
    pub detail: String,
}

/// A refusal with a stable machine code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub code: &'static str,
    pub message: String,
    pub fields: Vec<FieldError>,
    pub retry_after_s: Option<u64>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), fields: Vec::new(), retry_after_s: None }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, "not_found", message)
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "internal", message)
    }

    /// The writer's queue is full, or the disk refuses for now.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(Kind::Busy, "busy", message) }
    }

    /// One field that cannot be accepted.
    pub fn field(field: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), code, detail: detail.into() }])
    }

    /// Several fields at once; `fields` must not be empty.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let (code, message) = match fields.as_slice() {
            [one] => (one.code, format!("{}: {}", one.field, one.detail)),
            _ => ("invalid_fields", "Several fields cannot be accepted.".into()),
        };
        Self { fields, ..Self::new(Kind::Invalid, code, message) }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Error {}
