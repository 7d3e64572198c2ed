//! A referrer's referrals and figures; applying a code after the signup; the leaderboard.

use super::signup::AppliedBody;
use crate::domain::code::Code;
use crate::domain::error::Error;
use crate::domain::id::{Cursor, EntryId, ReferralId};
use crate::domain::money::percent;
use crate::domain::referral::Status;
use crate::domain::time;
use crate::engine::{Period, Reader, ReferralItem, Stats};
use crate::web::auth::{Developer, PublicProject};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, arrival, json};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

#[derive(Serialize)]
struct ReferralBody {
    id: ReferralId,
    email: Option<String>,
    status: &'static str,
    reason: Option<String>,
    code: String,
    signed_up_at: String,
    first_call_at: Option<String>,
    active_at: Option<String>,
    converted_at: Option<String>,
    credits: Vec<CreditBody>,
    credits_total: i64,
}

#[derive(Serialize)]
struct CreditBody {
    id: EntryId,
    reason: String,
    amount: i64,
    status: &'static str,
    vests_at: String,
}

impl From<ReferralItem> for ReferralBody {
    fn from(item: ReferralItem) -> Self {
        Self {
            id: item.id,
            email: item.masked_email,
            status: item.progress.status.as_str(),
            reason: item.reason,
            code: item.code,
            signed_up_at: time::rfc3339(item.signed_up_at_ms),
            first_call_at: item.progress.first_call_at_ms.map(time::rfc3339),
            active_at: item.progress.active_at_ms.map(time::rfc3339),
            converted_at: item.progress.converted_at_ms.map(time::rfc3339),
            credits_total: item.credits.iter().map(|credit| credit.amount - credit.reversed).sum(),
            credits: item
                .credits
                .into_iter()
                .map(|credit| CreditBody {
                    id: credit.id,
                    reason: credit.reason,
                    amount: credit.amount,
                    status: credit.status,
                    vests_at: time::rfc3339(credit.vests_at_ms),
                })
                .collect(),
        }
    }
}

pub async fn list(developer: Developer, context: web::Data<Context>, query: Query) -> Result<HttpResponse, ApiError> {
    let status = query.get("status").map(|text| {
        let names = Status::ALL.map(Status::as_str).join(", ");
        Status::parse(text)
            .ok_or_else(|| Error::field("status", "invalid_status", format!("A status is one of {names}.")))
    });
    let (status, before, limit) = (status.transpose()?, query.cursor()?, query.limit()?);
    let page = context.engine.referrals(developer.project, developer.account, status, before, limit).await?;
    let data = page.items.into_iter().map(ReferralBody::from).collect();
    Ok(json(StatusCode::OK, Page { data, next_cursor: page.next.map(Cursor) }))
}

pub async fn apply(
    developer: Developer,
    context: web::Data<Context>,
    request: HttpRequest,
    Json(body): Json,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let code = fields.text("code").map(|code| Code::parse("code", code));
    let code = code.and_then(|code| fields.check(code));
    fields.finish()?;
    let code = code.ok_or_else(|| Error::internal("an application without its code"))?;
    let arrival = arrival::with_cookies(&context, &request, None);
    let applied = context.engine.apply_code(developer.project, developer.account, code, &arrival).await?;
    Ok(json(StatusCode::CREATED, serde_json::json!({ "referral": AppliedBody::from(applied) })))
}

#[derive(Serialize)]
struct StatsBody {
    total_clicks: i64,
    total_referrals: i64,
    conversions: i64,
    conversion_rate: f64,
    pending_referrals: i64,
    credits_earned: i64,
    credits_pending: i64,
    credits_used: i64,
    credits_expired: i64,
    credits_reversed: i64,
    credits_available: i64,
    owed: i64,
    milestones: MilestonesBody,
    series: Vec<DayBody>,
}

#[derive(Serialize)]
struct MilestonesBody {
    signed_up: i64,
    first_call: i64,
    active: i64,
    converted: i64,
    review: i64,
    rejected: i64,
}

#[derive(Serialize)]
struct DayBody {
    date: String,
    clicks: i64,
    signups: i64,
    conversions: i64,
    credits: i64,
}

impl From<Stats> for StatsBody {
    fn from(stats: Stats) -> Self {
        let Stats { clicks, counts, totals, balance, milestones, series } = stats;
        Self {
            total_clicks: clicks,
            total_referrals: counts.total,
            conversions: counts.converted,
            conversion_rate: percent(counts.converted, counts.total),
            pending_referrals: counts.total - counts.converted,
            credits_earned: totals.granted,
            credits_pending: balance.pending,
            credits_used: totals.spent,
            credits_expired: totals.expired + balance.lapsed,
            credits_reversed: totals.reversed,
            credits_available: balance.available,
            owed: balance.owed,
            milestones: MilestonesBody {
                signed_up: milestones.signed_up,
                first_call: milestones.first_call,
                active: milestones.active,
                converted: milestones.converted,
                review: counts.review,
                rejected: counts.rejected,
            },
            series: series
                .into_iter()
                .map(|day| DayBody {
                    date: day.date,
                    clicks: day.row.clicks,
                    signups: day.row.signups,
                    conversions: day.row.conversions,
                    credits: day.row.credits,
                })
                .collect(),
        }
    }
}

pub async fn stats(
    developer: Developer,
    context: web::Data<Context>,
    reader: web::Data<Reader>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let days = query.integer("days", 1..=366, 30)?;
    context.engine.give_way().await;
    let stats = context.engine.stats(&reader, developer.project, developer.account, days).await?;
    Ok(json(StatusCode::OK, StatsBody::from(stats)))
}

#[derive(Serialize)]
struct LeaderBody {
    rank: i64,
    name: String,
    referrals: i64,
}

pub async fn leaderboard(
    PublicProject(project): PublicProject,
    context: web::Data<Context>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let period = Period::parse(query.get("period").unwrap_or("all"))?;
    let leaders = context.engine.leaderboard(project.id, period).await?;
    let body = |leader: &crate::engine::Leader| LeaderBody {
        rank: leader.rank,
        name: leader.name.clone(),
        referrals: leader.referrals,
    };
    Ok(json(StatusCode::OK, Page { data: leaders.iter().map(body).collect(), next_cursor: None }))
}
