//! kill -9 on the real binary between deliveries and in the middle of a storm of them: Stripe delivers again what was
//! not answered, and more often than that, and each side is paid once.

use super::{charge, event, invoice, session, shuffle, signed, subscription};
use crate::process::{Caller, Dice, Server, empty_dir, run, sqlite3};
use refloop::domain::program::Preset;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const REFEREES: usize = 6;
const SECRET: &str = "whsec_of_a_crash";

fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// Alice and those she referred, each with the team's own id.
fn settle_in(server: &Server, dir: &Path) {
    std::fs::write(dir.join("program.json"), Preset::Subscription.program().to_json()).unwrap();
    assert_eq!(run(dir, &["project", "program", "default", "program.json", "--json"]).code, 0);
    let db = dir.join("refloop.db");
    assert_eq!(sqlite3(&db, &format!("UPDATE project SET stripe_webhook_secrets = '{SECRET}'")), "");
    let caller = Caller::new(&server.url);
    let sign_up = |name: &str, code: Option<&str>| {
        let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name,
                           "referral_code": code });
        let reply = caller.post(None, "/v1/developers/signup", &body).unwrap();
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()
    };
    let alice = sign_up("alice", None);
    let code = caller.post(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({})).unwrap().json();
    for n in 0..REFEREES {
        let name = format!("bob{n}");
        sign_up(&name, code["referral_code"].as_str());
        assert_eq!(sqlite3(&db, &format!("UPDATE account SET external_id = 'pc_{name}' WHERE name = '{name}'")), "");
    }
}

/// What happens at Stripe when one of them subscribes, each event in the words of [`super`].
fn events_of(n: usize) -> Vec<Value> {
    let first = format!("in_{n}");
    let mut objects = [
        ("checkout.session.completed", session(&format!("cs_{n}"))),
        ("customer.subscription.created", subscription(&format!("sub_{n}"))),
        ("invoice.paid", invoice(&first, 2_000)),
        ("invoice.payment_succeeded", invoice(&first, 2_000)),
        ("charge.refunded", charge(&first, 700)),
    ];
    objects[0].1["client_reference_id"] = json!(format!("pc_bob{n}"));
    objects[0].1["invoice"] = json!(first);
    objects[0].1["subscription"] = json!(format!("sub_{n}"));
    objects[1].1["latest_invoice"] = json!(first);
    let named = objects.map(|(kind, mut object)| {
        object["customer"] = json!(format!("cus_{n}"));
        event(&format!("evt_{kind}_{n}"), kind, now_ms(), object)
    });
    named.into()
}

/// `None`: no whole answer came.
fn deliver(agent: &ureq::Agent, url: &str, event: &Value) -> Option<Value> {
    let body = event.to_string();
    let header = signed(body.as_bytes(), SECRET, now_ms());
    let request = agent.post(format!("{url}/webhooks/stripe/default")).header("Stripe-Signature", header);
    let mut response = request.send(body).ok()?;
    let text = response.body_mut().read_to_string().ok()?;
    assert_eq!(response.status(), 200, "{text}");
    serde_json::from_str(&text).ok()
}

/// Delivers from several clients at once until `count` are answered, and kills the server in the middle of the others.
/// Returns what is still to be delivered, what was under way included.
fn storm(server: &mut Server, deliveries: Vec<Value>, count: usize) -> Vec<Value> {
    let (left, unanswered, answered) = (Mutex::new(deliveries), Mutex::new(Vec::new()), AtomicUsize::new(0));
    let url = server.url.clone();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
                while let Some(event) = { left.lock().unwrap().pop() } {
                    if deliver(&agent, &url, &event).is_none() {
                        unanswered.lock().unwrap().push(event);
                        break;
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        while answered.load(Ordering::SeqCst) < count {
            std::thread::yield_now();
        }
        server.kill_9();
    });
    let mut left = left.into_inner().unwrap();
    left.extend(unanswered.into_inner().unwrap());
    left
}

#[test]
fn kill_9_pays_each_side_once_however_often_it_is_told() {
    let (_keep, dir) = empty_dir();
    let mut server = Server::start(&dir);
    settle_in(&server, &dir);
    let mut dice = Dice::new(2_529);
    let events: Vec<Value> = (0..REFEREES).flat_map(events_of).collect();
    let mut deliveries: Vec<Value> = (0..10).flat_map(|_| events.clone()).collect();
    shuffle(&mut deliveries, &mut dice);
    let agent: ureq::Agent = ureq::Agent::new_with_defaults();
    let mut under_way = 0;
    for round in 0..5 {
        // Between two deliveries: what was answered is there after the restart.
        let event = deliveries.pop().unwrap();
        assert!(deliver(&agent, &server.url, &event).is_some());
        server.kill_9();
        assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true, "round {round}");
        server = Server::start(&dir);
        assert_eq!(deliver(&agent, &server.url, &event).unwrap()["status"], "duplicate");
        let before = deliveries.len();
        let count = usize::try_from(dice.between(15, 40)).unwrap();
        deliveries = storm(&mut server, deliveries, count);
        under_way += usize::from(before - deliveries.len() >= count);
        assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true, "round {round}");
        server = Server::start(&dir);
        shuffle(&mut deliveries, &mut dice);
    }
    assert_eq!(under_way, 5);
    for event in deliveries.iter().chain(&events) {
        assert!(deliver(&agent, &server.url, event).is_some());
    }
    let db = dir.join("refloop.db");
    for (sql, expected) in [
        (
            "SELECT reason, count(*), count(DISTINCT referral_id), sum(amount) FROM entry GROUP BY reason ORDER BY reason",
            "referee_credit|6|6|3000\nreferral_credit|6|6|6000\n",
        ),
        ("SELECT status, count(*) FROM referral GROUP BY status", "converted|6\n"),
        ("SELECT count(*), sum(gross_minor) FROM purchase", "6|12000\n"),
        ("SELECT count(*), sum(amount_minor) FROM refund", "6|4200\n"),
        ("SELECT count(*), count(DISTINCT event_id) FROM stripe_event", "30|30\n"),
        ("SELECT count(*) FROM stripe_awaited", "0\n"),
        ("SELECT id FROM decision WHERE verdict = 'granted' AND id NOT IN (SELECT decision_id FROM entry)", ""),
        ("SELECT * FROM pragma_integrity_check", "ok\n"),
    ] {
        assert_eq!(sqlite3(&db, sql), expected, "{sql}");
    }
    assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true);
}
