//! Usage: calls are counted, credits are spent, milestones are reached once.

use crate::harness::{App, Client, Developer};
use refloop::domain::access::Scope;
use serde_json::{Value, json};

const USAGE: &str = "/v1/usage";

fn post(gateway: &Client, body: Value) -> Value {
    let reply = gateway.post(USAGE, body);
    assert_eq!(reply.status, 200, "{:.500}", reply.body);
    reply.json()
}

/// Alice, and Bob whom she referred.
fn pair(app: &App) -> (Developer, Developer) {
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    (alice, bob)
}

#[test]
fn one_event_answers_flat() {
    let app = App::start();
    let (_, bob) = pair(&app);
    let gateway = app.gateway();
    assert_eq!(
        post(&gateway, json!({ "id": "u1", "developer_id": bob.id, "calls": 300 })),
        json!({
            "id": "u1", "developer_id": bob.id, "status": "recorded",
            "charged": 300, "uncovered": 0, "available": 700,
        })
    );
    let by_key = post(&gateway, json!({ "id": "u2", "api_key": bob.key, "calls": 800 }));
    assert_eq!(
        (&by_key["developer_id"], &by_key["charged"], &by_key["uncovered"], &by_key["available"]),
        (&json!(bob.id), &json!(700), &json!(100), &json!(0))
    );
    let longest_id = "ü".repeat(128);
    assert_eq!(post(&gateway, json!({ "id": longest_id, "api_key": bob.key, "calls": 0 }))["status"], "recorded");
    app.sqlite3("UPDATE account SET external_id = 'customer-7' WHERE email = 'bob@bob.example'");
    let by_external_id = post(&gateway, json!({ "id": "u3", "external_id": "customer-7", "calls": 1 }));
    assert_eq!(by_external_id["developer_id"], bob.id);
    assert_eq!(bob.stats()["credits_used"], 1_000);
}

#[test]
fn calls_reach_milestones_and_spend_takes_credits() {
    let app = App::start();
    let (alice, bob) = pair(&app);
    let gateway = app.gateway();
    let free = post(&gateway, json!({ "id": "u1", "developer_id": bob.id, "calls": 100, "spend": 0 }));
    assert_eq!((&free["charged"], &free["available"]), (&json!(0), &json!(1_000)));
    assert_eq!(alice.stats()["milestones"]["active"], 1);
    let dear = post(&gateway, json!({ "id": "u2", "developer_id": bob.id, "calls": 1, "spend": 250 }));
    assert_eq!((&dear["charged"], &dear["available"]), (&json!(250), &json!(750)));
    let base_fee = post(&gateway, json!({ "id": "u3", "developer_id": bob.id, "calls": 0, "spend": 50 }));
    assert_eq!((&base_fee["charged"], &base_fee["available"]), (&json!(50), &json!(700)));
}

#[test]
fn each_milestone_pays_once() {
    let app = App::start();
    let (alice, bob) = pair(&app);
    let gateway = app.gateway();
    let mut earned = Vec::new();
    for (id, calls) in [("a", 0), ("b", 1), ("c", 98), ("d", 0), ("e", 1), ("f", 1), ("g", 100), ("h", 1_000)] {
        bob.use_api(&gateway, id, calls);
        earned.push(alice.stats()["credits_earned"].as_i64().unwrap());
    }
    assert_eq!(earned, [500, 1_000, 1_000, 1_000, 2_000, 2_000, 2_000, 2_000]);
}

#[test]
fn one_event_may_cross_several_milestones() {
    let app = App::start();
    let (alice, bob) = pair(&app);
    bob.use_api(&app.gateway(), "many", 5_000);
    let stats = alice.stats();
    assert_eq!((&stats["credits_earned"], &stats["credits_pending"]), (&json!(2_000), &json!(1_500)));
    let item = alice.get("/v1/developers/referrals").json()["data"][0].clone();
    assert_eq!((&item["status"], &item["first_call_at"]), (&json!("active"), &item["active_at"]));
}

