//! Which code a signup uses that comes without one, and what it does to the click.

use super::{CHROME, COOKIE, FIREFOX, clicks, cookie, kept, once, open, rows};
use crate::harness::{App, Client, DAY_MS, Developer, PASSWORD, Reply};
use crate::visitor::{Visitor, assert_page, value_of};
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;
use refloop::engine::UnsignedClicks;
use serde_json::{Value, json};

fn pick(app: &App, model: &str) {
    app.change_program(|program| program["attribution"]["click"] = json!(model));
}

/// Signs up by API from a browser with that cookie. Returns what became of a code.
fn sign_up(app: &App, name: &str, code: Option<&str>, remembered: &str) -> Reply {
    let body =
        json!({ "email": format!("me@{name}.example"), "password": PASSWORD, "name": name, "referral_code": code });
    let cookie = format!("{COOKIE}={remembered}");
    let headers = [("Content-Type", "application/json"), ("Cookie", cookie.as_str()), ("User-Agent", FIREFOX)];
    app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes())
}

fn used(app: &App, name: &str, code: Option<&str>, remembered: &str) -> Value {
    let reply = sign_up(app, name, code, remembered);
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()["referral"]["code"].clone()
}

fn unsigned(app: &App, developer: &Developer) -> UnsignedClicks {
    let project = app.engine.project_named("default").unwrap().id;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(app.engine.unsigned_clicks(project, developer.id.parse().unwrap())).unwrap()
}

#[test]
fn a_signup_without_a_code_uses_the_click() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let visitor = Visitor::new(&app);
    open(&visitor, FIREFOX, &format!("/r/{code}"));
    let page = visitor.get("/signup");
    assert_page(&page, 200);
    assert_eq!(value_of(&page, "referral_code"), code, "filled in, also without ?ref=");
    assert!(page.body.contains("1,000 credits"), "{}", page.body);
    assert_eq!(visitor.sign_up_well("Bob", "bob@bob.example", "").status, 201);
    assert_eq!(alice.stats()["total_referrals"], 1);
    let remembered = once(&app, CHROME, &format!("/r/{code}"));
    assert_eq!(used(&app, "carol", None, kept(&remembered).unwrap()), json!(code), "by API too");
    assert_eq!(alice.stats()["total_referrals"], 2);
}

#[test]
fn a_typed_code_goes_first() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    let reply = once(&app, FIREFOX, &format!("/r/{}", alice.code()));
    let remembered = kept(&reply).unwrap();
    assert_eq!(used(&app, "carol", Some(&bob.code()), remembered), json!(bob.code()));
    assert_eq!(sign_up(&app, "dan", Some("NOBODYS"), remembered).faults(), ["referral_code: unknown_code"]);
    assert_eq!(used(&app, "dan", Some(""), remembered), json!(alice.code()));
    let page = once(&app, FIREFOX, &format!("/signup?ref={}", bob.code()));
    assert_eq!(value_of(&page, "referral_code"), bob.code());
}

#[test]
fn the_window_is_over_by_the_project_s_clock() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let reply = once(&app, FIREFOX, &format!("/r/{code}"));
    let remembered = kept(&reply).unwrap();
    app.advance_ms(7 * DAY_MS - 1);
    assert_eq!(used(&app, "bob", None, remembered), json!(code));
    app.advance_ms(1);
    assert_eq!(used(&app, "carol", None, remembered), Value::Null);
    let visitor = Visitor::new(&app);
    visitor.set_cookie(COOKIE, remembered);
    assert_eq!(value_of(&visitor.get("/signup"), "referral_code"), "");

    // A test project's own clock goes ahead.
    let sandbox = app.project("sandbox", Preset::Commission, "test");
    app.engine.set_project("sandbox", vec![(Setting::Host, "sandbox.example".into())]).unwrap();
    let host = ("Host", "sandbox.example");
    let api = |cookie: &str, email: &str| {
        let body = json!({ "email": email, "password": PASSWORD, "name": "Name" });
        let headers = [host, ("Content-Type", "application/json"), ("Cookie", cookie)];
        app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes()).json()
    };
    let key = api("", "me@owner.example")["api_key"].as_str().unwrap().to_owned();
    let owner = app.anonymous().with_key(&key);
    let code = owner.post("/v1/developers/referral-code", json!({})).json()["referral_code"].clone();
    let path = format!("/r/{}", code.as_str().unwrap());
    let click = || Visitor::new(&app).send("GET", &path, &[host, ("User-Agent", FIREFOX)], "");
    let reply = click();
    let cookie = format!("{COOKIE}={}", kept(&reply).unwrap());
    let advance = |ms: i64| app.set_clock_ahead_ms(&sandbox, ms);
    advance(7 * DAY_MS - 60_000);
    assert_eq!(api(&cookie, "me@in-time.example")["referral"]["code"], code);
    click();
    let total = |owner: &Client| owner.get("/v1/developers/referral-stats").json()["total_clicks"].clone();
    assert_eq!(total(&owner), 1, "within the window");
    advance(7 * DAY_MS + 60_000);
    assert_eq!(api(&cookie, "me@too-late.example")["referral"], Value::Null);
    click();
    assert_eq!(total(&owner), 2, "a new one");
}

