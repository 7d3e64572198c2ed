//! A project's rows as CSV.

use super::shared::{Answer, People};
use crate::domain::id::EntryId;
use crate::domain::ledger::Entry;
use crate::domain::program::Vesting;
use crate::domain::time::rfc3339;
use crate::engine::{ExportedReferral, ListedDeveloper, PayoutRow, Step};
use crate::web::auth::AdminRead;
use crate::web::csv_download::{Cell, Chunk, download};
use crate::web::{Context, readable};
use actix_web::web;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/exports/ledger.csv", ledger))
        .service(readable("/exports/developers.csv", developers))
        .service(readable("/exports/referrals.csv", referrals))
        .service(readable("/exports/payouts.csv", payouts));
}

fn chunk<T>(step: Step<T>, row: impl Fn(T) -> Vec<Cell>) -> Chunk {
    Chunk { rows: step.rows.into_iter().map(row).collect(), next: step.next }
}

fn time(at_ms: Option<i64>) -> Cell {
    Cell::maybe(at_ms.map(rfc3339))
}

/// All that the chain's hashes are made of but the project, so that it can be checked elsewhere.
const LEDGER: &[&str] = &[
    "date",
    "id",
    "developer_id",
    "kind",
    "amount",
    "reason",
    "status",
    "lot_id",
    "group_id",
    "origin_lot_id",
    "referral_id",
    "purchase",
    "decision",
    "program_version",
    "vests_at",
    "vesting",
    "expires_at",
    "seq",
    "prev_hash",
    "hash",
];

fn entry((entry, status): (Entry, &'static str)) -> Vec<Cell> {
    vec![
        Cell::plain(rfc3339(entry.at_ms)),
        Cell::plain(EntryId(entry.seq)),
        Cell::plain(entry.account),
        Cell::plain(entry.kind.as_str()),
        Cell::plain(entry.amount),
        Cell::Text(entry.reason.into_owned()),
        Cell::plain(status),
        Cell::plain(EntryId(entry.lot)),
        Cell::plain(EntryId(entry.group_seq)),
        Cell::maybe(entry.origin_lot.map(EntryId)),
        Cell::maybe(entry.referral),
        Cell::maybe(entry.purchase),
        Cell::maybe(entry.decision),
        Cell::maybe(entry.program_version),
        time(entry.vests_at_ms),
        Cell::maybe(entry.vesting.map(Vesting::as_str)),
        time(entry.expires_at_ms),
        Cell::plain(entry.seq),
        Cell::plain(hex::encode(entry.prev_hash)),
        Cell::plain(hex::encode(entry.hash)),
    ]
}

const DEVELOPERS: &[&str] = &[
    "id",
    "external_id",
    "email",
    "name",
    "track",
    "disposable",
    "referral_code",
    "created_at",
    "available",
    "pending",
    "owed",
    "granted",
    "spent",
    "expired",
    "reversed",
    "paid",
];

fn developer(ListedDeveloper { row, balance, totals }: ListedDeveloper, people: People) -> Vec<Cell> {
    vec![
        Cell::plain(row.account.id),
        Cell::text(row.account.external_id),
        Cell::text(people.email(row.account.email)),
        Cell::text(people.name(row.account.name)),
        Cell::plain(if row.account.partner { "partner" } else { "basic" }),
        Cell::plain(row.account.disposable),
        Cell::text(row.code),
        Cell::plain(rfc3339(row.account.created_at_ms)),
        Cell::plain(balance.available),
        Cell::plain(balance.pending),
        Cell::plain(balance.owed),
        Cell::plain(totals.granted),
        Cell::plain(totals.spent),
        Cell::plain(totals.expired),
        Cell::plain(totals.reversed),
        Cell::plain(totals.paid),
    ]
}

const REFERRALS: &[&str] = &[
    "id",
    "code",
    "referrer_id",
    "referrer_email",
    "referee_id",
    "referee_email",
    "status",
    "reason",
    "signed_up_at",
    "applied_at",
    "first_call_at",
    "active_at",
    "converted_at",
    "rejected_at",
];

fn referral(row: ExportedReferral, people: People) -> Vec<Cell> {
    vec![
        Cell::plain(row.id),
        Cell::Text(row.code),
        Cell::plain(row.referrer),
        Cell::text(people.email(row.referrer_email)),
        Cell::plain(row.referee),
        Cell::text(people.email(row.referee_email)),
        Cell::Plain(row.status),
        Cell::text(row.reason),
        Cell::plain(rfc3339(row.signed_up_at_ms)),
        Cell::plain(rfc3339(row.applied_at_ms)),
        time(row.first_call_at_ms),
        time(row.active_at_ms),
        time(row.converted_at_ms),
        time(row.rejected_at_ms),
    ]
}

const PAYOUTS: &[&str] = &[
    "id",
    "developer_id",
    "amount",
    "currency",
    "status",
    "approved",
    "times_sent",
    "transfer_id",
    "reversed_amount",
    "failure",
    "created_at",
    "paid_at",
];

fn payout(row: PayoutRow) -> Vec<Cell> {
    vec![
        Cell::plain(row.id),
        Cell::plain(row.account),
        Cell::plain(row.amount_minor),
        Cell::Plain(row.currency),
        Cell::plain(row.status.as_str()),
        Cell::plain(row.approved),
        Cell::plain(row.times_sent),
        Cell::text(row.transfer),
        Cell::plain(row.reversed_minor),
        Cell::text(row.failure),
        Cell::plain(rfc3339(row.created_at_ms)),
        time(row.paid_at_ms),
    ]
}

pub async fn ledger(access: AdminRead, context: web::Data<Context>) -> Answer {
    let project = access.project.id;
    Ok(download("ledger", LEDGER, move |after| {
        let context = context.clone();
        async move { Ok(chunk(context.engine.export_ledger(project, after).await?, entry)) }
    }))
}

pub async fn developers(access: AdminRead, context: web::Data<Context>) -> Answer {
    let (project, people) = (access.project.id, People::seen_by(&access));
    Ok(download("developers", DEVELOPERS, move |after| {
        let context = context.clone();
        async move { Ok(chunk(context.engine.export_developers(project, after).await?, |row| developer(row, people))) }
    }))
}

pub async fn referrals(access: AdminRead, context: web::Data<Context>) -> Answer {
    let (project, people) = (access.project.id, People::seen_by(&access));
    Ok(download("referrals", REFERRALS, move |after| {
        let context = context.clone();
        async move { Ok(chunk(context.engine.export_referrals(project, after).await?, |row| referral(row, people))) }
    }))
}

pub async fn payouts(access: AdminRead, context: web::Data<Context>) -> Answer {
    let project = access.project.id;
    Ok(download("payouts", PAYOUTS, move |after| {
        let context = context.clone();
        async move { Ok(chunk(context.engine.export_payouts(project, after).await?, payout)) }
    }))
}
