//! Referrals: referrer, referee, code, status.

use super::fault::known;
use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::referral::{Identity, Progress, Status};
use rusqlite::{Connection, OptionalExtension, Row, params};

#[derive(Debug, Clone)]
pub struct Referral {
    pub id: ReferralId,
    pub referrer: AccountId,
    pub referee: AccountId,
    pub signed_up_at_ms: i64,
    /// When the code was used; the account may be older.
    pub applied_at_ms: i64,
    pub progress: Progress,
    /// The version of the program by which the referee's calls were last looked at.
    pub judged_version: i64,
}

pub struct NewReferral<'a> {
    pub code: i64,
    pub referrer: AccountId,
    pub referee: AccountId,
    /// The abuse rule that stands against it.
    pub rejected: Option<&'a str>,
    pub identity: Option<&'a Identity>,
    pub signed_up_at_ms: i64,
    pub program_version: i64,
}

/// A referral as its referrer sees it.
#[derive(Debug, Clone)]
pub struct ReferralLine {
    pub referral: Referral,
    pub code: String,
    pub email: Option<String>,
    pub reason: Option<String>,
}

/// A referral as the project's own server sees it: accounts by the team's ids.
#[derive(Debug, Clone)]
pub struct CustomerReferral {
    pub id: ReferralId,
    pub referee: AccountId,
    pub referee_external_id: Option<String>,
    pub progress: Progress,
    pub reason: Option<String>,
    pub applied_at_ms: i64,
}

pub(super) const COLUMNS: &str = "referral.id, referral.referrer_id, referral.referee_id, referral.signed_up_at_ms,
                       referral.status, referral.first_call_at_ms, referral.active_at_ms, referral.converted_at_ms,
                       referral.judged_version, referral.applied_at_ms";

pub(super) fn referral(row: &Row<'_>) -> rusqlite::Result<Referral> {
    Ok(Referral {
        id: ReferralId(row.get(0)?),
        referrer: AccountId(row.get(1)?),
        referee: AccountId(row.get(2)?),
        signed_up_at_ms: row.get(3)?,
        progress: Progress {
            status: known(Status::parse(row.get_ref(4)?.as_str()?))?,
            first_call_at_ms: row.get(5)?,
            active_at_ms: row.get(6)?,
            converted_at_ms: row.get(7)?,
        },
        judged_version: row.get(8)?,
        applied_at_ms: row.get(9)?,
    })
}

const CUSTOMER_SELECT: &str = "SELECT referral.id, referee_id, account.external_id, referral.status,
                                      referral.first_call_at_ms, referral.active_at_ms, referral.converted_at_ms,
                                      referral.reason, referral.applied_at_ms
                               FROM referral JOIN account ON account.id = referral.referee_id";

fn customer_referral(row: &Row<'_>) -> rusqlite::Result<CustomerReferral> {
    Ok(CustomerReferral {
        id: ReferralId(row.get(0)?),
        referee: AccountId(row.get(1)?),
        referee_external_id: row.get(2)?,
        progress: Progress {
            status: known(Status::parse(row.get_ref(3)?.as_str()?))?,
            first_call_at_ms: row.get(4)?,
            active_at_ms: row.get(5)?,
            converted_at_ms: row.get(6)?,
        },
        reason: row.get(7)?,
        applied_at_ms: row.get(8)?,
    })
}

/// The referral that brought this account in, rejected ones too.
pub(super) fn of_referee(connection: &Connection, referee: AccountId) -> Result<Option<Referral>> {
    let sql = format!("SELECT {COLUMNS} FROM referral WHERE referee_id = $1");
    Ok(connection.prepare_cached(&sql)?.query_row(params![referee.0], referral).optional()?)
}

