//! `/dashboard`: what an account sees of its referrals, credits and keys.

use super::login::{LOGIN, see};
use crate::domain::error::Result;
use crate::web::Context;
use crate::web::auth::visit;
use crate::web::page::{FormGuard, Frame, Place, error_page, page};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct OverviewPage {
    frame: Frame,
    name: String,
}

pub async fn overview(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_overview(&request, &context).await.unwrap_or_else(error_page)
}

async fn show_overview(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    let Some(session) = visit.session else { return Ok(see(LOGIN)) };
    let profile = context.engine.profile(session.project, session.account).await?;
    let guard = FormGuard::of(context, request)?;
    let frame = Frame::with_menu(&visit.project.name, Place::Overview, guard.token(context));
    let template = OverviewPage { frame, name: profile.profile.account.name.unwrap_or_default() };
    let mut response = page(StatusCode::OK, &template);
    guard.keep(context, &mut response);
    Ok(response)
}
