//! Rate limits per address and per key, and what every route refuses alike.

use crate::harness::{App, no_limits};
use refloop::web::{Limits, Quota};
use serde_json::json;
use std::time::Duration;

fn an_hour(count: u32) -> Quota {
    Quota::new(count, Duration::from_secs(3_600))
}

fn limited(limits: Limits) -> App {
    App::start_with(move |settings| settings.limits = limits)
}

#[test]
fn guessing_keys_is_limited_and_good_keys_pass() {
    let app = limited(Limits { bad_key: an_hour(3), ..no_limits() });
    let alice = app.developer("Alice");
    for n in 0..3 {
        let guess = app.anonymous().with_key(&format!("bw_live_{n}"));
        assert_eq!(guess.get("/v1/developers/me").problem(401), "invalid_key");
    }
    let guess = app.anonymous().with_key("bw_live_3").get("/v1/developers/me");
    assert_eq!(guess.problem(429), "rate_limited");
    assert!(guess.header("retry-after").is_some());
    assert_eq!(app.anonymous().get("/v1/developers/me").status, 429, "no key is a bad key");
    assert_eq!(alice.get("/v1/developers/me").status, 200);
    assert_eq!(app.gateway().post("/v1/keys/verify", json!({ "api_key": "x" })).status, 200);
}

#[test]
fn each_key_has_its_own_allowance() {
    let app = limited(Limits { developer: an_hour(2), gateway: an_hour(1), ..no_limits() });
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    assert_eq!(alice.get("/v1/developers/me").status, 200);
    assert_eq!(
        alice.post("/v1/developers/referral-code", json!({ "code": "x" })).status,
        422,
        "it counts all the same"
    );
    assert_eq!(alice.get("/v1/developers/me").problem(429), "rate_limited");
    assert_eq!(bob.get("/v1/developers/me").status, 200);
    let (first, second) = (app.gateway(), app.gateway_with(&[refloop::domain::access::Scope::UsageWrite]));
    let verify = json!({ "api_key": bob.key });
    assert_eq!(first.post("/v1/keys/verify", verify.clone()).status, 200);
    assert_eq!(first.post("/v1/keys/verify", verify.clone()).problem(429), "rate_limited");
    assert_eq!(second.post("/v1/keys/verify", verify).status, 200);
}

#[test]
fn public_reads_are_limited_by_address() {
    let app = limited(Limits { public: an_hour(2), ..no_limits() });
    for status in [200, 200, 429] {
        assert_eq!(app.anonymous().get("/v1/ledger/head").status, status);
    }
}

#[test]
fn every_route_names_the_methods_that_it_takes() {
    let app = App::start();
    for (path, methods) in [
        ("/v1/developers/signup", "POST"),
        ("/v1/developers/referral-code", "DELETE, POST"),
        ("/v1/developers/referrals", "GET, HEAD"),
        ("/v1/developers/referrals/apply", "POST"),
        ("/v1/developers/referral-stats", "GET, HEAD"),
        ("/v1/developers/me", "DELETE, GET, HEAD, PATCH"),
        ("/v1/developers/ledger", "GET, HEAD"),
        ("/v1/developers/ledger.csv", "GET, HEAD"),
        ("/v1/developers/api-keys", "GET, HEAD, POST"),
        ("/v1/developers/api-keys/key_0000000000001", "DELETE"),
        ("/v1/leaderboard", "GET, HEAD"),
        ("/v1/usage", "POST"),
        ("/v1/keys/verify", "POST"),
        ("/v1/purchases", "POST"),
        ("/v1/refunds", "POST"),
        ("/v1/ledger/head", "GET, HEAD"),
    ] {
        let reply = app.anonymous().send("PUT", path, &[], Vec::new());
        assert_eq!(reply.problem(405), "method_not_allowed", "{path}");
        let mut allowed: Vec<&str> = reply.header("allow").unwrap().split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(", "), methods, "{path}");
    }
    for path in ["/v1", "/v1/nothing", "/v1/developers/me/", "/v2/usage"] {
        assert_eq!(app.anonymous().get(path).problem(404), "not_found", "{path}");
    }
}

#[test]
fn a_bad_key_is_refused_before_the_body_is_judged() {
    let app = App::start();
    let stranger = app.anonymous().with_key("bs_live_0");
    let kind = [("Content-Type", "application/json")];
    for path in ["/v1/usage", "/v1/keys/verify", "/v1/purchases", "/v1/refunds", "/v1/developers/referrals/apply"] {
        for body in ["{", "[]", ""] {
            let reply = stranger.send("POST", path, &kind, body.as_bytes().to_vec());
            assert_eq!(reply.problem(401), "invalid_key", "{path} {body}");
        }
    }
    let eve = app.developer("Eve");
    assert_eq!(eve.send("POST", "/v1/usage", &kind, b"{".to_vec()).problem(403), "gateway_key_required");
}

#[test]
fn bodies_have_a_size() {
    let app = App::start();
    let bob = app.developer("Bob");
    let padded = |length: usize| {
        let mut body = json!({ "id": "u1", "developer_id": bob.id, "calls": 0, "pad": "" }).to_string();
        body.insert_str(body.len() - 2, &"x".repeat(length - body.len()));
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    for (path, limit) in [("/v1/usage", 1 << 20), ("/v1/keys/verify", 64 << 10), ("/v1/purchases", 64 << 10)] {
        assert_ne!(app.gateway().post(path, padded(limit)).status, 413, "{path}");
        assert_eq!(app.gateway().post(path, padded(limit + 1)).problem(413), "body_too_large", "{path}");
    }
    assert_eq!(app.anonymous().post("/v1/developers/signup", padded((64 << 10) + 1)).problem(413), "body_too_large");
}
