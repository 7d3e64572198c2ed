//! The referrer's list of referrals.

use crate::harness::App;
use serde_json::{Value, json};

const LIST: &str = "/v1/developers/referrals";

fn emails(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|item| item["email"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_referral_shows_its_milestones_and_what_each_brought() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.sign_up("Bob", "username@domain.example", Some(&alice.code()));
    app.advance_days(1);
    bob.use_api(&gateway, "first", 1);
    app.advance_days(1);
    bob.use_api(&gateway, "more", 99);
    let reply = alice.get(LIST);
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains("username@"));
    let mut page = reply.json();
    let item = &mut page["data"][0];
    assert!(item["id"].take().as_str().unwrap().starts_with("ref_"));
    for credit in item["credits"].as_array_mut().unwrap() {
        assert!(credit["id"].take().as_str().unwrap().starts_with("rc_"));
    }
    let credit = |reason: &str, amount: i64, status: &str, vests_at: &str| json!({ "id": null, "reason": reason, "amount": amount, "status": status, "vests_at": vests_at });
    assert_eq!(
        page,
        json!({
            "data": [{
                "id": null,
                "email": "user***@domain.example",
                "status": "active",
                "reason": null,
                "code": "ALICE2026",
                "signed_up_at": "2026-01-15T10:00:00Z",
                "first_call_at": "2026-01-16T10:00:00Z",
                "active_at": "2026-01-17T10:00:00Z",
                "converted_at": "2026-01-16T10:00:00Z",
                "credits": [
                    credit("referral_signup", 500, "ELIGIBLE", "2026-01-15T10:00:00Z"),
                    credit("referral_first_call", 500, "PENDING", "2026-01-23T10:00:00Z"),
                    credit("referral_active", 1_000, "PENDING", "2026-01-24T10:00:00Z"),
                ],
                "credits_total": 2_000,
            }],
            "next_cursor": null,
        })
    );
    assert_eq!(bob.get(LIST).json()["data"], json!([]), "the referee sees nothing of it");
}

#[test]
fn addresses_are_masked_by_half_and_at_most_four() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    for (email, masked) in [
        ("a@one.example", "***@one.example"),
        ("ab@two.example", "a***@two.example"),
        ("abcde@three.example", "ab***@three.example"),
        ("abcdefghijkl@four.example", "abcd***@four.example"),
    ] {
        app.sign_up("Bob", email, Some(&code));
        assert_eq!(alice.get(LIST).json()["data"][0]["email"], masked);
    }
}

#[test]
fn each_status_filters() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    app.referee("Bob", &code);
    app.referee("Carol", &code).use_api(&gateway, "carol", 1);
    app.referee("Dave", &code).use_api(&gateway, "dave", 100);
    app.sign_up("Eve", "eve@alice.example", Some(&code));
    for (status, found) in [
        ("signed_up", vec!["b***@bob.example"]),
        ("first_call", vec!["ca***@carol.example"]),
        ("active", vec!["da***@dave.example"]),
        ("rejected", vec!["e***@alice.example"]),
        ("converted", vec![]),
        ("review", vec![]),
    ] {
        let page = alice.get(&format!("{LIST}?status={status}")).json();
        assert_eq!(emails(&page), found, "{status}");
    }
    assert_eq!(emails(&alice.get(&format!("{LIST}?status=")).json()).len(), 4);
    for wrong in ["ACTIVE", "x", "signed_up,active"] {
        assert_eq!(alice.get(&format!("{LIST}?status={wrong}")).faults(), ["status: invalid_status"]);
    }
}

#[test]
fn a_purchase_makes_a_referral_converted_where_the_program_says_so() {
    let app = App::start();
    app.change_program(|program| program["conversion"] = json!("first_purchase"));
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&gateway, "first", 1);
    assert_eq!(alice.stats()["conversions"], 0);
    app.advance_days(1);
    let purchase = json!({ "id": "p1", "developer_id": bob.id, "amount": 500, "currency": "usd" });
    assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
    let item = alice.get(&format!("{LIST}?status=converted")).json()["data"][0].clone();
    assert_eq!(
        (&item["converted_at"], &item["first_call_at"]),
        (&json!("2026-01-16T10:00:00Z"), &json!("2026-01-15T10:00:00Z"))
    );
    assert_eq!(alice.stats()["conversions"], 1);
}

