//! Who may call: a key of the project with the scope, or an operator of the team.

use super::{Acme, config, path};
use crate::harness::{App, Client, Reply};
use crate::sessions::Operator;
use refloop::domain::access::Scope;
use refloop::domain::program::Preset;
use refloop::web::Quota;
use serde_json::{Value, json};
use std::time::Duration;

/// Every call: its method, its place, a good body, its scope and what a good one is answered with.
fn calls(code: &str) -> Vec<(&'static str, String, Value, Scope, u16)> {
    let one = format!("codes/{code}");
    vec![
        ("GET", "config".into(), Value::Null, Scope::ReferralsRead, 200),
        ("HEAD", "config".into(), Value::Null, Scope::ReferralsRead, 200),
        ("PUT", "config".into(), config(true, 5, 5), Scope::ReferralsWrite, 200),
        ("GET", "codes".into(), Value::Null, Scope::ReferralsRead, 200),
        ("POST", "codes".into(), json!({ "customerId": "dave" }), Scope::ReferralsWrite, 201),
        ("GET", one.clone(), Value::Null, Scope::ReferralsRead, 200),
        ("POST", "apply".into(), json!({ "code": code, "refereeCustomerId": "erin" }), Scope::ReferralsRead, 201),
        ("DELETE", one, Value::Null, Scope::ReferralsWrite, 200),
    ]
}

fn send(client: &Client, method: &str, path: &str, body: &Value) -> Reply {
    if body.is_null() { client.send(method, path, &[], Vec::new()) } else { client.json(method, path, body) }
}

fn gateway_with(app: &App, slug: &str, scopes: &[Scope]) -> Client {
    app.anonymous().with_key(&app.engine.make_gateway_key(slug, scopes.to_vec(), None).unwrap().secret)
}

#[test]
fn each_call_needs_its_scope_and_no_other() {
    let acme = Acme::start();
    for (method, place, body, needed, status) in calls(&acme.code("alice")) {
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| *scope != needed).collect();
        let before = acme.app.dump();
        let without = send(&gateway_with(&acme.app, "acme", &others), method, &path(&place), &body);
        assert_eq!(without.status, 403, "{method} {place}");
        if method != "HEAD" {
            assert_eq!(without.problem(403), "scope_required", "{method} {place}");
        }
        let made = ["INSERT INTO api_key", "INSERT INTO audit"];
        let is_made = |line: &&str| made.iter().any(|made| line.starts_with(made));
        let rows = |dump: &str| dump.lines().filter(|line| !is_made(line)).collect::<Vec<_>>().join("\n");
        assert!(rows(&before) == rows(&acme.app.dump()), "{method} {place}");
        let with = send(&gateway_with(&acme.app, "acme", &[needed]), method, &path(&place), &body);
        assert_eq!(with.status, status, "{method} {place}: {}", with.body);
    }
}

#[test]
fn without_a_good_key_or_session_it_is_401() {
    let acme = Acme::start();
    let before = acme.app.dump();
    for (method, place, body, ..) in calls("ABCD2345") {
        if method == "HEAD" {
            continue;
        }
        let nobody = send(&acme.app.anonymous(), method, &path(&place), &body);
        assert_eq!(nobody.problem(401), "missing_key", "{method} {place}");
        assert_eq!(nobody.header("WWW-Authenticate"), Some("Bearer"));
        let guess = send(&acme.app.anonymous().with_key("bs_live_0"), method, &path(&place), &body);
        assert_eq!(guess.problem(401), "invalid_key", "{method} {place}");
        let cookie = [("Cookie", "refloop_operator=0000"), ("Content-Type", "application/json")];
        let guess = acme.app.anonymous().send(method, &path(&place), &cookie, body.to_string().into_bytes());
        assert_eq!(guess.problem(401), "invalid_session", "{method} {place}");
    }
    assert!(acme.app.dump() == before);
}

