//! The page of one's own account.

use crate::harness::{App, DAY_MS, PASSWORD, Reply};
use crate::visitor::{Visitor, assert_page, error_of, value_of};
use refloop::domain::error::Kind;
use refloop::engine::{Browser, Credentials, Devices};
use serde_json::json;

const ALICE: &str = "alice@alice.example";
const FIREFOX: (&str, &str) =
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0 private-detail");
const HOUR_MS: i64 = 3_600_000;

fn signed_in(app: &App) -> Visitor {
    let visitor = Visitor::new(app);
    visitor.sign_in(ALICE);
    visitor
}

/// The page that a form leads back to, which says what was done, once.
fn done(visitor: &Visitor, reply: &Reply, notice: &str) -> Reply {
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/account")), "{}", reply.body);
    let page = visitor.get("/account");
    assert_page(&page, 200);
    assert!(page.body.contains(notice), "{notice}: {}", page.body);
    assert!(!visitor.get("/account").body.contains(notice), "it is said once");
    page
}

#[test]
fn an_account_is_shown_to_its_owner() {
    let app = App::start();
    app.developer("Alice");
    let page = signed_in(&app).get("/account");
    assert_page(&page, 200);
    assert_eq!(value_of(&page, "name"), "Alice");
    for part in [ALICE, "Member since 15 January 2026", "This browser", "aria-current=\"page\"", "Sign out"] {
        assert!(page.body.contains(part), "{part}");
    }
    assert!(!page.body.contains("leaderboard"), "there is none");
    assert!(page.body.len() < 30_000, "{}", page.body.len());
}

#[test]
fn a_name_is_changed_or_refused_beside_its_field() {
    let app = App::start();
    let alice = app.developer("Alice");
    let visitor = signed_in(&app);
    let page = done(&visitor, &visitor.ask("profile", &[("name", " Alice <b>B.</b> ")]), "Your profile is saved.");
    assert_eq!(value_of(&page, "name"), "Alice &#60;b&#62;B.&#60;/b&#62;");
    assert_eq!(alice.get("/v1/developers/me").json()["name"], "Alice <b>B.</b>");
    for name in ["", "  ", "a\0b", "a\u{202e}b", &"x".repeat(101)] {
        let refused = visitor.ask("profile", &[("name", name)]);
        assert_page(&refused, 422);
        let message = error_of(&refused, "name").unwrap();
        assert!(refused.body.contains(&format!("Name: <a href=\"#name\">{message}</a>")), "{}", refused.body);
        assert!(refused.body.contains("<title>Error: Account"));
    }
    let refused = visitor.ask("profile", &[("name", &"y".repeat(101))]);
    assert_eq!(value_of(&refused, "name"), "y".repeat(101), "what was typed is kept");
    assert_eq!(alice.get("/v1/developers/me").json()["name"], "Alice <b>B.</b>");
}

#[test]
fn the_leaderboard_is_opted_into_where_there_is_one() {
    let app = App::start();
    let alice = app.developer("Alice");
    let visitor = signed_in(&app);
    let listed = |alice: &crate::harness::Developer| alice.get("/v1/developers/me").json()["leaderboard_name"].clone();
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
    assert_eq!(value_of(&visitor.get("/account"), "leaderboard_name"), "", "nobody is listed unasked");
    assert!(visitor.get("/account").body.contains("<a href=\"/leaderboard\">leaderboard</a>"), "what one is listed on");
    let saved = visitor.ask("profile", &[("name", "Alice"), ("leaderboard_name", "ally")]);
    let page = done(&visitor, &saved, "Your profile is saved.");
    assert_eq!((value_of(&page, "leaderboard_name"), listed(&alice)), ("ally".into(), json!("ally")));
    let refused = visitor.ask("profile", &[("name", "Alice"), ("leaderboard_name", &"x".repeat(41))]);
    assert_page(&refused, 422);
    assert!(error_of(&refused, "leaderboard_name").is_some());
    // Without the field it stays, empty it goes.
    visitor.ask("profile", &[("name", "Alice")]);
    assert_eq!(listed(&alice), "ally");
    visitor.ask("profile", &[("name", "Alice"), ("leaderboard_name", " ")]);
    assert_eq!(listed(&alice), json!(null));
}

