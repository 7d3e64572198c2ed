//! Why something was granted or refused.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::reward::Verdict;
use rusqlite::params;

pub struct NewDecision<'a> {
    pub referral: ReferralId,
    pub purchase: Option<i64>,
    pub program_version: i64,
    pub event: &'a str,
    pub rule: &'a str,
    pub inputs: &'a serde_json::Value,
    pub verdict: Verdict,
    pub code: &'a str,
    pub basis_points: Option<u32>,
}

/// What has become of a rule so far.
pub struct DecidedRule {
    pub rule: String,
    /// It has paid at least once.
    pub paid: bool,
    /// It has only ever found purchases too small.
    pub too_small: bool,
}

/// A reward that was not given, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub rule: String,
    pub event: String,
    pub code: String,
    pub at_ms: i64,
}

impl Snapshot<'_> {
    /// What one of a referrer's referrals was refused, newest first.
    pub fn refusals(
        &self,
        project: ProjectId,
        referrer: AccountId,
        referral: ReferralId,
        limit: i64,
    ) -> Result<Vec<Refusal>> {
        let sql = "SELECT decision.rule, decision.event, decision.code, decision.at_ms
                   FROM decision JOIN referral ON referral.id = decision.referral_id
                   WHERE decision.project_id = $1 AND referral.referrer_id = $2 AND decision.referral_id = $3
                     AND decision.verdict = 'refused'
                   ORDER BY decision.id DESC LIMIT $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, referrer.0, referral.0, limit], |row| {
            Ok(Refusal { rule: row.get(0)?, event: row.get(1)?, code: row.get(2)?, at_ms: row.get(3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The rules (by reason) that have been decided on for a referral.
    pub fn decided_rules(&self, project: ProjectId, referral: ReferralId) -> Result<Vec<DecidedRule>> {
        let sql = "SELECT rule, max(CASE verdict WHEN 'granted' THEN 1 ELSE 0 END),
                          min(CASE code WHEN 'below_min_purchase' THEN 1 ELSE 0 END)
                   FROM decision WHERE project_id = $1 AND referral_id = $2 GROUP BY rule";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, referral.0], |row| {
            Ok(DecidedRule { rule: row.get(0)?, paid: row.get(1)?, too_small: row.get(2)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The share that a grant was worked out with; `None` for a fixed amount.
    pub fn decided_share(&self, project: ProjectId, decision: i64) -> Result<Option<u32>> {
        let sql = "SELECT basis_points FROM decision WHERE project_id = $1 AND id = $2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, decision], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Records a decision. A rule that pays a second time is refused by the schema.
    pub fn add_decision(&self, project: ProjectId, new: &NewDecision<'_>) -> Result<i64> {
        let sql =
            "INSERT INTO decision (id, project_id, referral_id, purchase_id, program_version, event, rule, inputs,
                                         verdict, code, basis_points, at_ms)
                   SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM decision
                   RETURNING id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let id = statement.query_row(
            params![
                project.0,
                new.referral.0,
                new.purchase,
                new.program_version,
                new.event,
                new.rule,
                new.inputs.to_string(),
                new.verdict.as_str(),
                new.code,
                new.basis_points,
                self.now_ms(project)
            ],
            |row| row.get(0),
        );
        Ok(id?)
    }
}
