//! This face's own envelope around everything that goes wrong, and input that is meant to go wrong.

use super::{CONVERT, LINK, STATS, Stage, code_of, data, error};
use crate::harness::{App, Reply, no_limits};
use refloop::web::{Limits, Quota, TrustedProxies};
use serde_json::{Value, json};
use std::time::Duration;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn post(stage: &Stage, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
    stage.app.anonymous().send("POST", CONVERT, headers, body.into())
}

#[test]
fn what_the_router_refuses_is_in_the_envelope() {
    let stage = Stage::new();
    let alice = stage.user("alice");
    for path in [
        "/api/referral",
        "/api/referral/",
        "/api/referral/x",
        "/api/referral/link/",
        "/api/referral/LINK",
        "/api/referral/%ff",
        "/api/referral//stats",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(
                error(&alice.send(method, path, &[JSON], b"{}".to_vec()), 404),
                "There is nothing at this address."
            );
        }
    }
    for (path, allowed) in [(LINK, "GET, HEAD"), (STATS, "GET, HEAD"), (CONVERT, "POST")] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            if allowed.contains(method) {
                continue;
            }
            let reply = alice.send(method, path, &[JSON], b"{}".to_vec());
            assert_eq!(error(&reply, 405), "Not with this method.", "{method} {path}");
            assert_eq!(reply.header("Allow"), Some(allowed));
        }
    }
    // Elsewhere it is a problem, as ever.
    assert_eq!(alice.get("/api/referrals").problem(404), "not_found");
    assert_eq!(alice.get("/v1/usage").problem(405), "method_not_allowed");
    assert_eq!(stage.sql("SELECT count(*) FROM account"), "0");
}

#[test]
fn each_field_that_is_refused() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    let good = json!({ "referralCode": code, "email": "bob@bob.example" });
    let before = stage.app.dump();
    let text = "This is a text.";
    let characters = "Control characters are not accepted.";
    for (field, value, words) in [
        ("referralCode", json!(null), "Fill this in."),
        ("referralCode", json!(""), "Use 1 to 20 characters."),
        ("referralCode", json!("A".repeat(21)), "Use 1 to 20 characters."),
        ("referralCode", json!("𝒳".repeat(21)), "Use 1 to 20 characters."),
        ("referralCode", json!(12_345_678), text),
        ("referralCode", json!(true), text),
        ("referralCode", json!([code]), text),
        ("referralCode", json!({}), text),
        ("referralCode", json!("A1B2\0C3"), characters),
        ("referralCode", json!("A1B2C3D4\n"), characters),
        ("referralCode", json!("A1B2\u{202e}"), characters),
        ("email", json!(null), "Fill this in."),
        ("email", json!(""), "Fill this in."),
        ("email", json!("bob"), "An e-mail address has an @ in it."),
        ("email", json!("bob@localhost"), "The part after the @ is not a domain."),
        ("email", json!(format!("{}@bob.example", "b".repeat(244))), "Use at most 254 characters."),
        ("email", json!(format!("{}@bob.example", "b".repeat(65))), "This is not an e-mail address."),
        ("email", json!(7), text),
        ("email", json!(["bob@bob.example"]), text),
        ("email", json!("bob\0@bob.example"), characters),
        ("email", json!("bob@bob.example\r\n"), characters),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let reply = stage.app.anonymous().post(CONVERT, body);
        assert_eq!(error(&reply, 400), format!("Validation error: {field}: {words}"), "{value}");
    }
    assert_eq!(
        error(&stage.app.anonymous().post(CONVERT, json!({ "email": 1, "code": code })), 400),
        "Validation error: referralCode: Fill this in. email: This is a text."
    );
    for body in ["[]", "1", "null", "\"x\""] {
        assert_eq!(error(&post(&stage, &[JSON], body), 400), "Validation error: The body is a JSON object.");
    }
    assert!(stage.app.dump() == before);
    // Up to the limits all is well; what is unknown is ignored.
    let domain = format!("{}.example", ["d"; 90].join("."));
    let email = format!("{}@{domain}", "b".repeat(10));
    let body = json!({ "referralCode": "A".repeat(20), "email": email, "name": [7] });
    assert_eq!(data(&stage.app.anonymous().post(CONVERT, body))["converted"], false);
    assert_eq!(data(&stage.convert("A", "b@bob.example"))["converted"], false);
}

