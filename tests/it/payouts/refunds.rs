//! Refunds of what was paid out, or is about to be.

use super::Stage;
use crate::stripe_api::Fault;
use serde_json::json;

#[test]
fn a_refund_of_what_was_paid_out_becomes_debt() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    stage.request(json!({}));
    stage.work();
    stage.refund("r-1", "p-1", 10_000);
    assert_eq!(stage.balance(), [0, 0, 0, 3_000, 1_000]);
    // What comes next repays it first.
    stage.earn("p-2", 2_500);
    assert_eq!(stage.balance(), [1_500, 0, 0, 3_000, 0]);
    assert_eq!((stage.sent(), stage.paid_by_ledger()), (3_000, 3_000));
}

#[test]
fn a_refund_while_the_payout_is_open_is_debt_as_the_money_is_on_its_way() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    let id = stage.request(json!({}));
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    stage.refund("r-1", "p-1", 30_000);
    assert_eq!(stage.balance(), [0, 0, 3_000, 0, 3_000]);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("paid", [0, 0, 0, 3_000, 3_000]));
}

#[test]
fn what_comes_back_after_a_refund_settles_its_debt() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    let id = stage.request_and_try();
    stage.refund("r-1", "p-1", 10_000);
    assert_eq!(stage.balance(), [0, 0, 3_000, 0, 1_000]);
    stage.stripe.script(&[Fault::Refuse]);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("failed", [2_000, 0, 0, 0, 0]));

    // Even if only a part of it does.
    let stage = Stage::ready();
    stage.earn("p-1", 6_000);
    stage.alice.use_api(&stage.app.gateway(), "u-1", 3_500);
    stage.request_and_try();
    stage.refund("r-1", "p-1", 60_000);
    assert_eq!(stage.balance(), [0, 0, 2_500, 0, 6_000]);
    stage.stripe.script(&[Fault::Refuse]);
    stage.work_later();
    assert_eq!(stage.balance(), [0, 0, 0, 0, 3_500]);
}

/// Alice has earned 3,000 by a purchase, and 700 by a signup.
fn with_bonus() -> Stage {
    let stage = Stage::ready();
    stage.app.change_program(|program| {
        program["rules"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "reason": "referral_signup", "on": "signup", "to": "referrer", "amount": 700 }));
    });
    stage.earn("p-1", 3_000);
    stage.app.referee("Carol", &stage.alice.code());
    stage
}

#[test]
fn a_bonus_that_paid_for_a_reversal_after_the_payout_does_not_come_back_either() {
    let stage = with_bonus();
    stage.request(json!({}));
    stage.work();
    stage.refund("r-1", "p-1", 30_000);
    assert_eq!(stage.balance(), [0, 0, 0, 3_000, 2_300]);
    stage.earn("p-2", 6_000);
    assert_eq!(stage.alice.stats()["credits_available"], 3_700);
    assert_eq!(stage.balance(), [3_000, 0, 0, 3_000, 0], "700 of it can be spent alone");
    stage.request(json!({}));
    stage.work();
    assert_eq!((stage.sent(), stage.paid_by_ledger()), (6_000, 6_000), "what commissions have come to");
    assert_eq!(stage.balance(), [0, 0, 0, 6_000, 0]);
}

#[test]
fn a_commission_that_covered_the_refund_of_one_on_its_way_is_worth_what_comes_back() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    stage.request(json!({}));
    stage.earn("p-2", 3_000);
    stage.refund("r-1", "p-1", 30_000);
    assert_eq!(stage.balance(), [0, 0, 3_000, 0, 0], "the second one paid for it");
    stage.stripe.script(&[Fault::Refuse]);
    stage.work();
    assert_eq!(stage.balance(), [3_000, 0, 0, 0, 0]);
    stage.request(json!({}));
    stage.work();
    assert_eq!((stage.sent(), stage.balance()), (3_000, [0, 0, 0, 3_000, 0]));
}

#[test]
fn a_bonus_that_paid_for_a_reversal_does_not_come_back_as_cash() {
    let stage = with_bonus();
    stage.request_and_try();
    stage.refund("r-1", "p-1", 30_000);
    assert_eq!(stage.balance(), [0, 0, 3_000, 0, 2_300], "the reward of 700 paid for some of it");
    stage.stripe.script(&[Fault::Refuse]);
    stage.work_later();
    let stats = stage.alice.stats();
    assert_eq!((&stats["credits_available"], &stats["owed"]), (&json!(700), &json!(0)), "it can be spent again");
    assert_eq!(stage.balance(), [0, 0, 0, 0, 0], "and not be paid out");
}

#[test]
fn what_is_refunded_before_it_is_sent_is_not_sent() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    let id = stage.request(json!({}));
    stage.refund("r-1", "p-1", 1_000);
    assert_eq!(stage.balance(), [0, 0, 3_000, 0, 100]);
    stage.work();
    let payout = stage.payout(&id);
    assert_eq!(payout["status"], "cancelled");
    assert!(payout["failure"].as_str().unwrap().contains("refunded or owed before it was sent"), "{payout}");
    assert_eq!((stage.balance(), stage.sent()), ([2_900, 0, 0, 0, 0], 0));
    // The rest can be asked for again.
    let id = stage.request(json!({}));
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("paid", [0, 0, 0, 2_900, 0]));
    assert_eq!((stage.sent(), stage.paid_by_ledger()), (2_900, 2_900));
}

#[test]
fn what_stripe_could_not_take_yet_is_called_off_too() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    let id = stage.request(json!({}));
    stage.stripe.script(&[Fault::TooMany]);
    stage.work();
    stage.refund("r-1", "p-1", 30_000);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("cancelled", [0, 0, 0, 0, 0]));
}

#[test]
fn a_refund_that_other_credits_paid_for_stops_the_payout_of_what_was_refunded() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    let bonus = json!({ "reason": "bonus", "on": "signup", "to": "referrer", "amount": 5_000 });
    stage.app.change_program(|program| program["rules"].as_array_mut().unwrap().push(bonus.clone()));
    stage.app.referee("Carol", &stage.alice.code());
    let id = stage.request(json!({}));
    stage.refund("r-1", "p-1", 30_000);
    assert_eq!(stage.balance(), [0, 0, 3_000, 0, 0], "nothing is owed: the bonus paid for it");
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("cancelled", 0));
    assert_eq!(stage.balance(), [0, 0, 0, 0, 0], "a bonus is no money");
    assert_eq!(stage.alice.stats()["credits_available"], 5_000);
}

#[test]
fn what_is_left_besides_a_payout_covers_a_debt() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    stage.buy("p-2", 80_000);
    stage.request(json!({}));
    stage.work();
    stage.refund("r-1", "p-1", 30_000);
    stage.app.advance_days(30);
    assert_eq!(stage.balance(), [5_000, 0, 0, 3_000, 3_000]);
    let id = stage.request(json!({ "amount": 2_500 }));
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("paid", [2_500, 0, 0, 5_500, 3_000]));
}

#[test]
fn no_money_leaves_while_some_is_owed() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    stage.buy("p-2", 40_000);
    stage.request(json!({}));
    stage.work();
    stage.refund("r-1", "p-1", 30_000);
    // The second was granted before the first was refunded, and vests with the debt still there.
    stage.app.advance_days(30);
    assert_eq!(stage.balance(), [1_000, 0, 0, 3_000, 3_000]);
    assert_eq!(stage.ask(json!({ "amount": 2_500 })).faults(), ["amount: insufficient_balance"]);
}
