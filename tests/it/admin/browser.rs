//! The console in a real browser.

use crate::harness::{App, PASSWORD};
use std::path::Path;
use std::process::Command;

#[test]
fn an_owner_opens_the_console_in_a_browser() {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&app.gateway(), "one", 120);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("node")
        .arg("tests/browser/console.mjs")
        .current_dir(root)
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_LINK", format!("{}/admin/setup?token={}", app.url, app.operator_token()))
        .env("REFLOOP_PASSWORD", PASSWORD)
        // The app's clock stands still.
        .env("REFLOOP_NOW_MS", app.now_ms().to_string())
        .env("REFLOOP_SHOTS", "target/screenshots")
        .output();
    let output = output.expect("node is on the PATH; tests/run says what else is needed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("\"ok\":true"), "{said}");
}
