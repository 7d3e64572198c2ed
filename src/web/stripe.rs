//! Where Stripe delivers its events. The signature is the key: bad ones are limited like bad keys, good ones are not.

use super::auth::ClientAddress;
use super::body::{self, BATCH_LIMIT};
use super::error::ApiError;
use super::{Context, json};
use crate::domain::error::{Error, Kind};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use serde_json::json as document;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::scope("/webhooks/stripe").service(web::resource("/{project}").route(web::post().to(receive))));
}

/// A body as it came, to the byte, and what it is signed with.
pub struct Delivery {
    signature: Option<String>,
    body: Vec<u8>,
}

impl FromRequest for Delivery {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let signature = request.headers().get("Stripe-Signature").and_then(|value| value.to_str().ok());
            let Some(signature) = signature.map(str::to_owned) else {
                // What nobody has signed is not worth reading.
                return Ok(Self { signature: None, body: Vec::new() });
            };
            let body = body::read(&request, &mut payload, BATCH_LIMIT).await?;
            Ok(Self { signature: Some(signature), body })
        })
    }
}

pub async fn receive(
    project: web::Path<String>,
    client: ClientAddress,
    context: web::Data<Context>,
    delivery: Delivery,
) -> Result<HttpResponse, ApiError> {
    let answer = context.engine.take_stripe_event(project.into_inner(), delivery.signature, delivery.body).await;
    let delivered = match answer {
        Err(error @ Error { kind: Kind::Unauthenticated | Kind::NotFound, .. }) => {
            context.limiter.bad_key(client.0)?;
            // Stripe and its customers know a signature that does not hold as a bad request.
            let kind = if error.kind == Kind::NotFound { Kind::NotFound } else { Kind::Malformed };
            return Err(ApiError(Error { kind, ..error }));
        }
        answer => answer?,
    };
    let status = if delivered.new { "recorded" } else { "duplicate" };
    let body = document!({ "id": delivered.event_id, "status": status, "outcome": delivered.outcome });
    Ok(json(StatusCode::OK, body))
}
