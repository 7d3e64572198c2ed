//! The own account of the operator who asks: password, second factor, sessions. A key has none.

use crate::domain::error::{Error, Result};
use crate::domain::id::SessionId;
use crate::domain::{time, totp};
use crate::engine::RecoveryCodes;
use crate::web::auth::AdminOperator;
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::session::Session;
use crate::web::{Context, json, own_password, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json as document};

type Answer = std::result::Result<HttpResponse, ApiError>;

pub fn routes(config: &mut web::ServiceConfig) {
    let second_factor = web::resource("/account/second-factor");
    config
        .service(readable("/account", show))
        .service(web::resource("/account/password").route(web::post().to(change_password)))
        .service(second_factor.route(web::post().to(offer)).route(web::put().to(switch_on)))
        .service(web::resource("/account/second-factor/off").route(web::post().to(switch_off)))
        .service(web::resource("/account/sessions").route(web::delete().to(end_others)))
        .service(web::resource("/account/sessions/{session}").route(web::delete().to(end_one)));
}

fn own_session(context: &Context, request: &HttpRequest) -> String {
    Session::Operator.token(context, request).unwrap_or_default()
}

pub async fn show(by: AdminOperator, request: HttpRequest, context: web::Data<Context>) -> Answer {
    let own = context.engine.own_operator(by.operator.operator, own_session(&context, &request)).await?;
    let sessions = own.sessions.into_iter().map(|row| {
        document!({ "id": row.id, "device": row.device, "created_at": time::rfc3339(row.created_at_ms),
            "current": row.is_this })
    });
    let body = document!({
        "id": by.operator.operator, "email": by.operator.email, "role": by.operator.role.as_str(),
        "second_factor": own.has_second_factor, "recovery_codes_left": own.recovery_codes_left,
        "sessions": sessions.collect::<Vec<_>>(),
    });
    Ok(json(StatusCode::OK, body))
}

/// Texts that have to be there, in their order.
fn texts<const COUNT: usize>(body: &Map<String, Value>, names: [&str; COUNT]) -> Result<[String; COUNT]> {
    let mut fields = Fields::new(body);
    let found = names.map(|name| fields.text(name).unwrap_or_default().to_owned());
    fields.finish()?;
    Ok(found)
}

pub async fn change_password(
    by: AdminOperator,
    request: HttpRequest,
    context: web::Data<Context>,
    Json(body): Json,
) -> Answer {
    let [password, new_password] = texts(&body, ["password", "new_password"])?;
    own_password::check(&context, &request, by.operator.operator, password).await?;
    let own = own_session(&context, &request);
    context.engine.change_operator_password(&by.operator, own, new_password).await?;
    Ok(json(StatusCode::OK, document!({ "changed": true })))
}

/// A secret for an app, which is nobody's until it comes back with a code.
pub async fn offer(by: AdminOperator, context: web::Data<Context>) -> Answer {
    let secret = context.engine.new_second_factor()?;
    let uri = totp::uri(&secret, &by.operator.email);
    Ok(json(StatusCode::OK, document!({ "secret": totp::base32(&secret), "uri": uri })))
}

pub async fn switch_on(
    by: AdminOperator,
    request: HttpRequest,
    context: web::Data<Context>,
    Json(body): Json,
) -> Answer {
    let [password, secret, code] = texts(&body, ["password", "secret", "code"])?;
    let none = || Error::field("secret", "invalid_secret", "Send the secret that you were given.");
    let secret = totp::from_base32(&secret).ok_or_else(none)?;
    own_password::check(&context, &request, by.operator.operator, password).await?;
    let own = own_session(&context, &request);
    let RecoveryCodes(codes) = context.engine.switch_on_second_factor(&by.operator, own, secret, code).await?;
    Ok(json(StatusCode::OK, document!({ "second_factor": true, "recovery_codes": codes })))
}

pub async fn switch_off(
    by: AdminOperator,
    request: HttpRequest,
    context: web::Data<Context>,
    Json(body): Json,
) -> Answer {
    let [password] = texts(&body, ["password"])?;
    own_password::check(&context, &request, by.operator.operator, password).await?;
    context.engine.switch_off_second_factor(&by.operator).await?;
    Ok(json(StatusCode::OK, document!({ "second_factor": false })))
}

pub async fn end_others(by: AdminOperator, request: HttpRequest, context: web::Data<Context>) -> Answer {
    context.engine.end_operator_sessions(&by.operator, own_session(&context, &request), None).await?;
    Ok(json(StatusCode::OK, document!({ "signed_out": "all others" })))
}

pub async fn end_one(
    by: AdminOperator,
    request: HttpRequest,
    context: web::Data<Context>,
    place: web::Path<(String, String)>,
) -> Answer {
    let id: SessionId = place.1.parse().map_err(|_| Error::not_found("That session has ended."))?;
    context.engine.end_operator_sessions(&by.operator, own_session(&context, &request), Some(id)).await?;
    Ok(json(StatusCode::OK, document!({ "signed_out": id })))
}
