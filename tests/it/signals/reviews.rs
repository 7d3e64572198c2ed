//! Clearing, rejecting, and opening again.

use super::{Person, REFERRALS, available, decide, listed, proxied, referrer, seen, sign_up, signals};
use crate::harness::{App, DAY_MS};
use refloop::domain::program::Preset;
use serde_json::{Value, json};

/// Alice, and Bob whom she referred from where she is herself.
fn held(app: &App) -> (Person, Person) {
    let (alice, code) = referrer(app, "alice", "192.0.2.1");
    let bob = sign_up(app, "192.0.2.1", "bob@bob.example", Some(&code));
    assert_eq!(bob.referral()["status"], "review");
    (alice, bob)
}

fn use_api(app: &App, person: &Person, id: &str, calls: i64, spend: i64) -> Value {
    let body = json!({ "id": id, "developer_id": person.id, "calls": calls, "spend": spend });
    app.gateway().post("/v1/usage", body).json()
}

fn verdicts(referral: &Value) -> Vec<String> {
    let all = referral["decisions"].as_array().unwrap().iter();
    all.map(|decision| decision["verdict"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_cleared_referral_pays_what_it_reached_meanwhile() {
    let app = proxied();
    let (alice, bob) = held(&app);
    use_api(&app, &bob, "hundred", 150, 0);
    let shown = seen(&app, &bob);
    assert_eq!((&shown["status"], &shown["at_stake"]), (&json!("review"), &json!(3_000)));
    assert_eq!((available(&app, &alice), available(&app, &bob)), (0, 0));
    let reply = decide(&app, &shown, "clear");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("active")));
    assert_eq!((available(&app, &alice), available(&app, &bob)), (500, 1_000));
    app.advance_days(7);
    assert_eq!(available(&app, &alice), 2_000);
    let cleared = seen(&app, &bob);
    assert_eq!(verdicts(&cleared), ["held", "granted", "granted", "granted", "granted", "cleared"]);
    let last = cleared["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["code"], &last["inputs"]["reason"]), (&json!("cleared"), &json!("looked at")));
    assert!(last["inputs"]["actor"].as_str().unwrap().starts_with("key_"), "{last}");
    assert_eq!(decide(&app, &cleared, "clear").status, 200, "once more changes nothing");
    assert_eq!(verdicts(&seen(&app, &bob)).len(), 6);
}

#[test]
fn no_later_signal_holds_what_an_operator_has_cleared() {
    let app = proxied();
    let (_, bob) = held(&app);
    app.change_program(|program| program["abuse"]["weights"]["bare_milestone"] = json!(100));
    decide(&app, &seen(&app, &bob), "clear");
    use_api(&app, &bob, "hundred", 100, 0);
    app.advance_days(1);
    app.sweep();
    let shown = seen(&app, &bob);
    assert_eq!((&shown["status"], signals(&shown).len()), (&json!("active"), 2));
}

#[test]
fn a_rejected_referral_gives_everything_back_and_what_is_spent_is_owed() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    use_api(&app, &bob, "hundred", 100, 0);
    assert_eq!(use_api(&app, &alice, "spend", 0, 300)["charged"], 300);
    let shown = seen(&app, &bob);
    let reply = decide(&app, &shown, "reject");
    assert_eq!(
        (&reply.json()["status"], &reply.json()["reason"]),
        (&json!("rejected"), &json!("rejected_after_review"))
    );
    let stats = alice.client.get("/v1/developers/referral-stats").json();
    let figures =
        ["credits_available", "credits_pending", "credits_reversed", "owed"].map(|name| stats[name].as_i64().unwrap());
    assert_eq!(figures, [0, 0, 2_000, 300]);
    assert_eq!((available(&app, &alice), available(&app, &bob)), (0, 0));
    assert_eq!(decide(&app, &shown, "reject").status, 200, "once more changes nothing");
    assert_eq!(verdicts(&seen(&app, &bob)).iter().filter(|verdict| *verdict == "rejected").count(), 1);
    // It earns nothing any more, and what comes next repays the debt.
    use_api(&app, &bob, "more", 100, 0);
    sign_up(&app, "192.0.2.3", "carol@carol.example", Some(&code));
    assert_eq!(available(&app, &alice), 200);
    let told = &alice.client.get("/v1/developers/referrals?status=rejected").json()["data"][0];
    assert_eq!((&told["reason"], &told["credits_total"]), (&json!("rejected_after_review"), &json!(0)));
}

#[test]
fn after_vesting_too() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    use_api(&app, &bob, "hundred", 120, 0);
    app.advance_days(30);
    assert_eq!(use_api(&app, &alice, "spend", 0, 1_200)["charged"], 1_200);
    decide(&app, &seen(&app, &bob), "reject");
    let stats = alice.client.get("/v1/developers/referral-stats").json();
    assert_eq!((&stats["credits_available"], &stats["owed"]), (&json!(0), &json!(1_200)));
}

