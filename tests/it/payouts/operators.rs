//! Operators approve, cancel, see what is stuck, and settle what Stripe does not know.

use super::Stage;
use crate::process::run;
use crate::stripe_api::Fault;
use refloop::domain::delivery::{DeliveryKind, Outcome};
use refloop::domain::id::PayoutId;
use refloop::engine::Begun;
use refloop::work::{Receiver, deliver_once};
use serde_json::{Value, json};

const HOUR_MS: i64 = 3_600_000;

fn id_of(id: &str) -> PayoutId {
    id.parse().unwrap()
}

fn waiting() -> (Stage, String) {
    let stage = Stage::ready();
    stage.app.change_program(|program| program["payouts"]["approval"] = json!(true));
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    (stage, id)
}

#[test]
fn a_payout_waits_for_its_approval() {
    let (stage, id) = waiting();
    assert_eq!(stage.work_later(), 0);
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("queued", [2_000, 0, 3_000, 0, 0]));
    let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
    assert_eq!((listed.len(), listed[0].waits_for()), (1, Some("approval")));
    assert_eq!(stage.app.engine.retry_payout(id_of(&id), false).unwrap_err().code, "not_open");
    stage.app.engine.approve_payout(id_of(&id)).unwrap();
    assert_eq!(stage.app.engine.approve_payout(id_of(&id)).unwrap_err().code, "not_waiting");
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}

#[test]
fn an_old_payout_is_looked_for_before_it_is_sent() {
    let (stage, id) = waiting();
    stage.app.advance_ms(24 * HOUR_MS);
    stage.app.engine.approve_payout(id_of(&id)).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
    let asked = |method| stage.stripe.requests(method, "/v1/transfers").len();
    assert_eq!((asked("GET"), asked("POST")), (1, 1), "this may be an older copy of the file");
}

#[test]
fn a_setting_that_is_turned_on_later_holds_up_what_comes_later() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    stage.app.change_program(|program| program["payouts"]["approval"] = json!(true));
    stage.work();
    assert_eq!(stage.status(&id), "paid");
}

#[test]
fn what_is_called_off_before_it_is_sent_comes_back() {
    for approved in [false, true] {
        let (stage, id) = waiting();
        if approved {
            stage.app.engine.approve_payout(id_of(&id)).unwrap();
        }
        stage.app.engine.cancel_payout(id_of(&id)).unwrap();
        assert_eq!(stage.app.engine.approve_payout(id_of(&id)).unwrap_err().code, "not_waiting");
        assert_eq!(stage.balance(), [2_000, 0, 3_000, 0, 0], "until the worker comes by");
        stage.work();
        assert_eq!((stage.status(&id).as_str(), stage.balance()), ("cancelled", [5_000, 0, 0, 0, 0]));
        assert_eq!(stage.app.engine.cancel_payout(id_of(&id)).unwrap_err().code, "already_sent");
        assert!(stage.stripe.requests("POST", "/v1/transfers").is_empty());
        stage.request(json!({}));
    }
}

#[test]
fn what_is_owed_by_now_is_shown_and_stops_the_approval() {
    let (stage, id) = waiting();
    stage.refund("r-1", "p-1", 35_000);
    assert_eq!(stage.balance(), [0, 0, 3_000, 0, 1_500]);
    let dir = stage.app.db().parent().unwrap().to_owned();
    let listed = run(&dir, &["payout", "list", "--json"]).json()["payouts"][0].clone();
    assert_eq!((&listed["owed"], &listed["waits_for"]), (&json!(1_500), &json!("cancel")));
    let said = run(&dir, &["payout", "list"]).out;
    assert!(said.contains("waits for: cancel  owes: 1500 usd"), "{said}");
    let refusal = stage.app.engine.approve_payout(id_of(&id)).unwrap_err();
    assert_eq!(refusal.code, "not_covered");
    assert!(refusal.message.starts_with("15.00 USD of it is refunded or owed by now."), "{}", refusal.message);
    assert_eq!((stage.work_later(), stage.status(&id).as_str()), (0, "queued"));
    stage.app.engine.cancel_payout(id_of(&id)).unwrap();
    stage.work();
    let payout = stage.payout(&id);
    assert_eq!((&payout["status"], &payout["failure"]), (&json!("cancelled"), &Value::Null));
    assert_eq!((stage.balance(), stage.sent()), ([1_500, 0, 0, 0, 0], 0));
}

#[test]
fn an_approved_one_that_is_refunded_before_it_is_sent_stays_here() {
    let (stage, id) = waiting();
    stage.app.engine.approve_payout(id_of(&id)).unwrap();
    stage.refund("r-1", "p-1", 50_000);
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance(), stage.sent()), ("cancelled", [0, 0, 0, 0, 0], 0));
}

