//! The `convert` call: a new user of the team's app came with a code.

use super::logins::Devices;
use super::referrals::{Applied, introduce_silently, may_apply};
use super::rewards::reward;
use super::{Engine, letters};
use crate::domain::code::Code;
use crate::domain::email::Email;
use crate::domain::error::{Kind, Result};
use crate::domain::id::ProjectId;
use crate::domain::referral::{self, Status};
use crate::domain::reward::Event;
use crate::store::{CodeRow, NewAccount, Referral, Tx, VersionedProgram};

/// What became of a `convert` call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversion {
    pub converted: bool,
    /// Who brought the user in, by the team's own id, else by ours. `None` when the code brought nothing.
    pub referrer: Option<String>,
}

impl Engine {
    /// Converts the user of this address through a code, once ever. What stands against it is no error: a code that
    /// cannot be used, a second conversion, an abuse rule (then the referral is kept as rejected, as after a signup).
    ///
    /// Where the program counts another event as the conversion, the call does nothing: it takes neither a key nor a
    /// password, and must not pay what a signup pays.
    pub async fn convert(&self, project: ProjectId, code: Code, email: Email) -> Result<Conversion> {
        let disposable = email.is_disposable(&self.settings.disposable_domains);
        self.store
            .write(move |tx| {
                let program = tx.program(project)?;
                if !Event::Convert.converts(&program) {
                    return Ok(Conversion::default());
                }
                let Some(code) = tx.code(project, &code)? else { return Ok(Conversion::default()) };
                let Some(referral) = referral_by(tx, project, &program, &code, &email, disposable)? else {
                    return Ok(Conversion::default());
                };
                let had = referral.progress;
                let referral =
                    tx.set_progress(project, &referral, &had.after_conversion(&program, tx.now_ms(project)))?;
                let granted = reward(tx, project, &program, &referral, Event::Convert, None)?;
                letters::milestone(tx, project, &program, &referral, had, &granted)?;
                let external_id = tx.find_account(project, referral.referrer)?.and_then(|account| account.external_id);
                let referrer = external_id.unwrap_or_else(|| referral.referrer.to_string());
                Ok(Conversion { converted: true, referrer: Some(referrer) })
            })
            .await
    }
}

/// The referral that this call is about: the one that the user has by this code already and that waits for its
/// conversion, or a new one. `None` when there is neither.
fn referral_by(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    code: &CodeRow,
    email: &Email,
    disposable: bool,
) -> Result<Option<Referral>> {
    let known = tx.account_with_email(project, &email.address())?;
    if let Some(account) = &known
        && let Some(referral) = tx.referral_of(project, account.id)?
    {
        let waits = referral.progress.converted_at_ms.is_none() && referral.progress.status != Status::Rejected;
        // The code has done its work when it brought the user in: it may be used up or revoked by now.
        let is_its_conversion = waits && referral.referrer == code.owner;
        return Ok(Some(referral).filter(|_| is_its_conversion));
    }
    if referral::usable("referralCode", Some(code.state()), program).is_err() {
        return Ok(None);
    }
    let referee = if let Some(account) = known {
        // Who has a password applies a code with a key of their own: nobody else does it for them.
        if account.has_password {
            return Ok(None);
        }
        // Somebody who was here before is no new user: the rules for a code after the signup hold.
        match may_apply(tx, project, program, Some(code), &account) {
            Ok(()) => account,
            Err(refusal) if matches!(refusal.kind, Kind::Conflict | Kind::Invalid) => return Ok(None),
            Err(fault) => return Err(fault),
        }
    } else {
        let email = Some(email.address());
        tx.add_account(project, &NewAccount { email, disposable, ..NewAccount::default() })?
    };
    // The conversion follows at once, and is what there is to say.
    match introduce_silently(tx, project, program, code, &referee, &Devices::default())?.0 {
        Applied::Rejected { .. } | Applied::Awaiting { .. } => Ok(None),
        Applied::Accepted { .. } | Applied::Held { .. } => tx.referral_of(project, referee.id),
    }
}
