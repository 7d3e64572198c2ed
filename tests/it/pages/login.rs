//! Accounts sign in, and out again.

use crate::harness::{App, DAY_MS, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, input, set_cookie, value_of};
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;
use serde_json::json;

const ALICE: &str = "alice@alice.example";

fn sessions(app: &App) -> String {
    app.sqlite3("SELECT count(*) FROM account_session").trim().to_owned()
}

/// Sends the sign-in form with more fields than the usual.
fn log_in_with(visitor: &Visitor, more: &[(&str, &str)]) -> Reply {
    let csrf = visitor.token();
    let fields = [&[("csrf", csrf.as_str()), ("email", ALICE), ("password", PASSWORD)], more].concat();
    visitor.send("POST", "/login", &[FORM], &encode(&fields))
}

#[test]
fn signing_in_and_out() {
    let app = App::start();
    app.developer("Alice");
    let visitor = Visitor::new(&app);
    assert!(!visitor.is_signed_in());
    let page = visitor.get("/login");
    assert_page(&page, 200);
    for (name, part) in [("password", "autocomplete=\"current-password\""), ("email", "autocomplete=\"username\"")] {
        assert!(input(&page, name).contains(part), "{name}");
    }
    assert!(page.body.contains("href=\"/signup\""));

    let reply = visitor.try_sign_in(" ALICE@Alice.example ", PASSWORD);
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/dashboard")));
    let (token, attributes) = set_cookie(&reply, "refloop_session").unwrap();
    assert_eq!(token.len(), 64, "256 bits");
    assert_eq!(attributes, ["HttpOnly", "Max-Age=1209600", "Path=/", "SameSite=Lax"]);
    let (device, attributes) = set_cookie(&reply, "refloop_device").unwrap();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=Lax"]);
    assert!(visitor.is_signed_in());
    let dump = app.dump();
    assert!(!dump.contains(&token) && !dump.contains(&device), "only a hash is kept");

    let reply = visitor.sign_out();
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/login")));
    assert_eq!(set_cookie(&reply, "refloop_session").unwrap().1[1], "Max-Age=0");
    assert_eq!(set_cookie(&reply, "refloop_device"), None, "the browser stays known");
    let page = visitor.get("/login");
    assert!(page.body.contains("You are signed out."), "{}", page.body);
    assert!(!visitor.get("/login").body.contains("You are signed out."), "it is said once");
    visitor.set_cookie("refloop_session", &token);
    assert!(!visitor.is_signed_in(), "the token itself has ended");
    assert_eq!(sessions(&app), "0");
    assert_eq!(visitor.sign_out().status, 303, "to sign out twice is no fault");
}

#[test]
fn over_tls_the_cookies_are_bound_to_the_host() {
    let app = App::start_with(|settings| settings.public_url = "https://api.example.com".into());
    app.developer("Alice");
    let visitor = Visitor::new(&app);
    let reply = visitor.try_sign_in(ALICE, PASSWORD);
    for (name, lasts) in [("session", "Max-Age=1209600"), ("device", "Max-Age=31536000")] {
        let (_, attributes) = set_cookie(&reply, &format!("__Host-refloop_{name}")).unwrap();
        assert_eq!(attributes, ["HttpOnly", lasts, "Path=/", "SameSite=Lax", "Secure"]);
    }
    assert!(visitor.is_signed_in());
    let (_, attributes) = set_cookie(&visitor.sign_out(), "__Host-refloop_done").unwrap();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=60", "Path=/", "SameSite=Lax", "Secure"]);
    let bare = Visitor::new(&app);
    let (token, _) = set_cookie(&visitor.try_sign_in(ALICE, PASSWORD), "__Host-refloop_session").unwrap();
    bare.set_cookie("refloop_session", &token);
    assert!(!bare.is_signed_in(), "a cookie that any neighbour could set is none");
}

