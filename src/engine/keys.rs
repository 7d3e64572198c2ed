//! Keys: who presents one, and making, listing and revoking them.

use super::{Engine, audit, secrets};
use crate::domain::access::{Caller, Role, Scope};
use crate::domain::audit::{Actor, action};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, KeyId, ProjectId};
use crate::domain::time::HOUR_MS;
use crate::store::{KeyRow, NewKey, Project, Reader, Tx};
use serde_json::json;
use std::sync::Arc;

/// More than anyone rotates through; keeps a runaway script from filling the table.
const MOST_KEYS: usize = 20;

/// A key that was just made; the secret is shown now and never again.
#[derive(Debug, Clone)]
pub struct MadeKey {
    pub secret: String,
    pub row: KeyRow,
}

/// The prefix of a project's developer keys: `bw_live_`.
pub fn developer_prefix(project: &Project) -> String {
    format!("{}_{}_", project.key_prefix, project.mode)
}

/// Makes a key for an account within the caller's transaction.
pub fn make_developer_key(tx: &Tx<'_>, project: &Project, account: AccountId, name: Option<&str>) -> Result<MadeKey> {
    let secret = secrets::fresh(&developer_prefix(project))?;
    let row =
        tx.add_key(project.id, &NewKey { secret: &secret, role: &Role::Developer(account), name, made_by: None })?;
    Ok(MadeKey { secret, row })
}

impl Engine {
    /// Who presents this key. `Unauthenticated` when it is not a good one.
    pub fn authenticate(&self, reader: &Reader, secret: &str) -> Result<Arc<Caller>> {
        self.caller(reader, secret)?.ok_or_else(|| {
            Error::new(Kind::Unauthenticated, "invalid_key", "The key is not known, or it has been revoked.")
        })
    }

    fn caller(&self, reader: &Reader, secret: &str) -> Result<Option<Arc<Caller>>> {
        let Some((caller, noted_ms)) = reader.caller(secret)? else { return Ok(None) };
        let hour_ms = self.store.machine_now_ms() / HOUR_MS * HOUR_MS;
        if noted_ms < hour_ms && self.used_keys.note(caller.key, hour_ms) {
            reader.note_use(secret, hour_ms);
        }
        Ok(Some(caller))
    }

    /// What a gateway asks on each call: whose key this is, and what there is to spend. `None` for a key that is no
    /// developer's of this project.
    pub fn verify_key(&self, reader: &Reader, project: ProjectId, secret: &str) -> Result<Option<(AccountId, i64)>> {
        let found = self.caller(reader, secret)?;
        let Some(Caller { project: owner, role: Role::Developer(account), .. }) = found.as_deref() else {
            return Ok(None);
        };
        if *owner != project {
            return Ok(None);
        }
        let now_ms = self.now_ms(project);
        let available = reader.with_holdings(project, *account, |has| has.balance(now_ms).available)?;
        Ok(available.map(|available| (*account, available)))
    }

    /// `Conflict` at twenty keys.
    pub async fn make_key(&self, project: ProjectId, account: AccountId, name: Option<String>) -> Result<MadeKey> {
        self.store
            .write(move |tx| {
                if tx.keys(project, Some(account))?.len() >= MOST_KEYS {
                    return Err(Error::conflict(
                        "too_many_keys",
                        format!("Revoke a key first: {MOST_KEYS} are the most."),
                    ));
                }
                let project = tx.project(project)?;
                tx.account(project.id, account)?;
                make_developer_key(tx, &project, account, name.as_deref())
            })
            .await
    }

    pub async fn keys(&self, project: ProjectId, account: AccountId) -> Result<Vec<KeyRow>> {
        self.store.read(move |db| db.keys(project, Some(account))).await
    }

    /// `NotFound`; `Conflict` for the last one, which would lock its owner out.
    pub async fn revoke_key(&self, project: ProjectId, account: AccountId, id: KeyId) -> Result<()> {
        self.store
            .write(move |tx| {
                let keys = tx.keys(project, Some(account))?;
                if keys.len() == 1 && keys[0].id == id {
                    return Err(Error::conflict(
                        "last_key",
                        "This is your only key: make another one before you revoke it.",
                    ));
                }
                tx.revoke_key(project, Some(account), id)
            })
            .await
    }

    /// A gateway key with these scopes, for the command line.
    pub fn make_gateway_key(&self, project: &str, scopes: Vec<Scope>, name: Option<String>) -> Result<MadeKey> {
        let project = project.to_owned();
        self.store.write_blocking(move |tx| {
            let project = tx.project_named(&project)?;
            let secret = secrets::fresh(&format!("bs_{}_", project.mode))?;
            let role = Role::Gateway(scopes);
            let new = NewKey { secret: &secret, role: &role, name: name.as_deref(), made_by: None };
            let row = tx.add_key(project.id, &new)?;
            let details = json!({ "scopes": row.scopes });
            audit::note(tx, project.id, &Actor::CommandLine, action::KEY_CREATE, &row.id.to_string(), &details)?;
            Ok(MadeKey { secret, row })
        })
    }

    pub fn gateway_keys(&self, project: &str) -> Result<Vec<KeyRow>> {
        self.store.read_blocking(|db| db.keys(db.project_named(project)?.id, None))
    }

    /// `NotFound` when there is no such gateway key, or it is revoked already.
    pub fn revoke_gateway_key(&self, id: KeyId) -> Result<()> {
        self.store.write_blocking(move |tx| {
            let project = tx.project_of_gateway_key(id)?;
            tx.revoke_key(project, None, id)?;
            audit::note(tx, project, &Actor::CommandLine, action::KEY_REVOKE, &id.to_string(), &json!({}))
        })
    }
}
