//! Who may call what: keys, scopes, and how often.

use crate::calls::{CALLS_OF_THE_API, Call, Stage, Who};
use crate::harness::{App, Client, PASSWORD, Reply, no_limits};
use refloop::domain::access::Scope;
use refloop::web::{Limits, Quota, TrustedProxies};
use serde_json::json;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn guarded() -> impl Iterator<Item = &'static Call> {
    CALLS_OF_THE_API.iter().filter(|call| call.who != Who::Public)
}

/// Calls a row with some headers, and with a body that no call can read: who may not call is told so first.
fn send(stage: &Stage, call: &Call, client: &Client, headers: &[(&str, &str)]) -> Reply {
    client.send(call.method, &format!("{}?limit=x&limit=y", stage.path(call)), headers, b"{".to_vec())
}

fn expect_unauthenticated(what: &str, call: &Call, reply: &Reply, code: &str) {
    assert_eq!(reply.status, 401, "{} with {what}: {}", call.name(), reply.body);
    assert_eq!(reply.problem(401), code, "{} with {what}", call.name());
    assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"), "{} with {what}", call.name());
}

#[test]
fn a_missing_or_bad_key_is_401() {
    let stage = Stage::new();
    let anonymous = stage.app.anonymous();
    let long = format!("Bearer {}", "x".repeat(20_000));
    let missing = ["", "Bearer", "Bearer ", "Bearer    ", "Basic dXNlcjpwYXNz", "bw_live_x", "Token x"];
    let bad =
        ["Bearer x", "Bearer bw_live_x", "Bearer bs_live_x", "Bearer x y", "bearer null", "Bearer ' OR 1=1 --", &long];
    for call in guarded() {
        stage.unchanged(&call.name(), || {
            expect_unauthenticated("no header", call, &send(&stage, call, &anonymous, &[]), "missing_key");
            for value in missing {
                let reply = send(&stage, call, &anonymous, &[("Authorization", value)]);
                expect_unauthenticated(value, call, &reply, "missing_key");
            }
            for value in bad {
                let reply = send(&stage, call, &anonymous, &[("Authorization", value)]);
                expect_unauthenticated(value, call, &reply, "invalid_key");
            }
            let key = stage.key(call.who).unwrap();
            for near in
                [&key[..key.len() - 1], &format!("{key}0"), &key.to_uppercase(), &key.replacen("live", "test", 1)]
            {
                let reply = send(&stage, call, &anonymous.with_key(near), &[]);
                expect_unauthenticated("nearly the key", call, &reply, "invalid_key");
            }
        });
    }
}

#[test]
fn a_revoked_or_erased_key_is_401() {
    let stage = Stage::new();
    let anonymous = stage.app.anonymous();
    let second = stage.bob.post("/v1/developers/api-keys", json!({})).json();
    let (id, key) = (second["id"].as_str().unwrap(), second["key"].as_str().unwrap());
    assert_eq!(anonymous.with_key(key).get("/v1/developers/me").status, 200);
    assert_eq!(stage.bob.delete(&format!("/v1/developers/api-keys/{id}")).status, 200);

    let gateway = stage.app.engine.make_gateway_key("default", Scope::ALL.to_vec(), None).unwrap();
    stage.app.engine.revoke_gateway_key(gateway.row.id).unwrap();

    let erased = stage.app.developer("Eve");
    assert_eq!(erased.delete("/v1/developers/me").status, 200);

    for call in guarded() {
        for key in [key, &gateway.secret, &erased.key] {
            let reply = send(&stage, call, &anonymous.with_key(key), &[]);
            expect_unauthenticated("a dead key", call, &reply, "invalid_key");
        }
    }
    let reply = stage.app.gateway().post("/v1/keys/verify", json!({ "api_key": key }));
    assert_eq!(reply.json()["valid"], false);
    let usage = json!({ "id": "u-1", "api_key": erased.key, "calls": 1 });
    assert_eq!(stage.app.gateway().post("/v1/usage", usage).json()["code"], "invalid_key");
}

#[test]
fn the_wrong_kind_of_key_is_403() {
    let stage = Stage::new();
    for call in guarded() {
        stage.unchanged(&call.name(), || {
            let (other, code) = match call.who {
                Who::Developer => (Who::Gateway, "developer_key_required"),
                _ => (Who::Developer, "gateway_key_required"),
            };
            let reply = send(&stage, call, &stage.client(other), &[]);
            assert_eq!(reply.status, 403, "{}: {}", call.name(), reply.body);
            assert_eq!(reply.problem(403), code, "{}", call.name());
        });
    }
}

