//! The seed's examples, answer by answer: these fields and no others.

use super::{Acme, config, path};
use crate::harness::Reply;
use serde_json::{Value, json};

fn expect(reply: &Reply, status: u16, body: &Value) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(&reply.json(), body);
}

/// When each test begins.
const START: &str = "2026-01-15T10:00:00Z";

#[test]
fn the_configuration() {
    let acme = Acme::start();
    let body = json!({ "config": {
        "enabled": true, "referrerCreditAmount": 1_000, "refereeCreditAmount": 500, "currency": "usd",
        "projectId": acme.id(),
    } });
    expect(&acme.gateway.get(&path("config")), 200, &body);
    expect(&acme.gateway.put(&path("config"), config(true, 1_000, 500)), 200, &body);
}

#[test]
fn a_code_from_its_making_to_its_end() {
    let acme = Acme::start();
    let made = acme.make_code("pc_a1b2c3d4");
    let code = made.json()["code"]["code"].as_str().unwrap().to_owned();
    assert!(code.len() == 8 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{code}");
    let one = json!({
        "code": code, "customerId": "pc_a1b2c3d4", "projectId": acme.id(), "isActive": true, "createdAt": START,
    });
    expect(&made, 201, &json!({ "code": one }));
    expect(&acme.gateway.get(&path("codes?limit=25")), 200, &json!({ "codes": [one] }));
    expect(
        &acme.gateway.get(&path(&format!("codes/{code}"))),
        200,
        &json!({
            "code": { "code": code, "customerId": "pc_a1b2c3d4", "isActive": true, "createdAt": START },
            "referrals": [],
        }),
    );
    let ended = json!({ "code": { "code": code, "isActive": false } });
    expect(&acme.gateway.delete(&path(&format!("codes/{code}"))), 200, &ended);
}

#[test]
fn a_referral_from_its_application_to_its_conversion() {
    let acme = Acme::start();
    let code = acme.code("pc_a1b2c3d4");
    let applied = acme.apply(&code, "pc_new1");
    let first = applied.json()["referral"]["id"].clone();
    assert!(first.as_str().unwrap().starts_with("ref_"));
    expect(
        &applied,
        201,
        &json!({ "referral": {
            "id": first, "code": code, "referrerCustomerId": "pc_a1b2c3d4", "refereeCustomerId": "pc_new1",
            "status": "pending", "createdAt": START,
        } }),
    );
    half_an_hour_later(&acme);
    acme.buy("pc_new1", "in_1");
    acme.app.advance_days(1);
    let second = acme.referral(&code, "pc_new2")["id"].clone();
    expect(
        &acme.gateway.get(&path(&format!("codes/{code}"))),
        200,
        &json!({
            "code": { "code": code, "customerId": "pc_a1b2c3d4", "isActive": true, "createdAt": START },
            "referrals": [
                {
                    "id": second, "refereeCustomerId": "pc_new2", "status": "pending",
                    "createdAt": "2026-01-16T10:30:00Z", "convertedAt": null,
                },
                {
                    "id": first, "refereeCustomerId": "pc_new1", "status": "converted",
                    "createdAt": START, "convertedAt": "2026-01-15T10:30:00Z",
                },
            ],
        }),
    );
}

fn half_an_hour_later(acme: &Acme) {
    acme.app.advance_ms(1_800_000);
}
