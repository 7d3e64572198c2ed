//! Farms that keep below what one referral, one day or one code would show.

use super::{Person, available, decide, proxied, referrer, seen, sign_up, signals};
use crate::harness::{App, DAY_MS};
use serde_json::json;

const SERVER: &str = "192.0.2.200";

fn statuses(app: &App, people: &[Person]) -> Vec<String> {
    people.iter().map(|person| seen(app, person)["status"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_burst_is_not_hidden_among_throw_away_signups_of_the_same_code() {
    let app = proxied();
    // Which would hold them as well, for those that are there to hide them.
    app.change_program(|program| program["abuse"]["weights"]["held_company"] = json!(0));
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let one = |from: &str, email: &str| sign_up(&app, from, email, Some(&code));
    for n in 0..10 {
        assert_eq!(one("192.0.2.50", &format!("x{n}@mailinator.com")).referral()["status"], "rejected");
        // Held by their own burst.
        one("192.0.2.51", &format!("x@thin{n}.example"));
    }
    let people = ["bob", "carl", "dana"].map(|name| one(SERVER, &format!("{name}@{name}.example")));
    assert_eq!(statuses(&app, &people), ["review"; 3]);
    assert!(signals(&seen(&app, &people[0])).contains(&"address_burst".to_owned()));
}

#[test]
fn a_post_that_many_read_may_bring_some_from_one_network() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    for n in 0..15 {
        sign_up(&app, &format!("198.51.100.{n}"), &format!("x@reader{n}.example"), Some(&code));
    }
    let people =
        ["bob", "carl", "dana"].map(|name| sign_up(&app, SERVER, &format!("{name}@{name}.example"), Some(&code)));
    assert_eq!(statuses(&app, &people), ["signed_up"; 3]);
}

#[test]
fn two_a_day_from_one_address_are_a_burst_on_the_second_day() {
    let app = proxied();
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let mut people = Vec::new();
    for day in 0..2 {
        people.extend((0..2).map(|n| sign_up(&app, SERVER, &format!("x@farm{day}{n}.example"), Some(&code))));
        assert_eq!(statuses(&app, &people), [["signed_up", "review"][day]; 4][..people.len()]);
        app.advance_ms(DAY_MS);
    }
    let shown = seen(&app, &people[3]);
    assert_eq!(signals(&shown), ["address_burst", "shared_address"]);
    assert_eq!(shown["signals"][0]["inputs"], json!({ "together": 4, "of": 4 }));
    assert_eq!(available(&app, &alice), 0);
}

#[test]
fn a_tree_of_codes_at_one_address_is_one_farm() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let two = |code: &str, names: [&str; 2]| {
        names.map(|name| sign_up(&app, SERVER, &format!("x@{name}.example"), Some(code)))
    };
    let mut level = two(&code, ["a", "b"]).to_vec();
    let codes: Vec<_> = level.iter().map(|person| person.code("192.0.2.77")).collect();
    app.advance_ms(DAY_MS);
    level = [two(&codes[0], ["c", "d"]), two(&codes[1], ["e", "f"])].concat();
    let codes: Vec<_> = level.iter().map(|person| person.code("192.0.2.78")).collect();
    assert_eq!(statuses(&app, &level), ["signed_up"; 4]);
    app.advance_ms(DAY_MS);
    let third = [two(&codes[0], ["g", "h"]), two(&codes[1], ["i", "j"]), two(&codes[2], ["k", "l"])].concat();
    let shown = seen(&app, &third[4]);
    assert_eq!(shown["signals"][0]["inputs"], json!({ "from_the_address": 5, "of": "one_tree", "allowed_per_day": 4 }));
    assert_eq!(statuses(&app, &third), ["review"; 6], "those that came before it too");
}

#[test]
fn main_accounts_that_are_new_themselves_and_all_refer_from_one_address() {
    let app = proxied();
    let referrers: Vec<_> = (0..6).map(|n| referrer(&app, &format!("main{n}"), &format!("192.0.2.{n}")).1).collect();
    let from_server = |round: u8| -> Vec<_> {
        let one = |(n, code): (usize, &String)| sign_up(&app, SERVER, &format!("x@r{round}n{n}.example"), Some(code));
        referrers.iter().enumerate().map(one).collect()
    };
    app.advance_ms(14 * DAY_MS);
    assert_eq!(statuses(&app, &from_server(0)), ["signed_up"; 6], "who has been here for a while may share a campus");
    let app = proxied();
    let referrers: Vec<_> = (0..6).map(|n| referrer(&app, &format!("main{n}"), &format!("192.0.2.{n}")).1).collect();
    app.advance_ms(DAY_MS);
    let people: Vec<_> = (0..)
        .zip(&referrers)
        .map(|(n, code)| sign_up(&app, SERVER, &format!("x@farm{n}.example"), Some(code)))
        .collect();
    assert_eq!(statuses(&app, &people), ["review"; 6]);
    assert_eq!(signals(&seen(&app, &people[0])), ["crowded_address"]);
}

#[test]
fn what_a_held_referral_brings_is_held_until_it_is_cleared() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = sign_up(&app, "192.0.2.1", "bob@bob.example", Some(&code));
    let bobs = bob.code("192.0.2.3");
    let carl = sign_up(&app, "192.0.2.4", "carl@carl.example", Some(&bobs));
    assert_eq!(
        (carl.referral()["status"].as_str(), signals(&seen(&app, &carl))),
        (Some("review"), vec!["held_company".to_owned()])
    );
    assert_eq!(decide(&app, &seen(&app, &bob), "clear").status, 200);
    let dana = sign_up(&app, "192.0.2.5", "dana@dana.example", Some(&bobs));
    assert_eq!(dana.referral()["status"], "applied");
    assert_eq!(decide(&app, &seen(&app, &bob), "reject").status, 200);
    let erin = sign_up(&app, "192.0.2.6", "erin@erin.example", Some(&bobs));
    assert_eq!(erin.referral()["status"], "review", "nor is it trusted once it is rejected");
}

