//! The partner track: agreements, who accepted them, what can be paid out, and partners' accounts at Stripe.

use super::holdings::Written;
use super::projection;
use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::Lot;
use crate::domain::stripe::connect::AccountState;
use rusqlite::{OptionalExtension, Row, params};
use std::collections::HashSet;

/// One version of what partners agree to.
#[derive(Debug, Clone)]
pub struct Agreement {
    pub version: i64,
    /// Markdown.
    pub text: String,
}

/// The newest acceptance of an account.
#[derive(Debug, Clone)]
pub struct Acceptance {
    pub version: i64,
    pub signature: Option<String>,
    pub signed_at_ms: i64,
}

/// A partner's account at Stripe, as far as it is there.
#[derive(Debug, Clone)]
pub struct StripeAccount {
    pub account: AccountId,
    pub stripe_account: Option<String>,
    /// How often Stripe would not make it.
    pub refused: i64,
    pub ready: bool,
    /// In words.
    pub missing: Vec<String>,
    pub told_at_ms: i64,
    pub bank_refusal: Option<String>,
}

const COLUMNS: &str = "account_id, stripe_account_id, refused, ready, missing, told_at_ms, bank_refusal";

fn stripe_account(row: &Row<'_>) -> rusqlite::Result<StripeAccount> {
    let missing: String = row.get(4)?;
    Ok(StripeAccount {
        account: AccountId(row.get(0)?),
        stripe_account: row.get(1)?,
        refused: row.get(2)?,
        ready: row.get(3)?,
        missing: serde_json::from_str(&missing).unwrap_or_default(),
        told_at_ms: row.get(5)?,
        bank_refusal: row.get(6)?,
    })
}