#[test]
fn a_batch_answers_in_order_with_its_duplicates() {
    let app = App::start();
    let (alice, bob) = pair(&app);
    let event = |n: usize| match n {
        10 => json!({ "id": "e3", "developer_id": alice.id, "calls": 500 }),
        20 => json!({ "id": "e20", "developer_id": "dev_0000000000001", "calls": 1 }),
        30 => json!({ "id": "e30", "developer_id": bob.id, "calls": 9_999, "require": "full" }),
        31 => json!({ "id": "e30", "developer_id": bob.id, "calls": 0 }),
        _ => json!({ "id": format!("e{n}"), "developer_id": bob.id, "calls": 1 }),
    };
    let events: Vec<Value> = (0..1_000).map(event).collect();
    let answer = post(&app.gateway(), json!({ "events": events }));
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 1_000);
    for (n, (result, event)) in results.iter().zip(&events).enumerate() {
        assert_eq!(result["id"], event["id"], "{n}");
        let status = match n {
            10 => "duplicate",
            20 | 30 => "rejected",
            _ => "recorded",
        };
        assert_eq!(result["status"], status, "{n}: {result}");
    }
    assert_eq!((&results[10]["developer_id"], &results[10]["charged"]), (&json!(bob.id), &json!(1)));
    assert_eq!(results[20]["code"], "unknown_developer");
    assert_eq!(results[30]["code"], "insufficient_credits");
    assert_eq!(results[999]["available"], 1_000 - 996);
    assert_eq!(alice.stats()["credits_used"], 0);
    assert_eq!(alice.stats()["milestones"]["active"], 1);
}

#[test]
fn a_batch_of_one_is_still_a_batch() {
    let app = App::start();
    let (_, bob) = pair(&app);
    let answer = post(&app.gateway(), json!({ "events": [{ "id": "u1", "developer_id": bob.id, "calls": 1 }] }));
    assert_eq!(answer["results"][0]["status"], "recorded");
}

#[test]
fn each_body_that_is_refused_records_nothing() {
    let app = App::start();
    let (_, bob) = pair(&app);
    let gateway = app.gateway();
    let good = json!({ "id": "u1", "developer_id": bob.id, "calls": 1 });
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        event
    };
    let events = |count: usize| json!({ "events": vec![good.clone(); count] });
    for (body, fault) in [
        (events(0), "events: out_of_range"),
        (events(1_001), "events: out_of_range"),
        (json!({ "events": {} }), "events: wrong_type"),
        (json!({ "events": [good, 5] }), "events[1]: wrong_type"),
        (json!({ "events": [good, with("calls", json!("1"))] }), "events[1].calls: wrong_type"),
        (with("id", Value::Null), "id: required"),
        (with("id", json!("")), "id: required"),
        (with("id", json!("x".repeat(129))), "id: too_long"),
        (with("id", json!("a\u{0}")), "id: invalid_characters"),
        (with("id", json!(5)), "id: wrong_type"),
        (with("calls", Value::Null), "calls: required"),
        (with("calls", json!(-1)), "calls: out_of_range"),
        (with("calls", json!(1.5)), "calls: wrong_type"),
        (with("calls", json!(u64::MAX)), "calls: wrong_type"),
        (with("spend", json!(-1)), "spend: out_of_range"),
        (with("spend", json!("1")), "spend: wrong_type"),
        (with("require", json!("half")), "require: invalid_choice"),
        (with("developer_id", Value::Null), "developer_id: required"),
        (with("api_key", json!(bob.key)), "developer_id: required"),
    ] {
        assert_eq!(gateway.post(USAGE, body).faults(), [fault]);
    }
    assert_eq!(app.sqlite3("SELECT count(*) FROM usage_event").trim(), "0");
    assert_eq!(bob.stats()["credits_used"], 0);
}