#[test]
fn who_is_wrong_learns_nothing() {
    let app = App::start();
    app.developer("Alice");
    // Without a password: converted, and not signed up yet.
    app.change_program(|program| program["conversion"] = json!("convert"));
    let code = app.developer("Carol").code();
    let converted =
        app.anonymous().post("/api/referral/convert", json!({ "referralCode": code, "email": "bob@bob.example" }));
    assert_eq!(converted.status, 200, "{}", converted.body);
    let before = app.dump();
    let (long, longer) = ("x".repeat(129), "x".repeat(2_000));
    let mut answers = Vec::new();
    for (email, password) in [
        (ALICE, "wrong-password"),
        (ALICE, "SECURE-PASSWORD"),
        (ALICE, "secure-password "),
        (ALICE, ""),
        (ALICE, &long),
        (ALICE, &longer),
        ("bob@bob.example", PASSWORD),
        ("bob@bob.example", ""),
        ("no@example.com", PASSWORD),
        ("", PASSWORD),
        ("not an address", PASSWORD),
        ("alice@alice.example\0", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("\"><b>@example.com", PASSWORD),
    ] {
        let visitor = Visitor::new(&app);
        let reply = visitor.try_sign_in(email, password);
        assert_page(&reply, 401);
        assert!(reply.body.contains("The e-mail address or the password is wrong."), "{email} {password:.20}");
        assert!(reply.body.contains("<title>Error: Sign in"));
        assert!(!reply.body.contains("wrong-password") && !reply.body.contains("<b>"), "neither given back nor run");
        assert!(!visitor.is_signed_in());
        let names: Vec<_> = reply.headers.iter().map(|(name, _)| name.clone()).filter(|name| name != "date").collect();
        let page = reply.body.replace(&value_of(&reply, "csrf"), "a token");
        let typed = format!("type=\"email\" value=\"{}\"", value_of(&reply, "email"));
        answers.push((names, page.replace(&typed, "what was typed")));
    }
    answers.dedup_by_key(|(names, page)| (names.iter().filter(|name| *name != "content-length").count(), page.clone()));
    assert_eq!(answers.len(), 1, "they differ in nothing but what was typed");
    assert!(app.dump() == before);
    let reply = Visitor::new(&app).try_sign_in("me@example.com", "wrong-password");
    assert_eq!(value_of(&reply, "email"), "me@example.com");
    assert!(!input(&reply, "password").contains("value="));
}

#[test]
fn a_session_ends_after_fourteen_days_by_the_machine_s_clock() {
    let app = App::start();
    app.project("sandbox", Preset::Credits, "test");
    app.engine.set_project("sandbox", vec![(Setting::Host, "127.0.0.1".into())]).unwrap();
    app.developer("Alice");
    let visitor = Visitor::new(&app);
    visitor.sign_in(ALICE);
    let sandbox = app.engine.project_named("sandbox").unwrap();
    app.set_clock_ahead_ms(&sandbox, 30 * DAY_MS);
    assert!(visitor.is_signed_in(), "the project's own clock is not theirs");
    app.advance_ms(14 * DAY_MS - 1);
    assert!(visitor.is_signed_in());
    app.advance_ms(1);
    assert!(!visitor.is_signed_in());
    visitor.sign_in(ALICE);
    assert_eq!(sessions(&app), "1", "what has ended is forgotten");
    app.advance_days(-2);
    assert!(visitor.is_signed_in(), "a clock that is set back signs nobody out");
}

#[test]
fn signing_in_again_is_a_new_session_and_the_end_of_the_old_one() {
    let app = App::start();
    app.developer("Alice");
    app.developer("Bob");
    let (visitor, elsewhere) = (Visitor::new(&app), Visitor::new(&app));
    elsewhere.sign_in(ALICE);
    visitor.sign_in(ALICE);
    let first = visitor.cookie("refloop_session").unwrap();
    visitor.sign_in("bob@bob.example");
    assert_ne!(visitor.cookie("refloop_session").unwrap(), first);
    assert!(visitor.get("/account").body.contains("bob@bob.example"));
    let thief = Visitor::new(&app);
    thief.set_cookie("refloop_session", &first);
    assert!(!thief.is_signed_in());
    assert!(elsewhere.is_signed_in(), "another browser's session goes on");
    // A token that someone planted before does not become a good one.
    let planted = Visitor::new(&app);
    planted.set_cookie("refloop_session", &"0".repeat(64));
    planted.sign_in(ALICE);
    assert_ne!(planted.cookie("refloop_session").unwrap(), "0".repeat(64));
    // One that fails leaves the session as it is.
    assert_page(&visitor.try_sign_in("bob@bob.example", "wrong-password"), 401);
    assert!(visitor.is_signed_in());
}

#[test]
fn an_account_has_fifty_sessions_at_most() {
    let app = App::start();
    app.developer("Alice");
    let visitors: Vec<_> = (0..51).map(|_| Visitor::new(&app)).collect();
    for visitor in &visitors {
        visitor.sign_in(ALICE);
    }
    assert_eq!(sessions(&app), "50");
    let signed_in: Vec<_> = visitors.iter().map(Visitor::is_signed_in).collect();
    assert!(!signed_in[0] && signed_in[1..].iter().all(|signed_in| *signed_in), "the oldest goes");
}

#[test]
fn two_browsers_at_once_are_both_signed_in() {
    let app = App::start();
    app.developer("Alice");
    let app = &app;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let visitor = Visitor::new(app);
                visitor.sign_in(ALICE);
                assert!(visitor.is_signed_in());
            });
        }
    });
    assert_eq!(sessions(app), "2");
}

