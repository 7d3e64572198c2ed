//! What operators do to one developer: adjusting credits, signing out, keys, the code, erasing. Each is noted in the audit
//! log by the transaction that does it.

use super::keys::make_developer_key;
use super::rewards::settle;
use super::{Engine, MadeKey, accounts, secrets};
use crate::domain::audit::{Actor, action};
use crate::domain::developer::{Adjustment, may_take};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, EntryId, KeyId, ProjectId};
use crate::domain::ledger::{self, Balance, Draft, Grant, Movement, Terms};
use crate::domain::program::{ADJUSTMENT, Vesting};
use crate::store::{AdjustmentRow, NewAudit, Tx};
use serde_json::{Value, json};
use std::sync::Arc;

/// An adjustment that was made, now or when it was asked for before.
#[derive(Debug, Clone, Copy)]
pub struct Adjusted {
    /// The first of its entries.
    pub entry: EntryId,
    pub amount: i64,
    pub at_ms: i64,
    /// As it is now.
    pub balance: Balance,
    pub replayed: bool,
}

/// Whom it is done to, by whom, and why.
#[derive(Debug, Clone)]
pub struct Intervention {
    pub project: ProjectId,
    pub account: AccountId,
    pub actor: Actor,
    pub reason: Option<String>,
}

impl Intervention {
    fn note(&self, tx: &Tx<'_>, action: &str, details: &Value) -> Result<()> {
        let new = NewAudit {
            project: Some(self.project),
            actor: &self.actor,
            action,
            subject: Some(&self.account.to_string()),
            reason: self.reason.as_deref(),
            details,
        };
        tx.add_audit(&new).map(|_| ())
    }
}