#[test]
fn a_redelivery_answers_with_the_first_charge_and_changes_nothing() {
    let app = App::start();
    let (alice, bob) = pair(&app);
    let gateway = app.gateway();
    bob.use_api(&gateway, "first", 0);
    post(&gateway, json!({ "id": "u1", "developer_id": bob.id, "calls": 99, "spend": 1_200 }));
    for days in [0, 1, 30, 59] {
        app.advance_days(days);
        app.sweep();
        for body in [
            json!({ "id": "u1", "developer_id": bob.id, "calls": 99, "spend": 1_200 }),
            json!({ "id": "u1", "developer_id": alice.id, "calls": 5_000, "require": "full" }),
            json!({ "id": "u1", "developer_id": "dev_nonsense", "calls": 1 }),
        ] {
            let again = post(&gateway, body);
            assert_eq!(again["status"], "duplicate", "after {days} days more");
            assert_eq!(again["developer_id"], bob.id);
            assert_eq!((&again["charged"], &again["uncovered"]), (&json!(1_000), &json!(200)));
        }
    }
    assert_eq!(alice.stats()["milestones"]["active"], 0);
    assert_eq!(alice.stats()["credits_used"], 0);
    assert_eq!(bob.stats()["credits_used"], 1_000);
}

#[test]
fn ids_are_remembered_for_ninety_days() {
    let app = App::start();
    let (_, bob) = pair(&app);
    let gateway = app.gateway();
    bob.use_api(&gateway, "u1", 1);
    app.advance_days(90);
    assert_eq!(app.sweep().forgotten, 0);
    assert_eq!(bob.use_api(&gateway, "u1", 1)["status"], "duplicate");
    app.advance_ms(1);
    assert_eq!(app.sweep().forgotten, 1);
    assert_eq!(bob.use_api(&gateway, "u1", 1)["status"], "recorded");
    assert_eq!(bob.stats()["credits_used"], 2);
}

#[test]
fn full_or_nothing() {
    let app = App::start();
    let (alice, bob) = pair(&app);
    let gateway = app.gateway();
    let event = |calls: i64| json!({ "id": "u1", "developer_id": bob.id, "calls": calls, "require": "full" });
    let short = post(&gateway, event(1_001));
    assert_eq!(
        short,
        json!({
            "id": "u1", "developer_id": bob.id, "status": "rejected", "code": "insufficient_credits",
            "charged": 0, "uncovered": 1_001, "available": 1_000,
        })
    );
    assert_eq!(alice.stats()["conversions"], 0, "a rejected event is no call");
    let whole = post(&gateway, event(1_000));
    assert_eq!((&whole["status"], &whole["charged"]), (&json!("recorded"), &json!(1_000)), "its id was still free");
    assert_eq!(alice.stats()["conversions"], 1);
}

#[test]
fn whoever_is_not_known_here_is_rejected_by_code() {
    let app = App::start();
    let (_, bob) = pair(&app);
    let gateway = app.gateway();
    let made = bob.post("/v1/developers/api-keys", json!({})).json();
    bob.delete(&format!("/v1/developers/api-keys/{}", made["id"].as_str().unwrap()));
    let gateway_secret = app.engine.make_gateway_key("default", vec![Scope::UsageWrite], None).unwrap().secret;
    for (name, value, code) in [
        ("developer_id", "dev_0000000000001", "unknown_developer"),
        ("developer_id", "nonsense", "unknown_developer"),
        ("external_id", "customer-8", "unknown_developer"),
        ("api_key", "bw_live_00", "invalid_key"),
        ("api_key", made["key"].as_str().unwrap(), "invalid_key"),
        ("api_key", &gateway_secret, "invalid_key"),
    ] {
        let mut event = json!({ "id": "u1", "calls": 1 });
        event[name] = json!(value);
        let answer = post(&gateway, event);
        assert_eq!((&answer["status"], &answer["code"]), (&json!("rejected"), &json!(code)), "{name} {value:.20}");
        assert_eq!((&answer["developer_id"], &answer["charged"]), (&Value::Null, &json!(0)));
    }
    assert_eq!(bob.use_api(&gateway, "u1", 1)["status"], "recorded", "the id was still free");
}

