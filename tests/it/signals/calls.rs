//! Usage that looks made up.

use super::{Person, available, proxied, referrer, seen, sign_up, signals};
use crate::harness::App;
use serde_json::{Value, json};

fn use_api(app: &App, person: &Person, calls: i64) -> Value {
    let id = format!("{}-{}-{calls}", person.id, app.now_ms());
    app.gateway().post("/v1/usage", json!({ "id": id, "developer_id": person.id, "calls": calls, "spend": 0 })).json()
}

fn referee(app: &App) -> (Person, Person) {
    let (alice, code) = referrer(app, "alice", "192.0.2.1");
    (alice, sign_up(app, "192.0.2.2", "bob@bob.example", Some(&code)))
}

#[test]
fn calls_in_step_that_end_at_the_milestone_hold_the_referral_before_it_pays() {
    let app = proxied();
    let (alice, bob) = referee(&app);
    for _ in 0..100 {
        use_api(&app, &bob, 1);
        app.advance_ms(20_000);
    }
    let shown = seen(&app, &bob);
    assert_eq!((shown["status"].as_str(), signals(&shown)), (Some("active"), vec!["odd_usage".to_owned()]));
    assert_eq!(shown["signals"][0]["inputs"], json!({ "reports": 100, "seconds": 1_980, "how": "in_step" }));
    app.advance_days(1);
    app.sweep();
    let shown = seen(&app, &bob);
    assert_eq!(shown["status"], "review");
    assert_eq!(signals(&shown), ["odd_usage", "bare_milestone"]);
    app.advance_days(30);
    assert_eq!((available(&app, &alice), available(&app, &bob)), (0, 0));
}

#[test]
fn one_call_more_or_a_batch_is_what_people_and_gateways_do() {
    let app = proxied();
    let (alice, bob) = referee(&app);
    use_api(&app, &bob, 1);
    app.advance_ms(300_000);
    use_api(&app, &bob, 140);
    app.advance_days(1);
    app.sweep();
    assert_eq!(signals(&seen(&app, &bob)), [""; 0]);
    app.advance_days(7);
    assert_eq!(available(&app, &alice), 2_000);
    assert_eq!(app.sqlite3("SELECT reports, calls, due_at_ms IS NULL FROM pace").trim(), "2|141|1", "looked at once");
}

#[test]
fn a_late_signal_holds_what_is_not_spent() {
    let app = proxied();
    app.change_program(|program| program["abuse"]["weights"]["bare_milestone"] = json!(100));
    let (alice, bob) = referee(&app);
    use_api(&app, &bob, 100);
    let spent = json!({ "id": "spent", "developer_id": alice.id, "calls": 0, "spend": 200 });
    assert_eq!(app.gateway().post("/v1/usage", spent).json()["charged"], 200);
    assert_eq!((available(&app, &alice), available(&app, &bob)), (300, 1_000));
    app.advance_days(1);
    app.sweep();
    assert_eq!(seen(&app, &bob)["status"], "review");
    assert_eq!((available(&app, &alice), available(&app, &bob)), (0, 0));
}

fn inputs<'a>(referral: &'a Value, signal: &str) -> &'a Value {
    let all = referral["signals"].as_array().unwrap();
    &all.iter().find(|shown| shown["code"] == signal).unwrap_or_else(|| panic!("{signal}: {referral}"))["inputs"]
}

/// Referees of one code from everywhere, by number.
fn cohort(app: &App, people: u8) -> (Person, Vec<Person>) {
    let (alice, code) = referrer(app, "alice", "192.0.2.1");
    let one = |n| sign_up(app, &format!("198.51.100.{n}"), &format!("x@fan{n}.example"), Some(&code));
    (alice, (0..people).map(one).collect())
}

