//! Test projects have a clock of their own, which a gateway moves forward; everything in them follows it.

use crate::harness::{App, Client, PASSWORD};
use refloop::domain::access::Scope;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

/// A test project that answers at `sandbox.example`, and its gateway.
fn sandbox(app: &App, preset: Preset) -> Client {
    app.project("sandbox", preset, "test");
    assert_eq!(app.sqlite3("UPDATE project SET host = 'sandbox.example' WHERE slug = 'sandbox'"), "");
    app.gateway_of("sandbox")
}

fn sign_up(app: &App, email: &str, code: Option<&str>) -> (String, Client) {
    let headers = [("Content-Type", "application/json"), ("Host", "sandbox.example")];
    let body = json!({ "email": email, "password": PASSWORD, "name": "Alice", "referral_code": code });
    let reply = app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes());
    assert_eq!(reply.status, 201, "{}", reply.body);
    let body = reply.json();
    let client = app.anonymous().with_key(body["api_key"].as_str().unwrap());
    (body["developer"]["id"].as_str().unwrap().to_owned(), client)
}

fn advance(gateway: &Client, duration: &str) -> Value {
    let reply = gateway.post("/v1/test-clock", json!({ "advance": duration }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["now"].clone()
}

fn stats(client: &Client) -> Value {
    client.get("/v1/developers/referral-stats").json()
}

fn code_of(client: &Client) -> String {
    let made = client.post("/v1/developers/referral-code", json!({}));
    made.json()["referral_code"].as_str().unwrap().to_owned()
}

#[test]
fn a_hold_is_over_when_the_project_s_clock_says_so() {
    let app = App::start();
    let gateway = sandbox(&app, Preset::Credits);
    let (_, alice) = sign_up(&app, "alice@alice.example", None);
    let (bob_id, _) = sign_up(&app, "bob@bob.example", Some(&code_of(&alice)));
    gateway.post("/v1/usage", json!({ "id": "u", "developer_id": bob_id, "calls": 100, "spend": 0 }));
    assert_eq!(
        (stats(&alice)["credits_available"].clone(), stats(&alice)["credits_pending"].clone()),
        (500.into(), 1_500.into())
    );
    // In the default project, which is live, the same happens at the same time.
    let live = app.developer("Carol");
    let dan = app.referee("Dan", &live.code());
    dan.use_api(&app.gateway(), "u", 100);

    assert_eq!(advance(&gateway, "P6DT23H59M"), "2026-01-22T09:59:00Z");
    assert_eq!(stats(&alice)["credits_available"], 500);
    assert_eq!(advance(&gateway, "PT1M"), "2026-01-22T10:00:00Z");
    assert_eq!(
        (stats(&alice)["credits_available"].clone(), stats(&alice)["credits_pending"].clone()),
        (2_000.into(), 0.into())
    );
    assert_eq!(live.stats()["credits_available"], 500, "nobody else's clock has moved");

    // It goes on ticking.
    app.advance_days(1);
    let lines = alice.get("/v1/developers/ledger").json();
    assert_eq!(lines["data"][0]["created_at"], "2026-01-15T10:00:00Z");
    let (_, eve) = sign_up(&app, "eve@eve.example", None);
    assert_eq!(eve.get("/v1/developers/me").json()["created_at"], "2026-01-23T10:00:00Z");
}

#[test]
fn credits_expire_and_are_swept_by_the_project_s_clock() {
    let app = App::start();
    let gateway = sandbox(&app, Preset::Commission);
    let (_, alice) = sign_up(&app, "alice@alice.example", None);
    let (_, bob) = sign_up(&app, "bob@bob.example", Some(&code_of(&alice)));
    assert_eq!(stats(&bob)["credits_available"], 250);
    advance(&gateway, "P29D");
    assert_eq!((stats(&bob)["credits_available"].clone(), app.sweep().expired), (250.into(), 0));
    advance(&gateway, "P1D");
    assert_eq!(stats(&bob)["credits_available"], 0, "before any sweep");
    assert_eq!(app.sweep().expired, 1);
    assert_eq!(stats(&bob)["credits_expired"], 250);
}

#[test]
fn the_window_for_a_late_code_follows_it_too() {
    let app = App::start();
    let gateway = sandbox(&app, Preset::Credits);
    let (_, alice) = sign_up(&app, "alice@alice.example", None);
    let (_, bob) = sign_up(&app, "bob@bob.example", None);
    advance(&gateway, "P8D");
    let late = bob.post("/v1/developers/referrals/apply", json!({ "code": code_of(&alice) }));
    assert_eq!(late.problem(409), "apply_window_closed");
}

#[test]
fn each_refusal() {
    let app = App::start();
    let gateway = sandbox(&app, Preset::Credits);
    let without = app.engine.make_gateway_key("sandbox", vec![Scope::UsageWrite], None).unwrap();
    let before = app.dump();
    let body = |advance: Value| json!({ "advance": advance });
    assert_eq!(app.gateway().post("/v1/test-clock", body("P7D".into())).problem(403), "live_project");
    let without = app.anonymous().with_key(&without.secret);
    assert_eq!(without.post("/v1/test-clock", body("P7D".into())).problem(403), "scope_required");
    assert_eq!(app.anonymous().post("/v1/test-clock", body("P7D".into())).problem(401), "missing_key");
    for duration in ["", "P0D", "-P1D", "P-1D", "seven days", "P1D\u{0}", "7", "P101Y", "P99999999999D", "PT1e9S"] {
        let refused = gateway.post("/v1/test-clock", body(duration.into()));
        assert!([400, 422].contains(&refused.status), "{duration}: {}", refused.body);
    }
    for wrong in [json!(7), json!(null), json!(["P7D"]), json!({ "days": 7 })] {
        assert_eq!(gateway.post("/v1/test-clock", body(wrong)).status, 422);
    }
    assert_eq!(gateway.post("/v1/test-clock", json!({})).status, 422);
    assert!(app.dump() == before, "nothing has changed");
    advance(&gateway, "P90Y");
    assert_eq!(gateway.post("/v1/test-clock", body("P11Y".into())).faults(), ["advance: too_far"]);
}

#[test]
fn moves_add_up_when_many_come_at_once() {
    let app = App::start();
    let gateway = sandbox(&app, Preset::Credits);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| advance(&gateway, "P1D"));
        }
    });
    assert_eq!(advance(&gateway, "PT1S"), "2026-01-31T10:00:01Z");
}

#[test]
fn it_stays_where_it_was_over_a_restart() {
    use refloop::store::{Capacity, Clock, Store};
    let dir = tempfile::tempdir().unwrap();
    let clock = || Clock::Manual(std::sync::Arc::new(crate::harness::START_MS.into()));
    let open = || Store::serve(&dir.path().join("refloop.db"), clock(), Capacity::default()).unwrap();
    let store = open();
    let engine = refloop::engine::Engine::new(std::sync::Arc::new(store), refloop::engine::Settings::default());
    let project = engine.create_project("default", "sandbox", "Sandbox", Preset::Credits, "test").unwrap().id;
    let runtime = actix_web::rt::System::new();
    let now_ms = runtime.block_on(engine.advance_clock(project, "P30D".into())).unwrap();
    assert_eq!(now_ms, engine.now_ms(project));
    drop(engine);
    assert_eq!(open().now_ms(project), now_ms);
}
