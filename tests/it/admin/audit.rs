//! The audit log keeps what was done, and shows when somebody has been at it.

use super::{Operator, actions};
use crate::harness::App;
use refloop::domain::access::Scope;
use refloop::domain::ledger::SignedHead;
use refloop::domain::setting::Setting;
use refloop::store::{KeptHeads, verify_all};
use serde_json::{Value, json};

const AUDIT: &str = "/v1/admin/projects/default/audit";

fn rows(app: &App, query: &str) -> Vec<Value> {
    let reply = app.gateway().get(&format!("{AUDIT}?limit=200&{query}"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["data"].as_array().unwrap().clone()
}

fn problem(app: &App, kept: Option<&SignedHead>) -> Option<String> {
    let verdict =
        verify_all(&app.db(), KeptHeads { ledger: None, audit: kept.map(std::slice::from_ref).unwrap_or_default() })
            .unwrap();
    verdict.fault.map(|fault| fault.problem)
}

#[test]
fn what_is_done_is_in_it() {
    let app = App::start();
    let owner = Operator::owner(&app);
    app.change_program(|program| program["enabled"] = json!(false));
    let key = app.engine.make_gateway_key("default", vec![Scope::UsageWrite], None).unwrap();
    app.engine.revoke_gateway_key(key.row.id).unwrap();
    let secret = "sk_very_secret";
    owner.call("PATCH", "/v1/admin/projects/default/settings", &json!({ "name": "Example", "stripe.api_key": secret }));
    app.engine.set_project("default", vec![(Setting::PartnerAgreement, "Be kind.".into())]).unwrap();
    app.engine.create_operator("two@example.com", "secure-password", "default").unwrap();
    let done = actions(&app);
    assert_eq!(
        done,
        [
            "key.create",
            "operator.sign_in",
            "program.change",
            "key.create",
            "key.revoke",
            "project.change",
            "project.change",
            "agreement.change",
            "operator.create",
        ]
    );
    let owner_id = app.sqlite3("SELECT actor FROM audit WHERE action = 'operator.sign_in'").trim().to_owned();
    let change = &rows(&app, "action=project.change")[1];
    assert_eq!(change["actor"], json!(owner_id));
    assert_eq!(change["details"], json!({ "settings": ["name", "stripe.api_key"] }));
    let program = &rows(&app, "action=program")[0];
    assert_eq!((&program["actor"], &program["subject"]), (&json!("command line"), &json!("v2")));
    assert_eq!(program["details"], json!({ "from": 1, "to": 2 }));
    let text = app.sqlite3("SELECT actor, action, subject, reason, details FROM audit");
    for never in ["@", secret, "Example", "secure-password"] {
        assert!(!text.contains(never), "{never}: {text}");
    }
}

#[test]
fn it_is_filtered_and_paged() {
    let app = App::start();
    let owner = Operator::owner(&app);
    for n in 0..5 {
        app.advance_days(1);
        let body = json!({ "name": format!("Name {n}") });
        assert_eq!(owner.call("PATCH", "/v1/admin/projects/default/settings", &body).status, 200);
    }
    let all = rows(&app, "");
    assert_eq!(all.len(), 7);
    assert!(all.windows(2).all(|pair| pair[0]["seq"].as_i64() > pair[1]["seq"].as_i64()), "newest first");
    let actor = all[0]["actor"].as_str().unwrap();
    for (query, count) in [
        ("action=project.change", 5),
        ("action=project", 5),
        ("action=proj", 0),
        ("actor=first%20start", 1),
        (&format!("actor={actor}"), 6),
        ("actor=nobody", 0),
        (&format!("subject={}", all[0]["subject"].as_str().unwrap()), 5),
        ("from=2026-01-19", 2),
        ("to=2026-01-16", 2),
    ] {
        assert_eq!(rows(&app, query).len(), count, "{query}");
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.gateway().get(&format!("{AUDIT}?limit=2&cursor={cursor}")).json();
        seen.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let page = owner.page("/admin/default/audit?action=project.change");
    assert_eq!(page.body.matches("<code>project.change</code>").count(), 5);
    assert!(page.body.contains("owner@example.com"), "people see who it was");
    let page = owner.page("/admin/default/audit?actor=OWNER@example.com");
    assert_eq!(page.body.matches("<th scope=\"row\">").count(), 6);
    assert_eq!(owner.visitor.get("/admin/default/audit?from=tomorrow").status, 422);
    let csv = owner.visitor.get("/admin/default/audit.csv");
    assert_eq!((csv.status, csv.header("Content-Type")), (200, Some("text/csv; charset=utf-8")));
    assert_eq!(csv.body.lines().count(), 8, "{}", csv.body);
    let mine = owner.visitor.get("/admin/default/audit.csv?actor=owner@example.com").body;
    assert_eq!(mine.lines().count(), 7, "{mine}");
    let lines = owner.visitor.get("/admin/default/audit.jsonl?action=project").body;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, rows(&app, "action=project"));
}

#[test]
fn the_shell_can_add_change_or_take_away_nothing() {
    let app = App::start();
    app.change_program(|program| program["enabled"] = json!(false));
    for sql in [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit WHERE seq = 2",
        "INSERT OR REPLACE INTO audit SELECT seq, team_id, project_id, 'nobody', action, subject, reason, details, entry_seq,
           entry_hash, at_ms, prev_hash, hash FROM audit WHERE seq = 1",
        "INSERT INTO audit SELECT 9, team_id, project_id, actor, action, subject, reason, details, entry_seq, entry_hash,
           at_ms, hash, x'0000000000000000000000000000000000000000000000000000000000000000' FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT 3, team_id, project_id, actor, action, subject, reason, details, 7, entry_hash,
           at_ms, hash, prev_hash FROM audit WHERE seq = 2",
    ] {
        let before = app.sqlite3("SELECT * FROM audit");
        assert!(app.sqlite3(sql).contains("audit:"), "{sql}");
        assert_eq!(app.sqlite3("SELECT * FROM audit"), before, "{sql}");
    }
}

/// Runs something while the triggers are out of the way.
fn tamper(app: &App, sql: &str) {
    let triggers = include_str!("../../../schema.sql");
    let starts = triggers.match_indices("CREATE TRIGGER audit_").map(|(start, _)| start);
    let back: String =
        starts.map(|start| &triggers[start..start + triggers[start..].find("END;").unwrap() + 4]).collect();
    let drop = "DROP TRIGGER audit_follows; DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;";
    assert_eq!(app.sqlite3(&format!("{drop} {sql}; {back}")), "");
}

#[test]
fn verify_names_the_first_row_that_is_off() {
    for (sql, said) in [
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 2", "audit row 2: the row was changed"),
        ("UPDATE audit SET details = '{}' WHERE seq = 3", "audit row 3: the row was changed"),
        ("DELETE FROM audit WHERE seq = 2", "audit row 3: row 2 is missing"),
        ("UPDATE audit SET entry_seq = 0, entry_hash = zeroblob(32) WHERE seq = 4", "audit row 4: the row was changed"),
    ] {
        let app = App::start();
        app.change_program(|program| program["enabled"] = json!(false));
        app.change_program(|program| program["enabled"] = json!(true));
        app.referee("Bob", &app.developer("Alice").code());
        app.change_program(|program| program["enabled"] = json!(false));
        assert_eq!(problem(&app, None), None);
        app.expect_tampering();
        tamper(&app, sql);
        let found = problem(&app, None).unwrap();
        assert!(found.starts_with(said), "{sql}: {found}");
    }
}

#[test]
fn a_kept_head_shows_a_cut_tail() {
    let app = App::start();
    app.change_program(|program| program["enabled"] = json!(false));
    let head: SignedHead = serde_json::from_str(&app.gateway().get(&format!("{AUDIT}/head")).body).unwrap();
    assert_eq!(head.seq, 2);
    app.change_program(|program| program["enabled"] = json!(true));
    assert_eq!(problem(&app, Some(&head)), None);
    app.expect_tampering();
    tamper(&app, "DELETE FROM audit WHERE seq > 1");
    assert!(problem(&app, Some(&head)).unwrap().starts_with("audit row 2: the tail was cut"));
    let of_ledger: SignedHead = serde_json::from_str(&app.anonymous().get("/v1/ledger/head").body).unwrap();
    assert!(problem(&app, Some(&of_ledger)).unwrap().contains("signature"), "a ledger's head is no log's");
    // Without a kept head a cut tail cannot be seen, and this test's end looks without one.
    tamper(&app, "UPDATE audit SET actor = 'nobody'");
}

#[test]
fn the_log_holds_on_to_the_ledger() {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&app.gateway(), "one", 3);
    app.change_program(|program| program["enabled"] = json!(false));
    let newest = app.sqlite3("SELECT max(seq) FROM entry").trim().to_owned();
    let noted = app.sqlite3("SELECT entry_seq FROM audit ORDER BY seq DESC LIMIT 1").trim().to_owned();
    assert_eq!(noted, newest, "spends that are gathered count as well");
    app.expect_tampering();
    let sql = "DROP TRIGGER entry_no_delete; PRAGMA foreign_keys = OFF; DELETE FROM entry WHERE seq = 1";
    app.sqlite3(sql);
    assert!(problem(&app, None).is_some());
}

#[test]
fn erasing_somebody_leaves_it_valid() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.change_program(|program| program["enabled"] = json!(false));
    assert_eq!(alice.delete("/v1/developers/me").status, 200);
    assert_eq!(problem(&app, None), None);
}

