//! Signing up, with and without a code.

use crate::harness::{App, PASSWORD, no_limits};
use refloop::domain::code::Code;
use refloop::engine::{Applied, Engine, Settings, Signup};
use refloop::store::{Capacity, Clock, Store};
use refloop::web::{Quota, TrustedProxies};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SIGNUP: &str = "/v1/developers/signup";

fn accounts(app: &App) -> String {
    app.sqlite3("SELECT count(*) FROM account").trim().to_owned()
}

#[test]
fn without_a_code_the_answer_is_the_developer_and_a_key() {
    let app = App::start();
    let body = json!({ "email": " Alice@Example.COM ", "password": PASSWORD, "name": " Alice ", "unknown": [1] });
    let reply = app.anonymous().post(SIGNUP, body);
    assert_eq!(reply.status, 201);
    let mut answer = reply.json();
    let key = answer["api_key"].take();
    let key = key.as_str().unwrap().strip_prefix("bw_live_").unwrap().to_owned();
    assert!(key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()), "256 bits");
    let id = answer["developer"]["id"].take();
    assert!(id.as_str().unwrap().starts_with("dev_"));
    assert_eq!(
        answer,
        json!({
            "developer": {
                "id": null,
                "email": "alice@example.com",
                "name": "Alice",
                "leaderboard_name": null,
                "referred_by": null,
                "referral_code": null,
                "referral_credits_earned": 0,
                "referral_credits_used": 0,
                "referral_credits_balance": 0,
                "referred_developers_count": 0,
                "created_at": "2026-01-15T10:00:00Z",
            },
            "api_key": null,
            "referral": null,
        })
    );
}

#[test]
fn with_a_code_both_are_credited_at_once() {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    assert_eq!(bob.signup["referral"], json!({ "status": "applied", "code": "ALICE2026", "bonus_credits": 1_000 }));
    assert_eq!(bob.signup["developer"]["referred_by"], alice.id);
    assert_eq!(bob.signup["developer"]["referral_credits_balance"], 1_000);
    assert!(alice.id < bob.id, "ids are time-ordered");
    let me = alice.get("/v1/developers/me").json();
    assert_eq!(me["referral_credits_balance"], 500);
    assert_eq!(me["referred_developers_count"], 1);
}

#[test]
fn a_code_that_breaks_an_abuse_rule_does_not_stop_the_signup() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let reply = app.try_sign_up("second@alice.example", Some(&code));
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json()["referral"], json!({ "status": "rejected", "reason": "same_domain" }));
    assert_eq!(reply.json()["developer"]["referred_by"], Value::Null);
    assert_eq!(reply.json()["developer"]["referral_credits_balance"], 0);
}

#[test]
fn an_email_address_signs_up_once() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    assert_eq!(app.try_sign_up("bob@bob.example", None).status, 201);
    for email in ["bob@bob.example", "BOB@Bob.Example", " bob@bob.example "] {
        let reply = app.try_sign_up(email, Some(&code));
        assert_eq!(reply.problem(409), "email_taken");
        assert_eq!(reply.json()["errors"][0]["field"], "email");
    }
    assert_eq!(accounts(&app), "2");
    assert_eq!(alice.stats()["total_referrals"], 0);
}

