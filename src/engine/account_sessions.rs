//! Accounts' sessions on the pages: signing in, who is signed in, signing out, and what takes the password.

use super::accounts::{ProfileView, profile};
use super::logins::{address, wrong};
use super::sessions::SESSION_DAYS;
use super::{Attempt, BegunSession, Browser, Credentials, Devices, Engine, LetterChoice, letters, secrets};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, ProjectId, SessionId};
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::domain::{access, partner, text};
use crate::store::{AccountSession, NewSession, Reader, SessionRow, TokenPurpose, Tx};

/// What someone sees of their own account.
pub struct OwnAccount {
    pub profile: ProfileView,
    /// Newest first.
    pub sessions: Vec<SessionRow>,
    pub has_leaderboard: bool,
    pub has_partner_track: bool,
    /// What is mailed to them that they may decline; `None` for who is written to by the team alone.
    pub letters: Option<LetterChoice>,
    /// What can be spent, in the words of the program; `None` when there is nothing.
    pub available: Option<String>,
}

/// Begins a session and ends the one that the same browser had.
fn begin(tx: &Tx<'_>, account: AccountId, token: &str, browser: &Browser) -> Result<()> {
    if let Some(previous) = &browser.previous {
        tx.end_account_session(&access::secret_hash(previous))?;
    }
    let hash = access::secret_hash(token);
    let new = NewSession { hash: &hash, device: browser.name.as_deref(), lasts_ms: SESSION_DAYS * DAY_MS };
    tx.add_account_session(account, &new).map(|_| ())
}

/// Refuses when the password is another one by now: who has signed in with the old one must not slip in after its end.
fn require_unchanged(tx: &Tx<'_>, project: ProjectId, account: AccountId, password_hash: &str) -> Result<()> {
    let (_, current) = tx.own_password(project, account)?;
    if current.as_deref() == Some(password_hash) { Ok(()) } else { Err(wrong()) }
}

impl Engine {
    /// What is to be tried, found but not looked at.
    pub async fn login_attempt(
        &self,
        project: ProjectId,
        credentials: Credentials,
        devices: &Devices,
    ) -> Result<Attempt<AccountId>> {
        let email = address(&credentials.email);
        let wanted = email.clone();
        let found = self.store.read(move |db| db.account_password(project, &wanted)).await?;
        Ok(self.attempt(Some(project), Credentials { email, ..credentials }, found, devices))
    }

    /// The same for an account that is signed in and confirms something with its password.
    pub async fn own_attempt(
        &self,
        project: ProjectId,
        account: AccountId,
        password: String,
        devices: &Devices,
    ) -> Result<Attempt<AccountId>> {
        let (email, hash) = self.store.read(move |db| db.own_password(project, account)).await?;
        let credentials = Credentials { email: email.unwrap_or_default(), password };
        Ok(self.attempt(Some(project), credentials, Some((account, hash)), devices))
    }

