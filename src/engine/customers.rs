//! What a project's own server does for its customers: codes for them, and codes that they came with.

use super::accounts::known_as;
use super::audit::note_operator;
use super::codes::free_code;
use super::logins::Devices;
use super::referrals::introduce;
use super::{Engine, confirmation};
use crate::domain::audit::{Actor, action};
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::referral::{self, Progress};
use crate::domain::time::DAY_MS;
use crate::store::{Account, CodeRow, CustomerReferral, Snapshot, Tx, VersionedProgram};
use serde_json::json;

/// A code as the project's own server sees it.
#[derive(Debug, Clone)]
pub struct CustomerCode {
    pub code: String,
    pub customer: String,
    pub active: bool,
    pub created_at_ms: i64,
}

impl From<CodeRow> for CustomerCode {
    fn from(row: CodeRow) -> Self {
        Self {
            customer: customer_name(row.owner, row.owner_external_id),
            active: !row.revoked,
            created_at_ms: row.created_at_ms,
            code: row.code,
        }
    }
}

/// A customer who came through a code.
#[derive(Debug, Clone)]
pub struct ReferredCustomer {
    pub id: ReferralId,
    pub customer: String,
    pub progress: Progress,
    /// Why it is rejected or in review.
    pub reason: Option<String>,
    pub applied_at_ms: i64,
}

impl From<CustomerReferral> for ReferredCustomer {
    fn from(row: CustomerReferral) -> Self {
        Self {
            id: row.id,
            customer: customer_name(row.referee, row.referee_external_id),
            progress: row.progress,
            reason: row.reason,
            applied_at_ms: row.applied_at_ms,
        }
    }
}

/// A code that a customer was found to have come with.
#[derive(Debug, Clone)]
pub struct AppliedCode {
    pub code: CustomerCode,
    pub referral: ReferredCustomer,
}

/// The part of a list that is asked for: so many, after the first `offset`.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    pub limit: i64,
    pub offset: i64,
}

/// The team's own id, or refloop's where it has none: a developer who signed up here, or an account that was erased.
fn customer_name(account: AccountId, external_id: Option<String>) -> String {
    external_id.unwrap_or_else(|| account.to_string())
}

/// The account that goes by this name in the projects API. `Invalid` for an id of refloop's own form that is nobody's:
/// an account that the team calls so would be taken for that one.
fn find_customer(db: &Snapshot<'_>, project: ProjectId, field: &str, name: &str) -> Result<Option<Account>> {
    if let Some(id) = db.account_with_external_id(project, name)? {
        return db.find_account(project, id);
    }
    let Ok(id) = name.parse::<AccountId>() else { return Ok(None) };
    let nobody =
        || Error::field(field, "unknown_customer", "Such an id is refloop's own, and no account has this one.");
    db.find_account(project, id)?.ok_or_else(nobody).map(Some)
}

/// For a customer of the team's own the team's word is enough: no address is known here that could be confirmed. Who has
/// signed up here with one does what the program asks of everyone.
fn vouched_for(tx: &Tx<'_>, project: ProjectId, customer: Option<&Account>) -> Result<()> {
    customer.map_or(Ok(()), |customer| confirmation::require(tx, project, customer.id))
}

fn no_code() -> Error {
    Error::not_found("There is no such referral code.")
}

impl Engine {
    /// Newest first.
    pub async fn customer_codes(
        &self,
        project: ProjectId,
        active_only: bool,
        slice: Slice,
    ) -> Result<Vec<CustomerCode>> {
        let rows = self.store.read(move |db| db.codes(project, active_only, slice.limit, slice.offset)).await?;
        Ok(rows.into_iter().map(CustomerCode::from).collect())
    }

    /// The customer's active code, and whether it was made for this. `Invalid` for a customer who cannot be, `Conflict`
    /// for one who has signed up here and still has to confirm the address.
    pub async fn code_for_customer(
        &self,
        project: ProjectId,
        name: String,
        actor: Actor,
    ) -> Result<(CustomerCode, bool)> {
        self.store
            .write(move |tx| {
                let known = find_customer(tx, project, "customerId", &name)?;
                vouched_for(tx, project, known.as_ref())?;
                let owner = known.map_or_else(|| known_as(tx, project, &name), Ok)?;
                if let Some(active) = tx.active_code(project, owner.id)? {
                    return Ok((active.into(), false));
                }
                let name = owner.name.as_deref().unwrap_or_default();
                let code = free_code(tx, project, &tx.program(project)?, name)?;
                let row = tx.add_code(project, owner.id, &code, None)?;
                note_operator(tx, project, &actor, action::CODE_CREATE, &owner.id.to_string(), &json!({}))?;
                Ok((row.into(), true))
            })
            .await
    }

