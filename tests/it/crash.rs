//! kill -9 in the middle of signups and usage, on the real binary: what was answered is there, and nothing is half there.

use crate::process::{Caller, Dice, Server, empty_dir, refloop, run, sqlite3};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

const CLIENTS: usize = 8;

/// What clients sent, and what they were told before the server went away.
#[derive(Default)]
struct Told {
    /// Signups with a code: the body, and the answer if one came.
    signups: Vec<(Value, Option<Value>)>,
    /// Usage, single or batch.
    usage: Vec<(Value, Option<Value>)>,
}

/// The accounts that usage is reported of.
struct World {
    gateway_key: String,
    code: String,
    developers: Vec<String>,
}

fn sign_up_body(name: &str, code: Option<&str>) -> Value {
    json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name, "referral_code": code })
}

fn settle_in(server: &Server) -> World {
    let caller = Caller::new(&server.url);
    let sign_up = |name: &str, code| {
        let reply = caller.post(None, "/v1/developers/signup", &sign_up_body(name, code)).unwrap();
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()
    };
    let alice = sign_up("alice", None);
    let code = caller.post(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({})).unwrap().json();
    let code = code["referral_code"].as_str().unwrap().to_owned();
    let bobs = ["bob", "carol", "dave"].map(|name| sign_up(name, Some(&code)));
    let ids = std::iter::once(&alice).chain(&bobs).map(|body| body["developer"]["id"].as_str().unwrap().to_owned());
    World { gateway_key: server.gateway_key(), developers: ids.collect(), code }
}

/// One client: signups and usage in a random order until the server is gone. `answered` is told of each answer.
fn work(mut dice: Dice, name: &str, url: &str, world: &World, over: &AtomicBool, answered: &Sender<()>) -> Told {
    let (caller, mut told) = (Caller::new(url), Told::default());
    for turn in 0.. {
        let reply = if dice.one_in(8) {
            let body = sign_up_body(&format!("{name}-{turn}"), Some(&world.code));
            let reply = caller.post(None, "/v1/developers/signup", &body);
            assert!(reply.as_ref().is_none_or(|reply| reply.status == 201), "{:?}", reply.unwrap().body);
            let reply = reply.map(|reply| reply.json());
            told.signups.push((body, reply.clone()));
            reply
        } else {
            let mut event = |id: String| {
                let developer = dice.pick(&[0, 1, 2, 3]);
                json!({ "id": id, "developer_id": world.developers[developer], "calls": dice.between(1, 3) })
            };
            let body = if turn % 3 == 0 {
                json!({ "events": (0..20).map(|n| event(format!("{name}-{turn}-{n}"))).collect::<Vec<_>>() })
            } else {
                event(format!("{name}-{turn}"))
            };
            let reply = caller.post(Some(&world.gateway_key), "/v1/usage", &body);
            assert!(reply.as_ref().is_none_or(|reply| reply.status == 200), "{:?}", reply.unwrap().body);
            let reply = reply.map(|reply| reply.json());
            told.usage.push((body, reply.clone()));
            reply
        };
        if reply.is_none() || over.load(Ordering::SeqCst) {
            return told;
        }
        let _ = answered.send(());
    }
    told
}

/// Lets clients work until so many requests are answered, then ends the server in the given way.
fn until_answered(server: &mut Server, world: &World, round: u64, count: usize, end: fn(&mut Server)) -> Vec<Told> {
    let (answered, answers) = channel();
    let (over, url) = (AtomicBool::new(false), server.url.clone());
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (answered, over, url) = (answered.clone(), &over, &url);
                let name = format!("r{round}c{client}");
                let dice = Dice::new(round * 1_000 + client as u64);
                scope.spawn(move || work(dice, &name, url, world, over, &answered))
            })
            .collect();
        for _ in 0..count {
            answers.recv().unwrap();
        }
        end(server);
        over.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

fn results(answer: &Value) -> Vec<Value> {
    answer["results"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()])
}

