//! `/ref.js` for landing pages elsewhere, and the clicks that it reports. tests/it/browser.rs has it in a browser.

use super::{CHROME, FIREFOX, clicks, cookie, once, rows};
use crate::harness::{App, Reply};
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;
use refloop::web::Quota;
use serde_json::json;
use std::time::Duration;

fn report(app: &App, code: &str, headers: &[(&str, &str)]) -> Reply {
    app.anonymous().send("POST", &format!("/r/{code}"), headers, Vec::new())
}

#[test]
fn a_reported_click_counts_as_any_other() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let firefox = [("User-Agent", FIREFOX), ("Origin", "https://landing.example"), ("Sec-Fetch-Dest", "empty")];
    for (headers, code, status, counted) in [
        (&firefox[..], code.as_str(), 204, 1),
        (&firefox[..], &code.to_lowercase(), 204, 1),
        (&[("User-Agent", CHROME)], &code, 204, 2),
        (&[("User-Agent", "curl/8.5.0")], &code, 204, 2),
        (&[("User-Agent", "Another"), ("Sec-Purpose", "prefetch;prerender")], &code, 204, 2),
        (&[("User-Agent", "Another")], "PRODUCTHUNT", 404, 2),
        (&[("User-Agent", "Another")], "x", 404, 2),
    ] {
        let reply = report(&app, code, headers);
        assert_eq!(reply.status, status, "{code} {headers:?}");
        assert!(status == 404 || reply.body.is_empty(), "it says nothing of what it did");
        assert_eq!(reply.header("Cross-Origin-Resource-Policy"), Some("cross-origin"));
        assert_eq!(reply.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(reply.header("Access-Control-Allow-Credentials"), None);
        assert_eq!((cookie(&reply), clicks(&alice)), (None, counted), "{code} {headers:?}");
    }
    once(&app, CHROME, &format!("/r/{code}"));
    assert_eq!(clicks(&alice), 2, "the link and the report of where it leads count once");
    alice.delete("/v1/developers/referral-code");
    assert_eq!((report(&app, &code, &firefox).status, clicks(&alice)), (404, 2), "a code that can be used no more");
}

#[test]
fn beyond_the_limit_a_link_leads_on_and_is_not_counted() {
    let app = App::start_with(|settings| settings.limits.public = Quota::new(4, Duration::from_secs(60)));
    // The signup is the first.
    let code = app.developer("Alice").code();
    let statuses: Vec<u16> = (0..5).map(|n| report(&app, &code, &[("User-Agent", &format!("B{n}"))]).status).collect();
    assert_eq!((statuses, rows(&app, "click")), (vec![204, 204, 204, 429, 429], 3));
    let refused = report(&app, &code, &[("User-Agent", "B8")]);
    assert_eq!(refused.header("Access-Control-Allow-Origin"), Some("*"), "the script can read that too");
    for (path, place) in [("/r/$", "/signup?ref=$"), ("/?ref=$", "/signup?ref=$"), ("/r/x", "/signup")] {
        let reply = once(&app, "B9", &path.replace('$', &code));
        assert_eq!((reply.status, reply.header("Location")), (303, Some(place.replace('$', &code).as_str())), "{path}");
        assert_eq!((cookie(&reply), rows(&app, "click")), (None, 3));
    }
    assert_eq!(app.anonymous().send("GET", "/ref.js", &[], Vec::new()).status, 200);
    assert_eq!(once(&app, "B9", "/signup").status, 429, "pages are limited");
}

#[test]
fn the_script_is_small_and_any_page_can_load_it() {
    let app = App::start();
    app.project("acme", Preset::Credits, "live");
    app.engine.set_project("acme", vec![(Setting::Host, "acme.example".into())]).unwrap();
    let get = |headers: &[(&str, &str)]| app.anonymous().send("GET", "/ref.js", headers, Vec::new());
    let script = get(&[]);
    assert_eq!(script.status, 200);
    assert!(script.body.len() < 2_048, "{} bytes", script.body.len());
    for (name, value) in [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("Access-Control-Allow-Origin", "*"),
        ("Cache-Control", "public, max-age=300"),
        ("X-Content-Type-Options", "nosniff"),
    ] {
        assert_eq!(script.header(name), Some(value), "{name}");
    }
    assert!(
        !script.body.contains("$DAYS") && !script.body.contains("$FIRST") && script.body.contains("7 * 864e5"),
        "{}",
        script.body
    );
    let tag = script.header("ETag").unwrap();
    let again = get(&[("If-None-Match", tag)]);
    assert_eq!((again.status, again.body.as_str(), again.header("ETag")), (304, "", Some(tag)));

    // Another window or model is another script; the other project's stays as it is.
    app.change_program(|program| program["attribution"] = json!({ "window_days": 36_500, "click": "first" }));
    let changed = get(&[("If-None-Match", tag)]);
    assert_eq!(changed.status, 200);
    assert!(changed.body.contains("36500 * 864e5") && changed.body.len() < 2_048, "{}", changed.body);
    assert_eq!(get(&[("Host", "acme.example")]).body, script.body);
}
