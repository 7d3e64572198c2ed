//! Upgrading with a signature, and going back.

use super::{Stage, upgrade};
use crate::harness::App;
use crate::process::{empty_dir, run};
use refloop::domain::partner::DEFAULT_AGREEMENT;
use refloop::domain::setting::Setting;
use serde_json::json;

fn set_agreement(app: &App, text: &str) -> i64 {
    app.engine.set_project("default", vec![(Setting::PartnerAgreement, text.into())]).unwrap().agreement.version
}

#[test]
fn a_basic_account_sees_what_it_may_sign() {
    let stage = Stage::basic();
    let partner = stage.partner();
    assert_eq!(
        partner,
        json!({
            "track": "basic", "currency": "usd", "minimum_payout": 2_500,
            "agreement": { "version": 1, "text": DEFAULT_AGREEMENT, "accepted_version": null, "signed_at": null },
            "stripe": { "account_id": null, "ready": false, "requirements": [] },
            "balance": { "available": 0, "pending": 0, "reserved": 0, "paid": 0, "owed": 0 },
        })
    );
}

#[test]
fn an_upgrade_keeps_version_name_time_and_no_address() {
    let stage = Stage::basic();
    let upgraded = stage.upgrade();
    assert_eq!(upgraded["track"], "partner");
    assert_eq!(upgraded["agreement"]["accepted_version"], 1);
    assert_eq!(upgraded["agreement"]["signed_at"], "2026-01-15T10:00:00Z");
    assert_eq!(stage.partner(), upgraded);
    let kept = "SELECT version, signature, length(address_hash), signed_at_ms FROM agreement_acceptance";
    assert_eq!(stage.app.sqlite3(kept), "1|Alice Doe|32|1768471200000\n");
    stage.app.advance_days(1);
    assert_eq!(stage.upgrade(), upgraded, "the same version again changes nothing");
    assert_eq!(stage.app.sqlite3(kept).lines().count(), 1);
    assert!(!stage.app.dump().contains("127.0.0.1"));
}

#[test]
fn each_refusal_of_a_signature() {
    let stage = Stage::basic();
    let good = json!({ "agreement_version": 1, "signature": "Alice", "accept": true });
    for (name, value, fault) in [
        ("accept", json!(false), "accept: not_accepted"),
        ("accept", json!(null), "accept: required"),
        ("accept", json!("true"), "accept: wrong_type"),
        ("signature", json!(""), "signature: required"),
        ("signature", json!("  "), "signature: required"),
        ("signature", json!(null), "signature: required"),
        ("signature", json!("x".repeat(101)), "signature: too_long"),
        ("agreement_version", json!(null), "agreement_version: required"),
        ("agreement_version", json!(0), "agreement_version: out_of_range"),
    ] {
        let mut body = good.clone();
        body[name] = value;
        assert_eq!(stage.alice.post("/v1/partner/upgrade", body).faults(), [fault]);
    }
    let mut other = good.clone();
    other["agreement_version"] = json!(2);
    assert_eq!(stage.alice.post("/v1/partner/upgrade", other).problem(409), "agreement_outdated");
    assert_eq!(stage.partner()["track"], "basic");
    assert_eq!(stage.alice.post("/v1/partner/upgrade", good).status, 200);
}

#[test]
fn a_new_agreement_is_a_new_version_and_the_old_ones_stay() {
    let stage = Stage::basic();
    stage.upgrade();
    assert_eq!(set_agreement(&stage.app, "# Ours\n\nBe fair.\n"), 2);
    assert_eq!(set_agreement(&stage.app, "# Ours\n\nBe fair.\n"), 2, "the same text is no new version");
    let agreement = stage.partner()["agreement"].clone();
    assert_eq!((&agreement["version"], &agreement["accepted_version"]), (&json!(2), &json!(1)));
    assert_eq!(agreement["text"], "# Ours\n\nBe fair.\n");
    let old = json!({ "agreement_version": 1, "signature": "Alice", "accept": true });
    assert_eq!(stage.alice.post("/v1/partner/upgrade", old).problem(409), "agreement_outdated");

    let kept = stage.alice.get("/v1/partner/agreement");
    assert_eq!(kept.header("content-type"), Some("text/markdown; charset=utf-8"));
    assert_eq!(kept.header("content-disposition"), Some("attachment; filename=\"partner-agreement-1.md\""));
    assert!(kept.body.starts_with(DEFAULT_AGREEMENT.trim_end()), "{}", kept.body);
    assert!(kept.body.ends_with("\n\n---\n\nVersion 1, signed by Alice Doe, 2026-01-15T10:00:00Z\n"), "{}", kept.body);
    assert_eq!(stage.alice.get("/v1/partner/agreement?version=2").body, "# Ours\n\nBe fair.\n");
    assert_eq!(stage.alice.get("/v1/partner/agreement?version=3").problem(404), "not_found");
    assert_eq!(stage.bob.get("/v1/partner/agreement").body, "# Ours\n\nBe fair.\n", "nothing signed: what is in force");

    assert_eq!(stage.upgrade()["agreement"]["accepted_version"], 2);
    let first = stage.alice.get("/v1/partner/agreement?version=1").body;
    assert!(first.ends_with("\n\n---\n\nVersion 1, signed by Alice Doe, 2026-01-15T10:00:00Z\n"), "still: {first}");
    let newest = stage.alice.get("/v1/partner/agreement").body;
    assert!(newest.starts_with("# Ours") && newest.contains("Version 2, signed by Alice Doe"), "{newest}");
    assert_eq!(set_agreement(&stage.app, ""), 3, "an empty value brings the shipped text back");
    assert_eq!(stage.partner()["agreement"]["text"], DEFAULT_AGREEMENT);
    assert_eq!(stage.app.sqlite3("SELECT count(*) FROM agreement_acceptance"), "2\n");
}