#[test]
fn the_last_click_wins_or_the_first_as_the_program_says() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    for (model, winner, loser) in [("last", &bob, &alice), ("first", &alice, &bob)] {
        pick(&app, model);
        let before = (clicks(&alice), clicks(&bob));
        let visitor = Visitor::new(&app);
        let agent = format!("{FIREFOX} {model}");
        open(&visitor, &agent, &format!("/r/{}", alice.code()));
        app.advance_days(1);
        open(&visitor, &agent, &format!("/signup?ref={}", bob.code()));
        assert_eq!((clicks(&alice), clicks(&bob)), (before.0 + 1, before.1 + 1), "{model}: each counts");
        let referrals = |developer: &Developer| developer.stats()["total_referrals"].as_i64().unwrap();
        let (won, lost) = (referrals(winner), referrals(loser));
        let email = format!("me@{model}.example");
        assert_eq!(visitor.sign_up_well("Carol", &email, "").status, 201);
        assert_eq!((referrals(winner), referrals(loser)), (won + 1, lost), "{model}");
    }
    // When the first one's window is over, another is the first.
    let visitor = Visitor::new(&app);
    open(&visitor, CHROME, &format!("/r/{}", alice.code()));
    app.advance_days(7);
    let reply = open(&visitor, CHROME, &format!("/r/{}", bob.code()));
    assert!(kept(&reply).unwrap().starts_with(&format!("{}.", bob.code())));
    // And when its code is gone.
    bob.delete("/v1/developers/referral-code");
    let reply = open(&visitor, CHROME, &format!("/r/{}", alice.code()));
    assert!(kept(&reply).unwrap().starts_with(&format!("{}.", alice.code())));
}

/// Signs up with the code that the page has filled in, untouched.
fn sign_up_as_rendered(visitor: &Visitor, page: &Reply, name: &str) -> Reply {
    let (csrf, code) = (value_of(page, "csrf"), value_of(page, "referral_code"));
    let email = format!("me@{name}.example");
    let fields = [("csrf", csrf.as_str()), ("name", name), ("email", &email), ("password", PASSWORD)];
    visitor.post(&[&fields[..], &[("referral_code", &code)]].concat())
}

#[test]
fn the_page_fills_in_the_code_that_the_program_s_model_says() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    let (first, second) = (alice.code(), bob.code());
    let referrals = |developer: &Developer| developer.stats()["total_referrals"].as_i64().unwrap();
    for (model, winner) in [("first", &alice), ("last", &bob)] {
        pick(&app, model);
        for (way, path) in [("link", "/signup?ref=$"), ("login", "/login?ref=$")] {
            let visitor = Visitor::new(&app);
            let path = path.replace('$', &second);
            open(&visitor, FIREFOX, &format!("/r/{first}"));
            open(&visitor, FIREFOX, &format!("/r/{second}"));
            let mut page = open(&visitor, FIREFOX, &path);
            if way == "login" {
                let lead = format!("/signup?ref={}", if model == "first" { &first } else { &second });
                assert!(page.body.contains(&format!("<a href=\"{lead}\">Sign up with")), "{model}: {}", page.body);
                page = open(&visitor, FIREFOX, &lead);
            }
            let before = referrals(winner);
            assert_eq!(sign_up_as_rendered(&visitor, &page, &format!("{model}-{way}")).status, 201);
            assert_eq!(referrals(winner), before + 1, "{model} by {way}");
        }
    }
    // A first click that no longer counts is none.
    pick(&app, "first");
    let visitor = Visitor::new(&app);
    let reply = open(&visitor, FIREFOX, &format!("/r/{first}"));
    app.advance_days(7);
    visitor.set_cookie(COOKIE, kept(&reply).unwrap());
    let page = open(&visitor, FIREFOX, &format!("/signup?ref={second}"));
    assert_eq!(value_of(&page, "referral_code"), second);
    open(&visitor, FIREFOX, &format!("/r/{first}"));
    assert_eq!(value_of(&open(&visitor, FIREFOX, &format!("/signup?ref={first}")), "referral_code"), second);
    bob.delete("/v1/developers/referral-code");
    assert_eq!(value_of(&open(&visitor, FIREFOX, &format!("/signup?ref={first}")), "referral_code"), first);
}

