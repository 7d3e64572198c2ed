//! Who may refer whom. A referral that breaks a rule is kept as rejected and pays nothing, ever.

use crate::harness::App;
use serde_json::{Value, json};

/// What became of a signup with this code.
fn outcome(app: &App, email: &str, code: &str) -> String {
    let reply = app.try_sign_up(email, Some(code));
    assert_eq!(reply.status, 201, "{email}: {}", reply.body);
    let referral = &reply.json()["referral"];
    referral["reason"].as_str().or(referral["status"].as_str()).unwrap().to_owned()
}

#[test]
fn nobody_refers_within_one_domain() {
    let app = App::start();
    let code_of = |email: &str| app.sign_up("Alice", email, None).code();
    for (referrer, referees) in [
        (
            "alice@corp.example",
            vec![
                ("bob@corp.example", "same_domain"),
                ("bob@sub.corp.example", "same_domain"),
                ("bob@Deep.Sub.CORP.example", "same_domain"),
                ("bob@notcorp.example", "applied"),
                ("alice@corp2.example", "applied"),
            ],
        ),
        ("alice@mail.firm.example", vec![("bob@firm.example", "same_domain")]),
        ("alice@firm.co.uk", vec![("bob@dev.firm.co.uk", "same_domain"), ("bob@other.co.uk", "applied")]),
        ("alice@one.github.io", vec![("bob@two.github.io", "applied"), ("bob@one.github.io", "same_domain")]),
        ("alice@bücher.example", vec![("bob@xn--bcher-kva.example", "same_domain")]),
    ] {
        let code = code_of(referrer);
        for (referee, expected) in referees {
            assert_eq!(outcome(&app, referee, &code), expected, "{referrer} refers {referee}");
        }
    }
}

#[test]
fn at_public_providers_the_mailbox_counts() {
    let app = App::start();
    for (referrer, referees) in [
        (
            "alice.smith@gmail.com",
            vec![
                ("alicesmith@gmail.com", "self_referral"),
                ("a.l.i.c.e.smith+two@gmail.com", "self_referral"),
                ("alicesmith@googlemail.com", "self_referral"),
                ("bob@gmail.com", "applied"),
                ("b.o.b@gmail.com", "already_referred"),
                ("bob+again@googlemail.com", "already_referred"),
                ("carol@gmail.com", "applied"),
            ],
        ),
        (
            "dave@outlook.com",
            vec![
                ("dave+two@outlook.com", "self_referral"),
                ("d.ave@outlook.com", "applied"),
                ("dave@hotmail.com", "applied"),
            ],
        ),
    ] {
        let code = app.sign_up("Alice", referrer, None).code();
        for (referee, expected) in referees {
            assert_eq!(outcome(&app, referee, &code), expected, "{referrer} refers {referee}");
        }
    }
}

#[test]
fn strict_domains_treat_public_providers_like_any_domain() {
    let app = App::start();
    app.change_program(|program| program["abuse"]["strict_domains"] = json!(true));
    let alice = app.sign_up("Alice", "alice@gmail.com", None).code();
    let carol = app.developer("Carol").code();
    assert_eq!(outcome(&app, "bob@gmail.com", &alice), "same_domain");
    assert_eq!(outcome(&app, "dave@gmail.com", &carol), "applied");
    assert_eq!(outcome(&app, "erin@gmail.com", &carol), "domain_already_used");
    assert_eq!(outcome(&app, "bob@outlook.com", &alice), "applied");
}

#[test]
fn a_domain_comes_in_once_through_each_referrer() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    let code = alice.code();
    assert_eq!(outcome(&app, "bob@corp.example", &code), "applied");
    assert_eq!(outcome(&app, "dave@corp.example", &code), "domain_already_used");
    assert_eq!(outcome(&app, "erin@mail.corp.example", &code), "domain_already_used");
    alice.delete("/v1/developers/referral-code");
    assert_eq!(
        outcome(&app, "frank@corp.example", &alice.code()),
        "domain_already_used",
        "a new code is no new chance"
    );
    assert_eq!(outcome(&app, "grace@corp.example", &carol.code()), "applied");
}

#[test]
fn a_rejected_colleague_does_not_use_up_the_domain() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    assert_eq!(outcome(&app, "bob@alice.example", &alice.code()), "same_domain");
    assert_eq!(outcome(&app, "eve@alice.example", &carol.code()), "applied");
    // The rejected mailbox is no referred one: under another account it may still come in.
    assert_eq!(outcome(&app, "bob+2@alice.example", &app.developer("Dave").code()), "applied");
}

