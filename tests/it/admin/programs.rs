//! Reading and changing a program, what is different, and what a change would have cost.

use super::desk::{Desk, call, noted};
use crate::harness::App;
use crate::visitor::value_of;
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

fn program(app: &App) -> Value {
    let reply = app.gateway().get(&call("program"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

/// The program in force, with a change.
fn changed(app: &App, change: impl FnOnce(&mut Value)) -> (i64, Value) {
    let current = program(app);
    let mut document = current["program"].clone();
    change(&mut document);
    (current["version"].as_i64().unwrap(), document)
}

#[test]
fn a_change_is_the_next_version_and_touches_nothing_granted() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.referee("Bob", &alice.code());
    let before = alice.ledger();
    let (version, document) = changed(&app, |program| program["rules"][1]["amount"] = json!(700));
    let body = json!({ "version": version, "program": document, "reason": "spring" });
    let reply = app.gateway().put(&call("program"), body.clone());
    assert_eq!(reply.json(), json!({ "version": version + 1, "changed": true }), "{}", reply.body);
    assert_eq!(alice.ledger(), before);
    app.referee("Carol", &alice.code());
    assert_eq!(alice.ledger().last().unwrap()["credit_amount"], 700);
    assert_eq!(noted(&app)[0], ("program.change".into(), format!("v{}", version + 1), "spring".into()));

    // A second operator, who has not seen it.
    assert_eq!(app.gateway().put(&call("program"), body).problem(409), "program_changed");
    let same = json!({ "version": version + 1, "program": program(&app)["program"] });
    assert_eq!(app.gateway().put(&call("program"), same).json()["changed"], false);
    assert_eq!(program(&app)["version"], version + 1);
}

#[test]
fn each_refusal_of_a_program() {
    let app = App::start();
    app.referee("Bob", &app.developer("Alice").code());
    let put = |body: Value| app.gateway().put(&call("program"), body);
    let (version, good) = changed(&app, |_| ());
    assert_eq!(put(json!({ "program": good })).faults(), ["version: required"]);
    assert_eq!(put(json!({ "version": version })).faults(), ["program: required"]);
    assert_eq!(put(json!({ "version": version, "program": [] })).faults(), ["program: required"]);
    let (_, wrong) = changed(&app, |program| {
        program["rules"][0]["amount"] = json!("much");
        program["rules"][1]["hold_days"] = json!(-1);
        program["colour"] = json!("red");
    });
    let mut faults = put(json!({ "version": version, "program": wrong })).faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "program.colour: invalid_program",
            "program.rules[0].amount: invalid_program",
            "program.rules[1].hold_days: invalid_program"
        ]
    );
    let (_, euros) = changed(&app, |program| program["unit"] = json!("eur"));
    let body = json!({ "version": version, "program": euros });
    assert_eq!(put(body.clone()).problem(409), "unit_is_fixed");
    assert_eq!(app.gateway().post(&call("program/preview"), body).problem(409), "unit_is_fixed");
    let adjusts = changed(&app, |program| program["rules"][0]["reason"] = json!("adjustment")).1;
    assert_eq!(
        put(json!({ "version": version, "program": adjusts })).faults(),
        ["program.rules[0].reason: invalid_program"],
        "a word of the ledger's own"
    );
    assert_eq!(program(&app)["version"], version);
}

