//! Pages in a real Chromium, driven by the scripts in tests/browser.

use crate::harness::App;
use refloop::domain::setting::Setting;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        root.join("tests/browser/node_modules/playwright-core").is_dir(),
        "tests/browser/node_modules is missing: run tests/run, which installs what this test needs"
    );
    root
}

#[test]
fn a_landing_page_elsewhere_hands_the_code_on() {
    let app = App::start();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let landing = format!("http://localhost:{port}/");
    app.engine.set_project("default", vec![(Setting::LandingUrl, landing.clone())]).unwrap();
    let alice = app.developer("Alice");
    let output = Command::new("node")
        .arg("tests/browser/ref.mjs")
        .current_dir(root())
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_LANDING", &landing)
        .env("REFLOOP_CODE", alice.code())
        .env("REFLOOP_KEY", &alice.key)
        .output()
        .expect("node is on the PATH; tests/run says what else is needed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("\"ok\":true"), "{said}");
    let unsigned = app.sqlite3("SELECT count(*) FROM click WHERE signed_up = 0");
    assert_eq!(unsigned.trim(), "2", "of five visitors, three have signed up");
}

#[test]
fn bob_signs_up_on_the_page() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let output = Command::new("node")
        .arg("tests/browser/signup.mjs")
        .current_dir(root())
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_CODE", &code)
        .env("REFLOOP_CODE_UPPER_BONUS", "1,000 credits")
        .env("REFLOOP_SHOTS", "target/screenshots")
        .output()
        .expect("node is on the PATH; tests/run says what else is needed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("\"ok\":true"), "{said}");
    assert_eq!(app.sqlite3("SELECT count(*) FROM referral").trim(), "2", "Bob and Carol came through Alice's code");
}
