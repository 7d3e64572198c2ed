//! Accounts at Stripe: made once, completed by the person, told of by webhook.

use super::Stage;
use refloop::domain::setting::Setting;
use serde_json::json;

#[test]
fn an_account_is_made_once_and_what_is_missing_is_said_in_words() {
    let stage = Stage::basic();
    assert_eq!(stage.alice.post("/v1/partner/connect", json!({})).problem(409), "not_partner");
    assert!(stage.stripe.account_ids().is_empty());
    stage.upgrade();
    let connected = stage.connect();
    let id = stage.stripe.account_ids()[0].clone();
    let missing = json!(["Your bank account", "Your date of birth"]);
    assert_eq!(
        connected,
        json!({ "account_id": id, "onboarding_url": format!("https://connect.stripe.com/setup/e/{id}"),
                "ready": false, "requirements": missing })
    );
    assert_eq!(stage.partner()["stripe"], json!({ "account_id": id, "ready": false, "requirements": missing }));
    let made = &stage.stripe.requests("POST", "/v1/accounts")[0];
    assert_eq!(made.header("idempotency-key"), Some(stage.alice.id.as_str()));
    assert_eq!(made.header("authorization"), Some("Bearer sk_of_the_tests"));
    assert!(made.header("stripe-version").is_some());
    let link = &stage.stripe.requests("POST", "/v1/account_links")[0];
    assert!(
        link.body.contains("type=account_onboarding") && link.body.contains("%2Fdashboard%2Fpartner%3Fstripe%3Dreturn")
    );

    stage.stripe.complete_account(&id);
    assert_eq!(stage.partner()["stripe"]["ready"], false, "nobody has told yet");
    assert_eq!(stage.connect()["ready"], true, "asked again");
    assert_eq!(stage.partner()["stripe"], json!({ "account_id": id, "ready": true, "requirements": [] }));
    assert_eq!(stage.stripe.account_ids().len(), 1);
}

#[test]
fn events_say_how_an_account_stands_and_the_latest_counts() {
    let stage = Stage::basic();
    stage.upgrade();
    let id = stage.connect()["account_id"].as_str().unwrap().to_owned();
    let incomplete = stage.stripe.with(|state| state.accounts[&id].clone());
    stage.app.advance_ms(10_000);
    let early = stage.event("evt_1", "account.updated", &incomplete);
    stage.app.advance_ms(10_000);
    let late = stage.event("evt_2", "account.updated", &stage.stripe.complete_account(&id));
    assert_eq!(stage.tell(&late), "account");
    assert_eq!(stage.partner()["stripe"]["ready"], true);
    assert_eq!(stage.tell(&early), "outdated");
    assert_eq!(stage.tell(&late), "account", "a duplicate says what it said");
    assert_eq!(stage.partner()["stripe"]["ready"], true);

    stage.app.advance_ms(10_000);
    let mut restricted = stage.stripe.complete_account(&id);
    restricted["requirements"]["past_due"] = json!(["individual.verification.document"]);
    assert_eq!(stage.tell(&stage.event("evt_3", "account.updated", &restricted)), "account");
    let stripe = stage.partner()["stripe"].clone();
    assert_eq!(stripe, json!({ "account_id": id, "ready": false, "requirements": ["Your identity document"] }));
    stage.earn("p-1", 3_000);
    assert_eq!(stage.ask(json!({})).problem(409), "stripe_not_ready");
    let mut stranger = restricted;
    stranger["id"] = json!("acct_of_somebody");
    assert_eq!(stage.tell(&stage.event("evt_4", "account.updated", &stranger)), "ignored");
    assert_eq!(stage.tell(&stage.event("evt_5", "account.updated", &json!({ "id": 5 }))), "unusable");
}

