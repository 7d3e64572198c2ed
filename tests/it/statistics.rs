//! The referrer's figures, at every step of a long history.

use crate::harness::{App, DAY_MS, Developer};
use futures_util::future::join_all;
use refloop::engine::{NewPurchase, Who};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;

const STATS: &str = "/v1/developers/referral-stats";

fn figure(stats: &Value, name: &str) -> i64 {
    stats[name].as_i64().unwrap_or_else(|| panic!("{name} in {stats}"))
}

/// granted = available + pending + used + expired + reversed - owed, and the ledger says the same.
fn check_the_books(developer: &Developer, step: &str) {
    let stats = developer.stats();
    let sum = ["credits_available", "credits_pending", "credits_used", "credits_expired", "credits_reversed"];
    let sum: i64 = sum.iter().map(|name| figure(&stats, name)).sum();
    assert_eq!(figure(&stats, "credits_earned"), sum - figure(&stats, "owed"), "after {step}: {stats}");
    let entries = developer.ledger();
    let of_kind = |kind: &str| -> i64 {
        let of_kind = entries.iter().filter(|entry| entry["kind"] == kind);
        of_kind.map(|entry| figure(entry, "credit_amount")).sum()
    };
    for (name, kind) in [("credits_earned", "grant"), ("credits_used", "spend"), ("credits_reversed", "reverse")] {
        assert_eq!(figure(&stats, name), of_kind(kind).abs(), "{name} after {step}");
    }
    assert_eq!(of_kind("repay"), 0, "after {step}");
    let me = developer.get("/v1/developers/me").json();
    assert_eq!(me["referral_credits_earned"], stats["credits_earned"]);
    assert_eq!(me["referral_credits_used"], stats["credits_used"]);
    assert_eq!(me["referral_credits_balance"], stats["credits_available"]);
}

fn expiring_program(app: &App) {
    app.change_program(|program| {
        program["rules"] = json!([
            { "reason": "signup_bonus", "on": "signup", "to": "referee", "amount": 900, "expires_days": 10 },
            { "reason": "referral_signup", "on": "signup", "to": "referrer", "amount": 500, "expires_days": 20 },
            { "reason": "referral_first_call", "on": "first_call", "to": "referrer", "amount": 300, "hold_days": 7,
              "vesting": "linear" },
            { "reason": "referral_purchase", "on": "purchase", "to": "referrer",
              "basis_points": { "basic": 1_000, "partner": 1_000 } },
        ]);
    });
}

#[test]
fn earned_is_always_explained() {
    let app = App::start();
    expiring_program(&app);
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    check_the_books(&alice, "nothing");
    let (bob, carol) = (app.referee("Bob", &code), app.referee("Carol", &code));
    let steps: [(&str, &dyn Fn()); 14] = [
        ("a first call", &|| drop(bob.use_api(&gateway, "b1", 1))),
        ("a spend", &|| drop(alice.use_api(&gateway, "a1", 700))),
        ("three days", &|| app.advance_days(3)),
        ("another first call", &|| drop(carol.use_api(&gateway, "c1", 5))),
        ("a purchase", &|| purchase(&app, "p1", &bob, 4_000)),
        ("a spend of all", &|| drop(alice.use_api(&gateway, "a2", 100_000))),
        ("a refund of what was spent", &|| refund(&app, "r1", "p1", 3_000)),
        ("a week", &|| app.advance_days(7)),
        ("the rest of the refund", &|| refund(&app, "r2", "p1", 9_000)),
        ("a purchase that repays", &|| purchase(&app, "p2", &carol, 9_990)),
        ("ten days", &|| app.advance_days(10)),
        ("a sweep", &|| assert!(app.sweep().expired > 0)),
        ("a refund late", &|| refund(&app, "r3", "p2", 1_234)),
        ("a year", &|| app.advance_days(365)),
    ];
    for (step, run) in steps {
        run();
        for developer in [&alice, &bob, &carol] {
            check_the_books(developer, step);
        }
    }
}

