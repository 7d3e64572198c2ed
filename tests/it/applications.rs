//! A code that is entered after the signup.

use crate::harness::{App, DAY_MS, Developer};
use serde_json::json;

const APPLY: &str = "/v1/developers/referrals/apply";

fn apply(developer: &Developer, code: &str) -> crate::harness::Reply {
    developer.post(APPLY, json!({ "code": code }))
}

#[test]
fn it_counts_like_one_at_the_signup() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    alice.code();
    let reply = apply(&bob, " alice2026 ");
    assert_eq!(reply.status, 201);
    assert_eq!(
        reply.json(),
        json!({ "referral": { "status": "applied", "code": "ALICE2026", "bonus_credits": 1_000 } })
    );
    assert_eq!(bob.get("/v1/developers/me").json()["referred_by"], alice.id);
    assert_eq!((&bob.stats()["credits_available"], &alice.stats()["credits_available"]), (&json!(1_000), &json!(500)));
    bob.use_api(&app.gateway(), "first", 1);
    assert_eq!(alice.stats()["credits_earned"], 1_000);
}

#[test]
fn once() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    let bob = app.developer("Bob");
    assert_eq!(apply(&bob, &alice.code()).status, 201);
    for code in [alice.code(), carol.code()] {
        assert_eq!(apply(&bob, &code).problem(409), "already_referred");
    }
    let dave = app.referee("Dave", &carol.code());
    assert_eq!(apply(&dave, &alice.code()).problem(409), "already_referred");
    let rejected = app.sign_up("Eve", "eve@alice.example", Some(&alice.code()));
    assert_eq!(apply(&rejected, &carol.code()).problem(409), "already_referred");
    assert_eq!(bob.stats()["credits_earned"], 1_000);
}

#[test]
fn within_the_days_that_the_program_gives() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let (bob, carol) = (app.developer("Bob"), app.developer("Carol"));
    app.advance_ms(7 * DAY_MS);
    assert_eq!(apply(&bob, &code).status, 201);
    app.advance_ms(1);
    assert_eq!(apply(&carol, &code).problem(409), "apply_window_closed");
    app.change_program(|program| program["abuse"]["apply_within_days"] = json!(8));
    assert_eq!(apply(&carol, &code).status, 201);
    app.change_program(|program| program["abuse"]["apply_within_days"] = json!(0));
    let dave = app.developer("Dave");
    app.advance_ms(1);
    assert_eq!(apply(&dave, &code).problem(409), "apply_window_closed");
}

#[test]
fn before_the_first_call() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let (bob, carol) = (app.developer("Bob"), app.developer("Carol"));
    bob.use_api(&app.gateway(), "bob", 1);
    assert_eq!(apply(&bob, &code).problem(409), "already_active");
    carol.use_api(&app.gateway(), "carol", 0);
    assert_eq!(apply(&carol, &code).status, 201, "no calls are no call");
}

#[test]
fn not_one_s_own() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    assert_eq!(apply(&alice, &code.to_lowercase()).faults(), ["code: self_referral"]);
    assert_eq!(app.sqlite3("SELECT count(*) FROM referral").trim(), "0");
}

#[test]
fn a_code_that_cannot_be_used_leaves_the_chance() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    let revoked = alice.code();
    alice.delete("/v1/developers/referral-code");
    let code = alice.code();
    for (wrong, refusal) in [("NOBODYS", "unknown_code"), (&revoked, "revoked_code"), ("x", "invalid_code")] {
        assert_eq!(apply(&bob, wrong).faults(), [format!("code: {refusal}")]);
    }
    assert_eq!(bob.post(APPLY, json!({})).faults(), ["code: required"]);
    assert_eq!(apply(&bob, &code).status, 201);
}

#[test]
fn abuse_rules_hold_here_too() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let colleague = app.sign_up("Al", "al@mail.alice.example", None);
    let reply = apply(&colleague, &code);
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json(), json!({ "referral": { "status": "rejected", "reason": "same_domain" } }));
    assert_eq!(colleague.stats()["credits_earned"], 0);
    assert_eq!(alice.stats()["milestones"]["rejected"], 1);
}

#[test]
fn whom_one_referred_oneself_brings_nothing_in_return() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    let code = bob.code();
    let reply = apply(&alice, &code);
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json(), json!({ "referral": { "status": "rejected", "reason": "mutual_referral" } }));
    let kept = app.sqlite3(
        "SELECT status, reason, (SELECT count(*) FROM entry WHERE entry.referral_id = referral.id),
                (SELECT uses_count FROM code WHERE code.id = referral.code_id)
         FROM referral ORDER BY id DESC LIMIT 1",
    );
    assert_eq!(kept.trim(), "rejected|mutual_referral|0|0");
    let inputs: serde_json::Value =
        serde_json::from_str(&app.sqlite3("SELECT inputs FROM decision WHERE code = 'mutual_referral'")).unwrap();
    assert_eq!(inputs["mutual"], true);
    // Neither at once nor later: the first referral alone pays.
    alice.use_api(&gateway, "alice", 500);
    assert_eq!((&alice.stats()["credits_earned"], &bob.stats()["credits_earned"]), (&json!(500), &json!(1_000)));
    bob.use_api(&gateway, "bob", 1);
    assert_eq!(alice.stats()["credits_earned"], 1_000);
    // Somebody else may use that code all the same.
    assert_eq!(apply(&app.developer("Carol"), &code).json()["referral"]["status"], "applied");
}
