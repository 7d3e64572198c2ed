//! Spends and calls are in memory first and in the projections later. Nobody can tell, but with SQL on the bare tables.

use crate::harness::{App, Developer};
use crate::process::{Caller, Dice, Server, empty_dir, run, sqlite3};
use refloop::domain::error::Kind;
use refloop::store::{Capacity, Clock, Store, verify_file};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

fn pair(app: &App) -> (Developer, Developer) {
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    (alice, bob)
}

/// Up to where the projections are, how far the logs are, and what the projections and the views say was spent.
const STATE: &str = "SELECT entry_seq, (SELECT max(seq) FROM entry), event_seq, (SELECT max(seq) FROM usage_event),
    (SELECT sum(spent) FROM balance), (SELECT sum(spent) FROM balance_now),
    coalesce((SELECT sum(calls) FROM usage_total), 0), (SELECT sum(calls) FROM usage_total_now) FROM projected";

fn state(printed: &str) -> Vec<i64> {
    printed.trim().split('|').map(|number| number.parse().unwrap_or_else(|_| panic!("{printed}"))).collect()
}

#[test]
fn the_tables_follow_and_the_views_and_answers_are_ahead_of_them() {
    let app = App::start_unhurried();
    let (_, bob) = pair(&app);
    let gateway = app.gateway();
    // The first call pays Alice, which completes nobody's rows but hers.
    for n in 0..3 {
        assert_eq!(bob.use_api(&gateway, &format!("e{n}"), 10)["available"], 990 - 10 * n);
    }
    assert_eq!(bob.stats()["credits_available"], 970);
    let seen = state(&app.sqlite3_unprepared(STATE));
    let [.., spent, spent_now, calls, calls_now] = seen[..] else { panic!("{seen:?}") };
    assert_eq!((spent_now, calls_now), (30, 30));
    assert!(spent <= 30 && calls <= 30 && seen[0] <= seen[1] && seen[2] <= seen[3], "{seen:?}");

    // Who lists entries finds all of them, and has them written down before.
    let charged: i64 = bob.ledger().iter().filter_map(|entry| entry["credit_amount"].as_i64()).filter(|n| *n < 0).sum();
    assert_eq!(charged, -30);
    let seen = state(&app.sqlite3_unprepared(STATE));
    assert_eq!((seen[4], seen[6]), (30, 30), "{seen:?}");
    let newest = state(&app.sqlite3(STATE));
    assert_eq!((newest[0], newest[2]), (newest[1], newest[3]), "all of it, when asked to");
}

#[test]
fn what_another_program_writes_is_seen_and_loses_nothing() {
    let app = App::start_unhurried();
    let (alice, bob) = pair(&app);
    let gateway = app.gateway();
    bob.use_api(&gateway, "before", 100);
    // A change of rules by the command line, between two events.
    let db = app.db();
    let (dir, file) = (db.parent().unwrap(), db.to_str().unwrap());
    let mut program: Value = run(dir, &["project", "program", "default", "--db", file, "--json"]).json();
    program["rules"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "on": "calls:200", "to": "referee", "amount": 7, "reason": "busy_bee" }));
    std::fs::write(dir.join("program.json"), program.to_string()).unwrap();
    let said = run(dir, &["project", "program", "default", "program.json", "--db", file]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let answer = bob.use_api(&gateway, "after", 100);
    assert_eq!(answer["available"], 1_000 - 200 + 7, "by the rules that are in force now");
    assert_eq!(bob.use_api(&gateway, "before", 100)["status"], "duplicate");
    // A hold from the shell, as the app sees it after it has looked around.
    app.sqlite3("UPDATE referral SET status = 'review', reason = 'test'");
    assert_eq!(bob.stats()["credits_available"], 0);
    assert_eq!(alice.stats()["credits_available"], 0);
}

