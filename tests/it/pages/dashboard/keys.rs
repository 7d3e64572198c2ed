//! API keys on the page.

use super::story::{Member, between, text};
use crate::harness::App;
use crate::visitor::assert_page;
use serde_json::Value;

const KEYS: &str = "/dashboard/keys";

fn ids(member: &Member) -> Vec<String> {
    let keys = member.api("/v1/developers/api-keys");
    keys["data"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_key_is_shown_once_and_works() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let made = alice.submit(KEYS, &[("name", " build <server> ")]);
    assert_page(&made, 201);
    let key = between(&made.body, "id=\"api-key\">", "<").to_owned();
    assert!(key.starts_with("bw_live_") && key.len() > 40, "{key}");
    assert!(made.body.contains("only time it is shown"));
    assert!(made.body.contains(&format!("curl {}/v1/developers/me", app.url)));
    assert!(text(&made.body).contains("build <server>") && !made.body.contains("<server>"));
    let me = app.anonymous().with_key(&key).get("/v1/developers/me").json();
    assert_eq!(me["id"], Value::from(alice.id.as_str()));

    let list = alice.page(KEYS);
    assert!(!list.body.contains(&key));
    let words = text(&list.body);
    for key in alice.api("/v1/developers/api-keys")["data"].as_array().unwrap() {
        assert!(words.contains(key["hint"].as_str().unwrap()), "{words}");
    }
    assert!(words.contains("build <server>") && words.contains("Unnamed key") && words.contains("Made 15 Jan 2026"));
    assert!(words.contains("not used yet"));
    app.sweep();
    assert!(text(&alice.page(KEYS).body).contains("last used 15 Jan 2026"));
}

#[test]
fn a_revoked_key_is_gone_and_the_last_one_stays() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let only = ids(&alice).remove(0);
    assert!(!alice.page(KEYS).body.contains("/revoke\""), "nothing to press where it would be refused");
    let refused = alice.submit(&format!("{KEYS}/{only}/revoke"), &[]);
    assert_page(&refused, 409);
    assert!(text(&refused.body).contains("This is your only key"), "{}", refused.body);

    assert_page(&alice.submit(KEYS, &[]), 201);
    let second = ids(&alice).into_iter().find(|id| *id != only).unwrap();
    assert!(alice.page(KEYS).body.contains(&format!("action=\"/dashboard/keys/{second}/revoke\"")));
    let reply = alice.submit(&format!("{KEYS}/{second}/revoke"), &[]);
    assert_eq!((reply.status, reply.header("Location")), (303, Some(KEYS)), "{}", reply.body);
    assert_page(&alice.submit(&format!("{KEYS}/{second}/revoke"), &[]), 404);
    assert_eq!(ids(&alice), [only]);
    for unknown in ["key_0000000000000", "x", "key_"] {
        assert_page(&alice.submit(&format!("{KEYS}/{unknown}/revoke"), &[]), 404);
    }
}

#[test]
fn twenty_are_the_most() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    for _ in 0..19 {
        assert_page(&alice.submit(KEYS, &[]), 201);
    }
    let page = alice.page(KEYS);
    assert!(text(&page.body).contains("You have 20 keys") && !page.body.contains("Make key<"));
    let refused = alice.submit(KEYS, &[]);
    assert_page(&refused, 409);
    assert!(text(&refused.body).contains("20 are the most"));
    assert_eq!(ids(&alice).len(), 20);
}

#[test]
fn a_name_that_cannot_be_is_said_beside_its_field() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    for name in ["x".repeat(101), "a\u{7}b".into(), "a\u{202e}b".into(), "a\nb".into()] {
        let refused = alice.submit(KEYS, &[("name", &name)]);
        assert_page(&refused, 422);
        assert!(crate::visitor::error_of(&refused, "name").is_some(), "{name:?}");
    }
    let refused = alice.submit(KEYS, &[("name", &"\"><i>".repeat(30))]);
    assert_page(&refused, 422);
    assert!(!refused.body.contains("<i>"));
    assert_eq!(ids(&alice).len(), 1);
}
