//! Operators' sessions: signing in, who is signed in, signing out.

use super::logins::address;
use super::{Attempt, BegunSession, Browser, Credentials, Devices, Engine, secrets};
use crate::domain::access;
use crate::domain::error::Result;
use crate::domain::id::{OperatorId, TeamId};
use crate::domain::time::DAY_MS;
use crate::store::Reader;

/// How long a session lasts. Signing in again begins a new one.
pub const SESSION_DAYS: i64 = 14;

/// An operator who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub operator: OperatorId,
    pub team: TeamId,
    pub email: String,
}

impl Engine {
    /// What is to be tried, found but not looked at.
    pub async fn sign_in_attempt(&self, credentials: Credentials, devices: &Devices) -> Result<Attempt<OperatorId>> {
        let email = address(&credentials.email);
        let wanted = email.clone();
        let found = self.store.read(move |db| db.operator_with_email(&wanted)).await?;
        let found = found.map(|operator| (operator.id, Some(operator.password_hash)));
        Ok(self.attempt(None, Credentials { email, ..credentials }, found, devices))
    }

    /// Begins a session and ends the one that the same browser had. `Unauthenticated` for an address or a password that
    /// is wrong.
    pub async fn sign_in(&self, attempt: Attempt<OperatorId>, browser: Browser) -> Result<BegunSession> {
        let (operator, password_hash) = self.pass(attempt).await?;
        let devices = self.known_from_now(operator.into(), &password_hash, &browser.devices)?;
        let token = secrets::fresh("")?;
        let hash = access::secret_hash(&token);
        self.store
            .write(move |tx| {
                if let Some(previous) = browser.previous {
                    tx.end_session(&access::secret_hash(&previous))?;
                }
                tx.add_session(operator, &hash, tx.machine_now_ms() + SESSION_DAYS * DAY_MS)
            })
            .await?;
        Ok(BegunSession { token, devices })
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
