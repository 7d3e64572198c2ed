//! The signup form and what it answers.

use crate::harness::{App, PASSWORD, no_limits};
use crate::visitor::{FORM, Visitor, assert_page, encode, error_of, input, value_of};
use refloop::web::Quota;
use std::time::Duration;

#[test]
fn a_shared_link_shows_the_bonus_before_the_fields_and_the_code_in_upper_case() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let page = Visitor::new(&app).get(&format!("/signup?ref={}", code.to_lowercase()));
    assert_page(&page, 200);
    assert_eq!(value_of(&page, "referral_code"), "ALICE2026");
    let at = |text: &str| page.body.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(at("1,000 credits") < at("<form"));
    assert!(at("<code>ALICE2026</code>") < at("<form"));
    assert!(!page.body.contains("role=\"alert\""));
}

#[test]
fn without_a_code_the_page_says_what_one_would_bring() {
    let app = App::start();
    for path in ["/signup", "/signup?ref=", "/signup?other=1"] {
        let page = Visitor::new(&app).get(path);
        assert_page(&page, 200);
        assert_eq!(value_of(&page, "referral_code"), "", "{path}");
        assert!(page.body.contains("Have a referral code?"), "{path}");
    }
}

#[test]
fn a_code_that_cannot_be_used_is_said_to_be_so_and_promises_nothing_more() {
    let app = App::start();
    let alice = app.developer("Alice");
    alice.code();
    assert_eq!(alice.delete("/v1/developers/referral-code").status, 200);
    for (query, shown) in [
        ("NOSUCHCODE", "NOSUCHCODE"),
        ("alice2026", "ALICE2026"),
        ("a-b", "a-b"),
        ("ALICE2026%", "ALICE2026%"),
        ("%C3%84X%00%E2%80%AEY", "XY"),
    ] {
        let page = Visitor::new(&app).get(&format!("/signup?ref={query}"));
        assert_page(&page, 200);
        assert!(page.body.contains("We cannot use the referral code"), "{query}");
        assert!(page.body.contains(shown), "{query}");
        assert!(!page.body.contains("Sign up with <code>"), "{query}");
    }
    let long = Visitor::new(&app).get(&format!("/signup?ref={}", "X".repeat(5_000)));
    assert_page(&long, 200);
    assert_eq!(value_of(&long, "referral_code"), "X".repeat(20));
}

#[test]
fn a_program_that_is_off_promises_nothing() {
    let app = App::start();
    let code = app.developer("Alice").code();
    app.change_program(|program| program["enabled"] = false.into());
    for path in ["/signup".to_owned(), format!("/signup?ref={code}")] {
        let page = Visitor::new(&app).get(&path);
        assert_page(&page, 200);
        assert!(!page.body.contains("1,000 credits"), "{path}");
    }
}

#[test]
fn what_is_typed_is_escaped_wherever_it_is_shown() {
    let app = App::start();
    let evil = "\"><script>alert('x')</script><b a='";
    let visitor = Visitor::new(&app);
    let by_link = visitor.get(&format!("/signup?{}", encode(&[("ref", "\"><script>1</script>")])));
    assert_page(&by_link, 200);
    assert!(!by_link.body.contains("<script>"));

    let back = visitor.sign_up(evil, evil, "short", evil);
    assert_page(&back, 422);
    assert!(!back.body.contains("<script>") && !back.body.contains("<b a="));
    for field in ["name", "email"] {
        assert!(value_of(&back, field).starts_with("&#34;&#62;&#60;script&#62;alert("), "{field}");
    }

    let welcome = visitor.sign_up_well("<b>Bob</b> & \"Co\"", "bob@bob.example", "");
    assert_page(&welcome, 201);
    assert!(welcome.body.contains("Welcome, &#60;b&#62;Bob&#60;/b&#62; &#38; &#34;Co&#34;"), "{}", welcome.body);
    assert!(!welcome.body.contains("<b>"));
}

#[test]
fn errors_stand_beside_their_fields_and_what_was_typed_is_kept() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    let back = visitor.sign_up("  ", "bob-at-nowhere", "short-1", "NOSUCH-CODE");
    assert_page(&back, 422);
    for field in ["name", "email", "password", "referral_code"] {
        let message = error_of(&back, field).unwrap_or_else(|| panic!("no error beside {field}"));
        assert!(back.body.contains(&format!("<a href=\"#{field}\">{message}</a>")), "{field} in the summary");
    }
    assert_eq!(value_of(&back, "email"), "bob-at-nowhere");
    assert!(!back.body.contains("short-1"));
    assert!(!input(&back, "password").contains(" value="));
    assert!(back.body.contains("<title>Error: Sign up"));

    let back = visitor.sign_up_well("Bob", "bob@bob.example", "NOSUCHCODE");
    assert_page(&back, 422);
    assert_eq!(error_of(&back, "referral_code").as_deref(), Some("There is no such referral code."));
    assert_eq!((error_of(&back, "name"), error_of(&back, "email"), error_of(&back, "password")), (None, None, None));
    let kept = ["name", "email", "referral_code"].map(|field| value_of(&back, field));
    assert_eq!(kept, ["Bob", "bob@bob.example", "NOSUCHCODE"]);
    assert!(!back.body.contains(PASSWORD));
    assert_eq!(app.sqlite3("SELECT count(*) FROM account").trim(), "0");
}

