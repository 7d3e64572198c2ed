//! The console for who has never seen it: an operator's way through a demo file, in a real browser.

use crate::process::{NO_LIMITS, Server, empty_dir, refloop, run};
use std::path::Path;
use std::process::Command;

/// Serves a demo file, and lets an operator through it with these hands.
fn walk(hands: &str) {
    let (_keep, dir) = empty_dir();
    let made = run(&dir, &["demo", "--developers", "600", "--json"]).json();
    let mut command = refloop(&dir);
    command.args(["serve", "--db", "refloop-demo.db", "--json", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    let server = Server::spawn(command, &dir);
    let output = Command::new("node")
        .arg("tests/browser/operator.mjs")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env("REFLOOP_URL", &server.url)
        .env("REFLOOP_EMAIL", made["operator"]["email"].as_str().unwrap())
        .env("REFLOOP_PASSWORD", made["password"].as_str().unwrap())
        .env("REFLOOP_FARMER", made["farmer"].as_str().unwrap())
        .env("REFLOOP_HANDS", hands)
        .output();
    let output = output.expect("node is on the PATH; tests/run says what else is needed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("\"ok\":true"), "{said}");
    drop(server);
    let verdict = run(&dir, &["verify", "refloop-demo.db", "--json"]).json();
    assert_eq!(verdict["ok"], true, "{verdict}");
}

#[test]
fn an_operator_finds_and_ends_a_farm_with_the_keyboard_alone() {
    walk("keyboard");
}

#[test]
fn an_operator_finds_and_ends_a_farm_without_javascript() {
    walk("plain");
}
