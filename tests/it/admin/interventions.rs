//! What is done to one developer: adjusting, signing out, keys, code, erasing.

use super::desk::{Desk, call, noted};
use crate::harness::{App, Developer, Reply};
use crate::visitor::Visitor;
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

fn path(who: &Developer, rest: &str) -> String {
    call(&format!("developers/{}/{rest}", who.id))
}

fn adjust(app: &App, who: &Developer, amount: i64) -> Reply {
    app.gateway().post(&path(who, "adjustments"), json!({ "amount": amount, "reason": "support case 7" }))
}

fn balance(app: &App, who: &Developer) -> [i64; 3] {
    let file = app.gateway().get(&call(&format!("developers/{}", who.id))).json();
    ["available", "pending", "owed"].map(|name| file["balance"][name].as_i64().unwrap())
}

#[test]
fn credits_are_given_and_taken_by_new_entries() {
    let app = App::start();
    let bob = app.referee("Bob", &app.developer("Alice").code());
    let given = adjust(&app, &bob, 250);
    assert_eq!(given.status, 201, "{}", given.body);
    assert_eq!(given.json()["balance"], json!({ "available": 1_250, "pending": 0, "owed": 0 }));
    assert_eq!(adjust(&app, &bob, -1_100).json()["balance"]["available"], 150);
    let ledger = bob.ledger();
    let rows: Vec<_> = ledger.iter().map(|row| (row["kind"].clone(), row["credit_amount"].clone())).collect();
    let expected = [("grant", 1_000), ("grant", 250), ("reverse", -1_000), ("reverse", -100)];
    assert_eq!(rows, expected.map(|(kind, amount)| (json!(kind), json!(amount))));
    assert!(ledger[1..].iter().all(|row| row["reason"] == "adjustment"), "{ledger:?}");
    assert_eq!(given.json()["id"], ledger[1]["id"]);
    let notes = noted(&app);
    assert_eq!(notes[0], ("account.adjust".into(), bob.id.clone(), "support case 7".into()));
    assert_eq!(notes.iter().filter(|note| note.0 == "account.adjust").count(), 2);
}

#[test]
fn no_more_is_taken_than_can_be_spent() {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&app.gateway(), "u-1", 400);
    assert_eq!(balance(&app, &bob), [600, 0, 0]);
    let refused = adjust(&app, &bob, -601);
    assert_eq!(refused.faults(), ["amount: insufficient_balance"]);
    assert!(refused.body.contains("600 credits can be taken back"), "{}", refused.body);
    // Alice's 1,500 for Bob's calls are held for a week.
    assert_eq!(balance(&app, &alice), [500, 1_500, 0]);
    assert_eq!(adjust(&app, &alice, -501).faults(), ["amount: insufficient_balance"]);
    app.advance_days(7);
    assert_eq!(adjust(&app, &alice, -2_000).json()["balance"]["available"], 0);
    assert_eq!(adjust(&app, &bob, -600).json()["balance"]["available"], 0);
    assert_eq!(adjust(&app, &bob, -1).faults(), ["amount: insufficient_balance"]);
}

#[test]
fn what_was_taken_by_hand_is_not_taken_again_by_a_refund() {
    let app = App::start();
    let project = app.engine.project_named("default").unwrap();
    app.engine.set_program(&project, Preset::Commission.program(), "test").unwrap();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    let purchase = json!({ "id": "p-1", "developer_id": bob.id, "amount": 10_000, "currency": "usd" });
    assert_eq!(app.gateway().post("/v1/purchases", purchase).status, 201);
    app.advance_days(30);
    assert_eq!(balance(&app, &alice), [500, 0, 0]);
    assert_eq!(adjust(&app, &alice, -200).json()["balance"]["available"], 300);
    app.gateway().post("/v1/refunds", json!({ "id": "r-1", "purchase_id": "p-1", "amount": 10_000 }));
    assert_eq!(balance(&app, &alice), [0, 0, 0], "the whole commission once, and no debt");
}

