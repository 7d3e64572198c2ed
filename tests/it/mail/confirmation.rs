//! Confirming an address: what waits for it, and what then happens.

use super::{Office, fill_in};
use crate::harness::{DAY_MS, Developer};
use crate::visitor::{Visitor, assert_page};
use refloop::domain::program::Preset;
use serde_json::{Value, json};

/// Alice, confirmed, with a code; and the office that has to confirm from now on.
fn alice_s_office() -> (Office, Developer, String) {
    let office = Office::open();
    let alice = office.app.developer("Alice");
    let code = alice.code();
    office.confirm_addresses();
    (office, alice, code)
}

fn confirm(office: &Office, token: &str) -> crate::harness::Reply {
    let visitor = Visitor::new(&office.app);
    fill_in(&visitor, &format!("/confirm?token={token}"), "/confirm", &[("token", token)])
}

fn figures(developer: &Developer) -> (Value, Value) {
    let stats = developer.stats();
    (stats["total_referrals"].clone(), stats["credits_earned"].clone())
}

#[test]
fn a_referral_begins_when_the_address_is_confirmed() {
    let (office, alice, code) = alice_s_office();
    let bob = office.app.referee("Bob", &code);
    assert_eq!(bob.signup["referral"], json!({ "status": "awaiting_confirmation", "code": code }));
    assert_eq!((figures(&alice), figures(&bob)), ((json!(0), json!(0)), (json!(0), json!(0))));
    assert_eq!(bob.get("/v1/developers/me").status, 200, "the key works at once");

    let mail = office.the_mail();
    assert_eq!(mail.to, "RCPT TO:<bob@bob.example>");
    assert_eq!(mail.header("List-Unsubscribe"), None);
    let token = mail.token();
    assert!(!office.app.dump().contains(&token), "only its hash is in the file");
    let page = Visitor::new(&office.app).get(&format!("/confirm?token={token}"));
    assert_page(&page, 200);
    assert_eq!(figures(&alice).0, 0, "opening the link is not enough");

    let page = confirm(&office, &token);
    assert_page(&page, 200);
    assert!(page.body.contains("Your account at Developer API starts with 1,000 credits."), "{}", page.body);
    assert_eq!((figures(&alice), figures(&bob)), ((json!(1), json!(500)), (json!(0), json!(1_000))));
    assert_eq!(office.the_mail().to, "RCPT TO:<alice@alice.example>", "now there is something to tell");
    assert_page(&Visitor::new(&office.app).get(&format!("/confirm?token={token}")), 404);
}

#[test]
fn until_then_no_code_is_used_or_made() {
    let (office, alice, code) = alice_s_office();
    let bob = office.app.developer("Bob");
    assert_eq!(bob.signup["referral"], Value::Null);
    for (path, body) in
        [("/v1/developers/referrals/apply", json!({ "code": code })), ("/v1/developers/referral-code", json!({}))]
    {
        assert_eq!(bob.post(path, body).problem(409), "address_unconfirmed", "{path}");
    }
    let page = confirm(&office, &office.the_mail().token());
    assert!(page.body.contains("You are all set at Developer API."), "{}", page.body);
    assert_eq!(bob.post("/v1/developers/referrals/apply", json!({ "code": code })).status, 201);
    bob.code();
    assert_eq!(figures(&alice).0, 1);
}

#[test]
fn the_team_vouches_for_its_own_customers_and_not_for_who_signed_up_here() {
    let (office, alice, code) = alice_s_office();
    let bob = office.app.developer("Bob");
    let token = office.the_mail().token();
    let told = |what: &str, body: Value| {
        let path = format!("/api/billstack/teams/default/projects/default/referrals/{what}");
        office.app.gateway().post(&path, body)
    };
    let apply = |who: &str| told("apply", json!({ "code": code, "refereeCustomerId": who }));
    assert_eq!(told("codes", json!({ "customerId": bob.id })).problem(409), "address_unconfirmed");
    assert_eq!(apply(&bob.id).problem(409), "address_unconfirmed");
    assert_eq!(figures(&alice), (json!(0), json!(0)));
    // Who has no address here has none to confirm.
    assert_eq!(told("codes", json!({ "customerId": "pc_carol" })).status, 201);
    assert_eq!(apply("pc_dave").status, 201);
    assert_eq!(figures(&alice), (json!(1), json!(500)));
    confirm(&office, &token);
    assert_eq!((apply(&bob.id).status, told("codes", json!({ "customerId": bob.id })).status), (201, 201));
    assert_eq!(figures(&alice), (json!(2), json!(1_000)));
}

#[test]
fn until_then_nobody_becomes_a_partner() {
    let office = Office::open();
    let project = office.app.engine.project_named("default").unwrap();
    office.app.engine.set_program(&project, Preset::Commission.program(), "test").unwrap();
    office.confirm_addresses();
    let bob = office.app.developer("Bob");
    let signature = json!({ "agreement_version": 1, "signature": "Bob", "accept": true });
    assert_eq!(bob.post("/v1/partner/upgrade", signature).problem(409), "address_unconfirmed");
    confirm(&office, &office.the_mail().token());
    crate::payouts::upgrade(&bob);
}

