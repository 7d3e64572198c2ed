//! Whose dashboard it is.

use super::story::{MARKET, Member, market, text};
use crate::harness::{App, DAY_MS};
use crate::visitor::{FORM, Visitor, assert_page, encode};

const PAGES: [(&str, &str); 5] = [
    ("/dashboard", "/dashboard"),
    ("/dashboard/referrals", "/dashboard/referrals"),
    ("/dashboard/ledger", "/dashboard/ledger"),
    ("/dashboard/ledger.csv", "/dashboard/ledger"),
    ("/dashboard/keys", "/dashboard/keys"),
];
const FORMS: [(&str, &str); 4] = [
    ("/dashboard/code", "/dashboard"),
    ("/dashboard/confirm", "/dashboard"),
    ("/dashboard/keys", "/dashboard/keys"),
    ("/dashboard/keys/key_0000000000000/revoke", "/dashboard/keys"),
];

fn assert_sent_to_login(visitor: &Visitor, app: &App) {
    let before = app.dump();
    for (path, next) in PAGES {
        for method in ["GET", "HEAD"] {
            let reply = visitor.send(method, path, &[("Accept", "text/html")], "");
            let place = format!("/login?next={next}");
            assert_eq!((reply.status, reply.header("Location")), (303, Some(place.as_str())), "{method} {path}");
        }
    }
    for (path, next) in FORMS {
        let reply = visitor.send("POST", path, &[FORM], &encode(&[("name", "x")]));
        let place = format!("/login?next={next}");
        assert_eq!((reply.status, reply.header("Location")), (303, Some(place.as_str())), "POST {path}");
    }
    assert!(app.dump() == before, "who is not signed in changes nothing");
}

#[test]
fn who_is_not_signed_in_is_asked_to() {
    let app = App::start();
    assert_sent_to_login(&Visitor::new(&app), &app);
    let garbage = Visitor::new(&app);
    garbage.set_cookie("refloop_session", "x".repeat(3_000).as_str());
    assert_sent_to_login(&garbage, &app);
}

#[test]
fn a_session_that_has_ended_or_is_another_project_s_opens_nothing() {
    let app = App::start();
    market(&app);
    let alice = Member::new(&app, Some(MARKET), "Alice", "alice@alice.example", None);
    alice.page("/dashboard");
    // The same browser at the default project's host: the cookie is the market's.
    assert_sent_to_login(&alice.visitor, &app);
    alice.page("/dashboard");
    app.advance_ms(15 * DAY_MS);
    assert_eq!(alice.get("/dashboard").status, 303);
}

#[test]
fn an_erased_account_has_no_dashboard() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    assert_eq!(alice.client().delete("/v1/developers/me").status, 200);
    assert_eq!(alice.get("/dashboard").status, 303);
}

#[test]
fn a_form_without_its_visitor_s_token_changes_nothing() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let bob = Member::new(&app, None, "Bob", "bob@bob.example", None);
    let (token, others) = (alice.token(), bob.token());
    assert_ne!(token, others);
    let before = app.dump();
    for wrong in [None, Some(""), Some(others.as_str()), Some(&token[1..])] {
        let fields: Vec<_> = wrong.map(|token| ("csrf", token)).into_iter().collect();
        for (path, _) in FORMS {
            let refused = alice.post(path, &fields);
            assert_page(&refused, 403);
            assert!(refused.body.contains("This form has expired") && refused.body.contains("href=\"/dashboard\""));
        }
    }
    assert!(app.dump() == before);
    for (path, _) in FORMS {
        let reply = alice.visitor.send("POST", path, &[("Content-Type", "application/json")], "{}");
        assert_page(&reply, 415);
    }
}

#[test]
fn nobody_sees_or_changes_what_is_another_s() {
    let app = App::start();
    market(&app);
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    super::story::refer(&app, None, "Carol", &alice.code());
    let key = alice.client().post("/v1/developers/api-keys", serde_json::json!({ "name": "laptop" })).json();
    let key = key["id"].as_str().unwrap();
    let bob = Member::new(&app, None, "Bob", "bob@bob.example", None);
    let mallory = Member::new(&app, Some(MARKET), "Mallory", "m@mallory.example", None);
    for other in [&bob, &mallory] {
        for (path, _) in PAGES {
            let page = other.get(path);
            assert_eq!(page.status, 200, "{path}");
            for theirs in ["ALICE2026", "laptop", "carol.example", key] {
                assert!(!page.body.contains(theirs), "{path} shows {theirs}");
            }
        }
        let token = other.token();
        let before = app.dump();
        let refused = other.post(&format!("/dashboard/keys/{key}/revoke"), &[("csrf", &token)]);
        assert_page(&refused, 404);
        assert!(app.dump() == before, "{}", text(&refused.body));
    }
}

#[test]
fn what_a_query_cannot_be_is_said_on_a_page() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    for (path, status) in [
        ("/dashboard?days=0", 422),
        ("/dashboard?days=367", 422),
        ("/dashboard?days=x", 422),
        ("/dashboard?days=7&days=30", 400),
        ("/dashboard/referrals?status=new", 422),
        ("/dashboard/referrals?cursor=x", 422),
        ("/dashboard/ledger?cursor=x", 422),
        ("/dashboard/ledger?status=NEW", 422),
        ("/dashboard/ledger?from=2026-13-01", 422),
        ("/dashboard/ledger.csv?to=yesterday", 422),
    ] {
        let page = alice.get(path);
        assert_page(&page, status);
    }
    for path in ["/dashboard/code", "/dashboard/keys/key_0000000000000/revoke"] {
        assert_eq!(alice.get(path).status, 405, "{path}");
    }
}