#[test]
fn what_is_given_repays_a_debt_first() {
    let app = App::start();
    let project = app.engine.project_named("default").unwrap();
    app.engine.set_program(&project, Preset::Commission.program(), "test").unwrap();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    let purchase = json!({ "id": "p-1", "developer_id": bob.id, "amount": 10_000, "currency": "usd" });
    app.gateway().post("/v1/purchases", purchase);
    app.advance_days(30);
    app.gateway().post("/v1/usage", json!({ "id": "u", "developer_id": alice.id, "calls": 1, "spend": 500 }));
    app.gateway().post("/v1/refunds", json!({ "id": "r-1", "purchase_id": "p-1", "amount": 10_000 }));
    assert_eq!(balance(&app, &alice), [0, 0, 500]);
    assert_eq!(adjust(&app, &alice, 300).json()["balance"], json!({ "available": 0, "pending": 0, "owed": 200 }));
    assert_eq!(adjust(&app, &alice, 300).json()["balance"], json!({ "available": 100, "pending": 0, "owed": 0 }));
}

#[test]
fn an_adjustment_that_is_sent_twice_is_made_once() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    let send = |client: &crate::harness::Client, who: &Developer, key: &str, amount: i64| {
        let body = json!({ "amount": amount, "reason": "again" }).to_string().into_bytes();
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        client.send("POST", &path(who, "adjustments"), &headers, body)
    };
    let gateway = app.gateway();
    let first = send(&gateway, &alice, "k-1", 100);
    let again = send(&gateway, &alice, "k-1", 100);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(first.json(), again.json());
    assert_eq!(send(&gateway, &alice, "k-1", 200).problem(422), "idempotency_key_reused");
    assert_eq!(balance(&app, &alice), [100, 0, 0]);
    assert_eq!(send(&gateway, &bob, "k-1", 200).status, 201, "another path");
    assert_eq!(send(&app.gateway_of("default"), &alice, "k-1", 200).status, 201, "another caller");
    assert_eq!(send(&gateway, &alice, "k-2", -999).status, 422);
    assert_eq!(send(&gateway, &alice, "k-2", 50).status, 201, "what was refused is not remembered");
    assert_eq!(balance(&app, &alice), [350, 0, 0]);
    assert_eq!(noted(&app).iter().filter(|note| note.0 == "account.adjust").count(), 4);
    assert_eq!(send(&gateway, &alice, &"x".repeat(129), 5).status, 422);
}

#[test]
fn each_refusal_of_an_adjustment() {
    let app = App::start();
    let alice = app.developer("Alice");
    let post = |body: Value| app.gateway().post(&path(&alice, "adjustments"), body);
    assert_eq!(post(json!({ "amount": 0, "reason": "x" })).faults(), ["amount: out_of_range"]);
    assert_eq!(post(json!({ "amount": 5 })).faults(), ["reason: required"]);
    assert_eq!(post(json!({ "amount": 5, "reason": " " })).faults(), ["reason: required"]);
    assert_eq!(post(json!({})).faults(), ["amount: required", "reason: required"]);
    let missing =
        app.gateway().post(&call("developers/dev_0000000000001/adjustments"), json!({ "amount": 5, "reason": "x" }));
    assert_eq!(missing.problem(404), "not_found");
    alice.delete("/v1/developers/me");
    assert_eq!(post(json!({ "amount": 5, "reason": "x" })).problem(404), "not_found");
}

#[test]
fn a_developer_is_signed_out_everywhere() {
    let app = App::start();
    let browser = Visitor::new(&app);
    browser.sign_up_well("Alice", "alice@alice.example", "");
    assert_eq!(browser.get("/account").status, 200);
    let found = app.gateway().get(&call("developers?q=alice")).json();
    let id = found["data"][0]["id"].as_str().unwrap().to_owned();
    let reply = app.gateway().post(&call(&format!("developers/{id}/sign-out")), json!({ "reason": "lost laptop" }));
    assert_eq!(reply.json()["sessions_ended"], 1, "{}", reply.body);
    assert_eq!(browser.get("/account").status, 303);
    assert_eq!(noted(&app)[0], ("account.sign_out".into(), id, "lost laptop".into()));
}

