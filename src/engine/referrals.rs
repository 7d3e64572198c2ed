//! Making referrals out of codes, and listing them.

use super::logins::Devices;
use super::rewards::{Granted, reward, sum_for};
use super::signals::Newcomer;
use super::{Arrival, Engine, confirmation, letters, signals, stripe};
use crate::domain::code::Code;
use crate::domain::email::{Email, identity_hash};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, EntryId, ProjectId, ReferralId};
use crate::domain::ledger::{Carried, EntryKind, line_status};
use crate::domain::referral::{self, Application, Identity, LateApplicant, Progress, Status};
use crate::domain::reward::{Event, Verdict};
use crate::domain::signal::TraceKind;
use crate::store::{Account, CodeRow, NewDecision, NewReferral, ReferralLine, Snapshot, Tx, VersionedProgram};

/// What became of a code that someone used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    Accepted {
        code: String,
        bonus_credits: i64,
    },
    /// Signals hold it: what it brings waits until an operator has looked at it.
    Held {
        code: String,
        bonus_credits: i64,
    },
    /// An abuse rule stands against it, by its stable code. The referral is kept, and no credits flow.
    Rejected {
        reason: &'static str,
    },
    /// It counts as soon as the e-mail address is confirmed.
    Awaiting {
        code: String,
    },
}

/// Makes `referee` the referral of the code's owner. The code has been found usable.
pub fn introduce(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    code: &CodeRow,
    referee: &Account,
    devices: &Devices,
) -> Result<Applied> {
    let (applied, granted) = introduce_silently(tx, project, program, code, referee, devices)?;
    if let Applied::Accepted { .. } = applied {
        letters::signed_up(tx, project, program, code.owner, referee.id, &granted)?;
    }
    Ok(applied)
}

/// [`introduce`] that tells the referrer nothing; with what the signup brought.
pub fn introduce_silently(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    code: &CodeRow,
    referee: &Account,
    devices: &Devices,
) -> Result<(Applied, Vec<Granted>)> {
    let strict = program.abuse.strict_domains;
    let referrer = tx.account(project, code.owner)?;
    let referee_identity = identity(tx, referee, strict)?;
    let application = Application {
        referrer: identity(tx, &referrer, strict)?,
        mutual: tx.referral_of(project, referrer.id)?.is_some_and(|referral| referral.referrer == referee.id),
        referred_before: match &referee_identity {
            Some(identity) => tx.mailbox_was_referred(project, identity)?,
            None => false,
        },
        household_used: match &referee_identity {
            Some(identity) => tx.household_was_referred(project, referrer.id, identity)?,
            None => false,
        },
        referee: referee_identity,
    };
    let rejected = application.abuse();
    let id = tx.add_referral(
        project,
        &NewReferral {
            code: code.id,
            referrer: referrer.id,
            referee: referee.id,
            rejected,
            identity: application.referee.as_ref(),
            signed_up_at_ms: referee.created_at_ms,
            program_version: program.version,
        },
    )?;
    if let Some(reason) = rejected {
        tx.add_decision(
            project,
            &NewDecision {
                referral: id,
                purchase: None,
                program_version: program.version,
                event: Event::Signup.as_str(),
                rule: "abuse",
                inputs: &application.inputs(),
                verdict: Verdict::Refused,
                code: reason,
                basis_points: None,
            },
        )?;
        return Ok((Applied::Rejected { reason }, Vec::new()));
    }
    tx.count_code_use(project, code.id)?;
    let referral =
        tx.referral_of(project, referee.id)?.ok_or_else(|| Error::internal("a referral that is not there"))?;
    let identity = application.referee.as_ref();
    let new = Newcomer { account: referee, identity, code: code.id, devices };
    signals::look_at_beginning(tx, project, program, &referral, &new)?;
    let referral = tx.referral(project, id)?;
    let granted = reward(tx, project, program, &referral, Event::Signup, None)?;
    // Their first purchase may have been told before there was an account of theirs: it counts now.
    stripe::catch_up(tx, project, referee.id)?;
    let (code, bonus_credits) = (code.code.clone(), sum_for(&granted, referee.id));
    let applied = match referral.progress.status {
        Status::Review => Applied::Held { code, bonus_credits },
        _ => Applied::Accepted { code, bonus_credits },
    };
    Ok((applied, granted))
}

/// Refuses an account that is there already a code: [`referral::may_apply`].
pub fn may_apply(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    code: Option<&CodeRow>,
    referee: &Account,
) -> Result<()> {
    let applicant = LateApplicant {
        has_referral: tx.referral_of(project, referee.id)?.is_some(),
        owns_code: code.is_some_and(|code| code.owner == referee.id),
        signed_up_at_ms: referee.created_at_ms,
        calls: tx.with_holdings(project, referee.id, |has| has.calls())?.unwrap_or(0),
    };
    referral::may_apply(applicant, program, tx.now_ms(project))
}

