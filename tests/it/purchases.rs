//! Purchases bring commissions, refunds take them back.

use crate::harness::{App, Client, Developer, Reply};
use serde_json::{Value, json};

/// Five percent of each purchase of at least 1.00, held for `hold_days`.
fn pay_commissions(app: &App, hold_days: i64) {
    app.change_program(|program| {
        program["unit"] = json!("usd");
        program["conversion"] = json!("first_purchase");
        program["rules"] = json!([{
            "reason": "commission", "on": "purchase", "to": "referrer", "hold_days": hold_days,
            "basis_points": { "basic": 500, "partner": 1_000 }, "min_purchase": 100,
        }]);
    });
}

struct Shop {
    app: App,
    alice: Developer,
    bob: Developer,
    gateway: Client,
}

/// Alice, who referred Bob, and a gateway that reports what he buys.
fn shop(hold_days: i64) -> Shop {
    let app = App::start();
    pay_commissions(&app, hold_days);
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    let gateway = app.gateway();
    Shop { app, alice, bob, gateway }
}

impl Shop {
    fn buy(&self, id: &str, amount: i64) -> Reply {
        let body = json!({ "id": id, "developer_id": self.bob.id, "amount": amount, "currency": "usd" });
        self.gateway.post("/v1/purchases", body)
    }

    fn refund(&self, id: &str, purchase_id: &str, amount: i64) -> Reply {
        self.gateway.post("/v1/refunds", json!({ "id": id, "purchase_id": purchase_id, "amount": amount }))
    }

    fn figures(&self) -> [i64; 5] {
        let stats = self.alice.stats();
        ["credits_earned", "credits_available", "credits_used", "credits_reversed", "owed"]
            .map(|name| stats[name].as_i64().unwrap())
    }

    fn kinds(&self) -> Vec<(String, i64)> {
        let entry = |entry: &Value| (entry["kind"].as_str().unwrap().into(), entry["credit_amount"].as_i64().unwrap());
        self.alice.ledger().iter().map(entry).collect()
    }
}

fn kinds(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected.iter().map(|(kind, amount)| ((*kind).to_owned(), *amount)).collect()
}

#[test]
fn every_purchase_pays_once() {
    let shop = shop(0);
    let first = shop.buy("p1", 4_990);
    assert_eq!(first.status, 201);
    assert_eq!(first.json(), json!({ "id": "p1", "developer_id": shop.bob.id, "status": "recorded" }));
    assert_eq!(shop.figures(), [250, 250, 0, 0, 0], "5 % of 49.90, half up");
    for (days, amount) in [(0, 4_990), (400, 9_999)] {
        shop.app.advance_days(days);
        shop.app.sweep();
        let again = shop.buy("p1", amount);
        assert_eq!((again.status, &again.json()["status"]), (200, &json!("duplicate")));
    }
    assert_eq!(shop.buy("p2", 100).status, 201);
    assert_eq!(shop.buy("p3", 99).status, 201, "recorded, but too small to count");
    assert_eq!(shop.figures(), [255, 255, 0, 0, 0]);
}

#[test]
fn a_hold_runs_from_the_purchase() {
    let shop = shop(30);
    shop.app.advance_days(20);
    let body = |id: &str, at: &str| json!({ "id": id, "developer_id": shop.bob.id, "amount": 1_000, "currency": "USD", "at": at });
    assert_eq!(shop.gateway.post("/v1/purchases", body("p1", "2026-01-25T10:00:00Z")).status, 201);
    assert_eq!(shop.gateway.post("/v1/purchases", body("p2", "2030-01-01T00:00:00Z")).status, 201);
    let vests: Vec<Value> = shop.alice.ledger().iter().map(|entry| entry["vests_at"].clone()).collect();
    assert_eq!(vests, ["2026-02-24T10:00:00Z", "2026-03-06T10:00:00Z"], "a purchase is not made in the future");
    shop.app.advance_days(20);
    assert_eq!(shop.figures()[1], 50);
}