#[test]
fn a_ref_that_is_no_code_does_not_hide_the_one_that_is_remembered() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    for (n, (model, word)) in
        [("last", "producthunt"), ("last", "hacker-news"), ("last", ""), ("first", "producthunt")].iter().enumerate()
    {
        pick(&app, model);
        let visitor = Visitor::new(&app);
        open(&visitor, FIREFOX, &format!("/r/{code}"));
        let page = open(&visitor, FIREFOX, &format!("/signup?ref={word}"));
        assert_eq!(value_of(&page, "referral_code"), code, "{word}");
        assert_eq!(sign_up_as_rendered(&visitor, &page, &format!("n{n}")).status, 201);
    }
    assert_eq!(alice.stats()["total_referrals"], 4);
    // Nothing to fall back to: the page says at once what it would say to the form.
    let visitor = Visitor::new(&app);
    let page = open(&visitor, FIREFOX, "/signup?ref=producthunt");
    assert_eq!(value_of(&page, "referral_code"), "PRODUCTHUNT");
    assert!(page.body.contains("We cannot use the referral code <code>PRODUCTHUNT</code>"), "{}", page.body);
    assert_eq!(sign_up_as_rendered(&visitor, &page, "erin").status, 422);
}

#[test]
fn the_last_click_through_the_same_code_opens_the_window_again() {
    let app = App::start();
    let alice = app.developer("Alice");
    let visitor = Visitor::new(&app);
    open(&visitor, FIREFOX, &format!("/r/{}", alice.code()));
    app.advance_days(6);
    let again = open(&visitor, FIREFOX, &format!("/r/{}", alice.code()));
    assert_eq!(clicks(&alice), 1, "it is not counted again");
    app.advance_days(6);
    assert_eq!(used(&app, "bob", None, kept(&again).unwrap()), json!(alice.code()));
}

#[test]
fn forged_foreign_and_spoilt_cookies_are_ignored() {
    let app = App::start();
    let (alice, mallory) = (app.developer("Alice"), app.developer("Mallory"));
    app.project("acme", Preset::Credits, "live");
    app.engine.set_project("acme", vec![(Setting::Host, "acme.example".into())]).unwrap();
    let reply = once(&app, FIREFOX, &format!("/r/{}", alice.code()));
    let good = kept(&reply).unwrap().to_owned();
    let other = App::start();
    other.developer("Alice").code();
    let foreign = once(&other, FIREFOX, &format!("/r/{}", alice.code()));
    let spoilt = [
        good.replace(&alice.code(), &mallory.code()),
        good.replace("1768", "1868"),
        good[..good.len() - 1].to_owned(),
        format!("{good}0"),
        kept(&foreign).unwrap().to_owned(),
        mallory.code(),
        "....".into(),
        "%00".into(),
        "x".repeat(3_000),
    ];
    for (n, cookie) in spoilt.iter().enumerate() {
        assert_eq!(used(&app, &format!("n{n}"), None, cookie), Value::Null, "{cookie:.80}");
        let visitor = Visitor::new(&app);
        visitor.set_cookie(COOKIE, cookie);
        assert_page(&open(&visitor, FIREFOX, &format!("/signup?ref={}", alice.code())), 200);
    }
    assert_eq!(clicks(&alice), 1, "with a bad cookie the visitor is who the network and the browser say");

    // The same code in another project of the same instance.
    let body = json!({ "email": "me@twin.example", "password": PASSWORD, "name": "Alice" });
    let acme = |path: &str, key: Option<&str>, cookie: &str, body: &Value| {
        let client = key.map_or_else(|| app.anonymous(), |key| app.anonymous().with_key(key));
        let headers = [("Host", "acme.example"), ("Content-Type", "application/json"), ("Cookie", cookie)];
        client.send("POST", path, &headers, body.to_string().into_bytes()).json()
    };
    let twin = acme("/v1/developers/signup", None, "", &body);
    let made = json!({ "code": alice.code() });
    acme("/v1/developers/referral-code", twin["api_key"].as_str(), "", &made);
    let body = json!({ "email": "me@bob.example", "password": PASSWORD, "name": "Bob" });
    let signed_up = acme("/v1/developers/signup", None, &format!("{COOKIE}={good}"), &body);
    assert_eq!((&signed_up["referral"], signed_up["api_key"].is_string()), (&Value::Null, true));
    assert_eq!(used(&app, "late", None, &good), json!(alice.code()), "and the good one is good");
}

