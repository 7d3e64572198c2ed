//! The second factor: switching it on, signing in with it, losing it.

use super::{Operator, actions, log_in};
use crate::harness::{App, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, value_of};
use refloop::domain::totp::{self, STEP_MS, Secret};
use refloop::web::Quota;
use std::time::Duration;

const EMAIL: &str = "owner@example.com";

fn code_now(app: &App, secret: &Secret) -> String {
    totp::code(secret, app.now_ms() / STEP_MS)
}

/// Switches it on. The secret, and the recovery codes.
fn switch_on(app: &App, owner: &Operator) -> (Secret, Vec<String>) {
    let page = owner.post("/admin/account", &[("form", "offer")]);
    assert_page(&page, 200);
    assert!(page.body.contains("data:image/svg+xml,"));
    let (text, seal) = (value_of(&page, "secret"), value_of(&page, "seal"));
    let secret = totp::from_base32(&text).unwrap();
    let code = code_now(app, &secret);
    let fields = [("form", "on"), ("secret", text.as_str()), ("seal", &seal), ("code", &code), ("password", PASSWORD)];
    let page = owner.post("/admin/account", &fields);
    assert_page(&page, 200);
    let codes = page.body.split_once("id=\"codes\"").unwrap().1.split_once("</ul>").unwrap().0;
    let codes = codes.split("<code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
    (secret, codes.collect())
}

fn send_code(visitor: &Visitor, code: &str) -> Reply {
    let csrf = value_of(&visitor.get("/admin/login/code"), "csrf");
    visitor.send("POST", "/admin/login/code", &[FORM], &encode(&[("csrf", &csrf), ("code", code)]))
}

/// Somebody who knows the password.
fn at_the_second_step(app: &App) -> Visitor {
    let visitor = Visitor::new(app);
    let reply = log_in(&visitor, EMAIL, PASSWORD);
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/admin/login/code")), "{}", reply.body);
    assert!(visitor.cookie("refloop_operator").is_none(), "no session yet");
    assert_eq!(visitor.get("/admin").status, 303);
    visitor
}

fn is_in(reply: &Reply) -> bool {
    (reply.status, reply.header("Location")) == (303, Some("/admin"))
}

#[test]
fn a_code_signs_in_once() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let (secret, codes) = switch_on(&app, &owner);
    assert_eq!(codes.len(), 10);
    let dump = app.dump();
    assert!(codes.iter().all(|code| !dump.contains(code.as_str())), "only their hashes are kept");
    assert_page(&owner.visitor.get("/admin"), 200);

    let visitor = at_the_second_step(&app);
    assert_page(&send_code(&visitor, &code_now(&app, &secret)), 401);
    app.advance_ms(STEP_MS);
    assert_page(&send_code(&visitor, "000000"), 401);
    let code = code_now(&app, &secret);
    assert!(is_in(&send_code(&visitor, &code)), "the one before was used to switch it on");
    assert_page(&visitor.get("/admin"), 200);
    assert_page(&send_code(&at_the_second_step(&app), &code), 401);

    assert!(is_in(&send_code(&at_the_second_step(&app), &codes[3].to_uppercase().replace('-', " "))));
    assert_page(&send_code(&at_the_second_step(&app), &codes[3]), 401);
    assert!(owner.page("/admin/account").body.contains("9 recovery codes left"));
    let done = actions(&app);
    assert_eq!(done.iter().filter(|action| *action == "operator.sign_in_failed").count(), 4);
    assert!(done.contains(&"operator.second_factor_on".to_owned()));
    assert_page(&log_in(&Visitor::new(&app), EMAIL, "wrong-password"), 401);
}