#[test]
fn beside_a_server_a_program_knows_no_balances() {
    let app = App::start_unhurried();
    let (_, bob) = pair(&app);
    bob.use_api(&app.gateway(), "e", 1);
    let served = Store::serve(&app.db(), Clock::System, Capacity::default());
    assert!(served.err().unwrap().message.contains("another refloop is serving"));
    let beside = Store::open(&app.db(), Clock::System, Capacity::default()).unwrap();
    let project = app.engine.project_named("default").unwrap().id;
    let account = bob.id.parse().unwrap();
    let refusal = beside.read_blocking(|db| db.balance(project, account)).unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (Kind::Conflict, "server_running"));
    assert!(beside.write_blocking(move |tx| tx.totals(project, account)).is_err());
}

#[test]
fn a_flood_is_refused_in_part_and_answered_in_full() {
    let app = App::start_over(Capacity { queued_writes: 600, ..Capacity::default() }, |_| ());
    let (_, bob) = pair(&app);
    let gateway = app.gateway();
    let batch = |name: &str| -> Value {
        let event = |n| json!({ "id": format!("{name}-{n}"), "developer_id": bob.id, "calls": 1, "spend": 0 });
        json!({ "events": (0..300).map(event).collect::<Vec<_>>() })
    };
    let (mut taken, mut refused) = (0, 0);
    for round in 0..20 {
        let replies: Vec<_> = std::thread::scope(|scope| {
            let flood = |client| {
                let (gateway, body) = (app.gateway(), batch(&format!("{round}-{client}")));
                scope.spawn(move || gateway.post("/v1/usage", body))
            };
            (0..8).map(flood).collect::<Vec<_>>().into_iter().map(|client| client.join().unwrap()).collect()
        });
        for reply in replies {
            if reply.status == 200 {
                let results = reply.json();
                assert!(results["results"].as_array().unwrap().iter().all(|result| result["status"] == "recorded"));
                taken += 300;
            } else {
                assert_eq!(reply.problem(503), "busy");
                assert!(reply.header("retry-after").is_some());
                refused += 300;
            }
        }
        // Recovery is at once.
        assert_eq!(bob.use_api(&gateway, &format!("single-{round}"), 1)["status"], "recorded");
        if taken > 0 && refused > 0 {
            break;
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    let counted = app.sqlite3("SELECT count(*) FROM usage_event WHERE event_id NOT LIKE 'single%'");
    assert_eq!(counted.trim().parse(), Ok(taken));
}

#[test]
fn what_is_written_back_is_never_trusted() {
    for (sql, problem) in [
        ("UPDATE projected SET entry_seq = entry_seq + 5", "ahead of the ledger"),
        ("UPDATE projected SET event_seq = event_seq + 5", "ahead of the usage events"),
        ("UPDATE balance SET spends_to = 1000000 WHERE spends_to > 0", "complete up to another entry"),
        ("UPDATE balance SET spends_to = 1 WHERE spends_to > 0", "complete up to another entry"),
        ("UPDATE usage_total SET events_to = 1000000", "ahead of the usage events"),
        ("UPDATE usage_total SET calls = calls + 1", "not what its usage events add up to"),
        ("DELETE FROM usage_total", "not what its usage events add up to"),
        ("DELETE FROM usage_id", "usage_id"),
        ("UPDATE usage_id SET event_seq = 3 - event_seq", "usage_id"),
        ("INSERT INTO usage_id VALUES (5, 1)", "usage_id"),
        ("DELETE FROM usage_event", "usage_id"),
        ("UPDATE usage_event SET event_id = 'c' WHERE event_id = 'b'", "usage_id"),
        ("UPDATE usage_event SET charged = charged + 1 WHERE seq = 1", "another sum"),
        ("UPDATE usage_event SET account_id = (SELECT min(id) FROM account) WHERE seq = 1", "add up to"),
        (
            "INSERT INTO usage_event SELECT 3, project_id, event_id, account_id, 0, 0, 0, NULL, at_ms FROM usage_event
            WHERE seq = 2; INSERT INTO usage_id SELECT hash, 3 FROM usage_id WHERE event_seq = 2",
            "the same id",
        ),
        ("INSERT INTO account_entry SELECT account_id, 1000000 FROM balance", "is not theirs"),
        ("DELETE FROM account_entry WHERE seq = 2", "not what the ledger has"),
        ("UPDATE account_entry SET account_id = account_id + 1 WHERE seq = 2", "not what the ledger has"),
    ] {
        let app = App::start_unhurried();
        let (_, bob) = pair(&app);
        for id in ["a", "b"] {
            bob.use_api(&app.gateway(), id, 1);
        }
        app.sqlite3("SELECT 1");
        assert_eq!(verify_file(&app.db(), None).unwrap().fault, None);
        app.expect_tampering();
        assert_eq!(app.sqlite3_unprepared(sql), "", "{sql}");
        let fault = verify_file(&app.db(), None).unwrap().fault.unwrap_or_else(|| panic!("{sql}"));
        assert!(fault.problem.contains(problem), "{sql}: {fault:?}");
    }
}

#[test]
fn grants_and_events_that_pay_their_own_account_are_behind_the_mark_in_the_end() {
    let app = App::start_unhurried();
    app.change_program(|program| {
        let rule = json!({ "on": "calls:1", "to": "referee", "amount": 7, "reason": "busy_bee" });
        program["rules"].as_array_mut().unwrap().push(rule);
    });
    let (_, bob) = pair(&app);
    assert_eq!(bob.use_api(&app.gateway(), "e", 1)["available"], 1_006);
    let seen = state(&app.sqlite3(STATE));
    assert_eq!((seen[0], seen[2]), (seen[1], seen[3]), "{seen:?}");
    assert_eq!(app.sqlite3("SELECT count(*) FROM usage_id").trim(), "1");
}

#[test]
fn a_list_of_referrals_says_of_a_grant_that_is_spent_in_memory_only_what_it_says_later() {
    let app = App::start_unhurried();
    app.change_program(|program| program["rules"][1]["expires_days"] = json!(30));
    let alice = app.developer("Alice");
    app.referee("Bob", &alice.code());
    app.advance_days(30);
    app.advance_ms(-1);
    assert_eq!(alice.use_api(&app.gateway(), "all", 500)["charged"], 500);
    app.advance_ms(1);
    let status = || alice.get("/v1/developers/referrals").json()["data"][0]["credits"][0]["status"].clone();
    let at_once = status();
    app.sqlite3("SELECT 1");
    assert_eq!(at_once, status());
}

/// Signs up a referrer and some referees; returns the gateway key and the referees' ids.
fn settle_in(server: &Server, referees: usize) -> (String, Vec<String>) {
    let caller = Caller::new(&server.url);
    let sign_up = |name: &str, code: Option<&str>| {
        let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name,
                           "referral_code": code });
        caller.post(None, "/v1/developers/signup", &body).unwrap().json()
    };
    let alice = sign_up("alice", None);
    let code = caller.post(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({})).unwrap().json();
    let code = code["referral_code"].as_str().unwrap();
    let referee = |n| sign_up(&format!("bob{n}"), Some(code))["developer"]["id"].as_str().unwrap().to_owned();
    (server.gateway_key(), (0..referees).map(referee).collect())
}

