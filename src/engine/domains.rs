//! How old e-mail domains are. Each is asked for once, by the courier, never while somebody waits; what RDAP says is
//! kept for all projects.

use super::signals::{add, hold_if_due};
use crate::domain::delivery::{self, DeliveryKind, Fate, Outcome};
use crate::domain::email::{Email, identity_hash};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId, ReferralId};
use crate::domain::signal::{Signal, SignalCode};
use crate::domain::time::DAY_MS;
use crate::store::{Delivery, DomainAge, NewDelivery, Referral, Tx, VersionedProgram};
use serde_json::{Value, json};

/// What RDAP did not know may be known after a while.
const ASK_AGAIN_MS: i64 = 7 * DAY_MS;

/// Looks at how old a referee's domain is, or has it asked for.
pub fn look_at(tx: &Tx<'_>, project: ProjectId, program: &VersionedProgram, referral: &Referral) -> Result<()> {
    if program.abuse.weights.young_domain == 0 || !tx.asks_rdap(project)? {
        return Ok(());
    }
    let Some(domain) = domain_of(tx, project, referral.referee)? else { return Ok(()) };
    if let Some(age) = known_age(tx, &domain)? {
        return judge(tx, project, program, referral.id, age);
    }
    // The domain may be somebody's name: it is read when it is asked for.
    let body = json!({ "referral": referral.id });
    let account = Some(referral.referee);
    tx.add_delivery(project, &NewDelivery { kind: DeliveryKind::Domain, account, once: None, body: &body })?;
    Ok(())
}

/// The domain that is the referee's own; a public provider's says nothing about them.
fn domain_of(tx: &Tx<'_>, project: ProjectId, referee: AccountId) -> Result<Option<String>> {
    let email = tx.find_account(project, referee)?.and_then(|account| account.email);
    let email = email.and_then(|address| Email::parse("email", &address).ok());
    Ok(email.and_then(|email| email.own_domain().map(str::to_owned)))
}

fn known_age(tx: &Tx<'_>, domain: &str) -> Result<Option<DomainAge>> {
    let known = tx.domain_age(&identity_hash(tx.pepper(), domain))?;
    let is_good =
        |age: &DomainAge| age.registered_at_ms.is_some() || tx.machine_now_ms() - age.told_at_ms < ASK_AGAIN_MS;
    Ok(known.filter(is_good))
}

fn judge(
    tx: &Tx<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    referral: ReferralId,
    age: DomainAge,
) -> Result<()> {
    let Some(registered_at_ms) = age.registered_at_ms else { return Ok(()) };
    let days = (tx.now_ms(project) - registered_at_ms).div_euclid(DAY_MS);
    let limit = program.abuse.young_domain_days;
    if days < i64::from(limit) {
        let inputs = json!({ "age_days": days.max(0), "young_below_days": limit });
        add(tx, project, program, referral, &Signal { code: SignalCode::YoungDomain, inputs })?;
        hold_if_due(tx, project, program, referral)?;
    }
    Ok(())
}

fn referral_of(delivery: &Delivery) -> Result<ReferralId> {
    let named = delivery.body.get("referral").and_then(Value::as_str);
    let unreadable = || Error::internal(format!("{} names no referral", delivery.id));
    named.and_then(|id| id.parse().ok()).ok_or_else(unreadable)
}

/// The domain to ask for; `None` when there is none any more, or it is known by now.
pub fn begin(tx: &Tx<'_>, delivery: &Delivery) -> Result<Option<String>> {
    let referral = tx.referral(delivery.project, referral_of(delivery)?)?;
    let Some(domain) = domain_of(tx, delivery.project, referral.referee)? else { return Ok(None) };
    match known_age(tx, &domain)? {
        Some(age) => {
            judge(tx, delivery.project, &tx.program(delivery.project)?, referral.id, age)?;
            Ok(None)
        }
        None => Ok(Some(domain)),
    }
}

/// Keeps what RDAP has said, and looks at the referral again. What is done says when the domain was registered, in
/// milliseconds, or nothing when that is not known.
pub fn conclude(tx: &Tx<'_>, delivery: &Delivery, outcome: &Outcome) -> Result<Fate> {
    if let Outcome::Done(said) = outcome {
        let registered_at_ms = said.as_deref().and_then(|said| said.parse().ok());
        let referral = tx.referral(delivery.project, referral_of(delivery)?)?;
        if let Some(domain) = domain_of(tx, delivery.project, referral.referee)? {
            tx.set_domain_age(&identity_hash(tx.pepper(), &domain), registered_at_ms)?;
            let age = DomainAge { registered_at_ms, told_at_ms: tx.machine_now_ms() };
            judge(tx, delivery.project, &tx.program(delivery.project)?, referral.id, age)?;
        }
    }
    Ok(delivery::fate(outcome, delivery.tries, tx.machine_now_ms(), tx.entropy()?))
}