#[test]
fn each_purchase_and_refund_that_is_refused() {
    let shop = shop(0);
    let good = json!({ "id": "p1", "developer_id": shop.bob.id, "amount": 1_000, "currency": "usd" });
    for (name, value, fault) in [
        ("id", json!(""), "id: required"),
        ("id", json!("x".repeat(129)), "id: too_long"),
        ("developer_id", json!("dev_0000000000001"), "developer_id: unknown_developer"),
        ("developer_id", Value::Null, "developer_id: required"),
        ("external_id", json!("both"), "developer_id: required"),
        ("amount", json!(0), "amount: out_of_range"),
        ("amount", json!(-5), "amount: out_of_range"),
        ("amount", json!("5"), "amount: wrong_type"),
        ("amount", json!(9.99), "amount: wrong_type"),
        ("currency", json!("eur"), "currency: currency_mismatch"),
        ("currency", json!("dollars"), "currency: invalid_currency"),
        ("currency", Value::Null, "currency: required"),
        ("at", json!("yesterday"), "at: invalid_time"),
    ] {
        let mut body = good.clone();
        body[name] = value;
        assert_eq!(shop.gateway.post("/v1/purchases", body).faults(), [fault]);
    }
    for (body, fault) in [
        (json!({ "purchase_id": "p1", "amount": 1 }), "id: required"),
        (json!({ "id": "r1", "amount": 1 }), "purchase_id: required"),
        (json!({ "id": "r1", "purchase_id": "p1" }), "amount: required"),
        (json!({ "id": "r1", "purchase_id": "p1", "amount": 0 }), "amount: out_of_range"),
    ] {
        assert_eq!(shop.gateway.post("/v1/refunds", body).faults(), [fault]);
    }
    assert_eq!(shop.app.sqlite3("SELECT (SELECT count(*) FROM purchase) + (SELECT count(*) FROM refund)").trim(), "0");
    assert_eq!(shop.gateway.post("/v1/purchases", good).status, 201, "a refused purchase does not use up its id");
}

#[test]
fn partial_refunds_add_up_to_exactly_nothing() {
    let shop = shop(0);
    shop.buy("p1", 1_001);
    assert_eq!(shop.figures()[0], 50, "5 % of 10.01");
    let mut left = Vec::new();
    for (id, amount) in [("r1", 1), ("r2", 332), ("r3", 0), ("r4", 667), ("r5", 1), ("r6", 500)] {
        // `r3` stands for a redelivery of the one before it.
        let reply = if amount == 0 { shop.refund("r2", "p1", 332) } else { shop.refund(id, "p1", amount) };
        assert_eq!(reply.status, if amount == 0 { 200 } else { 201 }, "{id}");
        left.push(shop.figures()[1]);
    }
    assert_eq!(left, [50, 33, 33, 0, 0, 0]);
    assert_eq!(shop.figures(), [50, 0, 0, 50, 0]);
    assert_eq!(shop.alice.ledger()[0]["status"], "REVERSED");
}

#[test]
fn a_refund_answers_what_it_is_about() {
    let shop = shop(0);
    shop.buy("p1", 1_000);
    let expected =
        |status: &str| json!({ "id": "r1", "purchase_id": "p1", "developer_id": shop.bob.id, "status": status });
    let reply = shop.refund("r1", "p1", 200);
    assert_eq!((reply.status, reply.json()), (201, expected("recorded")));
    let again = shop.refund("r1", "p1", 900);
    assert_eq!((again.status, again.json()), (200, expected("duplicate")));
    assert_eq!(shop.figures(), [50, 40, 0, 10, 0]);
}

#[test]
fn a_refund_beyond_the_purchase_is_clamped() {
    let shop = shop(0);
    shop.buy("p1", 1_000);
    shop.buy("p2", 1_000);
    assert_eq!(shop.refund("r1", "p1", 1_000_000_000_000).status, 201);
    assert_eq!(shop.refund("r2", "p1", 1_000_000_000_000).status, 201);
    assert_eq!(shop.figures(), [100, 50, 0, 50, 0], "the other purchase keeps its commission");
}

#[test]
fn a_refund_that_comes_first_waits() {
    let shop = shop(0);
    let early = shop.refund("r1", "p1", 400);
    assert_eq!((early.status, &early.json()["developer_id"]), (201, &Value::Null));
    assert_eq!(shop.refund("r1", "p1", 400).status, 200);
    shop.app.advance_days(3);
    shop.buy("p1", 1_000);
    assert_eq!(shop.figures(), [50, 30, 0, 20, 0]);
    shop.buy("p1", 1_000);
    assert_eq!(shop.figures(), [50, 30, 0, 20, 0]);
    shop.refund("r2", "p2", 5_000);
    shop.buy("p2", 1_000);
    assert_eq!(shop.figures(), [100, 30, 0, 70, 0]);
}

