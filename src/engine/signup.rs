//! Signing up, with or without a code.

use super::accounts::{ProfileView, profile};
use super::clicks::{CameFrom, remembered_row};
use super::confirmation;
use super::referrals::{Applied, introduce};
use super::{Engine, keys, secrets};
use crate::domain::code::Code;
use crate::domain::email::Email;
use crate::domain::error::{Error, FieldError, Kind, Result};
use crate::domain::id::ProjectId;
use crate::domain::signal::TraceKind;
use crate::domain::{referral, text};
use crate::store::{CodeRow, NewAccount};

/// A password that was hashed once for many accounts, which only made-up ones may share.
#[derive(Clone)]
pub struct HashedPassword(String);

impl HashedPassword {
    pub fn of(password: &str) -> Result<Self> {
        secrets::hash(password).map(Self)
    }
}

enum Password {
    Typed(String),
    Hashed(HashedPassword),
}

/// What someone signs up with, parsed.
pub struct Signup {
    pub email: Email,
    pub name: String,
    password: Password,
    pub code: Option<Code>,
    /// Of a browser: what it remembers, and who it is.
    came_from: Option<CameFrom>,
}

impl Signup {
    /// All faults of a form at once. An empty code is none.
    pub fn parse(email: &str, password: &str, name: &str, code: Option<&str>) -> Result<Self> {
        let name = text::display("name", name, 100);
        let email = Email::parse("email", email);
        let password_checked = text::password("password", password);
        let code = code.filter(|code| !code.trim().is_empty());
        let code = code.map(|code| Code::parse("referral_code", code)).transpose();
        match (name, email, password_checked, code) {
            (Ok(name), Ok(email), Ok(()), Ok(code)) => {
                Ok(Self { email, name, password: Password::Typed(password.to_owned()), code, came_from: None })
            }
            (name, email, password, code) => {
                let faults = [name.err(), email.err(), password.err(), code.err()];
                Err(Error::fields(faults.into_iter().flatten().flat_map(|fault| fault.fields).collect()))
            }
        }
    }

    pub fn with_hashed(email: Email, name: String, password: HashedPassword) -> Self {
        Self { email, name, password: Password::Hashed(password), code: None, came_from: None }
    }

    /// The click that the browser remembers stands in for a code that was not given.
    #[must_use]
    pub fn coming_from(self, came_from: Option<CameFrom>) -> Self {
        Self { came_from, ..self }
    }
}

/// A new account, its key (shown once), and what became of the code.
#[derive(Debug, Clone)]
pub struct SignedUp {
    pub profile: ProfileView,
    pub api_key: String,
    pub referral: Option<Applied>,
    /// The referee's bonus in the words of the program, when there is one.
    pub bonus: Option<String>,
    /// A link to confirm the address is on its way.
    pub must_confirm: bool,
}

impl Engine {
    /// `Invalid` for an unusable code (nothing is created, so that a typo can be mended); `Conflict` for a taken
    /// e-mail address.
    pub async fn sign_up(&self, project: ProjectId, new: Signup) -> Result<SignedUp> {
        let Signup { email, name, password, code, came_from } = new;
        let password_hash = match password {
            Password::Typed(password) => self.hash_password(password).await?,
            Password::Hashed(HashedPassword(hash)) => hash,
        };
        let disposable = email.is_disposable(&self.settings.disposable_domains);
        self.store
            .write(move |tx| {
                let program = tx.program(project)?;
                let code_row = match &code {
                    None => {
                        let kept = came_from.as_ref().and_then(|came_from| came_from.kept.as_ref());
                        remembered_row(tx, project, &program, kept)?
                    }
                    Some(code) => {
                        let row = tx.code(project, code)?;
                        referral::usable("referral_code", row.as_ref().map(CodeRow::state), &program)?;
                        row
                    }
                };
                let address = email.address();
                let account = match tx.account_with_email(project, &address)? {
                    // Who was converted before they signed up takes over the account that their referral is on:
                    // otherwise anyone with a code could keep an address from ever signing up.
                    Some(converted) if converted.is_unclaimed() => {
                        tx.set_signup(project, converted.id, &name, &password_hash)?;
                        tx.account(project, converted.id)?
                    }
                    Some(_) => return Err(email_taken()),
                    None => tx.add_account(
                        project,
                        &NewAccount {
                            email: Some(address),
                            name: Some(name),
                            password_hash: Some(password_hash),
                            disposable,
                            external_id: None,
                        },
                    )?,
                };
                let key = keys::make_developer_key(tx, &tx.project(project)?, account.id, None)?;
                let visitor = came_from.as_ref().and_then(|came_from| came_from.visitor);
                if let (Some(code), Some(visitor)) = (&code_row, visitor) {
                    tx.set_click_signed_up(project, code.id, visitor)?;
                }
                let seen = came_from.map(|came_from| came_from.seen).unwrap_or_default();
                if let Some(address) = seen.address {
                    tx.add_sighting(project, account.id, TraceKind::Address, address)?;
                }
                let is_referred = tx.referral_of(project, account.id)?.is_some();
                let must_confirm = program.mail.confirm_address && tx.sends_mail(project)?;
                if must_confirm {
                    let code = code_row.as_ref().filter(|_| !is_referred).map(|code| code.id);
                    confirmation::ask(tx, project, account.id, code)?;
                }
                let referral = match code_row {
                    Some(_) if is_referred => Some(Applied::Rejected { reason: "already_referred" }),
                    Some(code) if must_confirm => Some(Applied::Awaiting { code: code.code }),
                    Some(code) => Some(introduce(tx, project, &program, &code, &account, &seen.devices)?),
                    None => None,
                };
                let bonus = match &referral {
                    Some(Applied::Accepted { bonus_credits, .. }) if *bonus_credits > 0 => {
                        Some(program.amount_text(*bonus_credits))
                    }
                    _ => None,
                };
                Ok(SignedUp {
                    profile: profile(tx, project, account.id)?,
                    api_key: key.secret,
                    referral,
                    bonus,
                    must_confirm,
                })
            })
            .await
    }

    /// What the signup page says about a code: whether it can be used now, and what the referee of a good one gets.
    pub async fn signup_offer(&self, project: ProjectId, code: Option<Code>) -> Result<(bool, Option<String>)> {
        self.store
            .read(move |db| {
                let program = db.program(project)?;
                let bonus = program.signup_bonus();
                let usable = match &code {
                    None => false,
                    Some(code) => {
                        let row = db.code(project, code)?;
                        referral::usable("referral_code", row.map(|row| row.state()), &program).is_ok()
                    }
                };
                Ok((usable, (program.enabled && bonus > 0).then(|| program.amount_text(bonus))))
            })
            .await
    }
}

fn email_taken() -> Error {
    let detail = "An account with this e-mail address exists.";
    let field = FieldError { field: "email".into(), code: "email_taken", detail: detail.into() };
    Error { kind: Kind::Conflict, ..Error::fields(vec![field]) }
}