#[test]
fn what_is_called_off_in_an_older_copy_of_the_file_does_not_come_back_if_it_was_sent() {
    let (stage, id) = waiting();
    let account = stage.partner()["stripe"]["account_id"].clone();
    let sent = json!({ "id": "tr_before", "object": "transfer", "amount": 3_000, "currency": "usd",
        "destination": account, "transfer_group": id, "platform": crate::stripe_api::PLATFORM });
    stage.stripe.with(|state| state.transfers.push(sent.clone()));
    stage.app.engine.cancel_payout(id_of(&id)).unwrap();
    stage.stripe.with(|state| state.is_down = true);
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("queued", [2_000, 0, 3_000, 0, 0]), "nobody knows yet");
    stage.stripe.with(|state| state.is_down = false);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("paid", [2_000, 0, 0, 3_000, 0]));

    // An event says it, too, also of one that seems not to be sent.
    let (stage, id) = waiting();
    let account = stage.partner()["stripe"]["account_id"].clone();
    let sent = json!({ "id": "tr_before", "object": "transfer", "amount": 3_000, "currency": "usd",
        "destination": account, "transfer_group": id });
    assert_eq!(stage.tell(&stage.event("evt_1", "transfer.created", &sent)), "transfer");
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("paid", [2_000, 0, 0, 3_000, 0]));
    assert_eq!(stage.app.engine.approve_payout(id_of(&id)).unwrap_err().code, "not_waiting");
}

#[test]
fn a_call_off_that_stripe_does_not_answer_is_parked_and_goes_on_when_it_is_told_to() {
    let (stage, id) = waiting();
    stage.app.engine.cancel_payout(id_of(&id)).unwrap();
    stage.stripe.with(|state| state.is_down = true);
    for _ in 0..12 {
        stage.work_later();
    }
    assert_eq!(stage.work_later(), 0, "parked");
    let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
    assert_eq!(listed[0].waits_for(), Some("retry"));
    stage.stripe.with(|state| state.is_down = false);
    stage.app.engine.retry_payout(id_of(&id), false).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("cancelled", [5_000, 0, 0, 0, 0]));
}

#[test]
fn without_a_key_nobody_can_ask_stripe_and_what_is_called_off_waits_for_one() {
    let (stage, id) = waiting();
    let key = stage.app.sqlite3("SELECT stripe_api_key FROM project WHERE stripe_api_key IS NOT NULL");
    stage.app.sqlite3("UPDATE project SET stripe_api_key = NULL");
    stage.app.engine.cancel_payout(id_of(&id)).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()[2]), ("queued", 3_000), "a copy put back may not know");
    for _ in 0..12 {
        stage.work_later();
    }
    let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
    assert_eq!(listed[0].waits_for(), Some("retry"), "it is not tried for ever");
    stage.app.sqlite3(&format!("UPDATE project SET stripe_api_key = '{}'", key.trim()));
    stage.app.engine.retry_payout(id_of(&id), false).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("cancelled", [5_000, 0, 0, 0, 0]));
}

#[test]
fn without_a_key_what_is_refunded_before_it_is_sent_is_not_freed_unasked() {
    let (stage, id) = waiting();
    stage.app.engine.approve_payout(id_of(&id)).unwrap();
    let key = stage.app.sqlite3("SELECT stripe_api_key FROM project WHERE stripe_api_key IS NOT NULL");
    stage.app.sqlite3("UPDATE project SET stripe_api_key = NULL");
    stage.refund("r-1", "p-1", 50_000);
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()[2]), ("queued", 3_000), "a copy put back may not know");
    stage.app.sqlite3(&format!("UPDATE project SET stripe_api_key = '{}'", key.trim()));
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("cancelled", 0));
}

/// Breaks down over each delivery.
struct Broken;

impl Receiver for Broken {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Transfer
    }

    fn tell(&self, _: &Begun) -> Outcome {
        panic!("on purpose")
    }
}

#[test]
fn a_courier_that_breaks_down_over_a_call_off_holds_up_nothing() {
    let (stage, id) = waiting();
    stage.app.engine.cancel_payout(id_of(&id)).unwrap();
    assert_eq!(deliver_once(&stage.app.engine, &Broken).unwrap(), 1);
    assert_eq!((stage.status(&id).as_str(), stage.balance()[2]), ("queued", 3_000), "nothing is known");
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("cancelled", [5_000, 0, 0, 0, 0]));
}