/// Asks again for everything that was sent: what was answered comes as a duplicate with the same charge, what was not
/// is there as a whole or not at all. Adds each event's charge to its account's sum.
fn check_usage(caller: &Caller, world: &World, told: &[Told], charged: &mut HashMap<String, i64>) {
    for (body, answer) in told.iter().flat_map(|told| &told.usage) {
        let again = caller.post(Some(&world.gateway_key), "/v1/usage", body).unwrap();
        assert_eq!(again.status, 200, "{}", again.body);
        let again = results(&again.json());
        let states: Vec<_> = again.iter().map(|result| result["status"].as_str().unwrap()).collect();
        assert!(states.iter().all(|state| *state == states[0]), "half of a batch was kept: {states:?}");
        if let Some(answer) = answer {
            for (first, again) in results(answer).iter().zip(&again) {
                assert_eq!((first["status"].as_str(), again["status"].as_str()), (Some("recorded"), Some("duplicate")));
                for field in ["id", "developer_id", "charged", "uncovered"] {
                    assert_eq!(first[field], again[field], "{first} {again}");
                }
            }
        }
        for result in again {
            *charged.entry(result["developer_id"].as_str().unwrap().to_owned()).or_default() +=
                result["charged"].as_i64().unwrap();
        }
    }
}