fn purchase(app: &App, id: &str, buyer: &Developer, amount: i64) {
    let body = json!({ "id": id, "developer_id": buyer.id, "amount": amount, "currency": "usd" });
    assert_eq!(app.gateway().post("/v1/purchases", body).status, 201);
}

fn refund(app: &App, id: &str, purchase_id: &str, amount: i64) {
    let body = json!({ "id": id, "purchase_id": purchase_id, "amount": amount });
    assert_eq!(app.gateway().post("/v1/refunds", body).status, 201);
}

#[test]
fn a_sweep_changes_no_figure() {
    let histories: Vec<Vec<Value>> = [false, true]
        .into_iter()
        .map(|sweeping| {
            let app = App::start();
            expiring_program(&app);
            let (alice, gateway) = (app.developer("Alice"), app.gateway());
            let bob = app.referee("Bob", &alice.code());
            let mut seen = Vec::new();
            let steps: [&dyn Fn(); 5] = [
                &|| drop(bob.use_api(&gateway, "b1", 400)),
                &|| drop(alice.use_api(&gateway, "a1", 100)),
                &|| purchase(&app, "p1", &bob, 1_000),
                &|| drop(bob.use_api(&gateway, "b2", 50)),
                &|| refund(&app, "r1", "p1", 700),
            ];
            for step in steps {
                step();
                app.advance_days(6);
                if sweeping {
                    app.sweep();
                }
                seen.extend([alice.stats(), bob.stats()]);
            }
            seen
        })
        .collect();
    assert_eq!(histories[0], histories[1]);
    assert_eq!(figure(&histories[0][9], "credits_expired"), 500, "something did expire");
}

#[test]
fn a_sweep_books_what_expired_once() {
    let app = App::start();
    expiring_program(&app);
    let bob = app.referee("Bob", &app.developer("Alice").code());
    bob.use_api(&app.gateway(), "b1", 400);
    app.advance_ms(10 * DAY_MS - 1);
    assert_eq!(app.sweep().expired, 0);
    assert_eq!(bob.stats()["credits_available"], 500);
    app.advance_ms(1);
    let stats = bob.stats();
    assert_eq!((figure(&stats, "credits_available"), figure(&stats, "credits_expired")), (0, 500));
    assert_eq!(bob.ledger()[0]["status"], "EXPIRED", "by the clock alone");
    assert_eq!(bob.use_api(&app.gateway(), "b2", 1)["charged"], 0);
    assert_eq!(app.sweep().expired, 0, "the spend has booked it");
    let expiries: Vec<_> = bob.ledger().into_iter().filter(|entry| entry["kind"] == "expire").collect();
    assert_eq!(expiries.len(), 1);
    assert_eq!((figure(&expiries[0], "credit_amount"), &expiries[0]["status"]), (-500, &json!("EXPIRED")));
    app.advance_days(10);
    assert_eq!((app.sweep().expired, app.sweep().expired), (1, 0));
}

#[test]
fn the_series_has_every_day() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    app.referee("Bob", &code).use_api(&gateway, "bob", 1);
    app.referee("Carol", &code);
    app.advance_days(2);
    app.sign_up("Eve", "eve@alice.example", Some(&code));
    app.referee("Dave", &code).use_api(&gateway, "dave", 1);
    let series = alice.get(&format!("{STATS}?days=4")).json()["series"].clone();
    let day = |date: &str, signups: i64, conversions: i64, credits: i64| json!({ "date": date, "clicks": 0, "signups": signups, "conversions": conversions, "credits": credits });
    assert_eq!(
        series,
        json!([
            day("2026-01-14", 0, 0, 0),
            day("2026-01-15", 2, 1, 1_500),
            day("2026-01-16", 0, 0, 0),
            day("2026-01-17", 1, 1, 1_000),
        ])
    );
    let today = alice.get(&format!("{STATS}?days=1")).json();
    assert_eq!(today["series"].as_array().unwrap().len(), 1);
    assert_eq!(today["total_referrals"], 3, "the figures are of all time");
    assert_eq!(alice.stats()["series"].as_array().unwrap().len(), 30);
    // 14 hours on, a UTC day has ended.
    app.advance_ms(14 * 3_600_000);
    let series = alice.get(&format!("{STATS}?days=1")).json()["series"].clone();
    assert_eq!(series, json!([day("2026-01-18", 0, 0, 0)]));
}