#[test]
fn an_outcome_that_cannot_be_noted_holds_up_no_other() {
    let (stage, id) = waiting();
    stage.app.engine.approve_payout(id_of(&id)).unwrap();
    let refuse = "CREATE TRIGGER test_refusal BEFORE UPDATE ON payout WHEN NEW.status = 'paid'
                  BEGIN SELECT RAISE(ABORT, 'not now'); END";
    stage.app.sqlite3(refuse);
    assert_eq!(stage.work(), 1, "it is put off, and the courier goes on");
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("queued", 3_000));
    let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
    assert!(listed[0].problem.as_ref().unwrap().contains("not now"), "{listed:?}");
    assert_eq!(stage.app.sqlite3("SELECT tries FROM outbox WHERE kind = 'transfer'"), "1\n", "one try is one");
    stage.app.sqlite3("DROP TRIGGER test_refusal");
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000), "it was found, and not sent again");
}

#[test]
fn what_cannot_go_on_by_itself_waits_for_an_operator_to_resolve_it() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request_and_try();
    let waits = |stage: &Stage| stage.app.engine.payouts_of_project("default", true).unwrap()[0].waits_for();
    stage.app.advance_ms(25 * HOUR_MS - 1);
    stage.work();
    assert_eq!(waits(&stage), None, "it is looked up, and not certain yet");
    stage.app.advance_ms(1);
    assert_eq!(waits(&stage), Some("resolve"));
    stage.app.engine.retry_payout(id_of(&id), true).unwrap();
    assert_eq!(waits(&stage), None, "it is being resolved");
    stage.stripe.with(|state| state.is_down = true);
    stage.work();
    for _ in 0..12 {
        stage.work_later();
    }
    assert_eq!(waits(&stage), Some("retry"), "Stripe did not answer for too long");
    stage.stripe.with(|state| state.is_down = false);
    stage.app.engine.retry_payout(id_of(&id), true).unwrap();
    stage.work();
    assert_eq!(stage.status(&id), "failed");
}

#[test]
fn what_was_sent_is_not_called_off() {
    let (stage, id) = waiting();
    stage.app.engine.approve_payout(id_of(&id)).unwrap();
    stage.stripe.script(&[Fault::BlockBefore]);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.work());
        stage.stripe.wait_until_blocked();
        assert_eq!(stage.app.engine.cancel_payout(id_of(&id)).unwrap_err().code, "already_sent");
        stage.stripe.let_go();
    });
    assert_eq!(stage.status(&id), "reconciling");
    assert_eq!(stage.app.engine.cancel_payout(id_of(&id)).unwrap_err().code, "already_sent");
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
    assert_eq!(stage.app.engine.cancel_payout(id_of(&id)).unwrap_err().code, "already_sent");
}

#[test]
fn what_keeps_failing_is_parked_with_its_reason_and_goes_on_when_it_is_told_to() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    stage.stripe.script(&[Fault::TooMany; 12]);
    stage.work();
    for _ in 0..11 {
        assert_eq!(stage.work_later(), 1);
    }
    assert_eq!(stage.work_later(), 0, "parked");
    let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
    assert_eq!(listed[0].waits_for(), Some("retry"));
    assert!(listed[0].problem.as_ref().unwrap().contains("429"), "{listed:?}");
    assert_eq!(stage.balance(), [2_000, 0, 3_000, 0, 0]);
    stage.app.engine.retry_payout(id_of(&id), false).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
    assert_eq!(stage.app.engine.retry_payout(id_of(&id), false).unwrap_err().code, "not_open");
}

#[test]
fn what_may_be_on_its_way_is_asked_for_until_the_answer_can_be_sure() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    stage.request_and_try();
    stage.stripe.with(|state| state.is_down = true);
    let listed = |stage: &Stage| stage.app.engine.payouts_of_project("default", true).unwrap().remove(0);
    for hour in 1..=36 {
        stage.app.advance_ms(HOUR_MS);
        stage.work();
        assert!(!listed(&stage).parked, "hour {hour}");
    }
    for _ in 0..6 {
        stage.work_later();
    }
    assert_eq!((listed(&stage).parked, listed(&stage).waits_for()), (true, Some("resolve")));
}

#[test]
fn what_is_surely_not_at_stripe_comes_back_only_when_an_operator_says_so() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    assert_eq!(stage.app.engine.retry_payout(id_of(&id), true).unwrap_err().code, "too_early");
    stage.app.advance_ms(25 * HOUR_MS - 1);
    assert_eq!(stage.app.engine.retry_payout(id_of(&id), true).unwrap_err().code, "too_early");
    stage.app.advance_ms(1);
    stage.work();
    assert_eq!(stage.status(&id), "reconciling");
    stage.app.engine.retry_payout(id_of(&id), true).unwrap();
    stage.stripe.with(|state| state.is_down = true);
    stage.work();
    assert_eq!(stage.status(&id), "reconciling", "nobody has said that it is not there");
    stage.stripe.with(|state| state.is_down = false);
    stage.work_later();
    let payout = stage.payout(&id);
    let words = "It did not reach Stripe, and was not sent. Ask for it again.";
    assert_eq!((&payout["status"], &payout["failure"]), (&json!("failed"), &json!(words)));
    assert_eq!((stage.balance(), stage.sent()), ([5_000, 0, 0, 0, 0], 0));
}