#[test]
fn disposable_addresses_sign_up_without_credits() {
    let app = App::start();
    let code = app.developer("Alice").code();
    for email in ["x@mailinator.com", "x@sub.mailinator.com", "X@YOPMAIL.com"] {
        assert_eq!(outcome(&app, email, &code), "disposable_email", "{email}");
    }
    for email in ["x@duck.com", "x@mozmail.com"] {
        assert_eq!(outcome(&app, email, &code), "applied", "{email}");
    }
    assert_eq!(app.try_sign_up("y@mailinator.com", None).json()["referral"], Value::Null);
}

#[test]
fn a_mailbox_is_referred_once_even_after_its_erasure() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    for email in ["bob@gmail.com", "bob@corp.example"] {
        let bob = app.sign_up("Bob", email, Some(&alice.code()));
        assert_eq!(bob.delete("/v1/developers/me").status, 200);
        assert_eq!(outcome(&app, email, &carol.code()), "already_referred", "{email}");
    }
    assert_eq!(outcome(&app, "b.ob+new@gmail.com", &carol.code()), "already_referred");
    assert_eq!(carol.stats()["credits_earned"], 0);
}

#[test]
fn a_rejected_referral_is_shown_with_its_reason_and_never_pays() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    let eve = app.sign_up("Eve", "eve@alice.example", Some(&code));
    eve.use_api(&gateway, "first", 1);
    eve.use_api(&gateway, "many", 1_000);
    let bought = gateway
        .post("/v1/purchases", json!({ "id": "p1", "developer_id": eve.id, "amount": 10_000, "currency": "usd" }));
    assert_eq!(bought.status, 201);
    app.advance_days(30);
    app.sweep();
    let stats = alice.stats();
    for zero in ["total_referrals", "conversions", "pending_referrals", "credits_earned", "credits_pending"] {
        assert_eq!(stats[zero], 0, "{zero}");
    }
    assert_eq!(stats["milestones"]["rejected"], 1);
    assert!(stats["series"].as_array().unwrap().iter().all(|day| day["signups"] == 0 && day["conversions"] == 0));
    assert_eq!(alice.get("/v1/developers/me").json()["referred_developers_count"], 0);
    let listed = alice.all("/v1/developers/referrals?limit=10");
    assert_eq!(listed.len(), 1);
    assert_eq!(
        [&listed[0]["status"], &listed[0]["reason"], &listed[0]["credits"], &listed[0]["credits_total"]],
        [&json!("rejected"), &json!("same_domain"), &json!([]), &json!(0)]
    );
    assert_eq!(listed[0]["first_call_at"], Value::Null);
    assert_eq!(eve.stats()["credits_earned"], 0);
    assert_eq!(app.sqlite3("SELECT count(*) FROM entry").trim(), "0");
}

#[test]
fn the_refusal_is_explained_without_names() {
    let app = App::start();
    let code = app.developer("Alice").code();
    outcome(&app, "eve@alice.example", &code);
    let decision = app.sqlite3("SELECT rule, verdict, code, program_version, event FROM decision");
    assert_eq!(decision.trim(), "abuse|refused|same_domain|1|signup");
    let inputs: Value = serde_json::from_str(&app.sqlite3("SELECT inputs FROM decision")).unwrap();
    assert_eq!(
        inputs,
        json!({
            "same_mailbox": false,
            "same_household": true,
            "disposable": false,
            "referred_before": false,
            "household_used": false, "mutual": false,
        })
    );
}

#[test]
fn a_rejection_for_another_reason_leaves_the_domain_free() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    let bob = app.sign_up("Bob", "bob@corp.example", Some(&alice.code()));
    bob.delete("/v1/developers/me");
    assert_eq!(outcome(&app, "bob@corp.example", &carol.code()), "already_referred");
    assert_eq!(outcome(&app, "dave@corp.example", &carol.code()), "applied");
}

#[test]
fn a_disposable_referrer_earns_nothing_and_takes_nothing_from_the_referee() {
    let app = App::start();
    let mallory = app.sign_up("Mallory", "m@mailinator.com", None);
    let bob = app.referee("Bob", &mallory.code());
    assert_eq!(bob.signup["referral"]["bonus_credits"], 1_000);
    bob.use_api(&app.gateway(), "many", 100);
    assert_eq!((&mallory.stats()["credits_earned"], &bob.stats()["credits_earned"]), (&json!(0), &json!(1_000)));
    assert_eq!(
        app.sqlite3("SELECT rule, verdict, code FROM decision ORDER BY id").lines().collect::<Vec<_>>(),
        [
            "signup_bonus|granted|granted",
            "referral_signup|refused|disposable_email",
            "referral_first_call|refused|disposable_email",
            "referral_active|refused|disposable_email",
        ]
    );
}
