//! Operators' second factor: switching it on and off, and signing in with its codes.

use super::audit::note_team;
use super::sessions::SESSION_DAYS;
use super::{BegunSession, Browser, Devices, Engine, Guess, SignedIn, secrets};
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::OperatorId;
use crate::domain::time::DAY_MS;
use crate::domain::totp::{self, Secret};
use crate::domain::{access, text};
use crate::store::{Operator, Tx};
use serde_json::json;
use subtle::ConstantTimeEq;

/// How long there is between the password and the code.
const STEP_LASTS_MS: i64 = 10 * 60 * 1_000;
const RECOVERY_CODES: usize = 10;

/// A sign-in whose password was right.
pub enum SignIn {
    Begun(BegunSession),
    /// A code is needed as well; this shows that the password was right.
    CodeNeeded(String),
}

/// A code that was not looked at yet, and what it is for.
pub struct CodeAttempt {
    pub guess: Guess,
    operator: OperatorId,
    password_hash: String,
}

/// A second factor that is on from now on: its recovery codes, shown now and never again.
pub struct RecoveryCodes(pub Vec<String>);

fn wrong_code() -> Error {
    let message = "The code is wrong, or it was used before. The next one comes within half a minute.";
    Error::new(Kind::Unauthenticated, "invalid_code", message)
}

fn recovery_hash(operator: OperatorId, code: &str) -> [u8; 32] {
    access::secret_hash(&format!("{operator} {}", totp::plain_recovery_code(code)))
}

fn fresh<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|fault| Error::internal(format!("no entropy: {fault}")))?;
    Ok(bytes)
}