#[test]
fn most_of_a_referrer_s_that_are_held_hold_who_comes_next_and_nobody_who_was_there() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let one = |from: &str, name: &str| sign_up(&app, from, &format!("{name}@{name}.example"), Some(&code));
    let good = ["ava", "ben"].map(|name| one(&format!("198.51.100.{}", name.as_bytes()[0]), name));
    // Whoever knows the code can do this, to harm those who use it in good faith.
    let bad = ["dan", "eve", "fay"].map(|name| one("192.0.2.1", name));
    assert_eq!(statuses(&app, &bad), ["review"; 3]);
    assert_eq!(statuses(&app, &good), ["signed_up"; 2]);
    assert!(good.iter().all(|person| available(&app, person) == 1_000), "nobody takes from them what they have");
    let next = one("198.51.100.7", "gil");
    assert_eq!(signals(&seen(&app, &next)), ["held_company"]);
    assert_eq!(seen(&app, &next)["signals"][0]["inputs"], json!({ "held": 3, "of": 6 }));

    assert_eq!(decide(&app, &seen(&app, &next), "clear").status, 200);
    for person in &bad {
        assert_eq!(decide(&app, &seen(&app, person), "reject").status, 200);
    }
    let after = one("198.51.100.8", "hal");
    assert_eq!(after.referral()["status"], "applied", "an operator has looked: the referrer is known");
}

#[test]
fn who_has_brought_nobody_but_what_is_held_is_held_too_and_so_on_up() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    let first = sign_up(&app, "192.0.2.2", "x@first.example", Some(&code));
    let firsts = first.code("192.0.2.2");
    let places = ["192.0.2.3", "192.0.2.4", "192.0.2.5"];
    let brought = places.map(|from| {
        let name = from.replace('.', "-");
        sign_up(&app, from, &format!("x@n{name}.example"), Some(&firsts))
    });
    let three = |person: &Person, from: &str| {
        let code = person.code(from);
        let one = |name| sign_up(&app, from, &format!("x@{name}{code}.example").to_lowercase(), Some(&code));
        one("a");
        one("b");
        assert_eq!(statuses(&app, std::slice::from_ref(person)), ["signed_up"], "two may be a stranger's doing");
        one("c");
    };
    for (person, from) in brought.iter().zip(places) {
        assert_eq!(statuses(&app, std::slice::from_ref(&first)), ["signed_up"]);
        three(person, from);
        assert_eq!(statuses(&app, std::slice::from_ref(person)), ["review"]);
    }
    assert_eq!(statuses(&app, std::slice::from_ref(&first)), ["review"]);
    assert_eq!(signals(&seen(&app, &first)), ["held_company"]);
}

#[test]
fn an_erasure_by_an_operator_says_nothing_of_the_referrer() {
    let app = proxied();
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    for n in 0..3 {
        let person = sign_up(&app, &format!("198.51.100.{n}"), &format!("x@gone{n}.example"), Some(&code));
        let path = format!("/v1/admin/projects/default/developers/{}/erase", person.id);
        let reply = app.gateway().post(&path, json!({ "confirm": person.id, "reason": "asked for" }));
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let next = sign_up(&app, "198.51.100.99", "x@next.example", Some(&code));
    assert_eq!(next.referral()["status"], "applied");
}
