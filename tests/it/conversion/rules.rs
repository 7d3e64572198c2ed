//! What a conversion takes: codes, addresses, rules against abuse, programs.

use super::{LINK, Stage, code_of, data, figures};
use crate::harness::{App, DAY_MS};
use refloop::domain::program::Preset;
use serde_json::json;

#[test]
fn the_same_address_converts_once_whoevers_code_it_is() {
    let stage = Stage::new();
    let (alice, carol) = (stage.user("alice"), stage.user("carol"));
    let (alices, carols) = (code_of(&alice), code_of(&carol));
    stage.converts(&alices, "bob@bob.example", "alice");
    for (code, email) in [(&alices, "bob@bob.example"), (&alices, " BOB@Bob.Example "), (&carols, "bob@bob.example")] {
        stage.converts_not(code, email);
    }
    assert_eq!((figures(&alice), figures(&carol)), ([1, 1, 0, 5], [0; 4]));
}

#[test]
fn a_code_that_cannot_be_used_converts_nothing_and_leaves_nothing() {
    let stage = Stage::new();
    let (alice, carol) = (stage.user("alice"), stage.user("carol"));
    let (revoked, used_up) = (code_of(&alice), code_of(&carol));
    stage.app.sqlite3(&format!("UPDATE code SET revoked_at_ms = created_at_ms WHERE code = '{revoked}'"));
    stage.app.sqlite3(&format!("UPDATE code SET max_uses = 1 WHERE code = '{used_up}'"));
    stage.converts(&used_up, "first@first.example", "carol");
    let before = stage.app.dump();
    for code in
        ["NOBODYS1", "x", "abc", "with space", "dash-ed", "  ", "ÄÖÜ", "12345678901234567890", &revoked, &used_up]
    {
        stage.converts_not(code, "bob@bob.example");
    }
    assert!(stage.app.dump() == before);
    // The address is as new as ever.
    stage.converts(&code_of(&alice), "bob@bob.example", "alice");
}

#[test]
fn an_abuse_rule_converts_nothing_and_is_on_record() {
    let stage = Stage::new();
    let alice = stage.verified("alice", "alice@alice.example");
    let code = code_of(&alice);
    stage.converts(&code, "first@used.example", "alice");
    for (email, reason) in [
        ("colleague@alice.example", "same_domain"),
        ("bob@mailinator.com", "disposable_email"),
        ("second@used.example", "domain_already_used"),
        ("first+again@used.example", "already_referred"),
    ] {
        stage.converts_not(&code, email);
        assert_eq!(
            stage.sql("SELECT status, reason FROM referral ORDER BY id DESC LIMIT 1"),
            format!("rejected|{reason}")
        );
        let decision = "SELECT verdict, code, rule FROM decision ORDER BY id DESC LIMIT 1";
        assert_eq!(stage.sql(decision), format!("refused|{reason}|abuse"));
        // Also a second time, and then there is nothing new to record.
        stage.converts_not(&code, email);
    }
    assert_eq!(stage.sql("SELECT count(*) FROM referral"), "5");
    assert_eq!(figures(&alice), [1, 1, 0, 5]);
}

#[test]
fn nobody_converts_through_their_own_code() {
    let stage = Stage::new();
    let alice = stage.verified("alice", "alice@alice.example");
    let code = code_of(&alice);
    stage.converts_not(&code, "alice@alice.example");
    assert_eq!(stage.sql("SELECT count(*) FROM referral"), "0", "as when a code is applied late");
    stage.converts_not(&code, "alice+me@alice.example");
    assert_eq!(stage.sql("SELECT status, reason FROM referral"), "rejected|self_referral");
    assert_eq!(figures(&alice), [0; 4]);
}

#[test]
fn a_referrer_that_earns_nothing_is_paid_nothing() {
    let stage = Stage::new();
    let alice = stage.verified("alice", "alice@mailinator.com");
    stage.converts(&code_of(&alice), "bob@bob.example", "alice");
    assert_eq!(figures(&alice), [1, 1, 0, 0]);
    assert_eq!(stage.sql("SELECT verdict, code FROM decision"), "refused|disposable_email");
}

#[test]
fn the_referrer_is_named_by_the_teams_id_else_by_ours() {
    let stage = Stage::new();
    let alice = stage.app.developer("Alice");
    stage.converts(&alice.code(), "bob@bob.example", &alice.id);
    assert_eq!(alice.stats()["credits_available"], 5);
}

#[test]
fn a_pending_referral_is_converted_by_its_referrers_code_alone() {
    let stage = Stage::new();
    let (alice, carol) = (stage.user("alice"), stage.user("carol"));
    let (alices, carols) = (code_of(&alice), code_of(&carol));
    stage.app.sqlite3(&format!("UPDATE code SET max_uses = 1 WHERE code = '{alices}'"));
    assert_eq!(stage.app.try_sign_up("bob@bob.example", Some(&alices)).status, 201);
    assert_eq!(figures(&alice), [1, 0, 1, 0]);
    stage.converts_not(&carols, "bob@bob.example");
    assert_eq!(figures(&alice), [1, 0, 1, 0]);
    // However late, and although the code is used up, by this very referral.
    stage.app.advance_days(30);
    stage.converts(&alices, "bob@bob.example", "alice");
    assert_eq!((figures(&stage.user("alice")), figures(&stage.user("carol"))), ([1, 1, 0, 5], [0; 4]));
    stage.converts_not(&alices, "bob@bob.example");
    let listed = stage.sql("SELECT status, converted_at_ms - signed_up_at_ms FROM referral");
    assert_eq!(listed, format!("converted|{}", 30 * DAY_MS));
}