#[test]
fn the_sign_in_leads_on_to_our_own_pages_only() {
    let app = App::start();
    app.developer("Alice");
    let next = |next: &str| {
        let visitor = Visitor::new(&app);
        let query = encode(&[("next", next)]);
        let page = visitor.get(&format!("/login?{query}"));
        assert_page(&page, 200);
        let kept = value_of(&page, "next");
        let failed = log_in_with(&visitor, &[("next", next), ("extra", "1")]);
        let place = failed.header("Location").unwrap().to_owned();
        // Who is signed in already goes on at once.
        let again = visitor.get(&format!("/login?{query}"));
        assert_eq!((again.status, again.header("Location")), (303, Some(place.as_str())), "{next:?}");
        assert_eq!(kept, place, "{next:?}");
        place
    };
    for place in ["/account", "/dashboard", "/dashboard/referrals", "/dashboard/ledger", "/dashboard/keys"] {
        assert_eq!(next(place), place);
    }
    for elsewhere in [
        "",
        "//evil.example",
        "/\\evil.example",
        "/\\/evil.example",
        "https://evil.example/account",
        "javascript:alert(1)",
        "account",
        "/account?x=1",
        "/account/../logout",
        "/account\r\nSet-Cookie: a=b",
        "\t/account",
        "/account\0",
        "/logout",
        "/dashboardx",
    ] {
        assert_eq!(next(elsewhere), "/dashboard", "{elsewhere:?}");
    }
    // It survives a wrong password.
    let visitor = Visitor::new(&app);
    let reply = log_in_with(&visitor, &[("next", "/account"), ("password2", "")]);
    assert_eq!(reply.header("Location"), Some("/account"));
    let csrf = visitor.token();
    let wrong = [("csrf", csrf.as_str()), ("email", ALICE), ("password", "wrong"), ("next", "/account")];
    let reply = visitor.send("POST", "/login", &[FORM], &encode(&wrong));
    assert_page(&reply, 401);
    assert_eq!(value_of(&reply, "next"), "/account");
}

#[test]
fn who_comes_with_a_code_is_asked_to_sign_up_with_it() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let visitor = Visitor::new(&app);
    let page = visitor.get(&format!("/login?ref={}", code.to_lowercase()));
    assert_page(&page, 200);
    let invitation = format!("<a href=\"/signup?ref={code}\">Sign up with <code>{code}</code></a>");
    assert!(page.body.contains(&invitation) && page.body.contains("1,000 credits"), "{}", page.body);
    let csrf = visitor.token();
    let wrong = [("csrf", csrf.as_str()), ("email", ALICE), ("password", "wrong"), ("ref", &code)];
    let reply = visitor.send("POST", "/login", &[FORM], &encode(&wrong));
    assert_page(&reply, 401);
    assert!(reply.body.contains(&format!("href=\"/signup?ref={code}\"")), "the code is not lost: {}", reply.body);
    for odd in ["NOSUCHCODE", "x", "%22%3E%3Cscript%3E", "a%0d%0ab"] {
        let path = format!("/login?ref={odd}");
        let page = Visitor::new(&app).get(&path);
        assert_page(&page, 200);
        assert!(!page.body.contains("New here?"), "{odd}");
        assert!(visitor.get(&path).body.contains(&invitation), "{odd}: the code that is remembered");
    }
}

