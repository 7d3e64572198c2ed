//! The README's pictures, made anew from a demo file. That they can be made is the test; that they look the same is not.
//!
//! `UPDATE_SCREENSHOTS=1 tests/run --test it screenshots` puts them where the README shows them.

use crate::process::{NO_LIMITS, Server, empty_dir, refloop, run};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Of those that are put into the repository.
const LARGEST_BYTES: usize = 150_000;

#[test]
fn the_readme_s_pictures_can_be_made() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (_keep, dir) = empty_dir();
    let made = run(&dir, &["demo", "--json"]).json();
    // A port that is free at this moment; the pictures have none, as where people serve it.
    let listens = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = refloop(&dir);
    command.args(["serve", "--db", "refloop-demo.db", "--json", "--listen", &listens]).args(NO_LIMITS);
    command.args(["--public-url", "http://api.example.com"]);
    let _server = Server::spawn(command, &dir);
    let shots = root.join("target/screenshots/readme");
    let text = |place: usize, name: &str| made["projects"][place][name].as_str().unwrap().to_owned();
    let output = Command::new("node")
        .arg("tests/browser/screenshots.mjs")
        .current_dir(root)
        .env("REFLOOP_URL", "http://api.example.com")
        .env("REFLOOP_MARKET", "http://market.localhost")
        .env("REFLOOP_LISTENS", &listens)
        .env("REFLOOP_EMAIL", text(0, "email"))
        .env("REFLOOP_MARKET_EMAIL", text(1, "email"))
        .env("REFLOOP_PASSWORD", made["password"].as_str().unwrap())
        .env("REFLOOP_SHOTS", &shots)
        .output()
        .expect("node is on the PATH; tests/run says what else is needed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("\"ok\":true"), "{said}");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let shown: Vec<&str> =
        readme.split("tests/browser/screenshots/").skip(1).map(|rest| rest.split([')', '"']).next().unwrap()).collect();
    assert!(shown.len() >= 3, "{shown:?}");
    let kept = root.join("tests/browser/screenshots");
    for name in shown {
        let picture = std::fs::read(shots.join(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
        if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
            assert!(picture.len() <= LARGEST_BYTES, "{name}: {} bytes", picture.len());
            std::fs::write(kept.join(name), picture).unwrap();
        }
        assert!(kept.join(name).is_file(), "{name} is not in the repository");
    }
}
