//! How somebody becomes an operator, and stops being one.

use super::{Operator, actions, log_in};
use crate::harness::{App, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, error_of, value_of};
use refloop::domain::operator::OperatorRole;
use serde_json::{Value, json};

fn join(visitor: &Visitor, link: &str, email: &str, password: &str) -> Reply {
    let page = visitor.get(link);
    assert_page(&page, 200);
    let (csrf, token) = (value_of(&page, "csrf"), value_of(&page, "token"));
    let form = [("csrf", csrf.as_str()), ("token", &token), ("email", email), ("password", password)];
    visitor.send("POST", "/admin/join", &[FORM], &encode(&form))
}

/// The link that an owner makes, from its path on.
fn invite(app: &App, owner: &Operator, role: &str) -> String {
    let page = owner.post("/admin/operators", &[("form", "invite"), ("role", role)]);
    assert_page(&page, 200);
    let link = page.body.split_once("<code id=\"link\">").unwrap().1.split_once('<').unwrap().0;
    link.strip_prefix(&app.url).unwrap().to_owned()
}

fn id_of(app: &App, email: &str) -> String {
    let rows = app.engine.operators(None).unwrap();
    rows.into_iter().find(|row| row.email == email).unwrap().id.to_string()
}

#[test]
fn the_first_start_s_link_makes_the_owner_and_is_used_up() {
    let app = App::start();
    let link = format!("/admin/setup?token={}", app.operator_token());
    let visitor = Visitor::new(&app);
    let refused = join(&visitor, &link, "not an address", "short");
    assert_page(&refused, 422);
    assert!(error_of(&refused, "email").is_some() && error_of(&refused, "password").is_some());
    let reply = join(&visitor, &link, " Owner@Example.com ", PASSWORD);
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/admin")), "{}", reply.body);
    assert_page(&visitor.get("/admin"), 200);
    assert_page(&Visitor::new(&app).get(&link), 404);
    assert_eq!(app.engine.operators(None).unwrap()[0].role, OperatorRole::Owner);
    assert_eq!(log_in(&Visitor::new(&app), "owner@example.com", PASSWORD).status, 303);
    assert!(app.engine.first_start().unwrap().is_none(), "there is no second first start");
    assert!(actions(&app).contains(&"operator.join".to_owned()));
}

#[test]
fn an_invitation_is_good_once_and_for_a_week() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let link = invite(&app, &owner, "read_only");
    assert!(!app.dump().contains(link.split_once('=').unwrap().1), "only its hash is kept");
    let visitor = Visitor::new(&app);
    assert_page(&join(&visitor, &link, "owner@example.com", PASSWORD), 409);
    assert_eq!(join(&visitor, &link, "new@example.com", PASSWORD).status, 303);
    assert_page(&Visitor::new(&app).get(&link), 404);
    let rows = app.engine.operators(None).unwrap();
    assert_eq!(rows.iter().map(|row| row.role).collect::<Vec<_>>(), [OperatorRole::Owner, OperatorRole::ReadOnly]);
    let late = invite(&app, &owner, "operator");
    app.advance_ms(7 * crate::harness::DAY_MS);
    assert_page(&Visitor::new(&app).get(&late), 404);
    let withdrawn = invite(&app, &owner, "operator");
    let page = owner.page("/admin/operators");
    let id = value_of(&page, "invitation");
    owner.done("/admin/operators", &[("form", "withdraw"), ("invitation", &id)]);
    assert_page(&Visitor::new(&app).get(&withdrawn), 404);
}

#[test]
fn the_last_owner_stays() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let own = id_of(&app, &owner.email);
    for fields in [
        vec![("form", "role"), ("operator", own.as_str()), ("role", "operator")],
        vec![("form", "remove"), ("operator", own.as_str())],
    ] {
        let page = owner.post("/admin/operators", &fields);
        assert_page(&page, 409);
        assert!(page.body.contains("only owner"), "{}", page.body);
    }
    let path = format!("/v1/admin/projects/default/operators/{own}");
    assert_eq!(owner.call("DELETE", &path, &Value::Null).problem(409), "last_owner");
    assert_eq!(owner.call("PATCH", &path, &json!({ "role": "read_only" })).problem(409), "last_owner");
    Operator::of_role(&app, "two@example.com", OperatorRole::Owner);
    assert_eq!(owner.call("PATCH", &path, &json!({ "role": "read_only" })).status, 200);
    assert_eq!(owner.call("PATCH", &path, &json!({ "role": "owner" })).problem(403), "role_required");
}

#[test]
fn who_is_removed_is_out_at_once_and_nobody_s_name_stays() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let other = Operator::of_role(&app, "leaving@example.com", OperatorRole::Operator);
    let id = id_of(&app, "leaving@example.com");
    owner.done("/admin/operators", &[("form", "remove"), ("operator", &id)]);
    assert_eq!(other.visitor.get("/admin").header("Location"), Some("/admin/login"));
    assert_page(&log_in(&Visitor::new(&app), "leaving@example.com", PASSWORD), 401);
    assert!(!app.dump().contains("leaving@example.com"));
    assert!(app.sqlite3("SELECT subject FROM audit").contains(&id), "the log still names the number");
    let missing = format!("/v1/admin/projects/default/operators/{id}");
    assert_eq!(owner.call("DELETE", &missing, &Value::Null).problem(404), "not_found");
    app.add_operator("default", "leaving@example.com");
}

