//! What is let in: signatures, projects, rates; and that a redelivery does nothing.

use super::{Billing, PATH, SECRET, session, signed};
use crate::harness::App;
use refloop::domain::program::Preset;
use refloop::web::Quota;
use serde_json::json;
use std::time::Duration;

#[test]
fn each_signature_that_is_refused() {
    let billing = Billing::start();
    let body = billing.event("evt_1", "checkout.session.completed", session("cs_1")).to_string().into_bytes();
    let now_ms = billing.app.now_ms();
    let good = signed(&body, SECRET, now_ms);
    let (time, v1) = good.split_once(',').unwrap();
    let mut tampered = body.clone();
    let place = tampered.windows(6).position(|word| word == b"pc_bob").unwrap();
    tampered[place + 3] = b'r';
    for (body, signature, code) in [
        (&body, signed(&body, SECRET, now_ms - 301_000), "signature_expired"),
        (&body, signed(&body, SECRET, now_ms + 301_000), "signature_expired"),
        (&body, signed(&body, "whsec_of_another", now_ms), "invalid_signature"),
        (&body, signed(&body, "", now_ms), "invalid_signature"),
        (&tampered, good.clone(), "invalid_signature"),
        (&body, format!("{time},{}", v1.replace("v1=", "v0=")), "invalid_signature"),
        (&body, time.to_owned(), "invalid_signature"),
        (&body, v1.to_owned(), "invalid_signature"),
        (&body, format!("t={},{v1}", now_ms / 1_000 - 1), "invalid_signature"),
        (&body, String::new(), "invalid_signature"),
        (&body, "t=,v1=".into(), "invalid_signature"),
        (&body, "nonsense".into(), "invalid_signature"),
    ] {
        assert_eq!(billing.send(body, &signature).problem(400), code, "{signature}");
    }
    let unsigned = billing.app.anonymous().send("POST", PATH, &[("Content-Type", "application/json")], body.clone());
    assert_eq!(unsigned.problem(400), "missing_signature");
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM stripe_event").trim(), "0");
    assert_eq!(billing.earned(), (0, 0));
    assert_eq!(billing.send(&body, &signed(&body, SECRET, now_ms - 300_000)).status, 200);
    assert_eq!(billing.earned(), (1_000, 500));
}

#[test]
fn two_secrets_while_they_are_rotated() {
    let billing = Billing::start();
    let set = |secrets: &str| billing.app.sqlite3(&format!("UPDATE project SET stripe_webhook_secrets = '{secrets}'"));
    let now_ms = billing.app.now_ms();
    let send = |id: &str, secrets: &[&str]| {
        let body = billing.event(id, "product.created", json!({})).to_string().into_bytes();
        let headers: Vec<_> = secrets.iter().map(|secret| signed(&body, secret, now_ms)).collect();
        let others = headers[1..].iter().map(|header| format!(",{}", header.split_once(',').unwrap().1));
        billing.send(&body, &format!("{}{}", headers[0], others.collect::<String>())).status
    };
    set("whsec_old\n whsec_new \r\n\n");
    assert_eq!((send("evt_1", &["whsec_old"]), send("evt_2", &["whsec_new"])), (200, 200));
    assert_eq!(send("evt_3", &["whsec_older"]), 400);
    // Stripe signs with all secrets of an endpoint for a while.
    assert_eq!(send("evt_4", &["whsec_older", "whsec_new"]), 200);
    set("whsec_new\n");
    assert_eq!((send("evt_5", &["whsec_old"]), send("evt_6", &["whsec_old", "whsec_new"])), (400, 200));
}

#[test]
fn only_to_a_project_with_a_secret_of_its_own() {
    let billing = Billing::start();
    let project = billing.app.engine.project_named("default").unwrap();
    let acme = billing.app.project("acme", Preset::Subscription, "live");
    let body = billing.event("evt_1", "product.created", json!({})).to_string().into_bytes();
    let header = signed(&body, SECRET, billing.app.now_ms());
    let to = |name: &str| {
        let headers = [("Stripe-Signature", header.as_str())];
        billing.app.anonymous().send("POST", &format!("/webhooks/stripe/{name}"), &headers, body.clone())
    };
    assert_eq!(to("nobody").problem(404), "not_found");
    assert_eq!(to("proj_0000000000001").problem(404), "not_found");
    assert_eq!(to("acme").problem(404), "stripe_not_set_up");
    billing.app.sqlite3("UPDATE project SET stripe_webhook_secrets = 'whsec_acme' WHERE slug = 'acme'");
    assert_eq!(to("acme").problem(400), "invalid_signature", "another project's secret is no good here");
    let by_id = to(&project.id.to_string());
    assert_eq!((by_id.status, &by_id.json()["status"]), (200, &json!("recorded")));
    assert_eq!(to("default").json()["status"], "duplicate", "it is the same project by its slug");
    let header = signed(&body, "whsec_acme", billing.app.now_ms());
    let path = format!("/webhooks/stripe/{}", acme.id);
    let there = billing.app.anonymous().send("POST", &path, &[("Stripe-Signature", &header)], body.clone());
    assert_eq!(there.json()["status"], "recorded", "another project has events of its own");
}

