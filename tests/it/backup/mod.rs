//! Copies of the file, out and back; what looks after it; and files of older releases.

mod copies;
mod doctor;
mod money;
mod restores;
mod schedule;
mod upgrades;

use crate::process::{Caller, Server, run, sqlite3};
use serde_json::{Value, json};
use std::path::Path;

/// All names in a directory but the log of the test's server.
fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "stderr.log").collect();
    names.sort();
    names
}

/// Signs someone up at a domain of their own; what was answered.
fn sign_up(caller: &Caller, name: &str) -> Value {
    let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name });
    let reply = caller.post(None, "/v1/developers/signup", &body).unwrap();
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

/// `refloop.db` with one developer and a spend, and nobody who serves it. The developer's key.
fn file_with_history(dir: &Path) -> String {
    let mut server = Server::start(dir);
    let caller = Caller::new(&server.url);
    let alice = sign_up(&caller, "alice");
    let code = caller.post(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({})).unwrap().json();
    let body = json!({ "email": "me@bob.example", "password": "secure-password", "name": "Bob",
                       "referral_code": code["referral_code"] });
    let bob = caller.post(None, "/v1/developers/signup", &body).unwrap().json();
    let usage = json!({ "id": "one", "developer_id": bob["developer"]["id"], "calls": 120 });
    assert_eq!(caller.post(Some(&server.gateway_key()), "/v1/usage", &usage).unwrap().json()["charged"], 120);
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    alice["api_key"].as_str().unwrap().to_owned()
}

/// Makes a file large, so that a copy of it takes a while.
fn fatten(file: &Path, rows: usize) {
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO team SELECT i, 'team-' || i, hex(zeroblob(4000)), 1 FROM n"
    );
    assert_eq!(sqlite3(file, &sql), "");
}

fn verifies(dir: &Path, file: &str) {
    let verdict = run(dir, &["verify", file, "--json"]).json();
    assert_eq!(verdict["ok"], true, "{verdict}");
}