#[test]
fn the_step_between_is_short_and_cannot_be_made_up() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let (secret, _) = switch_on(&app, &owner);
    let visitor = at_the_second_step(&app);
    app.advance_ms(10 * 60_000);
    assert_eq!(visitor.get("/admin/login/code").header("Location"), Some("/admin/login"));
    let fresh = at_the_second_step(&app);
    let step = fresh.cookie("refloop_operator_step").unwrap();
    for made_up in ["", "x", "op_0000000000001.1.2", &step[1..], &step.replace('.', ".9"), &format!("{step}.x")] {
        let forger = Visitor::new(&app);
        forger.set_cookie("refloop_operator_step", made_up);
        assert_eq!(forger.get("/admin/login/code").header("Location"), Some("/admin/login"), "{made_up}");
        let csrf = value_of(&forger.get("/admin/login"), "csrf");
        let form = encode(&[("csrf", &csrf), ("code", &code_now(&app, &secret))]);
        let reply = forger.send("POST", "/admin/login/code", &[FORM], &form);
        assert_eq!(reply.header("Location"), Some("/admin/login"), "{made_up}");
    }
    // A new password ends what the old one has begun.
    owner.done("/admin/account", &[("form", "password"), ("password", PASSWORD), ("new_password", "a-new-password")]);
    assert_eq!(fresh.get("/admin/login/code").header("Location"), Some("/admin/login"));
}

#[test]
fn guessing_codes_is_limited_and_locks_no_known_browser_out() {
    let app = App::start_with(|settings| settings.limits.login = Quota::new(4, Duration::from_secs(3_600)));
    let owner = Operator::owner(&app);
    let (secret, _) = switch_on(&app, &owner);
    app.advance_ms(STEP_MS);
    let guesser = at_the_second_step(&app);
    for _ in 0..4 {
        assert_page(&send_code(&guesser, "000000"), 401);
    }
    let limited = send_code(&guesser, &code_now(&app, &secret));
    assert_page(&limited, 429);
    assert!(limited.header("Retry-After").is_some());
    // The owner's own browser is known from before.
    owner.post("/admin/logout", &[]);
    assert_eq!(log_in(&owner.visitor, EMAIL, PASSWORD).header("Location"), Some("/admin/login/code"));
    assert!(is_in(&send_code(&owner.visitor, &code_now(&app, &secret))));
}

#[test]
fn it_is_switched_on_and_off_by_who_knows_the_password() {
    let app = App::start();
    let owner = Operator::owner(&app);
    let page = owner.post("/admin/account", &[("form", "offer")]);
    let (text, seal) = (value_of(&page, "secret"), value_of(&page, "seal"));
    let secret = totp::from_base32(&text).unwrap();
    let code = code_now(&app, &secret);
    let other = totp::base32(&[7; 20]);
    for (secret, seal, code, password, status) in [
        (text.as_str(), seal.as_str(), code.as_str(), "wrong-password", 422),
        (&text, &seal, "000000", PASSWORD, 422),
        (&text, "made up", &code, PASSWORD, 422),
        (&other, &seal, &code, PASSWORD, 422),
    ] {
        let fields = [("form", "on"), ("secret", secret), ("seal", seal), ("code", code), ("password", password)];
        assert_page(&owner.post("/admin/account", &fields), status);
    }
    assert!(owner.page("/admin/account").body.contains("It is off"));
    switch_on(&app, &owner);
    assert_page(&owner.post("/admin/account", &[("form", "off"), ("password", "wrong-password")]), 422);
    owner.done("/admin/account", &[("form", "off"), ("password", PASSWORD)]);
    assert!(is_in(&log_in(&Visitor::new(&app), EMAIL, PASSWORD)));
    switch_on(&app, &owner);
    app.engine.reset_operator(EMAIL).unwrap();
    assert_eq!(owner.visitor.get("/admin").status, 303, "signed out everywhere");
    assert!(is_in(&log_in(&Visitor::new(&app), EMAIL, PASSWORD)), "for who has lost it");
    assert_eq!(app.engine.reset_operator("no@example.com").unwrap_err().code, "not_found");
}
