//! A developer's own code.

use super::{Engine, confirmation};
use crate::domain::code::{self, Code};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::program::Sharing;
use crate::domain::time;
use crate::store::{Account, CodeRow, Snapshot, Tx, VersionedProgram};

/// A code with what its owner is shown beside it.
#[derive(Debug, Clone)]
pub struct CodeView {
    pub code: String,
    pub made: bool,
    pub project_name: String,
    pub sharing: Sharing,
    /// What a referee starts with, when there is something.
    pub bonus: Option<String>,
    pub total_referrals: i64,
    pub credits_earned: i64,
    pub credits_available: i64,
}

fn view(
    db: &Snapshot<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    row: &CodeRow,
    made: bool,
) -> Result<CodeView> {
    let (account, bonus) = (row.owner, program.signup_bonus());
    Ok(CodeView {
        code: row.code.clone(),
        made,
        project_name: db.project(project)?.name,
        sharing: program.sharing.clone(),
        bonus: (bonus > 0).then(|| program.amount_text(bonus)),
        total_referrals: db.referral_counts(project, account)?.total,
        credits_earned: db.totals(project, account)?.granted,
        credits_available: db.balance(project, account)?.available,
    })
}

/// The first readable code that is free; random ones come after, so this ends.
pub(super) fn free_code(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, name: &str) -> Result<Code> {
    const MOST_TRIES: u32 = 64;
    for attempt in 0..MOST_TRIES {
        let candidate =
            code::candidate(program.code_style, name, time::year(tx.now_ms(project)), attempt, tx.entropy()?);
        if tx.code(project, &candidate)?.is_none() {
            return Ok(candidate);
        }
    }
    Err(Error::busy("No free code was found; try again."))
}

/// The account's active code, made in the program's style if there is none.
pub fn active_or_new(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, owner: &Account) -> Result<CodeRow> {
    if let Some(active) = tx.active_code(project, owner.id)? {
        return Ok(active);
    }
    let code = free_code(tx, project, program, owner.name.as_deref().unwrap_or_default())?;
    tx.add_code(project, owner.id, &code, None)
}

impl Engine {
    /// The account's active code, made if there is none. `Conflict` when another one (or another limit) is active, or
    /// the wanted code is not free: a revoked one never is.
    pub async fn referral_code(
        &self,
        project: ProjectId,
        account: AccountId,
        wanted: Option<Code>,
        max_uses: Option<i64>,
    ) -> Result<CodeView> {
        self.store
            .write(move |tx| {
                let program = tx.program(project)?;
                let owner = tx.account(project, account)?;
                confirmation::require(tx, project, account)?;
                if let Some(active) = tx.active_code(project, account)? {
                    let other_code = wanted.is_some_and(|wanted| wanted.as_str() != active.code);
                    let other_limit = max_uses.is_some() && max_uses != active.max_uses;
                    if other_code || other_limit {
                        let message = format!("The code {} is active; revoke it before you make another.", active.code);
                        return Err(Error::conflict("code_active", message));
                    }
                    return view(tx, project, &program, &active, false);
                }
                let code = match wanted {
                    Some(wanted) if tx.code(project, &wanted)?.is_some() => {
                        return Err(Error::conflict("code_taken", format!("The code {wanted} is not free.")));
                    }
                    Some(wanted) => wanted,
                    None => free_code(tx, project, &program, owner.name.as_deref().unwrap_or_default())?,
                };
                let row = tx.add_code(project, account, &code, max_uses)?;
                view(tx, project, &program, &row, true)
            })
            .await
    }

    /// `NotFound` when no code is active.
    pub async fn revoke_code(&self, project: ProjectId, account: AccountId) -> Result<String> {
        self.store
            .write(move |tx| {
                let active = tx.active_code(project, account)?;
                let active = active.ok_or_else(|| Error::not_found("You have no active referral code."))?;
                tx.revoke_code(project, active.id)?;
                Ok(active.code)
            })
            .await
    }

    /// Whether a code can be shown to the world as the project's.
    pub async fn is_shareable(&self, project: ProjectId, code: Code) -> Result<bool> {
        let row = self.store.read(move |db| db.code(project, &code)).await?;
        Ok(row.is_some_and(|row| !row.revoked && !row.owner_erased))
    }
}