fn hash_of(parts: [&str; 3]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or_default().to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// The entries that give or take an amount. `Invalid` for more than can be taken.
fn drafts(tx: &Tx<'_>, on: &Intervention, amount: i64) -> Result<Vec<Draft>> {
    let (project, now_ms) = (on.project, tx.now_ms(on.project));
    let program = tx.program(project)?;
    let lots = tx.open_lots(project, on.account)?;
    if amount < 0 {
        may_take(-amount, ledger::adjustable(&lots, now_ms), |amount| program.amount_text(amount))?;
        return Ok(ledger::take_back(&lots, -amount, now_ms));
    }
    let terms = Terms {
        decision: None,
        program_version: Some(program.version),
        vests_at_ms: now_ms,
        vesting: Vesting::Cliff,
        expires_at_ms: None,
    };
    Ok(ledger::grant(&lots, Grant { amount, referral: None, purchase: None, terms }))
}

fn adjust(tx: &Tx<'_>, on: &Intervention, amount: i64, hashes: ([u8; 32], [u8; 32])) -> Result<Adjusted> {
    let Intervention { project, account, .. } = *on;
    let (request_hash, body_hash) = hashes;
    if let Some(known) = tx.adjustment(project, &request_hash)? {
        if known.body_hash != body_hash {
            let message = "This Idempotency-Key was used for another adjustment.";
            return Err(Error::new(Kind::Invalid, "idempotency_key_reused", message));
        }
        return adjusted(tx, on, known, true);
    }
    tx.account(project, account)?;
    settle(tx, project, account)?;
    let drafts = drafts(tx, on, amount)?;
    let movement = Movement { project, account, reason: ADJUSTMENT.into(), drafts };
    let group_seq = tx.append(movement)?.ok_or_else(|| Error::internal("an adjustment that moves nothing"))?;
    let row = AdjustmentRow { body_hash, amount, group_seq, at_ms: tx.now_ms(project) };
    tx.add_adjustment(project, account, &request_hash, &row)?;
    let unit = &tx.program(project)?.unit;
    on.note(tx, action::ACCOUNT_ADJUST, &json!({ "amount": amount, "unit": unit, "entry": EntryId(group_seq) }))?;
    adjusted(tx, on, row, false)
}

fn adjusted(tx: &Tx<'_>, on: &Intervention, row: AdjustmentRow, replayed: bool) -> Result<Adjusted> {
    let balance = tx.balance(on.project, on.account)?;
    Ok(Adjusted { entry: EntryId(row.group_seq), amount: row.amount, at_ms: row.at_ms, balance, replayed })
}

impl Engine {
    /// Gives credits, or takes them back, by new entries. Asked again under the same `key`, by the same actor, it answers
    /// what it did then. `NotFound`; `Invalid` for more than can be taken back, and for a key of another adjustment.
    pub async fn adjust(
        &self,
        project: ProjectId,
        account: AccountId,
        adjustment: Adjustment,
        key: Option<String>,
        actor: Actor,
    ) -> Result<Adjusted> {
        let Adjustment { amount, reason } = adjustment;
        let key = key.map_or_else(|| secrets::fresh(""), Ok)?;
        let request_hash = hash_of([&actor.to_string(), &account.to_string(), &key]);
        let body_hash = hash_of(["adjustment", &amount.to_string(), &reason]);
        let on = Intervention { project, account, actor, reason: Some(reason) };
        self.store.write(move |tx| adjust(tx, &on, amount, (request_hash, body_hash))).await
    }

    /// Ends all sessions of an account. How many there were. `NotFound`.
    pub async fn sign_out_developer(&self, on: Intervention) -> Result<usize> {
        self.store
            .write(move |tx| {
                let ended = tx.account_sessions(on.project, on.account)?.len();
                tx.end_account_sessions(on.account)?;
                on.note(tx, action::ACCOUNT_SIGN_OUT, &json!({ "sessions": ended }))?;
                Ok(ended)
            })
            .await
    }

    /// Revokes all of an account's keys and makes a new one, which is shown now and never again. With how many were
    /// revoked. `NotFound`.
    pub async fn rotate_keys(&self, on: Intervention) -> Result<(MadeKey, usize)> {
        self.store
            .write(move |tx| {
                let (project, account) = (tx.project(on.project)?, tx.account(on.project, on.account)?.id);
                let old = tx.keys(project.id, Some(account))?;
                for key in &old {
                    tx.revoke_key(project.id, Some(account), key.id)?;
                }
                let made = make_developer_key(tx, &project, account, None)?;
                on.note(tx, action::ACCOUNT_KEYS, &json!({ "revoked": old.len(), "made": made.row.id }))?;
                Ok((made, old.len()))
            })
            .await
    }

    /// Revokes one key of an account, the last one too: it may be in the wrong hands. `NotFound`.
    pub async fn revoke_developer_key(&self, on: Intervention, key: KeyId) -> Result<()> {
        self.store
            .write(move |tx| {
                tx.revoke_key(on.project, Some(on.account), key)?;
                on.note(tx, action::ACCOUNT_KEYS, &json!({ "revoked": 1, "key": key }))
            })
            .await
    }

    /// `NotFound` when no code is active.
    pub async fn revoke_developer_code(&self, on: Intervention) -> Result<String> {
        self.store
            .write(move |tx| {
                let active = tx.active_code(on.project, on.account)?;
                let active = active.ok_or_else(|| Error::not_found("There is no active code."))?;
                tx.revoke_code(on.project, active.id)?;
                // Not the code itself: it may be made from a name.
                on.note(tx, action::CODE_REVOKE, &json!({ "uses": active.uses_count }))?;
                Ok(active.code)
            })
            .await
    }

    /// [`Engine::erase_account`] by an operator.
    pub async fn erase_developer(&self, on: Intervention) -> Result<()> {
        let traces_left = Arc::clone(&self.traces_left);
        let fresh = secrets::fresh_key()?;
        self.store
            .write(move |tx| {
                accounts::erase(tx, on.project, on.account, Some(&on.actor), &fresh, &traces_left)?;
                on.note(tx, action::ACCOUNT_ERASE, &json!({}))
            })
            .await?;
        // If readers are in the way now, the sweep tries again.
        let _ = self.store.truncate_wal().await;
        Ok(())
    }
}
