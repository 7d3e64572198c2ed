//! The partner track: upgrading, connecting Stripe, going back.

use crate::domain::error::Error;
use crate::domain::id::Cursor;
use crate::domain::{partner, time};
use crate::engine::{Acceptance, NewSignature, PartnerView, SignedAgreement};
use crate::web::auth::{ClientAddress, Developer};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::query::{Page, Query};
use crate::web::{Context, json};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::json as document;

#[derive(Serialize)]
struct PartnerBody {
    track: &'static str,
    currency: String,
    minimum_payout: i64,
    agreement: AgreementBody,
    stripe: StripeBody,
    balance: BalanceBody,
}

#[derive(Serialize)]
struct AgreementBody {
    version: i64,
    text: String,
    accepted_version: Option<i64>,
    signed_at: Option<String>,
}

#[derive(Serialize)]
struct StripeBody {
    account_id: Option<String>,
    ready: bool,
    requirements: Vec<String>,
}

#[derive(Serialize)]
struct BalanceBody {
    available: i64,
    pending: i64,
    reserved: i64,
    paid: i64,
    owed: i64,
}

impl From<PartnerView> for PartnerBody {
    fn from(view: PartnerView) -> Self {
        let requirements = view.missing();
        let stripe = view.stripe.as_ref().filter(|stripe| stripe.stripe_account.is_some());
        let acceptance = view.acceptance;
        Self {
            track: if view.partner { "partner" } else { "basic" },
            currency: view.currency,
            minimum_payout: view.minimum_payout,
            agreement: AgreementBody {
                version: view.agreement.version,
                text: view.agreement.text,
                accepted_version: acceptance.as_ref().map(|signed| signed.version),
                signed_at: acceptance.map(|signed| time::rfc3339(signed.signed_at_ms)),
            },
            stripe: StripeBody {
                account_id: stripe.and_then(|stripe| stripe.stripe_account.clone()),
                ready: stripe.is_some_and(|stripe| stripe.ready),
                requirements,
            },
            balance: BalanceBody {
                available: view.balance.available,
                pending: view.balance.pending,
                reserved: view.balance.reserved,
                paid: view.balance.paid,
                owed: view.balance.owed,
            },
        }
    }
}

pub async fn show(developer: Developer, context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    let view = context.engine.partner(developer.project, developer.account).await?;
    Ok(json(StatusCode::OK, PartnerBody::from(view)))
}

pub async fn upgrade(
    developer: Developer,
    client: ClientAddress,
    context: web::Data<Context>,
    Json(body): Json,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let version = fields.integer("agreement_version", 1..=1_000_000_000);
    let name = fields.text("signature").map(|name| partner::signature("signature", name));
    let name = name.and_then(|name| fields.check(name));
    if fields.boolean("accept") == Some(false) {
        fields.add("accept", "not_accepted", "This is true for who accepts the agreement.");
    }
    fields.finish()?;
    let (Some(version), Some(name)) = (version, name) else {
        return Err(ApiError(Error::internal("a signature without its fields")));
    };
    let signature = NewSignature { version, name, address: client.0 };
    let view = context.engine.upgrade(developer.project, developer.account, signature).await?;
    Ok(json(StatusCode::OK, PartnerBody::from(view)))
}

pub async fn downgrade(developer: Developer, context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    let view = context.engine.downgrade(developer.project, developer.account).await?;
    Ok(json(StatusCode::OK, PartnerBody::from(view)))
}

pub async fn connect(developer: Developer, context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    let connected = context.engine.connect(developer.project, developer.account, context.connect_links()).await?;
    let body = document!({
        "account_id": connected.account.stripe_account,
        "onboarding_url": connected.onboarding_url,
        "ready": connected.account.ready,
        "requirements": connected.account.missing,
    });
    Ok(json(StatusCode::OK, body))
}

#[derive(Serialize)]
struct SignatureBody {
    version: i64,
    signature: Option<String>,
    signed_at: String,
}

impl From<Acceptance> for SignatureBody {
    fn from(signed: Acceptance) -> Self {
        Self { version: signed.version, signature: signed.signature, signed_at: time::rfc3339(signed.signed_at_ms) }
    }
}

/// What was signed, newest first.
pub async fn agreements(
    developer: Developer,
    context: web::Data<Context>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let (limit, before) = (query.limit()?, query.cursor()?);
    let (project, account) = (developer.project, developer.account);
    let mut signed = context.engine.signed_agreements(project, account, before, limit + 1).await?;
    let has_more = signed.len() > limit;
    signed.truncate(limit);
    let next_cursor = signed.last().filter(|_| has_more).map(|signed| Cursor(signed.id));
    Ok(json(StatusCode::OK, Page { data: signed.into_iter().map(SignatureBody::from).collect(), next_cursor }))
}

/// The agreement as a file to keep.
pub async fn agreement(
    developer: Developer,
    context: web::Data<Context>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let version = query.integer("version", 0..=1_000_000_000, 0)?;
    let version = Some(version).filter(|version| *version > 0);
    let kept = context.engine.agreement_to_keep(developer.project, developer.account, version).await?;
    let SignedAgreement { version, text } = kept;
    let disposition = format!("attachment; filename=\"partner-agreement-{version}.md\"");
    let mut response = HttpResponse::Ok();
    response.content_type("text/markdown; charset=utf-8").insert_header((header::CONTENT_DISPOSITION, disposition));
    Ok(response.body(text))
}
