//! What can be downloaded.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::Section;
use crate::domain::error::Result;
use crate::web::{Context, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/exports", show));
}

#[derive(Template)]
#[template(path = "console/exports.html")]
struct ExportsPage {
    frame: ConsoleFrame,
    files: [(&'static str, &'static str, &'static str); 4],
    calls: String,
    is_masked: bool,
}

/// Name, title, and what is in it.
const FILES: [(&str, &str, &str); 4] = [
    (
        "ledger",
        "Ledger",
        "Every entry of every developer with its hash, oldest first: all that is needed to check it elsewhere.",
    ),
    ("developers", "Developers", "Everyone who is there, with address, code, balance and totals."),
    ("referrals", "Referrals", "Who brought in whom, by which code, and how far each has come."),
    ("payouts", "Payouts", "Every payout with its state and Stripe’s transfer."),
];

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    page(&request, &context).unwrap_or_else(|error| failed(&request, error))
}

fn page(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Exports)?;
    let template = ExportsPage {
        frame: console.frame(context),
        files: FILES,
        calls: format!("/v1/admin/projects/{}/exports", console.project.slug),
        is_masked: !console.role().may_write(),
    };
    console.page(context, StatusCode::OK, &template)
}
