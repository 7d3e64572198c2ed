//! What other systems are to be told, until it is delivered.

use super::tx::{Snapshot, Tx};
use crate::domain::delivery::{DeliveryKind, Fate};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, DeliveryId, ProjectId};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

/// Something that another system is to be told.
#[derive(Debug, Clone)]
pub struct NewDelivery<'a> {
    pub kind: DeliveryKind,
    /// Whom it is for: erasing the account takes it back.
    pub account: Option<AccountId>,
    /// What it tells, if that must be told only once ever.
    pub once: Option<&'a str>,
    /// What the receiver needs to know. Neither names nor addresses nor secrets.
    pub body: &'a Value,
}

/// A delivery whose turn it is.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: DeliveryId,
    pub project: ProjectId,
    pub kind: DeliveryKind,
    pub account: Option<AccountId>,
    pub body: Value,
    /// The try that is about to be made included.
    pub tries: i64,
    pub created_at_ms: i64,
}

/// A delivery as operators see it.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    pub id: DeliveryId,
    pub kind: String,
    pub account: Option<AccountId>,
    pub body: String,
    /// `waiting` or `parked`.
    pub state: String,
    pub tries: i64,
    pub due_at_ms: i64,
    pub problem: Option<String>,
    pub created_at_ms: i64,
}

const LISTED: &str = "id, kind, account_id, body, state, tries, due_at_ms, problem, created_at_ms";

fn listed(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: DeliveryId(row.get(0)?),
        kind: row.get(1)?,
        account: row.get::<_, Option<i64>>(2)?.map(AccountId),
        body: row.get(3)?,
        state: row.get(4)?,
        tries: row.get(5)?,
        due_at_ms: row.get(6)?,
        problem: row.get(7)?,
        created_at_ms: row.get(8)?,
    })
}

