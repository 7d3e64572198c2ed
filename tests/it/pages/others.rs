//! What is there beside the signup form.

use crate::harness::App;
use crate::visitor::{Visitor, assert_page};

#[test]
fn the_front_door_leads_to_the_signup() {
    let app = App::start();
    let reply = app.anonymous().get("/");
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/signup")));
    assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"));
}

#[test]
fn a_code_at_the_front_door_is_taken_along() {
    let app = App::start();
    for (query, place) in [
        ("?ref=alice2026", "/signup?ref=ALICE2026"),
        ("?utm_source=x&ref=%20ALICE2026%20", "/signup?ref=ALICE2026"),
        ("?ref=", "/signup"),
        ("?ref=a%0d%0ab", "/signup"),
        ("?ref=//evil.example", "/signup"),
    ] {
        let reply = app.anonymous().get(&format!("/{query}"));
        assert_eq!((reply.status, reply.header("Location")), (303, Some(place)), "{query}");
    }
}

#[test]
fn what_is_not_there_is_a_page_for_people_and_a_problem_for_programs() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    for path in ["/nothing", "/dashboard/x", "/assets/nothing.css", "/signup/x", "/%ff"] {
        assert_page(&visitor.get(path), 404);
        assert_eq!(app.anonymous().get(path).problem(404), "not_found", "{path}");
    }
    for path in ["/v1/nothing", "/api/nothing"] {
        assert_eq!(visitor.get(path).problem(404), "not_found", "{path}");
    }
}

#[test]
fn the_operators_link_works_with_its_token_alone() {
    let app = App::start();
    let token = app.operator_token().to_owned();
    let visitor = Visitor::new(&app);
    let page = visitor.get(&format!("/admin/setup?token={token}"));
    assert_page(&page, 200);
    assert!(page.body.contains("You are the first operator"));
    for wrong in
        ["", "?token=", "?token=wrong", &format!("?token={}", &token[1..]), &format!("?token={token}0"), "?token=%00"]
    {
        assert_page(&visitor.get(&format!("/admin/setup{wrong}")), 404);
    }
    assert_page(&visitor.get(&format!("/admin/setup?token={token}&token={token}")), 400);
}

#[test]
fn a_code_has_a_picture_as_long_as_it_can_be_used() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    for spelling in [code.clone(), code.to_lowercase()] {
        let reply = app.anonymous().get(&format!("/qr/{spelling}.svg"));
        assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("image/svg+xml")));
        assert!(reply.body.contains("<svg") && !reply.body.contains("<script"));
        assert!(reply.header("Content-Security-Policy").unwrap().contains("default-src 'none'"));
    }
    let told = alice.post("/v1/developers/referral-code", serde_json::json!({})).json();
    assert_eq!(told["qr_url"], format!("{}/qr/{code}.svg", app.url));
    for path in ["/qr/NOSUCHCODE.svg", "/qr/x.svg", "/qr/.svg", "/qr/ALICE2026.png", "/qr/%00.svg"] {
        assert_eq!(app.anonymous().get(path).problem(404), "not_found", "{path}");
    }
    assert_eq!(alice.delete("/v1/developers/referral-code").status, 200);
    assert_eq!(app.anonymous().get(&format!("/qr/{code}.svg")).problem(404), "not_found");
}

#[test]
fn assets_are_asked_for_again_and_seldom_sent_again() {
    let app = App::start();
    for (path, media_type) in
        [("/assets/refloop.css", "text/css; charset=utf-8"), ("/assets/refloop.js", "text/javascript; charset=utf-8")]
    {
        let first = app.anonymous().get(path);
        assert_eq!((first.status, first.header("Content-Type")), (200, Some(media_type)));
        assert_eq!(first.header("Cache-Control"), Some("public, no-cache"));
        assert_eq!(first.header("X-Content-Type-Options"), Some("nosniff"));
        let tag = first.header("ETag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag}");
        let ask = |seen: &str| app.anonymous().send("GET", path, &[("If-None-Match", seen)], Vec::new());
        for seen in [tag.clone(), format!("W/{tag}"), format!("\"old\", {tag}"), "*".to_owned()] {
            let reply = ask(&seen);
            assert_eq!((reply.status, reply.body.as_str()), (304, ""), "{seen}");
            assert_eq!(reply.header("ETag"), Some(tag.as_str()), "{seen}");
        }
        for seen in ["\"old\"", tag.trim_matches('"'), ""] {
            assert_eq!(ask(seen).status, 200, "{seen}");
        }
        assert_eq!(app.anonymous().send("HEAD", path, &[], Vec::new()).header("ETag"), Some(tag.as_str()));
    }
}
