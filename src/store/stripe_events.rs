//! Stripe's events, and whose customer is whose account. What of them waits is found by the names that it waits for.

use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use rusqlite::{OptionalExtension, Row, params};

/// An event that is about to be recorded, in the words that are kept of it.
#[derive(Debug, Clone)]
pub struct NewStripeEvent<'a> {
    pub event_id: &'a str,
    pub kind: &'a str,
    pub fact: &'static str,
    pub object: Option<&'a str>,
    pub amount_minor: Option<i64>,
    pub currency: Option<&'a str>,
    pub happened_at_ms: i64,
    pub outcome: &'static str,
    /// For one that waits.
    pub customer: Option<&'a str>,
}

/// An event that waits for its customer to become known.
#[derive(Debug, Clone)]
pub struct WaitingEvent {
    pub id: i64,
    pub fact: String,
    pub object: Option<String>,
    pub amount_minor: Option<i64>,
    pub currency: Option<String>,
    pub happened_at_ms: i64,
    pub received_at_ms: i64,
    pub customer: Option<String>,
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<WaitingEvent> {
    Ok(WaitingEvent {
        id: row.get(0)?,
        fact: row.get(1)?,
        object: row.get(2)?,
        amount_minor: row.get(3)?,
        currency: row.get(4)?,
        happened_at_ms: row.get(5)?,
        received_at_ms: row.get(6)?,
        customer: row.get(7)?,
    })
}

impl Snapshot<'_> {
    /// The secrets that Stripe may sign with; none when the project has no webhook.
    pub fn stripe_secrets(&self, project: ProjectId) -> Result<Vec<String>> {
        let sql = "SELECT coalesce(stripe_webhook_secrets, '') FROM project WHERE id = $1";
        let text: String = self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?;
        Ok(text.lines().map(str::trim).filter(|secret| !secret.is_empty()).map(str::to_owned).collect())
    }

    /// What came of an event that has been told before.
    pub fn stripe_outcome(&self, project: ProjectId, event_id: &str) -> Result<Option<String>> {
        let sql = "SELECT outcome FROM stripe_event WHERE project_id = $1 AND event_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, event_id], |row| row.get(0)).optional()?)
    }

    pub fn account_of_stripe_customer(&self, project: ProjectId, customer: &str) -> Result<Option<AccountId>> {
        let sql = "SELECT account_id FROM stripe_customer WHERE project_id = $1 AND stripe_customer_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, customer], |row| row.get(0).map(AccountId)).optional()?)
    }