fn assert_in_order(dir: &Path) {
    let verdict = run(dir, &["verify", "--json"]);
    assert_eq!(verdict.json()["ok"], true, "{verdict:?}");
}

#[test]
fn kill_9_between_the_ledger_s_commit_and_its_projections() {
    let (_keep, dir) = empty_dir();
    let db = dir.join("refloop.db");
    let mut server = Server::start(&dir);
    let (key, bobs) = settle_in(&server, 2);
    let event = |round: i64, n: i64| json!({ "id": format!("{round}-{n}"), "developer_id": bobs[0], "calls": 2 });
    let mut behind = 0;
    for round in 0..4 {
        let caller = Caller::new(&server.url);
        for n in 0..5 {
            assert_eq!(caller.post(Some(&key), "/v1/usage", &event(round, n)).unwrap().json()["charged"], 2);
        }
        server.kill_9();
        let seen = state(&sqlite3(&db, STATE));
        behind += i64::from(seen[0] < seen[1] && seen[2] < seen[3] && seen[4] < seen[5] && seen[6] < seen[7]);
        let told = (round + 1) * 10;
        assert_eq!((seen[5], seen[7]), (told, told), "the views count what was answered");
        assert_in_order(&dir);

        server = Server::start(&dir);
        let seen = state(&sqlite3(&db, STATE));
        assert_eq!((seen[0], seen[2], seen[4], seen[6]), (seen[1], seen[3], told, told), "{seen:?}");
        let listed = "SELECT (SELECT count(*) FROM account_entry) = (SELECT count(*) FROM entry),
                             (SELECT count(*) FROM usage_id) = (SELECT count(*) FROM usage_event)";
        assert_eq!(sqlite3(&db, listed), "1|1\n");
        let caller = Caller::new(&server.url);
        for n in 0..5 {
            let again = caller.post(Some(&key), "/v1/usage", &event(round, n)).unwrap().json();
            assert_eq!((&again["status"], &again["available"]), (&json!("duplicate"), &json!(1_000 - told)));
        }
    }
    assert!(behind > 0, "the projections were never behind");
}

