//! Carrying out what the program decides: decisions are recorded, grants become entries.

use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::ledger::{self, Grant, Movement, Terms};
use crate::domain::program::Party;
use crate::domain::reward::{self, Event, Standing, Verdict};
use crate::store::{Account, DecidedRule, NewDecision, Referral, Tx, VersionedProgram};

/// What a rule gave, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Granted {
    pub account: AccountId,
    pub amount: i64,
}

/// What an account was given.
pub fn sum_for(granted: &[Granted], account: AccountId) -> i64 {
    granted.iter().filter(|grant| grant.account == account).map(|grant| grant.amount).sum()
}

/// When an event happened, and the purchase behind it, if it is one.
#[derive(Debug, Clone, Copy)]
pub struct Occasion {
    pub purchase: Option<i64>,
    pub at_ms: i64,
}

/// Decides every rule that waits for this event, records each verdict, and books the grants.
/// The referral must be one that still earns: not rejected.
pub fn reward(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: &Referral,
    event: Event,
    occasion: Option<Occasion>,
) -> Result<Vec<Granted>> {
    let referrer = tx.find_account(project, referral.referrer)?;
    let rules = tx.decided_rules(project, referral.id)?;
    let those = |which: fn(&DecidedRule) -> bool| -> Vec<String> {
        rules.iter().filter(|decided| which(decided)).map(|decided| decided.rule.clone()).collect()
    };
    let (paid, decided, too_small) = (those(|rule| rule.paid), those(|_| true), those(|rule| rule.too_small));
    let at_ms = occasion.map_or(tx.now_ms(project), |occasion| occasion.at_ms);
    let standing = Standing {
        paid: &paid,
        decided: &decided,
        too_small: &too_small,
        partner: tx.was_partner_at(project, referral.referrer, at_ms)?,
        referrer_barred: barred(referrer.as_ref()),
        referee_barred: barred(tx.find_account(project, referral.referee)?.as_ref()),
    };
    let mut granted = Vec::new();
    for decision in reward::decide(program, event, standing, at_ms) {
        let purchase = occasion.and_then(|occasion| occasion.purchase);
        let decision_id = tx.add_decision(
            project,
            &NewDecision {
                referral: referral.id,
                purchase,
                program_version: program.version,
                event: decision.event,
                rule: &decision.rule,
                inputs: &decision.inputs,
                verdict: if decision.grant.is_some() { Verdict::Granted } else { Verdict::Refused },
                code: decision.code,
                basis_points: decision.basis_points,
            },
        )?;
        let Some(terms) = decision.grant else { continue };
        let account = match decision.to {
            Party::Referrer => referral.referrer,
            Party::Referee => referral.referee,
        };
        let grant = Grant {
            amount: terms.amount,
            referral: Some(referral.id),
            purchase,
            terms: Terms {
                decision: Some(decision_id),
                program_version: Some(program.version),
                vests_at_ms: terms.vests_at_ms,
                vesting: terms.vesting,
                expires_at_ms: terms.expires_at_ms,
            },
        };
        settle(tx, project, account)?;
        let drafts = ledger::grant(&tx.open_lots(project, account)?, grant);
        tx.append(Movement { project, account, reason: decision.rule.into(), drafts })?;
        granted.push(Granted { account, amount: terms.amount });
    }
    Ok(granted)
}

/// Why an account can be given nothing; it is gone when there is none.
fn barred(account: Option<&Account>) -> Option<&'static str> {
    match account {
        None => Some("account_erased"),
        Some(account) if account.disposable => Some("disposable_email"),
        Some(_) => None,
    }
}

/// Books what has expired by the clock, so that no movement's outcome depends on when a sweep ran.
/// Whether there was anything.
pub fn settle(tx: &Tx<'_>, project: ProjectId, account: AccountId) -> Result<bool> {
    if tx.balance(project, account)?.lapsed == 0 {
        return Ok(false);
    }
    let drafts = ledger::expire(&tx.open_lots(project, account)?, tx.now_ms(project));
    tx.append(Movement { project, account, reason: "expired".into(), drafts })?;
    Ok(true)
}