#[test]
fn days_have_bounds() {
    let app = App::start();
    let alice = app.developer("Alice");
    for (days, length) in [("1", 1), ("366", 366), ("", 30)] {
        let series = alice.get(&format!("{STATS}?days={days}")).json()["series"].clone();
        assert_eq!(series.as_array().unwrap().len(), length);
    }
    for days in ["0", "367", "-1", "x", "1.5", "99999999999999999999"] {
        assert_eq!(alice.get(&format!("{STATS}?days={days}")).faults(), ["days: out_of_range"], "{days}");
    }
}

#[test]
fn rates_and_milestones_count_accepted_referrals() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    assert_eq!(alice.stats()["conversion_rate"], 0.0);
    app.sign_up("Eve", "eve@alice.example", Some(&code)).use_api(&gateway, "eve", 500);
    app.referee("Bob", &code).use_api(&gateway, "bob", 100);
    app.referee("Carol", &code);
    app.referee("Dave", &code);
    let stats = alice.stats();
    for (name, value) in [
        ("total_clicks", json!(0)),
        ("total_referrals", json!(3)),
        ("conversions", json!(1)),
        ("conversion_rate", json!(33.33)),
        ("pending_referrals", json!(2)),
        ("credits_earned", json!(3_000)),
        ("credits_pending", json!(1_500)),
        ("credits_available", json!(1_500)),
    ] {
        assert_eq!(stats[name], value, "{name}");
    }
    assert_eq!(
        stats["milestones"],
        json!({ "signed_up": 3, "first_call": 1, "active": 1, "converted": 1, "review": 0, "rejected": 1 })
    );
    app.referee("Frank", &code);
    app.referee("Grace", &code).use_api(&gateway, "grace", 1);
    app.referee("Heidi", &code).use_api(&gateway, "heidi", 1);
    assert_eq!(alice.stats()["conversion_rate"], 50.0);
}

/// Available, pending and owed, by what the entries of each lot add up to.
fn sums_over_the_ledger(app: &App, developer: &Developer) -> [i64; 3] {
    let now = refloop::domain::time::rfc3339(app.now_ms());
    let mut lots: BTreeMap<String, (i64, bool)> = BTreeMap::new();
    for entry in developer.ledger() {
        let lot = lots.entry(entry["lot_id"].as_str().unwrap().to_owned()).or_default();
        lot.0 += figure(&entry, "credit_amount");
        if entry["kind"] == "grant" {
            lot.1 = entry["vests_at"].as_str().unwrap() <= now.as_str();
        }
    }
    lots.values().fold([0; 3], |[available, pending, owed], &(left, vested)| match (left, vested) {
        (..0, _) => [available, pending, owed - left],
        (_, true) => [available + left, pending, owed],
        (_, false) => [available, pending + left, owed],
    })
}

