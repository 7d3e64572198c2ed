//! Rate limits that operators have set.

use super::fault::known;
use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::limit::LimitName;
use rusqlite::params;

impl Snapshot<'_> {
    /// Each with its count a period.
    pub fn rate_limits(&self) -> Result<Vec<(LimitName, u32)>> {
        let mut statement = self.connection.prepare_cached("SELECT name, count FROM rate_limit ORDER BY name")?;
        let rows = statement
            .query_map([], |row| Ok((known(LimitName::parse(row.get_ref(0)?.as_str()?).ok())?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// `None`: as the server was started.
    pub fn set_rate_limit(&self, name: LimitName, count: Option<u32>) -> Result<()> {
        match count {
            Some(count) => {
                let sql = "INSERT INTO rate_limit (name, count, set_at_ms) VALUES ($1, $2, $3)
                           ON CONFLICT (name) DO UPDATE SET count = excluded.count, set_at_ms = excluded.set_at_ms";
                self.connection.execute(sql, params![name.as_str(), count, self.machine_now_ms()])?;
            }
            None => {
                self.connection.execute("DELETE FROM rate_limit WHERE name = $1", params![name.as_str()])?;
            }
        }
        Ok(())
    }
}