#[test]
fn many_at_once_neither_pay_twice_nor_overdraw() {
    let app = App::start();
    let (alice, bob) = pair(&app);
    let charged: i64 = std::thread::scope(|scope| {
        let (app, bob) = (&app, &bob);
        let spend = |client: usize| {
            let gateway = app.gateway();
            (0..10)
                .map(|n| bob.use_api(&gateway, &format!("c{client}-{n}"), 17)["charged"].as_i64().unwrap())
                .sum::<i64>()
        };
        let threads: Vec<_> = (0..8).map(|client| scope.spawn(move || spend(client))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(charged, 1_000, "all of it and no more");
    assert_eq!(bob.stats()["credits_available"], 0);
    assert_eq!(alice.stats()["credits_earned"], 2_000);
    assert_eq!(app.sqlite3("SELECT calls FROM usage_total").trim(), "1360");
}

#[test]
fn what_expires_first_is_spent_first() {
    let app = App::start();
    app.change_program(|program| {
        program["rules"] = json!([
            { "reason": "lasting", "on": "signup", "to": "referee", "amount": 100 },
            { "reason": "long", "on": "signup", "to": "referee", "amount": 100, "expires_days": 60 },
            { "reason": "short", "on": "signup", "to": "referee", "amount": 100, "expires_days": 30 },
            { "reason": "lasting_too", "on": "signup", "to": "referee", "amount": 100 },
            { "reason": "held", "on": "signup", "to": "referee", "amount": 100, "hold_days": 5, "expires_days": 10 },
        ]);
    });
    let (_, bob) = pair(&app);
    let usage = bob.use_api(&app.gateway(), "u1", 350);
    assert_eq!((&usage["charged"], &usage["available"]), (&json!(350), &json!(50)));
    let entries = bob.ledger();
    let reason_of = |lot: &Value| entries.iter().find(|entry| entry["id"] == *lot).unwrap()["reason"].clone();
    let spends: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "spend").collect();
    let taken: Vec<_> =
        spends.iter().map(|entry| (reason_of(&entry["lot_id"]), entry["credit_amount"].clone())).collect();
    let expected = [("short", -100), ("long", -100), ("lasting", -100), ("lasting_too", -50)];
    assert_eq!(taken, expected.map(|(reason, amount)| (json!(reason), json!(amount))));
    assert!(spends.iter().all(|entry| entry["group_id"] == spends[0]["id"]), "one movement, one group");
}

#[test]
fn a_sweep_says_that_there_may_be_more_when_its_step_was_a_full_one_only() {
    let app = App::start();
    app.change_program(|program| program["rules"][0]["expires_days"] = json!(30));
    let (bob, gateway) = (app.referee("Bob", &app.developer("Alice").code()), app.gateway());
    let events = |from: i64, to: i64| -> Value {
        (from..to).map(|n| json!({ "id": format!("e{n}"), "developer_id": bob.id, "calls": 1, "spend": 0 })).collect()
    };
    for (from, to) in [(0, 1_000), (1_000, 1_005)] {
        assert_eq!(gateway.post("/v1/usage", json!({ "events": events(from, to) })).status, 200);
    }
    let step = || {
        let swept = app.sweep();
        (swept.expired, swept.forgotten, swept.is_full())
    };
    assert_eq!(step(), (0, 0, false));
    app.advance_days(31);
    assert_eq!(step(), (1, 0, false), "a small step is no full one");
    app.advance_days(60);
    assert_eq!([step(), step(), step()], [(0, 1_000, true), (0, 5, false), (0, 0, false)]);
}
