//! The developer's ledger as a list and as CSV, and the signed head.

use crate::harness::{App, DAY_MS, Developer};
use serde_json::{Value, json};

const LEDGER: &str = "/v1/developers/ledger";

fn csv_rows(body: &str) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(body.as_bytes());
    let header = reader.headers().unwrap().clone();
    let record = |record: csv::StringRecord| {
        header.iter().map(str::to_owned).zip(record.iter().map(|cell| json!(cell))).collect::<serde_json::Map<_, _>>()
    };
    reader.records().map(|row| Value::Object(record(row.unwrap()))).collect()
}

/// Alice with a grant that is available, one that is pending, and a spend.
fn alice_with_a_history(app: &App) -> Developer {
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    app.advance_days(1);
    bob.use_api(&app.gateway(), "first", 1);
    app.advance_days(1);
    alice.use_api(&app.gateway(), "spend", 120);
    alice
}

#[test]
fn entries_have_the_seed_s_shape_and_more() {
    let app = App::start();
    let alice = alice_with_a_history(&app);
    let bob_id = app.sqlite3("SELECT referee_id FROM referral").trim().parse().unwrap();
    let bob_id = refloop::domain::id::AccountId(bob_id).to_string();
    let mut page = alice.get(LEDGER).json();
    let data = page["data"].as_array_mut().unwrap();
    let mut seqs = Vec::new();
    for entry in data.iter_mut() {
        assert!(entry["id"].take().as_str().unwrap().starts_with("rc_"));
        assert_eq!(entry["hash"].take().as_str().unwrap().len(), 64);
        entry["lot_id"].take();
        entry["group_id"].take();
        seqs.push(entry["seq"].take().as_i64().unwrap());
    }
    assert!(seqs.is_sorted_by(|newer, older| newer > older), "{seqs:?}");
    let line = |kind: &str, reason: &str, amount: i64, status: &str, at: &str, vests_at: Option<&str>| {
        let people = if kind == "grant" { [Some(&alice.id), Some(&bob_id)] } else { [None, None] };
        json!({
            "id": null, "hash": null, "lot_id": null, "group_id": null, "seq": null, "expires_at": null,
            "referrer_id": people[0], "referee_id": people[1], "credit_amount": amount, "reason": reason,
            "created_at": at, "kind": kind, "status": status, "vests_at": vests_at,
        })
    };
    let (day_0, day_1, day_2) = ("2026-01-15T10:00:00Z", "2026-01-16T10:00:00Z", "2026-01-17T10:00:00Z");
    assert_eq!(
        page["data"],
        json!([
            line("spend", "api_usage", -120, "SPENT", day_2, None),
            line("grant", "referral_first_call", 500, "PENDING", day_1, Some("2026-01-23T10:00:00Z")),
            line("grant", "referral_signup", 500, "ELIGIBLE", day_0, Some(day_0)),
        ])
    );
}

#[test]
fn a_spend_points_at_the_lot_that_it_took_from() {
    let app = App::start();
    let alice = alice_with_a_history(&app);
    let entries = alice.ledger();
    assert_eq!(entries[2]["lot_id"], entries[0]["id"]);
    assert_eq!(entries[0]["lot_id"], entries[0]["id"], "a grant opens its own lot");
    assert_eq!(entries[2]["group_id"], entries[2]["id"]);
}