#[test]
fn a_pending_referral_of_an_erased_referrer_converts_and_pays_nobody() {
    let stage = Stage::new();
    let alice = stage.app.developer("Alice");
    let code = alice.code();
    assert_eq!(stage.app.try_sign_up("bob@bob.example", Some(&code)).status, 201);
    assert_eq!(alice.delete("/v1/developers/me").status, 200);
    stage.converts(&code, "bob@bob.example", &alice.id);
    assert_eq!(stage.sql("SELECT (SELECT count(*) FROM entry), code FROM decision"), "0|account_erased");
    stage.converts_not(&code, "carol@carol.example");
}

#[test]
fn who_signed_up_with_a_password_is_referred_by_nobody_else() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    assert_eq!(stage.app.try_sign_up("me@bob.example", None).status, 201);
    let before = stage.app.dump();
    stage.converts_not(&code, "me@bob.example");
    assert!(stage.app.dump() == before);
    assert_eq!(figures(&stage.user("alice")), [0, 0, 0, 0]);
}

#[test]
fn a_user_of_the_app_converts_while_a_code_may_still_be_applied() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    for name in ["soon", "late", "busy"] {
        stage.user(name).get(LINK);
        stage.app.sqlite3(&format!("UPDATE account SET email = 'me@{name}.example' WHERE external_id = '{name}'"));
    }
    stage.app.gateway().post("/v1/usage", json!({ "id": "u", "external_id": "busy", "calls": 1 }));
    stage.converts_not(&code, "me@busy.example");
    stage.app.advance_days(7);
    stage.converts(&code, "me@soon.example", "alice");
    stage.app.advance_ms(1);
    stage.converts_not(&code, "me@late.example");
    assert_eq!(stage.sql("SELECT count(*) FROM referral"), "1", "what is too late is no referral, as in /v1");
    assert_eq!(figures(&stage.user("alice")), [1, 1, 0, 5]);
}

#[test]
fn a_disabled_program_takes_nobody_new_and_pays_nothing() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    assert_eq!(stage.app.try_sign_up("bob@bob.example", Some(&code)).status, 201);
    stage.app.change_program(|program| program["enabled"] = json!(false));
    let before = stage.app.dump();
    stage.converts_not(&code, "carol@carol.example");
    assert!(stage.app.dump() == before);
    stage.converts(&code, "bob@bob.example", "alice");
    assert_eq!(figures(&stage.user("alice")), [1, 1, 0, 0], "the conversion counts, and pays by the program in force");
    assert_eq!(code_of(&stage.user("alice")), code, "a link is there all the same");
    stage.app.change_program(|program| program["enabled"] = json!(true));
    stage.converts(&code, "carol@carol.example", "alice");
}

#[test]
fn where_another_event_converts_the_call_does_nothing() {
    // It takes no key and no password: it must not pay what a signup pays, nor refer those who have signed up.
    for preset in [Preset::Credits, Preset::Commission, Preset::Subscription] {
        let app = App::start();
        app.change_program(|program| *program = serde_json::to_value(preset.program()).unwrap());
        let (alice, _carol) = (app.developer("Alice"), app.developer("Carol"));
        let code = alice.code();
        let before = app.dump();
        for email in ["bob@bob.example", "carol@carol.example"] {
            let answer = app.anonymous().post(super::CONVERT, json!({ "referralCode": code, "email": email }));
            assert_eq!(data(&answer), json!({ "converted": false, "referrerId": null }), "{preset:?}");
        }
        assert!(app.dump() == before, "{preset:?}");
    }
}

#[test]
fn a_program_may_pay_for_the_signup_and_the_conversion() {
    let stage = Stage::new();
    stage.app.change_program(|program| {
        let rules = program["rules"].as_array_mut().unwrap();
        rules.push(json!({ "reason": "signed_up", "on": "signup", "to": "referrer", "amount": 2 }));
        rules.push(json!({ "reason": "welcome", "on": "conversion", "to": "referee", "amount": 7, "hold_days": 1 }));
    });
    let alice = stage.user("alice");
    let code = code_of(&alice);
    stage.converts(&code, "bob@bob.example", "alice");
    assert_eq!(figures(&alice), [1, 1, 0, 7]);
    let reasons =
        stage.sql("SELECT group_concat(reason || ' ' || amount, ', ') FROM (SELECT * FROM entry ORDER BY seq)");
    assert_eq!(reasons, "signed_up 2, referral_conversion 5, welcome 7");
    assert_eq!(stage.sql("SELECT DISTINCT event FROM decision ORDER BY event"), "convert\nsignup");
    assert_eq!(alice.get(LINK).status, 200);
}
