//! Payouts: what each is about, how far it is, and when it was told to Stripe.

use super::fault::known;
use super::tx::{Snapshot, Tx};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, PayoutId, ProjectId};
use crate::domain::ledger::{Books, Carried, Entry, EntryKind, Lot, Taken};
use crate::domain::payout::{PayoutStatus, Sendings};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct PayoutRow {
    pub id: PayoutId,
    pub project: ProjectId,
    pub account: AccountId,
    pub amount_minor: i64,
    pub currency: String,
    pub destination: String,
    /// The form that Stripe is sent, to the byte.
    pub request: String,
    pub status: PayoutStatus,
    /// The entries that reserved it: the first, and how many.
    pub group_seq: i64,
    pub entry_count: i64,
    pub approved: bool,
    pub cancel_asked: bool,
    pub resolve_asked: bool,
    pub delivery: Option<i64>,
    pub times_sent: i64,
    pub sendings: Option<Sendings>,
    /// Of the Stripe key that there was when it was asked for.
    pub key_hash: Option<[u8; 32]>,
    pub transfer: Option<String>,
    pub reversed_minor: i64,
    pub failure: Option<String>,
    pub created_at_ms: i64,
    pub paid_at_ms: Option<i64>,
}

/// A payout that is about to be made, with the entries that reserve it.
#[derive(Debug, Clone)]
pub struct NewPayout<'a> {
    pub id: PayoutId,
    pub account: AccountId,
    pub amount_minor: i64,
    pub currency: &'a str,
    pub destination: &'a str,
    pub request: &'a str,
    pub group_seq: i64,
    pub entry_count: usize,
    pub approved: bool,
    pub key_hash: Option<[u8; 32]>,
}

const COLUMNS: &str = "payout.id, payout.project_id, payout.account_id, payout.amount_minor, payout.currency,
    payout.destination, payout.request, payout.status, payout.group_seq, payout.entry_count,
    payout.approved_at_ms IS NOT NULL, payout.cancel_asked, payout.resolve_asked, payout.delivery_id, payout.sendings,
    payout.first_sent_at_ms, payout.last_sent_at_ms, payout.key_hash, payout.transfer_id, payout.reversed_minor,
    payout.failure, payout.created_at_ms, payout.paid_at_ms";

fn payout(row: &Row<'_>) -> rusqlite::Result<PayoutRow> {
    let sent: (Option<i64>, Option<i64>) = (row.get(15)?, row.get(16)?);
    Ok(PayoutRow {
        id: PayoutId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        account: AccountId(row.get(2)?),
        amount_minor: row.get(3)?,
        currency: row.get(4)?,
        destination: row.get(5)?,
        request: row.get(6)?,
        status: known(PayoutStatus::parse(row.get_ref(7)?.as_str()?))?,
        group_seq: row.get(8)?,
        entry_count: row.get(9)?,
        approved: row.get(10)?,
        cancel_asked: row.get(11)?,
        resolve_asked: row.get(12)?,
        delivery: row.get(13)?,
        times_sent: row.get(14)?,
        sendings: sent.0.zip(sent.1).map(|(first_at_ms, last_at_ms)| Sendings { first_at_ms, last_at_ms }),
        key_hash: row.get(17)?,
        transfer: row.get(18)?,
        reversed_minor: row.get(19)?,
        failure: row.get(20)?,
        created_at_ms: row.get(21)?,
        paid_at_ms: row.get(22)?,
    })
}

/// With what its delivery stumbled over, and whether that is parked.
fn listed(row: &Row<'_>) -> rusqlite::Result<(PayoutRow, Option<String>, bool)> {
    let columns = row.as_ref().column_count();
    Ok((payout(row)?, row.get(columns - 2)?, row.get(columns - 1)?))
}

