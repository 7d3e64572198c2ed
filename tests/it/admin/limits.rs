//! Rate limits, seen and changed while the server runs.

use super::{Operator, actions};
use crate::harness::{App, no_limits};
use crate::visitor::{FORM, Visitor, assert_page, encode, value_of};
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;
use refloop::web::{Context, Limits, Quota, TrustedProxies, WebSettings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const LIMITS: &str = "/v1/admin/projects/default/limits";

fn started_with(count: u32) -> App {
    let quota = Quota::new(count, Duration::from_secs(3_600));
    App::start_with(move |settings| settings.limits = Limits { signup: quota, ..no_limits() })
}

fn signup(owner: &Operator) -> Value {
    let reply = owner.call("GET", LIMITS, &Value::Null);
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["data"][0].clone()
}

#[test]
fn an_owner_sees_who_is_held_up_and_lifts_it() {
    let app = started_with(1);
    let owner = Operator::owner(&app);
    assert_eq!(app.try_sign_up("a@a.example", None).status, 201);
    assert_eq!(app.try_sign_up("b@b.example", None).problem(429), "rate_limited");
    let seen = signup(&owner);
    assert_eq!((&seen["name"], &seen["count"], &seen["per"]), (&json!("signup"), &json!(1), &json!("hour")));
    assert_eq!((&seen["remembered"], &seen["limited"]), (&json!(1), &json!(1)));
    assert_eq!(seen["longest"][0]["who"], "127.0.0.0/24", "without its last part");
    let handle = seen["longest"][0]["handle"].as_str().unwrap();
    let page = owner.page("/admin/limits");
    assert!(page.body.contains("127.0.0.0/24") && !page.body.contains("127.0.0.1</"), "{}", page.body);
    owner.done("/admin/limits", &[("form", "lift"), ("limit", "signup"), ("handle", handle)]);
    assert_eq!(app.try_sign_up("b@b.example", None).status, 201);
    let lift = owner.call("POST", &format!("{LIMITS}/signup/lift"), &json!({ "handle": "0000000000000000" }));
    assert_eq!(lift.problem(404), "not_found");
    assert!(actions(&app).contains(&"limit.lift".to_owned()));
}

#[test]
fn a_change_counts_at_once_and_after_the_next_start() {
    let app = started_with(1);
    let owner = Operator::owner(&app);
    assert_eq!(app.try_sign_up("a@a.example", None).status, 201);
    assert_eq!(app.try_sign_up("b@b.example", None).status, 429);
    owner.done("/admin/limits", &[("form", "set"), ("limit", "signup"), ("count", "2")]);
    assert_eq!(app.try_sign_up("b@b.example", None).status, 201);
    assert_eq!(app.try_sign_up("c@c.example", None).status, 201);
    assert_eq!(app.try_sign_up("d@d.example", None).status, 429);
    let seen = signup(&owner);
    assert_eq!((&seen["count"], &seen["started_with"], &seen["is_set"]), (&json!(2), &json!(1), &json!(true)));
    // As another start on the same file would have it.
    let settings = WebSettings {
        public_url: app.url.clone(),
        workers: 1,
        limits: no_limits(),
        trusted_proxies: TrustedProxies::default(),
        body_timeout: Duration::from_millis(500),
        tls: false,
    };
    let context = Context::new(Arc::clone(&app.engine), settings).unwrap();
    let client = "192.0.2.1".parse().unwrap();
    let taken = (0..3).map(|_| context.limiter.signup(client).is_ok()).collect::<Vec<_>>();
    assert_eq!(taken, [true, true, false]);
    owner.done("/admin/limits", &[("form", "reset"), ("limit", "signup")]);
    assert_eq!(signup(&owner)["count"], 1);
    assert_eq!(actions(&app).iter().filter(|action| *action == "limit.change").count(), 2);
    let row = app.sqlite3("SELECT details FROM audit WHERE action = 'limit.change' ORDER BY seq");
    assert_eq!(row.trim(), "{\"from\":null,\"to\":2}\n{\"from\":2,\"to\":null}");
}

#[test]
fn what_cannot_be_set_is_refused() {
    let app = started_with(1);
    let owner = Operator::owner(&app);
    for (limit, count, status) in [
        ("signup", json!(-1), 422),
        ("signup", json!(10_000_001), 422),
        ("login", json!(0), 422),
        ("all", json!(5), 404),
    ] {
        let reply = owner.call("PUT", &format!("{LIMITS}/{limit}"), &json!({ "count": count }));
        assert_eq!(reply.status, status, "{limit} {count}: {}", reply.body);
    }
    for count in ["", "many", "-1", "99999999999999999999"] {
        assert_page(&owner.post("/admin/limits", &[("form", "set"), ("limit", "signup"), ("count", count)]), 422);
    }
    assert_eq!(signup(&owner)["count"], 1);
    assert_eq!(owner.call("PUT", &format!("{LIMITS}/signup"), &json!({ "count": 0 })).status, 200, "none");
    for n in 0..5 {
        assert_eq!(app.try_sign_up(&format!("me@n{n}.example"), None).status, 201);
    }
    assert_eq!(owner.call("DELETE", &format!("{LIMITS}/signup"), &Value::Null).json()["count"], 1);
}

#[test]
fn what_cannot_be_noted_is_not_lifted() {
    let app = started_with(1);
    let owner = Operator::owner(&app);
    assert_eq!(app.try_sign_up("a@a.example", None).status, 201);
    assert_eq!(app.try_sign_up("b@b.example", None).status, 429);
    let handle = signup(&owner)["longest"][0]["handle"].clone();
    let lift = || owner.call("POST", &format!("{LIMITS}/signup/lift"), &json!({ "handle": handle })).status;
    app.sqlite3("CREATE TRIGGER in_the_way BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END");
    assert!(lift() >= 500);
    assert_eq!(app.try_sign_up("b@b.example", None).status, 429);
    app.sqlite3("DROP TRIGGER in_the_way");
    assert_eq!(lift(), 200);
    assert_eq!(app.try_sign_up("b@b.example", None).status, 201);
}

/// Tries at passwords are limited to two, from each of two networks.
fn guessed() -> App {
    App::start_with(|settings| {
        let login = Quota::new(2, Duration::from_secs(3_600));
        settings.limits = Limits { login, ..no_limits() };
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
    })
}

fn held_at_login(operator: &Operator) -> Vec<Value> {
    let limits = operator.call("GET", LIMITS, &Value::Null).json()["data"].as_array().unwrap().clone();
    let login = limits.into_iter().find(|limit| limit["name"] == "login").unwrap();
    login["longest"].as_array().unwrap().clone()
}

fn guess(app: &App, page: &str, email: &str) -> u16 {
    let visitor = Visitor::new(app);
    let csrf = value_of(&visitor.get(page), "csrf");
    let form = encode(&[("csrf", &csrf), ("email", email), ("password", "wrong-password")]);
    visitor.send("POST", page, &[FORM], &form).status
}

#[test]
fn a_lockout_names_whose_password_is_tried() {
    let app = guessed();
    let owner = Operator::owner(&app);
    let reader = Operator::of_role(&app, "reader@example.com", OperatorRole::ReadOnly);
    let alice = app.developer("Alice");
    for _ in 0..3 {
        guess(&app, "/login", "alice@alice.example");
        guess(&app, "/login", "nobody@alice.example");
        guess(&app, "/admin/login", "reader@example.com");
    }
    let held = held_at_login(&owner);
    let named = |held: &[Value], who: &str| held.iter().find(|one| one["who"] == who).cloned();
    let of_alice = named(&held, "alice@alice.example (developer)").unwrap_or_else(|| panic!("{held:?}"));
    assert_eq!(of_alice["subject"], json!(alice.id));
    assert!(named(&held, "reader@example.com (operator)").unwrap()["subject"].as_str().unwrap().starts_with("op_"));
    assert!(named(&held, "one address or browser").is_some_and(|one| one["subject"].is_null()), "nobody's");
    assert!(owner.page("/admin/limits").body.contains("alice@alice.example (developer)"));
    let masked = held_at_login(&reader);
    assert!(named(&masked, "al***@alice.example (developer)").is_some(), "{masked:?}");
    assert!(!reader.page("/admin/limits").body.contains("alice@alice.example"));
    let handle = of_alice["handle"].as_str().unwrap();
    let done = owner.done("/admin/limits", &[("form", "lift"), ("limit", "login"), ("handle", handle)]);
    assert!(done.body.contains("alice@alice.example (developer) has the whole allowance again"), "{}", done.body);
    let noted = app.sqlite3("SELECT details FROM audit WHERE action = 'limit.lift'");
    assert_eq!(noted.trim(), format!("{{\"who\":\"{}\"}}", alice.id), "by the id, for good");
    assert_eq!(guess(&app, "/login", "alice@alice.example"), 401);
}

#[test]
fn another_team_s_people_are_nobody_to_the_first() {
    let app = guessed();
    let owner = Operator::owner(&app);
    app.engine.create_project("rivals", "rival", "Rival", Preset::Credits, "live").unwrap();
    app.add_operator("rivals", "op@rival.example");
    for _ in 0..3 {
        guess(&app, "/admin/login", "op@rival.example");
    }
    let held = held_at_login(&owner);
    assert_eq!((&held[0]["who"], &held[0]["subject"]), (&json!("one address or browser"), &Value::Null), "{held:?}");
}

#[test]
fn tries_at_one_s_own_password_count_like_those_at_the_sign_in() {
    let app = guessed();
    let owner = Operator::owner(&app);
    let change = [("form", "password"), ("password", "wrong-password"), ("new_password", "another-password")];
    let tries: Vec<_> = (0..3).map(|_| owner.post("/admin/account", &change).status).collect();
    assert_eq!(tries, [422, 422, 429]);
    let held = held_at_login(&owner);
    assert_eq!(held[0]["who"], "owner@example.com (operator)", "{held:?}");
}