#[test]
fn bodies_that_do_not_read() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    let good = json!({ "referralCode": code, "email": "bob@bob.example" }).to_string();
    let before = stage.app.dump();
    let twice = format!("{},{}", good.trim_end_matches('}'), good.trim_start_matches('{'));
    let mut bodies: Vec<Vec<u8>> =
        ["", " ", "\0", "{", "nope", "{'a':1}", "{\"a\":1,}", "{\"a\":1e999}", "{\"email\":\"\\ud800\"}"]
            .map(|text| text.as_bytes().to_vec())
            .to_vec();
    bodies.extend([
        format!("{good}x").into_bytes(),
        format!("{good}\0").into_bytes(),
        format!("\u{feff}{good}").into_bytes(),
        twice.into_bytes(),
        good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        [&b"{\"\xff\":1,"[..], &good.as_bytes()[1..]].concat(),
        b"[".repeat(10_000),
        [br#"{"a":"#.repeat(10_000), b"1".to_vec(), b"}".repeat(10_000)].concat(),
    ]);
    for body in bodies {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let words = error(&post(&stage, &[JSON], body), 400);
        assert!(!words.starts_with("Validation"), "{shown:.60}: {words}");
    }
    for media_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let words = error(&post(&stage, &[("Content-Type", media_type)], good.clone()), 415);
        assert_eq!(words, "Send JSON with Content-Type: application/json.", "{media_type}");
    }
    error(&post(&stage, &[], good.clone()), 415);
    let padded = |bytes: usize| format!("{{\"pad\":\"{}\"}}", "x".repeat(bytes - 10));
    assert_eq!(error(&post(&stage, &[JSON], padded(65_537)), 413), "A body has at most 65536 bytes.");
    error(&post(&stage, &[JSON], padded(65_536)), 400);
    assert!(stage.app.dump() == before);
}

