//! What counts as a click, and whose it is.

use super::{CHROME, COOKIE, FIREFOX, clicks, cookie, kept, once, open, rows};
use crate::harness::{App, DAY_MS};
use crate::visitor::{FORM, Visitor, assert_page, encode};
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;
use serde_json::json;

fn app_with_landing(url: &str) -> App {
    let app = App::start();
    app.engine.set_project("default", vec![(Setting::LandingUrl, url.into())]).unwrap();
    app
}

#[test]
fn a_link_leads_to_the_landing_page_else_to_the_signup() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let leads = |app: &App, path: &str| {
        let reply = once(app, FIREFOX, path);
        assert_eq!((reply.status, reply.header("Cache-Control")), (303, Some("no-store")), "{path}");
        reply.header("Location").unwrap().to_owned()
    };
    assert_eq!(leads(&app, &format!("/r/{code}")), format!("/signup?ref={code}"));
    assert_eq!(leads(&app, &format!("/r/{}", code.to_lowercase())), format!("/signup?ref={code}"));
    assert_eq!(leads(&app, "/r/NOBODYS"), "/signup?ref=NOBODYS");
    for path in ["/r/x", "/r/%00", "/r/%ff", "/r/%", "/r/ALICE-2026", &format!("/r/{}", "A".repeat(5_000))] {
        assert_eq!(leads(&app, path), "/signup", "{path:.20}");
    }
    assert_eq!(leads(&app, &format!("/?ref={code}")), format!("/signup?ref={code}"));
    assert_eq!(leads(&app, "/"), "/signup");
    let app = app_with_landing("https://acme.example/start?from=friend&ref=home#top");
    let code = app.developer("Alice").code();
    assert_eq!(leads(&app, &format!("/r/{code}")), format!("https://acme.example/start?from=friend&ref={code}#top"));
    assert_eq!(leads(&app, "/r/x"), "https://acme.example/start?from=friend&ref=home#top");
    assert_eq!(leads(&app, &format!("/?ref={code}")), format!("/signup?ref={code}"), "who asks for refloop gets it");
}

#[test]
fn once_for_a_visitor_however_they_come() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let visitor = Visitor::new(&app);
    for path in ["/r/$", "/signup?ref=$", "/?ref=$", "/login?ref=$", "/r/$"] {
        open(&visitor, FIREFOX, &path.replace('$', &code));
        assert_eq!(clicks(&alice), 1, "{path}");
    }
    once(&app, FIREFOX, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 1, "the same network and browser, also without the cookie");
    open(&visitor, CHROME, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 1, "the same cookie, also under another name");
    once(&app, CHROME, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 1, "who was seen with the cookie today is known by network and browser as well");
    once(&app, "Another", &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 2, "another browser");
    let bob = app.developer("Bob");
    open(&visitor, FIREFOX, &format!("/r/{}", bob.code()));
    assert_eq!((clicks(&alice), clicks(&bob)), (2, 1), "the same visitor with another code");

    // On another day nothing but the cookie tells who it is.
    app.advance_days(1);
    open(&visitor, FIREFOX, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 2);
    once(&app, FIREFOX, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 2);
    once(&app, CHROME, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 3);
    let series = alice.stats()["series"].as_array().unwrap().clone();
    let days: Vec<i64> = series.iter().rev().take(2).map(|day| day["clicks"].as_i64().unwrap()).collect();
    assert_eq!(days, [1, 2], "today, yesterday");
}

#[test]
fn a_link_and_its_landing_page_s_report_are_one_visit() {
    let app = app_with_landing("https://acme.example/");
    let (alice, bob) = (app.developer("Alice"), app.developer("Bob"));
    let report = |agent: &str, code: &str| {
        let reply = app.anonymous().send("POST", &format!("/r/{code}"), &[("User-Agent", agent)], Vec::new());
        assert_eq!(reply.status, 204, "{}", reply.body);
    };
    // A cookie of another day, and of another browser, as it is of another network.
    let visitor = Visitor::new(&app);
    open(&visitor, FIREFOX, &format!("/r/{}", alice.code()));
    app.advance_days(1);
    for (agent, developer) in [(FIREFOX, &bob), (FIREFOX, &alice), (CHROME, &alice)] {
        open(&visitor, agent, &format!("/r/{}", developer.code()));
        report(agent, &developer.code());
        assert_eq!((clicks(developer), clicks(&alice)), (1, 1), "{agent}");
    }
    let unsigned = app.sqlite3("SELECT count(*) FROM click WHERE signed_up = 0");
    assert_eq!(unsigned.trim(), "2", "it is one visitor of each");
    report("Another", &bob.code());
    assert_eq!(clicks(&bob), 2, "somebody else's visit");

    // One's own link, while one is signed in.
    let owner = Visitor::new(&app);
    owner.sign_in("alice@alice.example");
    assert_eq!(cookie(&open(&owner, "Alice's", &format!("/r/{}", alice.code()))), None);
    report("Alice's", &alice.code());
    assert_eq!(clicks(&alice), 1);

    // Marks are not counted, but there is an end to them, too.
    app.sqlite3("UPDATE project_click_day SET marks = 199999");
    let marks = || rows(&app, "click");
    let before = marks();
    for agent in ["Third", "Fourth", "Fifth"] {
        open(&visitor, agent, &format!("/r/{}", alice.code()));
    }
    assert_eq!((marks(), clicks(&alice)), (before + 1, 1));
}

