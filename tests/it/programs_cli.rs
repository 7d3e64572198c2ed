//! A program's versions, its faults, and what a change would have paid, on the command line.

use crate::harness::App;
use crate::process::{Caller, Said, Server, empty_dir, run, run_with_input, sqlite3};
use refloop::domain::program::{Preset, Program};
use refloop::engine::Project;
use serde_json::{Value, json};
use std::path::Path;

fn printed(dir: &Path) -> Value {
    run(dir, &["project", "program", "default", "--json"]).json()
}

fn set(dir: &Path, program: &Value) -> Said {
    run_with_input(dir, &["project", "program", "default", "-", "--json"], &program.to_string())
}

fn try_out(dir: &Path, program: &Value) -> Said {
    run_with_input(dir, &["project", "program", "default", "-", "--dry-run", "--json"], &program.to_string())
}

fn dump(dir: &Path) -> String {
    sqlite3(&dir.join("refloop.db"), ".dump")
}

#[test]
fn every_fault_of_a_program_is_told_with_what_is_allowed() {
    let (_keep, dir) = empty_dir();
    let _server = Server::start(&dir);
    let mut program = printed(&dir);
    program["unit"] = json!("Dollars");
    program["rules"][0]["to"] = json!("friend");
    program["rules"][2]["hold_days"] = json!("a week");
    program["rules"][3]["bonus"] = json!(true);
    let before = dump(&dir);
    let said = set(&dir, &program);
    assert_eq!(said.code, 1);
    let faults = said.json()["error"]["errors"].clone();
    for (path, found, allowed) in [
        ("unit", "Dollars", "credits, or a currency code in lower case"),
        ("rules[0].to", "friend", "referrer or referee"),
        ("rules[2].hold_days", "a week", "a whole number from 0 to 36500"),
        ("rules[3].bonus", "no such field", "reason, on, to, amount, basis_points"),
    ] {
        let fault = faults.as_array().unwrap().iter().find(|fault| fault["field"] == path);
        let detail = fault.unwrap_or_else(|| panic!("{path}: {faults}"))["detail"].as_str().unwrap();
        assert!(detail.contains(found) && detail.contains(allowed), "{path}: {detail}");
        assert!(said.err.contains(&format!("  {path}: {detail}")), "people read it too: {}", said.err);
    }
    assert_eq!(faults.as_array().unwrap().len(), 4, "{faults}");
    for text in ["", "{", "[]", "null", "{}", "\u{feff}{}", "[[[[[[", "{\"rules\": 5}"] {
        let said = run_with_input(&dir, &["project", "program", "default", "-", "--json"], text);
        assert_eq!((said.code, said.json()["error"]["errors"].is_array()), (1, true), "{text}: {said:?}");
    }
    std::fs::write(dir.join("bytes.json"), [0xff, 0xfe, 0]).unwrap();
    std::fs::write(dir.join("huge.json"), " ".repeat((8 << 20) + 1)).unwrap();
    for (file, why) in [("bytes.json", "UTF-8"), ("huge.json", "longer than 8 MiB"), (".", "directory")] {
        let said = run(&dir, &["project", "program", "default", file]);
        assert!(said.refusal().contains(why), "{file}: {said:?}");
    }
    assert!(dump(&dir) == before, "a refusal changed the file");
}

#[test]
fn old_versions_are_kept_with_who_and_when() {
    let (_keep, dir) = empty_dir();
    let _server = Server::start(&dir);
    let first = run(&dir, &["project", "program", "default"]).out;
    let mut program = printed(&dir);
    program["rules"][0]["amount"] = json!(7);
    assert_eq!(set(&dir, &program).json()["version"], 2);
    program["rules"][0]["amount"] = json!(8);
    assert_eq!(set(&dir, &program).json()["version"], 3);
    let listed = run(&dir, &["project", "program", "default", "--versions", "--json"]).json();
    let rows = listed["versions"].as_array().unwrap();
    let of = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("version"), [3, 2, 1]);
    assert_eq!(of("author"), ["command line", "command line", "first start"]);
    assert!(rows.iter().all(|row| row["created_at"].as_str().unwrap().ends_with('Z')), "{listed}");
    assert_eq!(run(&dir, &["project", "program", "default", "--versions"]).out.lines().count(), 3);
    assert_eq!(run(&dir, &["project", "program", "default", "--version", "1"]).out, first, "verbatim");
    let second = run(&dir, &["project", "program", "default", "--version", "2", "--json"]).json();
    assert_eq!(second["rules"][0]["amount"], 7);
    for version in ["0", "4", "9223372036854775807"] {
        let said = run(&dir, &["project", "program", "default", "--version", version]);
        assert!(said.refusal().contains("no version"), "{said:?}");
    }
    for args in [&["--version", "x"][..], &["--versions", "--version", "1"], &["-", "--versions"], &["--dry-run"]] {
        assert_eq!(run(&dir, &[&["project", "program", "default"], args].concat()).code, 2, "{args:?}");
    }
}

