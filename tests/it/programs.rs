//! Programs are data: another document is another behaviour, and what was granted keeps its terms.

use crate::harness::App;
use refloop::domain::program::{Preset, Program};
use serde_json::{Value, json};

fn figures(stats: &Value, names: &[&str]) -> Vec<i64> {
    names.iter().map(|name| stats[*name].as_i64().unwrap()).collect()
}

#[test]
fn a_project_starts_with_the_seed_s_program() {
    let app = App::start();
    let project = app.engine.project_named("default").unwrap();
    let (program, versions) = app.engine.program(&project).unwrap();
    assert_eq!((&*program, versions.len()), (&Preset::Credits.program(), 1));
    for preset in Preset::ALL {
        let printed = preset.program().to_json();
        assert_eq!(Program::from_json(&printed).unwrap().to_json(), printed, "verbatim");
    }
}

#[test]
fn amounts_holds_and_expiry_follow_the_program_and_old_grants_keep_theirs() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    let bob = app.referee("Bob", &code);
    bob.use_api(&gateway, "bob", 1);
    app.change_program(|program| {
        program["rules"][0]["amount"] = json!(7);
        program["rules"][1]["amount"] = json!(40);
        program["rules"][1]["expires_days"] = json!(3);
        program["rules"][2]["amount"] = json!(10);
        program["rules"][2]["hold_days"] = json!(1);
        program["rules"][3]["on"] = json!("calls:5");
    });
    let carol = app.referee("Carol", &code);
    assert_eq!(carol.signup["referral"]["bonus_credits"], 7);
    carol.use_api(&gateway, "carol", 1);
    let names = ["credits_earned", "credits_pending", "credits_available", "credits_expired"];
    assert_eq!(figures(&alice.stats(), &names), [1_050, 510, 540, 0]);
    app.advance_days(1);
    assert_eq!(figures(&alice.stats(), &names), [1_050, 500, 550, 0], "the new hold is over, the old one is not");
    app.advance_days(2);
    assert_eq!(figures(&alice.stats(), &names), [1_050, 500, 510, 40], "only what was granted by the new rule expires");
    app.advance_days(4);
    assert_eq!(figures(&alice.stats(), &names), [1_050, 0, 1_010, 40]);
    bob.use_api(&gateway, "bob-2", 4);
    assert_eq!(alice.stats()["credits_earned"], 2_050, "the threshold moved");
    let versions = app.sqlite3("SELECT DISTINCT program_version FROM decision ORDER BY 1");
    assert_eq!(versions.lines().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn linear_vesting_frees_a_part_each_day() {
    let app = App::start();
    app.change_program(|program| {
        program["rules"] = json!([{
            "reason": "trickle", "on": "signup", "to": "referee", "amount": 100, "hold_days": 3, "vesting": "linear",
        }]);
    });
    let bob = app.referee("Bob", &app.developer("Alice").code());
    let names = ["credits_available", "credits_pending", "credits_used"];
    assert_eq!(figures(&bob.stats(), &names), [0, 100, 0]);
    app.advance_days(1);
    assert_eq!(figures(&bob.stats(), &names), [33, 67, 0]);
    let usage = bob.use_api(&app.gateway(), "u1", 50);
    assert_eq!((&usage["charged"], &usage["uncovered"]), (&json!(33), &json!(17)));
    app.advance_ms(86_399_999);
    assert_eq!(figures(&bob.stats(), &names), [0, 67, 33]);
    app.advance_ms(1);
    assert_eq!(figures(&bob.stats(), &names), [33, 34, 33]);
    app.advance_days(1);
    assert_eq!(figures(&bob.stats(), &names), [67, 0, 33]);
}

#[test]
fn a_disabled_program_takes_no_referral_and_pays_nothing() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    let bob = app.referee("Bob", &code);
    app.change_program(|program| program["enabled"] = json!(false));
    assert_eq!(app.try_sign_up("carol@carol.example", Some(&code)).faults(), ["referral_code: program_disabled"]);
    let carol = app.sign_up("Carol", "carol@carol.example", None);
    let applied = carol.post("/v1/developers/referrals/apply", json!({ "code": code }));
    assert_eq!(applied.faults(), ["code: program_disabled"]);
    bob.use_api(&gateway, "bob", 100);
    assert_eq!(alice.stats()["credits_earned"], 500);
    assert_eq!(
        app.sqlite3("SELECT rule, verdict, code FROM decision WHERE event = 'calls'").lines().collect::<Vec<_>>(),
        ["referral_first_call|refused|program_disabled", "referral_active|refused|program_disabled"]
    );
    assert_eq!(bob.use_api(&gateway, "spend", 100)["charged"], 100, "what is there can be spent");
    app.change_program(|program| program["enabled"] = json!(true));
    assert_eq!(carol.post("/v1/developers/referrals/apply", json!({ "code": code })).status, 201);
}

