//! Accounts at Stripe: made once, completed by the person, told of by webhook.

use super::Stage;
use crate::stripe_api::API_KEY;
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
fn a_bank_s_refusal_ends_when_the_bank_takes_money_and_not_before() {
    let stage = Stage::ready();
    let account = stage.partner()["stripe"]["account_id"].clone();
    let event = |id: &str, kind: &str| {
        stage.app.advance_ms(10_000);
        let mut event = stage.event(id, kind, &json!({ "id": "po_x", "failure_code": "account_closed" }));
        event["account"] = account.clone();
        event
    };
    let is_refused = || stage.partner()["stripe"]["requirements"] != json!([]);
    let (refused, paid) = (event("evt_1", "payout.failed"), event("evt_2", "payout.paid"));
    assert_eq!((stage.tell(&refused), is_refused()), ("account".into(), true));
    assert_eq!((stage.tell(&paid), is_refused()), ("account".into(), false));
    // In disorder the later word counts.
    let (refused, paid) = (event("evt_3", "payout.failed"), event("evt_4", "payout.paid"));
    assert_eq!((stage.tell(&paid), stage.tell(&refused), is_refused()), ("account".into(), "outdated".into(), false));
    // That Stripe has the money says nothing of the bank.
    stage.earn("p-1", 3_000);
    let refused = event("evt_5", "payout.failed");
    assert_eq!(stage.tell(&refused), "account");
    stage.app.advance_ms(10_000);
    stage.request(json!({}));
    stage.work();
    assert_eq!((stage.sent(), is_refused()), (3_000, true));
    let paid = event("evt_7", "payout.paid");
    assert_eq!((stage.tell(&paid), is_refused()), ("account".into(), false));
    let mut own = event("evt_6", "payout.paid");
    own.as_object_mut().unwrap().remove("account");
    assert_eq!(stage.tell(&own), "ignored", "to the team's own bank");
}

#[test]
fn what_is_due_by_a_later_day_is_shown_and_stands_in_no_way() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    let id = stage.stripe.account_ids()[0].clone();
    stage.app.advance_ms(10_000);
    let mut account = stage.stripe.complete_account(&id);
    account["requirements"]["currently_due"] = json!(["individual.verification.document"]);
    account["requirements"]["current_deadline"] = json!(1_772_323_200);
    assert_eq!(stage.tell(&stage.event("evt_1", "account.updated", &account)), "account");
    let due = json!({ "account_id": id, "ready": true, "requirements": ["Your identity document, by 2026-03-01"] });
    assert_eq!(stage.partner()["stripe"], due);
    stage.request(json!({}));
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
    // The other key was set by mistake: with the right one everything is as before.
    stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, API_KEY.into())]).unwrap();
    let back = stage.connect();
    assert_eq!((&back["account_id"], &back["ready"]), (&first, &json!(true)));
    assert_eq!(stage.stripe.account_ids().len(), 2, "none was made anew");
    stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, "sk_other".into())]).unwrap();
    assert_eq!(stage.connect()["account_id"], second["account_id"], "and with the other one, too");
}

#[test]
fn an_account_is_forgotten_only_where_it_is_sure_to_be_gone() {
    let stage = Stage::ready();
    let first = stage.partner()["stripe"]["account_id"].as_str().unwrap().to_owned();
    let kept = stage.stripe.with(|state| state.accounts.remove(&first).unwrap());
    // Stripe does not say whose the key is.
    stage.stripe.with(|state| state.hides_itself = true);
    assert_eq!(stage.alice.post("/v1/partner/connect", json!({})).problem(503), "stripe_unavailable");
    assert_eq!(stage.partner()["stripe"]["account_id"], json!(first));
    stage.stripe.with(|state| state.hides_itself = false);
    // A payout may be on its way there.
    stage.stripe.with(|state| state.accounts.insert(first.clone(), kept));
    stage.earn("p-1", 3_000);
    stage.request_and_try();
    stage.stripe.with(|state| state.accounts.remove(&first));
    let reply = stage.alice.post("/v1/partner/connect", json!({}));
    assert_eq!(reply.problem(409), "payout_open");
    assert!(reply.body.contains("Stripe does not know your account any more"), "{}", reply.body);
    assert_eq!(stage.partner()["stripe"]["account_id"], json!(first));
    // It is given back, as there is no such destination.
    stage.work_later();
    assert_eq!(stage.balance(), [3_000, 0, 0, 0, 0]);
    let second = stage.connect();
    assert_ne!(second["account_id"], json!(first));
    assert_eq!(second["ready"], false);
}

#[test]
fn an_account_whose_maker_was_not_known_is_known_for_theirs_once_they_see_it() {
    let stage = Stage::basic();
    stage.upgrade();
    stage.stripe.with(|state| state.hides_itself = true);
    let first = stage.connect()["account_id"].as_str().unwrap().to_owned();
    assert_eq!(stage.app.sqlite3("SELECT platform FROM stripe_account"), "\n");
    stage.stripe.with(|state| state.hides_itself = false);
    stage.connect();
    assert_eq!(stage.app.sqlite3("SELECT platform FROM stripe_account"), "acct_platform\n");
    stage.stripe.with(|state| state.accounts.remove(&first));
    assert_ne!(stage.connect()["account_id"], json!(first));
}

#[test]
fn an_account_that_is_somebody_else_s_is_nobody_s_second() {
    let stage = Stage::ready();
    let first = stage.partner()["stripe"]["account_id"].as_str().unwrap().to_owned();
    super::upgrade(&stage.bob);
    stage.stripe.with(|state| state.next_account = Some(first.clone()));
    assert_eq!(stage.bob.post("/v1/partner/connect", json!({})).problem(409), "stripe_account_taken");
    assert_eq!(stage.bob.get("/v1/partner").json()["stripe"]["account_id"], json!(null));
    assert_eq!(stage.partner()["stripe"]["account_id"], json!(first));
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