/// What the abuse rules compare, for an account that has an e-mail address.
fn identity(db: &Snapshot<'_>, account: &Account, strict_domains: bool) -> Result<Option<Identity>> {
    let Some(address) = &account.email else { return Ok(None) };
    let unreadable = |_| Error::internal(format!("{} has an address that does not parse", account.id));
    let email = Email::parse("email", address).map_err(unreadable)?;
    let hash = |identity: &str| identity_hash(db.pepper(), identity);
    Ok(Some(Identity {
        mailbox: hash(&email.mailbox()),
        household: hash(&email.household(strict_domains)),
        disposable: account.disposable,
    }))
}

/// A referral as its referrer sees it, with what it has brought.
#[derive(Debug, Clone)]
pub struct ReferralItem {
    pub id: ReferralId,
    pub masked_email: Option<String>,
    pub code: String,
    pub reason: Option<String>,
    pub signed_up_at_ms: i64,
    pub progress: Progress,
    pub credits: Vec<ReferralCredit>,
}

#[derive(Debug, Clone)]
pub struct ReferralCredit {
    pub id: EntryId,
    pub reason: String,
    pub amount: i64,
    /// What of it has been taken back.
    pub reversed: i64,
    /// What of it is still held.
    pub pending: i64,
    pub status: &'static str,
    pub vests_at_ms: i64,
}

/// One page of a list, and where the next one starts.
#[derive(Debug, Clone)]
pub struct ReferralPage {
    pub items: Vec<ReferralItem>,
    pub next: Option<i64>,
}

/// The mask under which others see an address that is in the file.
pub fn mask(address: &str) -> Option<String> {
    Email::parse("email", address).ok().map(|email| email.masked())
}

fn item(db: &Snapshot<'_>, project: ProjectId, referrer: AccountId, line: ReferralLine) -> Result<ReferralItem> {
    let lots = db.lots_of_referral(project, line.referral.id, referrer)?;
    let credit = |(lot, reason): (crate::domain::ledger::Lot, String)| {
        let carried = Carried { by: None, reserved: db.reserved(project, &lot)? };
        Ok(ReferralCredit {
            id: EntryId(lot.seq),
            reason,
            amount: lot.granted,
            reversed: lot.reversed,
            pending: lot.pending(db.now_ms(project)),
            status: line_status(EntryKind::Grant, &lot, carried, db.now_ms(project)),
            vests_at_ms: lot.vests_at_ms,
        })
    };
    Ok(ReferralItem {
        id: line.referral.id,
        masked_email: line.email.as_deref().and_then(mask),
        code: line.code,
        reason: line.reason,
        signed_up_at_ms: line.referral.signed_up_at_ms,
        progress: line.referral.progress,
        credits: lots.into_iter().map(credit).collect::<Result<_>>()?,
    })
}

impl Engine {
    /// A code entered after the signup. `Conflict` when it is too late or the second; `Invalid` for a code that
    /// cannot be used, or is one's own.
    pub async fn apply_code(
        &self,
        project: ProjectId,
        account: AccountId,
        code: Code,
        arrival: &Arrival,
    ) -> Result<Applied> {
        let seen = self.seen(project, arrival).await;
        self.store
            .write(move |tx| {
                let program = tx.program(project)?;
                let referee = tx.account(project, account)?;
                confirmation::require(tx, project, account)?;
                if let Some(address) = seen.address {
                    tx.add_sighting(project, account, TraceKind::Address, address)?;
                }
                let row = tx.code(project, &code)?;
                may_apply(tx, project, &program, row.as_ref(), &referee)?;
                referral::usable("code", row.as_ref().map(CodeRow::state), &program)?;
                let row = row.ok_or_else(|| Error::internal("a usable code without a row"))?;
                introduce(tx, project, &program, &row, &referee, &seen.devices)
            })
            .await
    }

    /// Newest first.
    pub async fn referrals(
        &self,
        project: ProjectId,
        referrer: AccountId,
        status: Option<Status>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<ReferralPage> {
        self.store
            .read_rows(project, referrer, move |db| {
                let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
                let mut lines = db.referrals(project, referrer, status, before, one_more)?;
                let more = lines.len() > limit;
                lines.truncate(limit);
                let next = if more { lines.last().map(|line| line.referral.id.0) } else { None };
                let items = lines.into_iter().map(|line| item(db, project, referrer, line));
                Ok(ReferralPage { items: items.collect::<Result<_>>()?, next })
            })
            .await
    }
}
