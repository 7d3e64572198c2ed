//! Guessing passwords is slow, and locks nobody out.

use crate::harness::{App, PASSWORD, Reply, no_limits};
use crate::visitor::{FORM, Visitor, assert_page, encode, set_cookie, value_of};
use refloop::web::{Limits, Quota};
use std::time::Duration;

const ALICE: &str = "alice@alice.example";

fn an_hour(count: u32) -> Quota {
    Quota::new(count, Duration::from_secs(3_600))
}

fn with(limits: Limits) -> App {
    let app = App::start_with(move |settings| settings.limits = limits);
    app.developer("Alice");
    app.developer("Bob");
    app
}

fn assert_slowed(reply: &Reply, where_from: &str, email: &str) {
    assert_page(reply, 429);
    let said = format!("There were too many tries {where_from}. Try again in ");
    assert!(reply.body.contains(&said), "{said}: {}", reply.body);
    let seconds: u64 = reply.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=3_601).contains(&seconds));
    assert_eq!(value_of(reply, "email"), email, "what was typed is kept");
    assert!(!reply.body.contains("guess"));
}

#[test]
fn strangers_share_an_account_s_allowance_and_its_owner_has_one_of_their_own() {
    let app = with(Limits { login: an_hour(3), ..no_limits() });
    let owner = Visitor::new(&app);
    owner.sign_in(ALICE);
    owner.sign_out();
    for _ in 0..2 {
        assert_page(&Visitor::new(&app).try_sign_in(ALICE, "guess"), 401);
    }
    for spelling in [ALICE, " Alice@ALICE.example"] {
        let refused = Visitor::new(&app).try_sign_in(spelling, "guess");
        assert_slowed(&refused, "with this address", spelling);
    }
    let refused = Visitor::new(&app).try_sign_in(ALICE, PASSWORD);
    assert_slowed(&refused, "with this address", ALICE);
    assert_eq!(set_cookie(&refused, "refloop_session"), None, "not even with the right password");
    Visitor::new(&app).sign_in("bob@bob.example");

    // The browser that has signed in before is not slowed by them, and slow by itself.
    owner.sign_in(ALICE);
    owner.sign_out();
    for _ in 0..3 {
        assert_page(&owner.try_sign_in(ALICE, "guess"), 401);
    }
    assert_slowed(&owner.try_sign_in(ALICE, PASSWORD), "from this browser", ALICE);
    // It is no better than any other at an account where it never was.
    for status in [401, 401, 429] {
        assert_eq!(owner.try_sign_in("bob@bob.example", "guess").status, status);
    }
}

