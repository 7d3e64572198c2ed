//! The console's pages about people and the program, without JavaScript.

use super::desk::{Desk, call, noted};
use crate::harness::App;
use crate::visitor::value_of;
use refloop::domain::operator::OperatorRole;

const PAGES: [&str; 6] = ["developers", "program", "payouts", "deliveries", "keys", "exports"];

#[test]
fn every_page_is_there_for_every_role_and_for_nobody_else() {
    let app = App::start();
    for role in OperatorRole::ALL {
        let operator = Desk::sign_in(&app, role);
        for page in PAGES {
            let reply = operator.page(page);
            assert_eq!(reply.status, 200, "{page}: {}", reply.body);
            assert!(reply.body.contains("aria-current=\"page\""), "{page} is in the navigation");
        }
    }
    for page in PAGES {
        let reply = app.anonymous().get(&format!("/admin/default/{page}"));
        assert_eq!(reply.status, 303);
        assert!(reply.header("location").unwrap().starts_with("/admin/login"), "{page}");
    }
}

#[test]
fn an_operator_adjusts_and_erases_on_the_page() {
    let app = App::start();
    let alice = app.developer("Alice");
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let page = format!("developers/{}", alice.id);
    let shown = operator.page(&page);
    assert!(shown.body.contains("alice@alice.example") && !shown.body.contains(&alice.key), "{}", shown.body);
    let give = |key: &str| {
        let fields =
            [("form", "adjust"), ("key", key), ("direction", "give"), ("amount", "1,250"), ("reason", "sorry")];
        operator.done(&page, &fields)
    };
    let key = value_of(&shown, "key");
    assert!(give(&key).contains("1,250 credits were given. Available now: 1,250 credits."));
    give(&key);
    assert_eq!(alice.stats()["credits_available"], 1_250, "sent twice, done once");
    let take = |amount: &str, reason: &str| {
        let fields = [("form", "adjust"), ("direction", "take"), ("amount", amount), ("reason", reason)];
        operator.send(&page, &page, &fields)
    };
    let refused = take("2000", "too much");
    assert_eq!(refused.status, 422);
    for part in
        ["1,250 credits can be taken back", "value=\"2000\"", "value=\"too much\"", "<option value=\"take\" selected>"]
    {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }
    assert_eq!(take("five", "x").status, 422);
    assert_eq!(take("5", "").status, 422);
    assert_eq!(take("250", "mistake").status, 303);
    assert_eq!(alice.stats()["credits_available"], 1_000);

    let erase =
        |confirm: &str| operator.send(&page, &page, &[("form", "erase"), ("confirm", confirm), ("reason", "asked to")]);
    assert_eq!(erase("alice").status, 422);
    assert_eq!(erase(&alice.id).status, 303);
    assert!(operator.page(&page).body.contains("Erased developer"));
    let actions: Vec<_> = noted(&app).into_iter().map(|note| note.0).take(3).collect();
    assert_eq!(actions, ["account.erase", "account.adjust", "account.adjust"]);
}

#[test]
fn an_operator_signs_out_and_replaces_keys_on_the_page() {
    let app = App::start();
    let alice = app.developer("Alice");
    alice.code();
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let page = format!("developers/{}", alice.id);
    assert!(operator.done(&page, &[("form", "sign_out")]).contains("Signed out everywhere: 0 sessions"));
    assert!(operator.done(&page, &[("form", "revoke_code")]).contains("brings in nobody any more"));
    let made = operator.send(&page, &page, &[("form", "rotate")]);
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(alice.get("/v1/developers/me").status, 401);
    let id = app.gateway().get(&call(&page)).json()["keys"][0]["id"].as_str().unwrap().to_owned();
    assert!(operator.done(&page, &[("form", "revoke_key"), ("key", &id)]).contains("The key is revoked"));
    assert_eq!(operator.send(&page, &page, &[("form", "revoke_key"), ("key", &id)]).status, 404);
    assert_eq!(operator.send(&page, &page, &[("form", "explode")]).status, 400);
    assert_eq!(operator.page("developers/dev_0000000000001").status, 404);
    let stranger =
        operator.browser.send("POST", &format!("/admin/default/{page}"), &[crate::visitor::FORM], "form=rotate");
    assert_eq!(stranger.status, 403, "without the form's token");
}

