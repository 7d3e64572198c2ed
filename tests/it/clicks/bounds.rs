//! A flood of clicks: what it can leave behind, and that nobody else notices.

use super::{CHROME, FIREFOX, clicks, cookie, once, rows};
use crate::harness::{App, DAY_MS, Reply};
use crate::process::{NO_LIMITS, Server, empty_dir, refloop};
use futures_util::FutureExt;
use refloop::domain::code::Code;
use refloop::engine::{Arrival, Devices, Swept};
use refloop::store::Capacity;
use serde_json::json;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Clicks by as many visitors, all at once, straight at the engine.
fn flood(app: &App, code: &str, count: usize) {
    let (engine, project) = (&app.engine, app.engine.project_named("default").unwrap().id);
    let reader = engine.reader().unwrap();
    let code = Code::parse("ref", code).unwrap();
    let click = |n: usize| {
        let network = IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        let arrival = Arrival {
            network,
            user_agent: FIREFOX.into(),
            remembered: None,
            account: None,
            devices: Devices::default(),
        };
        let clicked = engine.click(&reader, project, code.clone(), arrival);
        async move { engine.count_click(&clicked.await.unwrap().expect("everyone is led on")).await }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for some in (0..count).collect::<Vec<_>>().chunks(4_000) {
        runtime.block_on(futures_util::future::join_all(some.iter().map(|n| click(*n))));
    }
}

#[test]
fn a_day_has_room_for_so_many_clicks_of_a_referrer() {
    let app = App::start_unhurried();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    flood(&app, &alice.code(), 10_100);
    assert_eq!((clicks(&alice), rows(&app, "click")), (10_000, 10_000));
    alice.delete("/v1/developers/referral-code");
    let second = alice.code();
    let reply = once(&app, CHROME, &format!("/r/{second}"));
    assert_eq!((reply.status, clicks(&alice)), (303, 10_000), "a new code is still the same referrer's");
    assert!(cookie(&reply).is_some(), "it is remembered all the same");
    once(&app, CHROME, &format!("/r/{}", bob.code()));
    assert_eq!(clicks(&bob), 1, "others are not held up");
    app.advance_days(1);
    once(&app, CHROME, &format!("/r/{second}"));
    assert_eq!(clicks(&alice), 10_001);

    // And for so many of a project.
    app.sqlite3("UPDATE project_click_day SET clicks = 199999");
    once(&app, "Another", &format!("/r/{}", bob.code()));
    assert_eq!(clicks(&bob), 2);
    once(&app, "Yet another", &format!("/r/{}", bob.code()));
    assert_eq!((clicks(&bob), rows(&app, "click")), (2, 10_003));
}

#[test]
fn single_clicks_are_forgotten_after_the_window_and_the_figures_stay() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    flood(&app, &code, 2_500);
    app.advance_days(6);
    for n in 0..5 {
        once(&app, &format!("{FIREFOX} {n}"), &format!("/r/{code}"));
    }
    let before = alice.stats();
    assert_eq!(before["total_clicks"], 2_505);
    assert_eq!(app.sweep().clicks, 0);
    app.advance_days(1);
    let steps: Vec<Swept> = std::iter::repeat_with(|| app.sweep()).take(4).collect();
    let forgotten: Vec<usize> = steps.iter().map(|step| step.clicks).collect();
    assert_eq!(forgotten, [1_000, 1_000, 500, 0], "step by step");
    let full: Vec<bool> = steps.iter().map(|step| step.is_full()).collect();
    assert_eq!(full, [true, true, false, false]);
    assert_eq!((rows(&app, "click"), clicks(&alice)), (5, 2_505));
    let today = alice.get("/v1/developers/referral-stats?days=30").json()["series"].clone();
    assert_eq!(
        (&today[29]["clicks"], &today[28]["clicks"], &today[22]["clicks"]),
        (&json!(0), &json!(5), &json!(2_500))
    );

    // However long the window is, single clicks are kept for 90 days at most.
    app.change_program(|program| program["attribution"]["window_days"] = json!(36_500));
    app.advance_days(88);
    assert_eq!(app.sweep().clicks, 0);
    app.advance_days(1);
    assert_eq!((app.sweep().clicks, app.sweep().clicks), (5, 0));
    assert_eq!((rows(&app, "click"), clicks(&alice)), (0, 2_505));
}

