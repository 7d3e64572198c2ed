//! A team's operators: inviting, joining, roles, removing; and an operator's own password and sessions.

use super::audit::{note, note_team};
use super::sessions::SESSION_DAYS;
use super::{Attempt, BegunSession, Browser, Credentials, Devices, Engine, SignedIn, secrets};
use crate::domain::audit::{Actor, action};
use crate::domain::email::Email;
use crate::domain::error::{Error, Result};
use crate::domain::id::{InvitationId, OperatorId, SessionId, TeamId};
use crate::domain::operator::OperatorRole;
use crate::domain::time::DAY_MS;
use crate::domain::{access, text};
use crate::store::{Invitation, OperatorRow, OperatorSessionRow, Project, Reader, Snapshot};
use serde_json::json;

/// How long a one-time link is good.
pub const INVITATION_DAYS: i64 = 7;

/// An operator's own account.
#[derive(Debug, Clone)]
pub struct OwnOperator {
    pub has_second_factor: bool,
    pub recovery_codes_left: i64,
    pub sessions: Vec<OperatorSessionRow>,
}

/// What a one-time link is for.
#[derive(Debug, Clone, Copy)]
pub enum Door {
    /// The first start's: makes the first owner.
    Setup,
    Invited(TeamId, OperatorRole),
}

fn door(db: &Snapshot<'_>, token: &str) -> Result<Door> {
    if db.is_setup_token(token)? {
        return Ok(Door::Setup);
    }
    let invited = db.invitation(&access::secret_hash(token))?;
    let none = || Error::not_found("This link was used, or it is over. Ask whoever sent it for a new one.");
    invited.map(|it| Door::Invited(it.team, it.role)).ok_or_else(none)
}

impl Engine {
    /// A team's projects, oldest first, and whether it is the team that the server's own limits belong to.
    pub fn projects_of(&self, reader: &Reader, team: TeamId) -> Result<(Vec<Project>, bool)> {
        reader.read(|db| Ok((db.projects_of_team(team)?, db.first_team()? == team)))
    }

    /// A team's operators and the links that were not used yet, both oldest first.
    pub async fn team(&self, team: TeamId) -> Result<(Vec<OperatorRow>, Vec<Invitation>)> {
        self.store.read(move |db| Ok((db.operators(Some(team))?, db.invitations(team)?))).await
    }

    /// A one-time link's secret, shown now and never again. `Forbidden` for who is no owner.
    pub async fn invite(&self, by: &SignedIn, role: OperatorRole) -> Result<(InvitationId, String)> {
        by.role.check_owner()?;
        let (team, operator, token) = (by.team, by.operator, secrets::fresh("")?);
        let hash = access::secret_hash(&token);
        let id = self
            .store
            .write(move |tx| {
                check_still_owner(tx, operator)?;
                let id = tx.add_invitation(team, role, &hash, operator, INVITATION_DAYS * DAY_MS)?;
                let (actor, details) = (Actor::Operator(operator), json!({ "role": role.as_str() }));
                note_team(tx, team, &actor, action::OPERATOR_INVITE, &id.to_string(), &details)?;
                Ok(id)
            })
            .await?;
        Ok((id, token))
    }

    /// `Forbidden` for who is no owner; `NotFound`.
    pub async fn withdraw_invitation(&self, by: &SignedIn, id: InvitationId) -> Result<()> {
        by.role.check_owner()?;
        let (team, operator) = (by.team, by.operator);
        self.store
            .write(move |tx| {
                check_still_owner(tx, operator)?;
                tx.end_invitation(team, id)?;
                let (actor, details) = (Actor::Operator(operator), json!({ "withdrawn": true }));
                note_team(tx, team, &actor, action::OPERATOR_INVITE, &id.to_string(), &details)
            })
            .await
    }

    /// `NotFound` for a link that is not good.
    pub async fn door(&self, token: String) -> Result<Door> {
        self.store.read(move |db| door(db, &token)).await
    }

    /// Uses a link up: its holder becomes an operator, and is signed in. `Invalid` with all faults at once; `NotFound`
    /// for a link that is not good; `Conflict` for an address that an operator has: the link stays good then.
    pub async fn join(&self, token: String, email: &str, password: String, browser: Browser) -> Result<BegunSession> {
        let (email, checked) = (Email::parse("email", email), text::password("password", &password));
        let email = match (email, checked) {
            (Ok(email), Ok(())) => email.address(),
            (email, checked) => {
                let faults = [email.err(), checked.err()].into_iter().flatten();
                return Err(Error::fields(faults.flat_map(|fault| fault.fields).collect()));
            }
        };
        // Before the work of hashing; what counts is the second look.
        self.door(token.clone()).await?;
        let password_hash = self.hash_password(password).await?;
        let (session, for_store) = (secrets::fresh("")?, password_hash.clone());
        let hash = access::secret_hash(&session);
        let operator = self
            .store
            .write(move |tx| {
                let (team, role) = match door(tx, &token)? {
                    Door::Setup => {
                        tx.end_setup_token()?;
                        (tx.first_team()?, OperatorRole::Owner)
                    }
                    Door::Invited(team, role) => {
                        let used = tx.invitation(&access::secret_hash(&token))?;
                        tx.end_invitation(team, used.map_or(InvitationId(0), |it| it.id))?;
                        (team, role)
                    }
                };
                let id = tx.add_operator(team, &email, &for_store, role)?;
                tx.add_session(id, &hash, browser.name.as_deref(), tx.machine_now_ms() + SESSION_DAYS * DAY_MS)?;
                let (actor, details) = (Actor::Operator(id), json!({ "role": role.as_str() }));
                note_team(tx, team, &actor, action::OPERATOR_JOIN, &id.to_string(), &details)?;
                Ok(id)
            })
            .await?;
        let devices = self.known_from_now(operator.into(), &password_hash, &browser.devices)?;
        Ok(BegunSession { token: session, devices })
    }