#[test]
fn filters_by_time_and_status() {
    let app = App::start();
    let alice = alice_with_a_history(&app);
    let reasons = |query: &str| -> Vec<String> {
        let page = alice.get(&format!("{LEDGER}?{query}")).json();
        page["data"].as_array().unwrap().iter().map(|entry| entry["reason"].as_str().unwrap().to_owned()).collect()
    };
    let (spend, call, signup) = ("api_usage", "referral_first_call", "referral_signup");
    for (query, expected) in [
        ("from=2026-01-16T10:00:00Z", vec![spend, call]),
        ("from=2026-01-16T10:00:00.001Z", vec![spend]),
        ("to=2026-01-16T10:00:00Z", vec![signup]),
        ("from=2026-01-16&to=2026-01-17", vec![call]),
        ("from=2026-01-16T12:00:00%2B02:00&to=2026-01-17", vec![call]),
        ("from=2026-02-01", vec![]),
        ("status=PENDING", vec![call]),
        ("status=eligible", vec![signup]),
        ("status=SPENT", vec![spend]),
        ("status=REVERSED", vec![]),
        ("status=PENDING&to=2026-01-16", vec![]),
    ] {
        assert_eq!(reasons(query), expected, "{query}");
        let csv = alice.get(&format!("{LEDGER}.csv?{query}"));
        assert_eq!(csv_rows(&csv.body).len(), expected.len(), "{query}");
    }
    app.advance_ms(6 * DAY_MS);
    assert_eq!(reasons("status=PENDING"), Vec::<String>::new());
    assert_eq!(reasons("status=ELIGIBLE"), [call, signup], "a status follows the clock");
    for path in [LEDGER.to_owned(), format!("{LEDGER}.csv")] {
        for (query, fault) in [
            ("from=yesterday", "from: invalid_time"),
            ("to=5", "to: invalid_time"),
            ("from=2026-02-30", "from: invalid_time"),
            ("status=GONE", "status: invalid_status"),
        ] {
            assert_eq!(alice.get(&format!("{path}?{query}")).faults(), [fault]);
        }
    }
}

#[test]
fn pages_filter_and_stay_right_while_rows_arrive() {
    let app = App::start();
    let (alice, gateway) = (alice_with_a_history(&app), app.gateway());
    for n in 0..7 {
        alice.use_api(&gateway, &format!("s{n}"), n + 1);
    }
    let whole = alice.all(&format!("{LEDGER}?limit=200"));
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = alice.get(&format!("{LEDGER}?limit=3&cursor={cursor}")).json();
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
        alice.use_api(&gateway, &format!("late{}", paged.len()), 1);
    }
    assert_eq!(paged, whole);
    let spends = alice.all(&format!("{LEDGER}?limit=2&status=SPENT"));
    assert_eq!(spends.len(), 8 + 3);
}

#[test]
fn the_csv_says_what_the_list_says() {
    let app = App::start();
    let alice = alice_with_a_history(&app);
    let reply = alice.get(&format!("{LEDGER}.csv"));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(reply.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
    assert_eq!(reply.body.matches('\n').count(), reply.body.matches("\r\n").count());
    assert!(reply.body.ends_with("\r\n"));
    let rows = csv_rows(&reply.body);
    let entries = alice.ledger();
    assert_eq!(rows.len(), entries.len());
    for (row, entry) in rows.iter().zip(&entries) {
        for (name, value) in entry.as_object().unwrap() {
            let column = if name == "created_at" { "date" } else { name };
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            assert_eq!(row[column], text, "{name}");
        }
        let masked = if entry["kind"] == "grant" { "b***@bob.example" } else { "" };
        assert_eq!(row["referee_email"], masked);
    }
    let empty = app.developer("Nobody").get(&format!("{LEDGER}.csv"));
    assert_eq!(empty.body, reply.body.split_inclusive('\n').next().unwrap(), "a header and no row");
}

#[test]
fn formulas_are_defused_and_numbers_stay_numbers() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    for (email, cell) in [
        ("=cmd|calc@one.example", "'=cmd***@one.example"),
        ("+plusplus@two.example", "'+plu***@two.example"),
        ("-minus@three.example", "'-mi***@three.example"),
        ("o'hara.x@four.example", "o'ha***@four.example"),
    ] {
        let reply = app.try_sign_up(email, Some(&code));
        assert_eq!((reply.status, &reply.json()["referral"]["status"]), (201, &json!("applied")), "{email}");
        let rows = csv_rows(&alice.get(&format!("{LEDGER}.csv")).body);
        assert_eq!(rows.last().unwrap()["referee_email"], cell);
    }
    alice.use_api(&app.gateway(), "spend", 7);
    let rows = csv_rows(&alice.get(&format!("{LEDGER}.csv")).body);
    assert_eq!(rows.last().unwrap()["credit_amount"], "-7");
}