#[test]
fn a_full_queue_counts_nothing_and_keeps_nobody_from_the_page() {
    let app = App::start_over(Capacity { queued_writes: 1, ..Capacity::default() }, |_| ());
    let alice = app.developer("Alice");
    let code = alice.code();
    once(&app, FIREFOX, &format!("/r/{code}"));
    let before = clicks(&alice);
    // Longer than the line is: the rest of it is not counted.
    flood(&app, &code, 4_000);
    assert!((before..=4_001).contains(&clicks(&alice)));
    assert_eq!(once(&app, CHROME, &format!("/r/{code}")).status, 303);
}

#[test]
fn a_disk_that_takes_nothing_keeps_nobody_from_the_page() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    once(&app, FIREFOX, &format!("/r/{code}"));
    // As good as full, for clicks.
    app.sqlite3("CREATE TRIGGER full BEFORE INSERT ON click BEGIN SELECT RAISE(ABORT, 'disk full'); END");
    let (landed, page) =
        (once(&app, CHROME, &format!("/r/{code}")), once(&app, CHROME, &format!("/signup?ref={code}")));
    assert_eq!((landed.status, page.status, clicks(&alice)), (303, 200, 1));
    assert!(cookie(&landed).is_some() && cookie(&page).is_some(), "the signup may still come of it");
    app.sqlite3("DROP TRIGGER full");
    once(&app, CHROME, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 2);
    // Not even the day's key.
    app.advance_ms(DAY_MS);
    app.sqlite3("CREATE TRIGGER full BEFORE UPDATE ON instance BEGIN SELECT RAISE(ABORT, 'disk full'); END");
    let landed = once(&app, CHROME, &format!("/r/{code}"));
    assert_eq!((landed.status, cookie(&landed), clicks(&alice)), (303, None, 2));
    app.sqlite3("DROP TRIGGER full");
    once(&app, CHROME, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 3);
}

/// A server with a code of Alice's, in a directory with a log.
struct Stuck {
    _keep: tempfile::TempDir,
    dir: std::path::PathBuf,
    server: Server,
    path: String,
    alice: crate::harness::Client,
}

impl Stuck {
    fn start() -> Self {
        let (keep, dir) = empty_dir();
        let server = Server::start(&dir);
        let caller = crate::process::Caller::new(&server.url);
        let sign_up = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
        let key = caller.post(None, "/v1/developers/signup", &sign_up).unwrap().json()["api_key"].clone();
        let key = key.as_str().unwrap().to_owned();
        let code = caller.post(Some(&key), "/v1/developers/referral-code", &json!({})).unwrap().json();
        let path = format!("/r/{}", code["referral_code"].as_str().unwrap());
        let alice = crate::harness::Client::new(&server.url, Some(key));
        Self { _keep: keep, dir, server, path, alice }
    }

    fn click(&self, n: usize) -> Reply {
        let agent = format!("{FIREFOX} {n}");
        let client = crate::harness::Client::new(&self.server.url, None);
        client.send("GET", &self.path, &[("User-Agent", &agent)], Vec::new())
    }

