//! What this instance is and has been through.

use super::tx::{Snapshot, Tx};
use crate::domain::access;
use crate::domain::error::Result;
use rusqlite::params;
use subtle::ConstantTimeEq;

impl Tx<'_> {
    /// Keeps the hash of the first operator's one-time link. `false` when there is one already.
    pub fn set_setup_token(&self, secret: &str) -> Result<bool> {
        let sql = "UPDATE instance SET setup_token_hash = $1 WHERE setup_token_hash IS NULL";
        Ok(self.connection.execute(sql, params![access::secret_hash(secret)])? == 1)
    }

    /// A write that changes nothing but the time of the last one.
    pub fn note_readiness(&self, at_ms: i64) -> Result<()> {
        self.connection.execute("UPDATE instance SET ready_at_ms = $1", params![at_ms])?;
        Ok(())
    }
}

impl Snapshot<'_> {
    /// Whether this is the secret of the first operator's one-time link, which was not used yet.
    pub fn is_setup_token(&self, secret: &str) -> Result<bool> {
        let sql = "SELECT iif(setup_used_at_ms IS NULL, setup_token_hash, NULL) FROM instance";
        let stored: Option<[u8; 32]> = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(stored.is_some_and(|stored| bool::from(stored.ct_eq(&access::secret_hash(secret)))))
    }
}