impl Snapshot<'_> {
    /// The referral that brought this account in, rejected ones too.
    pub fn referral_of(&self, project: ProjectId, referee: AccountId) -> Result<Option<Referral>> {
        Ok(self.with_holdings(project, referee, |has| has.referral().cloned())?.flatten())
    }

    pub fn mailbox_was_referred(&self, project: ProjectId, identity: &Identity) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM referral
                   WHERE project_id = $1 AND referee_mailbox = $2 AND status <> 'rejected')";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0, identity.mailbox], |row| row.get(0))?)
    }

    pub fn household_was_referred(&self, project: ProjectId, referrer: AccountId, identity: &Identity) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM referral WHERE project_id = $1
                   AND referrer_id = $2 AND referee_household = $3 AND status <> 'rejected')";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, referrer.0, identity.household], |row| row.get(0))?)
    }

    /// Newest first, those before `before` only.
    pub fn referrals(
        &self,
        project: ProjectId,
        referrer: AccountId,
        status: Option<Status>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<ReferralLine>> {
        let sql = format!(
            "SELECT {COLUMNS}, code.code, account.email, referral.reason
             FROM referral JOIN code ON code.id = referral.code_id JOIN account ON account.id = referral.referee_id
             WHERE referral.project_id = $1 AND referral.referrer_id = $2 AND referral.id < $3
               AND ($4 IS NULL OR referral.status = $4)
             ORDER BY referral.id DESC LIMIT $5"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(
            params![project.0, referrer.0, before.unwrap_or(i64::MAX), status.map(Status::as_str), limit],
            |row| {
                Ok(ReferralLine {
                    referral: referral(row)?,
                    code: row.get(10)?,
                    email: row.get(11)?,
                    reason: row.get(12)?,
                })
            },
        )?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Those that came through one code of their referrer, newest first, the first `offset` of them left out.
    pub fn referrals_of_code(
        &self,
        project: ProjectId,
        referrer: AccountId,
        code: i64,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<CustomerReferral>> {
        let sql = format!(
            "{CUSTOMER_SELECT} WHERE referral.project_id = $1 AND referral.referrer_id = $2 AND referral.code_id = $3
             ORDER BY referral.id DESC LIMIT $4 OFFSET $5"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, referrer.0, code, limit, offset], customer_referral)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The referral that brought this account in, rejected ones too.
    pub fn customer_referral_of(&self, project: ProjectId, referee: AccountId) -> Result<Option<CustomerReferral>> {
        let sql = format!("{CUSTOMER_SELECT} WHERE referral.project_id = $1 AND referral.referee_id = $2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![project.0, referee.0], customer_referral).optional()?)
    }
}

impl Tx<'_> {
    pub fn add_referral(&self, project: ProjectId, new: &NewReferral<'_>) -> Result<ReferralId> {
        // What is known of the referee is read again.
        self.complete_rows(new.referee)?;
        self.staging.borrow_mut().note_figures(new.referrer);
        self.staging.borrow_mut().note_board();
        let id = ReferralId(self.next_key()?);
        let status = if new.rejected.is_some() { Status::Rejected } else { Status::SignedUp };
        let sql =
            "INSERT INTO referral (id, project_id, code_id, referrer_id, referee_id, status, reason, referee_mailbox,
                                         referee_household, signed_up_at_ms, applied_at_ms, rejected_at_ms,
                                         judged_version)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        self.connection.prepare_cached(sql)?.execute(params![
            id.0,
            project.0,
            new.code,
            new.referrer.0,
            new.referee.0,
            status.as_str(),
            new.rejected,
            new.identity.map(|identity| identity.mailbox),
            new.identity.map(|identity| identity.household),
            new.signed_up_at_ms,
            self.now_ms(project),
            new.rejected.map(|_| self.now_ms(project)),
            new.program_version
        ])?;
        Ok(id)
    }

    /// The referral's calls have been looked at by this version of the program.
    pub fn set_judged_version(&self, project: ProjectId, referral: &Referral, version: i64) -> Result<Referral> {
        let sql = "UPDATE referral SET judged_version = $1 WHERE project_id = $2 AND id = $3";
        self.connection.prepare_cached(sql)?.execute(params![version, project.0, referral.id.0])?;
        self.keep(Referral { judged_version: version, ..referral.clone() })
    }

    pub fn set_progress(&self, project: ProjectId, referral: &Referral, progress: &Progress) -> Result<Referral> {
        let sql = "UPDATE referral SET status = $1, first_call_at_ms = $2, active_at_ms = $3, converted_at_ms = $4
                   WHERE project_id = $5 AND id = $6";
        let changed = self.connection.prepare_cached(sql)?.execute(params![
            progress.status.as_str(),
            progress.first_call_at_ms,
            progress.active_at_ms,
            progress.converted_at_ms,
            project.0,
            referral.id.0
        ])?;
        if changed != 1 {
            return Err(Error::internal(format!("{} is gone", referral.id)));
        }
        self.staging.borrow_mut().note_figures(referral.referrer);
        let counts = |status| !matches!(status, Status::Rejected | Status::Review);
        if counts(referral.progress.status) != counts(progress.status) {
            self.staging.borrow_mut().note_board();
        }
        self.keep(Referral { progress: *progress, ..referral.clone() })
    }

    /// The referee's account in memory says the same as the row from now on.
    pub(super) fn keep(&self, referral: Referral) -> Result<Referral> {
        let (kept, referee) = (referral.clone(), referral.referee);
        let mut staging = self.staging.borrow_mut();
        staging.change(self.connection, self.shared, referee, |has| has.set_referral(kept))?;
        Ok(referral)
    }
}