    /// Nothing can be written until it is dropped.
    fn lock(&self) -> rusqlite::Connection {
        let other = rusqlite::Connection::open(self.dir.join("refloop.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }

    fn has_told(&self) -> bool {
        std::fs::read_to_string(self.dir.join("stderr.log")).unwrap().contains("were not counted")
    }
}

#[test]
fn clicks_that_wait_for_the_day_s_key_in_vain_are_told() {
    let stuck = Stuck::start();
    let lock = stuck.lock();
    std::thread::scope(|scope| {
        let clicks: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn({
                    let stuck = &stuck;
                    move || stuck.click(n)
                })
            })
            .collect();
        for reply in clicks.into_iter().map(|click| click.join().unwrap()) {
            assert_eq!((reply.status, cookie(&reply)), (303, None), "nobody is known today");
        }
    });
    assert!(stuck.has_told());
    drop(lock);
    assert!(cookie(&stuck.click(5)).is_some());
    assert_eq!(stuck.alice.get("/v1/developers/referral-stats").json()["total_clicks"], 1);
}

#[test]
fn clicks_that_nobody_waited_for_are_told_when_they_are_lost() {
    let mut stuck = Stuck::start();
    stuck.click(0);
    let lock = stuck.lock();
    let reply = stuck.click(1);
    assert_eq!((reply.status, cookie(&reply).is_some()), (303, true), "it is remembered all the same");
    stuck.server.terminate();
    stuck.server.wait();
    assert!(stuck.has_told());
    drop(lock);
}

#[test]
fn who_does_not_stay_is_counted_by_the_next_step() {
    let app = App::start();
    let alice = app.developer("Alice");
    let project = app.engine.project_named("default").unwrap().id;
    let (reader, code) = (app.engine.reader().unwrap(), Code::parse("ref", &alice.code()).unwrap());
    let arrive = |agent: &str| {
        let network = IpAddr::from([192, 0, 2, 1]);
        let arrival =
            Arrival { network, user_agent: agent.into(), remembered: None, account: None, devices: Devices::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(app.engine.click(&reader, project, code.clone(), arrival)).unwrap().unwrap()
    };
    let (first, second) = (arrive(FIREFOX), arrive(CHROME));
    let mut storing = Box::pin(app.engine.count_click(&first));
    // The first is under way; the second waits for its turn, and goes away.
    let _ = (&mut storing).now_or_never();
    let _ = app.engine.count_click(&second).now_or_never();
    drop(storing);
    app.sweep();
    assert_eq!(clicks(&alice), 2);
}

#[test]
fn usage_is_answered_beside_a_flood() {
    let (_keep, dir) = empty_dir();
    let mut command = refloop(&dir);
    command.args(["serve", "--json", "--workers", "2", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    let mut server = Server::spawn(command, &dir);
    let (url, gateway) = (server.url.clone(), server.gateway_key());
    let caller = crate::process::Caller::new(&url);
    let sign_up = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
    let alice = caller.post(None, "/v1/developers/signup", &sign_up).unwrap().json();
    let (id, key) = (alice["developer"]["id"].clone(), alice["api_key"].as_str().unwrap().to_owned());
    let code = caller.post(Some(&key), "/v1/developers/referral-code", &json!({})).unwrap().json();
    let code = code["referral_code"].as_str().unwrap().to_owned();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (url, code, over) = (&url, &code, &over);
            scope.spawn(move || {
                let client = crate::harness::Client::new(url, None);
                for n in 0..500 {
                    let agent = format!("{FIREFOX} {thread} {n}");
                    let reply = client.send("GET", &format!("/r/{code}"), &[("User-Agent", &agent)], Vec::new());
                    assert_eq!(reply.status, 303, "{}", reply.body);
                }
                over.store(true, Ordering::SeqCst);
            });
        }
        let mut sent = 0;
        while !over.load(Ordering::SeqCst) || sent < 100 {
            let event = json!({ "id": format!("u{sent}"), "developer_id": id, "calls": 1, "spend": 0 });
            let reply = caller.post(Some(&gateway), "/v1/usage", &event).unwrap();
            assert!(reply.status == 200 && reply.body.contains("recorded"), "{}", reply.body);
            sent += 1;
        }
    });
    let stats = crate::harness::Client::new(&url, Some(key)).get("/v1/developers/referral-stats").json();
    assert_eq!(stats["total_clicks"], 4_000, "and nothing of it is lost");
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    let rows = crate::process::sqlite3(&dir.join("refloop.db"), "SELECT count(*) FROM click");
    assert_eq!(rows.trim(), "4000");
}
