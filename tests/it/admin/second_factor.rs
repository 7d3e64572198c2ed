//! The second factor: switching it on, signing in with it, losing it.

use super::{Operator, actions, log_in};
use crate::harness::{App, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, value_of};
use refloop::domain::operator::OperatorRole;
use refloop::domain::totp::{self, STEP_MS, Secret};
use refloop::web::Quota;
use serde_json::{Value, json};
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

#[test]
fn an_operator_s_own_account_has_calls_of_its_own() {
    const ACCOUNT: &str = "/v1/admin/projects/default/account";
    let app = App::start();
    let owner = Operator::of_role(&app, EMAIL, OperatorRole::ReadOnly);
    let elsewhere = Operator::sign_in(&app, EMAIL);
    let at = |rest: &str| format!("{ACCOUNT}{rest}");
    let show = || owner.call("GET", ACCOUNT, &Value::Null).json();
    assert_eq!(
        (&show()["email"], &show()["role"], &show()["second_factor"]),
        (&json!(EMAIL), &json!("read_only"), &json!(false))
    );
    assert_eq!(show()["sessions"].as_array().unwrap().len(), 2);
    // A password, which ends the others.
    let change = |password: &str, new: &str| {
        owner.call("POST", &at("/password"), &json!({ "password": password, "new_password": new }))
    };
    assert_eq!(change("wrong-password", "another-password").faults(), ["password: wrong_password"]);
    assert_eq!(change(PASSWORD, "short").faults(), ["new_password: too_short"]);
    assert_eq!(change(PASSWORD, "another-password").status, 200);
    assert_eq!(elsewhere.call("GET", ACCOUNT, &Value::Null).status, 401);
    // A second factor.
    let offer = owner.call("POST", &at("/second-factor"), &Value::Null).json();
    assert!(offer["uri"].as_str().unwrap().starts_with("otpauth://totp/"), "{offer}");
    let secret = totp::from_base32(offer["secret"].as_str().unwrap()).unwrap();
    let on = |password: &str, secret: &str, code: &str| {
        owner.call("PUT", &at("/second-factor"), &json!({ "password": password, "secret": secret, "code": code }))
    };
    let (text, code) = (offer["secret"].as_str().unwrap(), code_now(&app, &secret));
    assert_eq!(on("wrong-password", text, &code).faults(), ["password: wrong_password"]);
    assert_eq!(on("another-password", "short", &code).faults(), ["secret: invalid_secret"]);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(on("another-password", text, wrong).faults(), ["code: invalid_code"]);
    let codes = on("another-password", text, &code).json();
    assert_eq!(codes["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!((&show()["second_factor"], &show()["recovery_codes_left"]), (&json!(true), &json!(10)));
    let off = |password: &str| owner.call("POST", &at("/second-factor/off"), &json!({ "password": password }));
    assert_eq!(off("wrong-password").faults(), ["password: wrong_password"]);
    assert_eq!(off("another-password").json(), json!({ "second_factor": false }));
    assert_eq!(off("another-password").problem(409), "second_factor_is_off");
    // Sessions.
    let visitor = Visitor::new(&app);
    assert!(is_in(&log_in(&visitor, EMAIL, "another-password")));
    let sessions = show()["sessions"].as_array().unwrap().clone();
    let other = sessions.iter().find(|session| session["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    let end = || owner.call("DELETE", &at(&format!("/sessions/{other}")), &Value::Null);
    assert_eq!((end().status, end().problem(404)), (200, "not_found".to_owned()));
    assert_eq!(owner.call("DELETE", &at("/sessions/nonsense"), &Value::Null).problem(404), "not_found");
    assert_eq!(visitor.get("/admin").status, 303);
    assert_eq!(owner.call("DELETE", &at("/sessions"), &Value::Null).status, 200);
    assert_eq!(show()["sessions"].as_array().unwrap().len(), 1);
    // A key is nobody who has an account.
    for (method, rest) in [("GET", ""), ("POST", "/second-factor"), ("DELETE", "/sessions"), ("DELETE", "/sessions/x")]
    {
        let reply = app.gateway().send(method, &at(rest), &[], Vec::new());
        assert_eq!(reply.problem(403), "operator_required", "{method} {rest}");
    }
    let done = actions(&app);
    for action in ["operator.password", "operator.second_factor_on", "operator.second_factor_off", "operator.sign_out"]
    {
        assert!(done.iter().any(|noted| noted == action), "{action}: {done:?}");
    }
}