#[test]
fn every_grant_and_refusal_is_explained() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&gateway, "one", 1);
    app.change_program(|program| program["rules"][3]["amount"] = json!(0));
    bob.use_api(&gateway, "rest", 99);
    let rows = app.sqlite3("SELECT event, rule, verdict, code, program_version FROM decision ORDER BY id");
    assert_eq!(
        rows.lines().collect::<Vec<_>>(),
        [
            "signup|signup_bonus|granted|granted|1",
            "signup|referral_signup|granted|granted|1",
            "calls|referral_first_call|granted|granted|1",
            "calls|referral_active|refused|nothing_due|2",
        ]
    );
    let inputs = app.sqlite3("SELECT inputs FROM decision ORDER BY id DESC LIMIT 1");
    let inputs: Value = serde_json::from_str(&inputs).unwrap();
    assert_eq!(
        inputs,
        json!({ "on": "calls:100", "amount": 0, "hold_days": 7, "calls_before": 1, "calls_after": 100,
                "rules_changed": true })
    );
    let unexplained =
        "SELECT count(*) FROM entry WHERE kind = 'grant' AND (decision_id IS NULL OR program_version IS NULL)";
    assert_eq!(app.sqlite3(unexplained).trim(), "0");
}

#[test]
fn a_rule_that_paid_does_not_pay_again_under_another_threshold() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&gateway, "u1", 100);
    app.change_program(|program| program["rules"][3]["on"] = json!("calls:200"));
    bob.use_api(&gateway, "u2", 100);
    assert_eq!(alice.stats()["credits_earned"], 2_000);
    let last = app.sqlite3("SELECT rule, verdict, code FROM decision ORDER BY id DESC LIMIT 1");
    assert_eq!(last.trim(), "referral_active|refused|already_paid");
}

#[test]
fn the_subscription_preset_pays_both_sides_at_the_first_purchase() {
    let app = App::start();
    app.change_program(|program| *program = serde_json::to_value(Preset::Subscription.program()).unwrap());
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    assert_eq!(bob.signup["referral"]["bonus_credits"], 0);
    bob.use_api(&gateway, "calls", 500);
    for id in ["p1", "p2"] {
        let purchase = json!({ "id": id, "developer_id": bob.id, "amount": 900, "currency": "usd" });
        assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
    }
    assert_eq!((&alice.stats()["credits_earned"], &bob.stats()["credits_earned"]), (&json!(1_000), &json!(500)));
    let refund = json!({ "id": "r1", "purchase_id": "p1", "amount": 899 });
    gateway.post("/v1/refunds", refund);
    assert_eq!(alice.stats()["credits_reversed"], 0, "a fixed reward stays until all of the purchase is back");
    gateway.post("/v1/refunds", json!({ "id": "r2", "purchase_id": "p1", "amount": 1 }));
    assert_eq!((&alice.stats()["credits_reversed"], &bob.stats()["credits_reversed"]), (&json!(1_000), &json!(500)));
}

#[test]
fn the_commission_preset_gives_a_bonus_that_expires() {
    let app = App::start();
    app.change_program(|program| *program = serde_json::to_value(Preset::Commission.program()).unwrap());
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    assert_eq!(bob.stats()["credits_available"], 250);
    let purchase = json!({ "id": "p1", "developer_id": bob.id, "amount": 4_900, "currency": "usd" });
    gateway.post("/v1/purchases", purchase);
    assert_eq!(alice.stats()["credits_pending"], 245);
    app.advance_days(30);
    assert_eq!((&alice.stats()["credits_available"], &bob.stats()["credits_expired"]), (&json!(245), &json!(250)));
}

