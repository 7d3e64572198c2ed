//! Mail: what is to be written to whom, put into the outbox by what causes it, and put together when it is sent.
//!
//! A row of the outbox says what the letter is about. The address, the names and a link's token are found, or made, in
//! the transaction that begins the delivery: so they are never stored with it, and are as they are by then.

use super::rewards::{Granted, sum_for};
use super::{Engine, mask, secrets};
use crate::domain::access;
use crate::domain::delivery::DeliveryKind;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::referral::{Progress, Status};
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::store::{Delivery, NewDelivery, Project, Referral, Snapshot, TokenPurpose, Tx, VersionedProgram};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

const RESET_GOOD_MS: i64 = HOUR_MS;
const CONFIRM_GOOD_MS: i64 = 7 * DAY_MS;

/// A letter that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The same however often it is sent.
    pub id: String,
    pub to: String,
    pub name: Option<String>,
    pub project_name: String,
    /// Where the project's pages are, if that is not the server's own address.
    pub host: Option<String>,
    /// Path and query of the page where letters like this one can be declined.
    pub unsubscribe: Option<String>,
    /// When it was caused.
    pub at_ms: i64,
    pub content: LetterContent,
}

impl Letter {
    /// The name to address the reader by; none before the address is known to be whose it is said to be, as anyone can
    /// put any words there.
    pub fn addressee(&self) -> Option<&str> {
        let is_known = !matches!(self.content, LetterContent::ConfirmAddress { .. });
        self.name.as_deref().filter(|_| is_known)
    }
}

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterContent {
    ConfirmAddress {
        token: String,
    },
    ResetPassword {
        token: String,
        /// No link to this address was used before: keys and all else end with the new password.
        takes_over: bool,
    },
    PayoutRequested {
        payout: String,
        amount: String,
    },
    PayoutPaid {
        payout: String,
        amount: String,
    },
    PayoutRefused {
        payout: String,
        amount: String,
        reason: String,
    },
    Milestone {
        milestone: Milestone,
        /// The referee's address, masked; nothing when they have none any more.
        referee: Option<String>,
        /// In the words of the program.
        earned: Option<String>,
    },
}

/// What a referral has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    SignedUp,
    FirstCall,
    /// So many calls.
    Active(i64),
    Converted,
}

impl Milestone {
    fn as_str(self) -> &'static str {
        match self {
            Self::SignedUp => "signed_up",
            Self::FirstCall => "first_call",
            Self::Active(_) => "active",
            Self::Converted => "converted",
        }
    }
}

/// What the outbox keeps of a letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
enum Cause {
    ConfirmAddress,
    ResetPassword,
    PayoutRequested { payout: String, amount: String },
    PayoutPaid { payout: String, amount: String },
    PayoutRefused { payout: String, amount: String, reason: String },
    Milestone { milestone: Milestone, referee: String, earned: Option<String> },
}

fn queue(tx: &Tx<'_>, project: ProjectId, account: Option<AccountId>, once: Option<&str>, cause: &Cause) -> Result<()> {
    if !tx.sends_mail(project)? {
        return Ok(());
    }
    let body = serde_json::to_value(cause).map_err(|fault| Error::internal(format!("a letter's cause: {fault}")))?;
    tx.add_delivery(project, &NewDelivery { kind: DeliveryKind::Mail, account, once, body: &body })?;
    Ok(())
}

/// To nobody: a row that is written and dropped, so that who asks cannot tell.
pub fn confirm_address(tx: &Tx<'_>, project: ProjectId, account: Option<AccountId>) -> Result<()> {
    queue(tx, project, account, None, &Cause::ConfirmAddress)
}

/// To nobody: as with [`confirm_address`].
pub fn reset_password(tx: &Tx<'_>, project: ProjectId, account: Option<AccountId>) -> Result<()> {
    queue(tx, project, account, None, &Cause::ResetPassword)
}

/// A payout was requested. The amount is in the words of the program; one letter a payout, however often it is called.
pub fn payout_requested(tx: &Tx<'_>, project: ProjectId, account: AccountId, payout: &str, amount: &str) -> Result<()> {
    let cause = Cause::PayoutRequested { payout: payout.into(), amount: amount.into() };
    queue(tx, project, Some(account), Some(&format!("payout_requested/{payout}")), &cause)
}

/// [`payout_requested`] for one that was paid.
pub fn payout_paid(tx: &Tx<'_>, project: ProjectId, account: AccountId, payout: &str, amount: &str) -> Result<()> {
    let cause = Cause::PayoutPaid { payout: payout.into(), amount: amount.into() };
    queue(tx, project, Some(account), Some(&format!("payout_paid/{payout}")), &cause)
}

