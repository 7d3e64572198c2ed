//! The real binary with a mail server, ended in the middle of a delivery: by kill -9, and politely.

use super::smtp::{Answer, Smtp};
use crate::process::{Caller, NO_LIMITS, Server, empty_dir, refloop, run};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn command(dir: &Path, smtp: &Smtp) -> Command {
    let mut command = refloop(dir);
    command.args(["serve", "--json", "--workers", "1", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    command.env("REFLOOP_SMTP_URL", smtp.url()).env("REFLOOP_MAIL_FROM", "refer@example.com");
    command
}

fn sign_up(server: &Server, name: &str, code: Option<&str>) -> serde_json::Value {
    let email = format!("me@{name}.example");
    let body = json!({ "email": email, "password": "secure-password", "name": name, "referral_code": code });
    let reply = Caller::new(&server.url).post(None, "/v1/developers/signup", &body).unwrap();
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

/// Alice's code, by which others come.
fn code(server: &Server) -> String {
    let alice = sign_up(server, "alice", None);
    let made = Caller::new(&server.url).post(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({}));
    made.unwrap().json()["referral_code"].as_str().unwrap().to_owned()
}

fn outbox(dir: &Path) -> Vec<serde_json::Value> {
    let listed = run(dir, &["outbox", "list", "--json"]);
    listed.json()["deliveries"].as_array().unwrap().clone()
}

/// Until everything is noted; a command takes its time, so this is no busy loop.
fn wait_until_empty(dir: &Path) {
    for _ in 0..3_000 {
        if outbox(dir).is_empty() {
            return;
        }
    }
    panic!("{:?}", outbox(dir));
}

#[test]
fn a_mail_is_sent_again_after_a_kill_and_not_after_it_was_noted() {
    let (_keep, dir) = empty_dir();
    let smtp = Smtp::start();
    let mut server = Server::spawn(command(&dir, &smtp), &dir);
    let code = code(&server);
    // The server has the mail, refloop does not know.
    smtp.answers(&[Answer::TakeAndHang]);
    sign_up(&server, "bob", Some(&code));
    let first = smtp.next();
    server.kill_9();
    let left = outbox(&dir);
    assert_eq!((left.len(), &left[0]["state"], &left[0]["tries"]), (1, &json!("waiting"), &json!(1)));

    let mut server = Server::spawn(command(&dir, &smtp), &dir);
    let second = smtp.next();
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    wait_until_empty(&dir);
    server.kill_9();

    let mut server = Server::spawn(command(&dir, &smtp), &dir);
    sign_up(&server, "carol", Some(&code));
    let third = smtp.next();
    assert_ne!(third.header("Message-ID"), second.header("Message-ID"), "what was noted is not sent again");
    wait_until_empty(&dir);
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    assert!(smtp.mails().is_empty());
    assert_eq!(run(&dir, &["verify"]).code, 0);
}

#[test]
fn no_kill_loses_a_mail() {
    const ROUNDS: usize = 6;
    let (_keep, dir) = empty_dir();
    let smtp = Smtp::start();
    let mut server = Server::spawn(command(&dir, &smtp), &dir);
    let code = code(&server);
    let mut told = BTreeSet::new();
    for round in 0..ROUNDS {
        for name in ["a", "b", "c"] {
            sign_up(&server, &format!("{name}-{round}"), Some(&code));
        }
        // Sometimes before the first mail has begun, sometimes just when one is taken.
        if round % 2 == 1 {
            told.extend(smtp.next().header("Message-ID"));
        }
        server.kill_9();
        server = Server::spawn(command(&dir, &smtp), &dir);
    }
    wait_until_empty(&dir);
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    told.extend(smtp.mails().iter().filter_map(|mail| mail.header("Message-ID")));
    assert_eq!(told.len(), 3 * ROUNDS);
}

#[test]
fn a_server_stops_in_the_middle_of_a_delivery_that_hangs() {
    let (_keep, dir) = empty_dir();
    let smtp = Smtp::start();
    let mut server = Server::spawn(command(&dir, &smtp), &dir);
    let code = code(&server);
    smtp.answers(&[Answer::TakeAndHang]);
    sign_up(&server, "bob", Some(&code));
    smtp.next();
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    assert_eq!(outbox(&dir)[0]["problem"], json!(null), "it was not waited for");
    let mut server = Server::spawn(command(&dir, &smtp), &dir);
    smtp.next();
    wait_until_empty(&dir);
    server.terminate();
    server.wait();
}

#[test]
fn a_parked_mail_is_seen_and_tried_again_from_the_command_line() {
    let (_keep, dir) = empty_dir();
    let smtp = Smtp::start();
    let mut command = command(&dir, &smtp);
    command.env("REFLOOP_LOG", "trace");
    let server = Server::spawn(command, &dir);
    let code = code(&server);
    smtp.answers(&[Answer::Recipient("550 <me@alice.example> who?")]);
    sign_up(&server, "bob", Some(&code));
    let parked = (0..3_000).find_map(|_| outbox(&dir).into_iter().find(|row| row["state"] == "parked")).unwrap();
    assert_eq!(parked["problem"], "permanent error (550): … who?");
    assert_eq!(parked["kind"], "mail");
    let id = parked["id"].as_str().unwrap();
    let listed = run(&dir, &["outbox", "list"]);
    assert_eq!(listed.out.trim_end(), format!("{id}  parked   mail  tries 1  permanent error (550): … who?"));
    let told = run(&dir, &["outbox", "retry", id, "--json"]);
    assert_eq!(told.json(), json!({ "id": id, "state": "waiting" }));
    smtp.next();
    wait_until_empty(&dir);
    let log = std::fs::read_to_string(dir.join("stderr.log")).unwrap();
    assert!(log.contains("not delivered") && log.contains("… who?"));
    for private in ["alice.example", "bob.example", "refer@"] {
        assert!(!log.contains(private), "{private}");
    }
    for unknown in [id, "out_0000000000000", "x"] {
        assert_eq!(run(&dir, &["outbox", "retry", unknown]).code, 1, "{unknown}");
    }
}

#[test]
fn faults_in_the_settings_are_said_at_the_start_without_the_password() {
    let (_keep, dir) = empty_dir();
    std::fs::write(dir.join("smtp.url"), "smtps://u:5ecret@mail.example.com?tls=none\n").unwrap();
    for (url, from, said) in [
        ("smtp://u:5ecret@mail.example.com:port", "refer@example.com", "smtp://user:password@host:587"),
        ("smtp://u:5ecret@mail.example.com?tls=none", "refer@example.com", "in the clear"),
        ("@smtp.url", "refer@example.com", "smtp://user:password@host:587"),
        ("@nothing.url", "refer@example.com", "cannot read nothing.url"),
        ("smtps://u:5ecret@mail.example.com", "nobody", "Give the sender as"),
        ("smtps://u:5ecret@mail.example.com", "", "Give the sender as"),
    ] {
        let mut command = refloop(&dir);
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("REFLOOP_SMTP_URL", url).env("REFLOOP_MAIL_FROM", from);
        let said_so: crate::process::Said = command.output().unwrap().into();
        assert!(said_so.refusal().contains(said) && !said_so.err.contains("5ecret"), "{url}: {said_so:?}");
    }
    let mut command = refloop(&dir);
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("REFLOOP_SMTP_URL", "smtp://localhost");
    let said: crate::process::Said = command.output().unwrap().into();
    assert!(said.refusal().contains("set REFLOOP_MAIL_FROM too"), "{said:?}");
    let mut command = refloop(&dir);
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]).env("REFLOOP_SMTP_URL", "");
    let server = Server::spawn(command, &dir);
    let page = crate::harness::Client::new(&server.url, None).get("/forgot");
    assert_eq!(page.status, 404, "an empty setting is none");
    let mut command = refloop(&dir);
    let help: crate::process::Said =
        command.args(["serve", "--help"]).env("REFLOOP_SMTP_URL", "smtp://u:5ecret@h").output().unwrap().into();
    assert!(help.out.contains("REFLOOP_SMTP_URL") && !help.out.contains("5ecret"));
}
