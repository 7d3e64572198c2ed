//! What SQLite refuses becomes a domain error. Nobody matches on SQLite's text.

use super::soundness;
use crate::domain::error::Error;
use rusqlite::ErrorCode;

impl From<rusqlite::Error> for Error {
    fn from(fault: rusqlite::Error) -> Self {
        let refused_for_now = matches!(
            fault.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
            )
        );
        if matches!(fault.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
            tracing::error!(%fault, "the database");
            soundness::damaged()
        } else if refused_for_now {
            tracing::error!(%fault, "the database refuses for now");
            Error::busy("The database cannot take this at the moment; nothing was changed.")
        } else {
            Error::internal(format!("database: {fault}"))
        }
    }
}

/// A word out of a closed set; one that is not in it was written by someone else.
pub fn known<T>(word: Option<T>) -> rusqlite::Result<T> {
    let unknown =
        || rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, "an unknown word".into());
    word.ok_or_else(unknown)
}