#[test]
fn what_was_done_in_the_meantime_counts() {
    let (office, alice, code) = alice_s_office();
    let (early, late) = (office.app.referee("Early", &code), office.app.referee("Late", &code));
    let tokens: Vec<_> = office.deliver().iter().map(super::Mail::token).collect();
    confirm(&office, &tokens[0]);
    for bob in [&early, &late] {
        bob.use_api(&office.app.gateway(), &bob.id, 100);
    }
    confirm(&office, &tokens[1]);
    let referrals = alice.all("/v1/developers/referrals?limit=10");
    for referral in &referrals {
        assert_eq!((&referral["status"], &referral["credits_total"]), (&json!("active"), &json!(2_000)), "{referral}");
    }
    assert_eq!(referrals.len(), 2);
    late.use_api(&office.app.gateway(), "more", 100);
    assert_eq!(figures(&alice).1, 4_000, "and once");
}

#[test]
fn purchases_and_refunds_in_the_meantime_count_as_they_would_have() {
    let (office, alice, code) = alice_s_office();
    let gateway = office.app.gateway();
    office.app.change_program(|program| {
        let mail = program["mail"].clone();
        *program = json!(Preset::Commission.program());
        program["mail"] = mail;
        let first = json!({ "reason": "first", "on": "first_purchase", "to": "referrer", "amount": 100 });
        program["rules"].as_array_mut().unwrap().push(first);
    });
    let (early, late) = (office.app.referee("Early", &code), office.app.referee("Late", &code));
    let tokens: Vec<_> = office.deliver().iter().map(super::Mail::token).collect();
    confirm(&office, &tokens[0]);
    for (name, bob) in [("e", &early), ("l", &late)] {
        for (n, amount) in [(1, 50), (2, 4_000), (3, 10_000)] {
            let purchase =
                json!({ "id": format!("{name}{n}"), "developer_id": bob.id, "amount": amount, "currency": "usd" });
            assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
        }
        let refund = json!({ "id": format!("r{name}"), "purchase_id": format!("{name}3"), "amount": 10_000 });
        assert_eq!(gateway.post("/v1/refunds", refund).status, 201);
    }
    confirm(&office, &tokens[1]);
    let referrals = alice.all("/v1/developers/referrals?limit=10");
    let told = |referral: &Value| {
        let credits = referral["credits"].as_array().unwrap().iter();
        let mut credits: Vec<_> = credits.map(|c| format!("{} {} {}", c["reason"], c["amount"], c["status"])).collect();
        credits.sort();
        (referral["status"].clone(), credits)
    };
    assert_eq!(told(&referrals[0]), told(&referrals[1]));
    assert_eq!(referrals[0]["status"], "converted");
    assert_eq!(told(&referrals[0]).1.len(), 3, "{:?}", told(&referrals[0]));
}

#[test]
fn a_code_must_still_be_good_and_the_rules_against_abuse_hold() {
    let (office, alice, code) = alice_s_office();
    let colleague = office.app.try_sign_up("carol@alice.example", Some(&code));
    assert_eq!(colleague.json()["referral"]["status"], "awaiting_confirmation");
    let page = confirm(&office, &office.the_mail().token());
    assert!(page.body.contains("No bonus was credited. The code belongs to someone with your own"), "{}", page.body);
    let bob = office.app.referee("Bob", &code);
    assert_eq!(alice.delete("/v1/developers/referral-code").status, 200);
    assert!(confirm(&office, &office.the_mail().token()).body.contains("You are all set"));
    assert_eq!((figures(&bob).1, figures(&alice).0), (json!(0), json!(0)));
}

#[test]
fn a_link_is_good_for_a_week_and_another_one_can_be_asked_for() {
    let (office, alice, code) = alice_s_office();
    office.app.referee("Bob", &code);
    let first = office.the_mail().token();
    office.app.advance_ms(7 * DAY_MS);
    let visitor = Visitor::new(&office.app);
    let page = visitor.get(&format!("/confirm?token={first}"));
    assert_page(&page, 404);
    assert!(page.body.contains("href=\"/confirm/again\""));
    for wrong in ["", "x", &first[1..], "%00"] {
        assert_page(&visitor.get(&format!("/confirm?token={wrong}")), 404);
    }
    let answers = ["bob@bob.example", "alice@alice.example", "nobody@nobody.example"].map(|email| {
        let page = fill_in(&visitor, "/confirm/again", "/confirm/again", &[("email", email)]);
        assert_page(&page, 200);
        page.body
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(office.outbox().len(), 3, "the same is written for each");
    assert_page(&confirm(&office, &office.the_mail().token()), 200);
    assert_eq!(figures(&alice).0, 1);
    let typo = fill_in(&visitor, "/confirm/again", "/confirm/again", &[("email", "bob")]);
    assert_page(&typo, 422);
    assert!(typo.body.contains("An e-mail address has an @ in it."));
    assert_page(&visitor.send("POST", "/confirm", &[crate::visitor::FORM], "token=x"), 403);
}

#[test]
fn erasing_an_account_that_waits_leaves_nothing_of_it() {
    let (office, _, code) = alice_s_office();
    let bob = office.app.referee("Bob", &code);
    let token = office.the_mail().token();
    assert_eq!(bob.delete("/v1/developers/me").status, 200);
    assert_eq!(office.app.sqlite3("SELECT * FROM unconfirmed; SELECT * FROM mail_token;"), "");
    assert_page(&Visitor::new(&office.app).get(&format!("/confirm?token={token}")), 404);
}

#[test]
fn the_page_after_a_signup_says_that_a_mail_is_coming() {
    let (office, _, code) = alice_s_office();
    let page = Visitor::new(&office.app).sign_up_well("Bob", "bob@bob.example", &code);
    assert_page(&page, 201);
    assert!(page.body.contains("We are sending you a mail with a link"), "{}", page.body);
    assert!(!page.body.contains("starts with"), "the bonus is not there yet");
}