#[test]
fn a_pending_commission_is_taken_back_from_itself() {
    let shop = shop(30);
    shop.buy("p1", 1_000);
    shop.refund("r1", "p1", 1_000);
    assert_eq!(shop.alice.stats()["credits_pending"], 0);
    assert_eq!(shop.figures(), [50, 0, 0, 50, 0]);
    shop.app.advance_days(30);
    assert_eq!(shop.figures(), [50, 0, 0, 50, 0], "nothing vests any more");
}

#[test]
fn what_was_spent_is_owed_and_the_next_grant_repays_it() {
    let shop = shop(0);
    shop.buy("p1", 1_000);
    shop.alice.use_api(&shop.gateway, "spend", 50);
    shop.refund("r1", "p1", 1_000);
    assert_eq!(shop.figures(), [50, 0, 50, 50, 50]);
    shop.buy("p2", 600);
    assert_eq!(shop.figures(), [80, 0, 50, 50, 20]);
    shop.buy("p3", 1_000);
    assert_eq!(shop.figures(), [130, 30, 50, 50, 0]);
    assert_eq!(
        shop.kinds(),
        kinds(&[
            ("grant", 50),
            ("spend", -50),
            ("reverse", -50),
            ("grant", 30),
            ("repay", -30),
            ("repay", 30),
            ("grant", 50),
            ("repay", -20),
            ("repay", 20),
        ])
    );
    let entries = shop.alice.ledger();
    for group in [&entries[3..6], &entries[6..9]] {
        assert!(group.iter().all(|entry| entry["group_id"] == group[0]["id"]), "a grant and what it repays are one");
        assert_eq!((&group[1]["lot_id"], &group[2]["lot_id"]), (&group[0]["id"], &entries[0]["id"]));
        assert_eq!(group[1]["reason"], "debt_repayment");
    }
    let spent = shop.alice.use_api(&shop.gateway, "rest", 100);
    assert_eq!((&spent["charged"], &spent["uncovered"]), (&json!(30), &json!(70)));
}

#[test]
fn a_reversal_takes_other_vested_credits_before_it_leaves_a_debt() {
    let shop = shop(0);
    shop.buy("p1", 1_000);
    shop.buy("p2", 600);
    shop.alice.use_api(&shop.gateway, "spend", 60);
    shop.refund("r1", "p1", 1_000);
    // 50 and 30 came, 60 went: 20 of the second are left for a reversal of the whole first.
    assert_eq!(shop.figures(), [80, 0, 60, 50, 30]);
    let entries = shop.alice.ledger();
    let reversal: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "reverse").collect();
    assert_eq!(reversal.len(), 2);
    assert_eq!(reversal[0]["group_id"], reversal[1]["group_id"]);
    assert_eq!(reversal.iter().map(|entry| entry["credit_amount"].as_i64().unwrap()).sum::<i64>(), -50);
    assert!(reversal.iter().all(|entry| entry["reason"] == "refund" && entry["referee_id"] == shop.bob.id));
}

#[test]
fn only_a_referral_s_purchase_pays() {
    let shop = shop(0);
    let carol = shop.app.developer("Carol");
    let body = json!({ "id": "p1", "developer_id": carol.id, "amount": 1_000, "currency": "usd" });
    assert_eq!(shop.gateway.post("/v1/purchases", body).status, 201);
    assert_eq!(shop.refund("r1", "p1", 1_000).status, 201);
    assert_eq!(shop.app.sqlite3("SELECT count(*) FROM entry").trim(), "0");
}

#[test]
fn a_rejected_referral_s_purchase_neither_pays_nor_converts() {
    let shop = shop(0);
    let eve = shop.app.sign_up("Eve", "eve@alice.example", Some(&shop.alice.code()));
    let body = json!({ "id": "p1", "developer_id": eve.id, "amount": 1_000, "currency": "usd" });
    assert_eq!(shop.gateway.post("/v1/purchases", body).status, 201);
    assert_eq!(shop.app.sqlite3("SELECT count(*) FROM entry").trim(), "0");
    let rejected = shop.alice.get("/v1/developers/referrals?status=rejected").json();
    assert_eq!(rejected["data"][0]["converted_at"], Value::Null);
}

#[test]
fn the_unit_is_fixed_once_there_are_entries() {
    let shop = shop(0);
    shop.buy("p1", 1_000);
    let project = shop.app.engine.project_named("default").unwrap();
    let (program, _) = shop.app.engine.program(&project).unwrap();
    let mut other = (*program).clone();
    other.unit = "eur".into();
    let refusal = shop.app.engine.set_program(&project, other, "test").unwrap_err();
    assert_eq!(refusal.code, "unit_is_fixed");
}

