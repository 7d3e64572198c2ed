//! The README's tour, run as it stands there, in an empty directory against the real binary.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_refloop");

/// The shell blocks that are marked as part of a tour.
fn blocks(tour: &str) -> String {
    let mark = format!("<!-- {tour} -->\n```sh\n");
    let blocks = include_str!("../../README.md").split(&mark).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// Runs a tour to its end beside a server of its own, and looks for what it must have said.
fn walk(tour: &str, expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Command::new(BINARY)
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--signup-per-hour", "50"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    let greeting: serde_json::Value = serde_json::from_str(&greeting).unwrap();

    let script = blocks(tour).replace("http://127.0.0.1:8080", greeting["url"].as_str().unwrap());
    let binaries = Path::new(BINARY).parent().unwrap().display();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-eo", "pipefail", "-c", &script])
        .env("PATH", path)
        .current_dir(dir.path())
        .output();
    server.kill().unwrap();
    server.wait().unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in expected {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
}

#[test]
fn the_tour_runs_to_its_end() {
    walk(
        "tour",
        &[
            r#""referral_credits_earned":6000"#,
            r#""total_referrals":12"#,
            r#""credits_earned":12000,"credits_pending":6000,"credits_used":0"#,
            r#""status":"recorded","charged":3800,"uncovered":0,"available":2200"#,
            r#""status":"duplicate","charged":3800"#,
            r#""valid":true"#,
            "spend,api_usage,-500,SPENT",
            "ok: ",
            r#""total_clicks":1,"total_referrals":12"#,
            "39,000 in 33",
            "version 2 of its program",
            r#""api_key":"acme_test_"#,
            "ops@example.com can sign in",
            "acme/sandbox  sandbox.example.com",
            r#""id":"evt_1","outcome":"converted","status":"recorded""#,
            r#""refereeCustomerId":"pc_bob","status":"converted""#,
            r#""id":"look-1","developer_id":"dev_"#,
            r#""charged":0,"uncovered":0,"available":1000"#,
            r#""charged":500,"uncovered":0,"available":0"#,
        ],
    );
}

#[test]
fn an_app_with_its_own_tokens_runs_to_its_end() {
    walk(
        "app",
        &[
            r#"{"success":true,"data":{"converted":true,"referrerId":"alice-1"}}"#,
            r#"{"success":true,"data":{"converted":false,"referrerId":null}}"#,
            r#""totalReferrals":1,"convertedReferrals":1,"pendingReferrals":0,"totalRewards":5"#,
        ],
    );
}