    /// The events that wait for this account: by a name that is its own, or as a customer that it is known to be.
    /// In the order in which they happened.
    pub fn events_waiting_for(
        &self,
        project: ProjectId,
        account: AccountId,
        external_id: Option<&str>,
    ) -> Result<Vec<WaitingEvent>> {
        let sql = "SELECT DISTINCT event.id, fact, object_id, amount_minor, currency, happened_at_ms, received_at_ms,
                          event.stripe_customer_id
                   FROM stripe_awaited AS awaited JOIN stripe_event AS event ON event.id = awaited.event
                   WHERE awaited.project_id = $1 AND awaited.name IN (
                     SELECT $2 UNION ALL SELECT $3 UNION ALL
                     SELECT stripe_customer_id FROM stripe_customer WHERE account_id = $4 AND project_id = $1)
                   ORDER BY happened_at_ms, event.id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![project.0, external_id, account.to_string(), account.0];
        let rows = statement.query_map(values, waiting)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Conversions of this account that came without a referral, in the order in which they happened.
    pub fn unreferred_conversions(&self, project: ProjectId, account: AccountId) -> Result<Vec<WaitingEvent>> {
        let sql = "SELECT id, fact, object_id, amount_minor, currency, happened_at_ms, received_at_ms,
                          stripe_customer_id
                   FROM stripe_event
                   WHERE project_id = $1 AND account_id = $2 AND fact = 'conversion' AND outcome = 'no_referral'
                   ORDER BY happened_at_ms, id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![project.0, account.0], waiting)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether the account had bought or subscribed to something before this time.
    pub fn was_customer_before(&self, project: ProjectId, account: AccountId, at_ms: i64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM purchase
                                  WHERE project_id = $1 AND account_id = $2 AND created_at_ms < $3)
                       OR EXISTS (SELECT 1 FROM stripe_event
                                  WHERE project_id = $1 AND account_id = $2 AND fact = 'conversion' AND received_at_ms < $3)";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![project.0, account.0, at_ms], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    pub fn add_stripe_event(&self, project: ProjectId, new: &NewStripeEvent<'_>) -> Result<i64> {
        let id = self.next_key()?;
        let sql = "INSERT INTO stripe_event (id, project_id, event_id, type, fact, object_id, amount_minor, currency,
                                             happened_at_ms, received_at_ms, outcome, stripe_customer_id)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        self.connection.prepare_cached(sql)?.execute(params![
            id,
            project.0,
            new.event_id,
            new.kind,
            new.fact,
            new.object,
            new.amount_minor,
            new.currency,
            new.happened_at_ms,
            self.now_ms(project),
            new.outcome,
            new.customer
        ])?;
        Ok(id)
    }

    /// The event waits until someone is known by this name.
    pub fn await_stripe_customer(&self, project: ProjectId, event: i64, name: &str) -> Result<()> {
        let sql = "INSERT INTO stripe_awaited (project_id, name, event) VALUES ($1, $2, $3)
                   ON CONFLICT (project_id, name, event) DO NOTHING";
        self.connection.prepare_cached(sql)?.execute(params![project.0, name, event])?;
        Ok(())
    }

    /// `false`: somebody's already, and stays theirs.
    pub fn set_stripe_customer(&self, project: ProjectId, customer: &str, account: AccountId) -> Result<bool> {
        let sql = "INSERT INTO stripe_customer (project_id, stripe_customer_id, account_id) VALUES ($1, $2, $3)
                   ON CONFLICT (project_id, stripe_customer_id) DO NOTHING";
        Ok(self.connection.prepare_cached(sql)?.execute(params![project.0, customer, account.0])? == 1)
    }

    /// The event does not wait any longer.
    pub fn end_waiting(&self, project: ProjectId, event: i64, outcome: &str, account: AccountId) -> Result<()> {
        let sql = "UPDATE stripe_event SET outcome = $1, account_id = $2, stripe_customer_id = NULL
                   WHERE project_id = $3 AND id = $4";
        self.connection.prepare_cached(sql)?.execute(params![outcome, account.0, project.0, event])?;
        let sql = "DELETE FROM stripe_awaited WHERE project_id = $1 AND event = $2";
        self.connection.prepare_cached(sql)?.execute(params![project.0, event])?;
        Ok(())
    }

    /// Part of erasing an account: nothing says any more which customer it was, or waits for it.
    pub(super) fn forget_stripe_customer(&self, project: ProjectId, account: AccountId) -> Result<()> {
        let external_id = self.find_account(project, account)?.and_then(|account| account.external_id);
        for event in self.events_waiting_for(project, account, external_id.as_deref())? {
            let sql = "UPDATE stripe_event SET stripe_customer_id = NULL WHERE project_id = $1 AND id = $2";
            self.connection.prepare_cached(sql)?.execute(params![project.0, event.id])?;
            let sql = "DELETE FROM stripe_awaited WHERE project_id = $1 AND event = $2";
            self.connection.prepare_cached(sql)?.execute(params![project.0, event.id])?;
        }
        let sql = "DELETE FROM stripe_customer WHERE project_id = $1 AND account_id = $2";
        self.connection.prepare_cached(sql)?.execute(params![project.0, account.0])?;
        Ok(())
    }
}
