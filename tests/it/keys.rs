//! Developers' keys: making, listing, revoking, and what a gateway learns of them.

use crate::harness::{App, DAY_MS};
use refloop::domain::access::Scope;
use refloop::domain::id::AccountId;
use serde_json::{Value, json};

const KEYS: &str = "/v1/developers/api-keys";

#[test]
fn a_key_is_shown_once_and_then_by_its_hint() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.advance_days(1);
    let made = alice.post(KEYS, json!({ "name": " laptop " }));
    assert_eq!(made.status, 201);
    let made = made.json();
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("bw_live_") && secret != alice.key);
    let list = alice.get(KEYS);
    assert!(!list.body.contains(secret) && !list.body.contains(&alice.key));
    let data = list.json()["data"].as_array().unwrap().clone();
    assert_eq!(data.len(), 2);
    assert_eq!((&data[0]["id"], &data[0]["name"]), (&made["id"], &json!("laptop")), "newest first");
    assert_eq!(data[0]["created_at"], "2026-01-16T10:00:00Z");
    assert!(data[0].get("key").is_none());
    let hint = data[0]["hint"].as_str().unwrap();
    let (head, tail) = hint.split_once('…').unwrap();
    assert!(secret.starts_with(head) && secret.ends_with(tail) && hint.chars().count() < 20, "{hint}");
    assert_eq!(alice.with_key(secret).get(KEYS).status, 200);
}

#[test]
fn the_seed_s_style_of_an_empty_body_makes_a_key() {
    let app = App::start();
    let alice = app.developer("Alice");
    let made = alice.send("POST", KEYS, &[], Vec::new());
    assert_eq!((made.status, &made.json()["name"]), (201, &Value::Null));
    assert_eq!(alice.post(KEYS, json!({ "name": "x".repeat(101) })).faults(), ["name: too_long"]);
    assert_eq!(alice.post(KEYS, json!({ "name": 1 })).faults(), ["name: wrong_type"]);
}

#[test]
fn a_revoked_key_is_no_key() {
    let app = App::start();
    let alice = app.developer("Alice");
    let made = alice.post(KEYS, json!({})).json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let gone = alice.delete(&format!("{KEYS}/{id}"));
    assert_eq!((gone.status, gone.json()), (200, json!({ "id": id, "revoked": true })));
    assert_eq!(alice.with_key(secret).get("/v1/developers/me").problem(401), "invalid_key");
    assert_eq!(alice.delete(&format!("{KEYS}/{id}")).problem(404), "not_found");
    assert_eq!(alice.get(KEYS).json()["data"].as_array().unwrap().len(), 1);
}

#[test]
fn the_last_key_stays() {
    let app = App::start();
    let alice = app.developer("Alice");
    let only = alice.get(KEYS).json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(alice.delete(&format!("{KEYS}/{only}")).problem(409), "last_key");
    let second = alice.post(KEYS, json!({})).json();
    assert_eq!(alice.delete(&format!("{KEYS}/{only}")).status, 200, "a key may revoke itself");
    let with_second = alice.with_key(second["key"].as_str().unwrap());
    let second = second["id"].as_str().unwrap();
    assert_eq!(with_second.delete(&format!("{KEYS}/{second}")).problem(409), "last_key");
}

#[test]
fn another_s_key_is_not_found() {
    let app = App::start();
    let (alice, eve) = (app.developer("Alice"), app.developer("Eve"));
    eve.post(KEYS, json!({}));
    let id = alice.get(KEYS).json()["data"][0]["id"].as_str().unwrap().to_owned();
    let gateway_key = app.sqlite3("SELECT id FROM api_key WHERE account_id IS NULL").trim().parse().unwrap();
    let gateway_key = refloop::domain::id::KeyId(gateway_key).to_string();
    for id in [id.as_str(), &gateway_key, "key_0000000000001", "nonsense", &eve.id] {
        assert_eq!(eve.delete(&format!("{KEYS}/{id}")).problem(404), "not_found", "{id}");
    }
    assert_eq!(alice.get("/v1/developers/me").status, 200);
    assert_eq!(app.gateway().post("/v1/keys/verify", json!({ "api_key": "x" })).status, 200);
}

#[test]
fn twenty_keys_are_the_most() {
    let app = App::start();
    let alice = app.developer("Alice");
    for _ in 1..20 {
        assert_eq!(alice.post(KEYS, json!({})).status, 201);
    }
    assert_eq!(alice.post(KEYS, json!({})).problem(409), "too_many_keys");
    let id = alice.get(KEYS).json()["data"][3]["id"].as_str().unwrap().to_owned();
    alice.delete(&format!("{KEYS}/{id}"));
    assert_eq!(alice.post(KEYS, json!({})).status, 201, "revoked keys do not count");
}

#[test]
fn use_is_noted_to_the_hour_and_reads_do_not_write() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.advance_ms(12 * 60_000);
    assert_eq!(alice.get(KEYS).json()["data"][0]["last_used_at"], Value::Null);
    app.sweep();
    assert_eq!(alice.get(KEYS).json()["data"][0]["last_used_at"], "2026-01-15T10:00:00Z");
    app.advance_ms(40 * 60_000);
    alice.get(KEYS);
    app.sweep();
    app.advance_ms(60 * 60_000);
    app.gateway().post("/v1/keys/verify", json!({ "api_key": alice.key }));
    app.sweep();
    assert_eq!(alice.get(KEYS).json()["data"][0]["last_used_at"], "2026-01-15T11:00:00Z");
}