#[test]
fn a_session_of_one_project_is_none_of_another() {
    let app = App::start();
    app.project("acme", Preset::Credits, "live");
    app.engine.set_project("acme", vec![(Setting::Host, "acme.example".into())]).unwrap();
    app.developer("Alice");
    let visitor = Visitor::new(&app);
    visitor.sign_in(ALICE);
    let there = |method: &str, path: &str, body: &str| {
        visitor.send(method, path, &[("Host", "acme.example"), ("Accept", "text/html"), FORM], body)
    };
    let reply = there("GET", "/account", "");
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/login?next=/account")));
    assert_page(&there("GET", "/login", ""), 200);
    let csrf = visitor.token();
    let before = app.dump();
    let form =
        encode(&[("csrf", &csrf), ("form", "erase"), ("erase_confirmation", "ERASE"), ("erase_password", PASSWORD)]);
    assert_eq!(there("POST", "/account", &form).header("Location"), Some("/login?next=/account"));
    let form = encode(&[("csrf", &csrf), ("email", ALICE), ("password", PASSWORD)]);
    assert_page(&there("POST", "/login", &form), 401);
    assert!(app.dump() == before);
    assert!(visitor.is_signed_in());
}

#[test]
fn forms_are_taken_only_from_the_visitor_they_were_made_for() {
    let app = App::start();
    app.developer("Alice");
    let (visitor, other) = (Visitor::new(&app), Visitor::new(&app));
    let others = other.token();
    visitor.get("/login");
    for token in [None, Some(""), Some(others.as_str())] {
        let mut fields = vec![("email", ALICE), ("password", PASSWORD)];
        fields.extend(token.map(|token| ("csrf", token)));
        let reply = visitor.send("POST", "/login", &[FORM], &encode(&fields));
        assert_page(&reply, 403);
        assert!(reply.body.contains("href=\"/login\""), "{}", reply.body);
    }
    assert!(!visitor.is_signed_in(), "nobody is signed in as someone else without knowing");
    visitor.sign_in(ALICE);
    for fields in [vec![], vec![("csrf", others.as_str())]] {
        assert_page(&visitor.send("POST", "/logout", &[FORM], &encode(&fields)), 403);
        for form in ["profile", "password", "session", "others", "erase"] {
            let fields =
                [fields.clone(), vec![("form", form), ("name", "Eve"), ("erase_confirmation", "ERASE")]].concat();
            assert_page(&visitor.send("POST", "/account", &[FORM], &encode(&fields)), 403);
        }
    }
    assert!(visitor.is_signed_in());
    assert!(visitor.get("/account").body.contains("value=\"Alice\""));
}

#[test]
fn what_is_no_form_is_refused_as_a_page_and_odd_cookies_are_none() {
    let app = App::start();
    app.developer("Alice");
    let visitor = Visitor::new(&app);
    visitor.sign_in(ALICE);
    let before = app.dump();
    for path in ["/login", "/logout", "/account"] {
        for (kind, body, status) in [
            ("application/json", "{}".to_owned(), 415),
            ("text/plain", "csrf=x".into(), 415),
            ("application/x-www-form-urlencoded", "csrf=a&csrf=b".into(), 400),
            ("application/x-www-form-urlencoded", "csrf=%ff&email=%00&password=%".into(), 403),
            ("application/x-www-form-urlencoded", String::new(), 403),
            ("application/x-www-form-urlencoded", format!("csrf={}", "x".repeat(70_000)), 413),
        ] {
            assert_page(&visitor.send("POST", path, &[("Content-Type", kind)], &body), status);
        }
    }
    assert_page(&visitor.ask("nothing", &[]), 400);
    assert_page(&visitor.ask("", &[]), 400);
    for value in
        ["", "%00", "a b; refloop_session=c", "x", &"f".repeat(64), &"f".repeat(4_000), "\u{e9}", "..", "a.b.c"]
    {
        for name in ["refloop_session", "refloop_device", "refloop_done", "refloop_form"] {
            let cookie = format!("{name}={value}");
            let reply = app.anonymous().send("GET", "/account", &[("Cookie", &cookie)], Vec::new());
            assert_eq!(reply.status, 303, "{cookie:.60}");
            let reply = app.anonymous().send("GET", "/login", &[("Cookie", &cookie)], Vec::new());
            assert_page(&reply, 200);
        }
    }
    let stuffed = Visitor::new(&app);
    stuffed.set_cookie("refloop_device", &[&*"0".repeat(96), "x", "", "..", &"f".repeat(96)].join("."));
    stuffed.sign_in(ALICE);
    let megabyte = format!("refloop_session={}", "f".repeat(1 << 20));
    let answer = ureq::get(format!("{}/account", app.url)).header("Cookie", &megabyte).call();
    // A refusal, or a connection that is closed while it is still being sent; and it goes on serving.
    assert!(!matches!(&answer, Ok(_) | Err(ureq::Error::StatusCode(500..))), "{answer:?}");
    assert_eq!(visitor.sign_out().status, 303);
    stuffed.sign_out();
    assert!(before.contains("INSERT INTO account_session"));
}