#[test]
fn what_an_operator_does_through_the_projects_api_is_in_it_too() {
    const REFERRALS: &str = "/api/billstack/teams/default/projects/default/referrals";
    let app = App::start();
    let owner = Operator::owner(&app);
    let make = |who: &str| {
        let reply = owner.call("POST", &format!("{REFERRALS}/codes"), &json!({ "customerId": who }));
        reply.json()["code"]["code"].as_str().unwrap().to_owned()
    };
    let code = make("pc_alice");
    let body = json!({ "code": code, "refereeCustomerId": "pc_bob" });
    let applied = owner.call("POST", &format!("{REFERRALS}/apply"), &body);
    assert_eq!(applied.status, 201, "{}", applied.body);
    let deactivate = || owner.call("DELETE", &format!("{REFERRALS}/codes/{code}"), &Value::Null).status;
    assert_eq!((deactivate(), deactivate()), (200, 200));
    make("pc_bob");
    make("pc_bob");
    let noted: Vec<_> = actions(&app).into_iter().filter(|action| !action.starts_with("operator")).collect();
    assert_eq!(
        noted,
        ["key.create", "code.create", "referral.apply", "code.revoke", "code.create"],
        "what does nothing is not noted"
    );
    let alice = app.sqlite3("SELECT account_id FROM code ORDER BY id LIMIT 1");
    let alice = refloop::domain::id::AccountId(alice.trim().parse().unwrap()).to_string();
    for row in [&rows(&app, "action=code.create")[1], &rows(&app, "action=code.revoke")[0]] {
        assert_eq!(row["subject"], json!(alice), "{row}");
        assert!(row["actor"].as_str().unwrap().starts_with("op_"), "{row}");
    }
    let row = &rows(&app, "action=referral.apply")[0];
    assert_eq!((&row["subject"], &row["details"]["referrer"]), (&applied.json()["referral"]["id"], &json!(alice)));
    assert!(!app.sqlite3("SELECT subject, details FROM audit").contains(&code), "a code may be made from a name");
    // A server's everyday calls are no operator's acts.
    let body = json!({ "customerId": "pc_carol" });
    assert_eq!(app.gateway().post(&format!("{REFERRALS}/codes"), body).status, 201);
    assert_eq!(rows(&app, "action=code.create").len(), 2);
}

