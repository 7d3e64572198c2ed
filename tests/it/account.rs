//! The developer's own account: reading, changing and erasing it.

use crate::harness::App;
use futures_util::FutureExt;
use serde_json::{Value, json};

const ME: &str = "/v1/developers/me";

/// Everything that is on the disk of a running server.
fn bytes_on_disk(app: &App) -> Vec<u8> {
    let dir = app.db().parent().unwrap().to_owned();
    let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.flatten().collect()
}

fn is_on_disk(app: &App, text: &str) -> bool {
    let wanted = text.to_lowercase().into_bytes();
    bytes_on_disk(app).to_ascii_lowercase().windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn me_is_the_seed_s_developer() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&gateway, "bob", 1);
    alice.use_api(&gateway, "alice", 200);
    assert_eq!(
        alice.get(ME).json(),
        json!({
            "id": alice.id,
            "email": "alice@alice.example",
            "name": "Alice",
            "leaderboard_name": null,
            "referred_by": null,
            "referral_code": "ALICE2026",
            "referral_credits_earned": 1_000,
            "referral_credits_used": 200,
            "referral_credits_balance": 300,
            "referred_developers_count": 1,
            "created_at": "2026-01-15T10:00:00Z",
        })
    );
    assert_eq!(bob.get(ME).json()["referred_by"], alice.id);
}

#[test]
fn patch_changes_the_two_names_only() {
    let app = App::start();
    let alice = app.developer("Alice");
    let before = alice.get(ME).json();
    let reply = alice.patch(
        ME,
        json!({ "name": " Alicia ", "email": "eve@eve.example", "id": "x", "referral_credits_balance": 9, "track": 1 }),
    );
    assert_eq!(reply.status, 200);
    let mut expected = before.clone();
    expected["name"] = json!("Alicia");
    assert_eq!(reply.json(), expected);
    expected["leaderboard_name"] = json!("ali");
    assert_eq!(alice.patch(ME, json!({ "leaderboard_name": " ali " })).json(), expected);
    assert_eq!(alice.patch(ME, json!({})).json(), expected, "what is not said stays");
    expected["leaderboard_name"] = Value::Null;
    assert_eq!(alice.patch(ME, json!({ "leaderboard_name": null })).json(), expected);
    assert_eq!(alice.get(ME).json(), expected);
}

#[test]
fn each_change_that_is_refused() {
    let app = App::start();
    let alice = app.developer("Alice");
    let before = alice.get(ME).json();
    for (body, faults) in [
        (json!({ "name": null }), vec!["name: required"]),
        (json!({ "name": "" }), vec!["name: required"]),
        (json!({ "name": "x".repeat(101) }), vec!["name: too_long"]),
        (json!({ "name": 5 }), vec!["name: wrong_type"]),
        (json!({ "name": "a\u{0}b" }), vec!["name: invalid_characters"]),
        (json!({ "leaderboard_name": "" }), vec!["leaderboard_name: required"]),
        (json!({ "leaderboard_name": "x".repeat(41) }), vec!["leaderboard_name: too_long"]),
        (json!({ "leaderboard_name": "a\nb" }), vec!["leaderboard_name: invalid_characters"]),
        (json!({ "leaderboard_name": false }), vec!["leaderboard_name: wrong_type"]),
        (json!({ "name": "Good", "leaderboard_name": [] }), vec!["leaderboard_name: wrong_type"]),
        (json!({ "name": "\u{200d}" }), vec!["name: required"]),
        (json!({ "name": "a\n" }), vec!["name: invalid_characters"]),
        (
            json!({ "name": "", "leaderboard_name": "a\tb" }),
            vec!["name: required", "leaderboard_name: invalid_characters"],
        ),
        (json!({ "name": null, "leaderboard_name": "" }), vec!["name: required", "leaderboard_name: required"]),
    ] {
        assert_eq!(alice.patch(ME, body).faults(), faults);
    }
    assert_eq!(alice.json("PATCH", ME, &json!([])).problem(422), "wrong_type");
    assert_eq!(alice.send("PATCH", ME, &[], b"{}".to_vec()).problem(415), "unsupported_media_type");
    assert_eq!(alice.get(ME).json(), before);
}

