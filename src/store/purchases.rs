//! Purchases and refunds, by the team's own ids.

use super::referrals::Referral;
use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use rusqlite::{OptionalExtension, params};

#[derive(Debug, Clone)]
pub struct PurchaseRow {
    pub id: i64,
    pub account: AccountId,
    pub gross_minor: i64,
}

impl Snapshot<'_> {
    pub fn purchase(&self, project: ProjectId, purchase_id: &str) -> Result<Option<PurchaseRow>> {
        let sql = "SELECT id, account_id, gross_minor FROM purchase WHERE project_id = $1 AND purchase_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, purchase_id], |row| {
            Ok(PurchaseRow { id: row.get(0)?, account: AccountId(row.get(1)?), gross_minor: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// The largest purchase that a referee has made and that was told since they were referred, this one left out.
    pub fn largest_purchase_but(
        &self,
        project: ProjectId,
        referral: &Referral,
        purchase: i64,
        since_ms: i64,
    ) -> Result<Option<i64>> {
        let sql = "SELECT max(gross_minor) FROM purchase
                   WHERE project_id = $1 AND account_id = $2 AND id > $3 AND id <> $4 AND purchased_at_ms >= $5";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![project.0, referral.referee.0, referral.id.0, purchase, since_ms];
        Ok(statement.query_row(values, |row| row.get(0))?)
    }

    /// What an account had bought before it was referred, oldest first: the team's id, when it was, and the rest.
    pub fn purchases_before(&self, project: ProjectId, referral: &Referral) -> Result<Vec<(String, i64, PurchaseRow)>> {
        let sql = "SELECT purchase_id, purchased_at_ms, id, gross_minor FROM purchase
                   WHERE project_id = $1 AND account_id = $2 AND id < $3 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, referral.referee.0, referral.id.0], |row| {
            let purchase = PurchaseRow { id: row.get(2)?, account: referral.referee, gross_minor: row.get(3)? };
            Ok((row.get(0)?, row.get(1)?, purchase))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Everything that an account has bought, oldest first, by the team's ids.
    pub fn purchases_of(&self, project: ProjectId, account: AccountId) -> Result<Vec<(String, PurchaseRow)>> {
        let sql = "SELECT purchase_id, id, gross_minor FROM purchase
                   WHERE project_id = $1 AND account_id = $2 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, account.0], |row| {
            Ok((row.get(0)?, PurchaseRow { id: row.get(1)?, account, gross_minor: row.get(2)? }))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn refund_is_known(&self, project: ProjectId, refund_id: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM refund WHERE project_id = $1 AND refund_id = $2)";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, refund_id], |row| row.get(0))?)
    }

    /// All refunds of a purchase, those that came before it too. They may add up to more than the purchase.
    pub fn refunded_minor(&self, project: ProjectId, purchase_id: &str) -> Result<i64> {
        let sql = "SELECT amount_minor FROM refund WHERE project_id = $1 AND purchase_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![project.0, purchase_id])?;
        let mut sum = 0_i64;
        while let Some(row) = rows.next()? {
            sum = sum.saturating_add(row.get(0)?);
        }
        Ok(sum)
    }
}

impl Tx<'_> {
    pub fn add_purchase(
        &self,
        project: ProjectId,
        purchase_id: &str,
        account: AccountId,
        gross_minor: i64,
        currency: &str,
        purchased_at_ms: i64,
    ) -> Result<i64> {
        let id = self.next_key()?;
        let sql = "INSERT INTO purchase (id, project_id, purchase_id, account_id, gross_minor, currency,
                                         purchased_at_ms, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        self.connection.prepare_cached(sql)?.execute(params![
            id,
            project.0,
            purchase_id,
            account.0,
            gross_minor,
            currency,
            purchased_at_ms,
            self.now_ms(project)
        ])?;
        Ok(id)
    }

    /// `of_sum`: it has no id of its own, as only the sum of its charge was told.
    pub fn add_refund(
        &self,
        project: ProjectId,
        refund_id: &str,
        purchase_id: &str,
        amount_minor: i64,
        of_sum: bool,
    ) -> Result<()> {
        let sql = "INSERT INTO refund (id, project_id, refund_id, purchase_id, amount_minor, of_sum, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        self.connection.prepare_cached(sql)?.execute(params![
            self.next_key()?,
            project.0,
            refund_id,
            purchase_id,
            amount_minor,
            of_sum,
            self.now_ms(project)
        ])?;
        Ok(())
    }

    /// A refund that is told by its id is one of those that were known as part of a sum only, as far as these go.
    pub fn name_refunds_of_sums(&self, project: ProjectId, purchase_id: &str, amount_minor: i64) -> Result<()> {
        let sql =
            "SELECT id, amount_minor FROM refund WHERE project_id = $1 AND purchase_id = $2 AND of_sum = 1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let nameless = statement.query_map(params![project.0, purchase_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut left = amount_minor;
        for (id, known) in nameless.collect::<rusqlite::Result<Vec<(i64, i64)>>>()? {
            if known <= left {
                self.connection.prepare_cached("DELETE FROM refund WHERE id = $1")?.execute([id])?;
                left -= known;
            } else if left > 0 {
                let sql = "UPDATE refund SET amount_minor = amount_minor - $1 WHERE id = $2";
                self.connection.prepare_cached(sql)?.execute([left, id])?;
                left = 0;
            }
        }
        Ok(())
    }
}
