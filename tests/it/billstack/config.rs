//! The program in four fields.

use super::{Acme, config, path};
use refloop::domain::program::Preset;
use serde_json::{Value, json};

fn versions(acme: &Acme) -> Vec<String> {
    let (_, versions) = acme.app.engine.program(&acme.project).unwrap();
    versions.into_iter().rev().map(|version| version.author).collect()
}

#[test]
fn a_change_is_a_version_by_whoever_made_it() {
    let acme = Acme::start();
    let key = acme.app.sqlite3("SELECT id FROM api_key ORDER BY id DESC LIMIT 1");
    let key = refloop::domain::id::KeyId(key.trim().parse().unwrap()).to_string();
    assert_eq!(versions(&acme), ["command line"]);
    acme.set_config(true, 1_000, 500);
    assert_eq!(versions(&acme).len(), 1, "the same again is no version");
    acme.set_config(true, 2_000, 500);
    acme.set_config(true, 2_000, 500);
    acme.set_config(false, 2_000, 500);
    assert_eq!(versions(&acme), ["command line", &key, &key]);
    assert_eq!((&acme.config()["enabled"], &acme.config()["referrerCreditAmount"]), (&json!(false), &json!(2_000)));
}

#[test]
fn everything_else_in_the_program_stays() {
    let acme = Acme::start();
    let (before, _) = acme.app.engine.program(&acme.project).unwrap();
    let mut changed = (*before).clone();
    changed.sharing.text = "Come to {url}".into();
    changed.attribution.window_days = 30;
    changed.rules[0].reason = "thank_you".into();
    acme.app.engine.set_program(&acme.project, changed.clone(), "test").unwrap();
    acme.set_config(true, 7, 0);
    let (after, _) = acme.app.engine.program(&acme.project).unwrap();
    changed.rules[0].amount = Some(7);
    changed.rules[1].amount = Some(0);
    assert_eq!(*after, changed);
}

#[test]
fn the_currency_is_dollars_when_nothing_is_said() {
    let acme = Acme::start();
    let reply = acme.gateway.put(
        &path("config"),
        json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 2, "currency": "EUR" }),
    );
    assert_eq!((reply.status, &reply.json()["config"]["currency"]), (200, &json!("eur")));
    for currency in [Value::Null, json!("usd")] {
        let body = json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 2,
                           "currency": currency });
        assert_eq!(acme.gateway.put(&path("config"), body).json()["config"]["currency"], "usd");
    }
    let reply = acme.gateway.put(
        &path("config"),
        json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 2, "more": "is ignored" }),
    );
    assert_eq!(reply.json()["config"]["currency"], "usd");
    assert_eq!(versions(&acme).len(), 3);
}

#[test]
fn each_refusal_changes_nothing() {
    let acme = Acme::start();
    let before = acme.app.dump();
    for (body, faults) in [
        (json!({}), vec!["enabled: required", "referrerCreditAmount: required", "refereeCreditAmount: required"]),
        (
            json!({ "enabled": "true", "referrerCreditAmount": 1, "refereeCreditAmount": 1 }),
            vec!["enabled: wrong_type"],
        ),
        (
            json!({ "enabled": true, "referrerCreditAmount": -1, "refereeCreditAmount": 1_000_000_000_001_i64 }),
            vec!["referrerCreditAmount: out_of_range", "refereeCreditAmount: out_of_range"],
        ),
        (
            json!({ "enabled": true, "referrerCreditAmount": 1.5, "refereeCreditAmount": "5" }),
            vec!["referrerCreditAmount: wrong_type", "refereeCreditAmount: wrong_type"],
        ),
        (
            json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 1, "currency": "credits" }),
            vec!["currency: invalid_currency"],
        ),
        (
            json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 1, "currency": "€€€" }),
            vec!["currency: invalid_currency"],
        ),
        (
            json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 1, "currency": 840 }),
            vec!["currency: wrong_type"],
        ),
    ] {
        assert_eq!(acme.gateway.put(&path("config"), body.clone()).faults(), faults, "{body}");
    }
    assert!(acme.app.dump() == before);
}

#[test]
fn the_largest_amounts_are_taken() {
    let acme = Acme::start();
    acme.set_config(true, 1_000_000_000_000, 1_000_000_000_000);
    assert_eq!(acme.config()["refereeCreditAmount"], 1_000_000_000_000_i64);
}

#[test]
fn a_program_with_more_to_it_is_shown_and_left_alone() {
    for (preset, referrer, referee, currency) in [
        (Preset::Credits, 2_000, 1_000, "credits"),
        (Preset::Commission, 0, 250, "usd"),
        (Preset::Bonus, 5, 0, "credits"),
    ] {
        let acme = Acme::with(preset);
        let shown = json!({ "enabled": true, "referrerCreditAmount": referrer, "refereeCreditAmount": referee,
                            "currency": currency, "projectId": acme.id() });
        assert_eq!(acme.config(), shown, "{preset:?}");
        let reply = acme.gateway.put(&path("config"), config(true, referrer, referee));
        assert_eq!(reply.problem(409), "program_not_expressible", "{preset:?}");
        assert_eq!(versions(&acme).len(), 1);
    }
}

#[test]
fn the_currency_of_credits_that_exist_is_fixed() {
    let acme = Acme::start();
    acme.referral(&acme.code("alice"), "bob");
    acme.buy("bob", "in_1");
    let euros = json!({ "enabled": true, "referrerCreditAmount": 1, "refereeCreditAmount": 1, "currency": "eur" });
    assert_eq!(acme.gateway.put(&path("config"), euros).problem(409), "unit_is_fixed");
    acme.set_config(true, 1, 1);
}
