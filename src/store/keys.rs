//! Keys of developers and gateways. Only hashes are stored.

use super::Reader;
use super::tx::{Snapshot, Tx};
use crate::domain::access::{self, Caller, Role, Scope};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, KeyId, OperatorId, ProjectId};
use rusqlite::{OptionalExtension, Row, params};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// A key that is about to be made; `role` says whose it is.
pub struct NewKey<'a> {
    pub secret: &'a str,
    pub role: &'a Role,
    pub name: Option<&'a str>,
    /// An operator, of a gateway's.
    pub made_by: Option<OperatorId>,
}

#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: KeyId,
    pub name: Option<String>,
    pub scopes: String,
    pub hint: String,
    pub made_by: Option<OperatorId>,
    pub created_at_ms: i64,
    pub last_used_at_ms: Option<i64>,
    pub revoked_at_ms: Option<i64>,
}

const COLUMNS: &str = "id, name, scopes, hint, made_by, created_at_ms, last_used_at_ms, revoked_at_ms";

fn key_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: KeyId(row.get(0)?),
        name: row.get(1)?,
        scopes: row.get(2)?,
        hint: row.get(3)?,
        made_by: row.get::<_, Option<i64>>(4)?.map(OperatorId),
        created_at_ms: row.get(5)?,
        last_used_at_ms: row.get(6)?,
        revoked_at_ms: row.get(7)?,
    })
}

/// The hash's first 8 bytes as the integer that the index holds.
fn lookup(hash: &[u8; 32]) -> i64 {
    i64::from_le_bytes(hash[..8].try_into().unwrap_or_default())
}

/// A good key that was looked up.
#[derive(Clone)]
pub struct KnownCaller {
    hash: [u8; 32],
    caller: Arc<Caller>,
    /// The hour of its last use that is in the file, or is on its way there.
    noted_ms: i64,
}

impl Reader {
    /// Who presents this secret, if it is good, and the hour of its last use as far as it is known.
    pub fn caller(&self, secret: &str) -> Result<Option<(Arc<Caller>, i64)>> {
        let presented = access::secret_hash(secret);
        let place = lookup(&presented);
        let callers = &self.shared.callers;
        if let Some(known) = callers.with(place, |known| known.clone())
            && bool::from(known.hash.ct_eq(&presented))
        {
            return Ok(Some((known.caller, known.noted_ms)));
        }
        let ticket = callers.ticket(place);
        let Some((caller, last_used_at_ms)) = self.read(|db| db.caller_with(&presented))? else { return Ok(None) };
        let known =
            KnownCaller { hash: presented, caller: Arc::new(caller), noted_ms: last_used_at_ms.unwrap_or(i64::MIN) };
        callers.offer(place, known.clone(), ticket);
        Ok(Some((known.caller, known.noted_ms)))
    }

    /// The hour of a key's use is on its way to the file.
    pub fn note_use(&self, secret: &str, hour_ms: i64) {
        self.shared.callers.with(lookup(&access::secret_hash(secret)), |known| known.noted_ms = hour_ms);
    }
}

impl Snapshot<'_> {
    /// Who presents this secret, if it is good.
    pub fn caller(&self, secret: &str) -> Result<Option<Caller>> {
        Ok(self.caller_with(&access::secret_hash(secret))?.map(|(caller, _)| caller))
    }

    fn caller_with(&self, presented: &[u8; 32]) -> Result<Option<(Caller, Option<i64>)>> {
        let sql = "SELECT id, project_id, account_id, scopes, hash, last_used_at_ms FROM api_key
                   WHERE lookup = $1 AND revoked_at_ms IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![lookup(presented)])?;
        while let Some(row) = rows.next()? {
            let stored: [u8; 32] = row.get(4)?;
            if !bool::from(stored.ct_eq(presented)) {
                continue;
            }
            let role = match row.get::<_, Option<i64>>(2)? {
                Some(account) => Role::Developer(AccountId(account)),
                None => Role::Gateway(Scope::parse_list(&row.get::<_, String>(3)?)?),
            };
            let caller = Caller { key: KeyId(row.get(0)?), project: ProjectId(row.get(1)?), role };
            return Ok(Some((caller, row.get(5)?)));
        }
        Ok(None)
    }

    /// An account's good keys, or the project's gateway keys (revoked ones too), newest first.
    pub fn keys(&self, project: ProjectId, account: Option<AccountId>) -> Result<Vec<KeyRow>> {
        let whose = match account {
            Some(_) => "account_id = $2 AND revoked_at_ms IS NULL",
            None => "account_id IS NULL AND $2 IS NULL",
        };
        let sql = format!("SELECT {COLUMNS} FROM api_key WHERE project_id = $1 AND {whose} ORDER BY id DESC");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, account.map(|id| id.0)], key_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The project of a gateway key, wherever it belongs.
    pub fn project_of_gateway_key(&self, id: KeyId) -> Result<ProjectId> {
        let sql = "SELECT project_id FROM api_key WHERE id = $1 AND account_id IS NULL";
        let found = self.connection.query_row(sql, params![id.0], |row| row.get(0).map(ProjectId)).optional()?;
        found.ok_or_else(|| Error::not_found("No such key."))
    }
}