#[test]
fn the_command_line_sets_an_agreement_from_a_file() {
    let (_keep, dir) = empty_dir();
    let server = crate::process::Server::start(&dir);
    std::fs::write(dir.join("agreement.md"), "# Ours\n\n- fair\n").unwrap();
    let set = run(&dir, &["project", "set", "default", "partner.agreement=@agreement.md", "--json"]);
    assert_eq!(set.json()["partner"], json!({ "agreement_version": 2 }));
    let typed = run(&dir, &["project", "set", "default", "partner.agreement=Be fair"]);
    assert!(typed.refusal().contains("partner.agreement=@FILE"), "{typed:?}");
    drop(server);
}

#[test]
fn rates_apply_from_the_moment_on() {
    let stage = Stage::basic();
    stage.buy("p-1", 10_000);
    stage.upgrade();
    stage.buy("p-2", 10_000);
    assert_eq!(stage.alice.post("/v1/partner/downgrade", json!({})).problem(409), "commission_pending");
    assert_eq!(stage.balance(), [0, 1_500, 0, 0, 0], "5 %, then 10 %");
    stage.app.advance_days(30);
    assert_eq!(stage.balance(), [1_500, 0, 0, 0, 0]);
    assert_eq!(stage.alice.post("/v1/partner/downgrade", json!({})).problem(409), "balance_remaining");
    // The credits are spent for calls.
    stage.alice.use_api(&stage.app.gateway(), "u-1", 1_500);
    assert_eq!(stage.balance(), [0, 0, 0, 0, 0]);
    let basic = stage.alice.post("/v1/partner/downgrade", json!({}));
    assert_eq!((basic.status, &basic.json()["track"]), (200, &json!("basic")));
    assert_eq!(stage.alice.post("/v1/partner/downgrade", json!({})).status, 200, "it is there already");
    stage.buy("p-3", 10_000);
    assert_eq!(stage.balance()[1], 500);
    stage.upgrade();
    assert_eq!(stage.app.sqlite3("SELECT count(*) FROM agreement_acceptance"), "2\n", "a second signature");
    let both = stage.alice.get("/v1/partner/agreement").body;
    assert_eq!(both.matches("Version 1, signed by Alice Doe, 2026-").count(), 2, "{both}");
    let signed = stage.alice.all("/v1/partner/agreements?limit=1");
    assert_eq!(signed.len(), 2);
    assert_eq!(signed[1], json!({ "version": 1, "signature": "Alice Doe", "signed_at": "2026-01-15T10:00:00Z" }));
    assert_eq!(stage.bob.get("/v1/partner/agreements").json(), json!({ "data": [], "next_cursor": null }));
}

#[test]
fn a_debt_and_a_bonus_are_no_reason_to_stay() {
    let stage = Stage::basic();
    // Carol has a bonus of her own, and is a partner with a debt.
    let carol = stage.app.referee("Carol", &stage.alice.code());
    upgrade(&carol);
    assert_eq!(carol.stats()["credits_available"], 250);
    let dan = stage.app.referee("Dan", &carol.code());
    let body = json!({ "id": "p-1", "developer_id": dan.id, "amount": 10_000, "currency": "usd" });
    stage.app.gateway().post("/v1/purchases", body);
    stage.app.advance_days(30);
    carol.use_api(&stage.app.gateway(), "u-1", 1_000);
    stage.app.gateway().post("/v1/refunds", json!({ "id": "r-1", "purchase_id": "p-1", "amount": 10_000 }));
    let partner = carol.get("/v1/partner").json();
    assert_eq!(partner["balance"]["owed"], 1_000, "{partner}");
    assert_eq!(carol.post("/v1/partner/downgrade", json!({})).status, 200);
}

#[test]
fn a_signup_bonus_is_credit_and_never_paid_out() {
    let stage = Stage::basic();
    let carol = stage.app.referee("Carol", &stage.alice.code());
    upgrade(&carol);
    assert_eq!(carol.stats()["credits_available"], 250);
    assert_eq!(carol.get("/v1/partner").json()["balance"]["available"], 0);
}

#[test]
fn programs_of_credits_have_no_partner_track() {
    let app = App::start();
    let alice = app.developer("Alice");
    for path in ["/v1/partner", "/v1/partner/agreement", "/v1/partner/agreements"] {
        assert_eq!(alice.get(path).problem(409), "no_partner_track", "{path}");
    }
    let signature = json!({ "agreement_version": 1, "signature": "Alice", "accept": true });
    for (path, body) in [
        ("/v1/partner/upgrade", signature),
        ("/v1/partner/connect", json!({})),
        ("/v1/partner/downgrade", json!({})),
        ("/v1/payouts", json!({})),
    ] {
        assert_eq!(alice.post(path, body).problem(409), "no_partner_track", "{path}");
    }
    assert_eq!(alice.get("/v1/payouts").json(), json!({ "data": [], "next_cursor": null }));
}

#[test]
fn erasing_forgets_who_signed_and_where_the_money_went() {
    let stage = Stage::ready();
    let stripe_account = stage.stripe.account_ids()[0].clone();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 2_500 }));
    assert_eq!(stage.alice.delete("/v1/developers/me").problem(409), "payout_open");
    stage.work();
    assert_eq!(stage.status(&id), "paid");
    assert_eq!(stage.alice.delete("/v1/developers/me").status, 200);
    let dump = stage.app.dump();
    for personal in ["Alice Doe", &stripe_account, "alice.example"] {
        assert!(!dump.contains(personal), "{personal}");
    }
    let kept = "SELECT status, amount_minor, request, destination FROM payout";
    assert_eq!(stage.app.sqlite3(kept), "paid|2500||\n");
}
