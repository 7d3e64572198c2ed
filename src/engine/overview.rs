//! What an account sees of itself beside its figures: its code, the program, what is to come, what was refused.

use super::Engine;
use super::partner_desk::{self, PartnerGlance};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::ledger::Schedule;
use crate::store::{Account, Refusal, VersionedProgram};

/// An account's own code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnCode {
    Active {
        code: String,
        uses_count: i64,
        max_uses: Option<i64>,
    },
    /// The last one was revoked.
    Revoked(String),
    /// There never was one.
    None,
}

#[derive(Debug, Clone)]
pub struct Overview {
    pub account: Account,
    pub code: OwnCode,
    pub program: VersionedProgram,
    pub schedule: Schedule,
    /// The address is to be confirmed before there can be a code.
    pub is_unconfirmed: bool,
    pub sends_mail: bool,
    pub partner: Option<PartnerGlance>,
}

impl Engine {
    pub async fn overview(&self, project: ProjectId, account: AccountId) -> Result<Overview> {
        self.store
            .read(move |db| {
                let code = match db.active_code(project, account)? {
                    Some(row) => OwnCode::Active { code: row.code, uses_count: row.uses_count, max_uses: row.max_uses },
                    None => db.revoked_code(project, account)?.map_or(OwnCode::None, |row| OwnCode::Revoked(row.code)),
                };
                let now_ms = db.now_ms(project);
                let schedule = db.with_holdings(project, account, |has| Schedule::of(has.lots(), now_ms))?;
                Ok(Overview {
                    account: db.account(project, account)?,
                    code,
                    program: db.program(project)?,
                    schedule: schedule.unwrap_or_default(),
                    is_unconfirmed: db.is_unconfirmed(project, account)?,
                    sends_mail: db.sends_mail(project)?,
                    partner: partner_desk::glance(db, project, account)?,
                })
            })
            .await
    }

    /// The program that is in force.
    pub async fn program_of(&self, project: ProjectId) -> Result<VersionedProgram> {
        self.store.read(move |db| db.program(project)).await
    }

    /// Why each of these referrals was refused a reward, newest first, the last few; nothing for another's referrals.
    pub async fn refusals(
        &self,
        project: ProjectId,
        referrer: AccountId,
        referrals: Vec<ReferralId>,
    ) -> Result<Vec<Vec<Refusal>>> {
        const MOST: i64 = 20;
        let read = move |id: &ReferralId, db: &crate::store::Snapshot<'_>| db.refusals(project, referrer, *id, MOST);
        self.store.read(move |db| referrals.iter().map(|id| read(id, db)).collect()).await
    }
}
