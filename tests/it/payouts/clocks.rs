//! Clocks that are wrong, and are set right: what was sent is found, whatever this machine thinks that the time is.

use super::Stage;
use crate::stripe_api::{Fault, State};
use refloop::domain::id::PayoutId;
use serde_json::json;

const HOUR_MS: i64 = 3_600_000;

fn asked() -> (Stage, String) {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    (stage, id)
}

/// This machine's clock jumps, Stripe's does not.
fn jump(stage: &Stage, ms: i64) {
    stage.app.advance_ms(ms);
    stage.stripe.with(|state| state.ahead_ms -= ms);
}

/// The transfer is made, and neither its answer nor a look-up gets through.
fn sent_and_not_heard(stage: &Stage, id: &str) {
    stage.stripe.script(&[Fault::BlockAfter]);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.work());
        stage.stripe.wait_until_blocked();
        stage.stripe.with(|state| state.is_down = true);
        stage.stripe.let_go();
    });
    stage.stripe.with(|state| state.is_down = false);
    assert_eq!(stage.status(id), "reconciling");
}

fn retry(stage: &Stage, id: &str) {
    stage.app.engine.retry_payout(id.parse::<PayoutId>().unwrap(), false).unwrap();
    stage.work();
}

/// By the clock that sent it the key is young, and Stripe has long forgotten it.
#[test]
fn what_was_sent_by_a_clock_that_was_ahead_is_not_sent_again_when_the_key_is_forgotten() {
    for hours_ahead in [10, 20, 24 * 365] {
        let (stage, id) = asked();
        sent_and_not_heard(&stage, &id);
        // As if it had been sent with that clock, before refloop compared it with Stripe's.
        let ahead_ms = hours_ahead * HOUR_MS;
        let ahead = "first_sent_at_ms = first_sent_at_ms + AHEAD, last_sent_at_ms = last_sent_at_ms + AHEAD";
        let ahead = ahead.replace("AHEAD", &ahead_ms.to_string());
        assert_eq!(stage.app.sqlite3(&format!("UPDATE payout SET {ahead}")), "");
        stage.app.advance_ms(25 * HOUR_MS);
        stage.stripe.with(State::forget_keys);
        retry(&stage, &id);
        assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000), "{hours_ahead} hours ahead");
        assert_eq!(stage.paid_by_ledger(), 3_000);
    }
}

#[test]
fn with_a_clock_that_is_wrong_nothing_is_told_and_nothing_given_back() {
    for ms in [HOUR_MS, -HOUR_MS, 400 * 24 * HOUR_MS] {
        let (stage, id) = asked();
        jump(&stage, ms);
        retry(&stage, &id);
        assert!(stage.stripe.requests("POST", "/v1/transfers").is_empty());
        assert_eq!((stage.status(&id).as_str(), stage.balance()[2], stage.paid_by_ledger()), ("queued", 3_000, 3_000));
        let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
        assert!(listed[0].problem.as_ref().unwrap().contains("clock"), "{listed:?}");
        jump(&stage, -ms);
        retry(&stage, &id);
        assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
    }
}

#[test]
fn a_clock_that_goes_a_little_wrong_does_not_matter() {
    let (stage, id) = asked();
    jump(&stage, 20 * 60_000);
    sent_and_not_heard(&stage, &id);
    jump(&stage, -40 * 60_000);
    retry(&stage, &id);
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}

#[test]
fn a_clock_that_jumps_forward_does_not_make_sure_of_anything() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    jump(&stage, 26 * HOUR_MS);
    stage.app.engine.retry_payout(id.parse().unwrap(), true).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("reconciling", [2_000, 0, 3_000, 0, 0]));
    // A day and an hour later by any clock it is sure.
    jump(&stage, -26 * HOUR_MS);
    stage.app.advance_ms(25 * HOUR_MS);
    retry(&stage, &id);
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("failed", [5_000, 0, 0, 0, 0]));
}

#[test]
fn what_went_back_in_time_is_looked_for_and_then_sent() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    stage.app.advance_ms(-2 * HOUR_MS);
    retry(&stage, &id);
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}
