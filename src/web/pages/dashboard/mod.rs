//! `/dashboard`: what an account sees of its referrals, credits and keys.

mod keys;
mod ledger;
mod markdown;
mod overview;
mod partner;
mod partner_page;
mod referrals;
mod tracks;
mod words;

use super::login::sign_in_first;
use crate::domain::error::{Error, Result};
use crate::domain::id::AccountId;
use crate::domain::partner::currency;
use crate::engine::Project;
use crate::web::auth::visit;
use crate::web::page::{FormGuard, Frame, Menu, Place, error_page_of, form, page};
use crate::web::{Context, arrival, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable(Place::Overview.url(), overview::show))
        .service(web::resource("/dashboard/code").route(web::post().to(overview::make_code)))
        .service(readable(Place::Referrals.url(), referrals::show))
        .service(readable(Place::Ledger.url(), ledger::show))
        .service(readable("/dashboard/ledger.csv", ledger::export))
        .service(web::resource("/dashboard/confirm").route(web::post().to(overview::confirm_again)))
        .service(readable(Place::Partner.url(), partner::show).route(web::post().to(partner::take)))
        .service(readable(partner::AGREEMENT, partner::agreement))
        .service(
            web::scope(Place::Keys.url())
                .service(readable("", keys::show).route(web::post().to(keys::make)))
                .service(web::resource("/{id}/revoke").route(web::post().to(keys::revoke))),
        );
}

/// Who is signed in and asks for a page of the dashboard.
struct Member {
    project: Project,
    account: AccountId,
    guard: FormGuard,
    has_partner_track: bool,
}

impl Member {
    /// `None` for who is not signed in to the asked project.
    async fn of(request: &HttpRequest, context: &Context) -> Result<Option<Self>> {
        let visit = visit(context, request).await?;
        let Some(session) = visit.session else { return Ok(None) };
        let guard = FormGuard::of(context, request)?;
        arrival::sight(context, request, visit.project.id, session.account).await;
        let has_partner_track = currency(&*context.engine.program_of(visit.project.id).await?).is_ok();
        Ok(Some(Self { project: visit.project, account: session.account, guard, has_partner_track }))
    }

    fn frame(&self, context: &Context, here: Place) -> Frame {
        let has_partner_track = self.has_partner_track;
        Frame::with_menu(&self.project.name, Menu { here, csrf: self.guard.token(context), has_partner_track })
    }

    fn page(&self, context: &Context, status: StatusCode, template: &impl Template) -> HttpResponse {
        let mut response = page(status, template);
        self.guard.keep(context, &mut response);
        response
    }

    /// The fields of a form that was made for this visitor. `Forbidden` for any other.
    async fn form(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        context: &Context,
    ) -> Result<HashMap<String, String>> {
        let form = form(request, payload).await?;
        self.guard.check(context, form.get("csrf").map(String::as_str).unwrap_or_default())?;
        Ok(form)
    }
}

fn failed(error: Error) -> HttpResponse {
    error_page_of(Frame::new("Referrals"), ("Your dashboard", Place::Overview.url().into()), error)
}