#[test]
fn many_lots_add_up_and_are_spent_oldest_first() {
    let app = App::start();
    app.change_program(|program| {
        program["rules"] = json!([{ "reason": "commission", "on": "purchase", "to": "referrer", "hold_days": 10,
            "basis_points": { "basic": 500, "partner": 500 } }]);
    });
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    // What is bought twenty days ago was bought by a referee.
    app.advance_days(20);
    let project = app.engine.project_named("default").unwrap().id;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let buy = |id: String, amount_minor: i64, days_ago: i64| {
        let who = Who::Developer(bob.id.parse().unwrap());
        let at_ms = Some(app.now_ms() - days_ago * DAY_MS);
        app.engine.record_purchase(project, NewPurchase { id, who, amount_minor, currency: "usd".into(), at_ms })
    };
    let commission = |n: i64| 5 * (1 + n % 9);
    // The first lot is spent and then taken back, while none of the others has vested: that is owed.
    runtime.block_on(buy("old".into(), 10_000, 20)).unwrap();
    alice.use_api(&gateway, "spend-old", 500);
    let purchases = (0..3_500).map(|n| buy(format!("p{n}"), 20 * commission(n), if n < 3_000 { 5 } else { 0 }));
    for outcome in runtime.block_on(join_all(purchases)) {
        assert!(outcome.unwrap().new);
    }
    refund(&app, "r1", "old", 10_000);
    app.advance_days(5);
    let sum = |lots: Range<i64>| lots.map(commission).sum::<i64>();
    let figures = || ["credits_available", "credits_pending", "owed"].map(|name| figure(&alice.stats(), name));
    assert_eq!(figures(), [sum(0..3_000), sum(3_000..3_500), 500]);
    assert_eq!(figures(), sums_over_the_ledger(&app, &alice));

    let usage = alice.use_api(&gateway, "spend", sum(0..1_000) + 3);
    assert_eq!(usage["uncovered"], 0);
    assert_eq!(figures(), [sum(1_000..3_000) - 3, sum(3_000..3_500), 500]);
    assert_eq!(figures(), sums_over_the_ledger(&app, &alice));
    let entries = alice.ledger();
    let lots_of = |kind: &str, group: &Value| -> Vec<(Value, i64)> {
        let of_kind =
            entries.iter().filter(|entry| entry["kind"] == kind && (group.is_null() || &entry["group_id"] == group));
        of_kind.map(|entry| (entry["lot_id"].clone(), figure(entry, "credit_amount").abs())).collect()
    };
    let mut oldest = lots_of("grant", &Value::Null)[1..=1_001].to_vec();
    oldest[1_000].1 = 3;
    assert!(lots_of("spend", &entries.last().unwrap()["group_id"]) == oldest, "not the oldest thousand and one");

    app.advance_days(5);
    assert_eq!(figures(), [sum(1_000..3_500) - 3, 0, 500]);
    assert_eq!(alice.use_api(&gateway, "rest", 1_000_000)["charged"], sum(1_000..3_500) - 3);
    assert_eq!(figures(), [0, 0, 500]);
}

#[test]
fn what_is_under_review_is_pending_for_both_until_it_is_over() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    let (bob, carol) = (app.referee("Bob", &code), app.referee("Carol", &code));
    let figures = |who: &Developer| ["credits_available", "credits_pending"].map(|name| figure(&who.stats(), name));
    let all = [&alice, &bob, &carol];
    assert_eq!(all.map(figures), [[1_000, 0], [1_000, 0], [1_000, 0]]);
    let set = |status: &str, reason: &str| {
        let bobs = "id = (SELECT min(id) FROM referral)";
        assert_eq!(
            app.sqlite3(&format!("UPDATE referral SET status = '{status}', reason = {reason} WHERE {bobs}")),
            ""
        );
    };
    set("review", "'x'");
    assert_eq!(all.map(figures), [[500, 500], [0, 1_000], [1_000, 0]]);
    let charged = |who: &Developer, id: &str| {
        let event = json!({ "id": id, "developer_id": who.id, "calls": 0, "spend": 700 });
        gateway.post("/v1/usage", event).json()["charged"].clone()
    };
    assert_eq!([charged(&alice, "a1"), charged(&bob, "b1")], [json!(500), json!(0)]);
    let balance = gateway.post("/v1/keys/verify", json!({ "api_key": bob.key })).json();
    assert_eq!((&balance["valid"], &balance["available"]), (&json!(true), &json!(0)), "{balance}");
    check_the_books(&alice, "review");
    check_the_books(&bob, "review");
    set("signed_up", "NULL");
    assert_eq!(all.map(figures), [[500, 0], [1_000, 0], [1_000, 0]]);
    assert_eq!([charged(&alice, "a2"), charged(&bob, "b2")], [json!(500), json!(700)]);
}
