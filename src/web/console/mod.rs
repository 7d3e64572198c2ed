//! `/admin`: the operators' console. Every page works without JavaScript; every change is a form, which leads to a page
//! that says what was done.

mod account;
mod audit;
mod audit_words;
mod deliveries;
mod developer;
mod developer_view;
mod developers;
mod done;
mod exports;
mod frame;
mod home;
mod join;
mod keys;
mod limits;
mod nav;
mod operators;
mod overview;
mod payouts;
mod program;
mod program_form;
mod review;
mod review_bulk;
mod review_one;
mod review_words;
mod settings;
mod sign_in;
mod words;

use super::page::static_text;
use super::readable;
use actix_web::{HttpRequest, HttpResponse, web};
use frame::{Console, ConsoleFrame, TeamConsole, failed};
use nav::Section;

const CSS: &str = include_str!("../../../templates/console.css");

/// The team's pages come first: a project that is called like one of them goes by its id.
pub fn routes(config: &mut web::ServiceConfig) {
    let project = web::scope("/{project}")
        .configure(overview::routes)
        .configure(deliveries::routes)
        .configure(developers::routes)
        .configure(developer::routes)
        .configure(exports::routes)
        .configure(keys::routes)
        .configure(payouts::routes)
        .configure(program::routes)
        .configure(audit::routes)
        .configure(review::routes)
        .configure(review_bulk::routes)
        .configure(review_one::routes)
        .configure(settings::routes);
    config
        .configure(sign_in::routes)
        .configure(join::routes)
        .configure(home::routes)
        .configure(operators::routes)
        .configure(account::routes)
        .configure(limits::routes)
        .service(readable(frame::CSS_URL, stylesheet))
        .service(readable("/assets/review.js", review::script))
        .service(web::scope("/admin").service(project));
}

async fn stylesheet(request: HttpRequest) -> HttpResponse {
    static_text(&request, "text/css; charset=utf-8", CSS)
}
