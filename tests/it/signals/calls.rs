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
    assert_eq!(app.sqlite3("SELECT count(*) FROM pace").trim(), "0", "nothing is kept of how they called");
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
