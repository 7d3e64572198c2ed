//! Usage events by their own id, and how many calls an account has made.

use super::bulk::{Insert, insert};
use super::tx::Tx;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use rusqlite::{Connection, OptionalExtension, params};

/// An event as it was recorded.
#[derive(Debug, Clone, Copy)]
pub struct UsageRow {
    pub account: AccountId,
    pub charged: i64,
    pub uncovered: i64,
}

/// A usage event that is to become a row.
pub struct NewUsageEvent {
    pub seq: i64,
    pub project: ProjectId,
    pub event_id: String,
    pub account: AccountId,
    pub calls: i64,
    pub charged: i64,
    pub uncovered: i64,
    pub group_seq: Option<i64>,
    pub at_ms: i64,
}

/// The rows of events.
pub(super) fn append_events(connection: &Connection, events: &[NewUsageEvent]) -> Result<()> {
    const EVENTS: Insert = insert!(
        "usage_event (seq, project_id, event_id, account_id, calls, charged, uncovered, group_seq, at_ms)",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ""
    );
    EVENTS.run(connection, events, |event| {
        [
            &event.seq,
            &event.project.0,
            &event.event_id,
            &event.account.0,
            &event.calls,
            &event.charged,
            &event.uncovered,
            &event.group_seq,
            &event.at_ms,
        ]
    })
}

/// Of an event's id within its project.
#[derive(Debug, Clone, Copy)]
pub struct UsageHash(i64);

impl Tx<'_> {
    /// The hash by which an event is found.
    pub fn usage_hash(&self, project: ProjectId, event_id: &str) -> UsageHash {
        UsageHash(self.shared.usage_hash(project, event_id))
    }

    pub fn usage_event(&self, project: ProjectId, event_id: &str, hash: UsageHash) -> Result<Option<UsageRow>> {
        let UsageHash(hash) = hash;
        if !self.staging.borrow().write_back.seen.may_have(hash) {
            return Ok(None);
        }
        let sql = "SELECT event_seq FROM usage_id WHERE hash = $1";
        let mut written = self.connection.prepare_cached(sql)?;
        let mut candidates = self.staging.borrow().write_back.events(hash);
        for event in written.query_map(params![hash], |row| row.get(0))? {
            candidates.push(event?);
        }
        if !candidates.is_empty() {
            self.append_now()?;
        }
        let sql = "SELECT account_id, charged, uncovered FROM usage_event
                   WHERE seq = $1 AND project_id = $2 AND event_id = $3";
        for event in candidates {
            let mut statement = self.connection.prepare_cached(sql)?;
            let found = statement.query_row(params![event, project.0, event_id], |row| {
                Ok(UsageRow { account: AccountId(row.get(0)?), charged: row.get(1)?, uncovered: row.get(2)? })
            });
            if let Some(row) = found.optional()? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Records an event under an id that [`Tx::usage_event`] does not know, and counts its calls.
    pub fn add_usage_event(
        &self,
        project: ProjectId,
        event_id: &str,
        hash: UsageHash,
        calls: i64,
        usage: UsageRow,
        group_seq: Option<i64>,
    ) -> Result<()> {
        let mut staging = self.staging.borrow_mut();
        let seq = staging.add_event(hash.0);
        staging.record_later(NewUsageEvent {
            seq,
            project,
            event_id: event_id.to_owned(),
            account: usage.account,
            calls,
            charged: usage.charged,
            uncovered: usage.uncovered,
            group_seq,
            at_ms: self.machine_now_ms(),
        });
        staging.change(self.connection, self.shared, usage.account, |has| has.count(calls, seq))
    }

    /// Forgets the ids of up to `most` events older than this, oldest first. Returns how many. Those that are not in the
    /// projections yet stay.
    pub fn prune_usage_events(&self, before_ms: i64, most: i64) -> Result<usize> {
        let sql = "SELECT seq, project_id, event_id, at_ms FROM usage_event
                   WHERE seq <= (SELECT event_seq FROM projected) ORDER BY seq LIMIT $1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![most])?;
        let mut forgotten = 0;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(3)? >= before_ms {
                break;
            }
            let (seq, project): (i64, i64) = (row.get(0)?, row.get(1)?);
            let event_id: String = row.get(2)?;
            let hash = self.shared.usage_hash(ProjectId(project), &event_id);
            let sql = "DELETE FROM usage_id WHERE hash = $1 AND event_seq = $2";
            self.connection.prepare_cached(sql)?.execute(params![hash, seq])?;
            forgotten +=
                self.connection.prepare_cached("DELETE FROM usage_event WHERE seq = $1")?.execute(params![seq])?;
        }
        Ok(forgotten)
    }
}
