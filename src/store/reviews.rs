//! Referrals as operators look at them: what is held, everything that was decided, and what it has brought.

use super::fault::known;
use super::ledger::{LOT_COLUMNS, LOT_WIDTH, lot};
use super::referrals::{COLUMNS, Referral, referral};
use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::ledger::Lot;
use crate::domain::referral::Status;
use crate::domain::signal::REJECTED;
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use serde_json::Value;

/// One of the two sides of a referral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    pub id: AccountId,
    /// Nothing of an account that was erased.
    pub email: Option<String>,
    pub name: Option<String>,
    pub external_id: Option<String>,
}

/// A referral as operators see it.
#[derive(Debug, Clone)]
pub struct ReviewLine {
    pub referral: Referral,
    pub code: String,
    pub reason: Option<String>,
    pub cleared_at_ms: Option<i64>,
    pub rejected_at_ms: Option<i64>,
    pub referrer: Side,
    pub referee: Side,
    /// What its signals weigh together.
    pub weight: i64,
}

/// Which referrals to list.
#[derive(Debug, Clone, Default)]
pub struct ReviewFilter {
    pub status: Option<Status>,
    /// A code's row.
    pub code: Option<i64>,
    /// The keyed hash of an e-mail domain.
    pub household: Option<[u8; 32]>,
}

/// Something that was decided about a referral.
#[derive(Debug, Clone)]
pub struct DecisionRow {
    pub event: String,
    pub rule: String,
    pub program_version: i64,
    pub inputs: Value,
    pub verdict: String,
    pub code: String,
    pub at_ms: i64,
}

fn side(row: &Row<'_>, from: usize) -> rusqlite::Result<Side> {
    Ok(Side {
        id: AccountId(row.get(from)?),
        email: row.get(from + 1)?,
        name: row.get(from + 2)?,
        external_id: row.get(from + 3)?,
    })
}

fn line(row: &Row<'_>) -> rusqlite::Result<ReviewLine> {
    Ok(ReviewLine {
        referral: referral(row)?,
        code: row.get(10)?,
        reason: row.get(11)?,
        cleared_at_ms: row.get(12)?,
        rejected_at_ms: row.get(13)?,
        weight: row.get(14)?,
        referrer: side(row, 15)?,
        referee: side(row, 19)?,
    })
}

fn select() -> String {
    format!(
        "SELECT {COLUMNS}, code.code, referral.reason, referral.cleared_at_ms, referral.rejected_at_ms,
                (SELECT coalesce(sum(weight), 0) FROM signal WHERE signal.referral_id = referral.id),
                referrer.id, referrer.email, referrer.name, referrer.external_id,
                referee.id, referee.email, referee.name, referee.external_id
         FROM referral JOIN code ON code.id = referral.code_id
           JOIN account AS referrer ON referrer.id = referral.referrer_id
           JOIN account AS referee ON referee.id = referral.referee_id"
    )
}

impl ReviewFilter {
    /// As conditions, after a first one on the project; with their parameters.
    fn conditions(&self) -> (String, Vec<Sql>) {
        let is_narrow = self.code.is_some() || self.household.is_some();
        // The narrowest first, and by it alone the rows are found.
        let status = if is_narrow { "+referral.status" } else { "referral.status" };
        let given = [
            ("referral.code_id", self.code.map(Sql::from)),
            ("referral.referee_household", self.household.map(|hash| hash.to_vec().into())),
            (status, self.status.map(|status| status.as_str().to_owned().into())),
        ];
        let (mut conditions, mut values) = (vec!["referral.project_id = $1".to_owned()], Vec::new());
        for (column, value) in given.into_iter().filter_map(|(column, value)| Some((column, value?))) {
            values.push(value);
            conditions.push(format!("{column} = ${}", values.len() + 1));
        }
        let conditions = conditions.join(" AND ");
        (conditions, values)
    }
}

