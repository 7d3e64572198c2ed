//! Developers as operators look for them, and everything about one.

use super::shared::{Answer, People, Subject, page};
use crate::domain::developer::Search;
use crate::domain::error::Error;
use crate::domain::id::{AccountId, Cursor, EntryId, KeyId, PayoutId, ReferralId, SessionId};
use crate::domain::ledger::{Balance, Lot, NEVER_MS, Totals};
use crate::domain::time::rfc3339;
use crate::engine::{
    BoughtRow, DeveloperFile, DeveloperRow, KeyRow, LedgerLine, ListedDecision, ListedDeveloper, OwnedCode, PayoutRow,
    ReferralLine, SessionRow,
};
use crate::web::auth::AdminRead;
use crate::web::query::{Page, Query};
use crate::web::{Context, json, ledger_csv, readable};
use actix_web::http::StatusCode;
use actix_web::web;
use serde::Serialize;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/developers", list))
        .service(readable("/developers/{id}", show))
        .service(readable("/developers/{id}/ledger", ledger))
        .service(readable("/developers/{id}/referrals", referrals))
        .service(readable("/developers/{id}/purchases", purchases))
        .service(readable("/developers/{id}/payouts", payouts))
        .service(readable("/developers/{id}/decisions", decisions));
}

#[derive(Serialize)]
struct DeveloperBody {
    id: AccountId,
    external_id: Option<String>,
    email: Option<String>,
    name: Option<String>,
    leaderboard_name: Option<String>,
    track: &'static str,
    disposable: bool,
    referral_code: Option<String>,
    balance: BalanceBody,
    totals: TotalsBody,
    created_at: String,
    erased_at: Option<String>,
    /// `op_…` or `key_…`, or `developer`: the account itself.
    erased_by: Option<String>,
}

#[derive(Serialize)]
pub struct BalanceBody {
    available: i64,
    pending: i64,
    owed: i64,
}

impl From<Balance> for BalanceBody {
    fn from(balance: Balance) -> Self {
        Self { available: balance.available, pending: balance.pending, owed: balance.owed }
    }
}

#[derive(Serialize)]
struct TotalsBody {
    granted: i64,
    spent: i64,
    expired: i64,
    reversed: i64,
    paid: i64,
}

impl DeveloperBody {
    fn new(row: DeveloperRow, balance: Balance, totals: Totals, people: People) -> Self {
        let DeveloperRow { account, code, erased_at_ms, erased_by } = row;
        Self {
            id: account.id,
            external_id: account.external_id,
            email: people.email(account.email),
            name: people.name(account.name),
            leaderboard_name: account.leaderboard_name,
            track: if account.partner { "partner" } else { "basic" },
            disposable: account.disposable,
            referral_code: code,
            balance: balance.into(),
            totals: TotalsBody {
                granted: totals.granted,
                spent: totals.spent,
                expired: totals.expired,
                reversed: totals.reversed,
                paid: totals.paid,
            },
            created_at: rfc3339(account.created_at_ms),
            erased_at: erased_at_ms.map(rfc3339),
            erased_by: erased_at_ms.map(|_| erased_by.unwrap_or_else(|| "developer".into())),
        }
    }
}

#[derive(Serialize)]
struct LotBody {
    id: EntryId,
    reason: String,
    granted: i64,
    remaining: i64,
    available: i64,
    pending: i64,
    held: bool,
    vests_at: String,
    expires_at: Option<String>,
}

impl LotBody {
    fn new((lot, reason): (Lot, String), now_ms: i64) -> Self {
        Self {
            id: EntryId(lot.seq),
            reason,
            granted: lot.granted,
            remaining: lot.remaining,
            available: lot.available(now_ms),
            pending: lot.pending(now_ms),
            held: lot.held,
            vests_at: rfc3339(lot.vests_at_ms),
            expires_at: (lot.expires_at_ms < NEVER_MS).then(|| rfc3339(lot.expires_at_ms)),
        }
    }
}

#[derive(Serialize)]
struct CodeBody {
    code: String,
    uses_count: i64,
    max_uses: Option<i64>,
    created_at: String,
    revoked_at: Option<String>,
}

