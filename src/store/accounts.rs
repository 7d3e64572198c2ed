//! Accounts: who refers or is referred.

use super::tx::{Snapshot, Tx};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use rusqlite::{OptionalExtension, Row, params};

#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    /// The team's own id.
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub leaderboard_name: Option<String>,
    pub partner: bool,
    pub created_at_ms: i64,
    /// Signed up with a throw-away mailbox: it earns nothing.
    pub disposable: bool,
    pub has_password: bool,
}

impl Account {
    /// Made for an e-mail address that was converted, and nobody has come for it yet: neither with a password nor as a
    /// user of the team's app.
    pub fn is_unclaimed(&self) -> bool {
        !self.has_password && self.external_id.is_none()
    }
}

/// An account that is about to be made. Who signs up has the first three, who is known to the team's app the last.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    pub email: Option<String>,
    pub name: Option<String>,
    pub password_hash: Option<String>,
    pub disposable: bool,
    pub external_id: Option<String>,
}

/// An account with what its owner sees at a glance.
#[derive(Debug, Clone)]
pub struct Profile {
    pub account: Account,
    pub referred_by: Option<AccountId>,
    pub code: Option<String>,
    pub referred_count: i64,
}

pub(super) const COLUMNS: &str = "id, email, name, leaderboard_name, track, created_at_ms, disposable, external_id,
                       password_hash IS NOT NULL";

pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: AccountId(row.get(0)?),
        email: row.get(1)?,
        name: row.get(2)?,
        leaderboard_name: row.get(3)?,
        partner: row.get::<_, String>(4)? == "partner",
        created_at_ms: row.get(5)?,
        disposable: row.get(6)?,
        external_id: row.get(7)?,
        has_password: row.get(8)?,
    })
}

impl Snapshot<'_> {
    /// An account that has not been erased. `NotFound` for any other, and for another project's.
    pub fn account(&self, project: ProjectId, id: AccountId) -> Result<Account> {
        self.find_account(project, id)?.ok_or_else(|| Error::not_found("No such account."))
    }

    pub fn find_account(&self, project: ProjectId, id: AccountId) -> Result<Option<Account>> {
        let sql = format!("SELECT {COLUMNS} FROM account WHERE project_id = $1 AND id = $2 AND erased_at_ms IS NULL");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![project.0, id.0], account).optional()?)
    }

    pub fn account_with_external_id(&self, project: ProjectId, external_id: &str) -> Result<Option<AccountId>> {
        let sql = "SELECT id FROM account WHERE project_id = $1 AND external_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, external_id], |row| row.get(0).map(AccountId)).optional()?)
    }

    pub fn account_with_email(&self, project: ProjectId, email: &str) -> Result<Option<Account>> {
        let sql = format!("SELECT {COLUMNS} FROM account WHERE project_id = $1 AND email = $2");
        Ok(self.connection.prepare_cached(&sql)?.query_row(params![project.0, email], account).optional()?)
    }

    /// Who has this e-mail address, with the hash of the password if there is one.
    pub fn account_password(&self, project: ProjectId, email: &str) -> Result<Option<(AccountId, Option<String>)>> {
        let sql = "SELECT id, password_hash FROM account WHERE project_id = $1 AND email = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, email], |row| Ok((AccountId(row.get(0)?), row.get(1)?)));
        Ok(found.optional()?)
    }

    /// The e-mail address and the password's hash of an account, where it has them. `NotFound`.
    pub fn own_password(&self, project: ProjectId, id: AccountId) -> Result<(Option<String>, Option<String>)> {
        let sql = "SELECT email, password_hash FROM account WHERE project_id = $1 AND id = $2 AND erased_at_ms IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        found.ok_or_else(|| Error::not_found("No such account."))
    }

    pub fn profile(&self, project: ProjectId, id: AccountId) -> Result<Profile> {
        let account = self.account(project, id)?;
        let sql = "SELECT (SELECT referrer_id FROM referral WHERE referee_id = $1 AND status <> 'rejected'),
                          (SELECT code FROM code WHERE account_id = $1 AND revoked_at_ms IS NULL),
                          (SELECT count(*) FROM referral WHERE referrer_id = $1 AND status <> 'rejected')";
        let mut statement = self.connection.prepare_cached(sql)?;
        let profile = statement.query_row(params![id.0], |row| {
            Ok(Profile {
                account,
                referred_by: row.get::<_, Option<i64>>(0)?.map(AccountId),
                code: row.get(1)?,
                referred_count: row.get(2)?,
            })
        });
        Ok(profile?)
    }
}

