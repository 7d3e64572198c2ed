//! Who may look, and who may change things.

use super::Operator;
use crate::harness::{App, PASSWORD};
use crate::visitor::{Visitor, assert_page};
use refloop::domain::access::Scope;
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

const SETTINGS: &str = "/v1/admin/projects/default/settings";
const CONFIG: &str = "/api/billstack/teams/default/projects/default/referrals/config";

#[test]
fn a_key_needs_the_scope_admin_and_its_own_project() {
    let app = App::start();
    app.project("acme", Preset::Credits, "live");
    let (own, others) = (app.gateway_with(&[Scope::Admin]), app.gateway_of("acme"));
    assert_eq!(own.get(SETTINGS).status, 200);
    let id = app.engine.project_named("default").unwrap().id;
    assert_eq!(own.get(&format!("/v1/admin/projects/{id}/settings")).status, 200);
    assert_eq!(
        app.gateway_with(&[Scope::ReferralsRead, Scope::UsageWrite]).get(SETTINGS).problem(403),
        "scope_required"
    );
    assert_eq!(app.developer("Alice").get(SETTINGS).problem(403), "gateway_key_required");
    assert_eq!(app.anonymous().get(SETTINGS).problem(401), "missing_key");
    for path in [SETTINGS, "/v1/admin/projects/nobody/settings", "/v1/admin/projects/%00/settings"] {
        assert_eq!(others.get(path).problem(404), "not_found", "{path}");
        assert!(others.get(path).body.contains("No such project."), "in the same words");
    }
}

#[test]
fn roles_decide_what_an_operator_may_change() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let operator = Operator::of_role(&app, "op@example.com", OperatorRole::Operator);
    let reader = Operator::of_role(&app, "ro@example.com", OperatorRole::ReadOnly);
    let change = json!({ "name": "Example API" });
    for (who, status) in [(&owner, 200), (&operator, 200), (&reader, 403)] {
        assert_eq!(who.call("GET", SETTINGS, &Value::Null).status, 200);
        assert_eq!(who.call("PATCH", SETTINGS, &change).status, status, "{}", who.email);
        let form = who.post("/admin/default/settings", &[("name", "Example API")]);
        assert_eq!(form.status, if status == 200 { 303 } else { 403 }, "{}", form.body);
    }
    assert_eq!(reader.call("PATCH", SETTINGS, &change).problem(403), "role_required");
    let config = json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 1, "currency": "usd" });
    assert_eq!(reader.call("PUT", CONFIG, &config).problem(403), "role_required");
    let customer = json!({ "customerId": "pc_1" });
    assert_eq!(reader.call("POST", &CONFIG.replace("config", "codes"), &customer).problem(403), "role_required");
    assert_eq!(operator.call("POST", &CONFIG.replace("config", "codes"), &customer).status, 201);
    // What owners alone do.
    for who in [&operator, &reader] {
        for (method, path, body) in [
            ("POST", "/v1/admin/projects/default/projects", json!({ "slug": "acme" })),
            ("POST", "/v1/admin/projects/default/invitations", json!({ "role": "owner" })),
            ("PUT", "/v1/admin/projects/default/limits/signup", json!({ "count": 5 })),
        ] {
            assert_eq!(who.call(method, path, &body).problem(403), "role_required", "{} {path}", who.email);
        }
        assert_page(&who.post("/admin/operators", &[("form", "invite"), ("role", "owner")]), 403);
        assert_page(&who.post("/admin/limits", &[("limit", "signup"), ("count", "5")]), 403);
        assert_page(&who.post("/admin/projects", &[("slug", "acme"), ("name", "Acme")]), 403);
    }
    let key = app.gateway().post("/v1/admin/projects/default/invitations", json!({ "role": "owner" }));
    assert_eq!(key.problem(403), "operator_required", "a key does not make operators");
}

#[test]
fn another_team_s_projects_are_not_there() {
    let app = App::start();
    app.engine.create_project("rivals", "rival", "Rival", Preset::Credits, "live").unwrap();
    app.add_operator("rivals", "op@rival.example");
    let rival = Operator::sign_in(&app, "op@rival.example");
    assert_eq!(rival.call("GET", SETTINGS, &Value::Null).problem(404), "not_found");
    for path in ["/admin/default", "/admin/default/audit", "/admin/default/audit.csv", "/admin/default/settings"] {
        assert_page(&rival.visitor.get(path), 404);
    }
    assert_page(&rival.visitor.get("/admin/limits"), 404);
    assert_eq!(rival.call("GET", "/v1/admin/projects/rival/limits", &Value::Null).problem(404), "not_found");
    let home = rival.page("/admin");
    assert!(home.body.contains("Rival") && !home.body.contains("Developer API"), "{}", home.body);
    assert_page(&rival.visitor.get("/admin/rival"), 200);
}

#[test]
fn who_is_not_signed_in_is_led_there_and_back() {
    let app = App::start();
    app.add_operator("default", "op@example.com");
    let visitor = Visitor::new(&app);
    let reply = visitor.get("/admin/default/audit?action=key");
    let place = reply.header("Location").unwrap();
    assert_eq!((reply.status, place), (303, "/admin/login?next=%2Fadmin%2Fdefault%2Faudit%3Faction%3Dkey"));
    let page = visitor.get(place);
    let (csrf, next) = (crate::visitor::value_of(&page, "csrf"), crate::visitor::value_of(&page, "next"));
    let form = [("csrf", csrf.as_str()), ("next", &next), ("email", "op@example.com"), ("password", PASSWORD)];
    let reply = visitor.send("POST", "/admin/login", &[crate::visitor::FORM], &crate::visitor::encode(&form));
    assert_eq!(reply.header("Location"), Some("/admin/default/audit?action=key"));
    for elsewhere in ["//evil.example", "https://evil.example/admin", "/dashboard", "/admin//x"] {
        let page = Visitor::new(&app).get(&format!("/admin/login?next={}", elsewhere.replace('/', "%2F")));
        assert!(!page.body.contains("name=\"next\""), "{elsewhere}");
    }
}

#[test]
fn a_session_makes_no_changes_for_other_sites() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let headers = [("Content-Type", "application/json"), ("Sec-Fetch-Site", "cross-site")];
    let reply = owner.visitor.send("PATCH", SETTINGS, &headers, &json!({ "name": "x" }).to_string());
    assert_eq!(reply.problem(403), "cross_site");
    let reply = owner.visitor.send("POST", "/admin/default/settings", &[crate::visitor::FORM], "name=x");
    assert_page(&reply, 403);
}
