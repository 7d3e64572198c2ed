//! Finding developers, and seeing everything about one.

use super::desk::{Desk, call};
use crate::harness::App;
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

fn found(app: &App, q: &str) -> Vec<String> {
    let encoded = percent_encoding::utf8_percent_encode(q, percent_encoding::NON_ALPHANUMERIC).to_string();
    let reply = app.gateway().get(&call(&format!("developers?q={encoded}")));
    assert_eq!(reply.status, 200, "{q}: {}", reply.body);
    let data = reply.json()["data"].as_array().unwrap().clone();
    data.iter().map(|row| row["name"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn developers_are_found_by_whatever_is_known_of_them() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    app.sign_up("Bob", "bob.miller@acme.example", None);
    app.sign_up("Bobby", "bob.moss@acme.example", None);
    app.sign_up("Carol", "carol@other.example", None);
    app.sqlite3("UPDATE account SET external_id = 'cus.42' WHERE name = 'Carol'");
    assert_eq!(found(&app, ""), ["Carol", "Bobby", "Bob", "Alice"], "newest first");
    for (q, names) in [
        (alice.id.as_str(), vec!["Alice"]),
        (&code.to_lowercase(), vec!["Alice"]),
        ("Bob.Miller@Acme.example", vec!["Bob"]),
        ("bob.m", vec!["Bob", "Bobby"]),
        ("bob.miller@a", vec!["Bob"]),
        ("@ACME.example", vec!["Bobby", "Bob"]),
        ("acme.example", vec!["Bobby", "Bob"]),
        ("cus.42", vec!["Carol"]),
        ("carol", vec!["Carol"]),
        ("nobody", vec![]),
        ("dev_0000000000001", vec![]),
        ("%_", vec![]),
    ] {
        assert_eq!(found(&app, q), names, "{q}");
    }
    assert_eq!(app.gateway().get(&call("developers?q=a%00b")).faults(), ["q: invalid_characters"]);
}

#[test]
fn each_kind_of_search_is_paged_to_its_end() {
    let app = App::start();
    for n in 0..7 {
        app.sign_up(&format!("Name{n}"), &format!("same{n}@one.example"), None);
    }
    // One who is named by the search leads the first page, and comes up on no other.
    app.sqlite3("UPDATE account SET external_id = 'same' WHERE name = 'Name6'");
    app.sqlite3("UPDATE account SET external_id = 'one.example' WHERE name = 'Name0'");
    for q in ["", "same", "@one.example", "one.example"] {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.gateway().get(&call(&format!("developers?q={q}&limit=3&cursor={cursor}"))).json();
            names.extend(page["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        names.sort();
        assert_eq!(names, (0..7).map(|n| format!("Name{n}")).collect::<Vec<_>>(), "{q}");
    }
}

#[test]
fn the_erased_are_found_by_their_id_only() {
    let app = App::start();
    let alice = app.developer("Alice");
    alice.delete("/v1/developers/me");
    assert!(found(&app, "").is_empty() && found(&app, "alice").is_empty());
    assert_eq!(found(&app, &alice.id), ["-"]);
    let file = app.gateway().get(&call(&format!("developers/{}", alice.id))).json();
    assert!(file["erased_at"].is_string() && file["email"].is_null(), "{file}");
}

#[test]
fn one_developer_s_file_has_all_that_there_is() {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&app.gateway(), "u-1", 5);
    let purchase = json!({ "id": "p-1", "developer_id": bob.id, "amount": 900, "currency": "usd" });
    app.gateway().post("/v1/purchases", purchase);
    app.gateway().post("/v1/refunds", json!({ "id": "r-1", "purchase_id": "p-1", "amount": 1_000 }));
    let get = |rest: &str| app.gateway().get(&call(&format!("developers/{rest}"))).json();
    let file = get(&alice.id);
    assert_eq!(file["email"], "alice@alice.example");
    assert_eq!(file["balance"], json!({ "available": 500, "pending": 500, "owed": 0 }));
    assert_eq!((&file["referrals"], &file["conversions"], &file["calls"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(file["codes"][0]["uses_count"], 1);
    assert_eq!((file["keys"].as_array().unwrap().len(), file["lots"].as_array().unwrap().len()), (1, 2));
    assert!(file["keys"][0]["hint"].as_str().unwrap().contains('…') && !file.to_string().contains(&alice.key));
    assert_eq!(get(&bob.id)["referred_by"], json!(alice.id));
    assert_eq!(get(&bob.id)["balance"]["available"], 995, "what is spent is counted at once");
    let referral = &get(&format!("{}/referrals", alice.id))["data"][0];
    assert_eq!((&referral["email"], &referral["status"]), (&json!("bob@bob.example"), &json!("first_call")));
    let bought = &get(&format!("{}/purchases", bob.id))["data"][0];
    assert_eq!((&bought["id"], &bought["refunded"]), (&json!("p-1"), &json!(900)));
    let entries = get(&format!("{}/ledger?limit=1", alice.id));
    assert_eq!((&entries["data"][0]["kind"], entries["next_cursor"].is_string()), (&json!("grant"), true));
    let rules: Vec<Value> = get(&format!("{}/decisions", alice.id))["data"].as_array().unwrap().clone();
    assert!(rules.iter().any(|row| row["rule"] == "referral_first_call" && row["inputs"]["calls_after"] == 5));
    assert_eq!(get(&format!("{}/payouts", alice.id))["data"], json!([]));
    for rest in ["", "/ledger", "/referrals", "/purchases", "/payouts", "/decisions"] {
        for id in ["dev_0000000000001", "nobody"] {
            assert_eq!(app.gateway().get(&call(&format!("developers/{id}{rest}"))).problem(404), "not_found");
        }
    }
}

#[test]
fn another_project_s_developers_are_not_there() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    app.project("acme", Preset::Credits, "live");
    let acme = app.gateway_of("acme");
    for q in ["", &alice.id, &code, "alice", "@alice.example"] {
        let reply = acme.get(&format!("/v1/admin/projects/acme/developers?q={q}")).json();
        assert_eq!(reply["data"], json!([]), "{q}");
    }
    assert_eq!(acme.get(&format!("/v1/admin/projects/acme/developers/{}", alice.id)).status, 404);
    assert_eq!(acme.get(&call("developers")).status, 404, "the project itself");
    let body = json!({ "amount": 5, "reason": "x" });
    let path = format!("/v1/admin/projects/acme/developers/{}/adjustments", alice.id);
    assert_eq!(acme.post(&path, body).status, 404);
}

#[test]
fn who_may_only_read_sees_masked_addresses_and_no_names() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.referee("Bobina", &alice.code());
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    let owner = Desk::sign_in(&app, OperatorRole::Owner);
    for path in [
        call("developers"),
        call(&format!("developers/{}", alice.id)),
        call(&format!("developers/{}/referrals", alice.id)),
        call("exports/developers.csv"),
        call("exports/referrals.csv"),
        "/admin/default/developers".into(),
        format!("/admin/default/developers/{}", alice.id),
    ] {
        let (masked, whole) = (reader.browser.get(&path), owner.browser.get(&path));
        assert_eq!((masked.status, whole.status), (200, 200), "{path}: {}", masked.body);
        let shows = |body: &str| body.contains("alice@alice.example") || body.contains("bobina@bobina.example");
        assert!(!shows(&masked.body) && masked.body.contains("***@"), "{path}: {}", masked.body);
        assert!(shows(&whole.body), "{path}: {}", whole.body);
        assert!(!masked.body.contains(">Alice<") && !masked.body.contains("\"Alice\""), "{path}");
    }
}

#[test]
fn who_may_only_read_finds_no_address_by_its_beginning() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    app.sign_up("Alicia", "alice@alice.example.com", None);
    app.sqlite3("UPDATE account SET external_id = 'ali' WHERE name = 'Alicia'");
    let reader = Desk::sign_in(&app, OperatorRole::ReadOnly);
    let owner = Desk::sign_in(&app, OperatorRole::Owner);
    for (q, to_reader, to_owner) in [
        ("a", 0, 2),
        ("alic", 0, 2),
        ("alice@", 0, 2),
        ("alice@alice.example", 1, 2),
        ("Alice@Alice.Example", 1, 2),
        ("alice@alice.example.com", 1, 1),
        ("@alice.example", 1, 1),
        ("alice.example", 1, 1),
        ("ali", 1, 2),
        (code.as_str(), 1, 1),
        (alice.id.as_str(), 1, 1),
        ("", 2, 2),
    ] {
        for (desk, count) in [(&reader, to_reader), (&owner, to_owner)] {
            let found = desk.browser.get(&call(&format!("developers?q={q}"))).json();
            assert_eq!(found["data"].as_array().unwrap().len(), count, "{q}: {found}");
            let page = desk.page(&format!("developers?q={q}")).body;
            assert_eq!(page.matches("class=\"who\"").count(), count, "{q}: {page}");
        }
    }
}

#[test]
fn an_erased_account_says_who_erased_it() {
    let app = App::start();
    let (alice, bob, carol) = (app.developer("Alice"), app.developer("Bob"), app.developer("Carol"));
    let owner = Desk::sign_in(&app, OperatorRole::Owner);
    alice.delete("/v1/developers/me");
    let erase = |id: &str| json!({ "confirm": id, "reason": "asked to" });
    app.gateway().post(&call(&format!("developers/{}/erase", bob.id)), erase(&bob.id));
    let json = [("Content-Type", "application/json")];
    let path = call(&format!("developers/{}/erase", carol.id));
    assert_eq!(owner.browser.send("POST", &path, &json, &erase(&carol.id).to_string()).status, 200);
    let by = |id: &str| {
        let by = app.gateway().get(&call(&format!("developers/{id}"))).json()["erased_by"].as_str().unwrap().to_owned();
        by.split('_').next().unwrap().to_owned()
    };
    assert_eq!([by(&alice.id), by(&bob.id), by(&carol.id)], ["developer", "key", "op"]);
    for (id, words) in [(&alice.id, "by themselves"), (&bob.id, "by key_"), (&carol.id, "by owner@team.example")] {
        let page = owner.page(&format!("developers/{id}")).body;
        assert!(page.contains("Erased on") && page.contains(words), "{words}: {page}");
    }
    let noted = app.sqlite3("SELECT count(*) FROM audit WHERE action = 'account.erase'");
    assert_eq!(noted.trim(), "2", "leaving oneself is no operator's act");
}