impl Snapshot<'_> {
    /// The version in force.
    pub fn agreement(&self, project: ProjectId) -> Result<Agreement> {
        let sql = "SELECT version, body FROM partner_agreement WHERE project_id = $1 ORDER BY version DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement
            .query_row(params![project.0], |row| Ok(Agreement { version: row.get(0)?, text: row.get(1)? }))
            .optional()?;
        found.ok_or_else(|| Error::internal(format!("{project} has no partner agreement")))
    }

    pub fn agreement_text(&self, project: ProjectId, version: i64) -> Result<String> {
        let sql = "SELECT body FROM partner_agreement WHERE project_id = $1 AND version = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, version], |row| row.get(0)).optional()?;
        found.ok_or_else(|| Error::not_found("There is no such version."))
    }

    pub fn acceptance(&self, project: ProjectId, account: AccountId) -> Result<Option<Acceptance>> {
        let sql = "SELECT version, signature, signed_at_ms FROM agreement_acceptance
                   WHERE account_id = $1 AND project_id = $2 ORDER BY id DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![account.0, project.0], |row| {
            Ok(Acceptance { version: row.get(0)?, signature: row.get(1)?, signed_at_ms: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// The open lots that came to a referrer because a referee bought or subscribed: what partners are paid. A signup
    /// bonus, or a reward for anything that is no purchase, is not among them.
    pub fn commission_lots(&self, project: ProjectId, account: AccountId) -> Result<Vec<Lot>> {
        let commissions = self.open_commissions(project, account)?;
        // What has been spent since is known in memory alone.
        let open = |lots: &mut dyn Iterator<Item = Lot>| lots.filter(|lot| commissions.contains(&lot.seq)).collect();
        Ok(self.with_holdings(project, account, |has| open(&mut has.lots()))?.unwrap_or_default())
    }

    /// What an account owes, and [`Snapshot::commission_lots`], by the rows: also beside a running server, which alone knows
    /// what was spent within the last seconds.
    pub fn written_commissions(&self, project: ProjectId, account: AccountId) -> Result<(i64, Vec<Lot>)> {
        let commissions = self.open_commissions(project, account)?;
        let written = projection::load(self.connection, account)?.filter(|written| written.project == project);
        let Some(Written { totals, lots, .. }) = written else { return Ok((0, Vec::new())) };
        Ok((totals.owed, lots.into_iter().filter(|lot| commissions.contains(&lot.seq)).collect()))
    }

    fn open_commissions(&self, project: ProjectId, account: AccountId) -> Result<HashSet<i64>> {
        let sql = "SELECT lot.seq FROM lot JOIN decision ON decision.id = lot.decision_id
                     JOIN referral ON referral.id = lot.referral_id
                   WHERE lot.account_id = $1 AND lot.side <> 0 AND lot.project_id = $2
                     AND decision.event IN ('purchase', 'subscription') AND referral.referrer_id = lot.account_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![account.0, project.0], |row| row.get::<_, i64>(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// All commissions that an account ever got, less what was taken back of them, whichever lots paid for that, and less
    /// what is in payouts.
    pub fn unpaid_commissions(&self, project: ProjectId, account: AccountId) -> Result<i64> {
        let sql = "SELECT coalesce(sum(lot.granted - lot.reversed - lot.paid), 0)
                   FROM entry JOIN lot ON lot.seq = entry.seq JOIN decision ON decision.id = lot.decision_id
                     JOIN referral ON referral.id = lot.referral_id
                   WHERE entry.account_id = $1 AND entry.kind = 'grant' AND lot.project_id = $2
                     AND decision.event IN ('purchase', 'subscription') AND referral.referrer_id = lot.account_id";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![account.0, project.0], |row| row.get(0))?)
    }

    /// Whether an account was a partner then.
    pub fn was_partner_at(&self, project: ProjectId, account: AccountId, at_ms: i64) -> Result<bool> {
        // Where the clock has gone back, the later change counts.
        let sql = "SELECT track_change.track = 'partner' FROM track_change
                     JOIN account ON account.id = track_change.account_id
                   WHERE account.project_id = $1 AND track_change.account_id = $2 AND track_change.at_ms <= $3
                   ORDER BY track_change.id DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![project.0, account.0, at_ms], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or(false))
    }

    pub fn stripe_account(&self, project: ProjectId, account: AccountId) -> Result<Option<StripeAccount>> {
        let sql = format!("SELECT {COLUMNS} FROM stripe_account WHERE account_id = $1 AND project_id = $2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![account.0, project.0], stripe_account).optional()?)
    }

    /// Whose account at Stripe this is.
    pub fn stripe_account_called(&self, project: ProjectId, id: &str) -> Result<Option<StripeAccount>> {
        let sql = format!("SELECT {COLUMNS} FROM stripe_account WHERE project_id = $1 AND stripe_account_id = $2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![project.0, id], stripe_account).optional()?)
    }

    /// A secret.
    pub fn stripe_api_key(&self, project: ProjectId) -> Result<Option<String>> {
        let sql = "SELECT stripe_api_key FROM project WHERE id = $1";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Makes a text the version in force, unless it is already.
    pub fn set_agreement(&self, project: ProjectId, text: &str) -> Result<()> {
        let sql = "INSERT INTO partner_agreement (project_id, version, body, created_at_ms)
                   SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM partner_agreement WHERE project_id = $1
                   HAVING $2 IS DISTINCT FROM (
                     SELECT body FROM partner_agreement WHERE project_id = $1 ORDER BY version DESC LIMIT 1)";
        self.connection.prepare_cached(sql)?.execute(params![project.0, text, self.machine_now_ms()])?;
        Ok(())
    }

    pub fn add_acceptance(
        &self,
        project: ProjectId,
        account: AccountId,
        version: i64,
        signature: &str,
        address_hash: &[u8; 32],
    ) -> Result<()> {
        let sql = "INSERT INTO agreement_acceptance (id, project_id, account_id, version, signature, address_hash,
                                                     signed_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let (id, now_ms) = (self.next_key()?, self.now_ms(project));
        let values = params![id, project.0, account.0, version, signature, address_hash, now_ms];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    pub fn set_partner(&self, project: ProjectId, account: AccountId, partner: bool) -> Result<()> {
        let track = if partner { "partner" } else { "basic" };
        let sql = "UPDATE account SET track = $1 WHERE project_id = $2 AND id = $3 AND track <> $1";
        if self.connection.prepare_cached(sql)?.execute(params![track, project.0, account.0])? == 0 {
            return Ok(());
        }
        let sql = "INSERT INTO track_change (id, account_id, track, at_ms)
                   SELECT coalesce(max(id), 0) + 1, $1, $2, $3 FROM track_change";
        self.connection.prepare_cached(sql)?.execute(params![account.0, track, self.now_ms(project)])?;
        Ok(())
    }

    /// Notes what Stripe said of an account at that time, by its own clock. An earlier word changes nothing: `false`.
    pub fn note_stripe_account(
        &self,
        project: ProjectId,
        account: AccountId,
        state: &AccountState,
        told_at_ms: i64,
    ) -> Result<bool> {
        // Events are dated to the second; of two in the same one the later to come counts.
        let sql = "INSERT INTO stripe_account (account_id, project_id, stripe_account_id, ready, missing, told_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6)
                   ON CONFLICT (account_id) DO UPDATE SET
                     stripe_account_id = excluded.stripe_account_id, ready = excluded.ready,
                     missing = excluded.missing, told_at_ms = excluded.told_at_ms
                   WHERE stripe_account.told_at_ms / 1000 <= excluded.told_at_ms / 1000
                     AND coalesce(stripe_account.stripe_account_id, excluded.stripe_account_id)
                       = excluded.stripe_account_id";
        let missing = serde_json::to_string(&state.missing).unwrap_or_default();
        let values = params![account.0, project.0, state.id, state.payouts_enabled, missing, told_at_ms];
        Ok(self.connection.prepare_cached(sql)?.execute(values)? > 0)
    }

    /// Stripe would not make the account, or has none of that id: the next one is made under another key.
    pub fn forget_stripe_account(&self, project: ProjectId, account: AccountId) -> Result<()> {
        let sql = "INSERT INTO stripe_account (account_id, project_id, refused) VALUES ($1, $2, 1)
                   ON CONFLICT (account_id) DO UPDATE SET refused = stripe_account.refused + 1,
                     stripe_account_id = NULL, ready = 0, missing = '[]', told_at_ms = 0, bank_refusal = NULL";
        self.connection.prepare_cached(sql)?.execute(params![account.0, project.0])?;
        Ok(())
    }

    pub fn note_bank_refusal(&self, project: ProjectId, account: AccountId, reason: &str) -> Result<()> {
        let sql = "UPDATE stripe_account SET bank_refusal = $1 WHERE account_id = $2 AND project_id = $3";
        self.connection.prepare_cached(sql)?.execute(params![reason, account.0, project.0])?;
        Ok(())
    }

    /// Part of erasing an account: who signed, and which account at Stripe it was.
    pub(super) fn forget_partner(&self, account: AccountId) -> Result<()> {
        for sql in [
            "UPDATE agreement_acceptance SET signature = NULL, address_hash = NULL WHERE account_id = $1",
            "DELETE FROM stripe_account WHERE account_id = $1",
            "UPDATE payout SET request = '', destination = '',
                    failure = CASE WHEN failure IS NULL THEN NULL ELSE 'Stripe refused.' END WHERE account_id = $1",
        ] {
            self.connection.execute(sql, params![account.0])?;
        }
        Ok(())
    }
}
