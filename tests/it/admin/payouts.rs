//! Payouts as operators see them, and what they order.

use super::desk::{Desk, call, noted};
use crate::harness::{DAY_MS, Reply};
use crate::payouts::Stage;
use crate::stripe_api::Fault;
use refloop::domain::operator::OperatorRole;
use serde_json::{Value, json};

fn waiting() -> (Stage, String) {
    let stage = Stage::ready();
    stage.app.change_program(|program| program["payouts"]["approval"] = json!(true));
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    (stage, id)
}

fn order(stage: &Stage, id: &str, what: &str) -> Reply {
    stage.app.gateway().post(&call(&format!("payouts/{id}/{what}")), json!({ "reason": "checked" }))
}

fn payout(stage: &Stage, id: &str) -> Value {
    stage.app.gateway().get(&call(&format!("payouts/{id}"))).json()
}

fn listed(stage: &Stage, status: &str) -> usize {
    let reply = stage.app.gateway().get(&call(&format!("payouts?status={status}")));
    reply.json()["data"].as_array().unwrap().len()
}

#[test]
fn what_waits_is_approved_and_leaves() {
    let (stage, id) = waiting();
    let shown = payout(&stage, &id);
    assert_eq!(
        (&shown["waits_for"], &shown["approved"], &shown["owed"]),
        (&json!("approval"), &json!(false), &json!(0))
    );
    assert_eq!((listed(&stage, "open"), listed(&stage, "queued"), listed(&stage, "paid")), (1, 1, 0));
    let reply = order(&stage, &id, "approve");
    assert_eq!((reply.status, &reply.json()["approved"]), (200, &json!(true)), "{}", reply.body);
    assert_eq!(order(&stage, &id, "approve").problem(409), "not_waiting");
    stage.work();
    assert_eq!((payout(&stage, &id)["status"].clone(), stage.sent()), (json!("paid"), 3_000));
    assert_eq!((listed(&stage, "open"), listed(&stage, "paid"), listed(&stage, "all")), (0, 1, 1));
    assert_eq!(order(&stage, &id, "cancel").problem(409), "already_sent");
    assert_eq!(order(&stage, &id, "retry").problem(409), "not_open");
    let notes: Vec<_> = noted(&stage.app).into_iter().filter(|note| note.0.starts_with("payout.")).collect();
    assert_eq!(notes, [("payout.approve".into(), id, "checked".into())], "what was refused is not noted");
}

#[test]
fn what_is_called_off_comes_back() {
    let (stage, id) = waiting();
    assert_eq!(order(&stage, &id, "cancel").json()["cancel_asked"], true);
    stage.work();
    assert_eq!(payout(&stage, &id)["status"], "cancelled");
    assert_eq!(stage.balance(), [5_000, 0, 0, 0, 0]);
    assert_eq!(noted(&stage.app)[0].0, "payout.cancel");
}

#[test]
fn what_the_partner_owes_meanwhile_is_shown() {
    let (stage, id) = waiting();
    stage.refund("r-1", "p-1", 50_000);
    let owed = payout(&stage, &id)["owed"].as_i64().unwrap();
    assert_eq!(owed, stage.balance()[4]);
    assert!(owed > 0);
    let page = Desk::sign_in(&stage.app, OperatorRole::Operator).page("payouts").body;
    assert!(page.contains("This partner owes 30.00 USD meanwhile"), "{page}");
    assert!(page.contains("call it off.") && page.contains(">Call off<"), "{page}");
    assert!(!page.contains(">Approve<"), "what cannot be approved is not offered");
}

#[test]
fn a_call_off_that_is_parked_can_be_tried_again_though_nobody_approved_it() {
    let (stage, id) = waiting();
    assert_eq!(order(&stage, &id, "cancel").status, 200);
    stage.stripe.with(|state| state.is_down = true);
    stage.work();
    for _ in 0..12 {
        stage.work_later();
    }
    assert_eq!(payout(&stage, &id)["waits_for"], "retry");
    let operator = Desk::sign_in(&stage.app, OperatorRole::Operator);
    let page = operator.page("payouts").body;
    assert!(page.contains(">Try again now<") && !page.contains(">Approve<"), "{page}");
    stage.stripe.with(|state| state.is_down = false);
    let done = operator.done("payouts", &[("payout", &id), ("order", "retry"), ("reason", "")]);
    assert!(done.contains("is tried again now"), "{done}");
    stage.work();
    assert_eq!((payout(&stage, &id)["status"].clone(), stage.balance()), (json!("cancelled"), [5_000, 0, 0, 0, 0]));
}