    /// A code, and who came through it, newest first. `NotFound`.
    pub async fn customer_code(
        &self,
        project: ProjectId,
        code: Code,
        slice: Slice,
    ) -> Result<(CustomerCode, Vec<ReferredCustomer>)> {
        self.store
            .read(move |db| {
                let row = db.code(project, &code)?.ok_or_else(no_code)?;
                let referrals = db.referrals_of_code(project, row.owner, row.id, slice.limit, slice.offset)?;
                Ok((row.into(), referrals.into_iter().map(ReferredCustomer::from).collect()))
            })
            .await
    }

    /// Ends a code; one that has ended stays as it is. What was referred by it is untouched. `NotFound`.
    pub async fn deactivate_code(&self, project: ProjectId, code: Code, actor: Actor) -> Result<String> {
        self.store
            .write(move |tx| {
                let row = tx.code(project, &code)?.ok_or_else(no_code)?;
                if !row.revoked {
                    tx.revoke_code(project, row.id)?;
                    // Not the code itself: it may be made from a name.
                    let (owner, details) = (row.owner.to_string(), json!({ "uses": row.uses_count }));
                    note_operator(tx, project, &actor, action::CODE_REVOKE, &owner, &details)?;
                }
                Ok(row.code)
            })
            .await
    }

    /// Records that a customer came with a code. `Conflict` while the program is off, and for a customer who has been
    /// referred, or has still to confirm the address that they signed up with here; `Invalid` for a code that cannot be
    /// used, or is the customer's own. Nothing is made then, not even an account. A code that breaks an abuse rule makes a
    /// referral that is rejected.
    pub async fn apply_for_customer(
        &self,
        project: ProjectId,
        code: Code,
        name: String,
        actor: Actor,
    ) -> Result<AppliedCode> {
        self.store
            .write(move |tx| {
                let program = tx.program(project)?;
                if !program.enabled {
                    let message = "The referral program takes no new referrals at the moment.";
                    return Err(Error::conflict("program_disabled", message));
                }
                let known = find_customer(tx, project, "refereeCustomerId", &name)?;
                vouched_for(tx, project, known.as_ref())?;
                if let Some(referee) = &known
                    && tx.referral_of(project, referee.id)?.is_some()
                {
                    return Err(Error::conflict("already_referred", "This customer has been referred already."));
                }
                if let Some(referee) = &known {
                    refuse_old_customer(tx, project, &program, referee)?;
                }
                let row = tx.code(project, &code)?;
                referral::usable("code", row.as_ref().map(CodeRow::state), &program)?;
                let row = row.ok_or_else(|| Error::internal("a usable code without a row"))?;
                if known.as_ref().is_some_and(|referee| referee.id == row.owner) {
                    return Err(Error::field("code", "self_referral", "This is the customer's own code."));
                }
                let referee = known.map_or_else(|| known_as(tx, project, &name), Ok)?;
                introduce(tx, project, &program, &row, &referee, &Devices::default())?;
                let referral = tx.customer_referral_of(project, referee.id)?;
                let referral = referral.ok_or_else(|| Error::internal("a referral that is not there"))?;
                let (id, details) = (referral.id.to_string(), json!({ "referrer": row.owner, "referee": referee.id }));
                note_operator(tx, project, &actor, action::REFERRAL_APPLY, &id, &details)?;
                Ok(AppliedCode { code: row.into(), referral: referral.into() })
            })
            .await
    }
}

/// Refuses a code for who was a customer before it, by more than the time within which a code may be applied late: a
/// checkout can be told before the code that led to it. How old the account is says nothing: whoever has a code of their
/// own has one.
fn refuse_old_customer(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, referee: &Account) -> Result<()> {
    let calls = tx.with_holdings(project, referee.id, |has| has.calls())?.unwrap_or(0);
    let window_ms = i64::from(program.abuse.apply_within_days) * DAY_MS;
    if calls > 0 || tx.was_customer_before(project, referee.id, tx.now_ms(project) - window_ms)? {
        let message = "This customer was one before: a code brings in new ones.";
        return Err(Error::conflict("already_active", message));
    }
    Ok(())
}
