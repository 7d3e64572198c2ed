//! The ledger's rows: appending movements, and reading entries and lots.

use super::bulk::{Insert, insert};
use super::fault::known;
use super::projection;
use super::tx::{Snapshot, Tx};
use crate::domain::error::Result;
use crate::domain::id::{AccountId, EntryId, ProjectId, ReferralId};
use crate::domain::ledger::{Balance, Entry, EntryKind, Head, Lot, Movement, Totals, line_status};
use crate::domain::program::{ENGINE_REASONS, Vesting};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) const ENTRY_COLUMNS: &str =
    "entry.seq, entry.project_id, entry.account_id, entry.lot, entry.kind, entry.amount,
    entry.reason, entry.group_seq, entry.origin_lot, entry.referral_id, entry.purchase_id, entry.decision_id,
    entry.program_version, entry.vests_at_ms, entry.vesting, entry.expires_at_ms, entry.at_ms, entry.prev_hash,
    entry.hash";
pub(super) const ENTRY_WIDTH: usize = 19;

/// The same columns for `verify`, which reads them in order.
pub(super) fn all_entries_sql() -> String {
    format!("SELECT {ENTRY_COLUMNS} FROM entry ORDER BY seq")
}

pub(super) const LOT_COLUMNS: &str = "lot.seq, lot.account_id, lot.referral_id, lot.purchase_id, lot.granted_at_ms,
    lot.vests_at_ms, lot.vesting, lot.expires_at_ms, lot.granted, lot.remaining, lot.expired, lot.reversed, lot.paid,
    EXISTS (SELECT 1 FROM referral WHERE referral.id = lot.referral_id AND referral.status = 'review'),
    lot.decision_id";
pub(super) const LOT_WIDTH: usize = 15;

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let vesting: Option<String> = row.get(14)?;
    let reason = row.get_ref(6)?.as_str()?;
    Ok(Entry {
        seq: row.get(0)?,
        project: ProjectId(row.get(1)?),
        account: AccountId(row.get(2)?),
        lot: row.get(3)?,
        kind: known(EntryKind::parse(row.get_ref(4)?.as_str()?))?,
        amount: row.get(5)?,
        reason: ENGINE_REASONS
            .iter()
            .find(|known| **known == reason)
            .map_or_else(|| reason.to_owned().into(), |known| (*known).into()),
        group_seq: row.get(7)?,
        origin_lot: row.get(8)?,
        referral: row.get::<_, Option<i64>>(9)?.map(ReferralId),
        purchase: row.get(10)?,
        decision: row.get(11)?,
        program_version: row.get(12)?,
        vests_at_ms: row.get(13)?,
        vesting: vesting.map(|text| known(Vesting::parse(&text))).transpose()?,
        expires_at_ms: row.get(15)?,
        at_ms: row.get(16)?,
        prev_hash: row.get(17)?,
        hash: row.get(18)?,
    })
}

/// A lot from the columns that start at `from`.
pub(super) fn lot(row: &Row<'_>, from: usize) -> rusqlite::Result<Lot> {
    Ok(Lot {
        seq: row.get(from)?,
        account: AccountId(row.get(from + 1)?),
        referral: row.get::<_, Option<i64>>(from + 2)?.map(ReferralId),
        purchase: row.get(from + 3)?,
        granted_at_ms: row.get(from + 4)?,
        vests_at_ms: row.get(from + 5)?,
        vesting: known(Vesting::parse(row.get_ref(from + 6)?.as_str()?))?,
        expires_at_ms: row.get(from + 7)?,
        granted: row.get(from + 8)?,
        remaining: row.get(from + 9)?,
        expired: row.get(from + 10)?,
        reversed: row.get(from + 11)?,
        paid: row.get(from + 12)?,
        held: row.get(from + 13)?,
    })
}

/// An entry with what is needed to show it.
#[derive(Debug, Clone)]
pub struct LedgerLine {
    pub entry: Entry,
    pub status: &'static str,
    /// Its lot's referral is under review: nothing vests.
    pub held: bool,
    pub referrer: Option<AccountId>,
    pub referee: Option<AccountId>,
    pub referee_email: Option<String>,
}

impl LedgerLine {
    pub fn id(&self) -> EntryId {
        EntryId(self.entry.seq)
    }
}

/// Some lines, and the place to go on from when there may be more. With a filter a page can be short, or empty.
#[derive(Debug, Clone)]
pub struct LedgerPage {
    pub lines: Vec<LedgerLine>,
    pub next: Option<i64>,
}