#[test]
fn a_gateway_key_needs_the_scope_of_the_call() {
    let stage = Stage::new();
    for call in guarded().filter(|call| call.who == Who::Gateway) {
        let needed = match (call.path, call.method) {
            ("/v1/purchases" | "/v1/refunds", _) => Scope::PurchasesWrite,
            (path, _) if path.starts_with("/v1/admin/") => Scope::Admin,
            (path, method) if path.starts_with("/api/billstack/") => match method {
                "GET" => Scope::ReferralsRead,
                "POST" if path.ends_with("/apply") => Scope::ReferralsRead,
                _ => Scope::ReferralsWrite,
            },
            (path, _) if path.starts_with("/v1/admin/") => Scope::Admin,
            _ => Scope::UsageWrite,
        };
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| *scope != needed).collect();
        let without = stage.app.gateway_with(&others);
        stage.unchanged(&call.name(), || {
            assert_eq!(send(&stage, call, &without, &[]).problem(403), "scope_required", "{}", call.name());
        });
        let with = stage.app.gateway_with(&[needed]);
        let reply = match call.template() {
            Some(_) => with.json(call.method, &stage.path(call), &stage.document(call)),
            None => with.send(call.method, &stage.path(call), &[], Vec::new()),
        };
        assert_eq!(reply.status, call.status, "{}: {}", call.name(), reply.body);
    }
}

#[test]
fn the_scheme_is_read_in_any_case() {
    let app = App::start();
    let bob = app.developer("Bob");
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer "] {
        let header = format!("{scheme} {}", bob.key);
        let reply = app.anonymous().send("GET", "/v1/developers/me", &[("Authorization", &header)], Vec::new());
        assert_eq!(reply.status, 200, "{scheme}");
    }
}

fn limited(change: impl FnOnce(&mut Limits)) -> App {
    App::start_with(|settings| {
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
        settings.limits = no_limits();
        change(&mut settings.limits);
    })
}

/// 429 with the seconds to wait, at most as many as one takes to come back.
fn expect_limited(reply: &Reply, most_seconds: u64) {
    assert_eq!(reply.problem(429), "rate_limited");
    let seconds: u64 = reply.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=most_seconds).contains(&seconds), "{seconds}");
}

/// A signup that fails for its fields, from an address.
fn failed_signup(app: &App, from: &str) -> Reply {
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", from)];
    app.anonymous().send("POST", "/v1/developers/signup", &headers, b"{}".to_vec())
}

fn signup_page(app: &App, from: &str) -> Reply {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("X-Forwarded-For", from)];
    app.anonymous().send("POST", "/signup", &headers, b"name=x".to_vec())
}

#[test]
fn ten_signups_an_hour_by_api_and_page_together_however_they_end() {
    let app = limited(|limits| limits.signup = Quota::new(10, HOUR));
    let from = "203.0.113.7";
    for _ in 0..3 {
        assert_eq!(failed_signup(&app, from).status, 422);
        assert_eq!(signup_page(&app, from).status, 403);
        let headers = [("X-Forwarded-For", from)];
        assert_eq!(app.anonymous().send("POST", "/v1/developers/signup", &headers, b"{".to_vec()).status, 415);
    }
    let body = json!({ "email": "bob@bob.example", "password": PASSWORD, "name": "Bob" });
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", from)];
    let good =
        |app: &App| app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes());
    assert_eq!(good(&app).status, 201);

    expect_limited(&good(&app), 361);
    expect_limited(&failed_signup(&app, from), 361);
    let page = signup_page(&app, from);
    assert_eq!((page.status, page.header("Content-Type")), (429, Some("text/html; charset=utf-8")));
    assert!(page.header("Retry-After").is_some());
    // Looking at the form is no signup, and others are not held up.
    assert_eq!(app.anonymous().send("GET", "/signup", &[("X-Forwarded-For", from)], Vec::new()).status, 200);
    assert_eq!(failed_signup(&app, "203.0.113.8").status, 422);
}

#[test]
fn an_ipv6_subscriber_is_one_client() {
    let app = limited(|limits| limits.signup = Quota::new(2, HOUR));
    assert_eq!(failed_signup(&app, "2001:db8:0:1::1").status, 422);
    assert_eq!(failed_signup(&app, "2001:db8:0:1:ffff:ffff:ffff:ffff").status, 422);
    expect_limited(&failed_signup(&app, "2001:db8:0:1:1234::"), 1_801);
    assert_eq!(failed_signup(&app, "2001:db8:0:2::1").status, 422);
    // An IPv4 address in IPv6 spelling is itself.
    assert_eq!(failed_signup(&app, "192.0.2.1").status, 422);
    assert_eq!(failed_signup(&app, "::ffff:192.0.2.1").status, 422);
    expect_limited(&failed_signup(&app, "192.0.2.1"), 1_801);
    assert_eq!(failed_signup(&app, "::ffff:192.0.2.2").status, 422);
}