#[test]
fn resolving_finds_what_is_there() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    stage.stripe.script(&[Fault::BlockAfter]);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.work());
        stage.stripe.wait_until_blocked();
        stage.stripe.with(|state| state.is_down = true);
        stage.stripe.let_go();
    });
    stage.stripe.with(|state| state.is_down = false);
    stage.app.advance_days(2);
    stage.app.engine.retry_payout(id_of(&id), true).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}

#[test]
fn the_command_line_does_it_beside_a_running_server() {
    let (stage, id) = waiting();
    let dir = stage.app.db().parent().unwrap().to_owned();
    let command = |args: &[&str]| run(&dir, &[&["payout"], args, &["--json"]].concat());
    let listed = command(&["list", "--open"]).json()["payouts"].clone();
    let expected = json!({ "id": id, "developer_id": stage.alice.id, "amount": 3_000, "currency": "usd",
        "status": "queued", "waits_for": "approval", "owed": 0, "problem": null, "failure": null, "times_sent": 0,
        "last_sent_at": null, "transfer_id": null, "reversed_amount": 0, "created_at": listed[0]["created_at"],
        "paid_at": null });
    assert_eq!(listed, json!([expected]));
    let said = run(&dir, &["payout", "list"]);
    assert!(said.out.contains("waits for: approval") && said.out.contains("3000 usd"), "{said:?}");
    assert_eq!(command(&["approve", &id]).json(), json!({ "id": id, "approved": true }));
    assert_eq!(command(&["approve", &id]).json()["error"]["code"], "not_waiting");
    assert_eq!(command(&["retry", &id]).json()["retried"], true);
    assert_eq!(command(&["retry", &id, "--resolve"]).json()["error"]["code"], "too_early");
    assert_eq!(command(&["cancel", &id]).json(), json!({ "id": id, "cancelled": true }));
    assert_eq!(command(&["retry", "po_0000000000000"]).json()["error"]["code"], "not_found");
    // The command goes by this machine's clock, the app by one of its own.
    stage.app.advance_days(36_500);
    stage.work();
    assert_eq!(stage.status(&id), "cancelled");
    assert_eq!(command(&["list", "--open"]).json()["payouts"], json!([]));
    assert_eq!(command(&["list"]).json()["payouts"][0]["status"], "cancelled");
    assert_eq!(command(&["cancel", &id]).json()["error"]["code"], "already_sent");
}

#[test]
fn a_row_is_not_to_be_moved_by_hand() {
    let (stage, id) = waiting();
    let app = &stage.app;
    for sql in [
        "DELETE FROM payout",
        "UPDATE payout SET amount_minor = 1",
        "UPDATE payout SET request = 'amount=1'",
        "UPDATE payout SET destination = 'acct_mine'",
        "UPDATE payout SET group_seq = 1",
        "UPDATE payout SET status = 'paid'",
        "UPDATE payout SET status = 'failed'",
        "UPDATE payout SET status = 'cancelled'",
        "INSERT OR REPLACE INTO payout SELECT * FROM payout",
        "INSERT INTO payout SELECT id + 1, project_id, account_id, amount_minor, currency, destination, request, status,
           group_seq + 1, 1, NULL, approved_at_ms, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, 0, NULL, created_at_ms, NULL FROM payout",
    ] {
        let said = app.sqlite3(sql);
        assert!(said.contains("rror"), "{sql}: {said}");
    }
    app.engine.approve_payout(id_of(&id)).unwrap();
    stage.work();
    for status in ["queued", "reconciling", "failed", "cancelled"] {
        let said = app.sqlite3(&format!("UPDATE payout SET status = '{status}'"));
        assert!(said.contains("rror"), "{status}: {said}");
    }
    assert_eq!(stage.payout(&id)["failure"], Value::Null);
}

#[test]
fn verify_finds_a_payout_that_the_ledger_does_not_know() {
    let (stage, _) = waiting();
    let made = "DROP TRIGGER payout_new; INSERT INTO payout (id, project_id, account_id, amount_minor, currency,
        destination, request, status, group_seq, entry_count, return_seq, created_at_ms)
        SELECT id + 1, project_id, account_id, 5, 'usd', '', '', 'cancelled', 1, 1, 1, 0 FROM payout";
    assert_eq!(stage.app.sqlite3(made), "");
    stage.app.expect_tampering();
    let verdict = refloop::store::verify_file(&stage.app.db(), None).unwrap();
    assert!(verdict.fault.unwrap().problem.contains("another sum than the entries"));
}
