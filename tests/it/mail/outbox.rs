//! The outbox by single steps: nothing is lost, nothing is told that did not happen, and what fails waits longer.

use crate::harness::{App, DAY_MS};
use refloop::domain::delivery::{DeliveryKind, MOST_TRIES, Outcome};
use refloop::domain::id::DeliveryId;
use refloop::engine::Begun;
use refloop::store::NewAccount;
use refloop::work::{Receiver, deliver_once};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Answers from a script, `Done` when it is at its end, and remembers what it was told.
#[derive(Default)]
struct Told {
    script: Mutex<VecDeque<Outcome>>,
    seen: Mutex<Vec<(DeliveryId, i64)>>,
}

impl Told {
    fn answering(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        Self { script: Mutex::new(outcomes.into_iter().collect()), seen: Mutex::default() }
    }

    fn seen(&self) -> Vec<(DeliveryId, i64)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Receiver for Told {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Mail
    }

    fn tell(&self, begun: &Begun) -> Outcome {
        self.seen.lock().unwrap().push((begun.delivery.id, begun.delivery.tries));
        self.script.lock().unwrap().pop_front().unwrap_or(Outcome::Done(None))
    }
}

/// Queues the letters of payouts of one account.
pub fn queue(app: &App, payouts: std::ops::Range<u32>) {
    app.send_mail();
    app.write(move |tx| {
        let project = tx.project_named("default")?.id;
        let email = Some("me@alice.example".to_owned());
        let account = match tx.account_with_email(project, "me@alice.example")? {
            Some(account) => account,
            None => tx.add_account(project, &NewAccount { email, ..NewAccount::default() })?,
        };
        for payout in payouts {
            refloop::engine::payout_paid(tx, project, account.id, &format!("po_{payout}"), "25.00 USD")?;
        }
        Ok(())
    });
}

fn rows(app: &App) -> String {
    app.sqlite3("SELECT state, tries, coalesce(problem, '-') FROM outbox ORDER BY id").trim().to_owned()
}

#[test]
fn what_is_delivered_is_delivered_once_and_never_queued_again() {
    let app = App::start();
    queue(&app, 0..2);
    queue(&app, 0..3);
    let told = Told::default();
    assert_eq!(deliver_once(&app.engine, &told).unwrap(), 3);
    assert_eq!(deliver_once(&app.engine, &told).unwrap(), 0);
    queue(&app, 0..3);
    assert_eq!(deliver_once(&app.engine, &told).unwrap(), 0);
    assert_eq!(told.seen().len(), 3);
    let kept = app.sqlite3("SELECT DISTINCT state, body, problem FROM outbox");
    assert_eq!(kept.trim(), "done|{}|", "what was told once is known, not what it said");
    assert!(app.engine.open_deliveries("default").unwrap().is_empty());
}

#[test]
fn what_fails_waits_longer_each_time_and_is_parked_in_the_end() {
    let app = App::start();
    queue(&app, 0..1);
    let failing = Told::answering((0..).map(|n| Outcome::Retry(format!("down {n}"))).take(30));
    let mut pauses = Vec::new();
    for tries in 1..MOST_TRIES {
        assert_eq!(deliver_once(&app.engine, &failing).unwrap(), 1, "{tries}");
        assert_eq!(rows(&app), format!("waiting|{tries}|down {}", tries - 1));
        let due = app.engine.open_deliveries("default").unwrap()[0].due_at_ms;
        pauses.push((due - app.now_ms()) / 1_000);
        app.advance_ms(due - app.now_ms() - 1);
        assert_eq!(deliver_once(&app.engine, &failing).unwrap(), 0, "not before its time");
        app.advance_ms(1);
    }
    for (place, pause) in pauses.iter().enumerate() {
        let longest = (30 << place).min(21_600);
        assert!((longest / 2..=longest).contains(pause), "{pauses:?}");
    }
    assert_eq!(deliver_once(&app.engine, &failing).unwrap(), 1);
    assert_eq!(rows(&app), format!("parked|{MOST_TRIES}|down 11"));
    app.advance_ms(400 * DAY_MS);
    assert_eq!(deliver_once(&app.engine, &failing).unwrap(), 0);

    let id = app.engine.open_deliveries("default").unwrap()[0].id;
    app.engine.retry_delivery(id).unwrap();
    assert_eq!(deliver_once(&app.engine, &Told::default()).unwrap(), 1);
    assert_eq!(rows(&app), "done|2|-");
    assert_eq!(app.engine.retry_delivery(id).unwrap_err().code, "not_found", "it is done");
}