#[test]
fn pages_stay_right_while_rows_arrive() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    for n in 0..5 {
        app.sign_up("Bob", &format!("bob{n}@old{n}.example"), Some(&code));
    }
    let (mut seen, mut cursor, mut arrived) = (Vec::new(), String::new(), 0);
    loop {
        let page = alice.get(&format!("{LIST}?limit=2&cursor={cursor}")).json();
        assert!(page["data"].as_array().unwrap().len() <= 2);
        seen.extend(emails(&page));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
        app.sign_up("Bob", &format!("late{arrived}@new{arrived}.example"), Some(&code));
        arrived += 1;
    }
    let expected: Vec<_> = (0..5).rev().map(|n| format!("bo***@old{n}.example")).collect();
    assert_eq!(seen, expected, "newest first, none twice, none missing, none that came later");
    assert_eq!(alice.all(&format!("{LIST}?limit=3")).len(), 5 + arrived);
}

#[test]
fn a_full_last_page_has_no_next() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    app.referee("Bob", &code);
    app.referee("Carol", &code);
    assert_eq!(alice.get(&format!("{LIST}?limit=2")).json()["next_cursor"], Value::Null);
    assert!(alice.get(&format!("{LIST}?limit=1")).json()["next_cursor"].is_string());
}

#[test]
fn each_parameter_that_is_refused() {
    let app = App::start();
    let alice = app.developer("Alice");
    for list in [LIST, "/v1/developers/ledger"] {
        for (query, fault) in [
            ("limit=0", "limit: out_of_range"),
            ("limit=201", "limit: out_of_range"),
            ("limit=-1", "limit: out_of_range"),
            ("limit=ten", "limit: out_of_range"),
            ("cursor=nonsense", "cursor: invalid_cursor"),
            ("cursor=5", "cursor: invalid_cursor"),
            ("cursor=cur_zzzzzzzzzzzzz", "cursor: invalid_cursor"),
            ("cursor=ref_0000000000001", "cursor: invalid_cursor"),
        ] {
            assert_eq!(alice.get(&format!("{list}?{query}")).faults(), [fault], "{list}");
        }
        assert_eq!(alice.get(&format!("{list}?limit=200&unknown=1")).status, 200);
        assert_eq!(alice.get(&format!("{list}?limit=1&limit=2")).problem(400), "malformed_query");
    }
}

#[test]
fn another_s_cursor_shows_nothing_of_theirs() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    app.referee("Bob", &alice.code());
    app.referee("Dave", &alice.code());
    app.referee("Erin", &carol.code());
    let cursor = alice.get(&format!("{LIST}?limit=1")).json()["next_cursor"].as_str().unwrap().to_owned();
    let ledger_cursor = alice.get("/v1/developers/ledger?limit=1").json()["next_cursor"].as_str().unwrap().to_owned();
    for cursor in [&cursor, &ledger_cursor] {
        let seen = emails(&carol.get(&format!("{LIST}?cursor={cursor}")).json());
        assert!(seen.iter().all(|email| email.ends_with("@erin.example")), "{seen:?}");
        let entries = carol.get(&format!("/v1/developers/ledger?cursor={cursor}")).json();
        assert!(entries["data"].as_array().unwrap().iter().all(|entry| entry["referrer_id"] == carol.id));
    }
}

#[test]
fn every_call_needs_a_developer_s_key() {
    let app = App::start();
    for path in [
        LIST,
        "/v1/developers/referral-stats",
        "/v1/developers/me",
        "/v1/developers/ledger",
        "/v1/developers/ledger.csv",
        "/v1/developers/api-keys",
    ] {
        let nobody = app.anonymous().get(path);
        assert_eq!(nobody.problem(401), "missing_key", "{path}");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
        assert_eq!(app.anonymous().with_key("bw_live_00").get(path).problem(401), "invalid_key", "{path}");
        assert_eq!(app.gateway().get(path).problem(403), "developer_key_required", "{path}");
        let refused = app.developer(&format!("Dev{}", path.len())).send("PUT", path, &[], Vec::new());
        assert_eq!(refused.problem(405), "method_not_allowed", "{path}");
        assert!(refused.header("allow").is_some_and(|allow| allow.contains("GET")), "{path}");
    }
}