    /// `Forbidden` for who is no owner; `NotFound` for another team's; `Conflict` for the last owner.
    pub async fn set_operator_role(&self, by: &SignedIn, id: OperatorId, role: OperatorRole) -> Result<()> {
        by.role.check_owner()?;
        let (team, owner) = (by.team, by.operator);
        self.store
            .write(move |tx| {
                check_still_owner(tx, owner)?;
                let operator = tx.operator(id)?;
                check_team(team, operator.team)?;
                if operator.role == role {
                    return Ok(());
                }
                if operator.role.is_owner() && !tx.has_other_owner(team, id)? {
                    return Err(last_owner());
                }
                tx.set_role(id, role)?;
                if !role.is_owner() {
                    tx.end_invitations_by(id)?;
                }
                let details = json!({ "from": operator.role.as_str(), "to": role.as_str() });
                note_team(tx, team, &Actor::Operator(owner), action::OPERATOR_ROLE, &id.to_string(), &details)
            })
            .await
    }

    /// Blanks who it was, and signs them out everywhere; with `revoke_keys` the keys that they have made end, too. How
    /// many did. `Forbidden` for who is no owner; `NotFound` for another team's;
    /// `Conflict` for the last owner.
    pub async fn remove_operator(&self, by: &SignedIn, id: OperatorId, revoke_keys: bool) -> Result<usize> {
        by.role.check_owner()?;
        let (team, owner) = (by.team, by.operator);
        self.store
            .write(move |tx| {
                check_still_owner(tx, owner)?;
                let operator = tx.operator(id)?;
                check_team(team, operator.team)?;
                if operator.role.is_owner() && !tx.has_other_owner(team, id)? {
                    return Err(last_owner());
                }
                tx.remove_operator(id)?;
                let (actor, keys) =
                    (Actor::Operator(owner), if revoke_keys { tx.keys_made_by(id)? } else { Vec::new() });
                for (key, project) in &keys {
                    tx.revoke_key(*project, None, *key)?;
                    note(tx, *project, &actor, action::KEY_REVOKE, &key.to_string(), &json!({ "made_by": id }))?;
                }
                let details = json!({ "role": operator.role.as_str(), "keys_revoked": keys.len() });
                note_team(tx, team, &actor, action::OPERATOR_REMOVE, &id.to_string(), &details)?;
                Ok(keys.len())
            })
            .await
    }

    /// `own_session` is the token of the session that asks.
    pub async fn own_operator(&self, id: OperatorId, own_session: String) -> Result<OwnOperator> {
        self.store
            .read(move |db| {
                Ok(OwnOperator {
                    has_second_factor: db.operator(id)?.has_second_factor,
                    recovery_codes_left: db.recovery_codes_left(id)?,
                    sessions: db.operator_sessions(id, &access::secret_hash(&own_session))?,
                })
            })
            .await
    }

    /// A try at the own password of an operator who is signed in, to be counted as one at the sign-in.
    pub async fn own_operator_attempt(
        &self,
        id: OperatorId,
        password: String,
        devices: &Devices,
    ) -> Result<Attempt<OperatorId>> {
        let operator = self.store.read(move |db| db.operator(id)).await?;
        let credentials = Credentials { email: operator.email, password };
        Ok(self.attempt(None, credentials, Some((id, Some(operator.password_hash))), devices))
    }

    /// `Unauthenticated` for a password that is not the operator's.
    pub async fn check_operator_password(&self, attempt: Attempt<OperatorId>) -> Result<()> {
        self.pass(attempt).await.map(drop)
    }

    /// Signs the operator out everywhere else. `Invalid` for a password that is none. The current one was looked at.
    pub async fn change_operator_password(&self, by: &SignedIn, own_session: String, password: String) -> Result<()> {
        text::password("new_password", &password)?;
        let (operator, team) = (by.operator, by.team);
        let password_hash = self.hash_password(password).await?;
        self.store
            .write(move |tx| {
                tx.set_operator_password(operator, &password_hash)?;
                tx.end_operator_sessions(operator, Some(&access::secret_hash(&own_session)))?;
                let (actor, subject) = (Actor::Operator(operator), operator.to_string());
                note_team(tx, team, &actor, action::OPERATOR_PASSWORD, &subject, &json!({}))
            })
            .await
    }

    /// Ends one of the operator's own sessions, or all but the one that asks.
    pub async fn end_operator_sessions(
        &self,
        by: &SignedIn,
        own_session: String,
        one: Option<SessionId>,
    ) -> Result<()> {
        let (operator, team) = (by.operator, by.team);
        self.store
            .write(move |tx| {
                match one {
                    Some(id) => tx.end_operator_session(operator, id)?,
                    None => tx.end_operator_sessions(operator, Some(&access::secret_hash(&own_session)))?,
                }
                let (actor, subject) = (Actor::Operator(operator), operator.to_string());
                let details = json!({ "sessions": if one.is_some() { "another" } else { "all others" } });
                note_team(tx, team, &actor, action::OPERATOR_SIGN_OUT, &subject, &details)
            })
            .await
    }
}

/// They may have been demoted or removed since their session was looked at.
fn check_still_owner(db: &Snapshot<'_>, owner: OperatorId) -> Result<()> {
    db.operator(owner)?.role.check_owner()
}

fn check_team(own: TeamId, team: TeamId) -> Result<()> {
    if own == team { Ok(()) } else { Err(Error::not_found("No such operator.")) }
}

fn last_owner() -> Error {
    Error::conflict("last_owner", "This is the team’s only owner: make somebody else one first.")
}