impl Tx<'_> {
    pub fn add_key(&self, project: ProjectId, new: &NewKey<'_>) -> Result<KeyRow> {
        let (account, scopes) = match new.role {
            Role::Developer(account) => (Some(account.0), String::new()),
            Role::Gateway(scopes) => (None, Scope::join(scopes)),
        };
        let row = KeyRow {
            id: KeyId(self.next_key()?),
            name: new.name.map(str::to_owned),
            scopes,
            hint: access::hint(new.secret),
            made_by: new.made_by,
            created_at_ms: self.machine_now_ms(),
            last_used_at_ms: None,
            revoked_at_ms: None,
        };
        let hash = access::secret_hash(new.secret);
        let sql =
            "INSERT INTO api_key (id, project_id, account_id, scopes, name, hint, lookup, hash, made_by, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        self.connection.prepare_cached(sql)?.execute(params![
            row.id.0,
            project.0,
            account,
            row.scopes,
            row.name,
            row.hint,
            lookup(&hash),
            hash,
            row.made_by.map(|id| id.0),
            row.created_at_ms
        ])?;
        Ok(row)
    }

    /// `NotFound` for a key that is revoked already, or is not this account's (`None`: a gateway's).
    pub fn revoke_key(&self, project: ProjectId, account: Option<AccountId>, id: KeyId) -> Result<()> {
        let whose = if account.is_some() { "account_id = $4" } else { "account_id IS NULL AND $4 IS NULL" };
        let sql = format!(
            "UPDATE api_key SET revoked_at_ms = $1 WHERE id = $2 AND project_id = $3 AND revoked_at_ms IS NULL AND {whose}"
        );
        let changed = self
            .connection
            .execute(&sql, params![self.machine_now_ms(), id.0, project.0, account.map(|account| account.0)])?;
        self.staging.borrow_mut().note_keys();
        if changed == 0 { Err(Error::not_found("No such key, or it is revoked already.")) } else { Ok(()) }
    }

    /// The good keys that an operator has made, each with its project, oldest first.
    pub fn keys_made_by(&self, operator: OperatorId) -> Result<Vec<(KeyId, ProjectId)>> {
        let sql = "SELECT id, project_id FROM api_key WHERE made_by = $1 AND revoked_at_ms IS NULL ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![operator.0], |row| Ok((KeyId(row.get(0)?), ProjectId(row.get(1)?))))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Ends all good keys of an account.
    pub fn revoke_keys_of(&self, project: ProjectId, account: AccountId) -> Result<()> {
        let sql = "UPDATE api_key SET revoked_at_ms = $1
                   WHERE project_id = $2 AND account_id = $3 AND revoked_at_ms IS NULL";
        self.connection.execute(sql, params![self.machine_now_ms(), project.0, account.0])?;
        self.staging.borrow_mut().note_keys();
        Ok(())
    }

    pub fn set_key_used(&self, id: KeyId, at_ms: i64) -> Result<()> {
        let sql = "UPDATE api_key SET last_used_at_ms = $1 WHERE id = $2";
        self.connection.prepare_cached(sql)?.execute(params![at_ms, id.0])?;
        Ok(())
    }
}
