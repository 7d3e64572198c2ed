//! The README's tour, run as it stands there, in an empty directory against the real binary.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_refloop");

/// The shell blocks that are marked as part of the tour.
fn tour(readme: &str) -> String {
    let blocks = readme.split("<!-- tour -->\n```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn the_tour_runs_to_its_end() {
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

    let script =
        tour(include_str!("../../README.md")).replace("http://127.0.0.1:8080", greeting["url"].as_str().unwrap());
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

    for expected in [
        r#""referral_credits_earned":6000"#,
        r#""total_referrals":12"#,
        r#""credits_earned":12000,"credits_pending":6000,"credits_used":0"#,
        r#""status":"recorded","charged":3800,"uncovered":0,"available":2200"#,
        r#""status":"duplicate","charged":3800"#,
        r#""valid":true"#,
        "spend,api_usage,-500,SPENT",
        "ok: ",
        "version 2 of its program",
        r#""id":"evt_1","outcome":"converted","status":"recorded""#,
        r#""refereeCustomerId":"pc_bob","status":"converted""#,
        r#""id":"look-1","developer_id":"dev_"#,
        r#""charged":0,"uncovered":0,"available":1000"#,
        r#""charged":500,"uncovered":0,"available":0"#,
    ] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
}
