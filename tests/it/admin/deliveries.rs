//! The outbox as operators see it.

use super::desk::{Desk, call, noted};
use crate::harness::App;
use crate::mail::outbox::queue;
use crate::visitor::{FORM, Visitor, encode, value_of};
use refloop::domain::operator::OperatorRole;
use refloop::engine::Settings;
use serde_json::{Value, json};

fn deliveries(app: &App, query: &str) -> Vec<Value> {
    let reply = app.gateway().get(&call(&format!("deliveries{query}")));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["data"].as_array().unwrap().clone()
}

/// Three letters, two of them parked.
fn stage() -> App {
    let app = App::start();
    queue(&app, 1..4);
    app.sqlite3("UPDATE outbox SET state = 'parked', tries = 12, problem = '550 no such user' WHERE id > (SELECT min(id) FROM outbox)");
    app
}

#[test]
fn what_waits_and_what_is_parked_is_listed_with_its_reason() {
    let app = stage();
    assert_eq!(deliveries(&app, "").len(), 3);
    assert_eq!((deliveries(&app, "?state=parked").len(), deliveries(&app, "?state=waiting").len()), (2, 1));
    assert_eq!((deliveries(&app, "?kind=mail").len(), deliveries(&app, "?kind=transfer").len()), (3, 0));
    let parked = &deliveries(&app, "?state=parked&limit=1")[0];
    assert_eq!((&parked["problem"], &parked["tries"]), (&json!("550 no such user"), &json!(12)));
    for (query, fault) in [("?state=done", "state: invalid_state"), ("?kind=pigeon", "kind: unknown_kind")] {
        assert_eq!(app.gateway().get(&call(&format!("deliveries{query}"))).faults(), [fault]);
    }
}

#[test]
fn one_or_all_are_tried_again() {
    let app = stage();
    let id = deliveries(&app, "?state=parked")[0]["id"].as_str().unwrap().to_owned();
    let reply = app.gateway().post(&call(&format!("deliveries/{id}/retry")), json!({}));
    assert_eq!(reply.json(), json!({ "id": id, "state": "waiting" }));
    assert_eq!(noted(&app)[0].1, id);
    let reply = app.gateway().post(&call("deliveries/retry"), json!({ "kind": "mail" }));
    assert_eq!(reply.json(), json!({ "kind": "mail", "retried": 1 }));
    assert_eq!(deliveries(&app, "?state=waiting").len(), 3);
    assert_eq!(app.gateway().post(&call("deliveries/retry"), json!({ "kind": "x" })).faults(), ["kind: unknown_kind"]);
    let none = call("deliveries/out_0000000000001/retry");
    assert_eq!(app.gateway().post(&none, json!({})).problem(404), "not_found");
}

#[test]
fn a_letter_can_be_read_before_it_is_sent_and_taken_back() {
    let app = stage();
    let id = deliveries(&app, "")[0]["id"].as_str().unwrap().to_owned();
    let shown = app.gateway().get(&call(&format!("deliveries/{id}"))).json();
    assert_eq!(shown["letter"]["to"], "me@alice.example");
    assert!(shown["letter"]["text"].as_str().unwrap().contains("25.00 USD"), "{shown}");
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    let masked = reader.browser.get(&call(&format!("deliveries/{id}"))).json();
    assert!(masked["letter"].is_null(), "{masked}");
    assert_eq!(app.gateway().delete(&call(&format!("deliveries/{id}"))).json()["discarded"], true);
    assert_eq!(deliveries(&app, "").len(), 2);
    assert_eq!(app.gateway().get(&call(&format!("deliveries/{id}"))).problem(404), "not_found");
    assert_eq!(noted(&app)[0], ("delivery.discard".into(), id, String::new()));
}

#[test]
fn a_preview_makes_no_token() {
    let app = App::start_for(Settings { sends_mail: true, ..Settings::default() });
    app.developer("Alice");
    let browser = Visitor::new(&app);
    let csrf = value_of(&browser.get("/forgot"), "csrf");
    let form = encode(&[("csrf", &csrf), ("email", "alice@alice.example")]);
    assert_eq!(browser.send("POST", "/forgot", &[FORM], &form).status, 200);
    let id = deliveries(&app, "")[0]["id"].as_str().unwrap().to_owned();
    let shown = app.gateway().get(&call(&format!("deliveries/{id}"))).json();
    assert!(shown["letter"]["text"].as_str().unwrap().contains("/reset?token=…"), "{shown}");
    assert_eq!(app.sqlite3("SELECT count(*) FROM mail_token").trim(), "0");
}

#[test]
fn what_is_about_money_is_never_dropped() {
    let app = stage();
    app.sqlite3("UPDATE outbox SET kind = 'transfer', body = '{\"payout_id\":\"po_1\"}'");
    let id = deliveries(&app, "")[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.gateway().delete(&call(&format!("deliveries/{id}"))).problem(409), "not_discardable");
    assert_eq!(deliveries(&app, "").len(), 3);
    let page = Desk::sign_in(&app, OperatorRole::Operator).page(&format!("deliveries/{id}")).body;
    assert!(page.contains("Transfer of po_1") && !page.contains("Do not send it"), "{page}");
}

#[test]
fn a_question_about_a_domain_can_be_dropped() {
    let app = stage();
    app.sqlite3("UPDATE outbox SET kind = 'domain', body = '{\"referral\":\"ref_1\"}'");
    let ids: Vec<_> = deliveries(&app, "").iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let shown = app.gateway().get(&call(&format!("deliveries/{}", ids[0])));
    assert_eq!((shown.status, shown.json()["letter"].clone()), (200, Value::Null), "it is no letter");
    assert_eq!(app.gateway().delete(&call(&format!("deliveries/{}", ids[0]))).json()["discarded"], true);
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let page = operator.page(&format!("deliveries/{}", ids[1])).body;
    assert!(page.contains("Do not ask") && !page.contains("Do not send it"), "{page}");
    operator.done("deliveries", &[("discard", &ids[1])]);
    assert_eq!(deliveries(&app, "").len(), 1);
}

#[test]
fn the_page_does_the_same() {
    let app = stage();
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let page = operator.page("deliveries").body;
    assert!(page.contains("550 no such user") && page.contains("Parked (2)"), "{page}");
    assert!(operator.done("deliveries", &[("all", "mail")]).contains("2 parked letters are tried again now."));
    let id = deliveries(&app, "")[0]["id"].as_str().unwrap().to_owned();
    let letter = operator.page(&format!("deliveries/{id}")).body;
    assert!(letter.contains("me@alice.example") && letter.contains("Do not send it"), "{letter}");
    operator.done("deliveries", &[("retry", &id)]);
    operator.done("deliveries", &[("discard", &id)]);
    assert_eq!(deliveries(&app, "").len(), 2);
    assert_eq!(operator.send("deliveries", "deliveries", &[("retry", &id)]).status, 404);
    assert_eq!(operator.send("deliveries", "deliveries", &[("all", "pigeon")]).status, 400);
}