/// [`payout_requested`] for one that was refused, and why; the money is available again.
pub fn payout_refused(
    tx: &Tx<'_>,
    project: ProjectId,
    account: AccountId,
    payout: &str,
    amount: &str,
    reason: &str,
) -> Result<()> {
    let (payout_id, amount, reason) = (payout.to_owned(), amount.to_owned(), reason.to_owned());
    let cause = Cause::PayoutRefused { payout: payout_id, amount, reason };
    queue(tx, project, Some(account), Some(&format!("payout_refused/{payout}")), &cause)
}

/// Tells a referrer that someone has signed up with their code, and what that brought.
pub fn signed_up(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referrer: AccountId,
    referee: AccountId,
    granted: &[Granted],
) -> Result<()> {
    let Some(referral) = tx.referral_of(project, referee)? else { return Ok(()) };
    let earned = sum_for(granted, referrer);
    tell_referrer(tx, project, program, &referral, Milestone::SignedUp, earned)
}

/// Tells a referrer what a referral has reached, by what it `had` reached before, and what that brought. One letter of
/// what one event reaches, about the furthest; of calls only what the program pays for.
pub fn milestone(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: &Referral,
    had: Progress,
    granted: &[Granted],
) -> Result<()> {
    // What is held is not earned yet; the dashboard says so.
    if referral.progress.status == Status::Review {
        return Ok(());
    }
    let (has, earned) = (referral.progress, sum_for(granted, referral.referrer));
    let is_new = |had: Option<i64>, has: Option<i64>| had.is_none() && has.is_some();
    let milestone = if is_new(had.active_at_ms, has.active_at_ms) && earned > 0 {
        Milestone::Active(program.active_calls())
    } else if is_new(had.first_call_at_ms, has.first_call_at_ms) {
        if earned == 0 {
            return Ok(());
        }
        Milestone::FirstCall
    } else if is_new(had.converted_at_ms, has.converted_at_ms) {
        Milestone::Converted
    } else {
        return Ok(());
    };
    tell_referrer(tx, project, program, referral, milestone, earned)
}

fn tell_referrer(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: &Referral,
    milestone: Milestone,
    earned: i64,
) -> Result<()> {
    if !program.mail.milestones || !tx.sends_mail(project)? {
        return Ok(());
    }
    // Who signs in at the team's own app is the team's to write to.
    let reader = tx.find_account(project, referral.referrer)?;
    if !reader.is_some_and(|reader| reader.email.is_some() && reader.has_password)
        || !tx.wants_milestone_mail(project, referral.referrer)?
    {
        return Ok(());
    }
    let once = format!("{}/{}", milestone.as_str(), referral.id);
    let earned = (earned > 0).then(|| program.amount_text(earned));
    let cause = Cause::Milestone { milestone, referee: referral.referee.to_string(), earned };
    queue(tx, project, Some(referral.referrer), Some(&once), &cause)
}

/// Puts a letter together, in the transaction that begins its delivery. `None`: nobody is there to read it.
pub fn letter(tx: &Tx<'_>, delivery: &Delivery) -> Result<Option<Letter>> {
    let Some(account) = delivery.account else { return Ok(None) };
    composed(tx, delivery, account, |purpose, good_ms| new_token(tx, account, purpose, good_ms))
}

/// The same for who wants to see it before it is sent: its link leads nowhere.
pub fn letter_preview(db: &Snapshot<'_>, delivery: &Delivery) -> Result<Option<Letter>> {
    let Some(account) = delivery.account else { return Ok(None) };
    composed(db, delivery, account, |_, _| Ok("…".into()))
}

