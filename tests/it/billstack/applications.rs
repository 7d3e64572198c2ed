//! A customer who came with a code.

use super::{Acme, path};
use crate::harness::DAY_MS;
use serde_json::json;

#[test]
fn each_refusal_makes_nothing() {
    let acme = Acme::start();
    let (code, ended) = (acme.code("alice"), acme.code("carol"));
    acme.gateway.delete(&path(&format!("codes/{ended}")));
    let foreign = acme.app.developer("Mallory").code();
    acme.referral(&code, "bob");
    let before = acme.app.dump();
    for (code, referee, fault) in [
        (code.as_str(), "alice", "code: self_referral"),
        (&code.to_lowercase(), "alice", "code: self_referral"),
        (&ended, "newcomer", "code: revoked_code"),
        (&ended, "carol", "code: revoked_code"),
        ("NOSUCHCODE", "newcomer", "code: unknown_code"),
        (&foreign, "newcomer", "code: unknown_code"),
        ("no", "newcomer", "code: invalid_code"),
        ("no code!", "newcomer", "code: invalid_code"),
        ("", "newcomer", "code: required"),
        (&code, "", "refereeCustomerId: required"),
        (&code, "new\0comer", "refereeCustomerId: invalid_characters"),
    ] {
        assert_eq!(acme.apply(code, referee).faults(), [fault], "{code} {referee}");
    }
    for (code, referee) in [(code.as_str(), "bob"), (&ended, "bob"), ("NOSUCHCODE", "bob")] {
        assert_eq!(acme.apply(code, referee).problem(409), "already_referred", "{code} {referee}");
    }
    assert_eq!(
        acme.gateway.post(&path("apply"), json!({})).faults(),
        ["code: required", "refereeCustomerId: required"]
    );
    assert!(acme.app.dump() == before, "not even an account");
}

#[test]
fn a_disabled_program_takes_none() {
    let acme = Acme::start();
    let code = acme.code("alice");
    acme.set_config(false, 1_000, 500);
    let before = acme.app.dump();
    assert_eq!(acme.apply(&code, "bob").problem(409), "program_disabled");
    assert!(acme.app.dump() == before);
    acme.set_config(true, 1_000, 500);
    assert_eq!(acme.referral(&code, "bob")["status"], "pending");
}

#[test]
fn a_code_is_read_as_people_type_it() {
    let acme = Acme::start();
    let code = acme.code("alice");
    let referral = acme.referral(&format!(" {} ", code.to_lowercase()), "bob");
    assert_eq!(referral["code"], json!(code));
}

#[test]
fn a_customer_who_has_long_had_a_code_may_come_with_one() {
    let acme = Acme::start();
    let code = acme.code("alice");
    acme.code("bob");
    acme.app.advance_ms(30 * DAY_MS);
    let referral = acme.referral(&code, "bob");
    assert_eq!((&referral["status"], &referral["createdAt"]), (&json!("pending"), &json!("2026-02-14T10:00:00Z")));
    acme.buy("bob", "in_1");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (1_000, 500));
}

#[test]
fn two_who_refer_each_other_are_not_paid_for_both() {
    let acme = Acme::start();
    let (alices, bobs) = (acme.code("alice"), acme.code("bob"));
    acme.referral(&alices, "bob");
    let back = acme.referral(&bobs, "alice");
    assert_eq!((&back["status"], &back["reason"]), (&json!("rejected"), &json!("mutual_referral")));
    let history = acme.history(&bobs);
    assert_eq!(history["referrals"][0]["status"], "rejected");
    assert_eq!(history["referrals"][0]["reason"], "mutual_referral");
    assert_eq!(acme.apply(&alices, "alice").problem(409), "already_referred", "one referral ever");
    acme.buy("alice", "in_1");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (0, 0));
    assert_eq!(acme.statuses(&bobs), ["rejected"]);
}

#[test]
fn a_code_that_is_used_up_is_refused() {
    let acme = Acme::start();
    let code = acme.code("alice");
    acme.app.sqlite3("UPDATE code SET max_uses = 1");
    acme.referral(&code, "bob");
    assert_eq!(acme.apply(&code, "carol").faults(), ["code: code_used_up"]);
}

#[test]
fn a_referral_in_review_is_shown_as_one() {
    let acme = Acme::start();
    let code = acme.code("alice");
    acme.referral(&code, "bob");
    acme.app.sqlite3("UPDATE referral SET status = 'review', reason = 'same_address'");
    let referral = acme.history(&code)["referrals"][0].clone();
    assert_eq!((&referral["status"], &referral["reason"]), (&json!("review"), &json!("same_address")));
}

#[test]
fn who_was_a_customer_before_is_no_new_one() {
    let acme = Acme::start();
    let code = acme.code("pc_alice");
    // Whoever has a code has an account: that alone makes no customer.
    acme.code("pc_new");
    for customer in ["pc_buyer", "pc_caller"] {
        acme.code(customer);
    }
    acme.buy("pc_buyer", "p1");
    let usage = json!({ "id": "u1", "external_id": "pc_caller", "calls": 1 });
    assert_eq!(acme.gateway.post("/v1/usage", usage).status, 200);
    acme.app.advance_days(8);
    let before = acme.app.dump();
    for customer in ["pc_buyer", "pc_caller"] {
        assert_eq!(acme.apply(&code, customer).problem(409), "already_active", "{customer}");
    }
    assert!(acme.app.dump() == before);
    assert_eq!(acme.referral(&code, "pc_new")["status"], "pending");
    // A purchase may be told a moment before the code that led to it.
    acme.code("pc_late");
    acme.buy("pc_late", "p2");
    acme.app.advance_days(7);
    assert_eq!(acme.referral(&code, "pc_late")["status"], "pending");
}
