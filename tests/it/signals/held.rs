//! What holds a referral as it begins.

use super::{available, call, listed, proxied, referrer, seen, sign_up, signals};
use crate::harness::{App, DAY_MS};
use serde_json::json;

#[test]
fn who_comes_from_where_the_referrer_is_today_is_held_and_both_are_told_no_more_than_that() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.1", "bob@bob.example", Some(&code));
    assert_eq!(
        *bob.referral(),
        json!({ "status": "review", "reason": "under_review", "code": code, "bonus_credits": 1_000 })
    );
    assert_eq!((available(&app, &alice), available(&app, &bob)), (0, 0));
    let own = alice.client.get("/v1/developers/referrals").json()["data"][0].clone();
    assert_eq!((own["status"].as_str(), own["reason"].as_str()), (Some("review"), Some("under_review")));
    assert!(!own.to_string().contains("address"), "{own}");
    let shown = seen(&app, &bob);
    assert_eq!(signals(&shown), ["same_address"]);
    assert_eq!((&shown["weight"], &shown["threshold"], &shown["at_stake"]), (&json!(100), &json!(100), &json!(1_500)));
    let held = shown["decisions"].as_array().unwrap().iter().find(|decision| decision["verdict"] == "held").unwrap();
    assert_eq!(held["inputs"], json!({ "signals": ["same_address"], "weight": 100, "threshold": 100 }));
    app.advance_days(400);
    assert_eq!((available(&app, &alice), available(&app, &bob)), (0, 0), "no time clears it");
}

#[test]
fn another_address_another_day_another_project_or_this_machine_say_nothing() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let applied = |from: &str, name: &str| {
        let person = sign_up(&app, from, &format!("{name}@{name}.example"), Some(&code));
        person.referral()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(applied("192.0.2.2", "bob"), "applied");
    assert_eq!(applied("127.0.0.1", "carol"), "applied");
    app.advance_ms(DAY_MS);
    assert_eq!(applied("192.0.2.1", "dave"), "applied", "the day's key is gone, and the places with it");
    assert_eq!(app.sqlite3("SELECT count(*) FROM sighting").trim(), "1", "of today only");
    let local = App::start();
    let code = local.developer("Alice").code();
    assert_eq!(local.referee("Bob", &code).signup["referral"]["status"], "applied");
    assert_eq!(local.sqlite3("SELECT count(*) FROM sighting").trim(), "0");
}

#[test]
fn an_ipv6_network_is_one_place() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "2001:db8:1:2::1");
    let bob = sign_up(&app, "2001:db8:1:2:ffff::9", "bob@bob.example", Some(&code));
    assert_eq!(bob.referral()["status"], "review");
}

#[test]
fn a_code_applied_later_is_looked_at_too() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", None);
    let reply = call(&bob.client, "192.0.2.1", "/v1/developers/referrals/apply", &json!({ "code": code }));
    assert_eq!((reply.status, &reply.json()["referral"]["status"]), (201, &json!("review")));
}

#[test]
fn the_third_of_a_referrer_s_from_one_address_holds_all_three() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let people =
        ["bob", "carol", "dave"].map(|name| sign_up(&app, "192.0.2.9", &format!("{name}@{name}.example"), Some(&code)));
    let told = people.each_ref().map(|person| person.referral()["status"].as_str().unwrap());
    assert_eq!(told, ["applied", "applied", "review"]);
    for person in &people {
        let shown = seen(&app, person);
        assert_eq!(shown["status"], "review");
        let mut found = signals(&shown);
        found.sort();
        assert_eq!(found, ["address_burst", "shared_address"]);
        assert_eq!(available(&app, person), 0);
    }
}

#[test]
fn others_at_one_address_come_by_codes_of_their_own() {
    let app = proxied();
    for name in ["alice", "bob", "carol", "dave", "erin"] {
        let (_, code) = referrer(&app, name, &format!("192.0.2.{}", name.len()));
        let friend = sign_up(&app, "192.0.2.99", &format!("x@friend-of-{name}.example"), Some(&code));
        assert_eq!(friend.referral()["status"], "applied", "{name}");
    }
}

#[test]
fn mailboxes_that_are_variations_of_one_another() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let from = |n: u8| format!("198.51.100.{n}");
    let first = sign_up(&app, &from(1), "ab.c@outlook.com", Some(&code));
    let second = sign_up(&app, &from(2), "a.bc@outlook.com", Some(&code));
    assert_eq!((&first.referral()["status"], &second.referral()["status"]), (&json!("applied"), &json!("review")));
    assert_eq!(seen(&app, &first)["status"], "review", "what it is like shows it too");
    let (_, code) = referrer(&app, "zoe", "192.0.2.3");
    let told: Vec<_> = (1..=4)
        .map(|n| sign_up(&app, &from(10 + n), &format!("kim{n}@outlook.com"), Some(&code)).referral()["status"].clone())
        .collect();
    assert_eq!(told, ["applied", "applied", "review", "review"]);
    assert_eq!(listed(&app, "status=review").len(), 2 + 4, "with those that they are like");
}

