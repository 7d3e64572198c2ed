//! Rejecting all referrals of a code or of a domain, as it was previewed.

use super::{REFERRALS, available, proxied, referrer, seen, sign_up};
use crate::harness::{App, Reply};
use serde_json::{Value, json};

fn reject(app: &App, body: &Value) -> Reply {
    app.gateway().post(&format!("{REFERRALS}/reject"), body.clone())
}

fn preview(app: &App, by: &str, what: &str) -> Value {
    let reply = reject(app, &json!({ by: what, "preview": true }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

#[test]
fn what_is_previewed_is_what_happens() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let people: Vec<_> = (1..=3)
        .map(|n| sign_up(&app, &format!("198.51.100.{n}"), &format!("x@farm{n}.example"), Some(&code)))
        .collect();
    let spend = |id: &str, person: &str, spend: i64| {
        let body = json!({ "id": id, "developer_id": person, "calls": 0, "spend": spend });
        assert_eq!(app.gateway().post("/v1/usage", body).json()["charged"], spend);
    };
    spend("alice", &alice.id, 600);
    spend("first", &people[0].id, 1_000);
    let (_, other) = referrer(&app, "zoe", "192.0.2.2");
    sign_up(&app, "192.0.2.3", "y@honest.example", Some(&other));
    let sums = preview(&app, "code", &code);
    let figures = ["referrals", "total", "pending", "available", "from_other_credits", "debt", "account_count"];
    assert_eq!(figures.map(|name| sums[name].as_i64().unwrap()), [3, 4_500, 0, 2_900, 0, 1_600, 4]);
    let of_alice =
        sums["accounts"].as_array().unwrap().iter().find(|of| of["developer_id"] == alice.id.as_str()).unwrap();
    assert_eq!((&of_alice["available"], &of_alice["debt"]), (&json!(900), &json!(600)));
    let done = reject(&app, &json!({ "code": code, "digest": sums["digest"], "reason": "a farm" }));
    assert_eq!((done.status, done.json()), (200, json!({ "referrals": 3, "taken_back": 4_500 })));
    let stats = alice.client.get("/v1/developers/referral-stats").json();
    assert_eq!((&stats["credits_available"], &stats["owed"]), (&json!(0), &json!(600)));
    assert!(people.iter().all(|person| seen(&app, person)["status"] == "rejected" && available(&app, person) == 0));
    assert_eq!(app.sqlite3("SELECT count(*) FROM referral WHERE status = 'rejected'").trim(), "3", "no one else's");
    let audit = app.sqlite3("SELECT action, count(*) FROM audit WHERE action LIKE 'referral%' GROUP BY action");
    assert_eq!(audit.trim(), "referral.reject|3\nreferral.reject_all|1\nreferral.reject_all_begin|1");
    let noted = app.sqlite3("SELECT subject, details FROM audit WHERE action = 'referral.reject_all'");
    assert_eq!(
        noted.trim(),
        format!("{}|{{\"by\":\"code\",\"referrals\":3,\"total\":4500}}", alice.id),
        "a code may be made from a name, and can be erased: its owner's id stays"
    );
    let again = preview(&app, "code", &code);
    assert_eq!((&again["referrals"], &again["total"], &again["rejected_before"]), (&json!(0), &json!(0), &json!(3)));
    let nothing = reject(&app, &json!({ "code": code, "digest": again["digest"], "reason": "twice" }));
    assert_eq!(nothing.json(), json!({ "referrals": 0, "taken_back": 0 }));
    let rows = app.sqlite3("SELECT count(*) FROM audit WHERE action = 'referral.reject_all'");
    assert_eq!(rows.trim(), "1", "what does nothing is not noted");
}

#[test]
fn spending_moves_no_digest_but_new_referrals_and_grants_do() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    let usage = |id: &str, person: &str, calls: i64, spend: i64| {
        app.gateway().post("/v1/usage", json!({ "id": id, "developer_id": person, "calls": calls, "spend": spend }));
    };
    let first = preview(&app, "code", &code);
    usage("spend", &alice.id, 0, 100);
    let spent = preview(&app, "code", &code);
    assert_eq!((&first["digest"], &spent["debt"]), (&spent["digest"], &json!(100)));
    usage("call", &bob.id, 1, 0);
    let body = json!({ "code": code, "digest": first["digest"], "reason": "a farm" });
    assert_eq!(reject(&app, &body).problem(409), "preview_outdated");
    let second = preview(&app, "code", &code);
    sign_up(&app, "192.0.2.3", "carol@carol.example", Some(&code));
    let body = json!({ "code": code, "digest": second["digest"], "reason": "a farm" });
    assert_eq!(reject(&app, &body).problem(409), "preview_outdated");
    assert_eq!(seen(&app, &bob)["status"], "first_call", "nothing was done");
}

#[test]
fn by_domain_across_codes_and_more_than_one_job_takes() {
    let app = proxied();
    let mut bonus = Vec::new();
    for n in 0..60_u8 {
        let (_, code) = referrer(&app, &format!("ref{n}"), &format!("192.0.2.{n}"));
        bonus.push(sign_up(&app, &format!("198.51.100.{n}"), &format!("x{n}@farm.example"), Some(&code)));
    }
    let sums = preview(&app, "domain", "farm.example");
    assert_eq!((&sums["referrals"], &sums["total"], &sums["account_count"]), (&json!(60), &json!(90_000), &json!(120)));
    let body = json!({ "domain": "FARM.example", "digest": sums["digest"], "reason": "one domain" });
    assert_eq!(reject(&app, &body).json(), json!({ "referrals": 60, "taken_back": 90_000 }));
    assert!(bonus.iter().all(|person| available(&app, person) == 0));
    assert!(!app.sqlite3("SELECT details, subject FROM audit").contains("farm"), "a domain can be a name");
}

#[test]
fn each_refusal() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    for (body, faults) in [
        (json!({ "preview": true }), vec!["code: required"]),
        (json!({ "code": code, "domain": "x.example", "preview": true }), vec!["code: one_of"]),
        (json!({ "code": "NOBODYS", "preview": true }), vec!["code: unknown_code"]),
        (json!({ "domain": "gmail.com", "preview": true }), vec!["domain: public_domain"]),
        (json!({ "code": code }), vec!["digest: required", "reason: required"]),
        (json!({ "code": code, "preview": "yes" }), vec!["preview: wrong_type"]),
    ] {
        assert_eq!(reject(&app, &body).faults(), faults, "{body}");
    }
    let body = json!({ "code": code, "digest": "x", "reason": "y" });
    assert_eq!(reject(&app, &body).problem(409), "preview_outdated");
}