impl Tx<'_> {
    pub fn add_account(&self, project: ProjectId, new: &NewAccount) -> Result<Account> {
        let id = AccountId(self.next_key()?);
        let sql = "INSERT INTO account (id, project_id, email, name, password_hash, disposable, external_id,
                                        created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        self.connection.prepare_cached(sql)?.execute(params![
            id.0,
            project.0,
            new.email,
            new.name,
            new.password_hash,
            new.disposable,
            new.external_id,
            self.now_ms(project)
        ])?;
        self.account(project, id)
    }

    /// The team's app knows this account by that id from now on. The id must be free.
    pub fn set_external_id(&self, project: ProjectId, id: AccountId, external_id: &str) -> Result<()> {
        let sql = "UPDATE account SET external_id = $1 WHERE project_id = $2 AND id = $3";
        self.connection.prepare_cached(sql)?.execute(params![external_id, project.0, id.0])?;
        Ok(())
    }

    /// The address of an account that had none. It must be free.
    pub fn set_email(&self, project: ProjectId, id: AccountId, email: &str, disposable: bool) -> Result<()> {
        let sql = "UPDATE account SET email = $1, disposable = $2 WHERE project_id = $3 AND id = $4";
        self.connection.prepare_cached(sql)?.execute(params![email, disposable, project.0, id.0])?;
        Ok(())
    }

    /// Gives an account that was made for an e-mail address to who signs up with it.
    pub fn set_signup(&self, project: ProjectId, id: AccountId, name: &str, password_hash: &str) -> Result<()> {
        let sql = "UPDATE account SET name = $1, password_hash = $2 WHERE project_id = $3 AND id = $4";
        self.connection.prepare_cached(sql)?.execute(params![name, password_hash, project.0, id.0])?;
        Ok(())
    }

    pub fn set_password(&self, project: ProjectId, id: AccountId, password_hash: &str) -> Result<()> {
        let sql = "UPDATE account SET password_hash = $1 WHERE project_id = $2 AND id = $3";
        self.connection.execute(sql, params![password_hash, project.0, id.0])?;
        Ok(())
    }

    pub fn set_name(&self, project: ProjectId, id: AccountId, name: &str) -> Result<()> {
        let sql = "UPDATE account SET name = $1 WHERE project_id = $2 AND id = $3";
        self.connection.execute(sql, params![name, project.0, id.0])?;
        Ok(())
    }

    pub fn set_leaderboard_name(&self, project: ProjectId, id: AccountId, name: Option<&str>) -> Result<()> {
        self.staging.borrow_mut().note_board();
        let sql = "UPDATE account SET leaderboard_name = $1 WHERE project_id = $2 AND id = $3";
        self.connection.execute(sql, params![name, project.0, id.0])?;
        Ok(())
    }

    /// Blanks everything personal, revokes keys and code. The ledger and its chain stay as they are.
    pub fn erase_account(&self, project: ProjectId, id: AccountId, by: Option<&Actor>) -> Result<()> {
        self.complete_rows(id)?;
        self.staging.borrow_mut().note_keys();
        self.staging.borrow_mut().note_board();
        self.forget_stripe_customer(project, id)?;
        self.end_account_sessions(id)?;
        self.forget_deliveries(id)?;
        self.end_mail_tokens(id, None)?;
        self.take_unconfirmed(project, id)?;
        self.forget_partner(id)?;
        self.connection.execute(
            "UPDATE account SET external_id = NULL, email = NULL, name = NULL, leaderboard_name = NULL, password_hash = NULL,
                    erased_at_ms = $1, erased_by = $2 WHERE project_id = $3 AND id = $4",
            params![self.now_ms(project), by.map(Actor::to_string), project.0, id.0],
        )?;
        self.connection.execute(
            "UPDATE api_key SET revoked_at_ms = coalesce(revoked_at_ms, $1), name = NULL WHERE account_id = $2",
            params![self.now_ms(project), id.0],
        )?;
        self.connection.execute(
            "UPDATE code SET revoked_at_ms = $1 WHERE account_id = $2 AND revoked_at_ms IS NULL",
            params![self.now_ms(project), id.0],
        )?;
        Ok(())
    }
}