#[test]
fn each_purchase_is_explained() {
    let shop = shop(0);
    shop.buy("p1", 99);
    shop.buy("p2", 1_000);
    let rows =
        shop.app.sqlite3("SELECT rule, event, verdict, code, basis_points, program_version FROM decision ORDER BY id");
    assert_eq!(
        rows.lines().collect::<Vec<_>>(),
        ["commission|purchase|refused|below_min_purchase|500|2", "commission|purchase|granted|granted|500|2"]
    );
    let inputs = shop.app.sqlite3("SELECT inputs FROM decision ORDER BY id DESC LIMIT 1");
    let inputs: Value = serde_json::from_str(&inputs).unwrap();
    assert_eq!(
        (&inputs["purchase"], &inputs["amount"], &inputs["track"]),
        (&json!(1_000), &json!(50), &json!("basic"))
    );
}

#[test]
fn a_pending_grant_repays_too() {
    let shop = shop(0);
    shop.buy("p1", 1_000);
    shop.alice.use_api(&shop.gateway, "spend", 50);
    shop.refund("r1", "p1", 1_000);
    shop.app.change_program(|program| program["rules"][0]["hold_days"] = json!(30));
    shop.buy("p2", 2_000);
    assert_eq!(shop.figures(), [150, 0, 50, 50, 0]);
    assert_eq!(shop.alice.stats()["credits_pending"], 50);
    shop.app.advance_days(30);
    assert_eq!(shop.figures(), [150, 50, 50, 50, 0]);
}

#[test]
fn what_expired_unspent_is_not_owed() {
    let shop = shop(0);
    shop.app.change_program(|program| program["rules"][0]["expires_days"] = json!(10));
    shop.buy("p1", 1_000);
    shop.alice.use_api(&shop.gateway, "spend", 20);
    shop.app.advance_days(10);
    shop.refund("r1", "p1", 1_000);
    assert_eq!(shop.figures(), [50, 0, 20, 20, 20]);
    assert_eq!(shop.alice.stats()["credits_expired"], 30);
    shop.refund("r2", "p1", 1_000);
    assert_eq!(shop.figures(), [50, 0, 20, 20, 20]);
}

#[test]
fn a_purchase_told_after_its_commission_expired_brings_nothing_to_spend() {
    let shop = shop(0);
    shop.app.change_program(|program| program["rules"][0]["expires_days"] = json!(10));
    shop.app.advance_days(20);
    let body = json!({
        "id": "p1", "developer_id": shop.bob.id, "amount": 1_000, "currency": "usd", "at": "2026-01-20T00:00:00Z",
    });
    assert_eq!(shop.gateway.post("/v1/purchases", body).status, 201);
    assert_eq!(shop.figures(), [50, 0, 0, 0, 0]);
    assert_eq!(shop.alice.stats()["credits_expired"], 50);
    shop.refund("r1", "p1", 500);
    assert_eq!(shop.figures(), [50, 0, 0, 0, 0]);
}

#[test]
fn each_rule_waits_for_its_own_first_purchase() {
    let app = App::start();
    app.change_program(|program| {
        let first = |reason: &str, amount: i64, least: i64| {
            json!({ "reason": reason, "on": "first_purchase", "to": "referrer", "amount": amount,
                    "min_purchase": least })
        };
        program["unit"] = json!("usd");
        program["conversion"] = json!("first_purchase");
        program["rules"] = json!([first("any", 7, 500), first("large", 70, 5_000)]);
    });
    let (alice, bob, gateway) = (app.developer("Alice"), app.developer("Bob"), app.gateway());
    let code = alice.code();
    let buy = |id: &str, amount: i64| {
        let purchase = json!({ "id": id, "developer_id": bob.id, "amount": amount, "currency": "usd" });
        assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
        alice.stats()["credits_earned"].as_i64().unwrap()
    };
    assert_eq!(buy("before", 9_000), 0, "nobody has referred him yet");
    app.advance_days(1);
    assert_eq!(bob.post("/v1/developers/referrals/apply", json!({ "code": code })).status, 201);
    let steps = [("small", 499, 0), ("first", 500, 7), ("again", 4_999, 7), ("large", 5_000, 77), ("more", 90_000, 77)];
    for (id, amount, earned) in steps {
        app.advance_ms(1_000);
        assert_eq!(buy(id, amount), earned, "{id}");
    }
    let reasons: Vec<Value> = alice.ledger().iter().map(|entry| entry["reason"].clone()).collect();
    assert_eq!(reasons, ["any", "large"]);
}
