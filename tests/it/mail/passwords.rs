//! Forgotten passwords.

use super::{Office, fill_in, signs_in};
use crate::harness::{App, PASSWORD};
use crate::visitor::{FORM, Visitor, assert_page, encode, input};
use refloop::web::Quota;
use std::time::Duration;

const ALICE: &str = "alice@alice.example";

fn forget(office: &Office, email: &str) -> crate::harness::Reply {
    fill_in(&Visitor::new(&office.app), "/forgot", "/forgot", &[("email", email)])
}

fn choose(office: &Office, token: &str, password: &str) -> crate::harness::Reply {
    let page = format!("/reset?token={token}");
    fill_in(&Visitor::new(&office.app), &page, "/reset", &[("token", token), ("password", password)])
}

#[test]
fn a_new_password_by_a_link() {
    let office = Office::open();
    let alice = office.app.developer("Alice");
    let visitor = Visitor::new(&office.app);
    let signed_in = fill_in(&visitor, "/login", "/login", &[("email", ALICE), ("password", PASSWORD)]);
    assert_eq!(signed_in.status, 303);
    assert_eq!(visitor.get("/dashboard").status, 200);

    assert_page(&forget(&office, " Alice@ALICE.example "), 200);
    let mail = office.the_mail();
    assert_eq!(mail.to, format!("RCPT TO:<{ALICE}>"));
    let token = mail.token();
    assert!(!office.app.dump().contains(&token), "only its hash is in the file");
    let form = visitor.get(&format!("/reset?token={token}"));
    assert_page(&form, 200);
    assert!(input(&form, "password").contains("new-password"));

    for (password, detail) in
        [("short", "Use at least 8 characters."), (&"x".repeat(129), "Use at most 128 characters.")]
    {
        let refused = choose(&office, &token, password);
        assert_page(&refused, 422);
        assert!(refused.body.contains(detail));
    }
    assert!(signs_in(&office.app, ALICE, PASSWORD), "nothing has changed yet");
    let done = choose(&office, &token, "another-password");
    assert_page(&done, 200);
    assert!(done.body.contains("Your password is changed"));
    assert!(signs_in(&office.app, ALICE, "another-password") && !signs_in(&office.app, ALICE, PASSWORD));
    assert_ne!(visitor.get("/dashboard").status, 200, "signed out everywhere");
    assert_eq!(alice.get("/v1/developers/me").status, 200, "the key still works");

    assert_page(&visitor.get(&format!("/reset?token={token}")), 404);
    let again = [("token", token.as_str()), ("password", "third-password")];
    assert_page(&fill_in(&visitor, "/forgot", "/reset", &again), 404);
    assert!(signs_in(&office.app, ALICE, "another-password"));
}

