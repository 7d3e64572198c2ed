//! The pages that mail leads to, and the mails themselves, in a real Chromium: tests/browser/mail.mjs.

use super::{Office, signs_in};
use std::path::Path;
use std::process::Command;

#[test]
fn a_password_an_address_and_a_choice_in_a_real_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        root.join("tests/browser/node_modules/playwright-core").is_dir(),
        "tests/browser/node_modules is missing: run tests/run, which installs what this test needs"
    );
    let office = Office::open();
    let app = &office.app;
    let code = app.developer("Alice").code();
    app.referee("Bob", &code);
    let milestone = office.the_mail();
    office.confirm_addresses();
    app.referee("Carol", &code);
    let confirms = office.the_mail();
    super::fill_in(&crate::visitor::Visitor::new(app), "/forgot", "/forgot", &[("email", "alice@alice.example")]);
    let resets = office.the_mail();

    let mails = tempfile::tempdir().unwrap();
    for (name, mail) in [("milestone", &milestone), ("confirm", &confirms), ("reset", &resets)] {
        std::fs::write(mails.path().join(format!("{name}.html")), mail.part("text/html")).unwrap();
    }
    let output = Command::new("node")
        .arg("tests/browser/mail.mjs")
        .current_dir(root)
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_MAILS", mails.path())
        .env("REFLOOP_SHOTS", "target/screenshots")
        .output()
        .expect("node is on the PATH; tests/run says what else is needed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("\"ok\":true"), "{said}");

    assert!(signs_in(app, "alice@alice.example", "chosen in a browser"));
    let counts = "SELECT (SELECT count(*) FROM referral), (SELECT count(*) FROM unconfirmed),
                         (SELECT milestone_mail FROM account WHERE name = 'Alice')";
    assert_eq!(app.sqlite3(counts).trim(), "2|0|0");
    // What the form asked for; the news of Carol is declined by now.
    assert_eq!(office.the_mail().header("Subject").unwrap(), "Choose a new password");
}
