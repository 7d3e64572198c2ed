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

/// That an account has accepted an agreement.
#[derive(Debug, Clone)]
pub struct Acceptance {
    pub id: i64,
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
    /// Whose key made it, and its mode; `None` where Stripe did not say.
    pub platform: Option<String>,
}

const COLUMNS: &str = "account_id, stripe_account_id, refused, ready, missing, told_at_ms, bank_refusal, platform";

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
        platform: row.get(7)?,
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

    /// Each time that an account has signed, newest first, those before `before` only.
    pub fn acceptances(
        &self,
        project: ProjectId,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Acceptance>> {
        let sql = "SELECT id, version, signature, signed_at_ms FROM agreement_acceptance
                   WHERE account_id = $1 AND project_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![account.0, project.0, before.unwrap_or(i64::MAX), limit], |row| {
            Ok(Acceptance { id: row.get(0)?, version: row.get(1)?, signature: row.get(2)?, signed_at_ms: row.get(3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
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

    /// Stripe would not pay to the account: it is not ready until Stripe says so, now or later. The time of its last word
    /// stays, as this one's own is not known.
    pub fn set_stripe_unready(&self, project: ProjectId, account: AccountId, id: &str, why: &str) -> Result<()> {
        let sql = "UPDATE stripe_account SET ready = 0, missing = json_array($1)
                   WHERE account_id = $2 AND project_id = $3 AND stripe_account_id = $4";
        self.connection.prepare_cached(sql)?.execute(params![why, account.0, project.0, id])?;
        Ok(())
    }

    /// Whose key has made the account.
    pub fn set_stripe_platform(&self, project: ProjectId, account: AccountId, platform: &str) -> Result<()> {
        let sql = "UPDATE stripe_account SET platform = $1 WHERE account_id = $2 AND project_id = $3";
        self.connection.prepare_cached(sql)?.execute(params![platform, account.0, project.0])?;
        Ok(())
    }

    /// Stripe would not make the account: the next try goes under another key. One that is there by now stays.
    pub fn note_stripe_refusal(&self, project: ProjectId, account: AccountId) -> Result<()> {
        let sql = "INSERT INTO stripe_account (account_id, project_id, refused) VALUES ($1, $2, 1)
                   ON CONFLICT (account_id) DO UPDATE SET refused = stripe_account.refused + 1
                   WHERE stripe_account.stripe_account_id IS NULL";
        self.connection.prepare_cached(sql)?.execute(params![account.0, project.0])?;
        Ok(())
    }

    /// Stripe has this account no more: the next one is made under another key.
    pub fn forget_stripe_account(&self, project: ProjectId, account: AccountId, id: &str) -> Result<()> {
        let sql =
            "UPDATE stripe_account SET refused = refused + 1, stripe_account_id = NULL, ready = 0, missing = '[]',
                          told_at_ms = 0, bank_refusal = NULL, bank_told_at_ms = 0, platform = NULL
                   WHERE account_id = $1 AND project_id = $2 AND stripe_account_id = $3";
        self.connection.prepare_cached(sql)?.execute(params![account.0, project.0, id])?;
        Ok(())
    }

    /// The project's key is of another Stripe account by now: sets this one aside for when its key comes back, and takes
    /// up the one that there was under the present key, if there was one.
    pub fn change_stripe_platform(&self, project: ProjectId, known: &StripeAccount, platform: &str) -> Result<()> {
        let (Some(id), Some(before)) = (&known.stripe_account, &known.platform) else { return Ok(()) };
        let account = known.account.0;
        let sql = "INSERT INTO former_stripe_account (account_id, platform, stripe_account_id) VALUES ($1, $2, $3)
                   ON CONFLICT (account_id, platform) DO UPDATE SET stripe_account_id = excluded.stripe_account_id";
        self.connection.prepare_cached(sql)?.execute(params![account, before, id])?;
        self.forget_stripe_account(project, known.account, id)?;
        let sql = "UPDATE stripe_account SET platform = $1, stripe_account_id = (
                     SELECT former.stripe_account_id FROM former_stripe_account AS former
                     WHERE former.account_id = $2 AND former.platform = $1)
                   WHERE account_id = $2 AND project_id = $3";
        self.connection.prepare_cached(sql)?.execute(params![platform, account, project.0])?;
        let sql = "DELETE FROM former_stripe_account WHERE account_id = $1 AND platform = $2";
        self.connection.prepare_cached(sql)?.execute(params![account, platform])?;
        Ok(())
    }

    /// None of them comes back.
    pub fn forget_former_stripe_accounts(&self, account: AccountId) -> Result<()> {
        let sql = "DELETE FROM former_stripe_account WHERE account_id = $1";
        self.connection.prepare_cached(sql)?.execute(params![account.0])?;
        Ok(())
    }

    /// Notes whether the bank took money from Stripe, and when Stripe said so. An earlier word changes nothing: `false`.
    pub fn note_bank(
        &self,
        project: ProjectId,
        account: AccountId,
        refusal: Option<&str>,
        told_at_ms: i64,
    ) -> Result<bool> {
        let sql = "UPDATE stripe_account SET bank_refusal = $1, bank_told_at_ms = $2
                   WHERE account_id = $3 AND project_id = $4 AND bank_told_at_ms <= $2";
        let values = params![refusal, told_at_ms, account.0, project.0];
        Ok(self.connection.prepare_cached(sql)?.execute(values)? > 0)
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
        self.forget_former_stripe_accounts(account)
    }
}
