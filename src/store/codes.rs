//! Referral codes. None is ever deleted, so that a revoked one is not given out again.

use super::tx::{Snapshot, Tx};
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::referral::CodeState;
use rusqlite::{OptionalExtension, Row, params};

#[derive(Debug, Clone)]
pub struct CodeRow {
    pub id: i64,
    pub owner: AccountId,
    /// The team's own id of the owner.
    pub owner_external_id: Option<String>,
    pub code: String,
    pub max_uses: Option<i64>,
    pub uses_count: i64,
    pub revoked: bool,
    pub owner_erased: bool,
    pub created_at_ms: i64,
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
                             code.revoked_at_ms IS NOT NULL, account.erased_at_ms IS NOT NULL, account.external_id,
                             code.created_at_ms
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
        owner_external_id: row.get(7)?,
        created_at_ms: row.get(8)?,
    })
}

impl Snapshot<'_> {
    /// Any code of the project, revoked ones too.
    pub fn code(&self, project: ProjectId, code: &Code) -> Result<Option<CodeRow>> {
        let sql = format!("{SELECT} WHERE code.project_id = $1 AND code.code = $2");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![project.0, code.as_str()], code_row).optional()?)
    }

    pub fn code_with_id(&self, project: ProjectId, id: i64) -> Result<Option<CodeRow>> {
        let sql = format!("{SELECT} WHERE code.project_id = $1 AND code.id = $2");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![project.0, id], code_row).optional()?)
    }

    pub fn active_code(&self, project: ProjectId, owner: AccountId) -> Result<Option<CodeRow>> {
        let sql =
            format!("{SELECT} WHERE code.project_id = $1 AND code.account_id = $2 AND code.revoked_at_ms IS NULL");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![project.0, owner.0], code_row).optional()?)
    }

    /// Newest first, the first `offset` of them left out.
    pub fn codes(&self, project: ProjectId, active_only: bool, limit: i64, offset: i64) -> Result<Vec<CodeRow>> {
        let sql = format!(
            "{SELECT} WHERE code.project_id = $1 AND (code.revoked_at_ms IS NULL OR NOT $2)
             ORDER BY code.id DESC LIMIT $3 OFFSET $4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, active_only, limit, offset], code_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
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
        let id = self.next_key()?;
        let sql = "INSERT INTO code (id, project_id, account_id, code, max_uses, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        self.connection.prepare_cached(sql)?.execute(params![
            id,
            project.0,
            owner.0,
            code.as_str(),
            max_uses,
            self.now_ms(project)
        ])?;
        self.code(project, code)?.ok_or_else(|| Error::internal("a code that is not there"))
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
