//! Codes of customers: one active each, listed, ended.

use super::{Acme, path};
use crate::harness::App;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

/// The codes of a list, in its order.
fn listed(acme: &Acme, query: &str) -> Vec<String> {
    let reply = acme.gateway.get(&path(&format!("codes{query}")));
    assert_eq!(reply.status, 200, "{}", reply.body);
    let reply = reply.json();
    reply["codes"].as_array().unwrap().iter().map(|code| code["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_customer_has_one_active_code() {
    let acme = Acme::start();
    let made = acme.make_code("alice");
    acme.app.advance_days(1);
    let again = acme.make_code("alice");
    assert_eq!((made.status, again.status), (201, 200));
    assert_eq!(made.json(), again.json());
    let code = acme.code("alice");
    assert_eq!(acme.gateway.delete(&path(&format!("codes/{code}"))).status, 200);
    let next = acme.make_code("alice");
    assert_eq!(next.status, 201);
    assert_ne!(next.json()["code"]["code"], json!(code));
    assert_eq!(acme.app.sqlite3("SELECT count(*) FROM account").trim(), "1");
}

#[test]
fn codes_are_made_as_the_program_says() {
    let acme = Acme::with(Preset::Bonus);
    let code = acme.code("alice");
    assert!(code.len() == 8 && code.bytes().all(|b| b.is_ascii_hexdigit()), "{code}");
    assert_eq!(Acme::with(Preset::Credits).code("alice").len(), 8, "there is no name to make one from");
}

#[test]
fn a_disabled_program_still_makes_codes() {
    let acme = Acme::start();
    acme.set_config(false, 1, 1);
    assert_eq!(acme.make_code("alice").status, 201);
}

#[test]
fn each_customer_id_that_is_none() {
    let acme = Acme::start();
    let before = acme.app.dump();
    for (id, fault) in [
        (Value::Null, "required"),
        (json!(""), "required"),
        (json!(5), "wrong_type"),
        (json!(["alice"]), "wrong_type"),
        (json!(" alice"), "invalid_characters"),
        (json!("a\nb"), "invalid_characters"),
        (json!("a\0b"), "invalid_characters"),
        (json!("a\u{202e}b"), "invalid_characters"),
        (json!("x".repeat(129)), "too_long"),
    ] {
        let reply = acme.gateway.post(&path("codes"), json!({ "customerId": id }));
        assert_eq!(reply.faults(), [format!("customerId: {fault}")], "{id}");
    }
    assert!(acme.app.dump() == before);
    for id in ["x".repeat(128).as_str(), "客户 7", "'; DROP TABLE code; --", "null"] {
        assert_eq!(acme.make_code(id).json()["code"]["customerId"], id);
    }
}

#[test]
fn lists_are_newest_first_and_in_parts() {
    let acme = Acme::start();
    let mut codes: Vec<String> = (0..60).map(|n| acme.code(&format!("pc_{n}"))).collect();
    codes.reverse();
    assert_eq!(listed(&acme, ""), codes[..50]);
    assert_eq!(listed(&acme, "?limit=200"), codes);
    assert_eq!(listed(&acme, "?limit=1"), codes[..1]);
    assert_eq!(listed(&acme, "?limit=25&offset=50"), codes[50..]);
    assert_eq!(listed(&acme, "?offset=59"), codes[59..]);
    assert_eq!(listed(&acme, "?offset=60"), Vec::<String>::new());
    assert_eq!(listed(&acme, "?offset=9223372036854775807"), Vec::<String>::new());
    for (query, fault) in [
        ("?limit=0", "limit: out_of_range"),
        ("?limit=201", "limit: out_of_range"),
        ("?limit=x", "limit: out_of_range"),
        ("?offset=-1", "offset: out_of_range"),
        ("?activeOnly=yes", "activeOnly: wrong_type"),
    ] {
        assert_eq!(acme.gateway.get(&path(&format!("codes{query}"))).faults(), [fault], "{query}");
    }
}

#[test]
fn only_active_ones_unless_all_are_asked_for() {
    let acme = Acme::start();
    let codes = ["bob", "alice"].map(|customer| acme.code(customer));
    let [active, ended] = [0, 1].map(|place| &codes[place..=place]);
    acme.gateway.delete(&path(&format!("codes/{}", codes[1])));
    assert_eq!(listed(&acme, ""), active);
    assert_eq!(listed(&acme, "?activeOnly=true"), active);
    assert_eq!(listed(&acme, "?activeOnly=false"), [&codes[1], &codes[0]].map(String::clone));
    assert_eq!(listed(&acme, "?activeOnly=false&limit=1"), ended);
    let all = acme.gateway.get(&path("codes?activeOnly=false")).json();
    assert_eq!((&all["codes"][0]["isActive"], &all["codes"][0]["customerId"]), (&json!(false), &json!("alice")));
}

#[test]
fn ending_a_code_twice_is_ending_it_once() {
    let acme = Acme::start();
    let code = acme.code("alice");
    let place = path(&format!("codes/{}", code.to_lowercase()));
    let first = acme.gateway.delete(&place);
    let before = acme.app.dump();
    acme.app.advance_days(1);
    let second = acme.gateway.delete(&place);
    assert_eq!((first.status, second.status, &first.body), (200, 200, &second.body));
    assert!(acme.app.dump() == before, "the first time stands");
    assert_eq!(acme.history(&code)["code"]["isActive"], false);
    let next = acme.code("alice");
    acme.gateway.delete(&place);
    assert_eq!(acme.history(&next)["code"]["isActive"], true, "the customer's other code is left alone");
}

#[test]
fn a_code_that_is_not_there_is_404() {
    let acme = Acme::start();
    // Another project's.
    let foreign = acme.app.developer("Alice").code();
    let before = acme.app.dump();
    for code in [foreign.as_str(), "NOSUCHCODE", "x", "%00", "%ff", "a%2fb", "ALI%20CE", &"X".repeat(5_000)] {
        let place = path(&format!("codes/{code}"));
        assert_eq!(acme.gateway.get(&place).problem(404), "not_found", "{code:.40}");
        assert_eq!(acme.gateway.delete(&place).problem(404), "not_found", "{code:.40}");
    }
    assert!(acme.app.dump() == before);
}

#[test]
fn the_history_is_newest_first_and_in_parts() {
    let acme = Acme::start();
    let code = acme.code("alice");
    let mut ids: Vec<Value> = (0..60).map(|n| acme.referral(&code, &format!("pc_{n}"))["id"].clone()).collect();
    ids.reverse();
    let part = |query: &str| -> Vec<Value> {
        let referrals = acme.history(&format!("{code}{query}"))["referrals"].clone();
        referrals.as_array().unwrap().iter().map(|referral| referral["id"].clone()).collect()
    };
    assert_eq!(part(""), ids, "all of it");
    assert_eq!(part("?limit=10&offset=45"), ids[45..55]);
    assert_eq!(part("?offset=60"), Vec::<Value>::new());
}

#[test]
fn a_history_holds_what_came_through_this_code_alone() {
    let acme = Acme::start();
    let first = acme.code("alice");
    acme.referral(&first, "bob");
    acme.gateway.delete(&path(&format!("codes/{first}")));
    let second = acme.code("alice");
    acme.referral(&second, "carol");
    let referees = |code: &str| acme.history(code)["referrals"][0]["refereeCustomerId"].clone();
    assert_eq!((referees(&first), referees(&second)), (json!("bob"), json!("carol")));
    assert_eq!((acme.statuses(&first).len(), acme.statuses(&second).len()), (1, 1));
}

#[test]
fn developers_who_signed_up_here_go_by_the_id_they_have_here() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    let place = |rest: &str| format!("/api/billstack/teams/default/projects/default/referrals/{rest}");
    let gateway = app.gateway();
    let list = gateway.get(&place("codes")).json();
    assert_eq!((&list["codes"][0]["customerId"], &list["codes"][0]["code"]), (&json!(alice.id), &json!(code)));
    let again = gateway.post(&place("codes"), json!({ "customerId": alice.id }));
    assert_eq!((again.status, &again.json()["code"]["code"]), (200, &json!(code)), "the id leads back to her");
    app.referee("Bob", &code).use_api(&gateway, "u1", 1);
    let history = gateway.get(&place(&format!("codes/{code}"))).json();
    assert_eq!(history["referrals"][0]["status"], "converted");
    // Once she is erased, nobody has her id; her old code is there, and ended.
    assert_eq!(alice.delete("/v1/developers/me").status, 200);
    let history = gateway.get(&place(&format!("codes/{code}"))).json();
    assert_eq!((&history["code"]["isActive"], &history["code"]["customerId"]), (&json!(false), &json!(alice.id)));
    for id in [alice.id.as_str(), "dev_0000000000001"] {
        let reply = gateway.post(&place("codes"), json!({ "customerId": id }));
        assert_eq!(reply.faults(), ["customerId: unknown_customer"], "{id}");
    }
    let late = json!({ "code": app.developer("Carol").code(), "refereeCustomerId": alice.id });
    assert_eq!(gateway.post(&place("apply"), late).faults(), ["refereeCustomerId: unknown_customer"]);
    assert_eq!(app.sqlite3("SELECT count(*) FROM account").trim(), "3");
}

#[test]
fn times_are_those_of_the_project() {
    let app = App::start();
    app.project("trial", Preset::Subscription, "test");
    let gateway = app.gateway_of("trial");
    assert_eq!(gateway.post("/v1/test-clock", json!({ "advance": "P30D" })).status, 200);
    let place = |rest: &str| format!("/api/billstack/teams/default/projects/trial/referrals/{rest}");
    let made = gateway.post(&place("codes"), json!({ "customerId": "alice" })).json();
    assert_eq!(made["code"]["createdAt"], "2026-02-14T10:00:00Z");
    let body = json!({ "code": made["code"]["code"], "refereeCustomerId": "bob" });
    assert_eq!(gateway.post(&place("apply"), body).json()["referral"]["createdAt"], "2026-02-14T10:00:00Z");
}
