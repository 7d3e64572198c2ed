//! What can be asked for, and what it reserves.

use super::Stage;
use crate::stripe_api::Fault;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

#[test]
fn a_payout_goes_from_the_request_to_the_bank() {
    let stage = Stage::ready();
    stage.earn("p-1", 4_000);
    assert_eq!(stage.balance(), [4_000, 0, 0, 0, 0]);
    let id = stage.request(json!({}));
    assert!(id.starts_with("po_"));
    assert_eq!(stage.balance(), [0, 0, 4_000, 0, 0]);
    assert_eq!(stage.stats_available(), 0, "what is reserved cannot be spent");
    assert_eq!(stage.payout(&id)["paid_at"], Value::Null);
    assert_eq!(statuses(&stage), ["grant ELIGIBLE", "payout RESERVED"], "nothing is paid yet");
    assert_eq!(stage.work(), 1);
    let payout = stage.payout(&id);
    assert_eq!(
        payout,
        json!({ "id": id, "amount": 4_000, "currency": "usd", "status": "paid", "created_at": payout["created_at"],
                "paid_at": "2026-02-14T10:00:00Z", "failure": null })
    );
    assert_eq!(stage.balance(), [0, 0, 0, 4_000, 0]);
    assert_eq!((stage.sent(), stage.paid_by_ledger()), (4_000, 4_000));
    assert_eq!(statuses(&stage), ["grant PAID", "payout PAID"]);
    assert_eq!(stage.work_later(), 0, "there is nothing left to be told");
}

/// What each line of Alice's ledger says of itself, in every place where it is said.
fn statuses(stage: &Stage) -> Vec<String> {
    let word = |line: &Value| format!("{} {}", line["kind"].as_str().unwrap(), line["status"].as_str().unwrap());
    let lines: Vec<String> = stage.alice.ledger().iter().map(word).collect();
    let csv = |text: &str, kind: usize, status: usize| -> Vec<String> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows = reader.records().map(|row| row.unwrap());
        rows.map(|row| format!("{} {}", &row[kind], &row[status])).collect()
    };
    let own = stage.alice.get("/v1/developers/ledger.csv").body;
    assert_eq!(csv(&own, 2, 5), lines);
    let whole = stage.app.gateway().get("/v1/admin/projects/default/exports/ledger.csv").body;
    let header: Vec<&str> = whole.lines().next().unwrap().split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let is_alices = |line: &&str| line.contains(&stage.alice.id) || line.contains("kind");
    let alices: Vec<&str> = whole.lines().filter(is_alices).collect();
    assert_eq!(csv(&alices.join("\n"), place("kind"), place("status")), lines);
    for line in &lines {
        let (kind, status) = line.split_once(' ').unwrap();
        let found = stage.alice.all(&format!("/v1/developers/ledger?status={status}"));
        assert!(found.iter().any(|found| found["kind"] == kind), "{line}");
    }
    let grant = lines.iter().find_map(|line| line.strip_prefix("grant ")).unwrap();
    assert_eq!(stage.alice.all("/v1/developers/referrals?limit=50")[0]["credits"][0]["status"], grant);
    lines
}

#[test]
fn what_comes_back_was_never_paid() {
    let stage = Stage::ready();
    stage.earn("p-1", 4_000);
    stage.request(json!({ "amount": 3_000 }));
    stage.stripe.script(&[Fault::BreakBefore, Fault::Refuse]);
    stage.work();
    assert_eq!(statuses(&stage), ["grant ELIGIBLE", "payout RESERVED"], "nobody knows");
    stage.work_later();
    assert_eq!(statuses(&stage), ["grant ELIGIBLE", "payout RETURNED", "payout_return RETURNED"]);
    // A part is paid, and the rest of the same grant asked for.
    stage.request(json!({ "amount": 2_500 }));
    stage.work();
    stage.app.change_program(|program| program["payouts"]["minimum"] = json!(1));
    stage.request(json!({}));
    assert_eq!(statuses(&stage)[0], "grant PAID", "a payout has carried some of it");
    assert_eq!(statuses(&stage)[4], "payout RESERVED");
}

impl Stage {
    fn stats_available(&self) -> i64 {
        self.alice.stats()["credits_available"].as_i64().unwrap()
    }
}