#[test]
fn each_field_that_is_refused() {
    let app = App::start();
    let good = json!({ "email": "bob@bob.example", "password": PASSWORD, "name": "Bob" });
    let long_email = format!("{}@bob.example", "b".repeat(250));
    for (field, value, code) in [
        ("email", json!("bob"), "invalid_email"),
        ("email", json!(""), "required"),
        ("email", json!(null), "required"),
        ("email", json!(7), "wrong_type"),
        ("email", json!(long_email), "too_long"),
        ("password", json!("1234567"), "too_short"),
        ("password", json!("x".repeat(129)), "too_long"),
        ("password", json!("1234567\0"), "invalid_characters"),
        ("password", json!(["12345678"]), "wrong_type"),
        ("name", json!(""), "required"),
        ("name", json!("   "), "required"),
        ("name", json!("x".repeat(101)), "too_long"),
        ("name", json!("Bob\u{202e}"), "invalid_characters"),
        ("name", json!("\tBob"), "invalid_characters"),
        ("name", json!("Bob\n"), "invalid_characters"),
        ("name", json!("\u{200d}"), "required"),
        ("name", json!(" \u{200c}\u{200d} "), "required"),
        ("email", json!("\tbob@bob.example"), "invalid_characters"),
        ("email", json!("bob@bob.example\r\n"), "invalid_characters"),
        ("referral_code", json!("ALICE2026\n"), "invalid_characters"),
        ("referral_code", json!("\u{85}ALICE2026"), "invalid_characters"),
        ("name", json!({}), "wrong_type"),
        ("referral_code", json!("ABC"), "invalid_code"),
        ("referral_code", json!("A".repeat(21)), "invalid_code"),
        ("referral_code", json!("ALICE-2026"), "invalid_code"),
        ("referral_code", json!(2026), "wrong_type"),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let reply = app.anonymous().post(SIGNUP, body);
        assert_eq!(reply.faults(), [format!("{field}: {code}")], "{value}");
    }
    let all = app.anonymous().post(SIGNUP, json!({ "email": "x", "password": "x", "name": "", "referral_code": "x" }));
    assert_eq!(all.faults().len(), 4, "{}", all.body);
    assert_eq!(
        app.anonymous().post(SIGNUP, json!({})).faults(),
        ["email: required", "password: required", "name: required"]
    );
    assert_eq!(accounts(&app), "0");
}

#[test]
fn the_limits_of_name_and_password_are_inside() {
    let app = App::start();
    for (place, password, name) in [(0, "x".repeat(8), "x".into()), (1, "ä".repeat(128), "Ä".repeat(100))] {
        let email = format!("bob{place}@bob.example");
        let reply = app.anonymous().post(SIGNUP, json!({ "email": email, "password": password, "name": name }));
        assert_eq!((reply.status, &reply.json()["developer"]["name"]), (201, &json!(name)));
    }
}

#[test]
fn an_empty_code_is_none() {
    let app = App::start();
    for (place, code) in [json!(""), json!("  "), json!(null)].into_iter().enumerate() {
        let email = format!("bob@bob{place}.example");
        let body = json!({ "email": email, "password": PASSWORD, "name": "Bob", "referral_code": code });
        let reply = app.anonymous().post(SIGNUP, body);
        assert_eq!((reply.status, &reply.json()["referral"]), (201, &Value::Null));
    }
}

#[test]
fn an_unusable_code_creates_nothing_so_that_a_typo_can_be_mended() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    alice.post("/v1/developers/referral-code", json!({ "code": "REVOKED1" }));
    alice.delete("/v1/developers/referral-code");
    let code = alice.code();
    carol.post("/v1/developers/referral-code", json!({ "code": "USEDUP", "max_uses": 1 }));
    app.referee("Dave", "USEDUP");
    let before = accounts(&app);
    for (wrong, refusal) in [
        ("NOBODYS", "unknown_code"),
        ("revoked1", "revoked_code"),
        ("REVOKED1", "revoked_code"),
        ("usedup", "code_used_up"),
    ] {
        let reply = app.try_sign_up("bob@bob.example", Some(wrong));
        assert_eq!(reply.faults(), [format!("referral_code: {refusal}")]);
    }
    assert_eq!(accounts(&app), before);
    assert_eq!(app.sqlite3("SELECT count(*) FROM referral").trim(), "1");
    let mended = app.try_sign_up("bob@bob.example", Some(&code));
    assert_eq!((mended.status, &mended.json()["referral"]["status"]), (201, &json!("applied")));
}

