//! A project at a glance, to the credit.

use super::Operator;
use crate::harness::App;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

const OVERVIEW: &str = "/v1/admin/projects/default/overview?days=40";

/// The books, after a check that they balance.
fn books(app: &App) -> Value {
    let reply = app.gateway().get(OVERVIEW);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let books = reply.json()["books"].clone();
    let sum = |names: &[&str]| names.iter().map(|name| books[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!(
        sum(&["issued", "owed"]),
        sum(&["available", "pending", "spent", "expired", "reversed", "paid"]),
        "{books}"
    );
    assert_eq!(books["balanced"], true);
    books
}

#[test]
fn the_books_balance_at_every_step() {
    let app = App::start();
    app.change_program(|program| program["rules"][0]["expires_days"] = 30.into());
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    assert_eq!(books(&app)["issued"], 0);
    let bob = app.referee("Bob", &code);
    assert_eq!((books(&app)["issued"].clone(), books(&app)["available"].clone()), (json!(1_500), json!(1_500)));
    bob.use_api(&gateway, "one", 100);
    let seen = books(&app);
    assert_eq!(seen["spent"], 100, "{seen}");
    assert_eq!((&seen["pending"], &seen["issued"]), (&json!(1_500), &json!(3_000)), "milestones are held");
    app.advance_days(8);
    assert_eq!(books(&app)["pending"], 0);
    app.advance_days(23);
    let lapsed = books(&app);
    assert_eq!(lapsed["expired"], 900, "by the clock, before it is booked: {lapsed}");
    app.sweep();
    assert_eq!(books(&app), lapsed);
    alice.use_api(&gateway, "two", 700);
    assert_eq!(books(&app)["spent"], 800);
    // A project beside it has books of its own.
    app.project("acme", Preset::Credits, "live");
    let acme = app.gateway_of("acme").get("/v1/admin/projects/acme/overview").json();
    assert_eq!(acme["books"]["issued"], 0);
}

#[test]
fn the_page_says_the_same() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let alice = app.developer("Alice");
    app.referee("Bob", &alice.code());
    let page = owner.page("/admin/default?days=7");
    for part in ["They balance", "id=\"issued\">1,500<", "id=\"accounted\">1,500<", "Referrals held for review"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let series = app.gateway().get(OVERVIEW).json()["series"].as_array().unwrap().clone();
    assert_eq!(series.len(), 40);
    let today = series.last().unwrap();
    assert_eq!((&today["signups"], &today["credits"]), (&json!(1), &json!(1_500)));
    assert_eq!(owner.visitor.get("/admin/default?days=0").status, 422);
    let home = owner.page("/admin");
    assert!(home.body.contains("href=\"/admin/default\""), "{}", home.body);
}

#[test]
fn debts_are_in_the_books() {
    let app = App::start();
    let project = app.engine.project_named("default").unwrap();
    app.engine.set_program(&project, Preset::Commission.program(), "test").unwrap();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    let buy = json!({ "id": "p-1", "developer_id": bob.id, "amount": 10_000, "currency": "usd" });
    assert_eq!(gateway.post("/v1/purchases", buy).status, 201);
    app.advance_days(31);
    alice.use_api(&gateway, "one", 400);
    assert_eq!(books(&app)["available"], 100);
    let refund = json!({ "id": "r-1", "purchase_id": "p-1", "amount": 10_000 });
    assert_eq!(gateway.post("/v1/refunds", refund).status, 201);
    let seen = books(&app);
    assert_eq!((&seen["owed"], &seen["reversed"]), (&json!(400), &json!(500)), "{seen}");
}
