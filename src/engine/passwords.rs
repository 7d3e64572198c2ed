//! Forgotten passwords: a link by mail, good for an hour and once.

use super::{Engine, confirmation, letters};
use crate::domain::access;
use crate::domain::email::Email;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::text;
use crate::store::{Snapshot, TokenPurpose};

/// A good link to a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetLink {
    pub account: AccountId,
    /// No link to the account's address was used before: what there is may be somebody else's, and ends.
    pub takes_over: bool,
}

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

    /// What the link is good for. `NotFound` when it is not, or was used.
    pub async fn check_reset(&self, project: ProjectId, token: String) -> Result<ResetLink> {
        let hash = access::secret_hash(&token);
        let look = move |db: &Snapshot<'_>| {
            let account = db.mail_token(project, &hash, TokenPurpose::Reset)?.ok_or_else(used_up)?;
            Ok(ResetLink { account, takes_over: !db.is_address_proved(project, account)? })
        };
        self.store.read(look).await
    }

    /// Sets a new password and signs the account out everywhere; what else ends with it is in the answer. With `keeps`
    /// nothing else does: the owner says that they have signed up themselves. `NotFound` for a link that is not good, or
    /// was used; `Invalid` for a password that is none: the link stays good then.
    pub async fn reset_password(
        &self,
        project: ProjectId,
        token: String,
        password: String,
        keeps: bool,
    ) -> Result<ResetLink> {
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
                tx.end_account_sessions(account)?;
                let takes_over = tx.prove_address(project, account)? && !keeps;
                if takes_over {
                    confirmation::take_over(tx, project, account)?;
                }
                Ok(ResetLink { account, takes_over })
            })
            .await
    }
}

fn used_up() -> Error {
    Error::not_found("The link was used before, or it is older than an hour. Ask for a new one.")
}
