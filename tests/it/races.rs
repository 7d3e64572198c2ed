//! Sixteen clients at once: what may happen once happens once, and nothing goes below zero.

use crate::harness::{App, Client, PASSWORD, Reply};
use serde_json::{Value, json};
use std::sync::Barrier;

pub const CLIENTS: usize = 16;

/// Runs the same for sixteen clients, which all begin at the same time.
pub fn all_at_once<T: Send>(run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let (start, run) = (&start, &run);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    start.wait();
                    run(client)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

fn count<T>(of: &[T], which: impl Fn(&T) -> bool) -> usize {
    of.iter().filter(|item| which(item)).count()
}

pub fn statuses(replies: &[Reply], status: u16) -> usize {
    count(replies, |reply| reply.status == status)
}

fn use_api(gateway: &Client, developer: &str, id: &str, calls: i64) -> Value {
    let reply = gateway.post("/v1/usage", json!({ "id": id, "developer_id": developer, "calls": calls }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

fn signup(email: &str, name: &str, code: Option<&str>) -> Value {
    json!({ "email": email, "password": PASSWORD, "name": name, "referral_code": code })
}

#[test]
fn a_milestone_that_all_report_at_once_pays_once() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&gateway, "before", 99);
    let reached = all_at_once(|client| use_api(&gateway, &bob.id, &format!("hundred-{client}"), 1));
    assert_eq!(count(&reached, |answer| answer["status"] == "recorded"), CLIENTS);
    let reasons: Vec<_> = alice.ledger().iter().map(|entry| entry["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["referral_signup", "referral_first_call", "referral_active"]);
    assert_eq!(alice.stats()["credits_earned"], 2_000);
}

#[test]
fn first_call_and_hundredth_reported_at_once_pay_once_each() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    all_at_once(|client| {
        let events = (0..10).map(|n| json!({ "id": format!("{client}-{n}"), "developer_id": bob.id, "calls": 1 }));
        let reply = gateway.post("/v1/usage", json!({ "events": events.collect::<Vec<_>>() }));
        assert_eq!(reply.status, 200, "{}", reply.body);
    });
    let earned = alice.ledger().iter().filter(|entry| entry["kind"] == "grant").count();
    assert_eq!(earned, 3);
    let stats = alice.stats();
    assert_eq!((&stats["milestones"]["first_call"], &stats["milestones"]["active"]), (&json!(1), &json!(1)));
}

#[test]
fn an_account_that_all_spend_from_ends_at_zero_and_no_lower() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    let spend = |client: usize| -> (i64, i64) {
        let answers = (0..10).map(|n| use_api(&gateway, &bob.id, &format!("{client}-{n}"), 7));
        answers.fold((0, 0), |sum, answer| {
            assert!(answer["available"].as_i64().unwrap() >= 0, "{answer}");
            (sum.0 + answer["charged"].as_i64().unwrap(), sum.1 + answer["uncovered"].as_i64().unwrap())
        })
    };
    let sums = all_at_once(spend);
    let (charged, uncovered) = sums.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!((charged, uncovered), (1_000, 16 * 10 * 7 - 1_000));
    let stats = bob.stats();
    assert_eq!((&stats["credits_used"], &stats["credits_available"]), (&json!(1_000), &json!(0)));
}

#[test]
fn all_or_nothing_spends_never_share_the_last_credits() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    let answers = all_at_once(|client| {
        let body = json!({ "id": format!("full-{client}"), "developer_id": bob.id, "calls": 0, "spend": 300,
                           "require": "full" });
        gateway.post("/v1/usage", body).json()
    });
    assert_eq!(count(&answers, |answer| answer["charged"] == 300), 3);
    let short = count(&answers, |answer| answer["status"] == "rejected" && answer["code"] == "insufficient_credits");
    assert_eq!(short, CLIENTS - 3);
    assert_eq!(bob.stats()["credits_available"], 100);
}

#[test]
fn one_usage_id_from_all_is_recorded_once() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    let answers = all_at_once(|_| use_api(&gateway, &bob.id, "the-same", 40));
    assert_eq!(count(&answers, |answer| answer["status"] == "recorded"), 1);
    assert_eq!(count(&answers, |answer| answer["status"] == "duplicate"), CLIENTS - 1);
    assert!(answers.iter().all(|answer| answer["charged"] == 40));
    assert_eq!(bob.stats()["credits_used"], 40);
}