impl Snapshot<'_> {
    /// A referral of the project. `NotFound`.
    pub fn referral(&self, project: ProjectId, id: ReferralId) -> Result<Referral> {
        let sql = format!("SELECT {COLUMNS} FROM referral WHERE id = $1 AND project_id = $2");
        let found = self.connection.prepare_cached(&sql)?.query_row(params![id.0, project.0], referral).optional()?;
        found.ok_or_else(|| Error::not_found("There is no such referral."))
    }

    /// `NotFound`.
    pub fn review(&self, project: ProjectId, id: ReferralId) -> Result<ReviewLine> {
        let sql = format!("{} WHERE referral.id = $1 AND referral.project_id = $2", select());
        let found = self.connection.prepare_cached(&sql)?.query_row(params![id.0, project.0], line).optional()?;
        found.ok_or_else(|| Error::not_found("There is no such referral."))
    }

    /// Newest first, those before `before` only.
    pub fn reviews(
        &self,
        project: ProjectId,
        filter: &ReviewFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<ReviewLine>> {
        let (conditions, values) = filter.conditions();
        let next = values.len() + 2;
        let sql = format!(
            "{} WHERE {conditions} AND referral.id < ${next} ORDER BY referral.id DESC LIMIT ${}",
            select(),
            next + 1
        );
        let bound = std::iter::once(Sql::from(project.0)).chain(values);
        let bound = bound.chain([before.unwrap_or(i64::MAX).into(), limit.into()]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(bound), line)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The referrals of a filter that are not rejected, oldest first, so many at most.
    pub fn open_referrals(&self, project: ProjectId, filter: &ReviewFilter, most: i64) -> Result<Vec<ReferralId>> {
        let (conditions, values) = ReviewFilter { status: None, ..filter.clone() }.conditions();
        let sql = format!(
            "SELECT referral.id FROM referral WHERE {conditions} AND +referral.status <> 'rejected'
             ORDER BY referral.id LIMIT ${}",
            values.len() + 2
        );
        let bound = std::iter::once(Sql::from(project.0)).chain(values).chain([most.into()]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(bound), |row| row.get(0).map(ReferralId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How many referrals of a filter operators have rejected.
    pub fn rejected_by_operators(&self, project: ProjectId, filter: &ReviewFilter) -> Result<i64> {
        let (conditions, values) = ReviewFilter { status: None, ..filter.clone() }.conditions();
        let sql = format!(
            "SELECT count(*) FROM referral WHERE {conditions} AND +referral.status = 'rejected'
             AND referral.reason = ${}",
            values.len() + 2
        );
        let bound = std::iter::once(Sql::from(project.0)).chain(values).chain([REJECTED.to_owned().into()]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params_from_iter(bound), |row| row.get(0))?)
    }

    /// How many referrals wait for an operator.
    pub fn held_count(&self, project: ProjectId) -> Result<i64> {
        let sql = "SELECT count(*) FROM referral WHERE project_id = $1 AND status = 'review'";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?)
    }

    /// Everything that was decided about a referral, oldest first.
    pub fn decisions(&self, project: ProjectId, referral: ReferralId) -> Result<Vec<DecisionRow>> {
        let sql = "SELECT event, rule, program_version, inputs, verdict, code, at_ms FROM decision
                   WHERE project_id = $1 AND referral_id = $2 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, referral.0], |row| {
            let inputs: String = row.get(3)?;
            Ok(DecisionRow {
                event: row.get(0)?,
                rule: row.get(1)?,
                program_version: row.get(2)?,
                inputs: known(serde_json::from_str(&inputs).ok())?,
                verdict: row.get(4)?,
                code: row.get(5)?,
                at_ms: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether an operator has cleared a referral: then no signal holds it.
    pub fn is_cleared(&self, project: ProjectId, referral: ReferralId) -> Result<bool> {
        let sql = "SELECT cleared_at_ms IS NOT NULL FROM referral WHERE id = $1 AND project_id = $2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![referral.0, project.0], |row| row.get(0))?)
    }

    /// Why a referral is held or rejected.
    pub fn referral_reason(&self, project: ProjectId, referral: ReferralId) -> Result<Option<String>> {
        let sql = "SELECT reason FROM referral WHERE id = $1 AND project_id = $2";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![referral.0, project.0], |row| row.get(0))?)
    }
}

/// A grant of a referral's, with what it was decided by.
#[derive(Debug, Clone)]
pub struct ReferralLot {
    pub lot: Lot,
    pub reason: String,
    pub decision: Option<i64>,
    pub program_version: Option<i64>,
}

impl Snapshot<'_> {
    /// What a referral has brought to its two accounts, oldest first. What is left of it is right where the accounts'
    /// rows are complete.
    pub fn all_lots_of_referral(&self, project: ProjectId, referral: ReferralId) -> Result<Vec<ReferralLot>> {
        let sql = format!(
            "SELECT {LOT_COLUMNS}, entry.reason, entry.program_version FROM lot JOIN entry ON entry.seq = lot.seq
             WHERE lot.referral_id = $1 AND lot.project_id = $2 ORDER BY lot.seq"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![referral.0, project.0], |row| {
            Ok(ReferralLot {
                lot: lot(row, 0)?,
                decision: row.get(LOT_WIDTH - 1)?,
                reason: row.get(LOT_WIDTH)?,
                program_version: row.get(LOT_WIDTH + 1)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether a referral that was rejected has made room for another one meanwhile: of the same person, or of the same
    /// household by the same referrer.
    pub fn has_successor(&self, project: ProjectId, referral: ReferralId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM referral AS other JOIN referral AS own ON own.id = $1
                     WHERE other.project_id = $2 AND other.referee_mailbox = own.referee_mailbox
                       AND other.id <> own.id AND other.status <> 'rejected')
                   OR EXISTS (SELECT 1 FROM referral AS other JOIN referral AS own ON own.id = $1
                     WHERE other.referrer_id = own.referrer_id AND other.referee_household = own.referee_household
                       AND other.project_id = $2 AND other.id <> own.id AND other.status <> 'rejected')";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![referral.0, project.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Puts a referral under review, rejects it, or has it go on from where it has got to. Nothing of what it brought
    /// vests while it is under review, so both sides' holdings are read again.
    pub fn set_standing(
        &self,
        project: ProjectId,
        referral: &Referral,
        status: Status,
        reason: Option<&str>,
    ) -> Result<Referral> {
        self.complete_rows(referral.referrer)?;
        self.complete_rows(referral.referee)?;
        let now_ms = self.now_ms(project);
        let lives = !matches!(status, Status::Review | Status::Rejected);
        let sql = "UPDATE referral SET status = $1, reason = $2, rejected_at_ms = $3,
                     cleared_at_ms = CASE WHEN $4 THEN $5 ELSE cleared_at_ms END
                   WHERE project_id = $6 AND id = $7";
        let changed = self.connection.prepare_cached(sql)?.execute(params![
            status.as_str(),
            reason,
            (status == Status::Rejected).then_some(now_ms),
            lives,
            now_ms,
            project.0,
            referral.id.0
        ])?;
        if changed != 1 {
            return Err(Error::internal(format!("{} is gone", referral.id)));
        }
        self.staging.borrow_mut().note_figures(referral.referrer);
        self.staging.borrow_mut().note_board();
        let mut changed = referral.clone();
        changed.progress.status = status;
        self.keep(changed)
    }
}
