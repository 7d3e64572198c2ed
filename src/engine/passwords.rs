//! Forgotten passwords: a link by mail, good for an hour and once.

use super::{Engine, letters};
use crate::domain::access;
use crate::domain::email::Email;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::text;
use crate::store::TokenPurpose;

impl Engine {
    /// Whether mail is sent for this project: it is set up, and the project is no sandbox.
    pub async fn sends_mail(&self, project: ProjectId) -> Result<bool> {
        self.store.read(move |db| db.sends_mail(project)).await
    }

    /// Sends a link to a new password, if the address is somebody's who has one. Nobody learns whether it is: the same
    /// is written for any other.
    pub async fn forgot_password(&self, project: ProjectId, email: Email) -> Result<()> {
        self.store
            .write(move |tx| {
                let account = tx.account_with_email(project, &email.address())?;
                letters::reset_password(tx, project, account.filter(|account| account.has_password).map(|a| a.id))
            })
            .await
    }

    /// Whether the link is good. `NotFound` when it is not, or was used.
    pub async fn check_reset(&self, project: ProjectId, token: String) -> Result<AccountId> {
        let hash = access::secret_hash(&token);
        self.store.read(move |db| db.mail_token(project, &hash, TokenPurpose::Reset)).await?.ok_or_else(used_up)
    }

    /// Sets a new password and signs the account out everywhere. `NotFound` for a link that is not good, or was used;
    /// `Invalid` for a password that is none: the link stays good then.
    pub async fn reset_password(&self, project: ProjectId, token: String, password: String) -> Result<()> {
        text::password("password", &password)?;
        // Before the work of hashing; what counts is the second look.
        self.check_reset(project, token.clone()).await?;
        let password_hash = self.hash_password(password).await?;
        let hash = access::secret_hash(&token);
        self.store
            .write(move |tx| {
                let account = tx.mail_token(project, &hash, TokenPurpose::Reset)?.ok_or_else(used_up)?;
                tx.end_mail_tokens(account, Some(TokenPurpose::Reset))?;
                tx.set_password(project, account, &password_hash)?;
                tx.end_account_sessions(account)
            })
            .await
    }
}

fn used_up() -> Error {
    Error::not_found("The link was used before, or it is older than an hour. Ask for a new one.")
}