fn names_of_headers(reply: &crate::harness::Reply) -> Vec<&str> {
    let mut names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn nobody_learns_who_has_an_account() {
    let office = Office::open();
    office.app.developer("Alice");
    let unclaimed = "UPDATE account SET password_hash = NULL WHERE email = 'bob@bob.example'";
    office.app.developer("Bob");
    office.app.sqlite3(unclaimed);
    let emails = [ALICE, "bob@bob.example", "nobody@nobody.example"];
    let answers = emails.map(|email| forget(&office, email));
    for answer in &answers {
        assert_page(answer, 200);
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(names_of_headers(answer), names_of_headers(&answers[0]));
    }
    assert_eq!(office.outbox().len(), 3, "the same is written for each");
    assert_eq!(office.the_mail().to, format!("RCPT TO:<{ALICE}>"));
    assert!(office.outbox().is_empty());
    let typo = forget(&office, "bob");
    assert_page(&typo, 422);
    assert!(typo.body.contains("value=\"bob\"") && typo.body.contains("has an @ in it"));
}

#[test]
fn a_link_is_good_for_an_hour_and_newer_ones_do_not_end_it() {
    let office = Office::open();
    office.app.developer("Alice");
    forget(&office, ALICE);
    let first = office.the_mail().token();
    office.app.advance_ms(3_599_999);
    forget(&office, ALICE);
    let second = office.the_mail().token();
    let visitor = Visitor::new(&office.app);
    assert_page(&visitor.get(&format!("/reset?token={first}")), 200);
    office.app.advance_ms(1);
    let stale = visitor.get(&format!("/reset?token={first}"));
    assert_page(&stale, 404);
    assert!(stale.body.contains("href=\"/forgot\""));
    assert_page(&choose(&office, &second, "another-password"), 200);
    for wrong in ["", "x", &second, &second[1..], "%00"] {
        assert_page(&visitor.get(&format!("/reset?token={wrong}")), 404);
    }
    assert_eq!(office.app.sqlite3("SELECT * FROM mail_token"), "", "one password ends all links");
}

#[test]
fn one_kind_of_link_is_not_good_for_the_other() {
    let office = Office::open();
    office.confirm_addresses();
    office.app.developer("Alice");
    let confirms = office.the_mail().token();
    assert_page(&Visitor::new(&office.app).get(&format!("/reset?token={confirms}")), 404);
    forget(&office, ALICE);
    let resets = office.the_mail().token();
    assert_page(&Visitor::new(&office.app).get(&format!("/confirm?token={resets}")), 404);
}

#[test]
fn mails_to_one_address_are_few_and_guesses_are_too() {
    let hour = Duration::from_secs(3_600);
    let office = Office::over(App::start_with(|settings| settings.limits.mail = Quota::new(2, hour)));
    office.app.developer("Alice");
    for email in [ALICE, "nobody@nobody.example"] {
        for status in [200, 200, 429] {
            assert_page(&forget(&office, email), status);
        }
    }
    assert_eq!(office.deliver().len(), 2);
    let office = Office::over(App::start_with(|settings| settings.limits.bad_key = Quota::new(2, hour)));
    let visitor = Visitor::new(&office.app);
    for (path, status) in
        [("/forgot", 403), ("/reset", 403), ("/confirm", 429), ("/confirm/again", 429), ("/reset", 429)]
    {
        let reply = visitor.send("POST", path, &[FORM], &encode(&[("token", "x")]));
        assert_page(&reply, status);
        assert_eq!(reply.header("Retry-After").is_some(), status == 429);
    }
}

#[test]
fn a_form_without_its_token_sends_nothing() {
    let office = Office::open();
    office.app.developer("Alice");
    let visitor = Visitor::new(&office.app);
    assert_page(&visitor.send("POST", "/forgot", &[FORM], &encode(&[("email", ALICE)])), 403);
    assert!(office.outbox().is_empty());
    forget(&office, ALICE);
    let token = office.the_mail().token();
    let body = encode(&[("token", &token), ("password", "another-password")]);
    assert_page(&visitor.send("POST", "/reset", &[FORM], &body), 403);
    assert!(signs_in(&office.app, ALICE, PASSWORD));
}

#[test]
fn a_link_is_good_at_its_own_project_only() {
    let office = Office::open();
    office.confirm_addresses();
    office.app.developer("Alice");
    let confirms = office.the_mail().token();
    forget(&office, ALICE);
    let resets = office.the_mail().token();
    office.app.project("acme", refloop::domain::program::Preset::Credits, "live");
    let host = vec![(refloop::domain::setting::Setting::Host, "acme.example".into())];
    office.app.engine.set_project("acme", host).unwrap();
    let (visitor, there) = (Visitor::new(&office.app), ("Host", "acme.example"));
    let csrf = visitor.token();
    for (path, token) in [("/reset", &resets), ("/confirm", &confirms)] {
        assert_page(&visitor.send("GET", &format!("{path}?token={token}"), &[there], ""), 404);
        let body = encode(&[("csrf", &csrf), ("token", token), ("password", "another-password")]);
        assert_page(&visitor.send("POST", path, &[there, FORM], &body), 404);
    }
    assert!(signs_in(&office.app, ALICE, PASSWORD));
    // An address is somebody's in one project only.
    let body = encode(&[("csrf", &csrf), ("email", ALICE)]);
    assert_page(&visitor.send("POST", "/forgot", &[there, FORM], &body), 200);
    assert!(office.deliver().is_empty());
}

#[test]
fn forms_that_no_browser_sends_change_nothing() {
    let office = Office::open();
    office.confirm_addresses();
    office.app.developer("Alice");
    let token = office.the_mail().token();
    let visitor = Visitor::new(&office.app);
    let csrf = visitor.token();
    let (form, long) = (FORM.1, "x".repeat(70_000));
    let before = office.app.dump();
    for path in ["/forgot", "/reset", "/confirm", "/confirm/again", "/unsubscribe"] {
        for (media_type, body) in [
            (form, String::new()),
            (form, format!("csrf={csrf}")),
            (form, format!("csrf={csrf}&email=%00&token=%00&password=another-password")),
            (form, format!("csrf={csrf}&email=a%0d%0aBcc:b@b.example&token={token}%0a&password=another-password")),
            (form, format!("csrf={csrf}&csrf={csrf}&token={token}")),
            (form, format!("csrf={csrf}&token={token}&email={long}&password={long}")),
            (form, "%ff=%ff&&=&".to_owned()),
            ("application/json", format!("{{\"token\":\"{token}\"}}")),
            ("text/plain", format!("csrf={csrf}&token={token}")),
        ] {
            let reply = visitor.send("POST", path, &[("Content-Type", media_type)], &body);
            assert!((400..500).contains(&reply.status), "{path} {media_type} {body:.80}: {}", reply.status);
        }
        for query in [
            "?token=%00",
            "?token=%ff",
            "?token=a&token=b",
            &format!("?token={}", &long[..4_000]),
            "?account=dev_&token=",
        ] {
            let reply = visitor.get(&format!("{path}{query}"));
            assert!(reply.status < 500, "{path} {query:.40}: {}", reply.status);
        }
    }
    assert!(office.app.dump() == before);
}