#[test]
fn one_purchase_and_one_refund_told_by_all_count_once() {
    let app = App::start();
    app.change_program(|program| {
        program["rules"].as_array_mut().unwrap().push(json!({
            "reason": "share", "on": "purchase", "to": "referrer",
            "basis_points": { "basic": 1000, "partner": 1000 }
        }));
    });
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    let purchase = json!({ "id": "p1", "developer_id": bob.id, "amount": 2_000, "currency": "usd" });
    let told = all_at_once(|_| gateway.post("/v1/purchases", purchase.clone()));
    assert_eq!((statuses(&told, 201), statuses(&told, 200)), (1, CLIENTS - 1));
    assert_eq!(alice.stats()["credits_available"], 700);
    let refund = json!({ "id": "r1", "purchase_id": "p1", "amount": 1_000 });
    let told = all_at_once(|_| gateway.post("/v1/refunds", refund.clone()));
    assert_eq!((statuses(&told, 201), statuses(&told, 200)), (1, CLIENTS - 1));
    assert_eq!(alice.stats()["credits_available"], 600);
}

#[test]
fn one_address_signed_up_by_all_makes_one_account() {
    let app = App::start();
    let replies = all_at_once(|client| {
        let email = if client % 2 == 0 { "bob@bob.example" } else { "BOB@bob.EXAMPLE" };
        app.anonymous().post("/v1/developers/signup", signup(email, "Bob", None))
    });
    assert_eq!((statuses(&replies, 201), statuses(&replies, 409)), (1, CLIENTS - 1));
    for taken in replies.iter().filter(|reply| reply.status == 409) {
        assert_eq!(taken.problem(409), "email_taken");
    }
}

#[test]
fn the_last_use_of_a_code_goes_to_one() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.post("/v1/developers/referral-code", json!({ "max_uses": 3 })).json();
    let code = code["referral_code"].as_str().unwrap();
    app.referee("Bob", code);
    app.referee("Carol", code);
    let replies = all_at_once(|client| {
        let body = signup(&format!("me@late{client}.example"), "Late", Some(code));
        app.anonymous().post("/v1/developers/signup", body)
    });
    assert_eq!((statuses(&replies, 201), statuses(&replies, 422)), (1, CLIENTS - 1));
    for refused in replies.iter().filter(|reply| reply.status == 422) {
        assert_eq!(refused.faults(), ["referral_code: code_used_up"]);
    }
    assert_eq!(alice.stats()["total_referrals"], 3);
}

#[test]
fn one_account_that_all_ask_a_code_for_has_one() {
    let app = App::start();
    let alice = app.developer("Alice");
    let replies = all_at_once(|_| alice.post("/v1/developers/referral-code", json!({})));
    assert_eq!((statuses(&replies, 201), statuses(&replies, 200)), (1, CLIENTS - 1));
    assert!(replies.iter().all(|reply| reply.json()["referral_code"] == "ALICE2026"));
}

#[test]
fn one_vanity_code_that_all_want_goes_to_one() {
    let app = App::start();
    let developers: Vec<_> = (0..CLIENTS).map(|n| app.developer(&format!("Dev{n}"))).collect();
    let replies =
        all_at_once(|client| developers[client].post("/v1/developers/referral-code", json!({ "code": "lucky7" })));
    assert_eq!((statuses(&replies, 201), statuses(&replies, 409)), (1, CLIENTS - 1));
    for taken in replies.iter().filter(|reply| reply.status == 409) {
        assert_eq!(taken.problem(409), "code_taken");
    }
}

#[test]
fn one_household_with_one_code_counts_once() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let replies = all_at_once(|client| {
        let body = signup(&format!("dev{client}@acme.example"), "Dev", Some(&code));
        app.anonymous().post("/v1/developers/signup", body)
    });
    assert_eq!(statuses(&replies, 201), CLIENTS, "an abuse rule does not stop a signup");
    let became = |status: &str| count(&replies, |reply| reply.json()["referral"]["status"] == status);
    assert_eq!((became("applied"), became("rejected")), (1, CLIENTS - 1));
    let stats = alice.stats();
    assert_eq!((&stats["total_referrals"], &stats["credits_earned"]), (&json!(1), &json!(500)));
    assert_eq!(stats["milestones"]["rejected"], CLIENTS - 1);
}

#[test]
fn one_account_that_applies_a_code_many_times_is_referred_once() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    let code = alice.code();
    let replies = all_at_once(|_| bob.post("/v1/developers/referrals/apply", json!({ "code": code })));
    assert_eq!((count(&replies, |reply| reply.status < 300), statuses(&replies, 409)), (1, CLIENTS - 1));
    assert_eq!(bob.stats()["credits_available"], 1_000);
    assert_eq!(alice.stats()["credits_available"], 500);
}

#[test]
fn erasing_while_others_spend_leaves_the_books_in_order() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    all_at_once(|client| {
        if client == 0 {
            assert_eq!(bob.delete("/v1/developers/me").status, 200);
            return;
        }
        let answer = use_api(&gateway, &bob.id, &format!("spend-{client}"), 10);
        let told = (answer["status"].as_str().unwrap(), answer["code"].as_str());
        assert!([("recorded", None), ("rejected", Some("unknown_developer"))].contains(&told), "{answer}");
    });
    assert_eq!(bob.get("/v1/developers/me").status, 401);
}
