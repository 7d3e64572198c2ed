//! Referral codes. None is ever deleted, so that a revoked one is not given out again.

use super::tx::{Snapshot, Tx};
use crate::domain::code::Code;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::referral::CodeState;
use rusqlite::{OptionalExtension, Row, params};

#[derive(Debug, Clone)]
pub struct CodeRow {
    pub id: i64,
    pub owner: AccountId,
    pub code: String,
    pub max_uses: Option<i64>,
    pub uses_count: i64,
    pub revoked: bool,
    pub owner_erased: bool,
}

impl CodeRow {
    pub fn state(&self) -> CodeState {
        CodeState {
            revoked: self.revoked,
            owner_erased: self.owner_erased,
            max_uses: self.max_uses,
            uses_count: self.uses_count,
        }
    }
}

const SELECT: &str = "SELECT code.id, code.account_id, code.code, code.max_uses, code.uses_count,
                             code.revoked_at_ms IS NOT NULL, account.erased_at_ms IS NOT NULL
                      FROM code JOIN account ON account.id = code.account_id";

fn code_row(row: &Row<'_>) -> rusqlite::Result<CodeRow> {
    Ok(CodeRow {
        id: row.get(0)?,
        owner: AccountId(row.get(1)?),
        code: row.get(2)?,
        max_uses: row.get(3)?,
        uses_count: row.get(4)?,
        revoked: row.get(5)?,
        owner_erased: row.get(6)?,
    })
}

impl Snapshot<'_> {
    /// Any code of the project, revoked ones too.
    pub fn code(&self, project: ProjectId, code: &Code) -> Result<Option<CodeRow>> {
        let sql = format!("{SELECT} WHERE code.project_id = $1 AND code.code = $2");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![project.0, code.as_str()], code_row).optional()?)
    }

    pub fn active_code(&self, project: ProjectId, owner: AccountId) -> Result<Option<CodeRow>> {
        let sql =
            format!("{SELECT} WHERE code.project_id = $1 AND code.account_id = $2 AND code.revoked_at_ms IS NULL");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![project.0, owner.0], code_row).optional()?)
    }
}

impl Tx<'_> {
    /// The code must be free and its owner without an active one.
    pub fn add_code(
        &self,
        project: ProjectId,
        owner: AccountId,
        code: &Code,
        max_uses: Option<i64>,
    ) -> Result<CodeRow> {
        let row = CodeRow {
            id: self.next_key()?,
            owner,
            code: code.to_string(),
            max_uses,
            uses_count: 0,
            revoked: false,
            owner_erased: false,
        };
        let sql = "INSERT INTO code (id, project_id, account_id, code, max_uses, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        self.connection.prepare_cached(sql)?.execute(params![
            row.id,
            project.0,
            owner.0,
            row.code,
            max_uses,
            self.now_ms(project)
        ])?;
        Ok(row)
    }

    pub fn count_code_use(&self, project: ProjectId, id: i64) -> Result<()> {
        let sql = "UPDATE code SET uses_count = uses_count + 1 WHERE project_id = $1 AND id = $2";
        self.connection.prepare_cached(sql)?.execute(params![project.0, id])?;
        Ok(())
    }

    pub fn revoke_code(&self, project: ProjectId, id: i64) -> Result<()> {
        let sql = "UPDATE code SET revoked_at_ms = $1 WHERE project_id = $2 AND id = $3";
        self.connection.execute(sql, params![self.now_ms(project), project.0, id])?;
        Ok(())
    }
}
