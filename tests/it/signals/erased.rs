//! Accounts that are erased as soon as they have earned what they were made for.

use super::{Person, available, devices_of, proxied, referrer, seen, sign_up, signals};
use crate::harness::{App, DAY_MS, PASSWORD};
use serde_json::json;

fn erase(person: &Person) {
    assert_eq!(person.client.delete("/v1/developers/me").status, 200);
}

/// The signals of a referral whose referee may be gone.
fn signals_of(app: &App, person: &Person) -> Vec<String> {
    let mut found = signals(&seen(app, person));
    found.sort();
    found
}

#[test]
fn who_was_at_an_address_today_counts_there_also_when_the_account_is_gone() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let told: Vec<_> = ["bob", "carl", "dana"]
        .map(|name| {
            let person = sign_up(&app, "192.0.2.9", &format!("{name}@{name}.example"), Some(&code));
            erase(&person);
            person.referral()["status"].clone()
        })
        .to_vec();
    assert_eq!(told, ["applied", "applied", "review"]);
    assert_eq!(available(&app, &alice), 0, "nor do the first two pay any more");
}

#[test]
fn mailboxes_of_the_day_are_alike_also_when_the_first_are_gone() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let one = |n: u8, email: &str| sign_up(&app, &format!("198.51.100.{n}"), email, Some(&code));
    let first = one(1, "ab.cd@outlook.com");
    erase(&first);
    let second = one(2, "abc.d@outlook.com");
    erase(&second);
    assert_eq!((signals_of(&app, &first), signals_of(&app, &second)), {
        let is = vec!["mailbox_variation".to_owned()];
        (is.clone(), is)
    });
    let (_, code) = referrer(&app, "zoe", "192.0.2.2");
    let told = ["kim1", "kim2", "kim3"].map(|name| {
        let from = format!("198.51.100.{name}").replace("kim", "10");
        let person = sign_up(&app, &from, &format!("{name}@outlook.com"), Some(&code));
        erase(&person);
        person.referral()["status"].clone()
    });
    assert_eq!(told, ["applied", "applied", "review"]);
    assert!(!app.dump().contains("outlook.com"), "no mailbox is left");
    app.advance_ms(DAY_MS);
    app.sweep();
    assert_eq!(app.sqlite3("SELECT count(*) FROM sighting").trim(), "0", "and no hash of one either");
}

#[test]
fn another_referrer_s_erased_mailboxes_say_nothing() {
    let app = proxied();
    for (n, name) in (0..).zip(["alice", "zoe", "yann"]) {
        let (_, code) = referrer(&app, name, &format!("192.0.2.{n}"));
        let person = sign_up(&app, &format!("198.51.100.{n}"), &format!("kim{n}@outlook.com"), Some(&code));
        assert_eq!(person.referral()["status"], "applied");
        erase(&person);
    }
}

#[test]
fn a_browser_is_known_by_an_account_that_is_gone_until_the_day_is_over() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let first = sign_up(&app, "192.0.2.2", "bob@bob.example", Some(&code));
    let cookie = format!("refloop_device={}", devices_of(&app, &first));
    erase(&first);
    let again = |name: &str, from: &str| {
        let body = json!({ "email": format!("{name}@{name}.example"), "password": PASSWORD, "name": "X", "referral_code": code });
        let headers = [("X-Forwarded-For", from), ("Content-Type", "application/json"), ("Cookie", cookie.as_str())];
        let reply = app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes());
        reply.json()["referral"]["status"].clone()
    };
    assert_eq!(again("carl", "192.0.2.3"), "review");
    app.advance_ms(DAY_MS);
    assert_eq!(again("dana", "192.0.2.4"), "applied");
}

#[test]
fn many_that_are_erased_soon_hold_each_other_and_those_to_come() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let people: Vec<_> = (1..=3)
        .map(|n| {
            let person = sign_up(&app, &format!("198.51.100.{n}"), &format!("x@gone{n}.example"), Some(&code));
            app.advance_ms(DAY_MS);
            erase(&person);
            person
        })
        .collect();
    for person in &people {
        let shown = seen(&app, person);
        assert_eq!((shown["status"].as_str(), signals(&shown)), (Some("review"), vec!["erased_soon".to_owned()]));
        assert_eq!(shown["signals"][0]["inputs"], json!({ "erased": 3, "of": 3 }));
    }
    assert_eq!(available(&app, &alice), 0);
    let next = sign_up(&app, "198.51.100.9", "x@next.example", Some(&code));
    assert_eq!(next.referral()["status"], "review");
    assert_eq!(signals_of(&app, &next), ["erased_soon", "held_company"]);
}

#[test]
fn a_few_of_many_or_late_ones_are_people_who_thought_better_of_it() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let people: Vec<_> = (1..=10)
        .map(|n| sign_up(&app, &format!("198.51.100.{n}"), &format!("x@fan{n}.example"), Some(&code)))
        .collect();
    people[..3].iter().for_each(erase);
    app.advance_ms(7 * DAY_MS);
    people[3..6].iter().for_each(erase);
    assert!(people.iter().all(|person| signals_of(&app, person).is_empty()));
    assert_eq!(available(&app, &alice), 5_000);
}