#[test]
fn a_burst_of_a_code_is_a_signal_that_holds_nobody_alone() {
    let app = proxied();
    app.change_program(|program| program["abuse"]["code_signups_per_hour"] = json!(3));
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let person = |n: u8| sign_up(&app, &format!("198.51.100.{n}"), &format!("x@burst{n}.example"), Some(&code));
    let people: Vec<_> = (1..=4).map(person).collect();
    assert!(people.iter().all(|person| person.referral()["status"] == "applied"));
    assert_eq!(signals(&seen(&app, &people[2])), [""; 0]);
    assert_eq!(signals(&seen(&app, &people[3])), ["code_burst"]);
    app.advance_ms(3_600_001);
    assert_eq!(signals(&seen(&app, &person(5))), [""; 0], "an hour later");
}

#[test]
fn a_burst_of_a_domain_through_many_codes() {
    let app = proxied();
    app.change_program(|program| {
        program["abuse"]["domain_signups_per_day"] = json!(2);
        program["abuse"]["weights"]["domain_burst"] = json!(100);
    });
    let told: Vec<_> = (1..=3)
        .map(|n| {
            let (_, code) = referrer(&app, &format!("ref{n}"), &format!("192.0.2.{n}"));
            let from = format!("198.51.100.{n}");
            sign_up(&app, &from, &format!("x{n}@many.example"), Some(&code)).referral()["status"].clone()
        })
        .collect();
    assert_eq!(told, ["applied", "applied", "review"]);
}

#[test]
fn a_ring_of_referrers_by_address_shows_in_all_of_it() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    let code = bob.code("192.0.2.2");
    let carol = sign_up(&app, "192.0.2.3", "carol@carol.example", Some(&code));
    let code = carol.code("192.0.2.3");
    assert_eq!(carol.referral()["status"], "applied");
    let again = sign_up(&app, "192.0.2.1", "alice@again.example", Some(&code));
    assert_eq!(again.referral()["status"], "review");
    for person in [&bob, &carol, &again] {
        let shown = seen(&app, person);
        assert_eq!((shown["status"].as_str(), signals(&shown)), (Some("review"), vec!["ring".to_owned()]));
        assert_eq!(shown["signals"][0]["inputs"], json!({ "referrals": 3, "by": "address" }));
    }
}

#[test]
fn a_ring_of_accounts() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    let carol = sign_up(&app, "192.0.2.3", "carol@carol.example", Some(&bob.code("192.0.2.2")));
    let code = carol.code("192.0.2.3");
    let reply = call(&alice.client, "192.0.2.4", "/v1/developers/referrals/apply", &json!({ "code": code }));
    assert_eq!(reply.json()["referral"]["status"], "review");
    assert_eq!(seen(&app, &alice)["signals"][0]["inputs"], json!({ "referrals": 3, "by": "account" }));
}

#[test]
fn weights_and_threshold_are_the_program_s() {
    let app = proxied();
    app.change_program(|program| program["abuse"]["threshold"] = json!(101));
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.1", "bob@bob.example", Some(&code));
    assert_eq!(bob.referral()["status"], "applied");
    assert_eq!(seen(&app, &bob)["weight"], 100);
    app.change_program(|program| program["abuse"]["weights"]["same_address"] = json!(0));
    let carol = sign_up(&app, "192.0.2.1", "carol@carol.example", Some(&code));
    assert_eq!(signals(&seen(&app, &carol)), ["shared_address"]);
}

#[test]
fn signals_are_kept_for_good_and_places_hold_no_address() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.77");
    sign_up(&app, "192.0.2.77", "bob@bob.example", Some(&code));
    for sql in [
        "UPDATE signal SET weight = 1",
        "DELETE FROM signal",
        "INSERT OR REPLACE INTO signal SELECT id + 1, project_id, referral_id, program_version, code, 1, inputs, at_ms FROM signal",
    ] {
        assert!(app.sqlite3(sql).contains("signal: "), "{sql}");
    }
    assert!(!app.dump().contains("192.0.2.77"));
    assert_eq!(app.sqlite3("SELECT count(*) FROM sighting").trim(), "2");
    app.gateway();
    let carol = sign_up(&app, "192.0.2.5", "carol@carol.example", None);
    assert_eq!(app.sqlite3("SELECT count(*) FROM sighting").trim(), "3");
    assert_eq!(carol.client.delete("/v1/developers/me").status, 200);
    assert_eq!(app.sqlite3("SELECT count(*) FROM sighting").trim(), "3", "a hash that nobody can read tomorrow");
    app.advance_ms(DAY_MS);
    app.sweep();
    assert_eq!(app.sqlite3("SELECT count(*) FROM sighting").trim(), "0");
}
