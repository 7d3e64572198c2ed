//! What mail needs to know: who can be written to, which addresses are to be confirmed, and the tokens of links.

use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use rusqlite::{OptionalExtension, params};
use std::sync::atomic::Ordering;

/// What a link in a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPurpose {
    Confirm,
    Reset,
}

impl TokenPurpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reset => "reset",
        }
    }
}

impl Snapshot<'_> {
    /// Whether mail is sent for this project: it is set up, and the project is no sandbox.
    pub fn sends_mail(&self, project: ProjectId) -> Result<bool> {
        Ok(self.shared.sends_mail.load(Ordering::SeqCst) && self.project(project)?.mode == "live")
    }

    /// Whose token this is, as long as it is good.
    pub fn mail_token(&self, project: ProjectId, hash: &[u8; 32], purpose: TokenPurpose) -> Result<Option<AccountId>> {
        let sql = "SELECT account_id FROM mail_token JOIN account ON account.id = account_id
                   WHERE project_id = $1 AND hash = $2 AND purpose = $3 AND expires_at_ms > $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![project.0, hash, purpose.as_str(), self.machine_now_ms()];
        Ok(statement.query_row(values, |row| row.get(0).map(AccountId)).optional()?)
    }

    /// Whether the account hears of what its referrals reach. `NotFound` when there is no such account.
    pub fn wants_milestone_mail(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        let sql = "SELECT milestone_mail FROM account WHERE project_id = $1 AND id = $2 AND erased_at_ms IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, account.0], |row| row.get(0)).optional()?;
        found.ok_or_else(|| Error::not_found("No such account."))
    }

    /// Whether a link that was mailed to the account's address was ever used.
    pub fn is_address_proved(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE project_id = $1 AND id = $2 AND address_proved = 1)";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, account.0], |row| row.get(0))?)
    }

    pub fn is_unconfirmed(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM unconfirmed JOIN account ON account.id = account_id
                                  WHERE project_id = $1 AND account_id = $2)";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, account.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Makes a token good, and forgets those of this account that are not any more.
    pub fn add_mail_token(
        &self,
        account: AccountId,
        purpose: TokenPurpose,
        hash: &[u8; 32],
        expires_at_ms: i64,
    ) -> Result<()> {
        let sql = "DELETE FROM mail_token WHERE account_id = $1 AND expires_at_ms <= $2";
        self.connection.prepare_cached(sql)?.execute(params![account.0, self.machine_now_ms()])?;
        let sql = "INSERT INTO mail_token (hash, account_id, purpose, expires_at_ms) VALUES ($1, $2, $3, $4)";
        let values = params![hash, account.0, purpose.as_str(), expires_at_ms];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Ends an account's tokens, those of one purpose or all.
    pub fn end_mail_tokens(&self, account: AccountId, purpose: Option<TokenPurpose>) -> Result<()> {
        let sql = "DELETE FROM mail_token WHERE account_id = $1 AND ($2 IS NULL OR purpose = $2)";
        self.connection.prepare_cached(sql)?.execute(params![account.0, purpose.map(TokenPurpose::as_str)])?;
        Ok(())
    }

    /// The account's address is to be confirmed before the code that it came with counts.
    pub fn add_unconfirmed(&self, account: AccountId, code: Option<i64>) -> Result<()> {
        let sql = "INSERT INTO unconfirmed (account_id, code_id) VALUES ($1, $2)";
        self.connection.prepare_cached(sql)?.execute(params![account.0, code])?;
        Ok(())
    }

    /// The address is confirmed: the code that the account came with, if there was one. `None` when it was confirmed
    /// before, or never had to be.
    pub fn take_unconfirmed(&self, project: ProjectId, account: AccountId) -> Result<Option<Option<i64>>> {
        let sql =
            "DELETE FROM unconfirmed WHERE account_id IN (SELECT id FROM account WHERE project_id = $1 AND id = $2)
                   RETURNING code_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, account.0], |row| row.get(0)).optional()?)
    }

    /// A link that was mailed to the account's address was used. Whether it is the first.
    pub fn prove_address(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        let sql = "UPDATE account SET address_proved = 1 WHERE project_id = $1 AND id = $2 AND address_proved = 0";
        Ok(self.connection.prepare_cached(sql)?.execute(params![project.0, account.0])? > 0)
    }

    /// Whether the account hears of what its referrals reach.
    pub fn set_milestone_mail(&self, project: ProjectId, account: AccountId, wanted: bool) -> Result<()> {
        let sql = "UPDATE account SET milestone_mail = $1 WHERE project_id = $2 AND id = $3";
        self.connection.prepare_cached(sql)?.execute(params![wanted, project.0, account.0])?;
        Ok(())
    }
}
