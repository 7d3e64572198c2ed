//! Operators' sessions: signing in, who is signed in, signing out.

use super::audit::note_team;
use super::logins::{address, wrong};
use super::{Attempt, BegunSession, Browser, Credentials, Devices, Engine, SignIn, secrets};
use crate::domain::access;
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Kind, Result};
use crate::domain::id::{OperatorId, TeamId};
use crate::domain::operator::OperatorRole;
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::store::{Operator, Reader};
use serde_json::json;

/// How long a session lasts. Signing in again begins a new one.
pub const SESSION_DAYS: i64 = 14;

/// Of failed sign-ins, for one operator in an hour.
const MOST_FAILURES_NOTED: i64 = 20;

/// An operator who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub operator: OperatorId,
    pub team: TeamId,
    pub email: String,
    pub role: OperatorRole,
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

    /// Begins a session and ends the one that the same browser had, unless a code is needed as well. `Unauthenticated` for an address or a password that
    /// is wrong.
    pub async fn sign_in(&self, attempt: Attempt<OperatorId>, browser: Browser) -> Result<SignIn> {
        let tried = attempt.owner();
        let (operator, password_hash) = match self.pass(attempt).await {
            Err(error) if error.kind == Kind::Unauthenticated => {
                self.note_failed_sign_in(tried, "password");
                return Err(error);
            }
            passed => passed?,
        };
        let devices = self.known_from_now(operator.into(), &password_hash, &browser.devices)?;
        let token = secrets::fresh("")?;
        let hash = access::secret_hash(&token);
        let step = self.sign_in_step(operator, &password_hash);
        let begun = self
            .store
            .write(move |tx| {
                let Operator { team, has_second_factor, password_hash: now, .. } = tx.operator(operator)?;
                if now != password_hash {
                    return Err(wrong());
                }
                // It was switched on a moment ago.
                if has_second_factor {
                    return Ok(false);
                }
                if let Some(previous) = browser.previous {
                    tx.end_session(&access::secret_hash(&previous))?;
                }
                tx.add_session(operator, &hash, browser.name.as_deref(), tx.machine_now_ms() + SESSION_DAYS * DAY_MS)?;
                let actor = Actor::Operator(operator);
                note_team(tx, team, &actor, action::OPERATOR_SIGN_IN, &operator.to_string(), &json!({}))?;
                Ok(true)
            })
            .await?;
        Ok(if begun { SignIn::Begun(BegunSession { token, devices }) } else { SignIn::CodeNeeded(step) })
    }

    /// Whose session this is; `None` when it has ended, or never was.
    pub fn operator_of(&self, reader: &Reader, token: &str) -> Result<Option<SignedIn>> {
        let operator = reader.read(|db| db.operator_with_session(&access::secret_hash(token)))?;
        let signed_in = |operator: Operator| SignedIn {
            operator: operator.id,
            team: operator.team,
            email: operator.email,
            role: operator.role,
        };
        Ok(operator.map(signed_in))
    }

    /// Notes that somebody got an operator's secret wrong, so many an hour: the log only grows. Nobody waits for it: an answer that takes longer where there
    /// is an operator would say that there is one.
    pub(super) fn note_failed_sign_in(&self, tried: Option<OperatorId>, what: &'static str) {
        let Some(operator) = tried else { return };
        self.store.write_unattended(move |tx| {
            let (action, subject) = (action::OPERATOR_SIGN_IN_FAILED, operator.to_string());
            let team = tx.operator(operator)?.team;
            let recent = tx.recent_audits(team, action, &subject, tx.machine_now_ms() - HOUR_MS)?;
            if recent >= MOST_FAILURES_NOTED {
                return Ok(());
            }
            note_team(tx, team, &Actor::Visitor, action, &subject, &json!({ "wrong": what }))
        });
    }

    /// Ends a session; one that is not there has ended.
    pub async fn sign_out(&self, token: String) -> Result<()> {
        self.store
            .write(move |tx| {
                let hash = access::secret_hash(&token);
                if let Some(Operator { id, team, .. }) = tx.operator_with_session(&hash)? {
                    let (actor, subject) = (Actor::Operator(id), id.to_string());
                    note_team(tx, team, &actor, action::OPERATOR_SIGN_OUT, &subject, &json!({}))?;
                }
                tx.end_session(&hash)
            })
            .await
    }
}