#[test]
fn a_bank_that_refuses_is_shown() {
    let stage = Stage::ready();
    let id = stage.partner()["stripe"]["account_id"].clone();
    let mut event = stage.event("evt_1", "payout.failed", &json!({ "id": "po_x", "failure_code": "account_closed" }));
    assert_eq!(stage.tell(&event), "unusable", "not of a connected account");
    event["id"] = json!("evt_2");
    event["account"] = id;
    assert_eq!(stage.tell(&event), "account");
    let requirements = stage.partner()["stripe"]["requirements"].clone();
    assert!(requirements[0].as_str().unwrap().contains("account_closed"), "{requirements}");
}

#[test]
fn while_stripe_is_down_nothing_is_half_done() {
    let stage = Stage::basic();
    stage.upgrade();
    stage.stripe.with(|state| state.is_down = true);
    let reply = stage.alice.post("/v1/partner/connect", json!({}));
    assert_eq!(reply.problem(503), "stripe_unavailable");
    assert!(reply.header("retry-after").is_some());
    assert_eq!(stage.partner()["stripe"]["account_id"], json!(null));
    stage.stripe.with(|state| state.is_down = false);
    let id = stage.connect()["account_id"].clone();
    stage.stripe.with(|state| state.is_down = true);
    assert_eq!(stage.alice.post("/v1/partner/connect", json!({})).problem(503), "stripe_unavailable");
    assert_eq!(stage.partner()["stripe"]["account_id"], id);
    stage.stripe.with(|state| state.is_down = false);
    assert_eq!(stage.connect()["account_id"], id);
    assert_eq!(stage.stripe.account_ids().len(), 1);
}

#[test]
fn a_refusal_is_not_repeated_for_a_day() {
    let stage = Stage::basic();
    stage.upgrade();
    stage.stripe.with(|state| state.makes_accounts = false);
    assert_eq!(stage.alice.post("/v1/partner/connect", json!({})).problem(503), "stripe_unavailable");
    stage.stripe.with(|state| state.makes_accounts = true);
    stage.connect();
    let keys = stage.stripe.requests("POST", "/v1/accounts");
    let keys: Vec<_> = keys.iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys, [stage.alice.id.clone(), format!("{}-1", stage.alice.id)]);
}

#[test]
fn another_stripe_of_the_team_s_gets_an_account_of_its_own() {
    let stage = Stage::ready();
    let first = stage.partner()["stripe"]["account_id"].clone();
    stage.stripe.with(|state| state.api_keys.insert("sk_other".into(), "acct_other_platform".into()));
    stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, "sk_other".into())]).unwrap();
    let second = stage.connect();
    assert_ne!(second["account_id"], first);
    assert_eq!(second["ready"], false);
    assert_eq!(stage.partner()["stripe"]["account_id"], second["account_id"]);
}

#[test]
fn without_a_key_there_is_no_stripe() {
    let stage = Stage::basic();
    stage.upgrade();
    stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, String::new())]).unwrap();
    assert_eq!(stage.alice.post("/v1/partner/connect", json!({})).problem(409), "stripe_not_configured");
    assert_eq!(stage.ask(json!({})).problem(409), "stripe_not_configured");
}

#[test]
fn a_wrong_key_of_the_team_s_is_no_secret_told_to_developers() {
    let stage = Stage::basic();
    stage.upgrade();
    stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, "sk_wrong".into())]).unwrap();
    let reply = stage.alice.post("/v1/partner/connect", json!({}));
    assert_eq!(reply.problem(503), "stripe_unavailable");
    assert!(!reply.body.contains("sk_wrong") && !reply.body.contains("Invalid API Key"), "{}", reply.body);
}

#[test]
fn links_lead_to_the_project_s_own_pages() {
    let stage = Stage::basic();
    stage.upgrade();
    stage.app.engine.set_project("default", vec![(Setting::Host, "acme.example".into())]).unwrap();
    stage.connect();
    let link = crate::stripe_api::form(&stage.stripe.requests("POST", "/v1/account_links")[0].body);
    let port = stage.app.url.rsplit_once(':').unwrap().1;
    for (name, what) in [("return_url", "return"), ("refresh_url", "refresh")] {
        let expected = format!("http://acme.example:{port}/dashboard/partner?stripe={what}");
        assert!(link.contains(&(name.to_owned(), expected)), "{link:?}");
    }
}