#[test]
fn each_refusal() {
    let stage = Stage::basic();
    assert_eq!(stage.ask(json!({})).problem(409), "not_partner");
    stage.upgrade();
    assert_eq!(stage.ask(json!({})).problem(409), "stripe_not_ready");
    let connected = stage.connect();
    assert_eq!(stage.ask(json!({})).problem(409), "stripe_not_ready", "an account alone is not enough");
    stage.stripe.complete_account(connected["account_id"].as_str().unwrap());
    stage.connect();
    assert_eq!(stage.ask(json!({})).faults(), ["amount: below_minimum"]);
    stage.earn("p-1", 2_499);
    for body in [json!({}), json!({ "amount": 2_499 }), json!({ "amount": null })] {
        assert_eq!(stage.ask(body).faults(), ["amount: below_minimum"]);
    }
    stage.earn("p-2", 2_501);
    stage.buy("p-3", 900_000);
    assert_eq!(
        stage.ask(json!({ "amount": 5_001 })).faults(),
        ["amount: insufficient_balance"],
        "what is held is not due"
    );
    for amount in [json!(0), json!(-1), json!("2500"), json!(2_500.5)] {
        assert!(stage.ask(json!({ "amount": amount })).faults()[0].starts_with("amount: "));
    }
    let id = stage.request(json!({ "amount": 2_500 }));
    assert_eq!(stage.ask(json!({ "amount": 2_500 })).problem(409), "payout_open");
    assert_eq!(stage.alice.post("/v1/partner/downgrade", json!({})).problem(409), "payout_open");
    stage.work();
    assert_eq!(stage.status(&id), "paid");
    stage.request(json!({}));
    assert_eq!(stage.balance(), [0, 90_000, 2_500, 2_500, 0]);
}

#[test]
fn the_program_says_the_least() {
    let stage = Stage::ready();
    stage.app.change_program(|program| program["payouts"]["minimum"] = json!(0));
    assert_eq!(stage.partner()["minimum_payout"], 0);
    assert_eq!(stage.ask(json!({})).faults(), ["amount: insufficient_balance"]);
    stage.earn("p-1", 10);
    stage.request(json!({ "amount": 1 }));
}

