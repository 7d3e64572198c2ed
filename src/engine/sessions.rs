//! Operators' sessions: signing in, who is signed in, signing out.

use super::{Engine, secrets};
use crate::domain::access;
use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{OperatorId, TeamId};
use crate::domain::time::DAY_MS;
use crate::store::Reader;

/// How long a session lasts. Signing in again begins a new one.
pub const SESSION_DAYS: i64 = 14;

/// In bytes; more is no password of ours, and not worth the work.
pub(super) const LONGEST_PASSWORD: usize = 4 * 128;

/// An operator who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub operator: OperatorId,
    pub team: TeamId,
    pub email: String,
}

/// What someone signs in with, as it was typed.
pub struct Credentials {
    pub email: String,
    pub password: String,
}

impl Engine {
    /// Begins a session and ends the one that the same browser had. The token is known to the browser alone.
    /// `Unauthenticated` for an address or a password that is wrong: the same answer after the same work, so that
    /// nobody learns which of the two it is.
    pub async fn sign_in(&self, credentials: Credentials, previous: Option<String>) -> Result<String> {
        let Credentials { email, password } = credentials;
        let email = Email::parse("email", &email).map(|email| email.address());
        let (Ok(email), 1..=LONGEST_PASSWORD) = (email, password.len()) else { return Err(wrong()) };
        let found = self.store.read(move |db| db.operator_with_email(&email)).await?;
        let (operator, hash) = found.map(|operator| (operator.id, operator.password_hash)).unzip();
        let matches = self.password_matches(password, hash).await?;
        let (Some(operator), true) = (operator, matches) else { return Err(wrong()) };
        let token = secrets::fresh("")?;
        let hash = access::secret_hash(&token);
        self.store
            .write(move |tx| {
                if let Some(previous) = previous {
                    tx.end_session(&access::secret_hash(&previous))?;
                }
                tx.add_session(operator, &hash, tx.machine_now_ms() + SESSION_DAYS * DAY_MS)
            })
            .await?;
        Ok(token)
    }

    /// Whose session this is; `None` when it has ended, or never was.
    pub fn operator_of(&self, reader: &Reader, token: &str) -> Result<Option<SignedIn>> {
        let operator = reader.read(|db| db.operator_with_session(&access::secret_hash(token)))?;
        Ok(operator.map(|operator| SignedIn { operator: operator.id, team: operator.team, email: operator.email }))
    }

    /// Ends a session; one that is not there has ended.
    pub async fn sign_out(&self, token: String) -> Result<()> {
        self.store.write(move |tx| tx.end_session(&access::secret_hash(&token))).await
    }
}

pub(super) fn wrong() -> Error {
    Error::new(Kind::Unauthenticated, "invalid_login", "The e-mail address or the password is wrong.")
}