#[test]
fn a_rejected_one_can_be_opened_again_and_pays_by_new_entries() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    use_api(&app, &bob, "first", 1, 0);
    assert_eq!(use_api(&app, &alice, "spend", 0, 300)["charged"], 300);
    decide(&app, &seen(&app, &bob), "reject");
    use_api(&app, &bob, "more", 149, 0);
    let reply = decide(&app, &seen(&app, &bob), "clear");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("active")), "{}", reply.body);
    assert_eq!((available(&app, &alice), available(&app, &bob)), (200, 1_000), "the debt is repaid");
    app.advance_days(7);
    assert_eq!(available(&app, &alice), 1_700, "first call on its old terms, and what was reached meanwhile");
    let reasons: Vec<_> = alice.client.get("/v1/developers/ledger?limit=200").json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["reason"].clone())
        .collect();
    for reason in ["referral_signup", "abuse", "reopened", "debt_repayment", "referral_active"] {
        assert!(reasons.contains(&json!(reason)), "{reason}: {reasons:?}");
    }
    // And back once more, to the last credit.
    decide(&app, &seen(&app, &bob), "reject");
    let stats = alice.client.get("/v1/developers/referral-stats").json();
    assert_eq!((&stats["credits_available"], &stats["owed"]), (&json!(0), &json!(300)));
    decide(&app, &seen(&app, &bob), "clear");
    assert_eq!(available(&app, &alice), 1_700);
}

#[test]
fn what_was_refunded_while_it_was_rejected_is_not_paid_again() {
    let app = proxied();
    app.change_program(|program| {
        program["unit"] = json!("usd");
        program["conversion"] = json!("first_purchase");
        program["rules"] = json!([{ "reason": "commission", "on": "purchase", "to": "referrer",
            "basis_points": { "basic": 1_000, "partner": 1_000 } }]);
    });
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    for (id, amount) in [("p1", 10_000), ("p2", 5_000)] {
        let purchase = json!({ "id": id, "developer_id": bob.id, "amount": amount, "currency": "usd" });
        assert_eq!(app.gateway().post("/v1/purchases", purchase).status, 201);
    }
    let refund = |id: &str, of: &str, amount: i64| {
        let refund = json!({ "id": id, "purchase_id": of, "amount": amount });
        assert_eq!(app.gateway().post("/v1/refunds", refund).status, 201);
    };
    refund("r1", "p1", 2_000);
    assert_eq!(available(&app, &alice), 1_300);
    decide(&app, &seen(&app, &bob), "reject");
    assert_eq!(available(&app, &alice), 0);
    refund("r2", "p1", 3_000);
    refund("r3", "p2", 5_000);
    assert_eq!(decide(&app, &seen(&app, &bob), "clear").status, 200);
    assert_eq!(available(&app, &alice), 500, "half of the first purchase is left");
    refund("r4", "p1", 5_000);
    assert_eq!(available(&app, &alice), 0);
}

#[test]
fn what_a_rule_refused_or_nothing_held_cannot_be_cleared() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let own = sign_up(&app, "192.0.2.2", "other@alice.example", Some(&code));
    assert_eq!(own.referral()["reason"], "same_domain");
    assert_eq!(decide(&app, &seen(&app, &own), "clear").problem(409), "rejected_by_rule");
    assert_eq!(decide(&app, &seen(&app, &own), "reject").status, 200, "it is rejected");
    let bob = sign_up(&app, "192.0.2.3", "bob@bob.example", Some(&code));
    assert_eq!(decide(&app, &seen(&app, &bob), "clear").problem(409), "not_held");
    decide(&app, &seen(&app, &bob), "reject");
    let colleague = sign_up(&app, "192.0.2.4", "carl@bob.example", Some(&code));
    assert_eq!(colleague.referral()["status"], "applied", "there is room for another one of the household");
    assert_eq!(decide(&app, &seen(&app, &bob), "clear").problem(409), "household_taken");
}

