//! Young e-mail domains, by an RDAP server of the test's.

use super::{Person, available, decide, proxied_with, referrer, seen, sign_up, signals};
use crate::harness::{App, DAY_MS, PASSWORD};
use refloop::domain::program::Preset;
use refloop::engine::Settings;
use refloop::work::{RdapClient, deliver_once};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Status, body, and where it sends on to.
type Answer = (u16, String, String);

/// Answers with what it is told, and remembers what it was asked.
pub struct Rdap {
    pub url: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Rdap {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<HashMap<String, Answer>>> = Arc::default();
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
                let path = first.split(' ').nth(1).unwrap_or_default();
                let domain = path.rsplit('/').next().unwrap_or_default().to_owned();
                noted.lock().unwrap().push(domain.clone());
                let told = for_thread.lock().unwrap().get(&domain).cloned();
                let (status, body, location) = told.unwrap_or((404, "{}".into(), String::new()));
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nLocation: {location}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { url, answers, asked }
    }

    pub fn say(&self, domain: &str, status: u16, body: String) {
        self.answers.lock().unwrap().insert(domain.into(), (status, body, "http://127.0.0.1:1/".into()));
    }

    pub fn send_on(&self, domain: &str, status: u16, location: &str) {
        self.answers.lock().unwrap().insert(domain.into(), (status, String::new(), location.into()));
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
    for (name, domain) in
        [("bo", "old.example"), ("cyd", "unknown.example"), ("dora", "odd.example"), ("franka", "gmail.com")]
    {
        let person = referee(&app, name, domain, &code);
        rdap.deliver(&app);
        assert_eq!(signals(&seen(&app, &person)), [""; 0], "{domain}");
    }
    assert_eq!(rdap.asked(), ["old.example", "unknown.example", "odd.example"]);
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

fn waiting(app: &App) -> String {
    app.sqlite3("SELECT state || ' ' || tries || ' ' || problem FROM outbox WHERE kind = 'domain'").trim().to_owned()
}

#[test]
fn a_server_that_sends_on_is_followed() {
    let (app, rdap, other) = (asking(), Rdap::start(), Rdap::start());
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    rdap.send_on("cheap.example", 302, &format!("{}/registry/domain/cheap.example", other.url));
    other.registered("cheap.example", app.now_ms());
    let bob = referee(&app, "bob", "cheap.example", &code);
    assert_eq!(rdap.deliver(&app), 1);
    assert_eq!((rdap.asked(), other.asked()), (vec!["cheap.example".to_owned()], vec!["cheap.example".to_owned()]));
    assert_eq!(seen(&app, &bob)["status"], "review");
    rdap.send_on("near.example", 308, "/other/near2.example");
    rdap.say("near2.example", 404, "{}".into());
    let carl = referee(&app, "carl", "near.example", &code);
    rdap.deliver(&app);
    assert_eq!(rdap.asked(), ["near.example", "near2.example"]);
    assert_eq!((signals(&seen(&app, &carl)).len(), waiting(&app).as_str()), (0, ""), "nobody knows it");
}

#[test]
fn who_is_sent_in_circles_or_astray_asks_again_later() {
    let (app, rdap) = (asking(), Rdap::start());
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    rdap.send_on("round.example", 301, "/domain/round.example");
    let bob = referee(&app, "bob", "round.example", &code);
    assert_eq!((rdap.deliver(&app), rdap.asked().len()), (1, 4), "three hops, and no more");
    assert_eq!(waiting(&app), "waiting 1 the RDAP server sends on and on");
    rdap.send_on("round.example", 302, "ftp://127.0.0.1/domain/round.example");
    app.advance_ms(60_000);
    assert_eq!((rdap.deliver(&app), rdap.asked().len()), (1, 1));
    assert_eq!(waiting(&app), "waiting 2 the RDAP server sends on to where nothing is asked");
    rdap.registered("round.example", app.now_ms());
    app.advance_ms(120_000);
    rdap.deliver(&app);
    assert_eq!((seen(&app, &bob)["status"].as_str(), waiting(&app).as_str()), (Some("review"), ""));
}

#[test]
fn a_server_that_does_not_answer_whoever_asks_has_not_said_that_it_does_not_know() {
    for status in [401, 403, 407, 429, 451, 500, 503] {
        let (app, rdap) = (asking(), Rdap::start());
        let (_, code) = referrer(&app, "alice", "192.0.2.1");
        rdap.say("cheap.example", status, String::new());
        let bob = referee(&app, "bob", "cheap.example", &code);
        assert_eq!(rdap.deliver(&app), 1);
        assert_eq!(waiting(&app), format!("waiting 1 the RDAP server answered {status}"));
        assert_eq!(app.sqlite3("SELECT count(*) FROM domain_age").trim(), "0");
        rdap.registered("cheap.example", app.now_ms());
        app.advance_ms(60_000);
        assert_eq!(rdap.deliver(&app), 1);
        assert_eq!(seen(&app, &bob)["status"], "review", "{status}");
    }
}

#[test]
fn nothing_is_asked_for_test_projects_without_a_server_or_without_weight() {
    let (app, rdap) = (asking(), Rdap::start());
    app.change_program(|program| program["abuse"]["weights"]["young_domain"] = 0.into());
    let (_, code) = referrer(&app, "alice", "192.0.2.1");
    referee(&app, "bob", "cheap.example", &code);
    for (slug, mode, asked) in [("sandbox", "test", 0), ("acme", "live", 1)] {
        let host = format!("{slug}.example");
        app.project(slug, Preset::Credits, mode);
        app.engine.set_project(slug, vec![(refloop::domain::setting::Setting::Host, host.clone())]).unwrap();
        let call = |key: Option<&str>, path: &str, body: &Value| {
            let authorization = key.map(|key| format!("Bearer {key}"));
            let mut headers = vec![("Host", host.as_str()), ("Content-Type", "application/json")];
            headers.extend(authorization.as_ref().map(|value| ("Authorization", value.as_str())));
            app.anonymous().send("POST", path, &headers, body.to_string().into_bytes()).json()
        };
        let sign_up = |email: &str, code: &Value| {
            let body = json!({ "email": email, "password": PASSWORD, "name": "Somebody", "referral_code": code });
            call(None, "/v1/developers/signup", &body)
        };
        let alice = sign_up("alice@alice.example", &Value::Null);
        let code = call(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({}))["referral_code"].clone();
        let bob = sign_up("bob@cheap.example", &code);
        assert_eq!(bob["referral"]["status"], "applied", "{bob}");
        assert_eq!((rdap.deliver(&app), rdap.asked().len()), (asked, asked), "{mode}");
    }
    let off = super::proxied();
    let (_, code) = referrer(&off, "alice", "192.0.2.1");
    referee(&off, "bob", "cheap.example", &code);
    assert_eq!((rdap.deliver(&app), rdap.deliver(&off), rdap.asked().len()), (0, 0, 0));
}
