//! Which account a token's subject is, and what a verified address has to do with it.

use super::{LINK, STATS, Stage, code_of, data, figures};
use crate::harness::Client;
use serde_json::{Value, json};

/// `id of the team: address`, in the order in which the accounts were made.
fn accounts(stage: &Stage) -> Vec<String> {
    let rows = "SELECT coalesce(external_id, '-') || ': ' || coalesce(email, '-') FROM account ORDER BY id";
    stage.sql(rows).lines().map(ToOwned::to_owned).collect()
}

fn with_claims(stage: &Stage, sub: &str, more: &Value) -> Client {
    let mut claims = stage.claims(sub);
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage.app.anonymous().with_key(&stage.signer.token(&claims))
}

#[test]
fn a_verified_address_is_the_account_that_was_converted() {
    for path in [LINK, STATS] {
        let stage = Stage::new();
        let alice = stage.user("alice");
        let code = code_of(&alice);
        stage.converts(&code, "bob@bob.example", "alice");
        assert_eq!(accounts(&stage), ["alice: -", "-: bob@bob.example"]);
        data(&stage.verified("bob", "Bob@BOB.example").get(path));
        assert_eq!(accounts(&stage), ["alice: -", "bob: bob@bob.example"], "{path}");
        // Known from now on, whatever the token says of addresses.
        let bobs = code_of(&stage.user("bob"));
        stage.converts_not(&bobs, "bob@bob.example");
        stage.converts(&bobs, "carol@carol.example", "bob");
        assert_eq!(figures(&stage.user("bob")), [1, 1, 0, 5]);
        assert_eq!(accounts(&stage).len(), 3);
        // And for the gateway.
        let usage = json!({ "id": "u", "external_id": "bob", "calls": 2 });
        assert_eq!(stage.app.gateway().post("/v1/usage", usage).json()["available"], 3);
    }
}

#[test]
fn an_address_that_is_not_verified_names_nobody() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    stage.converts(&code, "bob@bob.example", "alice");
    for (place, more) in [
        json!({ "email": "bob@bob.example" }),
        json!({ "email": "bob@bob.example", "email_verified": false }),
        json!({ "email": "bob@bob.example", "email_verified": "true" }),
        json!({ "email": "bob@bob.example", "email_verified": 1 }),
        json!({ "email": ["bob@bob.example"], "email_verified": true }),
        json!({ "email": "bob@bob", "email_verified": true }),
        json!({ "email": "bob@bob.example\n", "email_verified": true }),
        json!({ "email": null, "email_verified": true }),
        json!({ "email_verified": true }),
    ]
    .into_iter()
    .enumerate()
    {
        code_of(&with_claims(&stage, &format!("user-{place}"), &more));
        assert_eq!(accounts(&stage).last().unwrap(), &format!("user-{place}: -"), "{more}");
    }
    assert_eq!(accounts(&stage)[1], "-: bob@bob.example");
}

#[test]
fn a_new_subject_brings_its_verified_address_and_an_old_one_adds_it() {
    let stage = Stage::new();
    code_of(&stage.verified("alice", "alice@alice.example"));
    let bob = code_of(&stage.user("bob"));
    assert_eq!(accounts(&stage), ["alice: alice@alice.example", "bob: -"]);
    assert_eq!(code_of(&stage.verified("bob", "bob@mailinator.com")), bob);
    assert_eq!(accounts(&stage), ["alice: alice@alice.example", "bob: bob@mailinator.com"]);
    assert_eq!(stage.sql("SELECT group_concat(disposable) FROM account"), "0,1");
    // One that is there is kept: the referrals were judged by it.
    assert_eq!(code_of(&stage.verified("bob", "bob@other.example")), bob);
    assert_eq!(accounts(&stage)[1], "bob: bob@mailinator.com");
}

