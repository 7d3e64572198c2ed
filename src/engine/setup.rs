//! The first start: what is printed once and never again.

use super::{Engine, audit, secrets};
use crate::domain::access::{Role, Scope};
use crate::domain::audit::{Actor, action};
use crate::domain::error::Result;
use crate::store::NewKey;
use serde_json::json;

/// Shown on the terminal of the first start.
#[derive(Debug, Clone)]
pub struct FirstStart {
    /// `None` where there is an owner already, made from the command line.
    pub operator_token: Option<String>,
    pub gateway_key: String,
}

impl Engine {
    /// Makes the first operator's one-time link and the first gateway key, once in the life of a file.
    pub fn first_start(&self) -> Result<Option<FirstStart>> {
        let (operator_token, gateway_key) = (secrets::fresh("")?, secrets::fresh("bs_live_")?);
        self.store.write_blocking(move |tx| {
            if !tx.set_setup_token(&operator_token)? {
                return Ok(None);
            }
            let project = tx.project_named("default")?;
            let role = Role::Gateway(Scope::ALL.to_vec());
            let new = NewKey { secret: &gateway_key, role: &role, name: Some("first start"), made_by: None };
            let row = tx.add_key(project.id, &new)?;
            let details = json!({ "scopes": row.scopes });
            audit::note(tx, project.id, &Actor::FirstStart, action::KEY_CREATE, &row.id.to_string(), &details)?;
            let has_owner = tx.has_owner(tx.first_team()?)?;
            Ok(Some(FirstStart { operator_token: Some(operator_token).filter(|_| !has_owner), gateway_key }))
        })
    }

    pub async fn is_setup_token(&self, secret: String) -> Result<bool> {
        self.store.read(move |db| db.is_setup_token(&secret)).await
    }
}
