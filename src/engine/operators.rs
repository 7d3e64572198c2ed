//! Operators: making and listing them.

use super::audit::note_team;
use super::{Engine, secrets};
use crate::domain::audit::{Actor, action};
use crate::domain::email::Email;
use crate::domain::error::{Error, Result};
use crate::domain::operator::OperatorRole;
use crate::domain::text;
use crate::store::{OperatorRow, Team};
use serde_json::json;

/// An operator who was just made.
#[derive(Debug, Clone)]
pub struct MadeOperator {
    pub id: crate::domain::id::OperatorId,
    pub email: String,
    pub team: Team,
    pub role: OperatorRole,
}

impl Engine {
    /// [`Engine::create_operator_as`], an owner where the team has none, else an operator.
    pub fn create_operator(&self, email: &str, password: &str, team: &str) -> Result<MadeOperator> {
        self.create_operator_as(email, password, team, None)
    }

    /// For a team, by slug or id, that is there. `Invalid` with all faults at once; `NotFound`; `Conflict` for an
    /// address that an operator has.
    pub fn create_operator_as(
        &self,
        email: &str,
        password: &str,
        team: &str,
        role: Option<OperatorRole>,
    ) -> Result<MadeOperator> {
        let (email, checked) = (Email::parse("email", email), text::password("password", password));
        let email = match (email, checked) {
            (Ok(email), Ok(())) => email.address(),
            (email, checked) => {
                let faults = [email.err(), checked.err()].into_iter().flatten();
                return Err(Error::fields(faults.flat_map(|fault| fault.fields).collect()));
            }
        };
        let team = self.store.read_blocking(|db| db.team_called(team))?;
        let password_hash = secrets::hash(password)?;
        self.store.write_blocking(move |tx| {
            let first = if tx.has_owner(team.id)? { OperatorRole::Operator } else { OperatorRole::Owner };
            let role = role.unwrap_or(first);
            let id = tx.add_operator(team.id, &email, &password_hash, role)?;
            // The first start's link makes the first owner, and there is one now.
            if tx.has_owner(tx.first_team()?)? {
                tx.end_setup_token()?;
            }
            let details = json!({ "role": role.as_str() });
            note_team(tx, team.id, &Actor::CommandLine, action::OPERATOR_CREATE, &id.to_string(), &details)?;
            Ok(MadeOperator { id, email, team, role })
        })
    }

    /// Of one team, by slug or id, or of all, oldest first. `NotFound`.
    pub fn operators(&self, team: Option<&str>) -> Result<Vec<OperatorRow>> {
        self.store.read_blocking(|db| {
            let team = team.map(|team| db.team_called(team)).transpose()?;
            db.operators(team.map(|team| team.id))
        })
    }
}
