//! Projects and their settings from the console.

use super::Operator;
use crate::harness::App;
use crate::visitor::{assert_page, value_of};
use serde_json::{Value, json};

const SETTINGS: &str = "/v1/admin/projects/default/settings";
const PAGE: &str = "/admin/default/settings";

#[test]
fn settings_are_changed_and_secrets_never_shown() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let page = owner.page(PAGE);
    assert_eq!((value_of(&page, "name"), value_of(&page, "host")), ("Developer API".into(), String::new()));
    let fields = [("name", "Example <API>"), ("host", "Refer.Example.com"), ("landing_url", ""), ("key_prefix", "ex")];
    let page = owner.done(PAGE, &fields);
    assert!(page.body.contains("The settings are saved."));
    assert_eq!((value_of(&page, "host"), value_of(&page, "key_prefix")), ("refer.example.com".into(), "ex".into()));
    assert!(!owner.page(PAGE).body.contains("The settings are saved."), "said once");

    let secret = "whsec_very_secret";
    owner.done(PAGE, &[("stripe.webhook_secret", &format!("{secret}\r\nwhsec_older")), ("stripe.api_key", " ")]);
    let seen = owner.call("GET", SETTINGS, &Value::Null).json();
    assert_eq!((&seen["stripe.webhook_secrets"], &seen["stripe.api_key_is_set"]), (&json!(2), &json!(false)));
    assert_eq!((&seen["name"], &seen["host"]), (&json!("Example <API>"), &json!("refer.example.com")));
    assert!(!owner.page(PAGE).body.contains("very_secret") && !seen.to_string().contains("very_secret"));
    owner.done(PAGE, &[("unset", "stripe.webhook_secret")]);
    assert_eq!(owner.call("GET", SETTINGS, &Value::Null).json()["stripe.webhook_secrets"], 0);

    let jwt = json!({ "jwt.algorithm": "HS256", "jwt.key": "0123456789abcdef0123456789abcdef" });
    assert_eq!(owner.call("PATCH", SETTINGS, &jwt).json()["jwt.key_is_set"], true);
    owner.done(PAGE, &[("unset", "jwt.key")]);
    assert_eq!(owner.call("GET", SETTINGS, &Value::Null).json()["jwt.key_is_set"], false);
    assert_eq!(owner.call("PATCH", SETTINGS, &json!({ "host": null })).json()["host"], Value::Null);
}

#[test]
fn what_cannot_be_is_shown_beside_its_field() {
    let app = App::start();
    let owner = Operator::owner(&app);
    app.project("acme", refloop::domain::program::Preset::Credits, "live");
    owner.call("PATCH", "/v1/admin/projects/acme/settings", &json!({ "host": "acme.example" }));
    let page = owner.post(PAGE, &[("name", ""), ("host", "not a host"), ("key_prefix", "bw")]);
    assert_page(&page, 422);
    assert!(page.body.contains("id=\"name-error\"") && page.body.contains("id=\"host-error\""));
    assert_eq!(value_of(&page, "host"), "not a host", "what was typed is kept");
    let page = owner.post(PAGE, &[("name", "Example"), ("host", "acme.example")]);
    assert_page(&page, 409);
    assert!(page.body.contains("id=\"host-error\""));
    assert_eq!(owner.call("PATCH", SETTINGS, &json!({ "host": "acme.example" })).problem(409), "host_taken");
    assert_eq!(owner.call("PATCH", SETTINGS, &json!({ "name": 5 })).faults(), ["name: wrong_type"]);
}

#[test]
fn an_owner_makes_another_project() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let page = owner.post("/admin/projects", &[("name", ""), ("slug", "No Slug"), ("preset", "x"), ("mode", "x")]);
    assert_page(&page, 422);
    for field in ["name", "slug", "preset", "mode"] {
        assert!(page.body.contains(&format!("id=\"{field}-error\"")), "{field}");
    }
    let form = [("name", "Maps API"), ("slug", "maps"), ("preset", "commission"), ("mode", "test")];
    let page = owner.done("/admin/projects", &form);
    assert!(page.body.contains("Maps API is there."), "{}", page.body);
    assert_page(&owner.post("/admin/projects", &form), 409);
    let made = owner.call("POST", "/v1/admin/projects/default/projects", &json!({ "slug": "login" }));
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()["project_id"].as_str().unwrap().to_owned();
    assert!(owner.page("/admin").body.contains(&format!("href=\"/admin/{id}\"")), "its short name is a page's");
    assert_page(&owner.visitor.get(&format!("/admin/{id}")), 200);
}