#[test]
fn another_project_s_customer_is_nobody_here() {
    let billing = Billing::start();
    billing.app.project("acme", Preset::Subscription, "live");
    billing.app.sqlite3(&format!("UPDATE project SET stripe_webhook_secrets = '{SECRET}' WHERE slug = 'acme'"));
    billing.tell(&billing.event(
        "evt_0",
        "customer.updated",
        json!({ "id": "cus_bob", "metadata": { "customer_id": "pc_bob" } }),
    ));
    let mut named = session("cs_1");
    named["client_reference_id"] = json!(billing.bob.id);
    for (id, object) in [("evt_1", session("cs_0")), ("evt_2", named)] {
        let body = billing.event(id, "checkout.session.completed", object).to_string().into_bytes();
        let header = signed(&body, SECRET, billing.app.now_ms());
        let reply =
            billing.app.anonymous().send("POST", "/webhooks/stripe/acme", &[("Stripe-Signature", &header)], body);
        assert_eq!((reply.status, &reply.json()["outcome"]), (200, &json!("waiting")));
    }
    assert_eq!(billing.earned(), (0, 0));
}

#[test]
fn a_redelivery_does_nothing_however_late_it_comes() {
    let billing = Billing::start();
    let first = billing.event("evt_1", "checkout.session.completed", session("cs_1"));
    let reply = billing.deliver(&first);
    assert_eq!(reply.json(), json!({ "id": "evt_1", "status": "recorded", "outcome": "converted" }));
    for days in [0, 1, 8, 400] {
        billing.app.advance_days(days);
        billing.app.sweep();
        let again = billing.deliver(&first);
        assert_eq!(again.status, 200);
        assert_eq!(again.json(), json!({ "id": "evt_1", "status": "duplicate", "outcome": "converted" }));
    }
    // The id alone counts, whatever comes under it.
    let other = billing.event("evt_1", "invoice.paid", super::invoice("in_9", 100));
    assert_eq!(billing.deliver(&other).json()["status"], "duplicate");
    assert_eq!(billing.earned(), (1_000, 500));
}

#[test]
fn all_at_once_it_is_taken_once() {
    let billing = Billing::start();
    let same = billing.event("evt_1", "checkout.session.completed", session("cs_1"));
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let deliver = |client: usize| {
            let others = billing.event(&format!("evt_other_{client}"), "invoice.paid", super::invoice("in_1", 2_000));
            billing.tell(&others);
            billing.deliver(&same).json()["status"].as_str().unwrap().to_owned()
        };
        let clients: Vec<_> = (0..8).map(|client| scope.spawn(move || deliver(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| *status == "recorded").count(), 1, "{statuses:?}");
    assert_eq!(billing.earned(), (1_000, 500));
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM purchase").trim(), "1");
}

#[test]
fn a_flood_of_bad_signatures_is_limited_and_good_ones_pass() {
    let billing = Billing::start_with(|settings| settings.limits.bad_key = Quota::new(3, Duration::from_secs(3_600)));
    let nothing = |id: &str| billing.event(id, "product.created", json!({}));
    let bad = |_| billing.send(b"{}", "t=1,v1=00").status;
    assert_eq!((0..5).map(bad).collect::<Vec<_>>(), [400, 400, 400, 429, 429]);
    assert!(billing.send(b"{}", "t=1,v1=00").header("retry-after").is_some());
    let unsigned = billing.app.anonymous().send("POST", PATH, &[], b"{}".to_vec());
    assert_eq!(unsigned.problem(429), "rate_limited");
    let unknown = billing.app.anonymous().send("POST", "/webhooks/stripe/nobody", &[], b"{}".to_vec());
    assert_eq!(unknown.problem(429), "rate_limited");
    for n in 0..20 {
        assert_eq!(billing.deliver(&nothing(&format!("evt_{n}"))).status, 200);
    }
}

#[test]
fn secrets_are_nowhere_to_be_read() {
    let billing = Billing::start();
    let reply = billing.deliver(&billing.event("evt_1", "product.created", json!({})));
    assert!(!reply.body.contains("whsec"));
    assert!(!billing.send(b"{}", "t=1,v1=00").body.contains("whsec"));
    assert!(!format!("{:?}", billing.app.engine.project_named("default").unwrap()).contains("whsec"));
}

#[test]
fn it_is_posted_to() {
    let app = App::start();
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let reply = app.anonymous().send(method, PATH, &[], Vec::new());
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method}");
    }
}