#[test]
fn another_team_s_operators_are_not_to_be_touched() {
    let app = App::start();
    let owner = Operator::owner(&app);
    app.engine.create_project("rivals", "rival", "Rival", refloop::domain::program::Preset::Credits, "live").unwrap();
    app.add_operator("rivals", "op@rival.example");
    let path = format!("/v1/admin/projects/default/operators/{}", id_of(&app, "op@rival.example"));
    assert_eq!(owner.call("DELETE", &path, &Value::Null).problem(404), "not_found");
    assert_eq!(owner.call("PATCH", &path, &json!({ "role": "operator" })).problem(404), "not_found");
    let listed = owner.call("GET", "/v1/admin/projects/default/operators", &Value::Null);
    assert!(listed.body.contains("owner@example.com") && !listed.body.contains("rival"));
}

#[test]
fn an_operator_changes_the_password_and_ends_sessions() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let elsewhere = Operator::sign_in(&app, &owner.email);
    let wrong = owner.post(
        "/admin/account",
        &[("form", "password"), ("password", "wrong-password"), ("new_password", "a-new-password")],
    );
    assert_page(&wrong, 422);
    let short =
        owner.post("/admin/account", &[("form", "password"), ("password", PASSWORD), ("new_password", "short")]);
    assert_page(&short, 422);
    owner.done("/admin/account", &[("form", "password"), ("password", PASSWORD), ("new_password", "a-new-password")]);
    assert_eq!(elsewhere.visitor.get("/admin").status, 303, "signed out everywhere else");
    assert_page(&log_in(&Visitor::new(&app), &owner.email, PASSWORD), 401);
    let again = Visitor::new(&app);
    assert_eq!(log_in(&again, &owner.email, "a-new-password").status, 303);
    owner.done("/admin/account", &[("form", "others")]);
    assert_eq!(again.get("/admin").status, 303);
    let third = Visitor::new(&app);
    log_in(&third, &owner.email, "a-new-password");
    let id = value_of(&owner.page("/admin/account"), "session");
    owner.done("/admin/account", &[("form", "session"), ("session", &id)]);
    assert_eq!(third.get("/admin").status, 303);
    assert_page(&owner.visitor.get("/admin"), 200);
}

#[test]
fn who_is_no_owner_any_more_has_invited_nobody() {
    let app = App::start();
    let owner = Operator::owner(&app);
    for (email, end) in [("two@example.com", "role"), ("three@example.com", "remove")] {
        let other = Operator::of_role(&app, email, OperatorRole::Owner);
        let link = invite(&app, &other, "owner");
        assert_page(&Visitor::new(&app).get(&link), 200);
        let id = id_of(&app, email);
        owner.done("/admin/operators", &[("form", end), ("operator", &id), ("role", "operator")]);
        assert_page(&Visitor::new(&app).get(&link), 404);
    }
    let kept = invite(&app, &owner, "owner");
    assert_page(&Visitor::new(&app).get(&kept), 200);
}

#[test]
fn the_first_start_s_link_ends_when_the_command_line_makes_an_owner() {
    let app = App::start();
    let link = format!("/admin/setup?token={}", app.operator_token());
    app.engine.create_project("rivals", "rival", "Rival", refloop::domain::program::Preset::Credits, "live").unwrap();
    app.engine.create_operator("op@rival.example", PASSWORD, "rivals").unwrap();
    assert_page(&Visitor::new(&app).get(&link), 200);
    app.engine.create_operator_as("looks@example.com", PASSWORD, "default", Some(OperatorRole::ReadOnly)).unwrap();
    assert_page(&Visitor::new(&app).get(&link), 200);
    app.engine.create_operator("first@example.com", PASSWORD, "default").unwrap();
    assert_page(&Visitor::new(&app).get(&link), 404);
}

/// A gateway key that an operator makes: its id and secret.
fn key_by(who: &Operator) -> (String, String) {
    let made = who.call("POST", "/v1/admin/projects/default/keys", &json!({ "scopes": "usage:write" }));
    assert_eq!(made.status, 201, "{}", made.body);
    let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

#[test]
fn keys_say_who_made_them_and_can_go_with_who_goes() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let verify = |secret: &str| {
        app.anonymous().with_key(secret).post("/v1/keys/verify", json!({ "api_key": "bw_live_0" })).status
    };
    for (email, with_keys, after) in [("stays@example.com", false, 200), ("goes@example.com", true, 401)] {
        let other = Operator::of_role(&app, email, OperatorRole::Operator);
        let (id, secret) = key_by(&other);
        assert_eq!(verify(&secret), 200);
        assert!(owner.page("/admin/default/keys").body.contains(&format!("by {email}")));
        let page = owner.page("/admin/operators").body;
        assert!(page.contains("name=\"revoke_keys\"") && page.contains("revoke the key they made"), "{page}");
        let listed = owner.call("GET", "/v1/admin/projects/default/keys", &Value::Null).json();
        let operator = id_of(&app, email);
        assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["made_by"]), (&json!(id), &json!(operator)));
        let path = format!("/v1/admin/projects/default/operators/{operator}?revoke_keys={with_keys}");
        let removed = owner.call("DELETE", &path, &Value::Null).json();
        assert_eq!(removed, json!({ "id": operator, "removed": true, "keys_revoked": i32::from(with_keys) }));
        assert_eq!(verify(&secret), after);
        assert!(owner.page("/admin/default/keys").body.contains(&format!("by {operator}, who was removed")));
    }
    let revoked = app.sqlite3("SELECT count(*) FROM audit WHERE action = 'key.revoke' AND actor LIKE 'op_%'");
    assert_eq!(revoked.trim(), "1");
    let third = Operator::of_role(&app, "third@example.com", OperatorRole::Operator);
    let (_, secret) = key_by(&third);
    let id = id_of(&app, "third@example.com");
    let form = [("form", "remove"), ("operator", id.as_str()), ("revoke_keys", "1")];
    assert!(owner.done("/admin/operators", &form).body.contains("the keys that they made are revoked"));
    assert_eq!(verify(&secret), 401);
}
