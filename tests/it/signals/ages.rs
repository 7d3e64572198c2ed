//! Young e-mail domains, by an RDAP server of the test's.

use super::{Person, available, decide, proxied_with, referrer, seen, sign_up, signals};
use crate::harness::{App, DAY_MS};
use refloop::domain::program::Preset;
use refloop::engine::Settings;
use refloop::work::{RdapClient, deliver_once};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Answers with what it is told, and remembers what it was asked.
pub struct Rdap {
    pub url: String,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Rdap {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<HashMap<String, (u16, String)>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (for_thread, noted) = (answers.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut first = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                reader.read_line(&mut first).unwrap();
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                let domain = first.split(['/', ' ']).nth(3).unwrap_or_default().to_owned();
                noted.lock().unwrap().push(domain.clone());
                let (status, body) = for_thread.lock().unwrap().get(&domain).cloned().unwrap_or((404, "{}".into()));
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { url, answers, asked }
    }

    pub fn say(&self, domain: &str, status: u16, body: String) {
        self.answers.lock().unwrap().insert(domain.into(), (status, body));
    }

    pub fn registered(&self, domain: &str, at_ms: i64) {
        let date = refloop::domain::time::rfc3339(at_ms);
        let event = format!(r#"{{"eventAction":"registration","eventDate":"{date}"}}"#);
        self.say(domain, 200, format!(r#"{{"objectClassName":"domain","ldhName":"{domain}","events":[{event}]}}"#));
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// One step of its courier.
    pub fn deliver(&self, app: &App) -> usize {
        deliver_once(&app.engine, &RdapClient::new(&self.url)).unwrap()
    }
}

fn asking() -> App {
    proxied_with(Settings { asks_rdap: true, ..Settings::default() })
}

fn referee(app: &App, name: &str, domain: &str, code: &str) -> Person {
    sign_up(app, &format!("198.51.100.{}", name.len()), &format!("{name}@{domain}"), Some(code))
}

#[test]
fn a_young_domain_holds_a_referral_once_it_is_known_and_the_next_at_once() {
    let (app, rdap) = (asking(), Rdap::start());
    let now_ms = app.now_ms();
    rdap.registered("cheap.example", now_ms - 29 * DAY_MS);
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    let bob = referee(&app, "bob", "mail.cheap.example", &code);
    assert_eq!(bob.referral()["status"], "applied", "nobody waits for it");
    assert_eq!(app.dump().matches("cheap.example").count(), 1, "in the account only");
    assert_eq!(rdap.deliver(&app), 1);
    assert_eq!(rdap.asked(), ["cheap.example"]);
    let shown = seen(&app, &bob);
    assert_eq!((shown["status"].as_str(), signals(&shown)), (Some("review"), vec!["young_domain".to_owned()]));
    assert_eq!(available(&app, &alice), 0);
    let (_, code) = referrer(&app, "zoe", "192.0.2.2");
    assert_eq!(referee(&app, "dave", "cheap.example", &code).referral()["status"], "review");
    assert_eq!((rdap.deliver(&app), rdap.asked().len()), (0, 0), "asked once");
}

#[test]
fn old_unknown_and_public_domains_and_odd_answers_say_nothing() {
    let (app, rdap) = (asking(), Rdap::start());
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    rdap.registered("old.example", app.now_ms() - 30 * DAY_MS);
    rdap.say("odd.example", 200, "<html>".into());
    rdap.say("moved.example", 302, String::new());
    for (name, domain) in [
        ("bo", "old.example"),
        ("cyd", "unknown.example"),
        ("dora", "odd.example"),
        ("erika", "moved.example"),
        ("franka", "gmail.com"),
    ] {
        let person = referee(&app, name, domain, &code);
        rdap.deliver(&app);
        assert_eq!(signals(&seen(&app, &person)), [""; 0], "{domain}");
    }
    assert_eq!(rdap.asked(), ["old.example", "unknown.example", "odd.example", "moved.example"]);
    assert_eq!(rdap.deliver(&app), 0);
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_what_was_cleared_stays_so() {
    let (app, rdap) = (asking(), Rdap::start());
    let (alice, code) = referrer(&app, "alice", "192.0.2.1");
    rdap.say("cheap.example", 503, String::new());
    let bob = referee(&app, "bob", "cheap.example", &code);
    assert_eq!(rdap.deliver(&app), 1);
    assert_eq!(seen(&app, &bob)["status"], "signed_up");
    app.write({
        let sql = app.sqlite3("SELECT count(*) FROM outbox WHERE kind = 'domain' AND state = 'waiting'");
        assert_eq!(sql.trim(), "1");
        |_| Ok(())
    });
    // Another signal holds it first, and an operator finds nothing wrong.
    app.change_program(|program| program["abuse"]["weights"]["same_address"] = 100.into());
    let carol = sign_up(&app, "192.0.2.1", "carol@cheap2.example", Some(&code));
    assert_eq!(decide(&app, &seen(&app, &carol), "clear").status, 200);
    rdap.registered("cheap.example", app.now_ms());
    rdap.registered("cheap2.example", app.now_ms());
    app.advance_ms(60_000);
    rdap.deliver(&app);
    assert_eq!(seen(&app, &bob)["status"], "review");
    let carol = seen(&app, &carol);
    assert_eq!((carol["status"].as_str(), signals(&carol).len()), (Some("signed_up"), 2));
    assert_eq!(available(&app, &alice), 500);
}

#[test]
fn nothing_is_asked_for_test_projects_without_a_server_or_without_weight() {
    let (app, rdap) = (asking(), Rdap::start());
    app.change_program(|program| program["abuse"]["weights"]["young_domain"] = 0.into());
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    referee(&app, "bob", "cheap.example", &code);
    let sandbox = app.project("sandbox", Preset::Credits, "test");
    app.engine
        .set_project("sandbox", vec![(refloop::domain::setting::Setting::Host, "sandbox.example".into())])
        .unwrap();
    assert!(!sandbox.slug.is_empty());
    let off = super::proxied();
    let (_, code) = referrer(&off, "alice", "192.0.2.1");
    referee(&off, "bob", "cheap.example", &code);
    assert_eq!((rdap.deliver(&app), rdap.deliver(&off), rdap.asked().len()), (0, 0, 0));
}
