//! Sixteen servers of the project at once.

use super::{Acme, path};
use crate::races::{CLIENTS, all_at_once, statuses};
use serde_json::json;

#[test]
fn one_code_for_a_customer_whom_all_ask_for() {
    let acme = Acme::start();
    let replies = all_at_once(|_| acme.make_code("alice"));
    assert_eq!((statuses(&replies, 201), statuses(&replies, 200)), (1, CLIENTS - 1));
    assert!(replies.iter().all(|reply| reply.json() == replies[0].json()));
    assert_eq!(acme.app.sqlite3("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM code)").trim(), "1|1");
}

#[test]
fn a_customer_comes_once_however_many_say_so() {
    let acme = Acme::start();
    let codes: Vec<String> = (0..CLIENTS).map(|n| acme.code(&format!("referrer-{n}"))).collect();
    let replies = all_at_once(|client| acme.apply(&codes[client], "bob"));
    assert_eq!((statuses(&replies, 201), statuses(&replies, 409)), (1, CLIENTS - 1));
    assert_eq!(acme.app.sqlite3("SELECT count(*) FROM referral").trim(), "1");
    acme.buy("bob", "in_1");
    let granted: i64 = (0..CLIENTS).map(|n| acme.granted(&format!("referrer-{n}"))).sum();
    assert_eq!((granted, acme.granted("bob")), (1_000, 500));
}

#[test]
fn the_same_change_from_all_is_one_version() {
    let acme = Acme::start();
    let body = json!({ "enabled": true, "referrerCreditAmount": 7, "refereeCreditAmount": 7 });
    let replies = all_at_once(|_| acme.gateway.put(&path("config"), body.clone()));
    assert_eq!(statuses(&replies, 200), CLIENTS);
    let (program, _) = acme.app.engine.program(&acme.project).unwrap();
    assert_eq!(program.version, 2);
}

#[test]
fn after_a_code_was_ended_nobody_comes_by_it() {
    let acme = Acme::start();
    let code = acme.code("alice");
    let replies = all_at_once(|client| {
        if client == 0 {
            acme.gateway.delete(&path(&format!("codes/{code}")))
        } else {
            acme.apply(&code, &format!("pc_{client}"))
        }
    });
    let came = statuses(&replies, 201);
    assert_eq!(came + statuses(&replies, 422), CLIENTS - 1);
    assert_eq!(acme.statuses(&code).len(), came);
    assert_eq!(acme.apply(&code, "late").faults(), ["code: revoked_code"]);
}