#[test]
fn one_kept_head_is_enough_for_both_chains() {
    use crate::process::run;
    let app = App::start();
    app.referee("Bob", &app.developer("Alice").code());
    app.change_program(|program| program["enabled"] = json!(false));
    let heads = app.anonymous().get("/v1/ledger/head");
    let document = heads.json();
    let beside: SignedHead = serde_json::from_value(document["audit"].clone()).unwrap();
    assert_eq!((beside.seq, &document["at"]), (2, &json!(beside.at)), "of the same moment");
    let of_log: SignedHead = serde_json::from_str(&app.gateway().get(&format!("{AUDIT}/head")).body).unwrap();
    assert_eq!(beside, of_log);
    let verify = |kept: &Value| {
        let file = app.db().with_file_name("head.json");
        std::fs::write(&file, kept.to_string()).unwrap();
        let args =
            ["verify", app.db().to_str().unwrap(), "--json", "--head", file.to_str().unwrap()].map(str::to_owned);
        run(app.db().parent().unwrap(), &args.each_ref().map(String::as_str)).json()
    };
    assert_eq!(verify(&document)["ok"], true);
    let mut forged = document.clone();
    forged["audit"]["seq"] = json!(1);
    assert!(verify(&forged)["problem"].as_str().unwrap().contains("signature"));
    let mut of_ledger = document.clone();
    of_ledger["audit"] = Value::Null;
    assert_eq!(verify(&of_ledger)["ok"], true);
    of_ledger.as_object_mut().unwrap().remove("audit");
    assert_eq!(verify(&of_ledger)["ok"], true, "one that was kept of the ledger alone");
    app.expect_tampering();
    tamper(&app, "DELETE FROM audit WHERE seq > 1");
    let found = verify(&document);
    assert!(found["problem"].as_str().unwrap().starts_with("audit row 2: the tail was cut"), "{found}");
    // Without a kept head a cut tail cannot be seen, and this test's end looks without one.
    tamper(&app, "UPDATE audit SET actor = 'nobody'");
}
