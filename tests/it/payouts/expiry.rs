//! Commissions that expire, in and out of payouts: what a payout holds does not grow older.

use super::Stage;
use crate::harness::DAY_MS;
use crate::stripe_api::Fault;
use refloop::domain::time;
use serde_json::{Value, json};

/// Alice has two commissions of 3,000 that vest today; the first expires in 10 days, the second in 15.
fn expiring() -> Stage {
    let stage = Stage::ready();
    stage.app.change_program(|program| {
        program["payouts"]["approval"] = json!(true);
        program["rules"][1]["expires_days"] = json!(45);
    });
    stage.buy("p-1", 30_000);
    stage.app.advance_days(5);
    stage.buy("p-2", 30_000);
    stage.app.advance_days(30);
    assert_eq!(stage.balance(), [6_000, 0, 0, 0, 0]);
    stage
}

fn call_off(stage: &Stage, id: &str) {
    stage.app.engine.cancel_payout(id.parse().unwrap()).unwrap();
    stage.work();
    assert_eq!(stage.status(id), "cancelled");
}

fn lines(stage: &Stage, kind: &str) -> Vec<Value> {
    stage.alice.ledger().into_iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn what_expires_in_a_payout_that_is_called_off_comes_back_with_the_life_that_it_had_left() {
    let stage = expiring();
    let id = stage.request(json!({}));
    stage.app.advance_days(60);
    stage.app.sweep();
    let now_ms = stage.app.now_ms();
    call_off(&stage, &id);
    assert_eq!(stage.balance(), [6_000, 0, 0, 0, 0]);
    let ends: Vec<_> = lines(&stage, "payout_return").iter().map(|line| line["expires_at"].clone()).collect();
    let in_days = |days: i64| json!(time::rfc3339(now_ms + days * DAY_MS));
    assert_eq!(ends, [in_days(10), in_days(15)]);
    stage.app.advance_ms(10 * DAY_MS - 1);
    assert_eq!(stage.balance()[0], 6_000);
    stage.app.advance_ms(1);
    assert_eq!(stage.balance()[0], 3_000);
    stage.app.sweep();
    stage.app.advance_days(5);
    stage.app.sweep();
    assert_eq!((stage.balance(), lines(&stage, "expire").len()), ([0, 0, 0, 0, 0], 2));
    assert_eq!(stage.alice.stats()["credits_earned"], 6_000, "nothing was granted twice");
}

#[test]
fn what_stripe_refuses_comes_back_alive_too_and_can_be_paid_out() {
    let stage = expiring();
    let id = stage.request(json!({}));
    stage.app.advance_days(60);
    stage.app.engine.approve_payout(id.parse().unwrap()).unwrap();
    stage.stripe.script(&[Fault::Refuse]);
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("failed", [6_000, 0, 0, 0, 0]));
    let id = stage.request(json!({}));
    stage.app.engine.approve_payout(id.parse().unwrap()).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 6_000));
}

#[test]
fn what_was_not_in_the_payout_expires_as_ever_and_stays_expired() {
    for swept in [true, false] {
        let stage = expiring();
        let id = stage.request(json!({ "amount": 4_000 }));
        assert_eq!(stage.balance(), [2_000, 0, 4_000, 0, 0]);
        stage.app.advance_days(20);
        if swept {
            stage.app.sweep();
        }
        assert_eq!(stage.balance(), [0, 0, 4_000, 0, 0]);
        call_off(&stage, &id);
        assert_eq!(stage.balance(), [4_000, 0, 0, 0, 0], "swept: {swept}");
        // A refund takes back what did not expire, and no more.
        stage.refund("r-1", "p-2", 30_000);
        assert_eq!(stage.balance(), [3_000, 0, 0, 0, 0], "swept: {swept}");
        stage.refund("r-2", "p-1", 30_000);
        assert_eq!(stage.balance(), [0, 0, 0, 0, 0], "swept: {swept}");
    }
}

#[test]
fn a_refund_in_the_meantime_is_settled_by_what_comes_back() {
    let stage = expiring();
    let id = stage.request(json!({}));
    stage.app.advance_days(60);
    stage.refund("r-1", "p-1", 30_000);
    assert_eq!(stage.balance(), [0, 0, 6_000, 0, 3_000]);
    call_off(&stage, &id);
    assert_eq!(stage.balance(), [3_000, 0, 0, 0, 0]);
}

#[test]
fn a_lot_s_end_is_moved_by_a_return_only_and_never_nearer() {
    let stage = expiring();
    let id = stage.request(json!({ "amount": 2_500 }));
    let forged = |kind: &str, amount: &str, at: &str| {
        let said = stage.app.sqlite3(&format!(
            "INSERT INTO entry SELECT (SELECT max(seq) FROM entry) + 1, project_id, account_id, lot, '{kind}', {amount},
               'x', (SELECT max(seq) FROM entry) + 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, {at}, at_ms,
               (SELECT hash FROM entry ORDER BY seq DESC LIMIT 1), randomblob(32)
             FROM entry WHERE kind = 'payout' LIMIT 1"
        ));
        assert!(said.contains("rror"), "{kind} {at}: {said}");
    };
    let end = "(SELECT expires_at_ms FROM lot WHERE lot.seq = entry.lot)";
    forged("spend", "-1", &format!("{end} + 1"));
    forged("expire", "-1", &format!("{end} + 1"));
    forged("payout", "-1", &format!("{end} + 1"));
    forged("payout_return", "1", end);
    forged("payout_return", "1", "1");
    call_off(&stage, &id);
}
