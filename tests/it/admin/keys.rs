//! Gateway keys.

use super::desk::{Desk, call, noted};
use crate::harness::App;
use crate::visitor::value_of;
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;
use serde_json::json;

#[test]
fn a_key_is_made_shown_once_and_revoked() {
    let app = App::start();
    let made = app.gateway().post(&call("keys"), json!({ "scopes": "usage:write,admin", "name": "billing" }));
    assert_eq!(made.status, 201, "{}", made.body);
    let (id, secret) =
        (made.json()["id"].as_str().unwrap().to_owned(), made.json()["key"].as_str().unwrap().to_owned());
    assert!(secret.starts_with("bs_live_") && !app.dump().contains(&secret));
    let made = app.anonymous().with_key(&secret);
    let list = made.get(&call("keys")).json();
    let row = list["data"].as_array().unwrap().iter().find(|row| row["id"] == json!(id)).unwrap().clone();
    assert_eq!((&row["scopes"], &row["name"]), (&json!(["usage:write", "admin"]), &json!("billing")));
    assert!(row["key"].is_null() && row["revoked_at"].is_null() && !list.to_string().contains(&secret));
    assert_eq!(app.gateway().delete(&call(&format!("keys/{id}"))).json(), json!({ "id": id, "revoked": true }));
    assert_eq!(made.get(&call("keys")).status, 401);
    assert_eq!(app.gateway().delete(&call(&format!("keys/{id}"))).problem(404), "not_found");
    assert_eq!([noted(&app)[0].0.clone(), noted(&app)[1].0.clone()], ["key.revoke", "key.create"]);
}

#[test]
fn each_refusal() {
    let app = App::start();
    let post = |body| app.gateway().post(&call("keys"), body);
    assert_eq!(post(json!({})).faults(), ["scopes: required"]);
    assert_eq!(post(json!({ "scopes": "root" })).faults(), ["scopes: unknown_scope"]);
    assert_eq!(post(json!({ "scopes": "admin", "name": "" })).faults(), ["name: required"]);
    let bob = app.developer("Bob");
    let bobs = bob.get("/v1/developers/api-keys").json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.gateway().delete(&call(&format!("keys/{bobs}"))).problem(404), "not_found", "a developer's");
    app.project("acme", Preset::Credits, "live");
    app.gateway_of("acme");
    let acmes = app.engine.gateway_keys("acme").unwrap()[0].id;
    assert_eq!(app.gateway().delete(&call(&format!("keys/{acmes}"))).problem(404), "not_found");
    for scope in ["usage:write", "referrals:write"] {
        let weak = app.gateway_with(&[refloop::domain::access::Scope::parse_list(scope).unwrap()[0]]);
        assert_eq!(weak.get(&call("keys")).problem(403), "scope_required");
    }
    assert_eq!(bob.get(&call("keys")).problem(403), "gateway_key_required");
    assert_eq!(app.anonymous().get(&call("keys")).problem(401), "missing_key");
}

#[test]
fn a_runaway_script_does_not_fill_the_table() {
    let app = App::start();
    for _ in 0..99 {
        assert_eq!(app.gateway().post(&call("keys"), json!({ "scopes": "usage:write" })).status, 201);
    }
    assert_eq!(app.gateway().post(&call("keys"), json!({ "scopes": "usage:write" })).problem(409), "too_many_keys");
}

#[test]
fn the_page_does_the_same() {
    let app = App::start();
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let made = operator.send("keys", "keys", &[("scope.usage:write", "1"), ("scope.admin", "1"), ("name", "billing")]);
    assert_eq!(made.status, 201, "{}", made.body);
    let secret = made.body.split("id=\"new-key\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(app.anonymous().with_key(&secret).get(&call("keys")).status, 200);
    let page = operator.page("keys").body;
    assert!(page.contains("billing") && !page.contains(&secret), "{page}");
    let nothing = operator.send("keys", "keys", &[("name", "x")]);
    assert_eq!(nothing.status, 422);
    assert!(nothing.body.contains("Choose at least one"), "{}", nothing.body);
    let id = value_of(&operator.page("keys"), "revoke");
    assert!(operator.done("keys", &[("revoke", &id)]).contains("The key is revoked"));
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    assert!(!reader.page("keys").body.contains("Make a key"));
    assert_eq!(reader.send("keys", "keys", &[("scope.admin", "1")]).status, 403);
}