#[test]
fn a_body_that_stops_coming_is_408() {
    use std::io::{Read, Write};
    let stage = Stage::new();
    let mut stream = std::net::TcpStream::connect(stage.app.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = "Host: x.example\r\nContent-Type: application/json\r\nContent-Length: 50";
    write!(stream, "POST {CONVERT} HTTP/1.1\r\n{head}\r\n\r\n{{\"email\":").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.ends_with(r#"{"success":false,"error":"The body took too long to arrive."}"#), "{answer}");
}

/// Makes every insertion into a table fail, which no caller can be blamed for.
fn refuse_rows_of(stage: &Stage, table: &str) {
    let fault = format!("CREATE TRIGGER fault BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'fault'); END");
    assert_eq!(stage.sql(&fault), "");
}

#[test]
fn a_fault_of_ours_is_500_in_the_words_of_the_seed_and_changes_nothing() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    refuse_rows_of(&stage, "code");
    assert_eq!(error(&stage.user("bob").get(LINK), 500), "Failed to get referral link");
    stage.sql("DROP TRIGGER fault");
    // The last that a conversion does: by then account, referral and use of the code are written.
    refuse_rows_of(&stage, "entry");
    assert_eq!(error(&stage.convert(&code, "bob@bob.example"), 500), "Failed to convert referral");
    stage.sql("DROP TRIGGER fault");
    let counts =
        "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM referral), (SELECT sum(uses_count) FROM code)";
    assert_eq!(stage.sql(counts), "1|0|0");
    stage.converts(&code, "bob@bob.example", "alice");
    assert_eq!(stage.sql(counts), "2|1|1");
}

#[test]
fn figures_that_cannot_be_read_are_500_in_the_words_of_the_seed() {
    let stage = Stage::new();
    let alice = stage.user("alice");
    code_of(&alice);
    stage.app.expect_tampering();
    stage.sql("ALTER TABLE referral RENAME TO mislaid");
    assert_eq!(error(&alice.get(STATS), 500), "Failed to get referral stats");
    stage.sql("ALTER TABLE mislaid RENAME TO referral");
}

#[test]
fn a_database_that_is_held_by_another_is_503_and_passes() {
    let stage = Stage::new();
    let alice = stage.user("alice");
    let code = code_of(&alice);
    let bob = stage.user("bob");
    let other = rusqlite::Connection::open(stage.app.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (converted, linked) = std::thread::scope(|scope| {
        let converted = scope.spawn(|| stage.convert(&code, "bob@bob.example"));
        let linked = bob.get(LINK);
        (converted.join().unwrap(), linked)
    });
    for reply in [converted, linked] {
        error(&reply, 503);
        assert!(reply.header("Retry-After").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
    }
    // What only reads goes on.
    assert_eq!(code_of(&alice), code);
    assert_eq!(data(&alice.get(STATS))["totalReferrals"], 0);
    other.execute_batch("ROLLBACK").unwrap();
    stage.converts(&code, "bob@bob.example", "alice");
}

fn limited(change: impl FnOnce(&mut Limits)) -> Stage {
    Stage::on(App::start_with(|settings| {
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
        settings.limits = no_limits();
        change(&mut settings.limits);
    }))
}

fn an_hour(count: u32) -> Quota {
    Quota::new(count, Duration::from_secs(3_600))
}

fn expect_limited(reply: &Reply) {
    let words = error(reply, 429);
    let seconds: u64 = reply.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=3_601).contains(&seconds));
    assert_eq!(words, format!("Too many requests; try again in {seconds} seconds."));
}

#[test]
fn conversions_are_limited_by_address_however_they_end() {
    let stage = limited(|limits| limits.convert = an_hour(4));
    let code = code_of(&stage.user("alice"));
    let from = |address: &str, body: &Value| post(&stage, &[JSON, ("X-Forwarded-For", address)], body.to_string());
    let good = |name: &str| json!({ "referralCode": code, "email": format!("me@{name}.example") });
    assert_eq!(from("203.0.113.1", &good("one")).status, 200);
    assert_eq!(from("203.0.113.1", &json!({})).status, 400);
    assert_eq!(from("203.0.113.1", &json!({ "referralCode": "NOBODYS1", "email": "a@b.example" })).status, 200);
    assert_eq!(post(&stage, &[("X-Forwarded-For", "203.0.113.1")], "x").status, 415);
    expect_limited(&from("203.0.113.1", &good("two")));
    assert_eq!(from("203.0.113.2", &good("three")).status, 200);
    // Another of the same IPv6 subscriber is the same.
    for host in 0..4 {
        assert_eq!(from(&format!("2001:db8::{host}"), &json!({})).status, 400);
    }
    expect_limited(&from("2001:db8::ffff", &json!({})));
    assert_eq!(code_of(&stage.user("alice")), code, "users are not held up");
}

#[test]
fn bad_tokens_are_limited_by_address_and_good_ones_pass() {
    let stage = limited(|limits| limits.bad_key = an_hour(2));
    let alice = stage.user("alice");
    let bad = || stage.app.anonymous().with_key("a.b.c").get(LINK);
    error(&bad(), 401);
    error(&stage.app.anonymous().get(STATS), 401);
    expect_limited(&bad());
    expect_limited(&stage.app.anonymous().get(STATS));
    assert_eq!(alice.get(LINK).status, 200);
}

#[test]
fn each_user_has_a_limit_and_no_part_in_that_of_others() {
    let stage = limited(|limits| {
        limits.developer = an_hour(2);
        limits.public = an_hour(1);
    });
    let (alice, bob) = (stage.user("alice"), stage.user("bob"));
    assert_eq!([alice.get(LINK).status, alice.get(STATS).status], [200, 200]);
    expect_limited(&alice.get(LINK));
    expect_limited(&stage.user("alice").get(STATS));
    // The team's server may ask for all its users from one address.
    assert_eq!([bob.get(LINK).status, bob.get(STATS).status], [200, 200]);
}