#[test]
fn a_new_password_ends_every_other_session() {
    let app = App::start();
    app.developer("Alice");
    let (visitor, elsewhere) = (signed_in(&app), signed_in(&app));
    let old = visitor.cookie("refloop_session").unwrap();
    let change =
        |current: &str, new: &str| visitor.ask("password", &[("current_password", current), ("new_password", new)]);
    for (current, new, field) in [
        ("wrong-password", "another-password", "current_password"),
        ("", "another-password", "current_password"),
        (&"x".repeat(2_000), "another-password", "current_password"),
        (PASSWORD, "short", "new_password"),
        (PASSWORD, "", "new_password"),
        (PASSWORD, &"x".repeat(129), "new_password"),
        (PASSWORD, "abcd\0efgh", "new_password"),
    ] {
        let refused = change(current, new);
        assert_page(&refused, 422);
        assert!(error_of(&refused, field).is_some(), "{field} {new:.20}");
        for typed in [current, new].iter().filter(|typed| typed.len() > 5) {
            assert!(!refused.body.contains(*typed), "passwords are never given back");
        }
    }
    assert!(elsewhere.is_signed_in());
    let changed = change(PASSWORD, "another-password");
    done(&visitor, &changed, "Your password is changed.");
    assert!(!elsewhere.is_signed_in() && visitor.is_signed_in());
    assert_ne!(visitor.cookie("refloop_session").unwrap(), old, "this browser has a new one");
    let thief = Visitor::new(&app);
    thief.set_cookie("refloop_session", &old);
    assert!(!thief.is_signed_in());
    assert_page(&Visitor::new(&app).try_sign_in(ALICE, PASSWORD), 401);
    assert_eq!(Visitor::new(&app).try_sign_in(ALICE, "another-password").status, 303);
    assert_eq!(app.sqlite3("SELECT count(*) FROM account_session").trim(), "2");
}

#[test]
fn who_was_on_the_way_in_with_the_old_password_stays_out() {
    let app = App::start();
    app.developer("Alice");
    let (engine, project) = (&app.engine, app.engine.project_named("default").unwrap().id);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let attempt = || {
        let credentials = Credentials { email: ALICE.into(), password: PASSWORD.into() };
        runtime.block_on(engine.login_attempt(project, credentials, &Devices::default())).unwrap()
    };
    let (signing_in, changing) = (attempt(), attempt());
    let visitor = signed_in(&app);
    visitor.ask("password", &[("current_password", PASSWORD), ("new_password", "another-password")]);
    let refused = runtime.block_on(engine.log_in(project, signing_in, Browser::default())).err().unwrap();
    assert_eq!(refused.kind, Kind::Unauthenticated);
    let change = engine.change_password(project, changing, "a-third-password".into(), Browser::default());
    assert_eq!(runtime.block_on(change).err().unwrap().code, "wrong_password");
    assert!(visitor.is_signed_in());
    assert_eq!(Visitor::new(&app).try_sign_in(ALICE, "another-password").status, 303);
    assert_eq!(app.sqlite3("SELECT count(*) FROM account_session").trim(), "2");
}

#[test]
fn sessions_are_listed_and_ended_one_by_one_and_all_together() {
    let app = App::start();
    app.developer("Alice");
    app.developer("Bob");
    let (visitor, firefox, third) = (signed_in(&app), Visitor::new(&app), signed_in(&app));
    assert_eq!(firefox.sign_in_from(&[FIREFOX], ALICE, PASSWORD).status, 303);
    let page = visitor.get("/account");
    assert_eq!(page.body.matches("Signed in on 15 January 2026").count(), 3);
    assert_eq!(page.body.matches("This browser").count(), 1);
    assert!(page.body.contains("<strong>Firefox on Linux</strong>"), "{}", page.body);
    let dump = app.dump();
    assert!(!dump.contains("143.0") && !dump.contains("private-detail"), "neither version nor anything else is kept");

    let id = app.sqlite3("SELECT id FROM account_session WHERE device IS NOT NULL").trim().parse().unwrap();
    let id = refloop::domain::id::SessionId(id).to_string();
    let bob = Visitor::new(&app);
    bob.sign_in("bob@bob.example");
    bob.ask("session", &[("session", &id)]);
    assert!(firefox.is_signed_in(), "nobody ends another's session");
    for odd in ["", "ses_", "dev_0000000000001", "ses_zzzzzzzzzzzzz", "1 OR 1=1", "\0"] {
        assert_eq!(visitor.ask("session", &[("session", odd)]).status, 303, "{odd:?}");
    }
    assert!(firefox.is_signed_in() && third.is_signed_in());
    let ended = visitor.ask("session", &[("session", &id)]);
    let page = done(&visitor, &ended, "That browser is signed out.");
    assert!(!page.body.contains("Firefox on Linux") && !firefox.is_signed_in() && third.is_signed_in());
    done(&visitor, &visitor.ask("others", &[]), "You are signed out everywhere else.");
    assert!(visitor.is_signed_in() && !third.is_signed_in() && bob.is_signed_in());
    assert!(!visitor.get("/account").body.contains("everywhere else</button>"), "there is nowhere else");
}

