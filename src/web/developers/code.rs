//! The developer's referral code, and everything to share it with.

use crate::domain::code::Code;
use crate::domain::sharing::Invitation;
use crate::engine::CodeView;
use crate::web::auth::Developer;
use crate::web::body::{Fields, OptionalJson};
use crate::web::error::ApiError;
use crate::web::{Context, arrival, json};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

#[derive(Serialize)]
struct CodeBody {
    referral_code: String,
    referral_url: String,
    share_text: String,
    total_referrals: i64,
    credits_earned: i64,
    credits_available: i64,
    share: ShareBody,
    qr_url: String,
}

/// Links that open a ready-made post.
#[derive(Serialize)]
struct ShareBody {
    x: String,
    linkedin: String,
    telegram: String,
    email: String,
}

impl CodeBody {
    fn new(view: CodeView, context: &Context) -> Self {
        let pages = context.url_of(view.project_host.as_deref());
        let CodeView { code, project_name, sharing, bonus, .. } = view;
        let referral_url = format!("{pages}/signup?ref={code}");
        let Invitation { text: share_text, x, linkedin, telegram, email } =
            Invitation::new(&sharing, &project_name, &code, bonus.as_deref(), &referral_url);
        Self {
            share: ShareBody { x, linkedin, telegram, email },
            qr_url: format!("{pages}/qr/{code}.svg"),
            referral_code: code,
            referral_url,
            share_text,
            total_referrals: view.total_referrals,
            credits_earned: view.credits_earned,
            credits_available: view.credits_available,
        }
    }
}

pub async fn get_or_make(
    developer: Developer,
    context: web::Data<Context>,
    request: HttpRequest,
    OptionalJson(body): OptionalJson,
) -> Result<HttpResponse, ApiError> {
    let mut fields = Fields::new(&body);
    let code = fields.optional_text("code").map(|code| Code::parse("code", code));
    let code = code.and_then(|code| fields.check(code));
    let max_uses = fields.optional_integer("max_uses", 1..=1_000_000_000);
    fields.finish()?;
    let view = context.engine.referral_code(developer.project, developer.account, code, max_uses).await?;
    arrival::sight(&context, &request, developer.project, developer.account).await;
    let status = if view.made { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, CodeBody::new(view, &context)))
}

pub async fn revoke(developer: Developer, context: web::Data<Context>) -> Result<HttpResponse, ApiError> {
    let code = context.engine.revoke_code(developer.project, developer.account).await?;
    Ok(json(StatusCode::OK, serde_json::json!({ "referral_code": code, "is_active": false })))
}
