//! The pages in a real Chromium, driven by tests/browser/*.mjs.

use crate::harness::{App, PASSWORD};
use crate::pages::dashboard::story::{self, Story};
use crate::payouts::Stage;
use refloop::domain::setting::Setting;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A script of tests/browser.
fn node(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        root.join("tests/browser/node_modules/playwright-core").is_dir(),
        "tests/browser/node_modules is missing: run tests/run, which installs what this test needs"
    );
    let mut node = Command::new("node");
    node.arg(format!("tests/browser/{script}")).current_dir(root);
    node
}

fn passed(output: &Output) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("\"ok\":true"), "{said}");
}

#[test]
fn a_landing_page_elsewhere_hands_the_code_on() {
    let app = App::start();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let landing = format!("http://localhost:{port}/");
    app.engine.set_project("default", vec![(Setting::LandingUrl, landing.clone())]).unwrap();
    let alice = app.developer("Alice");
    let output = node("ref.mjs")
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_LANDING", &landing)
        .env("REFLOOP_CODE", alice.code())
        .env("REFLOOP_KEY", &alice.key)
        .output();
    passed(&output.expect("node is on the PATH; tests/run says what else is needed"));
    let unsigned = app.sqlite3("SELECT count(*) FROM click WHERE signed_up = 0");
    assert_eq!(unsigned.trim(), "5", "of eight visitors, three have signed up");
}

#[test]
fn bob_signs_up_on_the_page() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let output = node("signup.mjs")
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_CODE", &code)
        .env("REFLOOP_CODE_UPPER_BONUS", "1,000 credits")
        .env("REFLOOP_SHOTS", "target/screenshots")
        .output()
        .expect("node is on the PATH; tests/run says what else is needed");
    passed(&output);
    assert_eq!(app.sqlite3("SELECT count(*) FROM referral").trim(), "2", "Bob and Carol came through Alice's code");
}

#[test]
fn dora_signs_in_and_out_and_leaves() {
    let app = App::start();
    app.change_program(|program| program["leaderboard"]["enabled"] = true.into());
    let mut script = node("login.mjs");
    let output = script.env("REFLOOP_URL", &app.url).env("REFLOOP_SHOTS", "target/screenshots").output();
    passed(&output.expect("node is on the PATH; tests/run says what else is needed"));
    assert_eq!(app.sqlite3("SELECT count(*) FROM account WHERE erased_at_ms IS NULL").trim(), "1", "Finn has stayed");
}

/// The dashboard of people with much and with nothing, in both kinds of program, and the five steps from a link to a
/// commission.
#[test]
fn alice_likes_to_open_her_dashboard() {
    let app = App::start();
    let story = Story::tell(&app);
    drop(story::at_the_limits(&app, &story.market));
    let output = node("dashboard.mjs")
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_MARKET_URL", app.url.replace("127.0.0.1", story::MARKET))
        .env("REFLOOP_MARKET_KEY", story.market.key().unwrap())
        .env("REFLOOP_PASSWORD", PASSWORD)
        .env("REFLOOP_SHOTS", "target/screenshots")
        .output();
    passed(&output.expect("node is on the PATH; tests/run says what else is needed"));
}

/// From the agreement to the money, in one walk each, with and without JavaScript. What happens elsewhere meanwhile, at
/// Stripe and at the team's, the script asks for line by line.
#[test]
fn alice_and_dora_become_partners_and_are_paid() {
    let stage = Stage::with_pages();
    stage.app.change_program(|program| program["payouts"] = json!({ "minimum": 2_500, "approval": true }));
    let dora = stage.app.developer("Dora");
    let eve = stage.app.referee("Eve", &dora.code());
    let bought = json!({ "id": "p-2", "developer_id": eve.id, "amount": 100_000, "currency": "usd" });
    assert_eq!(stage.app.gateway().post("/v1/purchases", bought).status, 201);
    stage.earn("p-1", 15_000);
    let mut script = node("partner.mjs");
    script.env("REFLOOP_URL", &stage.app.url).env("REFLOOP_STRIPE", &stage.stripe.url);
    script.env("REFLOOP_PASSWORD", PASSWORD).env("REFLOOP_SHOTS", "target/screenshots");
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = script.spawn().expect("node is on the PATH; tests/run says what else is needed");
    let (mut answers, asked) = (running.stdin.take().unwrap(), BufReader::new(running.stdout.take().unwrap()));
    let mut last = String::new();
    for line in asked.lines() {
        last = line.unwrap();
        match last.as_str() {
            "approve" => {
                let open = stage.app.engine.payouts_of_project("default", true).unwrap();
                stage.app.engine.approve_payout(open[0].payout.id).unwrap();
            }
            "work" => assert_eq!(stage.work(), 1),
            "stripe down" => stage.stripe.with(|state| state.is_down = true),
            "stripe up" => stage.stripe.with(|state| state.is_down = false),
            _ => continue,
        }
        writeln!(answers, "done").unwrap();
    }
    assert!(running.wait().unwrap().success() && last.contains("\"ok\":true"), "{last}");
    let paid = stage.stripe.transfers().iter().map(|transfer| transfer["amount"].clone()).collect::<Vec<_>>();
    assert_eq!(paid, [json!(3_000), json!(4_500), json!(5_000)]);
    assert_eq!(stage.balance(), [0, 0, 0, 7_500, 0]);
}

/// Developers, the program, payouts, deliveries and keys in the console.
#[test]
fn an_operator_is_at_work() {
    let app = App::start();
    app.send_mail();
    let alice = app.developer("Alice");
    let code = alice.code();
    for name in ["Bob", "Carol", "Dave"] {
        app.referee(name, &code).use_api(&app.gateway(), name, 120);
    }
    let purchase = serde_json::json!({ "id": "order-1", "developer_id": alice.id, "amount": 4_900, "currency": "usd" });
    app.gateway().post("/v1/purchases", purchase);
    app.sqlite3("UPDATE outbox SET state = 'parked', tries = 12, problem = '550 mailbox full' WHERE id % 2 = 0");
    app.add_operator("default", "olivia@team.example");
    let output = node("desk.mjs")
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_EMAIL", "olivia@team.example")
        .env("REFLOOP_PASSWORD", PASSWORD)
        .env("REFLOOP_DEVELOPER", &alice.id)
        .env("REFLOOP_SHOTS", "target/screenshots")
        .output();
    passed(&output.expect("node is on the PATH; tests/run says what else is needed"));
}