#[test]
fn every_field_refuses_what_it_cannot_hold() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    let token = visitor.token();
    let long = "x".repeat(300);
    for field in ["name", "email", "password", "referral_code"] {
        for value in ["a\0bcdefgh", "abcd\u{7}efgh", "abcd\u{202e}efgh", "abcd\nefgh", long.as_str()] {
            let good = [("name", "Bob"), ("email", "bob@bob.example"), ("password", PASSWORD), ("referral_code", "")];
            let mut fields = good.map(|(name, text)| (name, if name == field { value } else { text })).to_vec();
            fields.push(("csrf", &token));
            let back = visitor.post(&fields);
            assert_page(&back, 422);
            assert!(error_of(&back, field).is_some(), "{field} {value:?}");
        }
    }
    assert_eq!(app.sqlite3("SELECT count(*) FROM account").trim(), "0");
}

#[test]
fn a_good_form_shows_the_key_once() {
    let app = App::start();
    let code = app.developer("Alice").code();
    let visitor = Visitor::new(&app);
    let page = visitor.sign_up_well("Bob", "bob@bob.example", &code.to_lowercase());
    assert_page(&page, 201);
    let (_, after) = page.body.split_once("id=\"api-key\">").unwrap();
    let key = after.split_once('<').unwrap().0;
    assert!(key.starts_with("bw_live_") && key.len() > 40, "{key}");
    assert!(page.body.contains("only time it is shown"));
    assert!(page.body.contains("Your account starts with <strong>1,000 credits</strong>"));
    assert!(page.body.contains(&format!("curl {}/v1/developers/me", app.url)));
    let me = app.anonymous().with_key(key).get("/v1/developers/me").json();
    assert_eq!((&me["email"], &me["referral_credits_balance"]), (&"bob@bob.example".into(), &1_000.into()));

    // The same form once more: nothing new, and no second look at the key.
    let again = visitor.sign_up_well("Bob", "bob@bob.example", &code);
    assert_page(&again, 409);
    assert_eq!(error_of(&again, "email").as_deref(), Some("An account with this e-mail address exists."));
    assert_eq!(value_of(&again, "email"), "bob@bob.example");
    assert!(!again.body.contains("bw_live_"));
}

#[test]
fn without_a_code_there_is_a_key_and_no_bonus() {
    let app = App::start();
    let page = Visitor::new(&app).sign_up_well("Bob", "bob@bob.example", "  ");
    assert_page(&page, 201);
    assert!(page.body.contains("id=\"api-key\"") && !page.body.contains("class=\"bonus"));
}

#[test]
fn a_rejected_referral_is_explained_and_the_account_is_made() {
    let app = App::start();
    let code = app.sign_up("Alice", "alice@corp.example", None).code();
    let page = Visitor::new(&app).sign_up_well("Bob", "bob@corp.example", &code);
    assert_page(&page, 201);
    assert!(page.body.contains("Your account is ready, but no bonus was credited."), "{}", page.body);
    assert!(page.body.contains("id=\"api-key\"") && !page.body.contains("1,000 credits"));
}

#[test]
fn what_is_no_form_is_refused_as_a_page() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    let token = visitor.token();
    let good = encode(&[("csrf", &token), ("name", "Bob"), ("email", "bob@bob.example"), ("password", PASSWORD)]);
    for media_type in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
        assert_page(&visitor.send("POST", "/signup", &[("Content-Type", media_type)], &good), 415);
    }
    assert_page(&visitor.send("POST", "/signup", &[], &good), 415);
    let twice = format!("{good}&name=Eve");
    assert_page(&visitor.send("POST", "/signup", &[FORM], &twice), 400);
    let large = format!("{good}&pad={}", "x".repeat(64 * 1024));
    assert_page(&visitor.send("POST", "/signup", &[FORM], &large), 413);
    assert_eq!(app.sqlite3("SELECT count(*) FROM account").trim(), "0");

    let reply = app.anonymous().send("POST", "/signup", &[FORM], b"csrf=\xff".to_vec());
    assert_page(&reply, 400);
}

#[test]
fn too_many_signups_are_told_so_on_a_page() {
    let app = App::start_with(|settings| {
        settings.limits = no_limits();
        settings.limits.signup = Quota::new(1, Duration::from_secs(3_600));
    });
    let visitor = Visitor::new(&app);
    assert_page(&visitor.sign_up("", "", "", ""), 422);
    let refused = visitor.sign_up_well("Bob", "bob@bob.example", "");
    assert_page(&refused, 429);
    let seconds: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=3_601).contains(&seconds));
    assert!(refused.body.contains("Too many tries"));
}