#[test]
fn a_long_csv_comes_whole() {
    let app = App::start();
    app.change_program(|program| program["rules"][0]["amount"] = json!(10_000_000));
    let bob = app.referee("Bob", &app.developer("Alice").code());
    let batch = |from: i64, to: i64| -> Value {
        let event = |n| json!({ "id": format!("e{n}"), "developer_id": bob.id, "calls": 1, "spend": n + 1 });
        json!({ "events": (from..to).map(event).collect::<Vec<_>>() })
    };
    for (from, to) in [(0, 1_000), (1_000, 1_499)] {
        assert_eq!(app.gateway().post("/v1/usage", batch(from, to)).status, 200);
    }
    // A multiple of the chunk that is read at a time: the end must be found there too.
    let rows = csv_rows(&bob.get(&format!("{LEDGER}.csv")).body);
    assert_eq!(rows.len(), 1_500);
    let amounts: Vec<i64> = rows.iter().map(|row| row["credit_amount"].as_str().unwrap().parse().unwrap()).collect();
    let expected: Vec<i64> = std::iter::once(10_000_000).chain((1..=1_499).map(|spend| -spend)).collect();
    assert_eq!(amounts, expected);
    let listed: Vec<i64> = bob.ledger().iter().map(|entry| entry["credit_amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, listed);
}

#[test]
fn the_head_is_signed_over_the_documented_bytes() {
    use ed25519_dalek::{Signature, VerifyingKey};
    let app = App::start();
    let check = || {
        let reply = app.anonymous().get("/v1/ledger/head");
        assert_eq!(reply.status, 200);
        let head = reply.json();
        let text = |name: &str| head[name].as_str().unwrap().to_owned();
        let key: [u8; 32] = hex::decode(text("public_key")).unwrap().try_into().unwrap();
        let signature = Signature::from_slice(&hex::decode(text("signature")).unwrap()).unwrap();
        let bytes = format!("refloop-head-v1\n{}\n{}\n{}\n", head["seq"], text("hash"), text("at"));
        VerifyingKey::from_bytes(&key).unwrap().verify_strict(bytes.as_bytes(), &signature).unwrap();
        head
    };
    let empty = check();
    assert_eq!((&empty["seq"], &empty["hash"]), (&json!(0), &json!("0".repeat(64))));
    assert_eq!(empty["at"], "2026-01-15T10:00:00Z");
    let alice = alice_with_a_history(&app);
    let head = check();
    let newest = alice.ledger().last().unwrap().clone();
    assert_eq!((&head["seq"], &head["hash"]), (&newest["seq"], &newest["hash"]));
    assert_eq!((&head["at"], &head["public_key"]), (&json!("2026-01-17T10:00:00Z"), &empty["public_key"]));
    assert_eq!(head.as_object().unwrap().len(), 6);
    assert!(head["audit"]["seq"].as_i64() > Some(0) && head["audit"]["public_key"] == head["public_key"], "{head}");
}

#[test]
fn a_filter_that_finds_little_in_a_long_ledger_finds_all_of_it() {
    let app = App::start();
    app.change_program(|program| program["rules"][1]["amount"] = json!(1_000_000));
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    app.referee("Bob", &code);
    // More entries between two grants than two pages look at, so that one of them at least finds nothing.
    for batch in 0..11 {
        let event = |n| json!({ "id": format!("{batch}-{n}"), "developer_id": alice.id, "calls": 0, "spend": 1 });
        let events: Vec<_> = (0..1_000).map(event).collect();
        assert_eq!(gateway.post("/v1/usage", json!({ "events": events })).status, 200);
    }
    app.referee("Carol", &code);
    app.referee("Dave", &code);
    let whole = alice.ledger();
    assert_eq!(whole.len(), 11_003);
    for (status, count) in [("ELIGIBLE", 3), ("SPENT", 11_000), ("PENDING", 0)] {
        let expected: Vec<&Value> = whole.iter().filter(|entry| entry["status"] == status).collect();
        assert_eq!(expected.len(), count);
        for limit in if count > 100 { vec![200] } else { vec![1, 2, 3, 200] } {
            let mut listed = alice.all(&format!("{LEDGER}?limit={limit}&status={status}"));
            listed.reverse();
            assert!(listed.iter().eq(expected.iter().copied()), "{status} by {limit}");
        }
        let csv = alice.get(&format!("{LEDGER}.csv?status={status}")).body;
        let rows = csv_rows(&csv);
        let ids = |entry: &Value| entry["id"].as_str().unwrap().to_owned();
        assert!(rows.iter().map(ids).eq(expected.into_iter().map(ids)), "{} rows for {status}", rows.len());
        assert!(csv.starts_with("date,id,") && csv.ends_with("\r\n"), "{status}");
    }
}