/// Alice, and three who came by her code: one has done nothing, one has called once, one 150 times.
fn past(server: &Server) {
    let caller = Caller::new(&server.url);
    let gateway = server.gateway_key();
    let sign_up = |name: &str, code: Option<&str>| {
        let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name,
                           "referral_code": code });
        caller.post(None, "/v1/developers/signup", &body).unwrap().json()
    };
    let alice = sign_up("alice", None);
    let code = caller.post(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({})).unwrap().json();
    for (name, calls) in [("bob", 0), ("carol", 1), ("dave", 150)] {
        let key = sign_up(name, code["referral_code"].as_str())["api_key"].clone();
        let usage = json!({ "id": name, "api_key": key, "calls": calls });
        assert_eq!(caller.post(Some(&gateway), "/v1/usage", &usage).unwrap().status, 200);
    }
    // Rejected: it earns nothing under any program.
    assert_eq!(sign_up("alice.example", code["referral_code"].as_str())["referral"]["status"], "applied");
    let own = json!({ "email": "other@alice.example", "password": "secure-password", "name": "Own",
                      "referral_code": code["referral_code"] });
    let own = caller.post(None, "/v1/developers/signup", &own).unwrap().json();
    assert_eq!(own["referral"]["status"], "rejected");
}

#[test]
fn a_dry_run_says_what_a_change_would_have_paid_and_writes_nothing() {
    let (_keep, dir) = empty_dir();
    let mut server = Server::start(&dir);
    past(&server);
    let mut proposed = printed(&dir);
    proposed["rules"][1]["amount"] = json!(800);
    proposed["rules"][3]["on"] = json!("calls:200");
    proposed["rules"].as_array_mut().unwrap().push(json!(
        { "reason": "welcome_back", "on": "calls:150", "to": "referee", "amount": 50 }
    ));
    // Killed, so that what it spent and counted is in no projection yet.
    server.kill_9();
    let before = dump(&dir);
    let said = try_out(&dir, &proposed);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(dump(&dir) == before, "a dry run changed the file");

    let document = said.json();
    assert_eq!(
        (&document["referrals"], &document["version"], &document["unit"]),
        (&json!(4), &json!(1), &json!("credits"))
    );
    let sums = |line: &Value| {
        let of = |which: &str| [line[which]["grants"].as_i64().unwrap(), line[which]["sum"].as_i64().unwrap()];
        (of("current"), of("proposed"), of("difference"))
    };
    let rules: Vec<_> =
        document["rules"].as_array().unwrap().iter().map(|line| (line["rule"].as_str().unwrap(), sums(line))).collect();
    assert_eq!(
        rules,
        [
            ("signup_bonus", ([4, 4_000], [4, 4_000], [0, 0])),
            ("referral_signup", ([4, 2_000], [4, 3_200], [0, 1_200])),
            ("referral_first_call", ([2, 1_000], [2, 1_000], [0, 0])),
            ("referral_active", ([1, 1_000], [0, 0], [-1, -1_000])),
            ("welcome_back", ([0, 0], [1, 50], [1, 50])),
        ]
    );
    assert_eq!(sums(&document["total"]), ([11, 8_000], [11, 8_250], [0, 250]));
    assert_eq!((&document["rules"][0]["to"], &document["rules"][1]["to"]), (&json!("referee"), &json!("referrer")));
    let granted = sqlite3(&dir.join("refloop.db"), "SELECT count(*), sum(amount) FROM entry WHERE kind = 'grant'");
    assert_eq!(granted, "11|8000\n", "the program in force is said to pay what it has paid");

    std::fs::write(dir.join("next.json"), proposed.to_string()).unwrap();
    let text = run(&dir, &["project", "program", "default", "next.json", "--dry-run"]).out;
    for part in ["Over 4 referrals", "welcome_back", "referee", "3,200 in 4", "-1,000 in -1", "8,250 in 11", "in all"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let _server = Server::start(&dir);
    let again = try_out(&dir, &proposed).json();
    assert_eq!(again, document, "beside a running server it says the same");
    assert_eq!(printed(&dir)["rules"][1]["amount"], 500);

    proposed["unit"] = json!("usd");
    let said = try_out(&dir, &proposed);
    assert_eq!((said.code, &said.json()["error"]["code"]), (1, &json!("unit_is_fixed")), "as setting it would be");
    proposed["unit"] = json!("USD");
    assert_eq!(try_out(&dir, &proposed).json()["error"]["errors"][0]["field"], "unit");
    assert!(run(&dir, &["verify"]).out.starts_with("ok"));
}

#[test]
fn the_program_in_force_would_have_paid_what_it_has_paid() {
    let app = App::start();
    let shop = app.project("shop", Preset::Commission, "live");
    let (gateway, alice) = (app.gateway_of("shop"), sign_up_at(&app, &shop, "alice", None));
    let code = alice.1;
    let shoppers: Vec<_> = ["bob", "carol", "dave"].map(|name| sign_up_at(&app, &shop, name, Some(&code)).0).into();
    for (place, amount) in [99, 100, 5_000, 12_345, 1, 777].into_iter().enumerate() {
        let body = json!({ "id": format!("p{place}"), "developer_id": shoppers[place % 2], "amount": amount, "currency": "usd" });
        assert_eq!(gateway.post("/v1/purchases", body).status, 201);
    }
    gateway.post("/v1/refunds", json!({ "id": "r1", "purchase_id": "p3", "amount": 12_345 }));
    let before = app.dump();
    let current = Preset::Commission.program();
    let (_, same) = app.engine.try_program(&shop, &current).unwrap();
    let granted = app.sqlite3("SELECT count(*), sum(amount) FROM entry WHERE kind = 'grant'");
    assert_eq!(granted.trim(), format!("{}|{}", same.current.grants, same.current.amount), "refunds come on top");
    assert_eq!((same.current, same.referrals), (same.proposed, 3));
    let doubled = Program::from_json(&current.to_json().replace("500", "1000")).unwrap();
    let (_, doubled) = app.engine.try_program(&shop, &doubled).unwrap();
    let commission = &doubled.rules[1];
    assert_eq!((commission.current.amount, commission.proposed.amount), (5 + 250 + 617 + 39, 10 + 500 + 1_235 + 78));
    assert!(app.dump() == before);
}

#[test]
fn a_dry_run_counts_the_convert_call() {
    let app = App::start();
    let shop = app.project("shop", Preset::Bonus, "live");
    let alice = sign_up_at(&app, &shop, "alice", None);
    sign_up_at(&app, &shop, "bob", Some(&alice.1));
    sign_up_at(&app, &shop, "carol", Some(&alice.1));
    let mut proposed = Preset::Bonus.program();
    proposed.rules[0].amount = Some(8);
    let totals = || {
        let (_, comparison) = app.engine.try_program(&shop, &proposed).unwrap();
        [comparison.current.amount, comparison.proposed.amount]
    };
    assert_eq!(totals(), [0, 0]);
    // As the conversion API leaves it.
    let said = app.sqlite3(
        "INSERT INTO decision (id, project_id, referral_id, program_version, event, rule, inputs, verdict, code, at_ms)
         SELECT 1, project_id, min(id), 1, 'convert', 'referral_conversion', '{}', 'refused', 'nothing_due', 1 FROM referral",
    );
    assert_eq!((said.as_str(), totals()), ("", [5, 8]));
}

/// The id and the code of someone who signs up with a project that has no host.
fn sign_up_at(app: &App, project: &Project, name: &str, code: Option<&str>) -> (String, String) {
    app.engine
        .set_project(&project.slug, vec![(refloop::domain::setting::Setting::Host, "shop.example".into())])
        .unwrap();
    let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name,
                       "referral_code": code });
    let headers = [("Content-Type", "application/json"), ("Host", "shop.example")];
    let reply = app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes());
    assert_eq!(reply.status, 201, "{}", reply.body);
    let key = reply.json()["api_key"].as_str().unwrap().to_owned();
    let made = app.anonymous().with_key(&key).post("/v1/developers/referral-code", json!({}));
    (
        reply.json()["developer"]["id"].as_str().unwrap().to_owned(),
        made.json()["referral_code"].as_str().unwrap().to_owned(),
    )
}
