//! Face one, `/v1`: developers and the gateways in front of them (BUY-2529).

mod account;
mod code;
mod ledger;
mod partner;
mod payouts;
mod purchases;
mod referrals;
mod signup;
mod test_clock;
mod usage;

use super::readable;
use actix_web::web;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/v1/developers/signup").route(web::post().to(signup::sign_up)))
        .service(
            web::resource("/v1/developers/referral-code")
                .route(web::post().to(code::get_or_make))
                .route(web::delete().to(code::revoke)),
        )
        .service(readable("/v1/developers/referrals", referrals::list))
        .service(web::resource("/v1/developers/referrals/apply").route(web::post().to(referrals::apply)))
        .service(readable("/v1/developers/referral-stats", referrals::stats))
        .service(
            web::resource("/v1/developers/me")
                .route(web::get().to(account::me))
                .route(web::head().to(account::me))
                .route(web::patch().to(account::change))
                .route(web::delete().to(account::erase)),
        )
        .service(
            web::scope("/v1/developers/api-keys")
                .service(readable("", account::keys).route(web::post().to(account::make_key)))
                .service(web::resource("/{id}").route(web::delete().to(account::revoke_key))),
        )
        .service(readable("/v1/developers/ledger", ledger::list))
        .service(readable("/v1/developers/ledger.csv", ledger::export))
        .service(readable("/v1/partner", partner::show))
        .service(readable("/v1/partner/agreement", partner::agreement))
        .service(readable("/v1/partner/agreements", partner::agreements))
        .service(web::resource("/v1/partner/upgrade").route(web::post().to(partner::upgrade)))
        .service(web::resource("/v1/partner/connect").route(web::post().to(partner::connect)))
        .service(web::resource("/v1/partner/downgrade").route(web::post().to(partner::downgrade)))
        .service(
            web::scope("/v1/payouts")
                .service(readable("", payouts::list).route(web::post().to(payouts::request)))
                .service(readable("/{id}", payouts::show)),
        )
        .service(readable("/v1/ledger/head", ledger::head))
        .service(readable("/v1/leaderboard", referrals::leaderboard))
        .service(web::resource("/v1/usage").route(web::post().to(usage::record)))
        .service(web::resource("/v1/keys/verify").route(web::post().to(usage::verify_key)))
        .service(web::resource("/v1/purchases").route(web::post().to(purchases::record_purchase)))
        .service(web::resource("/v1/test-clock").route(web::post().to(test_clock::advance)))
        .service(web::resource("/v1/refunds").route(web::post().to(purchases::record_refund)));
}
