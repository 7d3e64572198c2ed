//! A project's gateway keys as operators make and revoke them.

use super::{Engine, MadeKey, audit, secrets};
use crate::domain::access::{Role, Scope};
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, Result};
use crate::domain::id::{KeyId, ProjectId};
use crate::store::{KeyRow, NewKey};
use serde_json::json;

/// Good ones at a time; keeps a runaway script from filling the table.
const MOST_GATEWAY_KEYS: usize = 100;

impl Engine {
    /// Newest first, revoked ones too.
    pub async fn keys_of_project(&self, project: ProjectId) -> Result<Vec<KeyRow>> {
        self.store.read(move |db| db.keys(project, None)).await
    }

    /// A key with these scopes; the secret is shown now and never again. `Conflict` at a hundred good ones.
    pub async fn make_key_of_project(
        &self,
        project: ProjectId,
        scopes: Vec<Scope>,
        name: Option<String>,
        actor: Actor,
    ) -> Result<MadeKey> {
        self.store
            .write(move |tx| {
                let good = tx.keys(project, None)?.into_iter().filter(|key| key.revoked_at_ms.is_none()).count();
                if good >= MOST_GATEWAY_KEYS {
                    let message = format!("Revoke a key first: {MOST_GATEWAY_KEYS} are the most.");
                    return Err(Error::conflict("too_many_keys", message));
                }
                let secret = secrets::fresh(&format!("bs_{}_", tx.project(project)?.mode))?;
                let role = Role::Gateway(scopes);
                let made_by = match actor {
                    Actor::Operator(id) => Some(id),
                    _ => None,
                };
                let row =
                    tx.add_key(project, &NewKey { secret: &secret, role: &role, name: name.as_deref(), made_by })?;
                let details = json!({ "scopes": row.scopes });
                audit::note(tx, project, &actor, action::KEY_CREATE, &row.id.to_string(), &details)?;
                Ok(MadeKey { secret, row })
            })
            .await
    }

    /// `NotFound` when there is no such gateway key in the project, or it is revoked already.
    pub async fn revoke_key_of_project(&self, project: ProjectId, id: KeyId, actor: Actor) -> Result<()> {
        self.store
            .write(move |tx| {
                tx.revoke_key(project, None, id)?;
                audit::note(tx, project, &actor, action::KEY_REVOKE, &id.to_string(), &json!({}))
            })
            .await
    }
}