#[test]
fn erasing_ends_keys_and_code() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    let second = alice.post("/v1/developers/api-keys", json!({})).json()["key"].as_str().unwrap().to_owned();
    assert_eq!(alice.delete(ME).status, 200);
    for key in [&alice.key, &second] {
        assert_eq!(app.anonymous().with_key(key).get(ME).problem(401), "invalid_key");
        let verified = gateway.post("/v1/keys/verify", json!({ "api_key": key })).json();
        assert_eq!(verified["valid"], false);
    }
    assert_eq!(alice.delete(ME).problem(401), "invalid_key");
    assert_eq!(app.try_sign_up("bob@bob.example", Some(&code)).faults(), ["referral_code: revoked_code"]);
    assert_eq!(app.anonymous().get(&format!("/qr/{code}.svg")).status, 404);
    let usage = alice.use_api(&gateway, "late", 1);
    assert_eq!((&usage["status"], &usage["code"]), (&json!("rejected"), &json!("unknown_developer")));
    assert_eq!(app.try_sign_up("alice@alice.example", None).status, 201, "the address is free again");
}

#[test]
fn erasing_leaves_no_byte_of_name_or_address() {
    let app = App::start();
    let carol = app.developer("Carol");
    let zaphod = app.sign_up("Zaphod Xylophone", "zaphod.quux@betelgeuse.example", Some(&carol.code()));
    zaphod.patch(ME, json!({ "leaderboard_name": "Heartofgold" }));
    zaphod.patch(ME, json!({ "name": "Phouchg Jabberwock" }));
    zaphod.post("/v1/developers/api-keys", json!({ "name": "Magrathea laptop" }));
    zaphod.post("/v1/developers/referral-code", json!({ "code": "NEUTRAL1" }));
    zaphod.use_api(&app.gateway(), "z1", 5);
    app.referee("Bob", "NEUTRAL1");
    let traces = ["zaphod", "quux", "xylophone", "betelgeuse", "heartofgold", "phouchg", "jabberwock", "magrathea"];
    assert!(is_on_disk(&app, "jabberwock"), "the test looks in the right place");
    assert_eq!(zaphod.delete(ME).status, 200);
    for trace in traces {
        assert!(!is_on_disk(&app, trace), "{trace} is left on the disk");
    }
    assert!(is_on_disk(&app, "NEUTRAL1"), "the code stays as a pseudonym");
}

#[test]
fn an_erasure_whose_caller_hangs_up_is_finished_by_the_sweep() {
    let app = App::start();
    let zaphod = app.sign_up("Zaphod", "zaphod.quux@betelgeuse.example", None);
    // What a process leaves behind is swept up at its start; nothing is left for later.
    app.sweep();
    assert!(is_on_disk(&app, "zaphod.quux@betelgeuse.example"));
    let project = app.engine.project_named("default").unwrap().id;
    let mut erasure = Box::pin(app.engine.erase_account(project, zaphod.id.parse().unwrap()));
    let _ = (&mut erasure).now_or_never();
    drop(erasure);
    app.sweep();
    assert_eq!(zaphod.get(ME).problem(401), "invalid_key");
    for trace in ["zaphod", "quux", "betelgeuse"] {
        assert!(!is_on_disk(&app, trace), "{trace} is left on the disk");
    }
}

#[test]
fn the_referrer_of_an_erased_account_keeps_the_credits_without_the_address() {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&app.gateway(), "first", 1);
    let before = alice.stats();
    bob.delete(ME);
    assert_eq!(alice.stats(), before);
    let item = alice.get("/v1/developers/referrals").json()["data"][0].clone();
    assert_eq!((&item["email"], &item["status"]), (&Value::Null, &json!("first_call")));
    assert_eq!(item["credits_total"], 1_000);
    let csv = alice.get("/v1/developers/ledger.csv");
    assert!(csv.status == 200 && !csv.body.contains("bob"), "{}", csv.body);
}

#[test]
fn an_erased_referrer_earns_nothing_more_and_stops_nobody() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    alice.delete(ME);
    let entries = app.sqlite3("SELECT count(*) FROM entry");
    let usage = bob.use_api(&gateway, "first", 0);
    assert_eq!(usage["status"], "recorded");
    let usage = gateway.post("/v1/usage", json!({ "id": "many", "developer_id": bob.id, "calls": 100, "spend": 0 }));
    assert_eq!(usage.json()["status"], "recorded");
    assert_eq!(app.sqlite3("SELECT count(*) FROM entry"), entries);
    assert_eq!(
        app.sqlite3("SELECT rule, verdict, code FROM decision WHERE event = 'calls' ORDER BY id")
            .lines()
            .collect::<Vec<_>>(),
        ["referral_first_call|refused|account_erased", "referral_active|refused|account_erased"]
    );
    assert_eq!(bob.get(ME).json()["referral_credits_balance"], 1_000);
}
