//! Forgotten passwords.

use super::{Office, fill_in, signs_in};
use crate::harness::{App, Client, PASSWORD};
use crate::payouts::upgrade;
use crate::visitor::{FORM, Visitor, assert_page, encode, input};
use refloop::domain::program::Preset;
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
    assert_eq!(alice.get("/v1/developers/me").status, 401, "nobody had shown before that the address is theirs");

    assert_page(&visitor.get(&format!("/reset?token={token}")), 404);
    let again = [("token", token.as_str()), ("password", "third-password")];
    assert_page(&fill_in(&visitor, "/forgot", "/reset", &again), 404);
    assert!(signs_in(&office.app, ALICE, "another-password"));
}

/// A key that the owner makes on the page.
fn sign_in_and_make_key(office: &Office, email: &str, password: &str) -> Client {
    let visitor = Visitor::new(&office.app);
    fill_in(&visitor, "/login", "/login", &[("email", email), ("password", password)]);
    let page = fill_in(&visitor, "/dashboard/keys", "/dashboard/keys", &[("name", "mine")]).body;
    let from = page.find("bw_live_").unwrap();
    let secret: String = page[from..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    office.app.anonymous().with_key(&secret)
}

/// Somebody signed up with Bob's address; Bob takes the account over.
#[test]
fn whoever_signed_up_with_somebody_else_s_address_loses_it_all() {
    const BOB: &str = "bob@bob.example";
    let office = Office::open();
    let (alice, mallory) = (office.app.developer("Alice"), office.app.developer("Mallory"));
    let project = office.app.engine.project_named("default").unwrap();
    for asks in [true, false] {
        office.app.engine.set_program(&project, Preset::Commission.program(), "test").unwrap();
        office.app.change_program(|program| program["mail"]["confirm_address"] = serde_json::json!(asks));
        let name = if asks { "Bob" } else { "Carl" };
        let bob = BOB.replace("bob", &name.to_lowercase());
        let stranger = office.app.referee(name, &mallory.code());
        let other_key = stranger.post("/v1/developers/api-keys", serde_json::json!({})).json()["key"].clone();
        let other_key = office.app.anonymous().with_key(other_key.as_str().unwrap());
        let session = Visitor::new(&office.app);
        fill_in(&session, "/login", "/login", &[("email", &bob), ("password", PASSWORD)]);
        assert_eq!(session.get("/dashboard").status, 200);
        if !asks {
            upgrade(&stranger);
            let stripe = "INSERT INTO stripe_account (account_id, project_id, stripe_account_id, ready)
                          SELECT id, project_id, 'acct_mallory', 1 FROM account WHERE name = 'Carl'";
            assert_eq!(office.app.sqlite3(stripe), "");
        }
        office.deliver();

        forget(&office, &bob);
        let mail = office.the_mail();
        assert!(mail.text().contains("somebody else may have signed up with it"), "{}", mail.text());
        let page = Visitor::new(&office.app).get(&format!("/reset?token={}", mail.token()));
        assert!(page.body.contains("all API keys end"), "{}", page.body);
        assert!(choose(&office, &mail.token(), "x").body.contains("all API keys end"));
        let done = choose(&office, &mail.token(), "another-password");
        assert!(done.body.contains("The API keys made so far have ended"), "{}", done.body);
        for status in [stranger.get("/v1/developers/me").status, other_key.get("/v1/developers/me").status] {
            assert_eq!(status, 401);
        }
        assert_ne!(session.get("/dashboard").status, 200);
        let kept = "SELECT count(*) FROM unconfirmed; SELECT count(*) FROM mail_token;
                    SELECT count(*) FROM stripe_account WHERE stripe_account_id IS NOT NULL OR ready = 1";
        assert_eq!(office.app.sqlite3(kept), "0\n0\n0\n");
        if asks {
            assert_eq!(mallory.stats()["total_referrals"], 0, "the stranger's code is the stranger's");
        }

        // From now on the address is the owner's: keys made since live through the next new password.
        let key = sign_in_and_make_key(&office, &bob, "another-password");
        assert_eq!(key.get("/v1/developers/me").status, 200);
        if asks {
            let applied = key.post("/v1/developers/referrals/apply", serde_json::json!({ "code": alice.code() }));
            assert_eq!(applied.status, 201, "with a code of the owner's own: {}", applied.body);
        }
        office.deliver();
        forget(&office, &bob);
        let mail = office.the_mail();
        assert!(!mail.text().contains("somebody else may have signed up"), "{}", mail.text());
        let done = choose(&office, &mail.token(), "third-password");
        assert!(done.body.contains("Your API keys work as before."), "{}", done.body);
        assert_eq!(key.get("/v1/developers/me").status, 200);
    }
}

#[test]
fn who_has_confirmed_the_address_keeps_keys_when_the_password_is_forgotten() {
    let office = Office::open();
    office.confirm_addresses();
    let alice = office.app.developer("Alice");
    let token = office.the_mail().token();
    let visitor = Visitor::new(&office.app);
    fill_in(&visitor, &format!("/confirm?token={token}"), "/confirm", &[("token", &token)]);
    forget(&office, ALICE);
    assert_page(&choose(&office, &office.the_mail().token(), "another-password"), 200);
    assert_eq!(alice.get("/v1/developers/me").status, 200);
}

#[test]
fn who_signed_up_themselves_can_say_so_and_keeps_keys() {
    let office = Office::open();
    let alice = office.app.developer("Alice");
    forget(&office, ALICE);
    let token = office.the_mail().token();
    let form = Visitor::new(&office.app).get(&format!("/reset?token={token}"));
    assert!(input(&form, "keep").contains("checkbox") && !input(&form, "keep").contains("checked"));
    let choose = |password: &str| {
        let fields = [("token", token.as_str()), ("password", password), ("keep", "1")];
        fill_in(&Visitor::new(&office.app), &format!("/reset?token={token}"), "/reset", &fields)
    };
    assert!(input(&choose("short"), "keep").contains("checked"), "what was chosen is kept");
    let done = choose("another-password");
    assert!(done.body.contains("Your API keys work as before."), "{}", done.body);
    assert_eq!(alice.get("/v1/developers/me").status, 200);
    // The link was one to this address: the next one does not ask again.
    forget(&office, ALICE);
    let page = format!("/reset?token={}", office.the_mail().token());
    assert!(!Visitor::new(&office.app).get(&page).body.contains("name=\"keep\""));
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