#[test]
fn operators_read_stripe_s_own_words() {
    let (stage, id) = waiting();
    order(&stage, &id, "approve");
    stage.stripe.script(&[Fault::NoFunds]);
    stage.work();
    assert_eq!(payout(&stage, &id)["failure"], "balance_insufficient: Insufficient funds.");
    let page = Desk::sign_in(&stage.app, OperatorRole::Operator).page("payouts?status=failed").body;
    assert!(page.contains("balance_insufficient: Insufficient funds."), "{page}");
}

#[test]
fn what_is_stuck_says_what_is_known_and_is_resolved_when_it_is_certain() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    let stuck = payout(&stage, &id);
    assert_eq!((&stuck["status"], &stuck["times_sent"]), (&json!("reconciling"), &json!(1)), "{stuck}");
    assert!(stuck["certain_at"].is_string() && stuck["problem"].is_string(), "{stuck}");
    assert_eq!(order(&stage, &id, "resolve").problem(409), "too_early");
    assert_eq!(order(&stage, &id, "cancel").problem(409), "already_sent");
    let operator = Desk::sign_in(&stage.app, OperatorRole::Operator);
    let page = operator.page("payouts").body;
    assert!(page.contains("Stripe was told once, at ") && !page.contains(">Resolve<"), "{page}");
    stage.app.advance_ms(2 * DAY_MS);
    let operator = Desk { browser: operator.browser };
    let page = operator.page("payouts").body;
    assert!(page.contains(">Resolve<") && page.contains("Look for it there, then resolve it."), "{page}");
    assert_eq!(payout(&stage, &id)["waits_for"], "resolve");
    assert_eq!(order(&stage, &id, "resolve").status, 200);
    stage.work();
    assert_eq!((payout(&stage, &id)["status"].clone(), stage.balance()[0]), (json!("failed"), 5_000));
    assert_eq!(noted(&stage.app)[0].0, "payout.resolve");
}

#[test]
fn payouts_are_ordered_on_the_page() {
    let (stage, id) = waiting();
    let operator = Desk::sign_in(&stage.app, OperatorRole::Operator);
    let page = operator.page("payouts").body;
    assert!(page.contains("30.00 USD") && page.contains("Waits for your approval."), "{page}");
    let done = operator.done("payouts", &[("payout", &id), ("order", "approve"), ("reason", "")]);
    assert!(done.contains("is approved"), "{done}");
    let again = operator.send("payouts", "payouts", &[("payout", &id), ("order", "approve")]);
    assert_eq!(again.status, 409);
    assert!(again.body.contains("does not wait for an approval"), "{}", again.body);
    stage.work();
    assert!(operator.page("payouts?status=paid").body.contains(&id));
    assert_eq!(
        operator.send("payouts", "payouts", &[("payout", "po_0000000000001"), ("order", "approve")]).status,
        404
    );
    assert_eq!(operator.send("payouts", "payouts", &[("payout", &id), ("order", "explode")]).status, 400);
    let reader = Desk::sign_in(&stage.app, OperatorRole::ReadOnly);
    assert_eq!(reader.send("payouts", "payouts", &[("payout", &id), ("order", "cancel")]).status, 403);
}

#[test]
fn another_project_s_payouts_are_not_there() {
    let (stage, id) = waiting();
    stage.app.project("acme", refloop::domain::program::Preset::Commission, "live");
    let acme = stage.app.gateway_of("acme");
    assert_eq!(acme.get("/v1/admin/projects/acme/payouts").json()["data"], json!([]));
    for what in ["approve", "cancel", "retry", "resolve"] {
        let path = format!("/v1/admin/projects/acme/payouts/{id}/{what}");
        assert_eq!(acme.post(&path, json!({})).problem(404), "not_found", "{what}");
    }
    assert_eq!(stage.app.gateway().get(&call("payouts?status=open,paid")).faults(), ["status: invalid_status"]);
    assert_eq!(order(&stage, "nothing", "approve").problem(404), "not_found");
}

#[test]
fn what_is_given_by_hand_is_credit_and_what_is_taken_is_not_paid_out() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let adjust = |amount: i64| {
        let body = json!({ "amount": amount, "reason": "x" });
        let path = call(&format!("developers/{}/adjustments", stage.alice.id));
        assert_eq!(stage.app.gateway().post(&path, body).status, 201);
        stage.balance()
    };
    assert_eq!(adjust(1_000), [5_000, 0, 0, 0, 0], "to be spent, not to be paid out");
    // The commission is the oldest of what never expires.
    assert_eq!(adjust(-1_500), [3_500, 0, 0, 0, 0]);
    assert_eq!(stage.ask(json!({ "amount": 3_501 })).status, 422);
    stage.request(json!({ "amount": 3_500 }));
    stage.work();
    assert_eq!(stage.sent(), 3_500);
}
