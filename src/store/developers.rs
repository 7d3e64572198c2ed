//! Accounts as operators look for them and look into them.

use super::accounts::{Account, COLUMNS, account};
use super::tx::Snapshot;
use crate::domain::developer::Search;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use rusqlite::{OptionalExtension, Row, params};

/// An account in a list, erased ones too.
#[derive(Debug, Clone)]
pub struct DeveloperRow {
    pub account: Account,
    /// The active one.
    pub code: Option<String>,
    pub erased_at_ms: Option<i64>,
    /// As the audit log names them; `None` of an erased account: its owner.
    pub erased_by: Option<String>,
}

/// A purchase of one account, and what was refunded of it.
#[derive(Debug, Clone)]
pub struct BoughtRow {
    pub id: i64,
    /// The team's own.
    pub purchase_id: String,
    pub gross_minor: i64,
    pub refunded_minor: i64,
    pub currency: String,
    pub purchased_at_ms: i64,
}

/// A code that an account has, or had.
#[derive(Debug, Clone)]
pub struct OwnedCode {
    pub code: String,
    pub uses_count: i64,
    pub max_uses: Option<i64>,
    pub created_at_ms: i64,
    pub revoked_at_ms: Option<i64>,
}

/// A decision as operators read it.
#[derive(Debug, Clone)]
pub struct ListedDecision {
    pub id: i64,
    pub referral: ReferralId,
    pub rule: String,
    pub event: String,
    pub verdict: String,
    pub code: String,
    pub program_version: i64,
    pub inputs: String,
    pub at_ms: i64,
}

/// Beyond every text that begins with the one before it.
const AFTER_ALL: char = '\u{10ffff}';

fn select() -> String {
    format!(
        "SELECT {COLUMNS}, (SELECT code FROM code WHERE account_id = account.id AND revoked_at_ms IS NULL) AS own_code,
                erased_at_ms AS gone_at_ms, erased_by
         FROM account"
    )
}

fn developer(row: &Row<'_>) -> rusqlite::Result<DeveloperRow> {
    Ok(DeveloperRow {
        account: account(row)?,
        code: row.get("own_code")?,
        erased_at_ms: row.get("gone_at_ms")?,
        erased_by: row.get("erased_by")?,
    })
}