#[test]
fn a_gateway_asks_whose_key_it_is() {
    let app = App::start();
    let gateway = app.gateway_with(&[Scope::UsageWrite]);
    let bob = app.referee("Bob", &app.developer("Alice").code());
    let verify = |key: &str| {
        let reply = gateway.post("/v1/keys/verify", json!({ "api_key": key }));
        assert_eq!(reply.status, 200);
        reply.json()
    };
    let answer = verify(&bob.key);
    assert_eq!(
        (&answer["valid"], &answer["developer_id"], &answer["available"]),
        (&json!(true), &json!(bob.id), &json!(1_000))
    );
    assert!(answer["project_id"].as_str().unwrap().starts_with("proj_"));
    bob.use_api(&gateway, "b1", 300);
    assert_eq!(verify(&bob.key)["available"], 700);
    let invalid = json!({ "valid": false, "developer_id": null, "project_id": null, "available": 0 });
    let gateway_secret = app.engine.make_gateway_key("default", vec![Scope::Admin], None).unwrap().secret;
    let almost = format!("{}0", &bob.key[..bob.key.len() - 1]);
    let almost = if almost == bob.key { format!("{}1", &bob.key[..bob.key.len() - 1]) } else { almost };
    for key in [almost.as_str(), &bob.key.to_uppercase(), &gateway_secret, "bw_live_", "x", "ключ", &"k".repeat(128)]
    {
        assert_eq!(verify(key), invalid, "{key:.20}");
    }
    let made = bob.post(KEYS, json!({})).json();
    bob.delete(&format!("{KEYS}/{}", made["id"].as_str().unwrap()));
    assert_eq!(verify(made["key"].as_str().unwrap()), invalid, "revoked");
    for (body, fault) in [(json!({}), "api_key: required"), (json!({ "api_key": 5 }), "api_key: wrong_type")] {
        assert_eq!(gateway.post("/v1/keys/verify", body).faults(), [fault]);
    }
}

#[test]
fn each_call_of_a_gateway_needs_its_scope() {
    let app = App::start();
    let alice = app.developer("Alice");
    let usage = json!({ "id": "u1", "developer_id": alice.id, "calls": 1 });
    let purchase = json!({ "id": "p1", "developer_id": alice.id, "amount": 1, "currency": "usd" });
    let refund = json!({ "id": "r1", "purchase_id": "p1", "amount": 1 });
    for (path, body, scope) in [
        ("/v1/usage", usage, Scope::UsageWrite),
        ("/v1/keys/verify", json!({ "api_key": "x" }), Scope::UsageWrite),
        ("/v1/purchases", purchase, Scope::PurchasesWrite),
        ("/v1/refunds", refund, Scope::PurchasesWrite),
    ] {
        assert_eq!(app.anonymous().post(path, body.clone()).problem(401), "missing_key");
        assert_eq!(alice.post(path, body.clone()).problem(403), "gateway_key_required");
        let others: Vec<_> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
        assert_eq!(app.gateway_with(&others).post(path, body.clone()).problem(403), "scope_required", "{path}");
        assert!(app.gateway_with(&[scope]).post(path, body).status < 300, "{path}");
    }
}

#[test]
fn the_scheme_is_read_in_any_case_and_nothing_else_is_a_key() {
    let app = App::start();
    let alice = app.developer("Alice");
    let with = |value: &str| app.anonymous().send("GET", "/v1/developers/me", &[("Authorization", value)], Vec::new());
    assert_eq!(with(&format!("bearer {}", alice.key)).status, 200);
    for (value, code) in [
        (format!("Basic {}", alice.key), "missing_key"),
        (alice.key.clone(), "missing_key"),
        ("Bearer ".to_owned(), "missing_key"),
        (format!("Bearer {}x", alice.key), "invalid_key"),
        (format!("Bearer {}", AccountId(1)), "invalid_key"),
    ] {
        assert_eq!(with(&value).problem(401), code, "{value:.12}");
    }
}

#[test]
fn the_use_of_a_key_is_not_lost_when_a_sweep_cannot_write_it_down() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.sweep();
    app.advance_days(1);
    assert_eq!(alice.get("/v1/developers/me").status, 200);
    let stuck = "CREATE TRIGGER stuck BEFORE UPDATE ON api_key BEGIN SELECT RAISE(ABORT, 'stuck'); END";
    assert_eq!(app.sqlite3(stuck), "");
    for _ in 0..2 {
        refloop::work::run_once(&app.engine).unwrap_err();
    }
    assert_eq!(app.sqlite3("DROP TRIGGER stuck"), "");
    // Nobody has called since.
    app.advance_days(1);
    app.sweep();
    let used = app.sqlite3("SELECT last_used_at_ms FROM api_key WHERE account_id IS NOT NULL");
    assert_eq!(used.trim().parse::<i64>().unwrap(), app.now_ms() - DAY_MS);
}
