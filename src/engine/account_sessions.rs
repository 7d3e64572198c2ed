//! Accounts' sessions on the pages: signing in, who is signed in, signing out.

use super::sessions::{Credentials, LONGEST_PASSWORD, SESSION_DAYS, wrong};
use super::{Engine, secrets};
use crate::domain::access;
use crate::domain::email::Email;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::time::DAY_MS;
use crate::store::{AccountSession, Reader};

impl Engine {
    /// [`Engine::begin_session`] for who knows the password. `Unauthenticated` for an address or a password that is
    /// wrong: the same answer after the same work.
    pub async fn log_in(
        &self,
        project: ProjectId,
        credentials: Credentials,
        previous: Option<String>,
        device: Option<String>,
    ) -> Result<String> {
        let Credentials { email, password } = credentials;
        let email = Email::parse("email", &email).map(|email| email.address());
        let (Ok(email), 1..=LONGEST_PASSWORD) = (email, password.len()) else { return Err(wrong()) };
        let found = self.store.read(move |db| db.account_password(project, &email)).await?;
        let (account, hash) = found.unzip();
        let matches = self.password_matches(password, hash.flatten()).await?;
        let (Some(account), true) = (account, matches) else { return Err(wrong()) };
        self.begin_session(project, account, previous, device).await
    }

    /// Begins a session and ends the one that the same browser had. The token is known to the browser alone.
    pub async fn begin_session(
        &self,
        project: ProjectId,
        account: AccountId,
        previous: Option<String>,
        device: Option<String>,
    ) -> Result<String> {
        let token = secrets::fresh("")?;
        let hash = access::secret_hash(&token);
        self.store
            .write(move |tx| {
                tx.account(project, account)?;
                if let Some(previous) = previous {
                    tx.end_account_session(&access::secret_hash(&previous))?;
                }
                let expires_at_ms = tx.machine_now_ms() + SESSION_DAYS * DAY_MS;
                tx.add_account_session(account, &hash, device.as_deref(), expires_at_ms)
            })
            .await?;
        Ok(token)
    }

    /// Whose session this is; `None` when it has ended, or never was.
    pub fn account_of(&self, reader: &Reader, token: &str) -> Result<Option<AccountSession>> {
        reader.read(|db| db.account_session(&access::secret_hash(token)))
    }

    /// Ends a session; one that is not there has ended.
    pub async fn log_out(&self, token: String) -> Result<()> {
        self.store.write(move |tx| tx.end_account_session(&access::secret_hash(&token))).await
    }
}
