//! Rows of many short inserts gathered into a few: most of a short statement's time goes into starting and ending it.

use super::staging::EventRow;
use crate::domain::error::Result;
use crate::domain::ledger::Entry;
use rusqlite::{Connection, ToSql, params_from_iter};

/// Rows in one statement.
const MANY: usize = 16;

/// One kind of insert, for one row and for many.
struct Insert {
    one: String,
    many: String,
}

impl Insert {
    /// `row` has its parameters as `?`, `columns` of them.
    fn new(head: &str, row: &str, columns: usize) -> Self {
        let numbered = |place: usize| {
            let mut number = place * columns;
            row.split('?').enumerate().fold(String::new(), |text, (part, piece)| {
                if part == 0 {
                    return piece.to_owned();
                }
                number += 1;
                format!("{text}${number}{piece}")
            })
        };
        let rows = |count: usize| (0..count).map(numbered).collect::<Vec<_>>().join(", ");
        Self { one: format!("{head} VALUES {}", rows(1)), many: format!("{head} VALUES {}", rows(MANY)) }
    }

    fn run<T>(&self, connection: &Connection, rows: &[T], values: impl Fn(&T) -> Vec<&dyn ToSql>) -> Result<()> {
        let (chunks, rest) = rows.as_chunks::<MANY>();
        for chunk in chunks {
            connection.prepare_cached(&self.many)?.execute(params_from_iter(chunk.iter().flat_map(&values)))?;
        }
        for row in rest {
            connection.prepare_cached(&self.one)?.execute(params_from_iter(values(row)))?;
        }
        Ok(())
    }
}

/// The two appends of a usage event.
pub struct Appends {
    spends: Insert,
    events: Insert,
}

impl Appends {
    pub fn new() -> Self {
        Self {
            spends: Insert::new(
                "INSERT INTO entry (seq, project_id, account_id, lot, kind, amount, reason, group_seq, at_ms, prev_hash,
                     hash)",
                "(?, ?, ?, ?, 'spend', ?, ?, ?, ?, ?, ?)",
                10,
            ),
            events: Insert::new(
                "INSERT INTO usage_event (seq, project_id, event_id, account_id, calls, charged, uncovered, group_seq,
                     at_ms)",
                "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                9,
            ),
        }
    }

    pub fn run(&self, connection: &Connection, spends: &[Entry], events: &[EventRow]) -> Result<()> {
        self.spends.run(connection, spends, |entry| {
            vec![
                &entry.seq,
                &entry.project.0,
                &entry.account.0,
                &entry.lot,
                &entry.amount,
                &entry.reason,
                &entry.group_seq,
                &entry.at_ms,
                &entry.prev_hash,
                &entry.hash,
            ]
        })?;
        self.events.run(connection, events, |event| {
            vec![
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
}