/// API.market's own figures: 5 % or 10 % of a purchase from $1.00 on, thirty days after it.
#[test]
fn the_commission_preset_pays_by_track_from_a_dollar_on() {
    for (track, amount, commission) in
        [("basic", 5_000, 250), ("partner", 5_000, 500), ("basic", 100, 5), ("partner", 100, 10), ("partner", 99, 0)]
    {
        let app = App::start();
        app.change_program(|program| *program = serde_json::to_value(Preset::Commission.program()).unwrap());
        let (alice, gateway) = (app.developer("Alice"), app.gateway());
        let bob = app.referee("Bob", &alice.code());
        app.set_track("Alice", track);
        let purchase = json!({ "id": "p1", "developer_id": bob.id, "amount": amount, "currency": "usd" });
        assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
        let line = || {
            let lines = alice.ledger();
            lines.first().map(|line| (line["credit_amount"].as_i64().unwrap(), line["status"].clone()))
        };
        let expected = |status: &str| (commission > 0).then(|| (commission, json!(status)));
        assert_eq!(line(), expected("PENDING"), "{track} {amount}");
        app.advance_ms(30 * 86_400_000 - 1);
        assert_eq!((line(), alice.stats()["credits_available"].as_i64()), (expected("PENDING"), Some(0)));
        app.advance_ms(1);
        assert_eq!((line(), alice.stats()["credits_available"].as_i64()), (expected("ELIGIBLE"), Some(commission)));
    }
}

#[test]
fn each_program_that_is_refused_names_its_fault() {
    let good = serde_json::to_value(Preset::Credits.program()).unwrap();
    for (pointer, value, field) in [
        ("/unit", json!("points"), "unit"),
        ("/rules/0/on", json!("calls:0"), "rules[0].on"),
        ("/rules/0/to", json!("everyone"), "rules[0].to"),
        ("/rules/1/amount", json!(-1), "rules[1].amount"),
        ("/rules/1/reason", json!("signup_bonus"), "rules[1].reason"),
        ("/rules/2/vesting", json!("linear"), ""),
        ("/rules/2/hold_days", json!(40_000), "rules[2].hold_days"),
        ("/code_style", json!("emoji"), "code_style"),
        ("/abuse/apply_within_days", json!(-1), "abuse.apply_within_days"),
        ("/sharing/text", json!(""), "sharing.text"),
    ] {
        let mut document = good.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        match Program::from_json(&document.to_string()) {
            Ok(_) => assert_eq!(field, "", "{pointer}"),
            Err(refusal) => assert_eq!(refusal.fields[0].field, field, "{pointer}"),
        }
    }
}

/// What the rule for active referees has been decided on, oldest first.
fn decisions_on_active(app: &App) -> Vec<String> {
    let sql = "SELECT code FROM decision WHERE rule = 'referral_active' ORDER BY id";
    app.sqlite3(sql).lines().map(str::to_owned).collect()
}

#[test]
fn a_threshold_that_was_lowered_below_the_count_pays_at_the_next_call_and_once() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&gateway, "u1", 60);
    assert_eq!(alice.stats()["credits_earned"], 1_000);
    app.change_program(|program| program["rules"][3]["on"] = json!("calls:50"));
    assert_eq!(alice.stats()["credits_earned"], 1_000, "not before a call");
    bob.use_api(&gateway, "u2", 1);
    assert_eq!(alice.stats()["credits_earned"], 2_000);
    for (id, calls, threshold) in [("u3", 1, 40), ("u4", 100, 30), ("u5", 1, 10)] {
        bob.use_api(&gateway, id, calls);
        app.change_program(|program| program["rules"][3]["on"] = json!(format!("calls:{threshold}")));
        bob.use_api(&gateway, &format!("{id}-after"), 1);
        assert_eq!(alice.stats()["credits_earned"], 2_000, "calls:{threshold}");
    }
    assert_eq!(decisions_on_active(&app), ["granted"], "what was decided is no news");
}

#[test]
fn what_was_reached_while_the_program_was_off_is_not_paid_for_afterwards() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&gateway, "u1", 60);
    app.change_program(|program| program["enabled"] = json!(false));
    bob.use_api(&gateway, "u2", 60);
    app.change_program(|program| program["enabled"] = json!(true));
    bob.use_api(&gateway, "u3", 1);
    app.change_program(|program| program["rules"][3]["on"] = json!("calls:50"));
    bob.use_api(&gateway, "u4", 1);
    assert_eq!(alice.stats()["credits_earned"], 1_000);
    assert_eq!(decisions_on_active(&app), ["program_disabled"]);
}
