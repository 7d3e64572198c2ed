//! What Stripe has said of payments and refunds: which is part of which, and what was given back.

use super::fault::known;
use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::stripe::{Link, Refund, RefundState};
use rusqlite::{OptionalExtension, Row, params};

/// The latest word on a refund.
#[derive(Debug, Clone)]
pub struct ToldRefund {
    pub object: String,
    pub amount_minor: i64,
    pub state: RefundState,
    pub told_at_ms: i64,
    /// The charge that it is of, or the intent where that is all that is known.
    pub payment: Option<String>,
}

fn told(row: &Row<'_>) -> rusqlite::Result<ToldRefund> {
    Ok(ToldRefund {
        object: row.get(0)?,
        amount_minor: row.get(1)?,
        state: known(RefundState::parse(row.get_ref(2)?.as_str()?))?,
        told_at_ms: row.get(3)?,
        payment: row.get(4)?,
    })
}

/// Everything that is part of `$1`, itself included, in the project `$2`.
const PARTS: &str = "WITH RECURSIVE part (object_id) AS (
    SELECT $1 UNION
    SELECT stripe_link.object_id FROM stripe_link JOIN part ON stripe_link.part_of = part.object_id
    WHERE stripe_link.project_id = $2)";

impl Snapshot<'_> {
    /// The invoices that an object is part of, directly or not.
    pub fn invoices_of(&self, project: ProjectId, object: &str) -> Result<Vec<String>> {
        let sql = "WITH RECURSIVE whole (object_id, is_invoice) AS (
                     SELECT part_of, is_invoice FROM stripe_link WHERE project_id = $1 AND object_id = $2 UNION
                     SELECT stripe_link.part_of, stripe_link.is_invoice
                     FROM stripe_link JOIN whole ON stripe_link.object_id = whole.object_id
                     WHERE stripe_link.project_id = $1)
                   SELECT DISTINCT object_id FROM whole WHERE is_invoice = 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, object], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What has been told of refunds of the payments that an invoice, or a charge, is made of.
    pub fn told_refunds(&self, project: ProjectId, whole: &str) -> Result<Vec<ToldRefund>> {
        let column = |name: &str| {
            format!(
                "SELECT refund.object_id, refund.amount_minor, refund.state, refund.told_at_ms,
                        coalesce(refund.charge_id,
                          (SELECT min(charge_id) FROM stripe_refund AS twin
                           WHERE twin.project_id = $2 AND twin.intent_id = refund.intent_id), refund.intent_id)
                 FROM part JOIN stripe_refund AS refund ON refund.{name} = part.object_id WHERE refund.project_id = $2"
            )
        };
        // Two look-ups by index, where one condition with OR would read the refunds of the whole project.
        let sql = format!("{PARTS} {} UNION {} ORDER BY 4, 1", column("charge_id"), column("intent_id"));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![whole, project.0], told)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether what converted this account's referral, a session or subscription, began with this invoice.
    pub fn converted_with(&self, project: ProjectId, account: AccountId, invoice: &str) -> Result<bool> {
        let sql = format!(
            "{PARTS} SELECT EXISTS (SELECT 1 FROM stripe_event
             WHERE account_id = $3 AND project_id = $2 AND outcome = 'converted'
               AND object_id IN (SELECT object_id FROM part))"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params![invoice, project.0, account.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    pub fn add_stripe_link(&self, project: ProjectId, link: &Link) -> Result<()> {
        let sql = "INSERT INTO stripe_link (project_id, object_id, part_of, is_invoice) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (project_id, object_id, part_of) DO NOTHING";
        let values = params![project.0, link.object, link.part_of, link.is_invoice];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Notes what an event of that time says of a refund. What a later one has said stays, and a sum never shrinks.
    pub fn note_stripe_refund(&self, project: ProjectId, refund: &Refund, told_at_ms: i64) -> Result<()> {
        let sql = "SELECT object_id, amount_minor, state, told_at_ms, coalesce(charge_id, intent_id) FROM stripe_refund
                   WHERE project_id = $1 AND object_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let before = statement.query_row(params![project.0, refund.object], told).optional()?;
        let outdated = before.is_some_and(|before| match refund.state {
            RefundState::Sum => before.amount_minor >= refund.amount_minor,
            state => (before.told_at_ms, before.state) > (told_at_ms, state),
        });
        if outdated {
            return Ok(());
        }
        let sql =
            "INSERT INTO stripe_refund (project_id, object_id, charge_id, intent_id, amount_minor, state, told_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)
                   ON CONFLICT (project_id, object_id) DO UPDATE SET
                     charge_id = coalesce(excluded.charge_id, stripe_refund.charge_id),
                     intent_id = coalesce(excluded.intent_id, stripe_refund.intent_id),
                     amount_minor = excluded.amount_minor, state = excluded.state, told_at_ms = excluded.told_at_ms";
        self.connection.prepare_cached(sql)?.execute(params![
            project.0,
            refund.object,
            refund.charge,
            refund.intent,
            refund.amount_minor,
            refund.state.as_str(),
            told_at_ms
        ])?;
        Ok(())
    }
}