impl Engine {
    /// The password's hash is in it: a new password makes steps of the old one worthless.
    fn step_mac(&self, operator: OperatorId, password_hash: &str, until_ms: i64) -> String {
        let key = blake3::derive_key("refloop 2026 sign-in step", &self.store.instance().pepper);
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(&operator.0.to_le_bytes()).update(&until_ms.to_le_bytes()).update(password_hash.as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// What shows for a while that the operator's password was right.
    pub(super) fn sign_in_step(&self, operator: OperatorId, password_hash: &str) -> String {
        let until_ms = self.store.machine_now_ms() + STEP_LASTS_MS;
        format!("{operator}.{until_ms}.{}", self.step_mac(operator, password_hash, until_ms))
    }

    /// `Unauthenticated` when the step is none of ours, or over.
    pub async fn code_attempt(&self, step: String, devices: &Devices) -> Result<CodeAttempt> {
        let over = || Error::new(Kind::Unauthenticated, "sign_in", "Sign in again.");
        let mut parts = step.split('.');
        let (Some(id), Some(until), Some(mac), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(over());
        };
        let (Ok(id), Ok(until_ms)) = (id.parse::<OperatorId>(), until.parse::<i64>()) else { return Err(over()) };
        let operator = self.store.read(move |db| db.operator(id)).await.map_err(|error| match error.kind {
            Kind::NotFound => over(),
            _ => error,
        })?;
        let expected = self.step_mac(id, &operator.password_hash, until_ms);
        if !bool::from(mac.as_bytes().ct_eq(expected.as_bytes())) || until_ms <= self.store.machine_now_ms() {
            return Err(over());
        }
        let guess = self.code_guess(id, &operator.password_hash, devices);
        Ok(CodeAttempt { guess, operator: id, password_hash: operator.password_hash })
    }

    /// Begins a session with a code of the app, or a recovery code. `Unauthenticated` for a wrong one.
    pub async fn sign_in_with_code(
        &self,
        attempt: CodeAttempt,
        code: String,
        browser: Browser,
    ) -> Result<BegunSession> {
        let CodeAttempt { operator, password_hash, .. } = attempt;
        let devices = self.known_from_now(operator.into(), &password_hash, &browser.devices)?;
        let token = secrets::fresh("")?;
        let hash = access::secret_hash(&token);
        let begun = self
            .store
            .write(move |tx| {
                // The password may have changed since it was typed.
                let Operator { team, password_hash: now, .. } = tx.operator(operator)?;
                if now != password_hash {
                    return Err(wrong_code());
                }
                let by = take_code(tx, operator, &code)?;
                if let Some(previous) = browser.previous {
                    tx.end_session(&access::secret_hash(&previous))?;
                }
                let ends_ms = tx.machine_now_ms() + SESSION_DAYS * DAY_MS;
                tx.add_session(operator, &hash, browser.name.as_deref(), ends_ms)?;
                let (actor, subject) = (Actor::Operator(operator), operator.to_string());
                note_team(tx, team, &actor, action::OPERATOR_SIGN_IN, &subject, &json!({ "second_factor": by }))
            })
            .await;
        if begun.as_ref().is_err_and(|error| error.kind == Kind::Unauthenticated) {
            self.note_failed_sign_in(Some(operator), "code");
        }
        begun.map(|()| BegunSession { token, devices })
    }

    /// A secret for an app. It is not the operator's until [`Engine::switch_on_second_factor`] has it back.
    pub fn new_second_factor(&self) -> Result<Secret> {
        fresh()
    }

    /// The operator's, from now on, and signed out everywhere else. `Invalid` for a wrong password or code; `Conflict`
    /// when there is one already.
    pub async fn switch_on_second_factor(
        &self,
        signed_in: &SignedIn,
        own_session: String,
        secret: Secret,
        code: String,
    ) -> Result<RecoveryCodes> {
        let (operator, team) = (signed_in.operator, signed_in.team);
        let codes = (0..RECOVERY_CODES).map(|_| fresh().map(totp::recovery_code)).collect::<Result<Vec<_>>>()?;
        let hashes: Vec<_> = codes.iter().map(|code| recovery_hash(operator, code)).collect();
        self.store
            .write(move |tx| {
                if tx.second_factor(operator)?.is_some() {
                    return Err(Error::conflict("second_factor_is_on", "You have a second factor already."));
                }
                let wrong = || Error::field("code", "invalid_code", "The app shows another code now.");
                let step = totp::step_of(&secret, &code, tx.machine_now_ms(), 0).ok_or_else(wrong)?;
                tx.set_second_factor(operator, Some((&secret, step)), &hashes)?;
                tx.end_operator_sessions(operator, Some(&access::secret_hash(&own_session)))?;
                let (actor, subject) = (Actor::Operator(operator), operator.to_string());
                note_team(tx, team, &actor, action::OPERATOR_SECOND_FACTOR_ON, &subject, &json!({}))
            })
            .await?;
        Ok(RecoveryCodes(codes))
    }

    /// `Conflict` when there is none.
    pub async fn switch_off_second_factor(&self, signed_in: &SignedIn) -> Result<()> {
        let (operator, team) = (signed_in.operator, signed_in.team);
        self.store
            .write(move |tx| {
                if tx.second_factor(operator)?.is_none() {
                    return Err(Error::conflict("second_factor_is_off", "You have no second factor."));
                }
                tx.set_second_factor(operator, None, &[])?;
                let (actor, subject) = (Actor::Operator(operator), operator.to_string());
                note_team(tx, team, &actor, action::OPERATOR_SECOND_FACTOR_OFF, &subject, &json!({}))
            })
            .await
    }

    /// For who has lost theirs, by who has the file: the second factor is off, and all sessions end. `NotFound`.
    pub fn reset_operator(&self, email: &str) -> Result<OperatorId> {
        let email = super::logins::address(&text::client_id("email", email)?);
        self.store.write_blocking(move |tx| {
            let found = tx.operator_with_email(&email)?;
            let Operator { id, team, .. } = found.ok_or_else(|| Error::not_found("There is no such operator."))?;
            tx.set_second_factor(id, None, &[])?;
            tx.end_operator_sessions(id, None)?;
            note_team(
                tx,
                team,
                &Actor::CommandLine,
                action::OPERATOR_SECOND_FACTOR_OFF,
                &id.to_string(),
                &json!({ "sessions": "ended" }),
            )?;
            Ok(id)
        })
    }
}

/// Uses a code up, and says which kind it was.
fn take_code(tx: &Tx<'_>, operator: OperatorId, code: &str) -> Result<&'static str> {
    let (secret, newest) = tx.second_factor(operator)?.ok_or_else(wrong_code)?;
    if let Some(step) = totp::step_of(&secret, code, tx.machine_now_ms(), newest) {
        tx.set_totp_step(operator, step)?;
        return Ok("app");
    }
    if tx.use_recovery_code(operator, &recovery_hash(operator, code))? {
        Ok("recovery code")
    } else {
        Err(wrong_code())
    }
}