    /// Begins a session for who knows the password. `Unauthenticated` for an address or a password that is wrong.
    pub async fn log_in(
        &self,
        project: ProjectId,
        attempt: Attempt<AccountId>,
        browser: Browser,
    ) -> Result<BegunSession> {
        let (account, hash) = self.pass(attempt).await?;
        let devices = self.known_from_now(account.into(), &hash, &browser.devices)?;
        let token = secrets::fresh("")?;
        let begun = BegunSession { token: token.clone(), devices };
        let write = move |tx: &Tx<'_>| {
            require_unchanged(tx, project, account, &hash)?;
            begin(tx, account, &token, &browser)
        };
        self.store.write(write).await.map(|()| begun)
    }

    /// Begins a session for who has just signed up.
    pub async fn begin_session(
        &self,
        project: ProjectId,
        account: AccountId,
        browser: Browser,
    ) -> Result<BegunSession> {
        let token = secrets::fresh("")?;
        let (for_writer, devices) = (token.clone(), browser.devices.clone());
        let write = move |tx: &Tx<'_>| {
            begin(tx, account, &for_writer, &browser)?;
            tx.own_password(project, account)
        };
        let (_, hash) = self.store.write(write).await?;
        let devices = self.known_from_now(account.into(), &hash.unwrap_or_default(), &devices)?;
        Ok(BegunSession { token, devices })
    }

    /// Whose session this is; `None` when it has ended, or never was.
    pub fn account_of(&self, reader: &Reader, token: &str) -> Result<Option<AccountSession>> {
        let session = reader.read(|db| db.account_session(&access::secret_hash(token)))?;
        let hour_ms = self.store.machine_now_ms() / HOUR_MS * HOUR_MS;
        if let Some(session) = session.filter(|session| session.last_used_at_ms < hour_ms) {
            // Without room it is told of later, or not at all.
            let _ = self.used_sessions.note(session.id, hour_ms);
        }
        Ok(session)
    }

    /// What an account's pages call its owner: by name, else by e-mail address.
    pub async fn called(&self, session: AccountSession) -> Result<String> {
        let account = self.store.read(move |db| db.account(session.project, session.account)).await?;
        Ok(account.name.or(account.email).unwrap_or_else(|| account.id.to_string()))
    }

    pub async fn own_account(&self, project: ProjectId, account: AccountId) -> Result<OwnAccount> {
        let mut own = self
            .store
            .read(move |db| {
                let (program, profile) = (db.program(project)?, profile(db, project, account)?);
                let available = profile.balance.available;
                Ok(OwnAccount {
                    sessions: db.account_sessions(project, account)?,
                    has_leaderboard: program.leaderboard.enabled,
                    has_partner_track: partner::currency(&program).is_ok(),
                    letters: letters::own_choice(db, project, account)?,
                    available: (available > 0).then(|| program.amount_text(available)),
                    profile,
                })
            })
            .await?;
        for session in &mut own.sessions {
            let noted_ms = self.used_sessions.hour_of(session.id);
            session.last_used_at_ms = session.last_used_at_ms.max(noted_ms.unwrap_or(i64::MIN));
        }
        Ok(own)
    }

    /// By the machine's clock, which sessions go by.
    pub fn machine_now_ms(&self) -> i64 {
        self.store.machine_now_ms()
    }

    /// Ends all of the account's sessions and begins a new one. `Invalid` for a new password that is none, or a current
    /// one that is wrong.
    pub async fn change_password(
        &self,
        project: ProjectId,
        attempt: Attempt<AccountId>,
        new_password: String,
        browser: Browser,
    ) -> Result<BegunSession> {
        text::password("new_password", &new_password)?;
        let (account, old_hash) = self.pass(attempt).await.map_err(not_yours("current_password"))?;
        let new_hash = self.hash_password(new_password).await?;
        let devices = self.known_from_now(account.into(), &new_hash, &browser.devices)?;
        let token = secrets::fresh("")?;
        let begun = BegunSession { token: token.clone(), devices };
        let write = move |tx: &Tx<'_>| {
            require_unchanged(tx, project, account, &old_hash)?;
            tx.set_password(project, account, &new_hash)?;
            tx.end_mail_tokens(account, Some(TokenPurpose::Reset))?;
            tx.end_account_sessions(account)?;
            begin(tx, account, &token, &browser)
        };
        self.store.write(write).await.map(|()| begun).map_err(not_yours("current_password"))
    }

    /// [`Engine::erase_account`] for who knows the password. `Invalid` for a wrong one.
    pub async fn erase_own_account(&self, project: ProjectId, attempt: Attempt<AccountId>) -> Result<()> {
        let (account, _) = self.pass(attempt).await.map_err(not_yours("erase_password"))?;
        self.erase_account(project, account).await
    }

    /// Ends one session of an account; one that is not there has ended.
    pub async fn end_session(&self, project: ProjectId, account: AccountId, id: SessionId) -> Result<()> {
        self.store.write(move |tx| tx.end_own_session(project, account, id)).await
    }

    pub async fn end_other_sessions(&self, session: AccountSession) -> Result<()> {
        self.store.write(move |tx| tx.end_other_sessions(session.project, session.account, session.id)).await
    }

    /// Ends a session; one that is not there has ended.
    pub async fn log_out(&self, token: String) -> Result<()> {
        self.store.write(move |tx| tx.end_account_session(&access::secret_hash(&token))).await
    }
}

/// Who is signed in has only the password to get wrong.
fn not_yours(field: &'static str) -> impl Fn(Error) -> Error {
    move |error| match error.kind {
        Kind::Unauthenticated => Error::field(field, "wrong_password", "This is not your password."),
        _ => error,
    }
}
