//! What speaks against referrals, and what it is found by: where accounts were seen today, how many signups there were
//! of late, which mailboxes a referrer has brought in.

use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::signal::{Company, REJECTED, Signal, SignalCode, Trace, TraceKind};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

/// A signal as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalRow {
    pub code: SignalCode,
    pub weight: i64,
    pub inputs: Value,
    pub program_version: i64,
    pub at_ms: i64,
}

/// Another referral of the same referrer.
#[derive(Debug, Clone)]
pub struct Sibling {
    pub referral: ReferralId,
    pub referee: AccountId,
    pub email: Option<String>,
    pub password_hash: Option<String>,
    pub is_held: bool,
    /// How long after the code was used the account was erased.
    pub erased_after_ms: Option<i64>,
}

impl Snapshot<'_> {
    /// Oldest first.
    pub fn signals(&self, project: ProjectId, referral: ReferralId) -> Result<Vec<SignalRow>> {
        let sql = "SELECT code, weight, inputs, program_version, at_ms FROM signal
                   WHERE project_id = $1 AND referral_id = $2 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, referral.0], |row| {
            let (code, inputs): (String, String) = (row.get(0)?, row.get(2)?);
            Ok((code, row.get(1)?, inputs, row.get(3)?, row.get(4)?))
        })?;
        let read = |row: rusqlite::Result<(String, i64, String, i64, i64)>| {
            let (code, weight, inputs, program_version, at_ms) = row?;
            let unreadable = || Error::internal(format!("a signal of {referral} does not read"));
            Ok(SignalRow {
                code: SignalCode::parse(&code).ok_or_else(unreadable)?,
                weight,
                inputs: serde_json::from_str(&inputs).map_err(|_| unreadable())?,
                program_version,
                at_ms,
            })
        };
        rows.map(read).collect()
    }

    /// What all signals of a referral weigh together.
    pub fn weight_of_signals(&self, project: ProjectId, referral: ReferralId) -> Result<i64> {
        let sql = "SELECT coalesce(sum(weight), 0) FROM signal WHERE project_id = $1 AND referral_id = $2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, referral.0], |row| row.get(0))?)
    }

    /// From where an account was seen today.
    pub fn sightings(&self, project: ProjectId, account: AccountId) -> Result<Vec<Trace>> {
        let sql = "SELECT trace FROM sighting WHERE account_id = $1 AND project_id = $2 AND kind = 'address'";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![account.0, project.0], |row| row.get(0).map(Trace))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether an account has left this trace today.
    pub fn has_left(&self, project: ProjectId, account: AccountId, trace: Trace) -> Result<bool> {
        let sql = "SELECT 1 FROM sighting WHERE project_id = $1 AND trace = $2 AND account_id = $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, trace.0, account.0], |_| Ok(())).optional()?.is_some())
    }

    /// The newest referrals whose referees have left a trace today, with their referrers; rejected ones left out.
    pub fn referrals_of_trace(
        &self,
        project: ProjectId,
        trace: Trace,
        most: i64,
    ) -> Result<Vec<(ReferralId, AccountId)>> {
        let sql = "SELECT referral.id, referral.referrer_id
                   FROM sighting JOIN referral ON referral.referee_id = sighting.account_id
                   WHERE sighting.project_id = $1 AND sighting.trace = $2 AND referral.status <> 'rejected'
                   ORDER BY sighting.account_id DESC LIMIT $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, trace.0, most], |row| {
            Ok((ReferralId(row.get(0)?), AccountId(row.get(1)?)))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What browsers that were signed in to an account are known by, if it was erased today.
    pub fn browsers_of_erased(&self, project: ProjectId, account: AccountId) -> Result<Vec<Trace>> {
        let sql = "SELECT trace FROM sighting WHERE account_id = $1 AND project_id = $2 AND kind = 'browser'";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![account.0, project.0], |row| row.get(0).map(Trace))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Those of a referrer's newest referrals that show a signal.
    pub fn referrals_showing(
        &self,
        project: ProjectId,
        referrer: AccountId,
        code: SignalCode,
        most: i64,
    ) -> Result<Vec<ReferralId>> {
        let sql =
            "SELECT referral.id FROM referral JOIN signal ON signal.referral_id = referral.id AND signal.code = $1
                   WHERE referral.project_id = $2 AND referral.referrer_id = $3 AND referral.status <> 'rejected'
                   ORDER BY referral.id DESC LIMIT $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![code.as_str(), project.0, referrer.0, most], |row| row.get(0).map(ReferralId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How it went with a referrer's newest referrals, those left out that a rule has refused.
    pub fn company(&self, project: ProjectId, referrer: AccountId, most: i64) -> Result<Company> {
        let sql = "SELECT status, cleared_at_ms IS NOT NULL FROM referral WHERE project_id = $1 AND referrer_id = $2
                     AND (status <> 'rejected' OR reason = $3) ORDER BY id DESC LIMIT $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![project.0, referrer.0, REJECTED, most])?;
        let mut company = Company::default();
        while let Some(row) = rows.next()? {
            company.all += 1;
            company.is_known |= row.get::<_, bool>(1)?;
            company.held += i64::from(matches!(row.get_ref(0)?.as_str().unwrap_or_default(), "review" | "rejected"));
        }
        Ok(company)
    }

    /// How many of the newest `most` signups with a code came after `since_ms`, rejected ones included.
    pub fn signups_with_code(&self, project: ProjectId, code: i64, since_ms: i64, most: i64) -> Result<i64> {
        let sql = "SELECT applied_at_ms FROM referral WHERE code_id = $1 AND project_id = $2 ORDER BY id DESC LIMIT $3";
        self.count_since(sql, params![code, project.0, most], since_ms)
    }

    /// [`Snapshot::signups_with_code`], those left out that are rejected or held.
    pub fn counted_with_code(&self, project: ProjectId, code: i64, since_ms: i64, most: i64) -> Result<i64> {
        let sql = "SELECT applied_at_ms FROM referral
                   WHERE code_id = $1 AND project_id = $2 AND status NOT IN ('rejected', 'review')
                   ORDER BY id DESC LIMIT $3";
        self.count_since(sql, params![code, project.0, most], since_ms)
    }

    /// [`Snapshot::signups_with_code`] for an e-mail domain, or a mailbox at a public provider; rejected ones left out.
    pub fn signups_of_household(
        &self,
        project: ProjectId,
        household: &[u8; 32],
        since_ms: i64,
        most: i64,
    ) -> Result<i64> {
        let sql = "SELECT applied_at_ms FROM referral
                   WHERE project_id = $1 AND referee_household = $2 AND status <> 'rejected' ORDER BY id DESC LIMIT $3";
        self.count_since(sql, params![project.0, household, most], since_ms)
    }

    fn count_since(&self, sql: &str, params: impl rusqlite::Params, since_ms: i64) -> Result<i64> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += i64::from(row.get::<_, i64>(0)? > since_ms);
        }
        Ok(count)
    }

    /// A referrer's newest referrals but this one, rejected ones left out.
    pub fn siblings(
        &self,
        project: ProjectId,
        referrer: AccountId,
        but: ReferralId,
        most: i64,
    ) -> Result<Vec<Sibling>> {
        let sql = "SELECT referral.id, account.id, account.email, account.password_hash, referral.status,
                     CASE WHEN account.erased_by IS NULL THEN account.erased_at_ms - referral.applied_at_ms END
                   FROM referral JOIN account ON account.id = referral.referee_id
                   WHERE referral.project_id = $1 AND referral.referrer_id = $2 AND referral.id <> $3
                     AND referral.status <> 'rejected'
                   ORDER BY referral.id DESC LIMIT $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, referrer.0, but.0, most], |row| {
            Ok(Sibling {
                referral: ReferralId(row.get(0)?),
                referee: AccountId(row.get(1)?),
                email: row.get(2)?,
                password_hash: row.get(3)?,
                is_held: row.get_ref(4)?.as_str()? == "review",
                erased_after_ms: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// `false` when the referral has such a signal already: the first one stands.
    pub fn add_signal(
        &self,
        project: ProjectId,
        referral: ReferralId,
        program_version: i64,
        signal: &Signal,
        weight: u32,
    ) -> Result<bool> {
        let sql = "INSERT INTO signal (id, project_id, referral_id, program_version, code, weight, inputs, at_ms)
                   SELECT (SELECT coalesce(max(id), 0) + 1 FROM signal), $1, $2, $3, $4, $5, $6, $7
                   WHERE NOT EXISTS (SELECT 1 FROM signal WHERE referral_id = $2 AND code = $4)";
        let added = self.connection.prepare_cached(sql)?.execute(params![
            project.0,
            referral.0,
            program_version,
            signal.code.as_str(),
            weight,
            signal.inputs.to_string(),
            self.now_ms(project)
        ])?;
        Ok(added > 0)
    }

    /// Notes a trace that an account has left. It goes with the day, also when the account is erased before.
    pub fn add_sighting(&self, project: ProjectId, account: AccountId, kind: TraceKind, trace: Trace) -> Result<()> {
        let sql = "INSERT INTO sighting (project_id, trace, account_id, kind) VALUES ($1, $2, $3, $4)
                   ON CONFLICT DO NOTHING";
        let row = params![project.0, trace.0, account.0, kind.as_str()];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// The day's key is gone, and what was hashed with it says nothing any more.
    pub(super) fn forget_all_sightings(&self) -> Result<()> {
        self.connection.execute("DELETE FROM sighting", [])?;
        Ok(())
    }
}