impl Snapshot<'_> {
    /// One account, an erased one too. `NotFound`, for another project's too.
    pub fn developer(&self, project: ProjectId, id: AccountId) -> Result<DeveloperRow> {
        let sql = format!("{} WHERE project_id = $1 AND id = $2", select());
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement.query_row(params![project.0, id.0], developer).optional()?;
        found.ok_or_else(|| Error::not_found("No such developer."))
    }

    /// Those that fit, after the one that `after` names: newest first, or by address where it begins as asked. First the
    /// ones that an id, a code or the team's own id names, beside what `limit` allows, for every page; an erased one by
    /// its id or code only.
    pub fn search_developers(
        &self,
        project: ProjectId,
        search: &Search,
        after: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<DeveloperRow>, Vec<DeveloperRow>)> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let is_first = after.is_none();
        match search {
            Search::Everyone => Ok((Vec::new(), self.newest_developers(project, after, limit)?)),
            Search::Account(id) => {
                Ok((self.developer(project, *id).into_iter().filter(|_| is_first).collect(), Vec::new()))
            }
            Search::Domain(domain) => Ok((Vec::new(), self.developers_at(project, domain, after, limit)?)),
            Search::Email(start) => Ok((Vec::new(), self.developers_with_address(project, start, after, limit)?)),
            Search::Address(address) => {
                // The one that is the beginning itself comes before all that go on from it.
                let first =
                    if is_first { self.developers_with_address(project, address, None, 1)? } else { Vec::new() };
                let is_it = |row: &DeveloperRow| row.account.email.as_ref() == Some(address);
                Ok((first.into_iter().filter(is_it).collect(), Vec::new()))
            }
            Search::Name(words) => {
                let named = self.developers_called(project, words)?;
                Ok((named, self.developers_at(project, &words.to_lowercase(), after, limit)?))
            }
            Search::Words(words) => {
                let named = self.developers_called(project, words)?;
                let start = words.to_lowercase();
                let listed = if start.contains('.') && !self.begins_an_address(project, &start)? {
                    self.developers_at(project, &start, after, limit)?
                } else {
                    self.developers_with_address(project, &start, after, limit)?
                };
                Ok((named, listed))
            }
        }
    }

    fn newest_developers(&self, project: ProjectId, after: Option<i64>, limit: i64) -> Result<Vec<DeveloperRow>> {
        let sql = format!(
            "{} WHERE project_id = $1 AND erased_at_ms IS NULL AND id < $2 ORDER BY id DESC LIMIT $3",
            select()
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, after.unwrap_or(i64::MAX), limit], developer)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn developers_at(
        &self,
        project: ProjectId,
        domain: &str,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<DeveloperRow>> {
        let sql =
            format!("{} WHERE project_id = $1 AND email_domain = $2 AND id < $3 ORDER BY id DESC LIMIT $4", select());
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, domain, after.unwrap_or(i64::MAX), limit], developer)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn developers_with_address(
        &self,
        project: ProjectId,
        start: &str,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<DeveloperRow>> {
        // The account of the cursor may have been erased since: then there is nothing to go on from.
        let sql = "SELECT email FROM account WHERE project_id = $1 AND id = $2";
        let last: Option<String> = match after {
            None => Some(String::new()),
            Some(id) => {
                let mut statement = self.connection.prepare_cached(sql)?;
                statement.query_row(params![project.0, id], |row| row.get(0)).optional()?.flatten()
            }
        };
        let Some(last) = last else { return Ok(Vec::new()) };
        let sql = format!(
            "{} WHERE project_id = $1 AND email >= $2 AND email < $3 AND email > $4 ORDER BY email LIMIT $5",
            select()
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows =
            statement.query_map(params![project.0, start, format!("{start}{AFTER_ALL}"), last, limit], developer)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn begins_an_address(&self, project: ProjectId, start: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE project_id = $1 AND email >= $2 AND email < $3)";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, start, format!("{start}{AFTER_ALL}")], |row| row.get(0))?)
    }

    /// By the team's own id, and by a code, a revoked one too.
    fn developers_called(&self, project: ProjectId, words: &str) -> Result<Vec<DeveloperRow>> {
        let mut ids: Vec<i64> = Vec::new();
        for (sql, name) in [
            ("SELECT id FROM account WHERE project_id = $1 AND external_id = $2", words.to_owned()),
            ("SELECT account_id FROM code WHERE project_id = $1 AND code = $2", words.to_uppercase()),
        ] {
            let mut statement = self.connection.prepare_cached(sql)?;
            ids.extend(statement.query_row(params![project.0, name], |row| row.get::<_, i64>(0)).optional()?);
        }
        ids.dedup();
        ids.into_iter().map(|id| self.developer(project, AccountId(id))).collect()
    }

    /// Newest first, revoked ones too.
    pub fn codes_of(&self, project: ProjectId, owner: AccountId) -> Result<Vec<OwnedCode>> {
        // Each half has an index of its own.
        let half = |state| {
            format!(
                "SELECT id, code, uses_count, max_uses, created_at_ms, revoked_at_ms FROM code
                 WHERE project_id = $1 AND account_id = $2 AND revoked_at_ms {state}"
            )
        };
        let sql = format!("{} UNION ALL {} ORDER BY 1 DESC LIMIT 100", half("IS NULL"), half("IS NOT NULL"));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, owner.0], |row| {
            Ok(OwnedCode {
                code: row.get(1)?,
                uses_count: row.get(2)?,
                max_uses: row.get(3)?,
                created_at_ms: row.get(4)?,
                revoked_at_ms: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Newest first, those before `before` only.
    pub fn page_of_purchases(
        &self,
        project: ProjectId,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<BoughtRow>> {
        let sql = "SELECT id, purchase_id, gross_minor, currency, purchased_at_ms,
                          (SELECT coalesce(sum(amount_minor), 0) FROM refund
                           WHERE refund.project_id = purchase.project_id AND refund.purchase_id = purchase.purchase_id)
                   FROM purchase WHERE project_id = $1 AND account_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![project.0, account.0, before.unwrap_or(i64::MAX), limit], |row| {
            let (gross_minor, refunded): (i64, i64) = (row.get(2)?, row.get(5)?);
            Ok(BoughtRow {
                id: row.get(0)?,
                purchase_id: row.get(1)?,
                gross_minor,
                refunded_minor: refunded.min(gross_minor),
                currency: row.get(3)?,
                purchased_at_ms: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What was decided on the referral that brought an account in, and on the newest that it brought: newest first.
    pub fn decisions_about(&self, project: ProjectId, account: AccountId, limit: usize) -> Result<Vec<ListedDecision>> {
        let sql = "SELECT id, referral_id, rule, event, verdict, code, program_version, inputs, at_ms
                   FROM decision
                   WHERE project_id = $1 AND referral_id IN (
                     SELECT id FROM referral WHERE referee_id = $2
                     UNION ALL
                     SELECT id FROM (
                       SELECT id FROM referral WHERE referrer_id = $2 ORDER BY id DESC LIMIT 50) AS newest)
                   ORDER BY id DESC LIMIT $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![project.0, account.0, limit], |row| {
            Ok(ListedDecision {
                id: row.get(0)?,
                referral: ReferralId(row.get(1)?),
                rule: row.get(2)?,
                event: row.get(3)?,
                verdict: row.get(4)?,
                code: row.get(5)?,
                program_version: row.get(6)?,
                inputs: row.get(7)?,
                at_ms: row.get(8)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What an account owes. No spend changes that, so it is known beside a running server, too.
    pub fn debt(&self, project: ProjectId, account: AccountId) -> Result<i64> {
        let sql = "SELECT owed FROM balance JOIN account ON account.id = balance.account_id
                   WHERE account.project_id = $1 AND balance.account_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, account.0], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// A grant's reason, by its number.
    pub fn reason_of_grant(&self, project: ProjectId, seq: i64) -> Result<String> {
        let sql = "SELECT reason FROM entry WHERE project_id = $1 AND seq = $2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, seq], |row| row.get(0))?)
    }
}