/// Those after `after`, oldest first.
pub(super) fn forward(connection: &Connection, project: ProjectId, after: i64, limit: usize) -> Result<Vec<PayoutRow>> {
    let sql = format!("SELECT {COLUMNS} FROM payout WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![project.0, after, i64::try_from(limit).unwrap_or(500)], payout)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Snapshot<'_> {
    /// `NotFound`, for another project's too.
    pub fn payout(&self, project: ProjectId, id: PayoutId) -> Result<PayoutRow> {
        let sql = format!("SELECT {COLUMNS} FROM payout WHERE project_id = $1 AND id = $2");
        let found = self.connection.prepare_cached(&sql)?.query_row(params![project.0, id.0], payout).optional()?;
        found.ok_or_else(|| Error::not_found("No such payout."))
    }

    /// Whose payout this is.
    pub fn project_of_payout(&self, id: PayoutId) -> Result<ProjectId> {
        let sql = "SELECT project_id FROM payout WHERE id = $1";
        let found = self.connection.prepare_cached(sql)?.query_row(params![id.0], |row| row.get(0)).optional()?;
        found.map(ProjectId).ok_or_else(|| Error::not_found("No such payout."))
    }

    pub fn has_open_payout(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM payout WHERE account_id = $1 AND project_id = $2
                                  AND status IN ('queued', 'reconciling'))";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![account.0, project.0], |row| row.get(0))?)
    }

    /// Whether this file was put back from a backup, and no operator has let a payout of this account go since: Stripe may
    /// have sent one that the backup is too old to know.
    pub fn may_have_forgotten_payouts(&self, project: ProjectId, account: AccountId) -> Result<bool> {
        let sql = "SELECT restored_at_ms IS NOT NULL AND NOT EXISTS (
                     SELECT 1 FROM payout WHERE account_id = $1 AND project_id = $2
                       AND created_at_ms >= restored_at_ms AND approved_at_ms IS NOT NULL)
                   FROM instance";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![account.0, project.0], |row| row.get(0))?)
    }

    /// What an account has in open payouts, and what it was paid in all.
    pub fn payout_sums(&self, project: ProjectId, account: AccountId) -> Result<(i64, i64)> {
        let sql = "SELECT coalesce(sum(CASE WHEN status IN ('queued', 'reconciling') THEN amount_minor END), 0),
                          coalesce(sum(CASE WHEN status = 'paid' THEN amount_minor END), 0)
                   FROM payout WHERE account_id = $1 AND project_id = $2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![account.0, project.0], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Newest first, those before `before` only.
    pub fn payouts(
        &self,
        project: ProjectId,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<PayoutRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM payout WHERE project_id = $1 AND account_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = params![project.0, account.0, before.unwrap_or(i64::MAX), limit];
        let rows = statement.query_map(values, payout)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A project's payouts, newest first, each with what its delivery stumbled over and whether that is parked.
    pub fn payouts_of_project(
        &self,
        project: ProjectId,
        only_open: bool,
        limit: i64,
    ) -> Result<Vec<(PayoutRow, Option<String>, bool)>> {
        let open = if only_open { "AND payout.status IN ('queued', 'reconciling')" } else { "" };
        let sql = format!(
            "SELECT {COLUMNS}, outbox.problem, coalesce(outbox.state, '') = 'parked'
             FROM payout LEFT JOIN outbox ON outbox.id = payout.delivery_id
             WHERE payout.project_id = $1 {open} ORDER BY payout.id DESC LIMIT $2"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows =
            statement.query_map(params![project.0, limit], |row| Ok((payout(row)?, row.get(23)?, row.get(24)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A project's payouts in one of these states (in any, when none is named), newest first, those before `before` only;
    /// each with what its delivery stumbled over and whether that is parked.
    pub fn payouts_in(
        &self,
        project: ProjectId,
        states: &[PayoutStatus],
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(PayoutRow, Option<String>, bool)>> {
        let named: Vec<_> = states.iter().map(|status| format!("'{}'", status.as_str())).collect();
        let only = if named.is_empty() { String::new() } else { format!("AND status IN ({})", named.join(", ")) };
        let sql = format!(
            "SELECT {COLUMNS}, outbox.problem, coalesce(outbox.state, '') = 'parked'
             FROM payout LEFT JOIN outbox ON outbox.id = payout.delivery_id
             WHERE payout.project_id = $1 AND payout.id < $2 {only} ORDER BY payout.id DESC LIMIT $3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![project.0, before.unwrap_or(i64::MAX), limit], listed)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One of them. `NotFound`, for another project's too.
    pub fn listed_payout(&self, project: ProjectId, id: PayoutId) -> Result<(PayoutRow, Option<String>, bool)> {
        let sql = format!(
            "SELECT {COLUMNS}, outbox.problem, coalesce(outbox.state, '') = 'parked'
             FROM payout LEFT JOIN outbox ON outbox.id = payout.delivery_id
             WHERE payout.project_id = $1 AND payout.id = $2"
        );
        let found = self.connection.prepare_cached(&sql)?.query_row(params![project.0, id.0], listed).optional()?;
        found.ok_or_else(|| Error::not_found("No such payout."))
    }

    /// How much of a lot is in a payout that is not settled.
    pub fn reserved(&self, project: ProjectId, lot: &Lot) -> Result<i64> {
        if lot.paid == 0 {
            return Ok(0);
        }
        let sql = "SELECT coalesce(-sum(entry.amount), 0)
                   FROM payout JOIN entry ON entry.seq >= payout.group_seq
                     AND entry.seq < payout.group_seq + payout.entry_count
                   WHERE payout.account_id = $1 AND payout.project_id = $2
                     AND payout.status IN ('queued', 'reconciling') AND entry.lot = $3 AND entry.kind = 'payout'";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![lot.account.0, project.0, lot.seq], |row| row.get(0))?)
    }

    /// What payouts have to do with an entry, which is of this lot.
    pub(super) fn carried(&self, entry: &Entry, lot: &Lot) -> Result<Carried> {
        match entry.kind {
            EntryKind::Payout => {
                let sql = "SELECT status FROM payout WHERE project_id = $1 AND group_seq = $2";
                let mut statement = self.connection.prepare_cached(sql)?;
                let status = statement.query_row(params![entry.project.0, entry.group_seq], |row| {
                    known(PayoutStatus::parse(row.get_ref(0)?.as_str()?))
                });
                Ok(Carried { by: status.optional()?, reserved: 0 })
            }
            EntryKind::Grant => Ok(Carried { by: None, reserved: self.reserved(entry.project, lot)? }),
            _ => Ok(Carried::default()),
        }
    }

    /// What a payout took, by lot.
    pub fn taken_by_payout(&self, row: &PayoutRow) -> Result<Vec<Taken>> {
        let sql = "SELECT entry.lot, -entry.amount, entry.at_ms, lot.expires_at_ms
                   FROM entry JOIN lot ON lot.seq = entry.lot
                   WHERE entry.project_id = $1 AND entry.seq >= $2 AND entry.seq < $3 AND entry.kind = 'payout'
                     AND entry.account_id = $4
                   ORDER BY entry.seq";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![row.project.0, row.group_seq, row.group_seq + row.entry_count, row.account.0];
        let rows = statement.query_map(values, |row| {
            Ok(Taken { lot: row.get(0)?, amount: row.get(1)?, at_ms: row.get(2)?, expires_at_ms: row.get(3)? })
        })?;
        let taken = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        if taken.iter().map(|taken| taken.amount).sum::<i64>() != row.amount_minor {
            return Err(Error::internal(format!("{} is not what its entries say", row.id)));
        }
        Ok(taken)
    }
}

impl Tx<'_> {
    pub fn add_payout(&self, project: ProjectId, new: &NewPayout<'_>) -> Result<()> {
        let now_ms = self.now_ms(project);
        let sql =
            "INSERT INTO payout (id, project_id, account_id, amount_minor, currency, destination, request, status,
                                       group_seq, entry_count, approved_at_ms, key_hash, created_at_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $9, $10, $11, $12)";
        self.connection.prepare_cached(sql)?.execute(params![
            new.id.0,
            project.0,
            new.account.0,
            new.amount_minor,
            new.currency,
            new.destination,
            new.request,
            new.group_seq,
            i64::try_from(new.entry_count).unwrap_or_default(),
            new.approved.then_some(now_ms),
            new.key_hash,
            now_ms
        ])?;
        Ok(())
    }

    /// Where in the outbox it waits.
    pub fn set_payout_delivery(&self, project: ProjectId, id: PayoutId, delivery: i64) -> Result<()> {
        let sql = "UPDATE payout SET delivery_id = $1 WHERE project_id = $2 AND id = $3";
        self.connection.prepare_cached(sql)?.execute(params![delivery, project.0, id.0])?;
        Ok(())
    }

    /// `false`: it was approved before, or is not open any more.
    pub fn approve_payout(&self, project: ProjectId, id: PayoutId) -> Result<bool> {
        let sql = "UPDATE payout SET approved_at_ms = $1
                   WHERE project_id = $2 AND id = $3 AND status = 'queued' AND approved_at_ms IS NULL";
        Ok(self.connection.prepare_cached(sql)?.execute(params![self.now_ms(project), project.0, id.0])? > 0)
    }

    /// Has it called off, if it was not told to Stripe yet. From here on it will not be.
    pub fn ask_payout_cancel(&self, project: ProjectId, id: PayoutId) -> Result<bool> {
        let sql = "UPDATE payout SET cancel_asked = 1
                   WHERE project_id = $1 AND id = $2 AND status = 'queued' AND sendings = 0 AND transfer_id IS NULL";
        Ok(self.connection.prepare_cached(sql)?.execute(params![project.0, id.0])? > 0)
    }

    /// Lets the next look-up that finds nothing, and can be sure of it, give the money back.
    pub fn ask_payout_resolve(&self, project: ProjectId, id: PayoutId) -> Result<bool> {
        let sql = "UPDATE payout SET resolve_asked = 1 WHERE project_id = $1 AND id = $2 AND status = 'reconciling'";
        Ok(self.connection.prepare_cached(sql)?.execute(params![project.0, id.0])? > 0)
    }

    /// Notes, before it happens, that Stripe is told.
    pub fn note_payout_sending(&self, project: ProjectId, id: PayoutId, key_hash: &[u8; 32]) -> Result<()> {
        let sql = "UPDATE payout SET sendings = sendings + 1, first_sent_at_ms = coalesce(first_sent_at_ms, $1),
                          last_sent_at_ms = CASE WHEN last_sent_at_ms > $1 THEN last_sent_at_ms ELSE $1 END,
                          key_hash = coalesce(key_hash, $2)
                   WHERE project_id = $3 AND id = $4";
        let values = params![self.machine_now_ms(), key_hash, project.0, id.0];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Its first and only sending has surely not begun at Stripe: it is as if it was never sent.
    pub fn unsend_payout(&self, project: ProjectId, id: PayoutId) -> Result<bool> {
        let sql = "UPDATE payout SET sendings = 0, first_sent_at_ms = NULL, last_sent_at_ms = NULL
                   WHERE project_id = $1 AND id = $2 AND status = 'queued' AND sendings = 1";
        Ok(self.connection.prepare_cached(sql)?.execute(params![project.0, id.0])? > 0)
    }

    /// Stripe may have paid it or not; one that was never told stays as it is.
    pub fn set_payout_reconciling(&self, project: ProjectId, id: PayoutId) -> Result<()> {
        let sql = "UPDATE payout SET status = 'reconciling'
                   WHERE project_id = $1 AND id = $2 AND status = 'queued' AND sendings > 0";
        self.connection.prepare_cached(sql)?.execute(params![project.0, id.0])?;
        Ok(())
    }

    pub fn set_payout_paid(&self, project: ProjectId, id: PayoutId, transfer: &str) -> Result<()> {
        let sql = "UPDATE payout SET status = 'paid', transfer_id = $1, paid_at_ms = $2
                   WHERE project_id = $3 AND id = $4";
        let values = params![transfer, self.now_ms(project), project.0, id.0];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// After its money was given back by the movement `return_seq`.
    pub fn set_payout_returned(
        &self,
        project: ProjectId,
        id: PayoutId,
        status: PayoutStatus,
        return_seq: i64,
        failure: Option<&str>,
    ) -> Result<()> {
        let sql = "UPDATE payout SET status = $1, return_seq = $2, failure = $3 WHERE project_id = $4 AND id = $5";
        let values = params![status.as_str(), return_seq, failure, project.0, id.0];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// What Stripe has told of the transfer since: how much was reversed, which only ever grows.
    pub fn note_transfer(&self, project: ProjectId, id: PayoutId, transfer: &str, reversed_minor: i64) -> Result<()> {
        let sql = "UPDATE payout SET transfer_id = coalesce(transfer_id, $1), 
                          reversed_minor = CASE WHEN reversed_minor > $2 THEN reversed_minor ELSE $2 END
                   WHERE project_id = $3 AND id = $4";
        self.connection.prepare_cached(sql)?.execute(params![transfer, reversed_minor, project.0, id.0])?;
        Ok(())
    }
}

/// The first payout that is not what the ledger says: reserved by other entries, or neither paid nor given back.
pub(super) fn misfit(connection: &Connection, books: &Books) -> Result<Option<(i64, String)>> {
    let sql = "SELECT payout.id, payout.group_seq FROM payout WHERE amount_minor <> (
                 SELECT coalesce(-sum(entry.amount), 0) FROM entry
                 WHERE entry.seq >= payout.group_seq AND entry.seq < payout.group_seq + payout.entry_count
                   AND entry.kind = 'payout' AND entry.account_id = payout.account_id)
               ORDER BY payout.group_seq LIMIT 1";
    let found = connection.query_row(sql, [], |row| Ok((PayoutId(row.get(0)?), row.get(1)?))).optional()?;
    if let Some((id, seq)) = found {
        return Ok(Some((seq, format!("{id} is another sum than the entries that reserve it"))));
    }
    let sql = "SELECT account_id, sum(amount_minor) FROM payout WHERE return_seq IS NULL GROUP BY account_id";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((AccountId(row.get(0)?), row.get::<_, i64>(1)?)))?;
    let out = rows.collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let by_ledger = books.totals.iter().filter(|(_, totals)| totals.paid != 0).map(|(account, _)| account);
    let differs = |account: &&AccountId| {
        books.totals.get(*account).map_or(0, |totals| totals.paid) != out.get(account).copied().unwrap_or(0)
    };
    let account = by_ledger.chain(out.keys()).filter(differs).min();
    Ok(account.map(|account| (0, format!("the payouts of {account} are not what the entries pay out"))))
}