impl Snapshot<'_> {
    /// The delivery of this kind that has been due for the longest.
    pub fn due_delivery(&self, kind: DeliveryKind) -> Result<Option<DeliveryId>> {
        let sql = "SELECT id FROM outbox WHERE kind = $1 AND state = 'waiting' AND due_at_ms <= $2
                   ORDER BY due_at_ms LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![kind.as_str(), self.machine_now_ms()], |row| row.get(0));
        Ok(found.optional()?.map(DeliveryId))
    }

    /// Whose delivery it is, also when it is done.
    pub fn project_of_delivery(&self, id: DeliveryId) -> Result<ProjectId> {
        let found =
            self.connection.query_row("SELECT project_id FROM outbox WHERE id = $1", params![id.0], |row| row.get(0));
        found.optional()?.map(ProjectId).ok_or_else(|| Error::not_found("No such delivery."))
    }

    /// A project's deliveries that are not done, oldest first.
    pub fn open_deliveries(&self, project: ProjectId, limit: i64) -> Result<Vec<DeliveryRow>> {
        let sql = format!("SELECT {LISTED} FROM outbox WHERE project_id = $1 AND state <> 'done' ORDER BY id LIMIT $2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![project.0, limit], listed)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    pub kind: Option<DeliveryKind>,
    /// Only those that are not tried any more (`true`), or only those that are (`false`).
    pub parked: Option<bool>,
}

impl Snapshot<'_> {
    /// A project's deliveries that are not done, newest first, those before `before` only.
    pub fn deliveries(
        &self,
        project: ProjectId,
        filter: DeliveryFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        let sql = format!(
            "SELECT {LISTED} FROM outbox
             WHERE project_id = $1 AND state <> 'done' AND id < $2 AND ($3 IS NULL OR kind = $3)
               AND ($4 IS NULL OR state = $4) ORDER BY id DESC LIMIT $5"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let kind = filter.kind.map(DeliveryKind::as_str);
        let state = filter.parked.map(|parked| if parked { "parked" } else { "waiting" });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![project.0, before.unwrap_or(i64::MAX), kind, state, limit], listed)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One that is not done. `NotFound`, for another project's too.
    pub fn delivery(&self, project: ProjectId, id: DeliveryId) -> Result<DeliveryRow> {
        let sql = format!("SELECT {LISTED} FROM outbox WHERE project_id = $1 AND id = $2 AND state <> 'done'");
        let found = self.connection.prepare_cached(&sql)?.query_row(params![project.0, id.0], listed).optional()?;
        found.ok_or_else(|| Error::not_found("There is no such delivery, or it is done."))
    }

    /// How many of a project's deliveries are parked.
    pub fn parked_deliveries(&self, project: ProjectId) -> Result<i64> {
        let sql = "SELECT count(*) FROM outbox WHERE project_id = $1 AND state <> 'done' AND state = 'parked'";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Has all parked deliveries of a kind tried again now. How many there are.
    pub fn retry_parked_deliveries(&self, project: ProjectId, kind: DeliveryKind) -> Result<usize> {
        let sql = "UPDATE outbox SET tries = 1, state = 'waiting', due_at_ms = $1
                   WHERE project_id = $2 AND kind = $3 AND state <> 'done' AND state = 'parked'";
        let values = params![self.machine_now_ms(), project.0, kind.as_str()];
        Ok(self.connection.prepare_cached(sql)?.execute(values)?)
    }

    /// Puts a delivery into the outbox, in the transaction that causes it. `None` when it has been told before.
    pub fn add_delivery(&self, project: ProjectId, new: &NewDelivery<'_>) -> Result<Option<DeliveryId>> {
        let (id, now_ms) = (DeliveryId(self.next_key()?), self.machine_now_ms());
        let sql = "INSERT INTO outbox (id, project_id, kind, account_id, once, body, state, due_at_ms, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7, $7)
                   ON CONFLICT (project_id, once) DO NOTHING";
        let added = self.connection.prepare_cached(sql)?.execute(params![
            id.0,
            project.0,
            new.kind.as_str(),
            new.account.map(|account| account.0),
            new.once,
            new.body.to_string(),
            now_ms
        ])?;
        Ok((added > 0).then_some(id))
    }

    /// Begins a try of a delivery that waits. From here on it may have arrived.
    pub fn begin_delivery(&self, id: DeliveryId) -> Result<Option<Delivery>> {
        let sql = "UPDATE outbox SET tries = tries + 1 WHERE id = $1 AND state = 'waiting'
                   RETURNING project_id, kind, account_id, body, tries, created_at_ms";
        let mut statement = self.connection.prepare_cached(sql)?;
        let begun = statement.query_row(params![id.0], |row| {
            let (kind, body): (String, String) = (row.get(1)?, row.get(3)?);
            let project = ProjectId(row.get(0)?);
            Ok((project, kind, row.get::<_, Option<i64>>(2)?, body, row.get(4)?, row.get(5)?))
        });
        let Some((project, kind, account, body, tries, created_at_ms)) = begun.optional()? else { return Ok(None) };
        let unreadable = || Error::internal(format!("{id} is not to be read"));
        Ok(Some(Delivery {
            id,
            project,
            kind: DeliveryKind::parse(&kind).ok_or_else(unreadable)?,
            account: account.map(AccountId),
            body: serde_json::from_str(&body).map_err(|_| unreadable())?,
            tries,
            created_at_ms,
        }))
    }

    /// Notes what became of a delivery; one that is gone by now stays gone.
    pub fn end_delivery(&self, id: DeliveryId, fate: Fate, problem: Option<&str>) -> Result<()> {
        match fate {
            Fate::Done => {
                let sql = "UPDATE outbox SET state = 'done', body = '{}', problem = NULL
                           WHERE id = $1 AND once IS NOT NULL";
                self.connection.prepare_cached(sql)?.execute(params![id.0])?;
                let sql = "DELETE FROM outbox WHERE id = $1 AND once IS NULL";
                self.connection.prepare_cached(sql)?.execute(params![id.0])?;
            }
            Fate::Again { due_at_ms } => {
                let sql = "UPDATE outbox SET due_at_ms = $1, problem = $2 WHERE id = $3 AND state = 'waiting'";
                self.connection.prepare_cached(sql)?.execute(params![due_at_ms, problem, id.0])?;
            }
            Fate::Parked => {
                let sql = "UPDATE outbox SET state = 'parked', problem = $1 WHERE id = $2 AND state = 'waiting'";
                self.connection.prepare_cached(sql)?.execute(params![problem, id.0])?;
            }
        }
        Ok(())
    }

    /// Counts a try that did not even begin. How many there were; of what is gone by now, one.
    pub fn count_try(&self, id: DeliveryId) -> Result<i64> {
        let sql = "UPDATE outbox SET tries = tries + 1 WHERE id = $1 RETURNING tries";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![id.0], |row| row.get(0)).optional()?.unwrap_or(1))
    }

    /// Has a delivery tried again now, from the first pause on if it was parked. `false` when there is none to try.
    pub fn retry_delivery(&self, id: DeliveryId) -> Result<bool> {
        let sql = "UPDATE outbox SET tries = CASE state WHEN 'parked' THEN 1 ELSE tries END, state = 'waiting', due_at_ms = $1
                   WHERE id = $2 AND state <> 'done'";
        Ok(self.connection.prepare_cached(sql)?.execute(params![self.machine_now_ms(), id.0])? > 0)
    }

    /// Takes back what was to be told to an account.
    pub fn forget_deliveries(&self, account: AccountId) -> Result<()> {
        self.connection.execute(
            "UPDATE outbox SET state = 'done', body = '{}', problem = NULL
             WHERE account_id = $1 AND once IS NOT NULL AND state <> 'done'",
            params![account.0],
        )?;
        self.connection.execute("DELETE FROM outbox WHERE account_id = $1 AND once IS NULL", params![account.0])?;
        Ok(())
    }
}