#[test]
fn each_page_with_a_code_counts() {
    let app = App::start();
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
    let alice = app.developer("Alice");
    let code = alice.code();
    for (count, path) in (1..).zip(["/", "/signup", "/login", "/r/$"]) {
        let path = if path == "/r/$" { format!("/r/{code}") } else { format!("{path}?ref={code}") };
        let reply = once(&app, &format!("{FIREFOX} {count}"), &path);
        assert!(cookie(&reply).is_some(), "{path}");
        assert_eq!(clicks(&alice), count, "{path}");
    }
    for path in ["/healthz", "/v1/leaderboard", "/assets/refloop.css", "/qr/ALICE2026.svg", "/nothing", "/logout"] {
        let reply = once(&app, CHROME, &format!("{path}?ref={code}"));
        assert_eq!((cookie(&reply), clicks(&alice)), (None, 4), "{path} is no page");
    }
}

#[test]
fn what_is_not_a_visit_does_not_count() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let bare = |method: &str, headers: &[(&str, &str)], path: &str| {
        let mut all = vec![("Accept", "text/html")];
        all.extend_from_slice(headers);
        Visitor::new(&app).send(method, path, &all, "")
    };
    let agent = ("User-Agent", FIREFOX);
    let cases: [(&str, &[(&str, &str)]); 17] = [
        ("HEAD", &[agent]),
        ("GET", &[agent, ("Sec-Purpose", "prefetch")]),
        ("GET", &[agent, ("Sec-Purpose", "prefetch;prerender")]),
        ("GET", &[agent, ("Purpose", "prefetch")]),
        ("GET", &[agent, ("X-Purpose", "preview")]),
        ("GET", &[agent, ("X-Moz", "prefetch")]),
        ("GET", &[agent, ("Sec-Fetch-Dest", "image")]),
        ("GET", &[agent, ("Sec-Fetch-Dest", "iframe")]),
        ("GET", &[("User-Agent", "")]),
        ("GET", &[("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")]),
        ("GET", &[("User-Agent", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)")]),
        ("GET", &[("User-Agent", "facebookexternalhit/1.1")]),
        ("GET", &[("User-Agent", "LinkedInBot/1.0")]),
        ("GET", &[("User-Agent", "TelegramBot (like TwitterBot)")]),
        ("GET", &[("User-Agent", "WhatsApp/2.23.20.0")]),
        ("GET", &[("User-Agent", "curl/8.5.0")]),
        ("GET", &[("User-Agent", "python-requests/2.32.0")]),
    ];
    for (method, headers) in cases {
        for path in [format!("/r/{code}"), format!("/signup?ref={code}")] {
            let reply = bare(method, headers, &path);
            assert!(reply.status < 400, "the answer is the same: {} {headers:?}", reply.status);
            assert_eq!((cookie(&reply), rows(&app, "click")), (None, 0), "{method} {path} {headers:?}");
        }
    }
    assert!(cookie(&bare("GET", &[agent, ("Sec-Fetch-Dest", "document")], &format!("/r/{code}"))).is_some());
    assert_eq!(clicks(&alice), 1);
}

#[test]
fn codes_that_cannot_be_used_lead_on_and_count_nothing() {
    let app = App::start();
    let (alice, bob, carol) = (app.developer("Alice"), app.developer("Bob"), app.developer("Carol"));
    let revoked = alice.code();
    alice.delete("/v1/developers/referral-code");
    let used_up = bob.post("/v1/developers/referral-code", json!({ "max_uses": 1 }));
    let used_up = used_up.json()["referral_code"].as_str().unwrap().to_owned();
    app.referee("Dan", &used_up);
    let erased = carol.code();
    assert_eq!(carol.delete("/v1/developers/me").status, 200);
    for code in ["NOBODYS", &revoked, &used_up, &erased] {
        for path in [format!("/r/{code}"), format!("/signup?ref={code}")] {
            let reply = once(&app, FIREFOX, &path);
            assert!(reply.status < 400 && cookie(&reply).is_none(), "{path}");
        }
    }
    let good = app.developer("Erin").code();
    app.change_program(|program| program["enabled"] = json!(false));
    assert!(cookie(&once(&app, FIREFOX, &format!("/r/{good}"))).is_none(), "a program that is off");
    assert_eq!((rows(&app, "click"), rows(&app, "click_day")), (0, 0));
}

#[test]
fn one_s_own_click_does_not_count_while_one_is_signed_in() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let visitor = Visitor::new(&app);
    let token = visitor.token();
    let fields = [("csrf", token.as_str()), ("email", "alice@alice.example"), ("password", crate::harness::PASSWORD)];
    assert_eq!(visitor.send("POST", "/login", &[FORM], &encode(&fields)).status, 303);
    assert_eq!(cookie(&open(&visitor, FIREFOX, &format!("/r/{code}"))), None);
    assert_eq!(clicks(&alice), 0);
    let bobs = app.developer("Bob");
    assert!(cookie(&open(&visitor, FIREFOX, &format!("/r/{}", bobs.code()))).is_some(), "somebody else's does");
    assert_eq!(clicks(&bobs), 1);
}

