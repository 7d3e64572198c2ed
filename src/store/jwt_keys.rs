//! What a project checks the tokens of its team's app with.

use super::tx::Snapshot;
use crate::domain::error::Result;
use crate::domain::id::ProjectId;
use rusqlite::{OptionalExtension, params};

/// As it was set; whether it is a key of that algorithm, [`crate::domain::jwt::Key`] says.
pub struct JwtKey {
    pub algorithm: String,
    pub key: String,
}

impl Snapshot<'_> {
    /// `None` until both the algorithm and the key are set.
    pub fn jwt_key(&self, project: ProjectId) -> Result<Option<JwtKey>> {
        let sql = "SELECT jwt_algorithm, jwt_key FROM project
                   WHERE id = $1 AND jwt_algorithm IS NOT NULL AND jwt_key IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found =
            statement.query_row(params![project.0], |row| Ok(JwtKey { algorithm: row.get(0)?, key: row.get(1)? }));
        Ok(found.optional()?)
    }
}
