//! A line for each request: with its id, by its route, and with what went wrong inside.

use crate::harness::{Client, Reply};
use crate::process::{NO_LIMITS, Server, empty_dir, refloop, sqlite3};
use serde_json::{Value, json};
use std::path::Path;

fn served(dir: &Path, args: &[&str]) -> Server {
    let mut command = refloop(dir);
    command.args(["serve", "--json", "--workers", "2", "--listen", "127.0.0.1:0"]).args(NO_LIMITS).args(args);
    Server::spawn(command, dir)
}

fn log(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("stderr.log")).unwrap()
}

/// What the log has about requests.
fn lines(dir: &Path) -> Vec<Value> {
    let lines: Vec<Value> = log(dir).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    lines.into_iter().filter(|line| line["target"] == "refloop::request").collect()
}

fn id(reply: &Reply) -> String {
    reply.header("x-request-id").unwrap_or_else(|| panic!("no id: {:?}", reply.headers)).to_owned()
}

#[test]
fn every_request_has_an_id_and_can_have_a_line() {
    let (_keep, dir) = empty_dir();
    let mut server = served(&dir, &["--log-format", "json", "--log-requests", "all"]);
    let client = Client::new(&server.url, None);
    let given = |id: &str| client.send("GET", "/v1/ledger/head", &[("X-Request-Id", id)], Vec::new());
    let replies = [
        (client.get("/v1/ledger/head"), "/v1/ledger/head", 200, "INFO"),
        (given("01890a5d-ac96-774b-bcce-b302099a8057"), "/v1/ledger/head", 200, "INFO"),
        (given("alice@private.example"), "/v1/ledger/head", 200, "INFO"),
        (client.get("/r/ALICE2026?ref=ALICE2026"), "/r/{code}", 303, "INFO"),
        (client.get("/alice@private.example"), "unmatched", 404, "INFO"),
    ];
    assert_eq!(id(&replies[1].0), "01890a5d-ac96-774b-bcce-b302099a8057");
    let mut ids: Vec<_> = replies.iter().map(|(reply, ..)| id(reply)).collect();
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    let lines = lines(&dir);
    assert_eq!(lines.len(), replies.len(), "{lines:#?}");
    for (line, (reply, route, status, level)) in lines.iter().zip(&replies) {
        let fields = &line["fields"];
        assert_eq!(fields["id"], id(reply), "{line}");
        assert_eq!((&fields["route"], &fields["method"]), (&json!(route), &json!("GET")), "{line}");
        assert_eq!((&fields["status"], &line["level"]), (&json!(status), &json!(level)), "{line}");
        assert!(fields["micros"].as_u64().unwrap() > 0, "{line}");
    }
    for private in ["alice", "ALICE", "127.0.0.1", "ureq"] {
        assert!(!log(&dir).contains(private), "{private} is in the log");
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), replies.len(), "no id comes twice");
}

#[test]
fn usually_only_faults_have_a_line_and_it_says_what_went_wrong() {
    let (_keep, dir) = empty_dir();
    let mut server = served(&dir, &[]);
    let client = Client::new(&server.url, None);
    let body = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
    let alice = client.post("/v1/developers/signup", body).json();
    let key = client.with_key(alice["api_key"].as_str().unwrap());
    assert_eq!(client.get("/nothing").status, 404);
    assert_eq!(sqlite3(&dir.join("refloop.db"), "ALTER TABLE referral RENAME TO gone"), "");
    let reply = key.get("/v1/developers/referrals");
    assert_eq!(reply.problem(500), "internal");
    assert!(!reply.body.contains("referral:"), "{}", reply.body);
    let page = client.get("/nothing");
    assert_eq!(page.status, 404);
    server.terminate();
    server.wait();
    let lines = lines(&dir);
    let [line] = lines.as_slice() else { panic!("one line: {lines:#?}") };
    assert_eq!((&line["level"], &line["fields"]["status"]), (&json!("ERROR"), &json!(500)), "{line}");
    assert_eq!(line["fields"]["id"], id(&reply));
    assert!(line["fields"]["fault"].as_str().unwrap().contains("no such table"), "{line}");
}

#[test]
fn the_log_can_be_text() {
    let (_keep, dir) = empty_dir();
    let mut server = served(&dir, &["--log-format", "text", "--log-requests", "all"]);
    let reply = Client::new(&server.url, None).get("/healthz");
    server.terminate();
    server.wait();
    let log = log(&dir);
    let line = log.lines().find(|line| line.contains("/healthz")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("status=200") && line.contains(&id(&reply)) && !line.contains('{'), "{line}");
    assert!(!line.contains('\u{1b}'), "colours are for terminals: {line}");
}
