//! A form is taken only from the visitor it was made for.

use crate::harness::{App, PASSWORD};
use crate::visitor::{Visitor, assert_page};

fn signed(token: Option<&str>) -> Vec<(&str, &str)> {
    let mut fields = vec![("name", "Bob"), ("email", "bob@bob.example"), ("password", PASSWORD)];
    fields.push(("referral_code", "alice2026"));
    fields.extend(token.map(|token| ("csrf", token)));
    fields
}

#[test]
fn a_form_without_its_visitors_token_is_403() {
    let app = App::start();
    app.developer("Alice").code();
    let (visitor, other) = (Visitor::new(&app), Visitor::new(&app));
    let (token, others) = (visitor.token(), other.token());
    assert_ne!(token, others);
    let upper = token.to_uppercase();
    for wrong in [None, Some(""), Some("wrong"), Some(others.as_str()), Some(&token[1..]), Some(&upper)] {
        let refused = visitor.post(&signed(wrong));
        assert_page(&refused, 403);
        assert!(refused.body.contains("This form has expired"), "{wrong:?}");
        // The way back keeps the code, and the page is the project's.
        assert!(refused.body.contains("href=\"/signup?ref=ALICE2026\""), "{}", refused.body);
        assert!(refused.body.contains("Developer API"));
    }
    // A token without the cookie it belongs to.
    assert_page(&Visitor::new(&app).post(&signed(Some(&token))), 403);
    assert_eq!(app.sqlite3("SELECT count(*) FROM account").trim(), "1");
    assert_page(&visitor.post(&signed(Some(&token))), 201);
}

#[test]
fn the_cookie_is_the_visitors_alone() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    let cookie = visitor.get("/signup").header("set-cookie").unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    assert_eq!((name, value.len()), ("refloop_form", 32));
    let mut attributes: Vec<&str> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax"]);
    assert_eq!(visitor.get("/signup").header("set-cookie"), None, "one is enough");
}

#[test]
fn over_tls_the_cookie_is_bound_to_the_host() {
    let app = App::start_with(|settings| settings.public_url = "https://api.example.com".into());
    let visitor = Visitor::new(&app);
    let cookie = visitor.get("/signup").header("set-cookie").unwrap().to_owned();
    let mut parts: Vec<&str> = cookie.split("; ").collect();
    assert!(parts.remove(0).starts_with("__Host-refloop_form="), "{cookie}");
    parts.sort_unstable();
    assert_eq!(parts, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    let page = visitor.sign_up_well("Bob", "bob@bob.example", "");
    assert_page(&page, 201);
    assert!(page.body.contains("curl https://api.example.com/v1/developers/me"));
}