#[test]
fn the_last_use_is_known_to_the_hour_and_written_by_the_sweep() {
    let app = App::start();
    app.developer("Alice");
    let (visitor, other) = (signed_in(&app), signed_in(&app));
    let written =
        || app.sqlite3("SELECT max(last_used_at_ms) - min(created_at_ms) FROM account_session").trim().to_owned();
    assert_eq!(written(), "0");
    app.advance_ms(3 * HOUR_MS + HOUR_MS / 2);
    let before = app.dump();
    assert!(visitor.is_signed_in());
    assert!(app.dump() == before, "a look writes nothing");
    let page = other.get("/account");
    assert!(page.body.contains("last used within the last hour"), "{}", page.body);
    app.sweep();
    assert_eq!(written(), (3 * HOUR_MS).to_string());
    app.advance_ms(2 * DAY_MS);
    assert!(other.get("/account").body.contains("last used 2 days ago"));
    // A clock that was set back writes nothing into the past.
    app.advance_ms(-5 * DAY_MS);
    assert!(visitor.get("/account").body.contains("last used within the last hour"));
    app.sweep();
    assert_eq!(written(), (3 * HOUR_MS + 2 * DAY_MS).to_string());
}

#[test]
fn an_account_is_erased_by_who_means_it_and_knows_the_password() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    app.referee("Bob", &code);
    let (visitor, elsewhere) = (signed_in(&app), signed_in(&app));
    let page = visitor.get("/account");
    assert!(page.body.contains("<strong>500 credits</strong> left to spend"), "{}", page.body);
    assert!(!page.body.contains("<details class=\"panel\" open>"));
    for (confirmation, password, field) in [
        ("", PASSWORD, "erase_confirmation"),
        ("yes", PASSWORD, "erase_confirmation"),
        ("ERASE", "", "erase_password"),
        ("ERASE", "wrong-password", "erase_password"),
    ] {
        let refused = visitor.ask("erase", &[("erase_confirmation", confirmation), ("erase_password", password)]);
        assert_page(&refused, 422);
        assert!(error_of(&refused, field).is_some(), "{confirmation} {password}");
        assert!(refused.body.contains("<details class=\"panel\" open>"), "the form is in sight");
        assert_eq!(value_of(&refused, "erase_confirmation"), confirmation, "what was typed is kept");
    }
    assert_eq!(alice.get("/v1/developers/me").status, 200);

    let reply = visitor.ask("erase", &[("erase_confirmation", " erase "), ("erase_password", PASSWORD)]);
    assert_eq!((reply.status, reply.header("Location")), (303, Some("/account/erased")), "{}", reply.body);
    let page = visitor.get("/account/erased");
    assert_page(&page, 200);
    assert!(page.body.contains("Your account is erased") && page.body.contains("The ledger keeps its entries"));
    assert_eq!(visitor.get("/account/erased").header("Location"), Some("/login"), "it is shown once");
    assert!(!visitor.is_signed_in() && !elsewhere.is_signed_in());
    assert_eq!(alice.get("/v1/developers/me").problem(401), "invalid_key");
    assert_page(&visitor.try_sign_in(ALICE, PASSWORD), 401);
    assert_eq!(app.sqlite3("SELECT count(*) FROM account_session").trim(), "0");
    assert!(!app.dump().contains(ALICE));
}

#[test]
fn erasing_by_the_api_ends_the_sessions_too() {
    let app = App::start();
    let alice = app.developer("Alice");
    let visitor = signed_in(&app);
    assert_eq!(alice.delete("/v1/developers/me").status, 200);
    assert!(!visitor.is_signed_in());
    assert_eq!(visitor.ask("profile", &[("name", "Ghost")]).header("Location"), Some("/login?next=/account"));
}

#[test]
fn an_account_without_a_password_is_told_how_it_signs_in() {
    let app = App::start();
    app.developer("Alice");
    let visitor = signed_in(&app);
    app.sqlite3("UPDATE account SET password_hash = NULL");
    let page = visitor.get("/account");
    assert_page(&page, 200);
    assert!(page.body.contains("you sign in through"), "{}", page.body);
    assert!(!page.body.contains("type=\"password\""));
    let refused = visitor.ask("password", &[("current_password", ""), ("new_password", "another-password")]);
    assert_page(&refused, 422);
    assert_page(&visitor.ask("erase", &[("erase_confirmation", "no")]), 422);
    assert_eq!(visitor.ask("erase", &[("erase_confirmation", "ERASE")]).header("Location"), Some("/account/erased"));
}
