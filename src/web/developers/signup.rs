//! `POST /v1/developers/signup`.

use super::account::DeveloperBody;
use crate::domain::error::Error;
use crate::domain::signal::UNDER_REVIEW;
use crate::engine::{Applied, SignedUp, Signup};
use crate::web::auth::{ClientAddress, PublicProject};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::{Context, arrival, json};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;

/// One of the signups that an address may try; counted before anything of it is read.
pub struct SignupAllowance;

impl FromRequest for SignupAllowance {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (address, context) =
            (ClientAddress::from_request(request, payload), request.app_data::<web::Data<Context>>());
        let context = context.cloned();
        Box::pin(async move {
            let ClientAddress(client) = address.await?;
            context.ok_or_else(|| Error::internal("no context"))?.limiter.signup(client)?;
            Ok(Self)
        })
    }
}

#[derive(Serialize)]
struct SignupBody {
    developer: DeveloperBody,
    api_key: String,
    referral: Option<AppliedBody>,
}

/// What became of a code.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum AppliedBody {
    Applied {
        code: String,
        bonus_credits: i64,
    },
    Rejected {
        reason: &'static str,
    },
    /// The bonus is there, and can be spent once the referral has been looked at.
    Review {
        reason: &'static str,
        code: String,
        bonus_credits: i64,
    },
    AwaitingConfirmation {
        code: String,
    },
}

impl From<Applied> for AppliedBody {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Accepted { code, bonus_credits } => Self::Applied { code, bonus_credits },
            Applied::Held { code, bonus_credits } => Self::Review { reason: UNDER_REVIEW, code, bonus_credits },
            Applied::Rejected { reason } => Self::Rejected { reason },
            Applied::Awaiting { code } => Self::AwaitingConfirmation { code },
        }
    }
}

pub async fn sign_up(
    _allowance: SignupAllowance,
    PublicProject(project): PublicProject,
    context: web::Data<Context>,
    request: HttpRequest,
    Json(body): Json,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let (email, password, name) = (fields.text("email"), fields.text("password"), fields.text("name"));
    let code = fields.optional_text("referral_code");
    let given = |field: Option<_>| field.unwrap_or_default();
    let parsed = fields.check(Signup::parse(given(email), given(password), given(name), code));
    fields.finish()?;
    let signup = parsed.ok_or_else(|| Error::internal("a signup without its fields"))?;
    let signup = signup.coming_from(arrival::came_from(&context, &request, project.id).await);
    let SignedUp { profile, api_key, referral, .. } = context.engine.sign_up(project.id, signup).await?;
    let body = SignupBody { developer: profile.into(), api_key, referral: referral.map(Into::into) };
    Ok(json(StatusCode::CREATED, body))
}