#[test]
fn the_cookie_is_the_visitor_s_alone() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let reply = once(&app, FIREFOX, &format!("/signup?ref={code}"));
    assert_page(&reply, 200);
    let set = cookie(&reply).unwrap();
    assert!(set.starts_with(&format!("{COOKIE}={code}.")), "{set}");
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=604800"] {
        assert!(set.contains(attribute), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains("Domain"), "{set}");
    let app = App::start_with(|settings| settings.public_url = "https://refer.acme.example".into());
    app.change_program(|program| program["attribution"]["window_days"] = json!(30));
    let code = app.developer("Alice").code();
    let reply = once(&app, FIREFOX, &format!("/r/{code}"));
    let set = cookie(&reply).unwrap();
    assert!(set.starts_with(&format!("__Host-{COOKIE}={code}.")), "{set}");
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/", "; Max-Age=2592000"] {
        assert!(set.contains(attribute), "{set}");
    }
}

#[test]
fn nobody_is_kept_and_nobody_can_be_told() {
    let app = App::start_with(|settings| {
        settings.trusted_proxies = refloop::web::TrustedProxies::parse("127.0.0.1").unwrap();
    });
    let alice = app.developer("Alice");
    let code = alice.code();
    let from = |address: &str| {
        let headers = [("User-Agent", FIREFOX), ("X-Forwarded-For", address)];
        Visitor::new(&app).send("GET", &format!("/r/{code}"), &headers, "")
    };
    for (address, counted) in [
        ("198.51.100.77", 1),
        ("198.51.100.78", 2),
        ("2001:db8:1:2::3", 3),
        ("2001:db8:1:2:ffff::9", 3),
        ("2001:db8:1:3::3", 4),
    ] {
        from(address);
        assert_eq!(clicks(&alice), counted, "{address}: one subscriber has a whole /64");
    }
    let dump = app.dump();
    for personal in ["198.51.100", "2001:db8", "rv:140", "Gecko"] {
        assert!(!dump.contains(personal), "{personal} is in the file");
    }
    let key = || app.sqlite3("SELECT hex(visitor_key) || visitor_key_day FROM instance").trim().to_owned();
    let first = key();
    assert!(first.len() > 64, "{first}");
    from("198.51.100.79");
    assert_eq!(key(), first);
    app.advance_days(1);
    app.sweep();
    assert_eq!(key(), "", "yesterday's key is thrown away");
    from("198.51.100.79");
    assert!(key().len() > 64 && key()[..64] != first[..64]);
    app.sweep();
    let raw = hex::decode(&first[..64]).unwrap();
    for file in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{file}", app.db().display())).unwrap_or_default();
        assert!(!bytes.windows(32).any(|window| window == raw), "it is still in refloop.db{file}");
    }
}

#[test]
fn each_project_has_clicks_of_its_own() {
    let app = App::start();
    app.project("acme", Preset::Credits, "live");
    app.engine.set_project("acme", vec![(Setting::Host, "acme.example".into())]).unwrap();
    let alice = app.developer("Alice");
    let code = alice.code();
    let elsewhere = |visitor: &Visitor| {
        let headers = [("Host", "acme.example"), ("User-Agent", FIREFOX)];
        visitor.send("GET", &format!("/r/{code}"), &headers, "")
    };
    assert_eq!(cookie(&elsewhere(&Visitor::new(&app))), None, "the other project has no such code");
    assert_eq!(clicks(&alice), 0);
    let reply = once(&app, FIREFOX, &format!("/r/{code}"));
    assert!(kept(&reply).is_some());
    assert_eq!(clicks(&alice), 1);
}

#[test]
fn figures_are_those_of_the_tables() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    for day in 0..3 {
        for browser in 0..=day {
            once(&app, &format!("{FIREFOX} {browser}"), &format!("/r/{code}"));
            assert_eq!(
                clicks(&alice),
                day * (day + 1) / 2 + browser + 1,
                "at once, although figures are kept in memory"
            );
        }
        app.advance_ms(DAY_MS);
    }
    let stats = alice.stats();
    let series = stats["series"].as_array().unwrap();
    let sum: i64 = series.iter().map(|day| day["clicks"].as_i64().unwrap()).sum();
    assert_eq!((sum, rows(&app, "click")), (6, 6));
    assert_eq!(app.sqlite3("SELECT sum(clicks) FROM click_day; SELECT sum(clicks) FROM project_click_day"), "6\n6\n");
    assert_eq!(alice.get("/v1/developers/referral-stats?days=1").json()["total_clicks"], 6, "of all time");
}