fn composed(
    tx: &Snapshot<'_>,
    delivery: &Delivery,
    account: AccountId,
    token: impl Fn(TokenPurpose, i64) -> Result<String>,
) -> Result<Option<Letter>> {
    let project = delivery.project;
    let Some(reader) = tx.find_account(project, account)? else { return Ok(None) };
    let Some(to) = reader.email.clone() else { return Ok(None) };
    let cause: Cause = serde_json::from_value(delivery.body.clone())
        .map_err(|fault| Error::internal(format!("{}: {fault}", delivery.id)))?;
    let mut unsubscribe = None;
    let content = match cause {
        Cause::ConfirmAddress if !tx.is_unconfirmed(project, account)? => return Ok(None),
        Cause::ConfirmAddress => {
            LetterContent::ConfirmAddress { token: token(TokenPurpose::Confirm, CONFIRM_GOOD_MS)? }
        }
        Cause::ResetPassword => {
            let token = token(TokenPurpose::Reset, RESET_GOOD_MS)?;
            LetterContent::ResetPassword { token, takes_over: !tx.is_address_proved(project, account)? }
        }
        Cause::PayoutRequested { payout, amount } => LetterContent::PayoutRequested { payout, amount },
        Cause::PayoutPaid { payout, amount } => LetterContent::PayoutPaid { payout, amount },
        Cause::PayoutRefused { payout, amount, reason } => LetterContent::PayoutRefused { payout, amount, reason },
        Cause::Milestone { .. } if !tx.wants_milestone_mail(project, account)? => return Ok(None),
        Cause::Milestone { milestone, referee, earned } => {
            unsubscribe = Some(unsubscribe_path(tx.pepper(), account));
            let referee: Option<AccountId> = referee.parse().ok();
            let referee = referee.map(|referee| tx.find_account(project, referee)).transpose()?.flatten();
            let referee = referee.and_then(|referee| referee.email).as_deref().and_then(mask);
            LetterContent::Milestone { milestone, referee, earned }
        }
    };
    let Project { name: project_name, host, .. } = tx.project(project)?;
    let (id, at_ms) = (delivery.id.to_string(), delivery.created_at_ms);
    Ok(Some(Letter { id, to, name: reader.name, project_name, host, unsubscribe, at_ms, content }))
}

/// A fresh token for a link in a letter; only its hash is stored.
fn new_token(tx: &Tx<'_>, account: AccountId, purpose: TokenPurpose, good_ms: i64) -> Result<String> {
    let token = secrets::fresh("")?;
    tx.add_mail_token(account, purpose, &access::secret_hash(&token), tx.machine_now_ms() + good_ms)?;
    Ok(token)
}

/// Proves that a link comes from a letter to this account. It is good for nothing but to decline letters.
fn unsubscribe_token(pepper: &[u8; 32], account: AccountId) -> String {
    let key = blake3::derive_key("refloop 2026 unsubscribe link", pepper);
    blake3::keyed_hash(&key, account.to_string().as_bytes()).to_hex()[..32].to_owned()
}

fn unsubscribe_path(pepper: &[u8; 32], account: AccountId) -> String {
    format!("/unsubscribe?account={account}&token={}", unsubscribe_token(pepper, account))
}

/// What an account gets in mail, for the page where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailChoice {
    pub project_name: String,
    pub milestones: bool,
}

/// The same for an account's own page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterChoice {
    pub milestones: bool,
    /// The program has such letters.
    pub are_written: bool,
    /// There is a server to send mail through.
    pub are_sent: bool,
}

/// `None` for who is not written to: without an address, or signed in by the team's own app.
pub fn own_choice(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<Option<LetterChoice>> {
    let reader = db.account(project, account)?;
    if reader.email.is_none() || !reader.has_password {
        return Ok(None);
    }
    Ok(Some(LetterChoice {
        milestones: db.wants_milestone_mail(project, account)?,
        are_written: db.program(project)?.mail.milestones,
        are_sent: db.sends_mail(project)?,
    }))
}

impl Engine {
    /// Whether an account wants to hear of milestones, as it says itself.
    pub async fn choose_own_letters(&self, project: ProjectId, account: AccountId, milestones: bool) -> Result<()> {
        self.store
            .write(move |tx| {
                tx.account(project, account)?;
                tx.set_milestone_mail(project, account, milestones)
            })
            .await
    }

    fn declined_by(&self, account: &str, token: &str) -> Result<AccountId> {
        let unknown = || Error::new(Kind::NotFound, "not_found", "This is not a link from one of our mails.");
        let account: AccountId = account.parse().map_err(|_| unknown())?;
        let right = unsubscribe_token(&self.store.instance().pepper, account);
        if bool::from(right.as_bytes().ct_eq(token.as_bytes())) { Ok(account) } else { Err(unknown()) }
    }

    /// `NotFound` for a link that is not from a mail, or to an account of another project, or that is gone.
    pub async fn mail_choice(&self, project: ProjectId, account: String, token: String) -> Result<MailChoice> {
        let account = self.declined_by(&account, &token)?;
        self.store.read(move |db| choice(db, project, account)).await
    }

    /// Whether the account wants to hear of milestones, by a link from a mail. `NotFound` as above.
    pub async fn choose_mail(
        &self,
        project: ProjectId,
        account: String,
        token: String,
        milestones: bool,
    ) -> Result<MailChoice> {
        let account = self.declined_by(&account, &token)?;
        self.store
            .write(move |tx| {
                tx.account(project, account)?;
                tx.set_milestone_mail(project, account, milestones)?;
                choice(tx, project, account)
            })
            .await
    }
}

fn choice(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<MailChoice> {
    let milestones = db.wants_milestone_mail(project, account)?;
    Ok(MailChoice { project_name: db.project(project)?.name, milestones })
}