#[test]
fn versions_are_listed_shown_and_compared() {
    let app = App::start();
    for amount in [600, 700] {
        app.change_program(|program| program["rules"][1]["amount"] = json!(amount));
    }
    let newest = program(&app)["version"].as_i64().unwrap();
    let list = app.gateway().get(&call("program/versions?limit=2")).json();
    assert_eq!((&list["data"][0]["version"], list["data"].as_array().unwrap().len()), (&json!(newest), 2));
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = app.gateway().get(&call(&format!("program/versions?cursor={cursor}"))).json();
    assert_eq!((&rest["data"][0]["version"], &rest["next_cursor"]), (&json!(newest - 2), &Value::Null));
    let one = app.gateway().get(&call(&format!("program/versions/{}", newest - 1))).json();
    assert_eq!(one["program"]["rules"][1]["amount"], 600);
    let diff = app.gateway().get(&call("program/diff")).json();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(newest - 1), &json!(newest)));
    let change = &diff["changes"][0];
    assert_eq!(change["path"], "rules[referral_signup].amount");
    assert_eq!((&change["from"], &change["to"]), (&json!(600), &json!(700)));
    assert_eq!(change["words"], "referral_signup, amount: 600 credits → 700 credits");
    let back = app.gateway().get(&call(&format!("program/diff?from={newest}&to={}", newest - 2))).json();
    assert_eq!(back["changes"][0]["to"], 500);
    for missing in ["versions/99", "versions/0", "versions/x", "diff?from=1&to=99"] {
        assert_eq!(app.gateway().get(&call(&format!("program/{missing}"))).problem(404), "not_found", "{missing}");
    }
    assert_eq!(app.gateway().get(&call("program/diff?from=0")).faults(), ["from: out_of_range"]);
}