#[test]
fn a_few_calls_more_or_one_that_is_doubled_hide_nothing() {
    for (calls, expected) in [(100, true), (101, true), (105, true), (106, false)] {
        let app = proxied();
        let (_, bob) = referee(&app);
        use_api(&app, &bob, 40);
        app.advance_ms(7_000_000);
        use_api(&app, &bob, calls - 40);
        app.advance_days(1);
        app.sweep();
        let found = signals(&seen(&app, &bob)).contains(&"bare_milestone".to_owned());
        assert_eq!(found, expected, "{calls}");
    }
    let app = proxied();
    let (_, bob) = referee(&app);
    for n in 0..100 {
        use_api(&app, &bob, if n == 60 { 2 } else { 1 });
        app.advance_ms(20_000 + n * 7_919 % 5_000);
    }
    assert_eq!(signals(&seen(&app, &bob)), ["odd_usage"]);
}

#[test]
fn five_of_a_referrer_s_who_call_alike_are_held_with_those_that_come_after() {
    let app = proxied();
    let (alice, people) = cohort(&app, 6);
    for (n, person) in people[..5].iter().enumerate() {
        let is_held = people[..n].iter().any(|before| seen(&app, before)["status"] == "review");
        assert!(!is_held, "four may try an API out together");
        use_api(&app, person, 1);
        app.advance_ms(600_000);
        use_api(&app, person, 130);
    }
    for person in &people[..5] {
        let shown = seen(&app, person);
        assert_eq!(shown["status"], "review");
        assert_eq!(inputs(&shown, "same_usage"), &json!({ "how": "paced", "alike": 5, "of": 5 }));
    }
    let sixth = seen(&app, &people[5]);
    assert_eq!(
        (sixth["status"].as_str(), signals(&sixth)),
        (Some("signed_up"), vec![]),
        "who was here already goes on"
    );
    assert_eq!(available(&app, &alice), 500, "for the sixth");
    let seventh = sign_up(&app, "198.51.100.99", "x@seventh.example", Some(&alice.code("192.0.2.1")));
    assert_eq!(seventh.referral()["status"], "review");
}

#[test]
fn three_who_call_one_by_one_alike_are_enough() {
    let app = proxied();
    let (_, people) = cohort(&app, 3);
    for person in &people {
        for n in 0..100 {
            use_api(&app, person, 1 + n % 3);
            app.advance_ms(10_000 + n * n * 7_919 % 60_000);
        }
    }
    assert!(people.iter().all(|person| signals(&seen(&app, person)) == ["same_usage"]));
}

#[test]
fn five_whose_calls_end_at_the_milestone_however_they_got_there() {
    let app = proxied();
    let (_, people) = cohort(&app, 5);
    for (n, person) in (0..).zip(&people) {
        use_api(&app, person, 30 + 10 * n);
        app.advance_ms(600_000 * (n + 1));
        use_api(&app, person, 72 - 10 * n);
    }
    app.advance_days(1);
    app.sweep();
    for person in &people {
        let shown = seen(&app, person);
        assert!(signals(&shown).contains(&"bare_milestone".to_owned()), "{shown}");
        assert_eq!((&shown["status"], &inputs(&shown, "same_usage")["how"]), (&json!("review"), &json!("ended")));
    }
}

#[test]
fn a_few_alike_of_many_who_are_not_are_left_alone() {
    let app = proxied();
    let (_, people) = cohort(&app, 7);
    for (n, person) in (0..).zip(&people) {
        use_api(&app, person, 1);
        app.advance_ms(600_000 * if n % 2 == 0 { 1 } else { n });
        use_api(&app, person, if n % 3 == 0 { 130 } else { 150 + 20 * n });
    }
    assert!(people.iter().all(|person| signals(&seen(&app, person)).is_empty()));
}

#[test]
fn who_is_held_together_with_others_at_the_milestone_stays_held() {
    let app = proxied();
    let (alice, people) = cohort(&app, 5);
    let code = alice.code("192.0.2.1");
    for name in ["yara", "zoe"] {
        sign_up(&app, "192.0.2.1", &format!("{name}@{name}.example"), Some(&code));
    }
    // The first of the five makes most of them held, and so the others before their turn comes.
    for person in &people {
        use_api(&app, person, 130);
    }
    for person in &people {
        let shown = seen(&app, person);
        assert_eq!((&shown["status"], &shown["at_stake"]), (&json!("review"), &json!(3_000)));
        assert_eq!(available(&app, person), 0);
    }
}
