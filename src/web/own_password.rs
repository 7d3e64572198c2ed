//! An operator who is signed in shows that they know their password: the browser may be in other hands.

use super::Context;
use super::session::Session;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::OperatorId;
use actix_web::HttpRequest;

/// Tries are counted as at the sign-in. `Invalid` for a wrong one; `RateLimited`.
pub async fn check(context: &Context, request: &HttpRequest, operator: OperatorId, password: String) -> Result<()> {
    let client = context.settings.trusted_proxies.client_of(request);
    let by_address = context.limiter.login(client);
    let devices = Session::Operator.browser(context, request).devices;
    let attempt = context.engine.own_operator_attempt(operator, password, &devices).await?;
    context.limiter.guess(client, by_address, attempt.guess)?;
    let checked = context.engine.check_operator_password(attempt).await;
    checked.map_err(|error| match error.kind {
        Kind::Unauthenticated => Error::field("password", "wrong_password", "The password is wrong."),
        _ => error,
    })
}