#[test]
fn two_accounts_are_never_made_one() {
    let stage = Stage::new();
    let (alice, bob) = (code_of(&stage.verified("alice", "alice@alice.example")), code_of(&stage.user("bob")));
    stage.converts(&alice, "carol@carol.example", "alice");
    let before = stage.app.dump();
    // Each has an account; the address is another one's, or one that a conversion made. The id decides.
    for (sub, email, code) in [
        ("bob", "alice@alice.example", &bob),
        ("bob", "carol@carol.example", &bob),
        ("alice", "carol@carol.example", &alice),
    ] {
        let user = stage.verified(sub, email);
        assert_eq!(&code_of(&user), code, "{sub} {email}");
        assert_eq!(figures(&user)[0], i64::from(sub == "alice"));
    }
    assert!(stage.app.dump() == before);
    // A new id with an address that is another id's.
    let eve = stage.verified("eve", "alice@alice.example");
    assert_eq!(figures(&eve), [0; 4]);
    assert_ne!(code_of(&eve), alice);
    assert_eq!(accounts(&stage), ["alice: alice@alice.example", "bob: -", "-: carol@carol.example", "eve: -"]);
    // Carol comes herself.
    code_of(&stage.verified("carol", "carol@carol.example"));
    assert_eq!(accounts(&stage)[2], "carol: carol@carol.example");
}

#[test]
fn an_account_with_a_password_stays_with_who_has_it() {
    // Whoever signs up says an address and proves nothing: its owner's token must not end up in their account.
    let stage = Stage::new();
    assert_eq!(stage.app.try_sign_up("bob@bob.example", None).status, 201);
    let code = code_of(&stage.verified("bob", "bob@bob.example"));
    assert_eq!(accounts(&stage), ["-: bob@bob.example", "bob: -"]);
    assert_eq!(code_of(&stage.verified("bob", "bob@bob.example")), code);
}

#[test]
fn an_erased_account_is_not_found_again() {
    let stage = Stage::new();
    let alice = stage.user("alice");
    let code = code_of(&alice);
    stage.converts(&code, "bob@bob.example", "alice");
    let reply = stage.app.try_sign_up("bob@bob.example", None);
    let bob = stage.app.anonymous().with_key(reply.json()["api_key"].as_str().unwrap());
    assert_eq!(bob.delete("/v1/developers/me").status, 200);
    // The person is known by a hash: nobody is paid for them twice.
    stage.converts_not(&code, "bob@bob.example");
    assert_eq!(figures(&alice), [1, 1, 0, 5]);
    assert_eq!(stage.sql("SELECT status, reason FROM referral ORDER BY id DESC LIMIT 1"), "rejected|already_referred");
}

#[test]
fn a_subject_may_be_any_text_that_prints() {
    let stage = Stage::new();
    let long = "x".repeat(128);
    for sub in ["1", "auth0|5f7c8ec7c33c6c004bbafe82", "it's; DROP TABLE account", "李雷", "dev_1", &long] {
        let code = code_of(&stage.user(sub));
        assert_eq!(code_of(&stage.user(sub)), code, "{sub}");
        let email = format!("bob@{}.example", code.to_lowercase());
        stage.converts(&code, &email, sub);
    }
}

#[test]
fn what_stripe_told_of_a_user_before_their_first_token_is_settled_by_it() {
    let stage = Stage::new();
    stage.app.change_program(|program| {
        let commission = json!({ "reason": "commission", "on": "purchase", "to": "referrer",
                                 "basis_points": { "basic": 500, "partner": 1_000 } });
        program["rules"].as_array_mut().unwrap().push(commission);
    });
    stage.app.sqlite3("UPDATE project SET stripe_webhook_secrets = 'whsec'");
    let alice = stage.user("alice");
    stage.converts(&code_of(&alice), "bob@bob.example", "alice");
    let mut paid = crate::stripe::invoice("in_1", 2_000);
    paid["metadata"]["customer_id"] = json!("bob-1");
    let event = crate::stripe::event("evt_1", "invoice.paid", stage.app.now_ms(), paid).to_string();
    let signature = crate::stripe::signed(event.as_bytes(), "whsec", stage.app.now_ms());
    let told = stage.app.anonymous().send(
        "POST",
        crate::stripe::PATH,
        &[("Stripe-Signature", &signature)],
        event.into_bytes(),
    );
    assert_eq!(told.json()["outcome"], "waiting", "nobody is bob-1 yet");
    assert_eq!(figures(&alice), [1, 1, 0, 5]);
    stage.verified("bob-1", "bob@bob.example").get(LINK);
    assert_eq!(figures(&alice), [1, 1, 0, 105]);
}