#[test]
fn a_preview_says_what_the_last_days_would_have_cost() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    // Long ago: a signup and all milestones. Lately: a signup, and the first call.
    app.referee("Bob", &code).use_api(&app.gateway(), "u-1", 120);
    app.advance_days(100);
    app.referee("Carol", &code).use_api(&app.gateway(), "u-2", 1);
    let (version, document) = changed(&app, |program| {
        program["rules"][1]["amount"] = json!(800);
        program["rules"].as_array_mut().unwrap().remove(3);
    });
    let before = app.dump();
    let ask = |days: Value| {
        let body = json!({ "program": document, "days": days });
        let reply = app.gateway().post(&call("program/preview"), body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    let lately = ask(json!(30));
    assert_eq!(lately["version"], version);
    let rule = |preview: &Value, name: &str| {
        let rules = preview["rules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["rule"] == name).unwrap();
        ["current", "proposed", "difference"].map(|side| rule[side]["amount"].as_i64().unwrap())
    };
    assert_eq!(rule(&lately, "signup_bonus"), [1_000, 1_000, 0]);
    assert_eq!(rule(&lately, "referral_signup"), [500, 800, 300]);
    assert_eq!(rule(&lately, "referral_first_call"), [500, 500, 0]);
    assert_eq!(rule(&lately, "referral_active"), [0, 0, 0]);
    let of_all = |preview: &Value, of: &str| {
        let sums = preview.pointer(of).unwrap();
        ["current", "proposed", "difference"].map(|side| sums[side]["amount"].as_i64().unwrap())
    };
    assert_eq!(of_all(&lately, "/total"), [2_000, 2_300, 300]);
    assert_eq!(of_all(&lately, "/parties/referee"), [1_000, 1_000, 0]);
    assert_eq!(of_all(&lately, "/parties/referrer"), [1_000, 1_300, 300]);
    assert_eq!(of_all(&lately, "/unsure"), [0, 0, 0]);
    let all = ask(Value::Null);
    assert!(all["since"].is_null() && lately["since"].is_string());
    assert_eq!(of_all(&all, "/total"), [5_000, 4_600, -400]);
    let granted: i64 = app.sqlite3("SELECT sum(amount) FROM entry WHERE kind = 'grant'").trim().parse().unwrap();
    assert_eq!(granted, 5_000, "what is in force is replayed to what was really granted");
    let words: Vec<_> = lately["changes"].as_array().unwrap().iter().map(|change| change["words"].clone()).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    let codes: Vec<_> = lately["unknowable"].as_array().unwrap().iter().map(|row| row["code"].clone()).collect();
    assert!(codes.contains(&json!("behaviour")) && codes.contains(&json!("refunds")));
    assert_eq!(app.dump(), before, "nothing is written");
    for days in [json!(0), json!(3_661), json!("30")] {
        let body = json!({ "program": document, "days": days });
        assert_eq!(app.gateway().post(&call("program/preview"), body).status, 422, "{days}");
    }
}

#[test]
fn another_project_s_past_is_not_replayed() {
    let app = App::start();
    app.referee("Bob", &app.developer("Alice").code());
    app.project("acme", Preset::Credits, "live");
    let acme = app.gateway_of("acme");
    let document = acme.get("/v1/admin/projects/acme/program").json()["program"].clone();
    let reply = acme.post("/v1/admin/projects/acme/program/preview", json!({ "program": document })).json();
    assert_eq!((&reply["referrals"], &reply["total"]["current"]["amount"]), (&json!(0), &json!(0)));
}

#[test]
fn who_may_only_read_may_try_but_not_save() {
    let app = App::start();
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    let (version, document) = changed(&app, |program| program["enabled"] = json!(false));
    let body = json!({ "version": version, "program": document }).to_string();
    let headers = [("Content-Type", "application/json")];
    assert_eq!(reader.browser.send("POST", &call("program/preview"), &headers, &body).status, 200);
    assert_eq!(reader.browser.send("PUT", &call("program"), &headers, &body).problem(403), "role_required");
    assert_eq!(program(&app)["version"], version);
}

#[test]
fn what_was_typed_outlives_somebody_else_s_change() {
    let app = App::start();
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let version = value_of(&operator.page("program"), "version");
    let fields = [("form", "fields"), ("version", version.as_str()), ("rules[1].amount", "777"), ("days", "")];
    let preview = operator.send("program", "program/preview", &fields);
    assert_eq!(preview.status, 200, "{}", preview.body);
    let (seen, typed) =
        (value_of(&preview, "seen"), changed(&app, |program| program["rules"][1]["amount"] = json!(777)).1);
    app.change_program(|program| program["rules"][0]["amount"] = json!(555));
    let text = typed.to_string();
    let fields =
        [("form", "text"), ("version", version.as_str()), ("seen", &seen), ("program", &text), ("reason", "mine")];
    let refused = operator.send("program", "program", &fields);
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("Nothing was changed") && refused.body.contains("777"), "{}", refused.body);
    assert_eq!(value_of(&refused, "version"), program(&app)["version"].to_string(), "to be looked at over the new one");
    assert_eq!(program(&app)["program"]["rules"][1]["amount"], 500);
}

#[test]
fn who_may_only_read_tries_a_change_in_the_console_too() {
    let app = App::start();
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    let page = reader.page("program");
    assert!(page.body.contains("Try a change") && page.body.contains("See what it would have cost"), "{}", page.body);
    let version = value_of(&page, "version");
    let fields = [("form", "fields"), ("version", version.as_str()), ("rules[1].amount", "777"), ("days", "")];
    let preview = reader.send("program", "program/preview", &fields);
    assert!(preview.status == 200 && preview.body.contains("Only a look"), "{}", preview.body);
    assert!(!preview.body.contains("Save as the next version"), "{}", preview.body);
    let text = changed(&app, |program| program["rules"][1]["amount"] = json!(777)).1.to_string();
    let save = [("version", version.as_str()), ("program", &text)];
    assert_eq!(reader.send("program", "program", &save).status, 403);
}

#[test]
fn the_form_says_in_words_what_signals_weigh() {
    let app = App::start();
    let operator = Desk::sign_in(&app, OperatorRole::Operator);
    let page = operator.page("program").body;
    for words in [
        "Weight of many referrals from one network address",
        "Weight from which a referral is held",
        "What signals weigh",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("Abuse weights") && !page.contains("abuse weights"), "{page}");
    let version = value_of(&operator.page("program"), "version");
    let fields = [("form", "fields"), ("version", version.as_str()), ("abuse.weights.ring", "0"), ("days", "30")];
    let preview = operator.send("program", "program/preview", &fields).body;
    assert!(preview.contains("Weight of referrers in a ring: 100 → 0"), "{preview}");
}