#[test]
fn an_address_that_nobody_has_is_slowed_down_alike() {
    let app = with(Limits { login: an_hour(2), ..no_limits() });
    let mut answers = Vec::new();
    for email in [ALICE, "nobody@example.com", "no address"] {
        let statuses: Vec<_> = (0..4).map(|_| Visitor::new(&app).try_sign_in(email, "guess").status).collect();
        assert_eq!(statuses, [401, 401, 429, 429], "{email}");
        let refused = Visitor::new(&app).try_sign_in(email, "guess");
        let csrf = value_of(&refused, "csrf");
        answers.push(refused.body.replace(&csrf, "").replace(email, "").replace("29 minutes", "30 minutes"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[test]
fn a_network_s_guesses_are_limited_but_not_for_a_browser_that_is_known() {
    let app = with(Limits { bad_key: an_hour(3), ..no_limits() });
    let owner = Visitor::new(&app);
    owner.sign_in(ALICE);
    assert_page(&Visitor::new(&app).try_sign_in("one@example.com", "guess"), 401);
    assert_page(&Visitor::new(&app).send("POST", "/login", &[FORM], ""), 403);
    let refused = Visitor::new(&app).try_sign_in("two@example.com", "guess");
    assert_slowed(&refused, "from your network", "two@example.com");
    owner.sign_in(ALICE);
    assert_eq!(owner.try_sign_in("bob@bob.example", PASSWORD).status, 429, "known to one account only");
}

#[test]
fn a_browser_is_known_to_several_accounts_and_only_by_what_this_server_made() {
    let app = with(Limits { login: an_hour(4), ..no_limits() });
    let visitor = Visitor::new(&app);
    visitor.sign_in(ALICE);
    visitor.sign_in("bob@bob.example");
    let devices = visitor.cookie("refloop_device").unwrap();
    assert_eq!(devices.split('.').count(), 2);
    for _ in 0..4 {
        let stranger = Visitor::new(&app);
        stranger.set_cookie("refloop_device", &devices.replace(['0', '1'], "2"));
        stranger.try_sign_in(ALICE, "guess");
    }
    for forged in ["", "x", &"0".repeat(96), &devices.to_uppercase(), &devices.replace('.', "")] {
        let stranger = Visitor::new(&app);
        stranger.set_cookie("refloop_device", forged);
        assert_eq!(stranger.try_sign_in(ALICE, PASSWORD).status, 429, "{forged:.40}");
    }
    for email in [ALICE, "bob@bob.example", ALICE] {
        visitor.sign_in(email);
    }
    assert_eq!(visitor.cookie("refloop_device").unwrap().split('.').count(), 2, "one for each account");
}

#[test]
fn a_browser_is_known_to_five_accounts_at_most() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        app.developer(name);
        visitor.sign_in(&format!("{name}@{name}.example"));
    }
    assert_eq!(visitor.cookie("refloop_device").unwrap().split('.').count(), 5);
}

#[test]
fn a_new_password_makes_old_browsers_strangers() {
    let app = with(Limits { login: an_hour(3), ..no_limits() });
    let (owner, lost) = (Visitor::new(&app), Visitor::new(&app));
    owner.sign_in(ALICE);
    lost.sign_in(ALICE);
    let known = lost.cookie("refloop_device").unwrap();
    let changed = owner.ask("password", &[("current_password", PASSWORD), ("new_password", "another-password")]);
    assert_eq!(changed.status, 303, "{}", changed.body);
    assert_eq!(Visitor::new(&app).try_sign_in(ALICE, "guess").status, 401);
    assert_eq!(lost.cookie("refloop_device").unwrap(), known);
    assert_slowed(&lost.try_sign_in(ALICE, "another-password"), "with this address", ALICE);
    owner.sign_out();
    let reply = owner.try_sign_in(ALICE, "another-password");
    assert_eq!(reply.status, 303, "the browser that has changed it is known by the new one: {}", reply.body);
}

#[test]
fn who_signs_up_is_known_from_then_on() {
    let app = with(Limits { login: an_hour(1), ..no_limits() });
    let carol = Visitor::new(&app);
    assert_page(&carol.sign_up_well("Carol", "carol@carol.example", ""), 201);
    for status in [401, 429] {
        assert_eq!(Visitor::new(&app).try_sign_in("carol@carol.example", "guess").status, status);
    }
    carol.sign_in("carol@carol.example");
}

#[test]
fn what_takes_the_password_is_slow_to_guess_as_well() {
    let app = with(Limits { login: an_hour(4), ..no_limits() });
    let visitor = Visitor::new(&app);
    visitor.sign_in(ALICE);
    let try_to_change =
        |guess: &str| visitor.ask("password", &[("current_password", guess), ("new_password", "another-password")]);
    let try_to_erase =
        |guess: &str| visitor.ask("erase", &[("erase_confirmation", "erase"), ("erase_password", guess)]);
    for _ in 0..2 {
        assert_page(&try_to_change("guess-one"), 422);
        assert_page(&try_to_erase("guess-two"), 422);
    }
    for refused in [try_to_change(PASSWORD), try_to_erase(PASSWORD)] {
        assert_page(&refused, 429);
        assert!(refused.body.contains("There were too many tries from this browser."), "{}", refused.body);
        assert!(refused.header("Retry-After").is_some());
    }
    // A session in a browser that the account does not know counts with all strangers.
    visitor.drop_cookie("refloop_device");
    assert_page(&try_to_change("guess"), 422);
    assert!(visitor.is_signed_in());
}

/// Signs an operator in.
fn operate(visitor: &Visitor, email: &str, password: &str) -> Reply {
    let csrf = value_of(&visitor.get("/admin/login"), "csrf");
    let form = encode(&[("csrf", &csrf), ("email", email), ("password", password)]);
    visitor.send("POST", "/admin/login", &[FORM], &form)
}

#[test]
fn operators_are_guessed_at_as_slowly_and_locked_out_as_little() {
    let app = with(Limits { login: an_hour(2), ..no_limits() });
    app.add_operator("default", "op@example.com");
    let owner = Visitor::new(&app);
    assert_eq!(operate(&owner, "op@example.com", PASSWORD).status, 303);
    assert_eq!(operate(&Visitor::new(&app), "op@example.com", "guess").status, 401);
    assert_slowed(&operate(&Visitor::new(&app), "op@example.com", PASSWORD), "with this address", "op@example.com");
    for status in [401, 401, 429] {
        assert_eq!(operate(&Visitor::new(&app), "nobody@example.com", "guess").status, status);
    }
    assert_eq!(operate(&owner, "op@example.com", PASSWORD).status, 303);
    // Operators and accounts of one address are not the same person.
    app.sign_up("Op", "op@example.com", None);
    Visitor::new(&app).sign_in("op@example.com");
    owner.set_cookie("refloop_device", &owner.cookie("refloop_operator_device").unwrap());
    assert_eq!(owner.try_sign_in("op@example.com", "guess").status, 401);
    assert_eq!(owner.try_sign_in("op@example.com", "guess").status, 429, "their tokens are of no use there");
}
