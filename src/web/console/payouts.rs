//! Payouts: what waits, what is stuck, and what can be ordered.

use super::developer_view::minor_text;
use super::frame::{Console, ConsoleFrame, failed};
use super::nav::Section;
use super::words::{Badge, Moment, address, payout_badge, waiting_text};
use crate::domain::audit::Actor;
use crate::domain::developer::reason_for;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{Cursor, PayoutId};
use crate::domain::payout::PayoutStatus;
use crate::domain::payout_order::{PayoutFilter, PayoutOrder};
use crate::engine::ProjectPayout;
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

const A_PAGE: usize = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/payouts", show).route(web::post().to(change)));
}

#[derive(Template)]
#[template(path = "console/payouts.html")]
struct PayoutsPage {
    frame: ConsoleFrame,
    csrf: String,
    url: String,
    can_write: bool,
    filters: Vec<(&'static str, &'static str, bool)>,
    status: String,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<String>,
    error: Option<String>,
}

struct Row {
    id: String,
    who: String,
    who_url: String,
    amount: String,
    badge: Badge,
    asked: Moment,
    paid: Option<Moment>,
    waits_for: Option<&'static str>,
    owed: Option<String>,
    told: Vec<String>,
    orders: Vec<(&'static str, &'static str)>,
}

/// What is known of how it went.
fn told(found: &ProjectPayout) -> Vec<String> {
    let row = &found.listed.payout;
    let mut told = Vec::new();
    if row.cancel_asked && row.status.is_open() {
        told.push("It is called off; its money comes back with the next step.".to_owned());
    }
    if let Some(sent) = row.sendings.filter(|_| row.status != PayoutStatus::Paid) {
        let at = Moment::in_figures(sent.last_at_ms).text;
        told.push(match row.times_sent {
            1 => format!("Stripe was told once, at {at}."),
            times => format!("Stripe was told {times} times, last at {at}."),
        });
    }
    if let Some(at_ms) = found.listed.certain_at_ms() {
        let at = Moment::in_figures(at_ms).text;
        told.push(format!(
            "From {at} on it can be resolved: if Stripe has no such transfer then, the money comes back."
        ));
    }
    if row.resolve_asked && row.status.is_open() {
        told.push("It is being resolved.".into());
    }
    told.extend(row.failure.clone().or(found.listed.problem.clone()));
    if row.reversed_minor > 0 {
        told.push(format!("{} of the transfer were reversed.", minor_text(row.reversed_minor, &row.currency)));
    }
    told.extend(row.transfer.as_ref().map(|transfer| format!("Transfer {transfer}.")));
    told
}

/// What makes sense to order now. The engine has the last word.
fn orders(found: &ProjectPayout) -> Vec<(&'static str, &'static str)> {
    let row = &found.listed.payout;
    let mut orders = Vec::new();
    if found.listed.waits_for() == Some("approval") {
        orders.push((PayoutOrder::Approve.as_str(), "Approve"));
    }
    if row.status.is_open() && (row.approved || row.cancel_asked) {
        orders.push((PayoutOrder::Retry.as_str(), "Try again now"));
    }
    if found.listed.is_certain() {
        orders.push((PayoutOrder::Resolve.as_str(), "Resolve"));
    }
    if row.status == PayoutStatus::Queued && row.times_sent == 0 && !row.cancel_asked {
        orders.push((PayoutOrder::Cancel.as_str(), "Call off"));
    }
    orders
}

impl Row {
    fn new(found: &ProjectPayout, developers: &str, whole: bool) -> Self {
        let row = &found.listed.payout;
        let account = row.account.to_string();
        Self {
            id: row.id.to_string(),
            who: address(found.email.clone(), whole).unwrap_or_else(|| account.clone()),
            who_url: format!("{developers}/{account}"),
            amount: minor_text(row.amount_minor, &row.currency),
            badge: payout_badge(row.status),
            asked: Moment::in_figures(row.created_at_ms),
            paid: row.paid_at_ms.map(Moment::in_figures),
            waits_for: found.listed.waits_for().map(waiting_text),
            owed: (found.listed.owed > 0).then(|| minor_text(found.listed.owed, &row.currency)),
            told: told(found),
            orders: if whole { orders(found) } else { Vec::new() },
        }
    }
}

async fn list(
    request: &HttpRequest,
    context: &Context,
    console: &Console,
    error: Option<&Error>,
) -> Result<HttpResponse> {
    let query = Query::parse(request.query_string())?;
    let status = query.get("status").unwrap_or("open").to_owned();
    let filter = PayoutFilter::parse(&status)?;
    let before = query.cursor()?;
    let mut found = context.engine.project_payouts(console.project.id, filter, before, A_PAGE + 1).await?;
    let has_more = found.len() > A_PAGE;
    found.truncate(A_PAGE);
    let url = console.url(Section::Payouts);
    let next = found.last().filter(|_| has_more).map(|last| Cursor(last.listed.payout.id.0));
    let (developers, whole) = (console.url(Section::Developers), console.role().may_write());
    let title = |word: &'static str| match word {
        "all" => "All",
        "open" => "Open",
        "queued" => "Queued",
        "reconciling" => "Reconciling",
        "paid" => "Paid",
        "failed" => "Failed",
        _ => "Cancelled",
    };
    let template = PayoutsPage {
        frame: console.frame(context),
        csrf: console.csrf(context),
        can_write: whole,
        filters: PayoutFilter::WORDS.iter().map(|word| (*word, title(word), *word == status)).collect(),
        rows: found.iter().map(|found| Row::new(found, &developers, whole)).collect(),
        is_first: before.is_none(),
        next: next.map(|next| format!("{url}?status={status}&cursor={next}")),
        error: error.map(|error| error.message.clone()),
        status,
        url,
    };
    console.page_or(context, error, &template)
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = Console::enter(&context, &request, Section::Payouts)?;
        list(&request, &context, &console, None).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

pub async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    changed(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn changed(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Payouts)?;
    let form = console.form(request, payload, context).await?;
    match order(context, &console, &form).await {
        Ok((id, order)) => {
            let said = match order {
                PayoutOrder::Approve => format!("{id} is approved, and is sent within seconds."),
                PayoutOrder::Cancel => format!("{id} is called off: its money comes back within seconds."),
                PayoutOrder::Retry => format!("{id} is tried again now."),
                PayoutOrder::Resolve => {
                    format!("{id} is looked up now; if Stripe has no such transfer, its money comes back.")
                }
            };
            console.see(context, &console.url(Section::Payouts), &said)
        }
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            list(request, context, &console, Some(&error)).await
        }
        Err(error) => Err(error),
    }
}

async fn order(
    context: &Context,
    console: &Console,
    form: &HashMap<String, String>,
) -> Result<(PayoutId, PayoutOrder)> {
    let field = |name: &str| form.get(name).map(|value| value.trim()).unwrap_or_default();
    let id: PayoutId = field("payout").parse().map_err(|_| Error::not_found("No such payout."))?;
    let unread = || Error::new(Kind::Malformed, "malformed_form", "The form cannot be read.");
    let order = PayoutOrder::parse(field("order")).ok_or_else(unread)?;
    let reason = Some(field("reason")).filter(|reason| !reason.is_empty()).map(reason_for).transpose()?;
    let actor = Actor::Operator(console.operator.operator);
    context.engine.order_payout(console.project.id, id, order, actor, reason).await?;
    Ok((id, order))
}
