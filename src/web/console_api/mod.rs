//! What the console does, as calls: `/v1/admin/projects/{project}/…`, for a gateway key with the scope `admin` and for
//! operators who are signed in.

mod audit;
mod limits;
mod operators;
mod projects;
mod referrals;

use actix_web::web;

/// Under a project's own part of the calls.
fn path(rest: &str) -> String {
    format!("/v1/admin/projects/{{project}}/{rest}")
}

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .configure(audit::routes)
        .configure(limits::routes)
        .configure(operators::routes)
        .configure(projects::routes)
        .configure(referrals::routes);
}