#[test]
fn neither_password_nor_key_is_in_the_file() {
    let app = App::start();
    let alice = app.sign_up("Alice", "alice@alice.example", None);
    assert!(app.sqlite3("SELECT password_hash FROM account").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let mut bytes = std::fs::read(app.db()).unwrap();
    bytes.extend(std::fs::read(app.db().with_extension("db-wal")).unwrap_or_default());
    for secret in [PASSWORD, &alice.key, &alice.key["bw_live_".len()..]] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[test]
fn other_methods_and_media_types_are_refused() {
    let app = App::start();
    let client = app.anonymous();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let reply = client.send(method, SIGNUP, &[], Vec::new());
        assert_eq!(reply.problem(405), "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(client.send("POST", SIGNUP, &form, b"email=x".to_vec()).problem(415), "unsupported_media_type");
    let kind = [("Content-Type", "application/json")];
    assert_eq!(client.send("POST", SIGNUP, &kind, b"{\"email\":".to_vec()).problem(400), "malformed_json");
}

#[test]
fn ten_signups_an_hour_from_one_address_and_failed_ones_count() {
    let limited = |trusted: &'static str| {
        App::start_with(move |settings| {
            settings.limits.signup = Quota::new(10, Duration::from_secs(3_600));
            settings.limits = refloop::web::Limits { signup: settings.limits.signup, ..no_limits() };
            settings.trusted_proxies = TrustedProxies::parse(trusted).unwrap();
        })
    };
    let post = |app: &App, forwarded: &str| {
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", forwarded)];
        app.anonymous().send("POST", SIGNUP, &headers, b"{}".to_vec())
    };
    let app = limited("");
    for n in 0..10 {
        assert_eq!(post(&app, &format!("198.51.100.{n}")).status, 422);
    }
    let reply = post(&app, "198.51.100.99");
    assert_eq!(reply.problem(429), "rate_limited");
    assert!(reply.header("retry-after").unwrap().parse::<u32>().is_ok_and(|seconds| (1..=361).contains(&seconds)));

    let app = limited("127.0.0.0/8");
    for n in 0..10 {
        assert_eq!(post(&app, &format!("6.6.6.{n}, 198.51.100.1")).status, 422);
    }
    assert_eq!(post(&app, "6.6.6.99, 198.51.100.1").status, 429, "the client chose what stands left of it");
    assert_eq!(post(&app, "198.51.100.2").status, 422);

    let app = limited("127.0.0.0/8");
    for port in 0..5 {
        assert_eq!(post(&app, &format!("198.51.100.1:{}", 5_000 + port)).status, 422);
        assert_eq!(post(&app, "198.51.100.1").status, 422);
    }
    assert_eq!(post(&app, "6.6.6.6, 198.51.100.1:443").status, 429, "a port is no part of the address");
    for host in 0..10 {
        assert_eq!(post(&app, &format!("[2001:db8::{host}]:443")).status, 422, "nor is the proxy's the client's");
    }
    assert_eq!(post(&app, "2001:db8::ffff").status, 429);
}

#[test]
fn one_address_signs_up_once_however_many_try_at_once() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let sign_up = || app.try_sign_up("bob@bob.example", Some(&code)).status;
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(sign_up)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
    assert_eq!(app.sqlite3("SELECT count(*) FROM referral").trim(), "1");
}

#[test]
fn a_signup_says_its_bonus_without_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let capacity = Capacity { readers: 1, ..Capacity::default() };
    let store = Arc::new(Store::open(&dir.path().join("refloop.db"), Clock::System, capacity).unwrap());
    let engine = Engine::new(Arc::clone(&store), Settings::default());
    engine.first_start().unwrap();
    let project = engine.project_named("default").unwrap().id;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sign_up = |email: &str, code: Option<&str>| {
        let new = Signup::parse(email, PASSWORD, "Somebody", code).unwrap();
        runtime.block_on(engine.sign_up(project, new)).unwrap()
    };
    let alice = sign_up("me@alice.example", None);
    assert_eq!((alice.bonus, alice.referral), (None, None));
    let own = Some(Code::parse("code", "ALICE2026").unwrap());
    runtime.block_on(engine.referral_code(project, alice.profile.profile.account.id, own, None)).unwrap();

    // Whoever shows the key to its owner has all that there is to show, however many others are reading.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (taken, is_taken) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            store.read_blocking(move |_| {
                taken.send(()).unwrap();
                let _ = released.recv();
                Ok(())
            })
        });
        is_taken.recv().unwrap();
        let bob = sign_up("me@bob.example", Some("ALICE2026"));
        assert_eq!(bob.bonus.as_deref(), Some("1,000 credits"));
        assert!(bob.api_key.starts_with("bw_live_"));
        let rejected = sign_up("you@alice.example", Some("ALICE2026"));
        assert_eq!((rejected.bonus, rejected.referral), (None, Some(Applied::Rejected { reason: "same_domain" })));
        drop(release);
    });
}