#[test]
fn a_notice_cannot_be_made_by_others() {
    let app = App::start();
    app.developer("Alice");
    let (visitor, other) = (Visitor::new(&app), Visitor::new(&app));
    other.sign_in(ALICE);
    other.sign_out();
    let theirs = other.cookie("refloop_done").unwrap();
    visitor.get("/login");
    for value in ["signed-out", "erased", "", &theirs, "Call 555-0100"] {
        visitor.set_cookie("refloop_done", value);
        let page = visitor.get("/login?notice=signed-out&error=Call");
        assert_page(&page, 200);
        assert!(!page.body.contains("signed out") && !page.body.contains("Call"), "{value}");
        assert_eq!(visitor.get("/account/erased").header("Location"), Some("/login"), "{value}");
    }
}

#[test]
fn a_signup_shows_its_key_also_when_no_session_can_begin() {
    let app = App::start();
    let full = "CREATE TRIGGER full BEFORE INSERT ON account_session BEGIN SELECT RAISE(ABORT, 'full'); END";
    assert_eq!(app.sqlite3(full), "");
    let visitor = Visitor::new(&app);
    let page = visitor.sign_up_well("Bob", "bob@bob.example", "");
    assert_page(&page, 201);
    assert!(page.body.contains("id=\"api-key\">bw_live_"));
    assert!(page.body.contains("href=\"/login\">Sign in</a>") && !page.body.contains("Open your dashboard"));
    assert!(!visitor.is_signed_in());
    assert_eq!(app.sqlite3("DROP TRIGGER full"), "");
    visitor.sign_in("bob@bob.example");
}

#[test]
fn signing_up_on_the_page_signs_in() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    let page = visitor.sign_up_well("Bob", "bob@bob.example", "");
    assert_page(&page, 201);
    assert!(page.body.contains("<a class=\"button\" href=\"/dashboard\">Open your dashboard</a>"));
    assert!(set_cookie(&page, "refloop_session").is_some() && set_cookie(&page, "refloop_device").is_some());
    assert!(visitor.is_signed_in());
    assert_eq!(visitor.get("/login").header("Location"), Some("/dashboard"));

    // Who is signed in is told so, and may sign up someone else.
    let page = visitor.get("/signup");
    assert_page(&page, 200);
    assert!(page.body.contains("You are signed in as <strong>Bob</strong>"), "{}", page.body);
    let page = visitor.sign_up_well("Carol", "carol@carol.example", "");
    assert_page(&page, 201);
    assert!(page.body.contains("You are still signed in as <strong>Bob</strong>"), "{}", page.body);
    assert_eq!(set_cookie(&page, "refloop_session"), None);
    assert!(visitor.get("/account").body.contains("bob@bob.example"));
    assert_eq!(sessions(&app), "1");
    // The API signs nobody in.
    let reply = app.try_sign_up("dave@dave.example", None);
    assert!(reply.status == 201 && reply.header("set-cookie").is_none());
    Visitor::new(&app).sign_in("carol@carol.example");
}
