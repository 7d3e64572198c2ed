//! Users of the team's own app, by the tokens that it gives them.

use super::{Extracted, bearer, context, host};
use crate::domain::error::{Error, Kind};
use crate::domain::id::ProjectId;
use crate::domain::jwt::Subject;
use crate::web::error::ApiError;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

/// Whom the app has signed in, in the project whose host was asked; within the limit for each of them. A token that is
/// not good counts against its address, as a bad key does.
pub struct JwtSubject {
    pub project: ProjectId,
    pub subject: Subject,
}

impl FromRequest for JwtSubject {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let context = context(&request)?;
            let refused = |error: Error| {
                let client = context.settings.trusted_proxies.client_of(&request);
                context.limiter.bad_key(client).err().unwrap_or(error)
            };
            let token = bearer(&request).map_err(|_| {
                let detail = "Send a token as Authorization: Bearer <token>.";
                refused(Error::new(Kind::Unauthenticated, "missing_token", detail))
            })?;
            let (project, subject) = match context.engine.subject(host(&request), token).await {
                Err(error) if error.kind == Kind::Unauthenticated => return Err(refused(error).into()),
                answer => answer?,
            };
            context.limiter.subject(project, &subject.external_id)?;
            Ok(Self { project, subject })
        })
    }
}
