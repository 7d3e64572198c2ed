//! Purchases and refunds, reported by the team's billing.

use super::usage::who;
use crate::domain::error::Error;
use crate::domain::{text, time};
use crate::engine::{NewPurchase, NewRefund, Recorded};
use crate::web::auth::{Gateway, PurchasesWrite, Then};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::{Context, json};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json as document};

const MOST_MINOR: i64 = 1_000_000_000_000;

fn purchase(body: &Map<String, Value>) -> Result<NewPurchase, Error> {
    let mut fields = Fields::new(body);
    let id = fields.text("id").map(|id| text::client_id("id", id));
    let id = id.and_then(|id| fields.check(id));
    let who = who(&mut fields, false);
    let amount_minor = fields.integer("amount", 1..=MOST_MINOR);
    let currency = fields.text("currency").map(str::to_ascii_lowercase);
    if currency.as_ref().is_some_and(|word| word.len() != 3 || !word.bytes().all(|b| b.is_ascii_lowercase())) {
        fields.add("currency", "invalid_currency", "Give a currency code of three letters, such as usd.");
    }
    let at_ms = fields.optional_text("at").map(|at| time::parse("at", at)).and_then(|at| fields.check(at));
    fields.finish()?;
    match (id, who, amount_minor, currency) {
        (Some(id), Some(who), Some(amount_minor), Some(currency)) => {
            Ok(NewPurchase { id, who, amount_minor, currency, at_ms })
        }
        _ => Err(Error::internal("a purchase without its fields")),
    }
}

fn refund(body: &Map<String, Value>) -> Result<NewRefund, Error> {
    let mut fields = Fields::new(body);
    let id = fields.text("id").map(|id| text::client_id("id", id));
    let id = id.and_then(|id| fields.check(id));
    let purchase_id = fields.text("purchase_id").map(|id| text::client_id("purchase_id", id));
    let purchase_id = purchase_id.and_then(|id| fields.check(id));
    let amount_minor = fields.integer("amount", 1..=MOST_MINOR);
    fields.finish()?;
    match (id, purchase_id, amount_minor) {
        (Some(id), Some(purchase_id), Some(amount_minor)) => Ok(NewRefund { id, purchase_id, amount_minor }),
        _ => Err(Error::internal("a refund without its fields")),
    }
}

fn outcome(recorded: Recorded) -> (StatusCode, &'static str) {
    if recorded.new { (StatusCode::CREATED, "recorded") } else { (StatusCode::OK, "duplicate") }
}

pub async fn record_purchase(
    Then(gateway, Json(body)): Then<Gateway<PurchasesWrite>, Json>,
    context: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let purchase = purchase(&body)?;
    let id = purchase.id.clone();
    let recorded = context.engine.record_purchase(gateway.project, purchase).await?;
    let (status, word) = outcome(recorded);
    Ok(json(status, document!({ "id": id, "developer_id": recorded.account, "status": word })))
}

pub async fn record_refund(
    Then(gateway, Json(body)): Then<Gateway<PurchasesWrite>, Json>,
    context: web::Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let refund = refund(&body)?;
    let (id, purchase_id) = (refund.id.clone(), refund.purchase_id.clone());
    let recorded = context.engine.record_refund(gateway.project, refund).await?;
    let (status, word) = outcome(recorded);
    let body = document!({ "id": id, "purchase_id": purchase_id, "developer_id": recorded.account, "status": word });
    Ok(json(status, body))
}