fn get(url: &str, key: &str, path: &str) -> Value {
    let request = ureq::get(format!("{url}{path}")).header("Authorization", format!("Bearer {key}"));
    serde_json::from_str(&request.call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
}

fn check_signups(url: &str, caller: &Caller, told: &[Told]) {
    for (body, answer) in told.iter().flat_map(|told| &told.signups) {
        let again = caller.post(None, "/v1/developers/signup", body).unwrap();
        let Some(answer) = answer else {
            assert!([201, 409].contains(&again.status), "{}", again.body);
            continue;
        };
        assert_eq!(again.status, 409, "{}", again.body);
        assert_eq!(answer["referral"]["status"], "applied");
        let me = get(url, answer["api_key"].as_str().unwrap(), "/v1/developers/me");
        assert_eq!(me["id"], answer["developer"]["id"]);
        assert_eq!(me["referral_credits_earned"], 1_000, "{me}");
        assert_eq!(me["referred_by"], answer["developer"]["referred_by"]);
    }
}

/// Rows that belong together are there together.
fn check_nothing_is_half_there(dir: &Path, charged: &HashMap<String, i64>) {
    let db = dir.join("refloop.db");
    for (what, sql) in [
        (
            "an account without a key",
            "SELECT id FROM account WHERE id NOT IN (SELECT account_id FROM api_key WHERE account_id IS NOT NULL)",
        ),
        (
            "an account without its referral",
            "SELECT name FROM account WHERE name <> 'alice' AND id NOT IN (SELECT referee_id FROM referral)",
        ),
        (
            "a use that is not a referral's",
            "SELECT code FROM code WHERE uses_count <> (SELECT count(*) FROM referral WHERE status <> 'rejected' AND code_id = code.id)",
        ),
        (
            "a grant without its entry",
            "SELECT id FROM decision WHERE verdict = 'granted' AND id NOT IN (SELECT decision_id FROM entry WHERE decision_id IS NOT NULL)",
        ),
        (
            "an entry without its decision",
            "SELECT seq FROM entry WHERE kind = 'grant' AND decision_id NOT IN (SELECT id FROM decision WHERE verdict = 'granted')",
        ),
        (
            "a referral that did not pay both",
            "SELECT id FROM referral WHERE (SELECT count(*) FROM decision WHERE referral_id = referral.id AND event = 'signup') <> 2",
        ),
        (
            "calls that no event reported",
            "SELECT account_id FROM usage_total_now AS total WHERE calls <> (SELECT sum(calls) FROM usage_event AS event WHERE event.account_id = total.account_id)",
        ),
        (
            "a charge that is not the entries'",
            "SELECT event_id FROM usage_event WHERE charged <> coalesce((SELECT -sum(amount) FROM entry WHERE entry.group_seq = usage_event.group_seq), 0)",
        ),
        (
            "a spend without its event",
            "SELECT seq FROM entry WHERE kind = 'spend' AND group_seq NOT IN (SELECT group_seq FROM usage_event WHERE group_seq IS NOT NULL)",
        ),
        ("integrity", "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
    ] {
        assert_eq!(sqlite3(&db, sql), "", "{what}");
    }
    let spent: i64 = sqlite3(&db, "SELECT coalesce(sum(spent), 0) FROM balance_now").trim().parse().unwrap();
    assert_eq!(spent, charged.values().sum::<i64>(), "what was spent is what was answered as charged");
    assert_eq!(run(dir, &["verify", "--json"]).json()["ok"], true);
}

#[test]
fn kill_9_loses_nothing_that_was_answered() {
    let (_keep, dir) = empty_dir();
    let mut server = Server::start(&dir);
    let world = settle_in(&server);
    let (mut dice, mut charged, mut unanswered) = (Dice::new(2_529), HashMap::new(), 0);
    for round in 0..5 {
        let count = usize::try_from(dice.between(40, 250)).unwrap();
        let told = until_answered(&mut server, &world, round, count, Server::kill_9);
        unanswered +=
            told.iter().filter(|told| told.usage.iter().chain(&told.signups).any(|(_, a)| a.is_none())).count();
        // The file as the killed process left it, before anyone has opened it.
        assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true, "round {round}");
        server = Server::start(&dir);
        let caller = Caller::new(&server.url);
        check_usage(&caller, &world, &told, &mut charged);
        check_signups(&server.url, &caller, &told);
        check_nothing_is_half_there(&dir, &charged);
    }
    assert!(unanswered > 0, "nobody was in the middle of anything");
}

#[test]
fn sigterm_under_load_keeps_what_was_answered_and_exits_with_0() {
    let (_keep, dir) = empty_dir();
    let mut server = Server::start(&dir);
    let world = settle_in(&server);
    let told = until_answered(&mut server, &world, 77, 150, |server| {
        server.terminate();
        assert_eq!(server.wait(), (Some(0), String::new()));
    });
    let server = Server::start(&dir);
    let (caller, mut charged) = (Caller::new(&server.url), HashMap::new());
    check_usage(&caller, &world, &told, &mut charged);
    check_signups(&server.url, &caller, &told);
    check_nothing_is_half_there(&dir, &charged);
}

/// A request whose head the server has read, and whose body is still to come.
fn begin(address: &str, key: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/usage HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn sigterm_answers_what_it_had_accepted() {
    let (_keep, dir) = empty_dir();
    let mut server = Server::start(&dir);
    let world = settle_in(&server);
    let address = server.url["http://".len()..].to_owned();
    let body = |n: usize| json!({ "id": format!("in-flight-{n}"), "developer_id": world.developers[1], "calls": 2 });
    let mut open: Vec<_> = (0..6).map(|n| begin(&address, &world.gateway_key, &body(n).to_string())).collect();
    server.terminate();
    // It has taken the signal when it takes no more connections.
    while TcpStream::connect(&address).is_ok() {
        std::thread::yield_now();
    }
    for (n, stream) in open.iter_mut().enumerate() {
        stream.write_all(body(n).to_string().as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"recorded\""), "{answer}");
    }
    assert_eq!(server.wait(), (Some(0), String::new()));
    let there = sqlite3(&dir.join("refloop.db"), "SELECT count(*) FROM usage_event WHERE event_id LIKE 'in-flight-%'");
    assert_eq!(there, "6\n");
    assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true);
}

#[test]
fn a_first_start_that_is_killed_leaves_a_file_that_starts() {
    // At whatever point it is: the schema is one transaction, and secrets are shown when they are stored.
    for _ in 0..6 {
        let (_keep, dir) = empty_dir();
        let mut command = refloop(&dir);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]).stdout(std::process::Stdio::null());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        // As soon as there is anything to leave behind.
        while std::fs::read_dir(&dir).unwrap().count() == 0 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let server = Server::start(&dir);
        assert_eq!(ureq::get(format!("{}/healthz", server.url)).call().unwrap().status(), 200);
        assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true);
    }
}
