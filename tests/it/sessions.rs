//! Operators sign in, and out again.

use crate::harness::{App, DAY_MS, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, input, value_of};
use refloop::web::Quota;
use serde_json::Value;
use std::time::Duration;

/// Someone who is signed in to run a team's projects, in a browser.
pub struct Operator {
    visitor: Visitor,
}

impl Operator {
    /// Makes the operator and signs in.
    pub fn sign_in(app: &App, team: &str, email: &str) -> Self {
        app.add_operator(team, email);
        let operator = Self { visitor: Visitor::new(app) };
        let reply = log_in(&operator.visitor, email, PASSWORD);
        assert_eq!((reply.status, reply.header("Location")), (303, Some("/admin")), "{}", reply.body);
        operator
    }

    /// A call with the session; JSON unless there is no body.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut headers = headers.to_vec();
        headers.push(("Content-Type", "application/json"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.visitor.send(method, path, &headers, &body)
    }
}

/// Opens the form and sends it.
fn log_in(visitor: &Visitor, email: &str, password: &str) -> Reply {
    let page = visitor.get("/admin/login");
    assert_page(&page, 200);
    let csrf = value_of(&page, "csrf");
    visitor.send("POST", "/admin/login", &[FORM], &encode(&[("csrf", &csrf), ("email", email), ("password", password)]))
}

fn log_out(visitor: &Visitor) -> Reply {
    let csrf = value_of(&visitor.get("/admin"), "csrf");
    visitor.send("POST", "/admin/logout", &[FORM], &encode(&[("csrf", &csrf)]))
}

const CONFIG: &str = "/api/billstack/teams/default/projects/default/referrals/config";

fn is_in(visitor: &Visitor) -> bool {
    let page = visitor.get("/admin");
    match page.status {
        200 => assert_page(&page, 200),
        _ => assert_eq!((page.status, page.header("Location")), (303, Some("/admin/login"))),
    }
    let api = visitor.get(CONFIG);
    assert_eq!(api.status == 200, page.status == 200, "the page and the API agree: {}", api.body);
    page.status == 200
}

/// The cookie of the session as the reply sets it: its value, and its attributes in order.
fn session_cookie(reply: &Reply) -> (String, Vec<String>) {
    let set = reply.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value);
    let cookie = set.into_iter().find(|value| value.contains("refloop_operator=")).expect("a session cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let mut attributes: Vec<String> = attributes.split("; ").map(String::from).collect();
    attributes.sort_unstable();
    (pair.split_once('=').unwrap().1.to_owned(), attributes)
}

#[test]
fn signing_in_and_out() {
    let app = App::start();
    app.add_operator("default", "op@example.com");
    let visitor = Visitor::new(&app);
    assert!(!is_in(&visitor));
    let page = visitor.get("/admin/login");
    for (name, part) in [("password", "autocomplete=\"current-password\""), ("email", "autocomplete=\"username\"")] {
        assert!(input(&page, name).contains(part), "{name}");
    }
    let reply = log_in(&visitor, " OP@Example.com ", PASSWORD);
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/admin")));
    let (token, attributes) = session_cookie(&reply);
    assert_eq!(token.len(), 64, "256 bits");
    assert_eq!(attributes, ["HttpOnly", "Max-Age=1209600", "Path=/", "SameSite=Lax"]);
    assert!(is_in(&visitor));
    assert!(visitor.get("/admin").body.contains("op@example.com"));
    assert!(!app.dump().contains(&token), "only its hash is kept");

    let reply = log_out(&visitor);
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/admin/login")));
    let (empty, attributes) = session_cookie(&reply);
    assert_eq!((empty.as_str(), attributes[1].as_str()), ("", "Max-Age=0"));
    assert!(!is_in(&visitor));
    let cookie = format!("refloop_operator={token}");
    let reply = app.anonymous().send("GET", CONFIG, &[("Cookie", &cookie)], Vec::new());
    assert_eq!(reply.problem(401), "invalid_session", "the token itself has ended");
}

#[test]
fn over_tls_the_session_is_bound_to_the_host() {
    let app = App::start_with(|settings| settings.public_url = "https://api.example.com".into());
    app.add_operator("default", "op@example.com");
    let visitor = Visitor::new(&app);
    let reply = log_in(&visitor, "op@example.com", PASSWORD);
    let set = reply.headers.iter().find(|(name, value)| name == "set-cookie" && value.contains("operator"));
    assert!(set.unwrap().1.starts_with("__Host-refloop_operator="));
    let (_, attributes) = session_cookie(&reply);
    assert_eq!(attributes, ["HttpOnly", "Max-Age=1209600", "Path=/", "SameSite=Lax", "Secure"]);
    assert!(is_in(&visitor));
    let token = session_cookie(&log_in(&visitor, "op@example.com", PASSWORD)).0;
    let bare = format!("refloop_operator={token}");
    let reply = app.anonymous().send("GET", CONFIG, &[("Cookie", &bare)], Vec::new());
    assert_eq!(reply.problem(401), "missing_key", "a cookie that any neighbour could set is none");
}

#[test]
fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let app = App::start();
    app.add_operator("default", "op@example.com");
    // That somebody tries is noted, and nothing else.
    let dump = || app.dump().lines().filter(|line| !line.contains("INTO audit ")).collect::<Vec<_>>().join("\n");
    let before = dump();
    let mut answers = Vec::new();
    let (long, longer) = ("x".repeat(129), "x".repeat(2_000));
    for (email, password) in [
        ("op@example.com", "wrong-password"),
        ("op@example.com", "SECURE-PASSWORD"),
        ("op@example.com", "secure-password "),
        ("op@example.com", ""),
        ("op@example.com", &long),
        ("op@example.com", &longer),
        ("no@example.com", PASSWORD),
        ("no@example.com", ""),
        ("", PASSWORD),
        ("not an address", PASSWORD),
        ("op@example.com\0", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
    ] {
        let visitor = Visitor::new(&app);
        let reply = log_in(&visitor, email, password);
        assert_page(&reply, 401);
        assert!(reply.body.contains("The e-mail address or the password is wrong."), "{email} {password:.20}");
        assert!(!reply.body.contains("wrong-password"), "a password is never given back");
        assert!(!is_in(&visitor));
        let page = reply.body.replace(&value_of(&reply, "csrf"), "a token");
        let typed = format!("type=\"email\" value=\"{}\"", value_of(&reply, "email"));
        answers.push(page.replace(&typed, "what was typed"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "they differ in nothing but what was typed");
    assert!(dump() == before);
    let noted =
        app.sqlite3("SELECT action, subject IS NOT NULL, count(*) FROM audit WHERE actor = 'visitor' GROUP BY 1, 2");
    assert_eq!(noted.trim(), "operator.sign_in_failed|1|6", "tries at an operator's password; not whose nobody is");
    for _ in 0..20 {
        log_in(&Visitor::new(&app), "op@example.com", "wrong-password");
    }
    let count = app.sqlite3("SELECT count(*) FROM audit WHERE actor = 'visitor'");
    assert_eq!(count.trim(), "20", "nobody fills the disk with them");
}

#[test]
fn what_was_typed_is_kept_and_escaped() {
    let app = App::start();
    let reply = log_in(&Visitor::new(&app), "\"><b>x@example.com", "wrong-password");
    assert_page(&reply, 401);
    assert!(!reply.body.contains("<b>"), "{}", reply.body);
    let reply = log_in(&Visitor::new(&app), "me@example.com", "wrong-password");
    assert_eq!(value_of(&reply, "email"), "me@example.com");
    assert!(!input(&reply, "password").contains("value="));
}

#[test]
fn a_session_ends_after_fourteen_days() {
    let app = App::start();
    app.add_operator("default", "op@example.com");
    let visitor = Visitor::new(&app);
    log_in(&visitor, "op@example.com", PASSWORD);
    app.advance_ms(14 * DAY_MS - 1);
    assert!(is_in(&visitor));
    app.advance_ms(1);
    assert!(!is_in(&visitor));
    log_in(&visitor, "op@example.com", PASSWORD);
    assert!(is_in(&visitor));
    assert_eq!(app.sqlite3("SELECT count(*) FROM operator_session").trim(), "1", "what has ended is forgotten");
}

#[test]
fn signing_in_again_is_a_new_session_and_the_end_of_the_old_one() {
    let app = App::start();
    app.add_operator("default", "op@example.com");
    app.add_operator("default", "other@example.com");
    let (visitor, elsewhere) = (Visitor::new(&app), Visitor::new(&app));
    log_in(&elsewhere, "op@example.com", PASSWORD);
    let (first, _) = session_cookie(&log_in(&visitor, "op@example.com", PASSWORD));
    let (second, _) = session_cookie(&log_in(&visitor, "other@example.com", PASSWORD));
    assert_ne!(first, second);
    assert!(visitor.get("/admin").body.contains("other@example.com"));
    let cookie = format!("refloop_operator={first}");
    let reply = app.anonymous().send("GET", CONFIG, &[("Cookie", &cookie)], Vec::new());
    assert_eq!(reply.problem(401), "invalid_session");
    assert!(is_in(&elsewhere), "another browser's session goes on");
    // A token that someone planted before does not become a good one.
    let planted = Visitor::new(&app);
    planted.set_cookie("refloop_operator", &"0".repeat(64));
    let (fresh, _) = session_cookie(&log_in(&planted, "op@example.com", PASSWORD));
    assert_ne!(fresh, "0".repeat(64));
    // One that fails leaves the session as it is.
    assert_page(&log_in(&visitor, "op@example.com", "wrong-password"), 401);
    assert!(is_in(&visitor));
}

#[test]
fn forms_are_taken_only_from_the_visitor_they_were_made_for() {
    let app = App::start();
    app.add_operator("default", "op@example.com");
    let (visitor, other) = (Visitor::new(&app), Visitor::new(&app));
    let others = value_of(&other.get("/admin/login"), "csrf");
    visitor.get("/admin/login");
    for token in [None, Some(""), Some(others.as_str())] {
        let mut fields = vec![("email", "op@example.com"), ("password", PASSWORD)];
        fields.extend(token.map(|token| ("csrf", token)));
        let reply = visitor.send("POST", "/admin/login", &[FORM], &encode(&fields));
        assert_page(&reply, 403);
        assert!(reply.body.contains("href=\"/admin/login\""), "{}", reply.body);
    }
    assert!(!is_in(&visitor));
    log_in(&visitor, "op@example.com", PASSWORD);
    for fields in [vec![], vec![("csrf", others.as_str())]] {
        assert_page(&visitor.send("POST", "/admin/logout", &[FORM], &encode(&fields)), 403);
    }
    assert!(is_in(&visitor), "nobody else signs an operator out");
}

#[test]
fn attempts_are_limited_for_each_address_whatever_comes_of_them() {
    let app = App::start_with(|settings| settings.limits.bad_key = Quota::new(4, Duration::from_secs(3_600)));
    app.add_operator("default", "op@example.com");
    let visitor = Visitor::new(&app);
    assert_page(&log_in(&visitor, "op@example.com", "wrong-password"), 401);
    assert_page(&log_in(&visitor, "no@example.com", "wrong-password"), 401);
    assert_page(&visitor.send("POST", "/admin/login", &[FORM], ""), 403);
    assert_eq!(log_in(&visitor, "op@example.com", PASSWORD).status, 303);
    let limited = log_in(&Visitor::new(&app), "op@example.com", PASSWORD);
    assert_page(&limited, 429);
    assert!(limited.header("Retry-After").is_some());
    assert!(limited.body.contains("There were too many tries from your network. Try again in 15 minutes."));
    assert_eq!(value_of(&limited, "email"), "op@example.com", "what was typed is kept");
    assert!(is_in(&visitor), "who is signed in stays so");
    assert_eq!(
        log_in(&visitor, "op@example.com", PASSWORD).status,
        303,
        "and is not locked out by who shares the address"
    );
}

#[test]
fn what_is_no_form_is_refused_as_a_page() {
    let app = App::start();
    app.add_operator("default", "op@example.com");
    let visitor = Visitor::new(&app);
    visitor.get("/admin/login");
    let before = app.dump();
    for path in ["/admin/login", "/admin/logout"] {
        for (kind, body, status) in [
            ("application/json", "{}".to_owned(), 415),
            ("text/plain", "csrf=x".into(), 415),
            ("application/x-www-form-urlencoded", "csrf=a&csrf=b".into(), 400),
            ("application/x-www-form-urlencoded", "csrf=%ff&email=%00&password=%".into(), 403),
            ("application/x-www-form-urlencoded", String::new(), 403),
            ("application/x-www-form-urlencoded", format!("csrf={}", "x".repeat(70_000)), 413),
        ] {
            let reply = visitor.send("POST", path, &[("Content-Type", kind)], &body);
            assert_page(&reply, status);
        }
        let raw = [("Content-Type", "application/x-www-form-urlencoded")];
        let reply = app.anonymous().send("POST", path, &raw, b"csrf=\xff\xfe".to_vec());
        assert_page(&reply, 400);
    }
    for cookie in ["refloop_operator=", "refloop_operator=%00", "refloop_operator=a b; refloop_operator=c", "=;=;;"] {
        let reply = app.anonymous().send("GET", "/admin", &[("Cookie", cookie)], Vec::new());
        assert_eq!(reply.status, 303, "{cookie:?}");
    }
    assert!(app.dump() == before);
}

#[test]
fn forms_are_taken_from_our_own_pages_only() {
    let app = App::start();
    app.developer("Alice");
    let own = app.url.clone();
    for (headers, status) in [
        (vec![("Sec-Fetch-Site", "cross-site")], 403),
        (vec![("Sec-Fetch-Site", "same-site")], 403),
        (vec![("Sec-Fetch-Site", "cross-site"), ("Origin", own.as_str())], 403),
        (vec![("Origin", "https://elsewhere.example")], 403),
        (vec![("Origin", "null")], 403),
        (vec![("Sec-Fetch-Site", "same-origin")], 303),
        (vec![("Origin", own.as_str())], 303),
        (vec![], 303),
    ] {
        let reply = Visitor::new(&app).sign_in_from(&headers, "alice@alice.example", PASSWORD);
        assert_eq!(reply.status, status, "{headers:?}");
        assert_eq!(reply.header("Set-Cookie").is_some(), status == 303, "{headers:?}");
    }
}

#[test]
fn a_form_cookie_that_is_not_ours_is_none() {
    let app = App::start();
    for (name, made_up) in [
        ("empty", ""),
        ("short", "0123"),
        ("no-hex", "g123456789abcdef0123456789abcdef"),
        ("long", "0123456789abcdef0123456789abcdef0"),
    ] {
        let visitor = Visitor::new(&app);
        visitor.set_cookie("refloop_form", made_up);
        visitor.token();
        let cookie = visitor.cookie("refloop_form").unwrap();
        assert!(cookie != made_up && cookie.len() == 32 && cookie.bytes().all(|b| b.is_ascii_hexdigit()), "{cookie}");
        assert_eq!(visitor.sign_up_well("Alice", &format!("me@{name}.example"), "").status, 201);
        visitor.set_cookie("refloop_form", made_up);
        let token = app.engine.form_token(made_up);
        let reply = visitor.send("POST", "/logout", &[FORM], &encode(&[("csrf", &token)]));
        assert_eq!(reply.status, 403, "{made_up}");
    }
}