#[test]
fn the_list_is_by_status_code_and_domain() {
    let app = proxied();
    let (_, bob) = held(&app);
    let (_, zoes) = referrer(&app, "zoe", "192.0.2.7");
    sign_up(&app, "192.0.2.8", "carol@carol.example", Some(&zoes));
    sign_up(&app, "192.0.2.9", "dan@mail.dan.example", Some(&zoes));
    let emails = |query: &str| -> Vec<String> {
        let all = listed(&app, query).into_iter();
        all.map(|item| item["referee"]["email"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(emails("limit=9"), ["dan@mail.dan.example", "carol@carol.example", "bob@bob.example"]);
    assert_eq!(emails("status=review"), ["bob@bob.example"]);
    assert_eq!(emails(&format!("code={zoes}")), ["dan@mail.dan.example", "carol@carol.example"]);
    assert_eq!(emails(&format!("code={zoes}&status=review")), [""; 0]);
    assert_eq!(emails("domain=dan.example"), ["dan@mail.dan.example"]);
    assert_eq!(emails("domain=nobody.example"), [""; 0]);
    let page = app.gateway().get(&format!("{REFERRALS}?limit=2")).json();
    let next = page["next_cursor"].as_str().unwrap();
    assert_eq!(emails(&format!("limit=2&cursor={next}")), ["bob@bob.example"]);
    for (query, fault) in [
        ("status=nice", "status: invalid_status"),
        ("code=NOBODYS", "code: unknown_code"),
        ("domain=gmail.com", "domain: public_domain"),
        ("domain=a%20b", "domain: invalid_domain"),
    ] {
        assert_eq!(app.gateway().get(&format!("{REFERRALS}?{query}")).faults(), [fault], "{query}");
    }
    let shown = seen(&app, &bob);
    let own = shown["grants"].as_array().unwrap();
    assert_eq!(own.len(), 2);
    assert_eq!((&own[0]["pending"], &own[0]["status"]), (&json!(1_000), &json!("PENDING")));
    let id = shown["id"].as_str().unwrap();
    app.project("acme", Preset::Credits, "live");
    let acme = app.gateway_of("acme");
    assert_eq!(acme.get(&format!("{REFERRALS}/{id}")).status, 404);
    assert_eq!(acme.get(&format!("/v1/admin/projects/acme/referrals/{id}")).status, 404);
}

#[test]
fn every_decision_is_in_the_audit_log() {
    let app = proxied();
    let (_, bob) = held(&app);
    let shown = seen(&app, &bob);
    decide(&app, &shown, "clear");
    decide(&app, &shown, "reject");
    decide(&app, &shown, "clear");
    let actions = app.sqlite3(&format!(
        "SELECT action || ' ' || reason FROM audit WHERE subject = '{}' ORDER BY seq",
        shown["id"].as_str().unwrap()
    ));
    let expected = ["referral.clear looked at", "referral.reject looked at", "referral.reopen looked at"];
    assert_eq!(actions.trim().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_reason_says_something() {
    let app = proxied();
    let (_, bob) = held(&app);
    let id = seen(&app, &bob)["id"].as_str().unwrap().to_owned();
    for (reason, fault) in [(json!(" "), "required"), (json!(null), "required"), (json!("x".repeat(501)), "too_long")] {
        let reply = app.gateway().post(&format!("{REFERRALS}/{id}/clear"), json!({ "reason": reason }));
        assert_eq!(reply.faults(), [format!("reason: {fault}")]);
    }
    assert_eq!(
        app.gateway().post(&format!("{REFERRALS}/ref_0000000000001/clear"), json!({ "reason": "x" })).status,
        404
    );
    assert_eq!(app.gateway().get(&format!("{REFERRALS}/nonsense")).status, 404);
}

#[test]
fn a_browser_that_has_signed_in_as_the_referrer_tells_on_any_day() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let devices = super::devices_of(&app, &alice);
    app.advance_ms(20 * DAY_MS);
    let body =
        json!({ "email": "bob@bob.example", "password": "secure-password", "name": "Bob", "referral_code": code });
    let cookie = format!("refloop_device={devices}");
    let headers = [("X-Forwarded-For", "192.0.2.9"), ("Content-Type", "application/json"), ("Cookie", &cookie)];
    let reply = app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes());
    assert_eq!(reply.json()["referral"]["status"], "review", "{}", reply.body);
    assert_eq!(signals(&listed(&app, "status=review")[0]), ["same_visitor"]);
}