impl From<OwnedCode> for CodeBody {
    fn from(code: OwnedCode) -> Self {
        Self {
            code: code.code,
            uses_count: code.uses_count,
            max_uses: code.max_uses,
            created_at: rfc3339(code.created_at_ms),
            revoked_at: code.revoked_at_ms.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
struct KeyBody {
    id: KeyId,
    name: Option<String>,
    hint: String,
    created_at: String,
    last_used_at: Option<String>,
}

impl From<KeyRow> for KeyBody {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            hint: row.hint,
            created_at: rfc3339(row.created_at_ms),
            last_used_at: row.last_used_at_ms.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
struct SessionBody {
    id: SessionId,
    device: Option<String>,
    created_at: String,
    last_used_at: String,
}

impl From<SessionRow> for SessionBody {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            device: row.device,
            created_at: rfc3339(row.created_at_ms),
            last_used_at: rfc3339(row.last_used_at_ms),
        }
    }
}

#[derive(Serialize)]
struct FileBody {
    #[serde(flatten)]
    developer: DeveloperBody,
    calls: i64,
    referred_by: Option<AccountId>,
    referrals: i64,
    conversions: i64,
    referrals_in_review: i64,
    referrals_rejected: i64,
    has_open_payout: bool,
    lots: Vec<LotBody>,
    codes: Vec<CodeBody>,
    keys: Vec<KeyBody>,
    sessions: Vec<SessionBody>,
}

impl FileBody {
    fn new(file: DeveloperFile, people: People) -> Self {
        let now_ms = file.now_ms;
        Self {
            developer: DeveloperBody::new(file.row, file.balance, file.totals, people),
            calls: file.calls,
            referred_by: file.referred.map(|referral| referral.referrer),
            referrals: file.referrals.total,
            conversions: file.referrals.converted,
            referrals_in_review: file.referrals.review,
            referrals_rejected: file.referrals.rejected,
            has_open_payout: file.has_open_payout,
            lots: file.lots.into_iter().map(|lot| LotBody::new(lot, now_ms)).collect(),
            codes: file.codes.into_iter().map(CodeBody::from).collect(),
            keys: file.keys.into_iter().map(KeyBody::from).collect(),
            sessions: file.sessions.into_iter().map(SessionBody::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct ReferralBody {
    id: ReferralId,
    developer_id: AccountId,
    email: Option<String>,
    code: String,
    status: &'static str,
    reason: Option<String>,
    signed_up_at: String,
    first_call_at: Option<String>,
    active_at: Option<String>,
    converted_at: Option<String>,
}

impl ReferralBody {
    fn new(line: ReferralLine, people: People) -> Self {
        let progress = line.referral.progress;
        Self {
            id: line.referral.id,
            developer_id: line.referral.referee,
            email: people.email(line.email),
            code: line.code,
            status: progress.status.as_str(),
            reason: line.reason,
            signed_up_at: rfc3339(line.referral.signed_up_at_ms),
            first_call_at: progress.first_call_at_ms.map(rfc3339),
            active_at: progress.active_at_ms.map(rfc3339),
            converted_at: progress.converted_at_ms.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
struct PurchaseBody {
    id: String,
    amount: i64,
    refunded: i64,
    currency: String,
    at: String,
}

impl From<BoughtRow> for PurchaseBody {
    fn from(row: BoughtRow) -> Self {
        Self {
            id: row.purchase_id,
            amount: row.gross_minor,
            refunded: row.refunded_minor,
            currency: row.currency,
            at: rfc3339(row.purchased_at_ms),
        }
    }
}

#[derive(Serialize)]
struct EntryBody {
    id: EntryId,
    kind: &'static str,
    amount: i64,
    reason: String,
    status: &'static str,
    referral_id: Option<ReferralId>,
    lot_id: EntryId,
    group_id: EntryId,
    vests_at: Option<String>,
    expires_at: Option<String>,
    at: String,
    seq: i64,
    hash: String,
}

impl From<LedgerLine> for EntryBody {
    fn from(LedgerLine { entry, status, .. }: LedgerLine) -> Self {
        Self {
            id: EntryId(entry.seq),
            kind: entry.kind.as_str(),
            amount: entry.amount,
            reason: entry.reason.into_owned(),
            status,
            referral_id: entry.referral,
            lot_id: EntryId(entry.lot),
            group_id: EntryId(entry.group_seq),
            vests_at: entry.vests_at_ms.map(rfc3339),
            expires_at: entry.expires_at_ms.map(rfc3339),
            at: rfc3339(entry.at_ms),
            seq: entry.seq,
            hash: hex::encode(entry.hash),
        }
    }
}

#[derive(Serialize)]
struct DecisionBody {
    referral_id: ReferralId,
    rule: String,
    event: String,
    verdict: String,
    code: String,
    program_version: i64,
    inputs: serde_json::Value,
    at: String,
}

impl From<ListedDecision> for DecisionBody {
    fn from(row: ListedDecision) -> Self {
        Self {
            referral_id: row.referral,
            rule: row.rule,
            event: row.event,
            verdict: row.verdict,
            code: row.code,
            program_version: row.program_version,
            inputs: serde_json::from_str(&row.inputs).unwrap_or_default(),
            at: rfc3339(row.at_ms),
        }
    }
}

#[derive(Serialize)]
struct PayoutBody {
    id: PayoutId,
    amount: i64,
    currency: String,
    status: &'static str,
    created_at: String,
    paid_at: Option<String>,
}

impl From<PayoutRow> for PayoutBody {
    fn from(row: PayoutRow) -> Self {
        Self {
            id: row.id,
            amount: row.amount_minor,
            currency: row.currency,
            status: row.status.as_str(),
            created_at: rfc3339(row.created_at_ms),
            paid_at: row.paid_at_ms.map(rfc3339),
        }
    }
}

pub async fn list(access: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let search = Search::parse(query.get("q").unwrap_or_default())?;
    let search = if access.may_write() { search } else { search.whole() };
    let (people, after, limit) = (People::seen_by(&access), query.cursor()?, query.limit()?);
    let found = context.engine.search_developers(access.project.id, search, after, limit).await?;
    let body = |ListedDeveloper { row, balance, totals }| DeveloperBody::new(row, balance, totals, people);
    let data = found.items.into_iter().map(body).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: found.next.map(Cursor) }))
}

pub async fn show(access: AdminRead, context: web::Data<Context>, path: Subject) -> Answer {
    let people = People::seen_by(&access);
    let file = context.engine.developer(access.project.id, developer_in(&path)?).await?;
    Ok(json(StatusCode::OK, FileBody::new(file, people)))
}

pub async fn ledger(access: AdminRead, context: web::Data<Context>, path: Subject, query: Query) -> Answer {
    let (filter, before, limit) = (ledger_csv::filter(&query)?, query.cursor()?, query.limit()?);
    let id = developer_in(&path)?;
    context.engine.developer(access.project.id, id).await?;
    let page = context.engine.ledger(access.project.id, id, filter, before, limit).await?;
    let data = page.lines.into_iter().map(EntryBody::from).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: page.next.map(Cursor) }))
}

pub async fn referrals(access: AdminRead, context: web::Data<Context>, path: Subject, query: Query) -> Answer {
    let (people, before, limit) = (People::seen_by(&access), query.cursor()?, query.limit()?);
    let (project, id) = (access.project.id, developer_in(&path)?);
    let rows = context.engine.referrals_of_developer(project, id, before, limit + 1).await?;
    let body = |line| ReferralBody::new(line, people);
    Ok(json(StatusCode::OK, page(rows, limit, |line: &ReferralLine| line.referral.id.0, body)))
}

pub async fn purchases(access: AdminRead, context: web::Data<Context>, path: Subject, query: Query) -> Answer {
    let (before, limit) = (query.cursor()?, query.limit()?);
    let (project, id) = (access.project.id, developer_in(&path)?);
    let rows = context.engine.purchases_of_developer(project, id, before, limit + 1).await?;
    Ok(json(StatusCode::OK, page(rows, limit, |row: &BoughtRow| row.id, PurchaseBody::from)))
}

pub async fn payouts(access: AdminRead, context: web::Data<Context>, path: Subject, query: Query) -> Answer {
    let (before, limit) = (query.cursor()?, query.limit()?);
    let (project, id) = (access.project.id, developer_in(&path)?);
    context.engine.developer(project, id).await?;
    let rows = context.engine.payouts(project, id, before, limit + 1).await?;
    Ok(json(StatusCode::OK, page(rows, limit, |row: &PayoutRow| row.id.0, PayoutBody::from)))
}

/// The newest ones: on what brought the developer in, and on the newest referrals of theirs.
pub async fn decisions(access: AdminRead, context: web::Data<Context>, path: Subject, query: Query) -> Answer {
    let id = developer_in(&path)?;
    let history = context.engine.developer_history(access.project.id, id, query.limit()?).await?;
    let data = history.decisions.into_iter().map(DecisionBody::from).collect();
    Ok(json(StatusCode::OK, Page::<DecisionBody> { data, next_cursor: None }))
}

/// The developer that a path names. One that cannot be an id is not there.
pub fn developer_in(path: &Subject) -> Result<AccountId, Error> {
    path.1.parse().map_err(|_| Error::not_found("No such developer."))
}