#[test]
fn each_outcome_has_its_place() {
    let app = App::start();
    queue(&app, 0..3);
    let outcomes = [
        Outcome::Refused("550 <me@alice.example> is unknown".into()),
        Outcome::Unclear("no answer".into()),
        Outcome::Done(Some("tr_1".into())),
    ];
    assert_eq!(deliver_once(&app.engine, &Told::answering(outcomes)).unwrap(), 3);
    assert_eq!(rows(&app), "parked|1|550 … is unknown\nwaiting|1|no answer\ndone|1|-");
}

#[test]
fn a_waiting_delivery_can_be_hurried() {
    let app = App::start();
    queue(&app, 0..1);
    let down = || Outcome::Retry("down".into());
    let told = Told::answering([down(), down()]);
    deliver_once(&app.engine, &told).unwrap();
    let id = app.engine.open_deliveries("default").unwrap()[0].id;
    assert_eq!(deliver_once(&app.engine, &told).unwrap(), 0);
    app.engine.retry_delivery(id).unwrap();
    assert_eq!(deliver_once(&app.engine, &told).unwrap(), 1);
    assert_eq!(rows(&app), "waiting|2|down", "the tries so far count");
}

#[test]
fn a_try_whose_end_is_not_noted_is_made_again() {
    let app = App::start();
    queue(&app, 0..1);
    let first = app.engine.next_delivery(DeliveryKind::Mail).unwrap().unwrap();
    let told = Told::default();
    deliver_once(&app.engine, &told).unwrap();
    assert_eq!(told.seen(), [(first.delivery.id, 2)], "the same, and that it is the second try is known");
    // The first one's end comes late.
    app.engine.end_delivery(&first, Outcome::Retry("late".into())).unwrap();
    assert_eq!(rows(&app), "done|2|-");
}

#[test]
fn a_receiver_that_breaks_off_has_perhaps_told() {
    struct Broken;
    impl Receiver for Broken {
        fn kind(&self) -> DeliveryKind {
            DeliveryKind::Mail
        }

        fn tell(&self, _: &Begun) -> Outcome {
            panic!("on purpose")
        }
    }
    let app = App::start();
    queue(&app, 0..1);
    assert_eq!(deliver_once(&app.engine, &Broken).unwrap(), 1);
    assert_eq!(rows(&app), "waiting|1|The delivery broke off here.");
}

#[test]
fn a_step_is_bounded() {
    let app = App::start();
    queue(&app, 0..60);
    let told = Told::default();
    assert_eq!(deliver_once(&app.engine, &told).unwrap(), 50);
    assert_eq!(deliver_once(&app.engine, &told).unwrap(), 10);
    let mut ids: Vec<_> = told.seen().into_iter().map(|(id, _)| id).collect();
    assert!(ids.is_sorted(), "oldest first");
    ids.dedup();
    assert_eq!(ids.len(), 60);
}

#[test]
fn what_did_not_happen_is_not_told() {
    let app = App::start();
    app.send_mail();
    app.change_program(|program| program["mail"]["confirm_address"] = true.into());
    app.developer("Alice");
    assert_eq!(rows(&app), "waiting|0|-");
    assert_eq!(app.try_sign_up("alice@alice.example", None).status, 409);
    assert_eq!(rows(&app), "waiting|0|-", "no second letter for a signup that was refused");
}

#[test]
fn erasing_an_account_takes_its_deliveries_back() {
    let app = App::start();
    app.send_mail();
    let alice = app.developer("Alice");
    let (code, id) = (alice.code(), alice.id.clone());
    app.referee("Bob", &code);
    app.write(move |tx| {
        let project = tx.project_named("default")?.id;
        refloop::engine::payout_refused(tx, project, id.parse()?, "po_1", "25.00 USD", "The secret reason.")
    });
    assert_eq!(rows(&app).lines().count(), 2);
    assert_eq!(alice.delete("/v1/developers/me").status, 200);
    assert!(app.engine.open_deliveries("default").unwrap().is_empty());
    assert!(!app.dump().contains("secret reason"));
    assert_eq!(deliver_once(&app.engine, &Told::default()).unwrap(), 0);
}

#[test]
fn the_outbox_holds_no_names_no_addresses_and_no_secrets() {
    let app = App::start();
    app.send_mail();
    app.change_program(|program| program["mail"]["confirm_address"] = true.into());
    app.developer("Alice");
    let alice = "alice@alice.example";
    let visitor = crate::visitor::Visitor::new(&app);
    assert_eq!(super::fill_in(&visitor, "/forgot", "/forgot", &[("email", alice)]).status, 200);
    let bodies = app.sqlite3("SELECT body FROM outbox ORDER BY id");
    assert_eq!(bodies.trim(), "{\"letter\":\"confirm_address\"}\n{\"letter\":\"reset_password\"}");
    assert!(app.sqlite3("SELECT * FROM mail_token").is_empty(), "a token is made when its mail is sent");
}
