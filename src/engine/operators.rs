//! Operators: making and listing them.

use super::{Engine, secrets};
use crate::domain::email::Email;
use crate::domain::error::{Error, Result};
use crate::domain::text;
use crate::store::{OperatorRow, Team};

/// An operator who was just made.
#[derive(Debug, Clone)]
pub struct MadeOperator {
    pub id: crate::domain::id::OperatorId,
    pub email: String,
    pub team: Team,
}

impl Engine {
    /// For a team, by slug or id, that is there. `Invalid` with all faults at once; `NotFound`; `Conflict` for an
    /// address that an operator has.
    pub fn create_operator(&self, email: &str, password: &str, team: &str) -> Result<MadeOperator> {
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
            let id = tx.add_operator(team.id, &email, &password_hash)?;
            Ok(MadeOperator { id, email, team })
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