#[test]
fn keys_are_replaced_and_revoked() {
    let app = App::start();
    let alice = app.developer("Alice");
    alice.post("/v1/developers/api-keys", json!({}));
    let made = app.gateway().post(&path(&alice, "keys/rotate"), json!({}));
    assert_eq!((made.status, &made.json()["revoked"]), (201, &json!(2)), "{}", made.body);
    assert_eq!(alice.get("/v1/developers/me").status, 401);
    let renewed = app.anonymous().with_key(made.json()["key"].as_str().unwrap());
    assert_eq!(renewed.get("/v1/developers/me").status, 200);
    // The last one, too: an owner cannot, but it may be in the wrong hands.
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(app.gateway().delete(&path(&alice, &format!("keys/{id}"))).status, 200);
    assert_eq!(renewed.get("/v1/developers/me").status, 401);
    assert_eq!(app.gateway().delete(&path(&alice, &format!("keys/{id}"))).problem(404), "not_found");
    let bob = app.developer("Bob");
    let bobs = app.gateway().get(&call(&format!("developers/{}", bob.id))).json()["keys"][0]["id"].clone();
    let stolen = path(&alice, &format!("keys/{}", bobs.as_str().unwrap()));
    assert_eq!(app.gateway().delete(&stolen).problem(404), "not_found", "somebody else's key");
    assert_eq!(bob.get("/v1/developers/me").status, 200);
    let dump = app.dump();
    assert!(!dump.contains(made.json()["key"].as_str().unwrap()), "no secret is stored");
}

#[test]
fn a_code_is_revoked() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let reply = app.gateway().delete(&path(&alice, "code"));
    assert_eq!(reply.json(), json!({ "referral_code": code, "is_active": false }));
    assert_eq!(app.try_sign_up("bob@bob.example", Some(&code)).faults(), ["referral_code: revoked_code"]);
    assert_eq!(app.gateway().delete(&path(&alice, "code")).problem(404), "not_found");
    let rows = app.sqlite3("SELECT count(*) FROM audit WHERE details LIKE '%ALICE%'");
    assert_eq!((noted(&app)[0].0.as_str(), rows.trim()), ("code.revoke", "0"), "a code may be made from a name");
}

#[test]
fn nobody_is_erased_by_a_slip() {
    let app = App::start();
    let alice = app.developer("Alice");
    let erase = |body: Value| app.gateway().post(&path(&alice, "erase"), body);
    assert_eq!(erase(json!({ "reason": "asked to" })).faults(), ["confirm: required"]);
    assert_eq!(erase(json!({ "confirm": "yes", "reason": "asked to" })).faults(), ["confirm: not_confirmed"]);
    assert_eq!(erase(json!({ "confirm": alice.id })).faults(), ["reason: required"]);
    let erased = erase(json!({ "confirm": alice.id, "reason": "asked to" }));
    assert_eq!(erased.json(), json!({ "id": alice.id, "erased": true }));
    assert_eq!(alice.get("/v1/developers/me").status, 401);
    assert!(!app.dump().contains("alice@alice.example"));
    assert_eq!(erase(json!({ "confirm": alice.id, "reason": "again" })).problem(404), "not_found");
    assert_eq!(noted(&app)[0], ("account.erase".into(), alice.id.clone(), "asked to".into()));
}

#[test]
fn who_may_only_read_changes_nothing() {
    let app = App::start();
    let alice = app.developer("Alice");
    alice.code();
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    let before = app.dump();
    for (method, rest, body) in [
        ("POST", "adjustments", json!({ "amount": 5, "reason": "x" })),
        ("POST", "sign-out", json!({})),
        ("POST", "keys/rotate", json!({})),
        ("POST", "erase", json!({ "confirm": alice.id, "reason": "x" })),
        ("DELETE", "code", json!({})),
    ] {
        let headers = [("Content-Type", "application/json")];
        let reply = reader.browser.send(method, &path(&alice, rest), &headers, &body.to_string());
        assert_eq!(reply.problem(403), "role_required", "{rest}");
    }
    for form in
        [[("form", "adjust"), ("amount", "5")], [("form", "sign_out"), ("x", "")], [("form", "rotate"), ("x", "")]]
    {
        let page = format!("developers/{}", alice.id);
        assert_eq!(reader.send("keys", &page, &form).status, 403);
    }
    assert_eq!(app.dump(), before);
}
