//! A project as a whole: what its ledger adds up to, what waits for an operator, and its days.

use super::ledger;
use super::projection;
use super::reports::{DayRow, day_row};
use super::tx::Snapshot;
use crate::domain::error::Result;
use crate::domain::id::{ProjectId, first_key_at};
use crate::domain::ledger::Balance;
use crate::domain::time::DAY_MS;
use rusqlite::params;

/// Everything that was ever issued, and where it is. All in the unit of the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProjectBooks {
    pub issued: i64,
    /// What the open lots come to by the project's clock.
    pub balance: Balance,
    pub spent: i64,
    /// As it is booked; what has expired by the clock since is `balance.lapsed`.
    pub expired: i64,
    pub reversed: i64,
    /// Out, or reserved for a payout under way.
    pub paid: i64,
}

impl ProjectBooks {
    /// What is accounted for; debts are spendings that nothing stands behind any more.
    pub fn accounted(&self) -> i64 {
        let Balance { available, pending, lapsed, owed } = self.balance;
        available + pending + lapsed + self.spent + self.expired + self.reversed + self.paid - owed
    }

    pub fn is_balanced(&self) -> bool {
        self.issued == self.accounted()
    }
}

/// What an operator is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    pub in_review: i64,
    pub parked_deliveries: i64,
    pub payouts_to_approve: i64,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Population {
    pub accounts: i64,
    pub referrals: i64,
    pub converted: i64,
}

impl Snapshot<'_> {
    /// Grants and open lots are added up from the lots, movements from the accounts' totals: the two are kept by
    /// different statements, so that their agreement says something.
    pub fn project_books(&self, project: ProjectId) -> Result<ProjectBooks> {
        let tail = projection::tail(self.connection, projection::mark(self.connection)?)?;
        let mut books = ProjectBooks::default();
        let sql = "SELECT coalesce(sum(granted), 0) FROM lot WHERE project_id = $1";
        books.issued = self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?;
        let sql = "SELECT coalesce(sum(spent), 0), coalesce(sum(expired), 0), coalesce(sum(reversed), 0),
                          coalesce(sum(paid), 0)
                   FROM account JOIN balance ON balance.account_id = account.id WHERE account.project_id = $1";
        let mut statement = self.connection.prepare_cached(sql)?;
        (books.spent, books.expired, books.reversed, books.paid) =
            statement.query_row(params![project.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let now_ms = self.now_ms(project);
        let mut statement = self.connection.prepare_cached(&ledger::open_lots_of_project_sql())?;
        let mut rows = statement.query(params![project.0])?;
        while let Some(row) = rows.next()? {
            let mut lot = ledger::whole_lot(row)?;
            // Spends that are not projected yet.
            let unwritten = tail.get(&lot.account).map_or(0, |(unwritten, _)| unwritten.of(lot.seq));
            lot.remaining -= unwritten;
            books.spent += unwritten;
            books.balance = books.balance.and(&lot, now_ms);
        }
        Ok(books)
    }

    pub fn waiting(&self, project: ProjectId) -> Result<Waiting> {
        let count = |sql: &str| -> Result<i64> {
            Ok(self.connection.prepare_cached(sql)?.query_row(params![project.0], |row| row.get(0))?)
        };
        Ok(Waiting {
            in_review: count("SELECT count(*) FROM referral WHERE project_id = $1 AND status = 'review'")?,
            parked_deliveries: count(
                "SELECT count(*) FROM outbox WHERE project_id = $1 AND state <> 'done' AND state = 'parked'",
            )?,
            payouts_to_approve: count(
                "SELECT count(*) FROM payout WHERE project_id = $1 AND status IN ('queued', 'reconciling')
                   AND status = 'queued' AND approved_at_ms IS NULL AND cancel_asked = 0",
            )?,
        })
    }

    pub fn population(&self, project: ProjectId) -> Result<Population> {
        let sql = "SELECT (SELECT count(*) FROM account WHERE project_id = $1 AND erased_at_ms IS NULL),
                          count(*), count(converted_at_ms)
                   FROM referral WHERE project_id = $1 AND status <> 'rejected'";
        let mut statement = self.connection.prepare_cached(sql)?;
        let population = statement.query_row(params![project.0], |row| {
            Ok(Population { accounts: row.get(0)?, referrals: row.get(1)?, converted: row.get(2)? })
        });
        Ok(population?)
    }

    /// A project's days from `first_day` on on which something happened, in no order; a day may come more than once.
    pub fn project_days(&self, project: ProjectId, first_day: i64) -> Result<Vec<DayRow>> {
        let sql = "SELECT applied_at_ms / $1, 0, count(*), 0, 0 FROM referral
                   WHERE project_id = $2 AND status <> 'rejected' AND id >= $3 AND applied_at_ms >= $4 GROUP BY 1
                   UNION ALL
                   SELECT converted_at_ms / $1, 0, 0, count(*), 0 FROM referral
                   WHERE project_id = $2 AND status <> 'rejected' AND converted_at_ms >= $4 GROUP BY 1
                   UNION ALL
                   SELECT granted_at_ms / $1, 0, 0, 0, sum(granted) FROM lot
                   WHERE project_id = $2 AND granted_at_ms >= $4 GROUP BY 1
                   UNION ALL
                   SELECT day, clicks, 0, 0, 0 FROM project_click_day WHERE project_id = $2 AND day >= $5";
        let mut statement = self.connection.prepare_cached(sql)?;
        let first_ms = first_day * DAY_MS;
        // Ids go by the machine's clock, which a test project's may be far ahead of.
        let ahead_ms = self.now_ms(project) - self.machine_now_ms();
        let first_id = first_key_at(first_ms - ahead_ms);
        let rows = statement.query_map(params![DAY_MS, project.0, first_id, first_ms, first_day], day_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