#[test]
fn a_code_that_is_gone_meanwhile_keeps_nobody_from_signing_up() {
    let app = App::start();
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    let limited = bob.post("/v1/developers/referral-code", json!({ "max_uses": 1 })).json();
    let limited = limited["referral_code"].as_str().unwrap();
    let (first, second) =
        (once(&app, FIREFOX, &format!("/r/{}", alice.code())), once(&app, FIREFOX, &format!("/r/{limited}")));
    alice.delete("/v1/developers/referral-code");
    app.referee("Carol", limited);
    assert_eq!(used(&app, "dan", None, kept(&first).unwrap()), Value::Null, "revoked");
    assert_eq!(used(&app, "erin", None, kept(&second).unwrap()), Value::Null, "used up");
    let visitor = Visitor::new(&app);
    visitor.set_cookie(COOKIE, kept(&first).unwrap());
    assert_eq!(value_of(&visitor.get("/signup"), "referral_code"), "");
}

#[test]
fn who_signs_up_is_no_longer_among_those_who_have_not() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    assert_eq!(unsigned(&app, &alice), UnsignedClicks { count: 0, recent_at_ms: vec![] });
    let visitors: Vec<(Visitor, String)> = (0..3).map(|n| (Visitor::new(&app), format!("{FIREFOX} {n}"))).collect();
    let mut times = Vec::new();
    for (visitor, agent) in &visitors {
        open(visitor, agent, &format!("/r/{code}"));
        times.insert(0, app.now_ms());
        app.advance_ms(1_000);
    }
    assert_eq!(unsigned(&app, &alice), UnsignedClicks { count: 3, recent_at_ms: times.clone() });
    // One by the cookie, one by typing the code into a browser that remembers nothing.
    assert_eq!(visitors[0].0.sign_up_well("Bob", "bob@bob.example", "").status, 201);
    let body = json!({ "email": "me@carol.example", "password": PASSWORD, "name": "Carol", "referral_code": code });
    let headers = [("Content-Type", "application/json"), ("User-Agent", visitors[1].1.as_str())];
    let reply = app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes());
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(unsigned(&app, &alice), UnsignedClicks { count: 1, recent_at_ms: vec![times[0]] });
    assert_eq!(clicks(&alice), 3);
    app.advance_days(7);
    assert_eq!(unsigned(&app, &alice).count, 0, "they will not sign up any more");
    // Whoever comes again after that is somebody who has not signed up.
    open(&visitors[0].0, &visitors[0].1, &format!("/r/{code}"));
    // Beside the three, today's mark of the visitor.
    assert_eq!((unsigned(&app, &alice).count, clicks(&alice), rows(&app, "click")), (1, 4, 4));
    assert_eq!(unsigned(&app, &app.developer("Dan")).count, 0);
}

#[test]
fn an_erased_referrer_s_clicks_lead_to_nothing() {
    let app = App::start();
    let alice = app.developer("Alice");
    let reply = once(&app, FIREFOX, &format!("/r/{}", alice.code()));
    assert_eq!(alice.delete("/v1/developers/me").status, 200);
    assert_eq!(used(&app, "bob", None, kept(&reply).unwrap()), Value::Null);
    assert_eq!(cookie(&once(&app, CHROME, "/r/ALICE2026")), None);
    assert_eq!((rows(&app, "click"), rows(&app, "click_day")), (1, 1));
    app.advance_days(7);
    app.sweep();
    assert_eq!((rows(&app, "click"), rows(&app, "click_day")), (0, 1));
}