#[test]
fn only_a_trusted_proxy_is_believed() {
    let distrustful = App::start_with(|settings| settings.limits.signup = Quota::new(1, HOUR));
    assert_eq!(failed_signup(&distrustful, "203.0.113.1").status, 422);
    expect_limited(&failed_signup(&distrustful, "203.0.113.2"), 3_601);

    let trustful = limited(|limits| limits.signup = Quota::new(1, HOUR));
    assert_eq!(failed_signup(&trustful, "198.51.100.1, 203.0.113.1").status, 422);
    // What the client itself wrote in front does not help it.
    expect_limited(&failed_signup(&trustful, "198.51.100.2, 203.0.113.1"), 3_601);
    expect_limited(&failed_signup(&trustful, "198.51.100.3,203.0.113.1, 127.0.0.1"), 3_601);
    assert_eq!(failed_signup(&trustful, "203.0.113.1, 198.51.100.4").status, 422);
}

#[test]
fn bad_keys_are_limited_and_good_ones_beside_them_are_not() {
    let app = limited(|limits| limits.bad_key = Quota::new(3, HOUR));
    let (bob, gateway) = (app.developer("Bob"), app.gateway());
    let call = |key: Option<&str>, from: &str| {
        let authorization = format!("Bearer {}", key.unwrap_or_default());
        let headers = [("Authorization", authorization.as_str()), ("X-Forwarded-For", from)];
        app.anonymous().send("PATCH", "/v1/developers/me", &headers, b"not even JSON".to_vec())
    };
    let from = "203.0.113.7";
    assert_eq!(call(Some("guess-1"), from).problem(401), "invalid_key");
    assert_eq!(call(None, from).problem(401), "missing_key");
    assert_eq!(call(Some("guess-2"), from).problem(401), "invalid_key");
    expect_limited(&call(Some("guess-3"), from), 1_201);
    expect_limited(&call(None, from), 1_201);
    // The good key comes through to the next fault, from the same address.
    assert_eq!(call(Some(&bob.key), from).problem(415), "unsupported_media_type");
    assert_eq!(call(Some(gateway.key().unwrap()), from).problem(403), "developer_key_required");
    expect_limited(&call(Some("guess-4"), from), 1_201);
    assert_eq!(call(Some("guess-5"), "203.0.113.8").problem(401), "invalid_key");
}

#[test]
fn each_key_has_its_own_limit() {
    let app = limited(|limits| {
        limits.developer = Quota::new(3, HOUR);
        limits.gateway = Quota::new(2, HOUR);
    });
    let (bob, carol) = (app.developer("Bob"), app.developer("Carol"));
    for _ in 0..3 {
        assert_eq!(bob.get("/v1/developers/me").status, 200);
    }
    expect_limited(&bob.get("/v1/developers/me"), 1_201);
    expect_limited(&bob.post("/v1/developers/referral-code", json!({})), 1_201);
    assert_eq!(carol.get("/v1/developers/me").status, 200);

    let (one, other) = (app.gateway(), app.gateway_with(&[Scope::UsageWrite]));
    let verify = |gateway: &Client| gateway.post("/v1/keys/verify", json!({ "api_key": bob.key }));
    assert_eq!(verify(&one).status, 200);
    assert_eq!(one.post("/v1/usage", json!({})).status, 422);
    expect_limited(&verify(&one), 1_801);
    assert_eq!(verify(&other).json()["valid"], true);
}

#[test]
fn public_reads_and_pages_share_a_limit_for_each_address() {
    let app = limited(|limits| limits.public = Quota::new(3, HOUR));
    let get = |path: &str, from: &str| app.anonymous().send("GET", path, &[("X-Forwarded-For", from)], Vec::new());
    let from = "203.0.113.7";
    assert_eq!(get("/v1/ledger/head", from).status, 200);
    assert_eq!(get("/v1/leaderboard", from).status, 404);
    assert_eq!(get("/signup", from).status, 200);
    expect_limited(&get("/v1/ledger/head", from), 1_201);
    expect_limited(&get("/v1/leaderboard", from), 1_201);
    let page = get("/signup", from);
    assert_eq!((page.status, page.header("Content-Type")), (429, Some("text/html; charset=utf-8")));
    assert_eq!(get("/v1/ledger/head", "203.0.113.8").status, 200);
    // What a load balancer asks is never limited.
    assert_eq!(get("/healthz", from).status, 200);
    assert_eq!(get("/readyz", from).status, 200);
}