#[test]
fn a_reward_is_changed_after_seeing_what_it_would_have_cost() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.referee("Bob", &alice.code());
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let version = value_of(&operator.page("program"), "version");
    let fields = [("form", "fields"), ("version", &version), ("rules[1].amount", "800"), ("days", "90")];
    let preview = operator.send("program", "program/preview", &fields);
    assert_eq!(preview.status, 200, "{}", preview.body);
    for part in ["referral_signup, amount: 500 credits → 800 credits", "+300 credits", "What this cannot know"] {
        assert!(preview.body.contains(part), "{part}: {}", preview.body);
    }
    let (program, seen) = (value_of(&preview, "program"), value_of(&preview, "seen"));
    let program = program.replace("&quot;", "\"").replace("&#34;", "\"").replace("&#38;", "&");
    let save = |program: &str, seen: &str| {
        let fields = [("version", version.as_str()), ("program", program), ("seen", seen), ("reason", "spring")];
        operator.send("program", "program", &fields)
    };
    let unseen = save(&program.replace("800", "8000"), &seen);
    assert_eq!(unseen.status, 422, "another program than the one that was shown");
    assert!(unseen.body.contains("Look at what it would have cost first") && unseen.body.contains("8,000 credits"));
    let saved = save(&program, &seen);
    assert_eq!(saved.status, 303, "{}", saved.body);
    app.referee("Carol", &alice.code());
    assert_eq!(alice.ledger().last().unwrap()["credit_amount"], 800);
    let again = save(&program, &seen);
    assert_eq!(again.status, 409, "it was changed meanwhile");
    let next = version.parse::<i64>().unwrap() + 1;
    assert_eq!(noted(&app)[0], ("program.change".into(), format!("v{next}"), "spring".into()));
    let diff = operator.page(&format!("program?from={version}&to={next}")).body;
    assert!(diff.contains("referral_signup, amount: 500 credits → 800 credits"), "{diff}");
}

#[test]
fn faults_of_a_program_stand_beside_their_fields() {
    let app = App::start();
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let version = value_of(&operator.page("program"), "version");
    let fields = [("form", "fields"), ("version", version.as_str()), ("rules[0].amount", "much"), ("days", "")];
    let refused = operator.send("program", "program/preview", &fields);
    assert_eq!(refused.status, 422);
    for part in ["id=\"rules-0--amount-error\"", "value=\"much\"", "<code>rules[0].amount</code>"] {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }
    let text = [("form", "text"), ("version", version.as_str()), ("program", "{\"unit\": <b>"), ("days", "")];
    let refused = operator.send("program", "program/preview", &text);
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("This is not JSON") && !refused.body.contains("<b>"), "{}", refused.body);
    assert_eq!(operator.send("program", "program/preview", &[("form", "fields"), ("version", "x")]).status, 400);
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    assert!(!reader.page("program").body.contains("Change it"));
    assert_eq!(reader.send("program", "program", &[("version", &version), ("program", "{}")]).status, 403);
}

#[test]
fn what_people_typed_is_never_markup() {
    let app = App::start();
    let evil = app.sign_up("<script>alert(1)</script>", "x@evil.example", None);
    app.sqlite3("UPDATE account SET external_id = '<img src=x>' WHERE email = 'x@evil.example'");
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    for page in ["developers".to_owned(), format!("developers/{}", evil.id), "developers?q=%3Cscript%3E".into()] {
        let body = operator.page(&page).body;
        assert!(!body.contains("<script>") && !body.contains("<img src=x"), "{page}: {body}");
    }
}
