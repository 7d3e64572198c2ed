//! Two projects in one file: what is one's is not there for the other.

use crate::harness::{App, Client, PASSWORD, Reply};
use serde_json::{Value, json};

/// Adds a project that answers at `acme.example`, with the default project's program, and a gateway key of its own.
fn add_acme(app: &App) -> Client {
    let said = app.sqlite3(
        "INSERT INTO project (id, team_id, slug, name, mode, host, key_prefix, created_at_ms)
         SELECT id + 1, team_id, 'acme', 'Acme', 'live', 'acme.example', 'ac', created_at_ms FROM project;
         INSERT INTO program SELECT project_id + 1, version, body, author, created_at_ms FROM program;",
    );
    assert_eq!(said, "");
    let scopes = refloop::domain::access::Scope::ALL.to_vec();
    let secret = app.engine.make_gateway_key("acme", scopes, None).unwrap().secret;
    app.gateway().with_key(&secret)
}

fn sign_up_at_acme(app: &App, email: &str, code: Option<&str>) -> Reply {
    let headers = [("Content-Type", "application/json"), ("Host", "ACME.example.:8080")];
    let body = json!({ "email": email, "password": PASSWORD, "name": "Alice", "referral_code": code });
    app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes())
}

#[test]
fn the_host_says_whose_signup_it_is_and_a_key_says_the_rest() {
    let app = App::start();
    let acme = add_acme(&app);
    let alice = app.developer("Alice");
    let code = alice.code();
    let reply = sign_up_at_acme(&app, "alice@alice.example", None);
    assert_eq!(reply.status, 201, "an address is taken per project: {}", reply.body);
    let twin = app.anonymous().with_key(reply.json()["api_key"].as_str().unwrap());
    assert!(reply.json()["api_key"].as_str().unwrap().starts_with("ac_live_"));
    let made = twin.post("/v1/developers/referral-code", json!({}));
    assert_eq!((made.status, &made.json()["referral_code"]), (201, &json!(code)), "and so is a code");
    let bob = sign_up_at_acme(&app, "bob@bob.example", Some(&code));
    assert_eq!(bob.json()["referral"]["status"], "applied");
    assert_eq!(alice.stats()["total_referrals"], 0, "it was the other project's code");
    assert_eq!(twin.get("/v1/developers/referral-stats").json()["total_referrals"], 1);
    let again = app.try_sign_up("bob@bob.example", Some(&code));
    assert_eq!(again.json()["referral"]["status"], "applied", "one referral per project");
    let bob = bob.json();
    let usage = |gateway: &Client, id: &str| {
        gateway.post("/v1/usage", json!({ "id": id, "developer_id": bob["developer"]["id"], "calls": 1 })).json()
    };
    assert_eq!(usage(&acme, "u1")["status"], "recorded");
    let foreign = usage(&app.gateway(), "u1");
    assert_eq!((&foreign["status"], &foreign["code"]), (&json!("rejected"), &json!("unknown_developer")));
}

#[test]
fn codes_keys_accounts_and_purchases_do_not_cross() {
    let app = App::start();
    let acme = add_acme(&app);
    let gateway = app.gateway();
    let alice = app.developer("Alice");
    alice.post("/v1/developers/referral-code", json!({ "code": "ONLYHERE" }));
    assert_eq!(sign_up_at_acme(&app, "x@x.example", Some("ONLYHERE")).faults(), ["referral_code: unknown_code"]);
    let verified = acme.post("/v1/keys/verify", json!({ "api_key": alice.key })).json();
    assert_eq!((&verified["valid"], &verified["developer_id"]), (&json!(false), &Value::Null));
    let usage = acme.post("/v1/usage", json!({ "id": "u1", "api_key": alice.key, "calls": 1 })).json();
    assert_eq!((&usage["status"], &usage["code"]), (&json!("rejected"), &json!("invalid_key")));
    let purchase = json!({ "id": "p1", "developer_id": alice.id, "amount": 100, "currency": "usd" });
    assert_eq!(acme.post("/v1/purchases", purchase.clone()).faults(), ["developer_id: unknown_developer"]);
    assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
    let refund = json!({ "id": "r1", "purchase_id": "p1", "amount": 100 });
    assert_eq!(acme.post("/v1/refunds", refund).json()["developer_id"], Value::Null, "it waits for its own purchase");
    let foreign_key = sign_up_at_acme(&app, "y@y.example", None).json()["api_key"].as_str().unwrap().to_owned();
    let stranger = app.anonymous().with_key(&foreign_key);
    let key_id = alice.get("/v1/developers/api-keys").json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(stranger.delete(&format!("/v1/developers/api-keys/{key_id}")).problem(404), "not_found");
}