#[test]
fn kill_9_while_the_projections_are_written_back() {
    let (_keep, dir) = empty_dir();
    let db = dir.join("refloop.db");
    let mut server = Server::start(&dir);
    let (key, bobs) = settle_in(&server, 9);
    let (mut dice, mut sent, mut told) = (Dice::new(7), 0, 0);
    for round in 0..3 {
        let caller = Caller::new(&server.url);
        // A pile is two seconds old when it is written back, while the next one grows.
        let until = Duration::from_millis(2_000 + u64::try_from(dice.between(0, 150)).unwrap());
        let started = Instant::now();
        let clients: Vec<(i64, i64)> = std::thread::scope(|scope| {
            let client = |client: usize| {
                let (caller, key, bobs) = (caller.clone(), &key, &bobs);
                scope.spawn(move || {
                    let (mut sent, mut told) = (0, 0);
                    for turn in 0.. {
                        let event = |n: usize| {
                            json!({ "id": format!("{round}-{client}-{turn}-{n}"), "calls": 1,
                                    "developer_id": bobs[(client + n) % bobs.len()] })
                        };
                        let body = json!({ "events": (0..100).map(event).collect::<Vec<_>>() });
                        sent += 100;
                        match caller.post(Some(key), "/v1/usage", &body) {
                            Some(reply) => assert_eq!(reply.status, 200, "{}", reply.body),
                            None => break,
                        }
                        told += 100;
                    }
                    (sent, told)
                })
            };
            let clients: Vec<_> = (0..3).map(client).collect();
            while started.elapsed() < until {
                std::thread::yield_now();
            }
            server.kill_9();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        sent += clients.iter().map(|client| client.0).sum::<i64>();
        told += clients.iter().map(|client| client.1).sum::<i64>();
        assert_in_order(&dir);
        let calls_there = state(&sqlite3(&db, STATE))[7];
        assert!((told..=sent).contains(&calls_there), "{told} answered, {calls_there} there, {sent} sent");
        told = calls_there;
        sent = calls_there;
        server = Server::start(&dir);
        let seen = state(&sqlite3(&db, STATE));
        assert_eq!((seen[0], seen[2], seen[4], seen[6]), (seen[1], seen[3], seen[5], seen[7]), "{seen:?}");
        assert_in_order(&dir);
    }
}