#[test]
fn a_developers_key_is_403() {
    let app = App::start();
    let alice = app.developer("Alice");
    let place = "/api/billstack/teams/default/projects/default/referrals/config";
    assert_eq!(alice.get(place).problem(403), "gateway_key_required");
}

/// The place of a call as it is spelled for a team and a project.
fn spelled(team: &str, project: &str, rest: &str) -> String {
    format!("/api/billstack/teams/{team}/projects/{project}/referrals/{rest}")
}

#[test]
fn team_and_project_go_by_id_or_slug() {
    let acme = Acme::start();
    let (team, project) = (acme.project.team.to_string(), acme.id());
    for team in ["default", &team] {
        for project in ["acme", &project] {
            let reply = acme.gateway.get(&spelled(team, project, "config"));
            assert_eq!((reply.status, &reply.json()["config"]["projectId"]), (200, &json!(acme.id())));
        }
    }
}

#[test]
fn what_is_not_the_callers_is_404_in_the_same_words() {
    let acme = Acme::start();
    let rivals = acme.app.engine.create_project("rivals", "rival", "Rival", Preset::Subscription, "live").unwrap();
    let (team, project, rival) = (acme.project.team.to_string(), acme.id(), rivals.id.to_string());
    let code = acme.code("alice");
    let operator = Operator::sign_in(&acme.app, "default", "op@example.com");
    let before = acme.app.dump();
    let mut answers = Vec::new();
    for (team, project) in [
        // Another team's, by its own team and by the caller's.
        ("rivals", "rival"),
        ("rivals", &rival),
        (&rivals.team.to_string(), &rival),
        ("default", "rival"),
        (&team, &rival),
        // The caller's own under another team.
        ("rivals", "acme"),
        ("rivals", &project),
        ("nobody", "acme"),
        ("team_0000000000001", "acme"),
        // Not there at all.
        ("default", "nothing"),
        ("default", "proj_0000000000001"),
        ("default", "proj_x"),
        ("default", "ACME"),
        ("default", "%00"),
        ("default", "%ff"),
        ("%e2%80%ae", "acme"),
    ] {
        for (method, rest, body, ..) in calls(&code) {
            if method == "HEAD" {
                continue;
            }
            let place = spelled(team, project, &rest);
            let by_key = send(&acme.gateway, method, &place, &body);
            let by_session = operator.send(method, &place, &[], &body);
            for reply in [by_key, by_session] {
                assert_eq!(reply.problem(404), "not_found", "{method} {place}");
                answers.push(reply.body);
            }
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // A sister project of the same team: an operator's, but not the key's.
    let sister = spelled("default", "default", "config");
    assert_eq!(acme.gateway.get(&sister).problem(404), "not_found");
    assert_eq!(operator.send("GET", &sister, &[], &Value::Null).status, 200);
    assert!(acme.app.dump() == before);
}

#[test]
fn an_operator_of_the_team_may_do_everything() {
    let acme = Acme::start();
    let operator = Operator::sign_in(&acme.app, "default", "op@example.com");
    for (method, place, body, _, status) in calls(&acme.code("alice")) {
        let reply = operator.send(method, &path(&place), &[("Sec-Fetch-Site", "same-origin")], &body);
        assert_eq!(reply.status, status, "{method} {place}: {}", reply.body);
    }
    let (_, versions) = acme.app.engine.program(&acme.project).unwrap();
    let id = acme.app.engine.operators(None).unwrap()[0].id.to_string();
    assert_eq!(versions[0].author, id, "by the id: an address would outlive its owner there");
}

#[test]
fn other_sites_cannot_use_an_operators_browser() {
    let acme = Acme::start();
    let operator = Operator::sign_in(&acme.app, "default", "op@example.com");
    let code = acme.code("alice");
    let own = acme.app.url.clone();
    let host = own.strip_prefix("http://").unwrap();
    let other_port = "http://127.0.0.1:1".to_owned();
    let foreign: Vec<Vec<(&str, &str)>> = vec![
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![("Sec-Fetch-Site", "")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Origin", &own)],
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Origin", "")],
        vec![("Origin", host)],
        vec![("Origin", &other_port)],
    ];
    let before = acme.app.dump();
    for (method, place, body, ..) in calls(&code) {
        for headers in &foreign {
            let reply = operator.send(method, &path(&place), headers, &body);
            if ["GET", "HEAD"].contains(&method) {
                assert_eq!(reply.status, 200, "{method} {place} {headers:?}: a page of another site cannot read it");
            } else {
                assert_eq!(reply.problem(403), "cross_site", "{method} {place} {headers:?}");
            }
        }
    }
    assert!(acme.app.dump() == before);
    let change = |headers: &[(&str, &str)]| operator.send("PUT", &path("config"), headers, &config(true, 1, 1)).status;
    assert_eq!(change(&[("Origin", &own)]), 200);
    assert_eq!(change(&[("Origin", &own.to_uppercase())]), 200);
    assert_eq!(change(&[]), 200, "no browser sends neither");
    // A key is no cookie: nobody else's browser has it.
    let headers = [("Content-Type", "application/json"), ("Sec-Fetch-Site", "cross-site")];
    let body = config(true, 2, 2).to_string().into_bytes();
    assert_eq!(acme.gateway.send("PUT", &path("config"), &headers, body).status, 200);
}

#[test]
fn behind_a_proxy_the_public_address_is_ones_own() {
    let app = App::start_with(|settings| settings.public_url = "https://api.example.com/referrals".into());
    let operator = Operator::sign_in(&app, "default", "op@example.com");
    app.project("acme", Preset::Subscription, "live");
    let change =
        |origin: &str| operator.send("PUT", &path("config"), &[("Origin", origin)], &config(true, 1, 1)).status;
    assert_eq!(change("https://api.example.com"), 200);
    for origin in ["http://api.example.com", "https://example.com", "https://api.example.com.evil.example"] {
        assert_eq!(change(origin), 403, "{origin}");
    }
}

#[test]
fn a_key_goes_before_a_session() {
    let acme = Acme::start();
    let operator = Operator::sign_in(&acme.app, "default", "op@example.com");
    let reader = gateway_with(&acme.app, "acme", &[Scope::ReferralsRead]);
    let authorization = format!("Bearer {}", reader.key().unwrap());
    let put = |value: &str| operator.send("PUT", &path("config"), &[("Authorization", value)], &config(true, 1, 1));
    assert_eq!(put(&authorization).problem(403), "scope_required");
    assert_eq!(put("Bearer x").problem(401), "invalid_key");
    assert_eq!(put("").problem(401), "missing_key");
}

#[test]
fn guessed_sessions_are_limited_and_so_is_an_operator() {
    let app = App::start_with(|settings| {
        settings.limits.bad_key = Quota::new(6, Duration::from_secs(3_600));
        settings.limits.developer = Quota::new(3, Duration::from_secs(3_600));
    });
    app.project("acme", Preset::Subscription, "live");
    let (one, other) =
        (Operator::sign_in(&app, "default", "a@example.com"), Operator::sign_in(&app, "default", "b@example.com"));
    let guess = || app.anonymous().send("GET", &path("config"), &[("Cookie", "refloop_operator=x")], Vec::new());
    for _ in 0..6 {
        assert_eq!(guess().problem(401), "invalid_session");
    }
    assert_eq!(guess().problem(429), "rate_limited");
    for _ in 0..3 {
        assert_eq!(one.send("GET", &path("config"), &[], &Value::Null).status, 200, "a good one passes");
    }
    assert_eq!(one.send("GET", &path("config"), &[], &Value::Null).problem(429), "rate_limited");
    assert_eq!(other.send("GET", &path("config"), &[], &Value::Null).status, 200);
}
