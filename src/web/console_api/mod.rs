//! What the console does, as calls: `/v1/admin/projects/{project}/…`, for a gateway key with the scope `admin` and for
//! operators who are signed in.

mod account;
mod audit;
mod deliveries;
mod developer_changes;
mod developers;
mod exports;
mod keys;
mod limits;
mod operators;
mod payouts;
mod program;
mod projects;
mod referrals;
mod shared;

use actix_web::web;

/// The project's name is looked at once: what stands below it is plain text to the router, most of it.
pub fn routes(config: &mut web::ServiceConfig) {
    let project = web::scope("/{project}")
        .configure(account::routes)
        .configure(audit::routes)
        .configure(deliveries::routes)
        .configure(developer_changes::routes)
        .configure(developers::routes)
        .configure(exports::routes)
        .configure(keys::routes)
        .configure(limits::routes)
        .configure(operators::routes)
        .configure(payouts::routes)
        .configure(program::routes)
        .configure(projects::routes)
        .configure(referrals::routes);
    config.service(web::scope("/v1/admin/projects").service(project));
}