#[test]
fn payouts_are_one_s_own_and_paged_newest_first() {
    let stage = Stage::ready();
    stage.app.change_program(|program| program["payouts"]["minimum"] = json!(1));
    stage.earn("p-1", 1_000);
    let mut ids = Vec::new();
    for amount in 1..=5 {
        ids.push(stage.request(json!({ "amount": amount })));
        stage.work();
    }
    ids.reverse();
    let all = stage.alice.all("/v1/payouts?limit=2");
    assert_eq!(all.iter().map(|payout| payout["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    assert_eq!(all[0]["amount"], 5);
    for path in [ids[0].clone(), "po_0000000000000".into(), "po_x".into(), "dev_0000000000001".into()] {
        assert_eq!(stage.bob.get(&format!("/v1/payouts/{path}")).problem(404), "not_found", "{path}");
    }
    assert_eq!(stage.bob.get("/v1/payouts").json()["data"], json!([]));
}

#[test]
fn a_reward_that_no_purchase_is_behind_is_not_paid_out() {
    let stage = Stage::ready();
    stage.app.change_program(|program| {
        program["rules"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "reason": "referral_signup", "on": "signup", "to": "referrer", "amount": 5_000 }));
    });
    stage.app.referee("Carol", &stage.alice.code());
    assert_eq!(stage.stats_available(), 5_000);
    assert_eq!(stage.balance(), [0, 0, 0, 0, 0]);
    stage.earn("p-1", 2_600);
    assert_eq!(stage.balance()[0], 2_600);
    // Usage takes the older lot first: the reward is used up before the commission is touched.
    stage.alice.use_api(&stage.app.gateway(), "u-1", 5_050);
    assert_eq!(stage.balance()[0], 2_550);
    let id = stage.request(json!({}));
    assert_eq!(stage.payout(&id)["amount"], 2_550);
}

#[test]
fn in_a_test_project_a_payout_is_paid_at_the_worker_s_next_step() {
    let stage = Stage::basic();
    let app = &stage.app;
    app.project("sandbox", Preset::Commission, "test");
    app.sqlite3("UPDATE project SET host = 'sandbox.example' WHERE slug = 'sandbox'");
    let gateway = app.gateway_of("sandbox");
    let sign_up = |name: &str, code: Option<&str>| {
        let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name,
                           "referral_code": code });
        let headers = [("Content-Type", "application/json"), ("Host", "sandbox.example")];
        app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes()).json()
    };
    let carol = sign_up("carol", None);
    let carol = app.anonymous().with_key(carol["api_key"].as_str().unwrap());
    let code = carol.post("/v1/developers/referral-code", json!({})).json()["referral_code"].clone();
    let dan = sign_up("dan", code.as_str());
    let signature = json!({ "agreement_version": 1, "signature": "Carol", "accept": true });
    assert_eq!(carol.post("/v1/partner/upgrade", signature).json()["track"], "partner");
    let connected = carol.post("/v1/partner/connect", json!({})).json();
    assert!(connected["account_id"].as_str().unwrap().starts_with("acct_test_"), "{connected}");
    assert_eq!(carol.get("/v1/partner").json()["stripe"]["ready"], true);
    let purchase = json!({ "id": "p", "developer_id": dan["developer"]["id"], "amount": 50_000, "currency": "usd" });
    gateway.post("/v1/purchases", purchase);
    gateway.post("/v1/test-clock", json!({ "advance": "P30D" }));
    let payout = carol.post("/v1/payouts", json!({})).json()["payout"].clone();
    assert_eq!((&payout["status"], &payout["amount"]), (&json!("queued"), &json!(5_000)));
    stage.work();
    let payout = carol.get(&format!("/v1/payouts/{}", payout["id"].as_str().unwrap())).json()["payout"].clone();
    assert_eq!((&payout["status"], &payout["paid_at"]), (&json!("paid"), &json!("2026-02-14T10:00:00Z")));
    assert!(stage.stripe.with(|state| state.requests.is_empty()), "nobody was called");
    // A payout of another project is none.
    let id = payout["id"].as_str().unwrap();
    assert_eq!(stage.alice.get(&format!("/v1/payouts/{id}")).problem(404), "not_found");
}

#[test]
fn many_at_once_get_one_payout() {
    let stage = Stage::ready();
    stage.earn("p-1", 50_000);
    let replies: Vec<u16> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| stage.ask(json!({ "amount": 2_500 })).status);
        let threads: Vec<_> = (0..8).map(|_| ask()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(replies.iter().filter(|status| **status == 201).count(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|status| **status == 409).count(), 7, "{replies:?}");
    assert_eq!(stage.balance(), [47_500, 0, 2_500, 0, 0]);
}

#[test]
fn who_asks_is_written_to_about_the_request_and_what_came_of_it() {
    let stage = Stage::ready();
    stage.app.change_program(|program| program["payouts"]["minimum"] = json!(1));
    stage.earn("p-1", 5_000);
    let paid = stage.request(json!({ "amount": 2_600 }));
    stage.work();
    let refused = stage.request(json!({ "amount": 100 }));
    stage.stripe.script(&[Fault::BreakBefore, Fault::Refuse]);
    stage.work();
    stage.work_later();
    let called_off = stage.request(json!({ "amount": 7 }));
    stage.app.engine.cancel_payout(called_off.parse().unwrap()).unwrap();
    stage.work();
    let letters = stage
        .app
        .sqlite3("SELECT once, body ->> 'amount', body ->> 'reason' FROM outbox WHERE once LIKE 'payout%' ORDER BY id");
    let expected = format!(
        "payout_requested/{paid}|26.00 USD|\npayout_paid/{paid}|26.00 USD|\n\
         payout_requested/{refused}|1.00 USD|\npayout_refused/{refused}|1.00 USD|Stripe did not take it. Ask for it again; if it is refused once more, write to the team.\n\
         payout_requested/{called_off}|0.07 USD|\n\
         payout_refused/{called_off}|0.07 USD|It was called off before it was sent.\n"
    );
    assert_eq!(letters, expected);
    let faults = stage.ask(json!({ "amount": 900_000 })).json()["errors"].clone();
    assert_eq!(faults[0]["detail"], "24.00 USD can be paid out.");
}
