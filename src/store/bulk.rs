//! Rows of many short inserts gathered into a few: most of a short statement's time goes into starting and ending it.

use crate::domain::error::Result;
use rusqlite::{Connection, Statement, ToSql};

/// Rows in one statement.
const MANY: usize = 16;

/// One kind of insert, for one row and for many. Made by [`insert`].
pub struct Insert {
    pub one: &'static str,
    pub many: &'static str,
}

macro_rules! four {
    ($row:literal) => {
        concat!($row, ", ", $row, ", ", $row, ", ", $row)
    };
}
pub(super) use four;

/// An [`Insert`] of rows with their parameters as `?`; the tail says what to do with a row that is there.
macro_rules! insert {
    ($into:literal, $row:literal, $tail:literal) => {
        $crate::store::bulk::Insert {
            one: concat!("INSERT INTO ", $into, " VALUES ", $row, $tail),
            many: concat!(
                "INSERT INTO ",
                $into,
                " VALUES ",
                $crate::store::bulk::four!($row),
                ", ",
                $crate::store::bulk::four!($row),
                ", ",
                $crate::store::bulk::four!($row),
                ", ",
                $crate::store::bulk::four!($row),
                $tail
            ),
        }
    };
}
pub(super) use insert;

impl Insert {
    /// Inserts `rows` in their order.
    pub fn run<'r, T, const COLUMNS: usize>(
        &self,
        connection: &Connection,
        rows: &'r [T],
        values: impl Fn(&'r T) -> [&'r dyn ToSql; COLUMNS],
    ) -> Result<()> {
        let bind = |statement: &mut Statement<'_>, place: usize, row: &'r T| {
            let mut numbered = values(row).into_iter().zip(place * COLUMNS + 1..);
            numbered.try_for_each(|(value, number)| statement.raw_bind_parameter(number, value))
        };
        let (chunks, rest) = rows.as_chunks::<MANY>();
        if !chunks.is_empty() {
            let mut statement = connection.prepare_cached(self.many)?;
            for chunk in chunks {
                chunk.iter().enumerate().try_for_each(|(place, row)| bind(&mut statement, place, row))?;
                statement.raw_execute()?;
            }
        }
        if !rest.is_empty() {
            let mut statement = connection.prepare_cached(self.one)?;
            for row in rest {
                bind(&mut statement, 0, row)?;
                statement.raw_execute()?;
            }
        }
        Ok(())
    }
}