/// Which entries of an account to list.
#[derive(Debug, Clone, Copy)]
pub struct LedgerFilter {
    pub from_ms: i64,
    /// Exclusive.
    pub to_ms: i64,
    pub status: Option<&'static str>,
}

impl LedgerFilter {
    fn lets_through(&self, entry: &Entry, status: &str) -> bool {
        (self.from_ms..self.to_ms).contains(&entry.at_ms) && self.status.is_none_or(|wanted| wanted == status)
    }
}

impl Default for LedgerFilter {
    fn default() -> Self {
        Self { from_ms: i64::MIN, to_ms: i64::MAX, status: None }
    }
}

impl Snapshot<'_> {
    pub fn ledger_head(&self) -> Result<Head> {
        projection::head(self.connection)
    }

    /// What an account has at this time.
    pub fn balance(&self, project: ProjectId, account: AccountId) -> Result<Balance> {
        Ok(self.with_holdings(project, account, |has| has.balance(self.now_ms(project)))?.unwrap_or_default())
    }

    pub fn totals(&self, project: ProjectId, account: AccountId) -> Result<Totals> {
        Ok(self.with_holdings(project, account, |has| has.totals())?.unwrap_or_default())
    }

    /// What a referral has brought to one of its two accounts, with each grant's reason. The account's
    /// rows must be complete.
    pub fn lots_of_referral(
        &self,
        project: ProjectId,
        referral: ReferralId,
        account: AccountId,
    ) -> Result<Vec<(Lot, String)>> {
        let sql = format!(
            "SELECT {LOT_COLUMNS}, entry.reason FROM lot JOIN entry ON entry.seq = lot.seq
             WHERE lot.referral_id = $1 AND lot.project_id = $2 AND lot.account_id = $3 ORDER BY lot.seq"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement
            .query_map(params![referral.0, project.0, account.0], |row| Ok((lot(row, 0)?, row.get(LOT_WIDTH)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Accounts with lots that have expired by the project's clock and are not booked as expired.
    pub fn accounts_with_lapsed_lots(&self, project: ProjectId, most: i64) -> Result<Vec<AccountId>> {
        let sql = "SELECT DISTINCT account_id FROM lot
                   WHERE project_id = $1 AND side = 1 AND expires_at_ms < 9223372036854775807 AND expires_at_ms <= $2
                   LIMIT $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let now_ms = self.now_ms(project);
        let rows = statement.query_map(params![project.0, now_ms, most], |row| row.get(0).map(AccountId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Newest first, those before `before` only. The account's rows must be complete ([`super::Store::read_rows`]).
    pub fn ledger(
        &self,
        project: ProjectId,
        account: AccountId,
        filter: LedgerFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<LedgerPage> {
        let sql = ledger_sql("account_entry.seq < $3 ORDER BY account_entry.seq DESC");
        self.ledger_page(&sql, params![project.0, account.0, before.unwrap_or(i64::MAX)], filter, limit)
    }

    /// Oldest first, those after `after` only. The account's rows must be complete.
    pub fn ledger_forward(
        &self,
        project: ProjectId,
        account: AccountId,
        filter: LedgerFilter,
        after: i64,
        limit: usize,
    ) -> Result<LedgerPage> {
        let sql = ledger_sql("account_entry.seq > $3 ORDER BY account_entry.seq ASC");
        self.ledger_page(&sql, params![project.0, account.0, after], filter, limit)
    }

    /// What all of an account's entries before this one come to: `None` where that is too far from the newest to be
    /// added up for a page. The account's rows must be complete.
    pub fn total_before(&self, project: ProjectId, account: AccountId, before: Option<i64>) -> Result<Option<i64>> {
        const MOST_NEWER: usize = 20_000;
        let sql = "SELECT open - owed FROM balance WHERE account_id = $1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let total: Option<i64> = statement.query_row(params![account.0], |row| row.get(0)).optional()?;
        let mut total = total.unwrap_or(0);
        let Some(before) = before else { return Ok(Some(total)) };
        let sql = "SELECT entry.amount FROM account_entry CROSS JOIN entry ON entry.seq = account_entry.seq
                   WHERE entry.project_id = $1 AND account_entry.account_id = $2 AND account_entry.seq >= $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let newer = statement.query_map(params![project.0, account.0, before], |row| row.get::<_, i64>(0))?;
        for (seen, amount) in newer.enumerate() {
            if seen == MOST_NEWER {
                return Ok(None);
            }
            total -= amount?;
        }
        Ok(Some(total))
    }

    fn ledger_page(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        filter: LedgerFilter,
        limit: usize,
    ) -> Result<LedgerPage> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut lines: Vec<LedgerLine> = Vec::new();
        let (mut seen, mut last_seen) = (0, 0);
        while let Some(row) = rows.next()? {
            if seen == MOST_SEEN {
                return Ok(LedgerPage { lines, next: Some(last_seen) });
            }
            let entry = entry(row)?;
            let lot = lot(row, ENTRY_WIDTH)?;
            let status = line_status(entry.kind, &lot, self.carried(&entry, &lot)?, self.now_ms(entry.project));
            (seen, last_seen) = (seen + 1, entry.seq);
            if !filter.lets_through(&entry, status) {
                continue;
            }
            if lines.len() == limit {
                // There is one more to come: only then is there a next page.
                return Ok(LedgerPage { next: lines.last().map(|line| line.entry.seq), lines });
            }
            let people = ENTRY_WIDTH + LOT_WIDTH;
            lines.push(LedgerLine {
                entry,
                status,
                held: lot.held,
                referrer: row.get::<_, Option<i64>>(people)?.map(AccountId),
                referee: row.get::<_, Option<i64>>(people + 1)?.map(AccountId),
                referee_email: row.get(people + 2)?,
            });
        }
        Ok(LedgerPage { lines, next: None })
    }
}

/// Entries that one page looks at, so that a filter that finds little does not hold a reader for long.
const MOST_SEEN: usize = 5_000;

fn ledger_sql(place_and_order: &str) -> String {
    format!(
        "SELECT {ENTRY_COLUMNS}, {LOT_COLUMNS}, referral.referrer_id, referral.referee_id, account.email
         FROM account_entry CROSS JOIN entry ON entry.seq = account_entry.seq CROSS JOIN lot ON lot.seq = entry.lot
         LEFT JOIN referral ON referral.id = entry.referral_id LEFT JOIN account ON account.id = referral.referee_id
         WHERE entry.project_id = $1 AND account_entry.account_id = $2 AND {place_and_order}"
    )
}

/// Totals from the columns that start at `from`.
pub(super) fn totals(row: &Row<'_>, from: usize) -> rusqlite::Result<Totals> {
    Ok(Totals {
        granted: row.get(from)?,
        spent: row.get(from + 1)?,
        expired: row.get(from + 2)?,
        reversed: row.get(from + 3)?,
        paid: row.get(from + 4)?,
        open: row.get(from + 5)?,
        owed: row.get(from + 6)?,
    })
}

/// An account's lots with something left or owed, in spend order.
pub(super) fn open_lots(connection: &Connection, account: AccountId) -> Result<Vec<Lot>> {
    let sql = format!("SELECT {LOT_COLUMNS} FROM lot WHERE account_id = $1 AND side <> 0 ORDER BY expires_at_ms, seq");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![account.0], |row| lot(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A project's lots with something left or owed, for [`whole_lot`].
pub(super) fn open_lots_of_project_sql() -> String {
    format!("SELECT {LOT_COLUMNS} FROM lot WHERE project_id = $1 AND side <> 0")
}

pub(super) fn whole_lot(row: &Row<'_>) -> rusqlite::Result<Lot> {
    lot(row, 0)
}

/// The first lot that names another project or decision than its grant, or another side: columns that [`Lot`] does not
/// carry.
pub(super) fn misplaced_lot_sql() -> &'static str {
    "SELECT min(lot.seq) FROM lot JOIN entry ON entry.seq = lot.seq
     WHERE lot.project_id <> entry.project_id OR lot.decision_id IS DISTINCT FROM entry.decision_id
       OR lot.side <> CASE WHEN lot.remaining > 0 THEN 1 WHEN lot.remaining < 0 THEN -1 ELSE 0 END"
}

/// A projected lot as `verify` compares it with the entries' sums; a hold is not the entries'.
pub(super) fn all_lots_sql() -> String {
    format!("SELECT {LOT_COLUMNS} FROM lot ORDER BY seq")
}

pub(super) fn projected_lot(row: &Row<'_>) -> rusqlite::Result<Lot> {
    Ok(Lot { held: false, ..lot(row, 0)? })
}

impl Tx<'_> {
    /// An account's open lots, in spend order.
    pub fn open_lots(&self, project: ProjectId, account: AccountId) -> Result<Vec<Lot>> {
        Ok(self.with_holdings(project, account, |has| has.lots().collect())?.unwrap_or_default())
    }

    /// What a purchase has brought to anyone, each lot with the decision behind it. Completes the rows of those.
    pub fn lots_of_purchase(&self, project: ProjectId, purchase: i64) -> Result<Vec<(Lot, Option<i64>)>> {
        let sql = "SELECT DISTINCT account_id FROM lot WHERE purchase_id = $1 AND project_id = $2";
        let mut owners = self.connection.prepare_cached(sql)?;
        for owner in owners.query_map(params![purchase, project.0], |row| row.get(0).map(AccountId))? {
            self.complete_rows(owner?)?;
        }
        let sql = format!("SELECT {LOT_COLUMNS} FROM lot WHERE purchase_id = $1 AND project_id = $2 ORDER BY seq");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows =
            statement.query_map(params![purchase, project.0], |row| Ok((lot(row, 0)?, row.get(LOT_WIDTH - 1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What a referral has been paid for a subscription or checkout, which no purchase is behind.
    pub fn lots_of_subscription(&self, project: ProjectId, referral: ReferralId) -> Result<Vec<(Lot, Option<i64>)>> {
        let from = "FROM lot JOIN decision ON decision.id = lot.decision_id
                    WHERE lot.referral_id = $1 AND lot.project_id = $2 AND decision.event = 'subscription'";
        let mut owners = self.connection.prepare_cached(&format!("SELECT DISTINCT lot.account_id {from}"))?;
        for owner in owners.query_map(params![referral.0, project.0], |row| row.get(0).map(AccountId))? {
            self.complete_rows(owner?)?;
        }
        let sql = format!("SELECT {LOT_COLUMNS} {from} ORDER BY lot.seq");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows =
            statement.query_map(params![referral.0, project.0], |row| Ok((lot(row, 0)?, row.get(LOT_WIDTH - 1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Chains a movement behind the ledger's head. Returns its `group_seq`, or `None` when it moves nothing.
    pub fn append(&self, movement: Movement) -> Result<Option<i64>> {
        if movement.drafts.is_empty() {
            return Ok(None);
        }
        let (account, now_ms) = (movement.account, self.now_ms(movement.project));
        let only_spends = movement.drafts.iter().all(|draft| draft.kind == EntryKind::Spend);
        if only_spends {
            let mut staging = self.staging.borrow_mut();
            let entries = movement.seal(staging.head(), now_ms);
            staging.spend(self.connection, self.shared, account, &entries)?;
            return Ok(staging.append_later(entries));
        }
        self.complete_rows(account)?;
        let entries = movement.seal(self.staging.borrow().head(), now_ms);
        for entry in &entries {
            self.connection.prepare_cached(APPEND)?.execute(params![
                entry.seq,
                entry.project.0,
                entry.account.0,
                entry.lot,
                entry.kind.as_str(),
                entry.amount,
                entry.reason,
                entry.group_seq,
                entry.origin_lot,
                entry.referral.map(|id| id.0),
                entry.purchase,
                entry.decision,
                entry.program_version,
                entry.vests_at_ms,
                entry.vesting.map(Vesting::as_str),
                entry.expires_at_ms,
                entry.at_ms,
                entry.prev_hash,
                entry.hash
            ])?;
        }
        let mut staging = self.staging.borrow_mut();
        if let Some(last) = entries.last() {
            staging.note_head(Head { seq: last.seq, hash: last.hash });
        }
        staging.note_figures(account);
        Ok(entries.first().map(|entry| entry.group_seq))
    }
}

/// The rows of spends.
pub(super) fn append_spends(connection: &Connection, spends: &[Entry]) -> Result<()> {
    const SPENDS: Insert = insert!(
        "entry (seq, project_id, account_id, lot, kind, amount, reason, group_seq, at_ms, prev_hash, hash)",
        "(?, ?, ?, ?, 'spend', ?, ?, ?, ?, ?, ?)",
        ""
    );
    SPENDS.run(connection, spends, |entry| {
        [
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
    })
}

const APPEND: &str = "INSERT INTO entry (seq, project_id, account_id, lot, kind, amount, reason, group_seq, origin_lot,
        referral_id, purchase_id, decision_id, program_version, vests_at_ms, vesting, expires_at_ms, at_ms, prev_hash,
        hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
