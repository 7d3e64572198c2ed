//! Whatever Stripe answers, or does not: the money leaves once, or comes back.

use super::Stage;
use crate::stripe_api::{API_KEY, Fault, PLATFORM, Request, State};
use refloop::domain::setting::Setting;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;

/// Alice has 5,000 to be paid out, and asks for 3,000 of them.
fn asked() -> (Stage, String) {
    ask_on(Stage::ready())
}

fn ask_on(stage: Stage) -> (Stage, String) {
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    (stage, id)
}

fn sent(stage: &Stage) -> Vec<Request> {
    stage.stripe.requests("POST", "/v1/transfers")
}

#[test]
fn what_stripe_is_told_is_the_same_to_the_byte_each_time() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore, Fault::TooMany, Fault::InProgress, Fault::ErrorBefore]);
    stage.work();
    for _ in 0..3 {
        stage.app.advance_ms(HOUR_MS);
        stage.work();
    }
    let sent = sent(&stage);
    assert_eq!(sent.len(), 4);
    let account = stage.partner()["stripe"]["account_id"].as_str().unwrap().to_owned();
    let body = format!("amount=3000&currency=usd&destination={account}&transfer_group={id}&metadata[payout_id]={id}");
    for request in sent {
        assert_eq!((request.body.as_str(), request.header("idempotency-key")), (body.as_str(), Some(id.as_str())));
    }
}

#[test]
fn a_definite_refusal_gives_the_money_back_and_says_why() {
    for (fault, kept, ours) in [
        (Fault::Refuse, "amount_too_small: The amount is too small.", "Stripe did not take it."),
        (Fault::NoFunds, "balance_insufficient: Insufficient funds.", "The team's money at Stripe did not cover it"),
    ] {
        let (stage, id) = asked();
        stage.stripe.script(&[fault]);
        stage.work();
        let payout = stage.payout(&id);
        assert_eq!(payout["status"], "failed");
        let said = payout["failure"].as_str().unwrap();
        assert!(said.starts_with(ours), "partners are told in our words: {said}");
        let listed = stage.app.engine.payouts_of_project("default", false).unwrap();
        assert_eq!(listed[0].payout.failure.as_deref(), Some(kept), "operators read Stripe's");
        assert_eq!(payout["paid_at"], Value::Null);
        assert_eq!(stage.balance(), [5_000, 0, 0, 0, 0]);
        let kinds: Vec<_> = stage.alice.ledger().iter().map(|line| line["kind"].clone()).collect();
        assert_eq!(kinds, [json!("grant"), json!("payout"), json!("payout_return")]);
        assert_eq!(stage.work_later(), 0);
        assert_eq!((stage.sent(), stage.paid_by_ledger()), (0, 0));
        // The next one is another payout, with a key of its own.
        let next = stage.request(json!({}));
        stage.work();
        assert_eq!((stage.status(&next).as_str(), stage.sent()), ("paid", 5_000));
    }
}

#[test]
fn after_a_refusal_about_the_account_it_is_not_ready_until_stripe_says_so() {
    let (stage, id) = asked();
    let account = stage.partner()["stripe"]["account_id"].as_str().unwrap().to_owned();
    let stands =
        |ready: bool, missing: Value| json!({ "account_id": account, "ready": ready, "requirements": missing });
    let refused = json!(["Stripe refused a payout to this account: check again, and see what it asks for."]);
    stage.stripe.script(&[Fault::AccountClosed]);
    stage.work();
    let said = stage.payout(&id)["failure"].as_str().unwrap().to_owned();
    assert!(said.starts_with("Stripe could not pay to your account there."), "{said}");
    assert_eq!(
        (stage.balance(), stage.partner()["stripe"].clone()),
        ([5_000, 0, 0, 0, 0], stands(false, refused.clone()))
    );
    assert_eq!(stage.ask(json!({})).problem(409), "stripe_not_ready", "it would be refused again");

    // Asked again, Stripe says that it is well.
    assert_eq!(stage.connect()["ready"], true);
    assert_eq!(stage.partner()["stripe"], stands(true, json!([])));
    stage.request(json!({}));
    stage.stripe.script(&[Fault::AccountClosed]);
    stage.work();
    assert_eq!(stage.partner()["stripe"], stands(false, refused));

    // And so it does by itself.
    stage.app.advance_ms(10_000);
    let event = stage.event("evt_1", "account.updated", &stage.stripe.complete_account(&account));
    assert_eq!(stage.tell(&event), "account");
    assert_eq!(stage.partner()["stripe"], stands(true, json!([])));
    let last = stage.request(json!({}));
    stage.work();
    assert_eq!((stage.status(&last).as_str(), stage.sent()), ("paid", 5_000));

    // One that is about the team's own money says nothing of it.
    let (stage, _) = asked();
    stage.stripe.script(&[Fault::NoFunds]);
    stage.work();
    assert_eq!(stage.partner()["stripe"]["ready"], true);
}

#[test]
fn an_unclear_answer_is_looked_up_and_told_again() {
    for (fault, found_at_once) in [
        (Fault::BreakBefore, false),
        (Fault::BreakAfter, true),
        (Fault::ErrorBefore, false),
        (Fault::ErrorAfter, true),
        (Fault::InProgress, false),
        (Fault::Proxy, false),
        (Fault::HalfAnswer, true),
    ] {
        let (stage, id) = asked();
        stage.stripe.script(&[fault]);
        stage.work();
        let status = if found_at_once { "paid" } else { "reconciling" };
        assert_eq!(stage.status(&id), status, "{fault:?}");
        let reserved = if found_at_once { [2_000, 0, 0, 3_000, 0] } else { [2_000, 0, 3_000, 0, 0] };
        assert_eq!(stage.balance(), reserved, "{fault:?}");
        stage.work_later();
        if fault == Fault::ErrorBefore {
            // Stripe repeats its fault for as long as it knows the key.
            assert_eq!(stage.status(&id), "reconciling");
            stage.stripe.with(State::forget_keys);
            stage.work_later();
        }
        assert_eq!(stage.status(&id), "paid", "{fault:?}");
        assert_eq!((stage.sent(), stage.paid_by_ledger()), (3_000, 3_000), "{fault:?}");
        assert_eq!(stage.balance(), [2_000, 0, 0, 3_000, 0], "{fault:?}");
        assert_eq!(stage.stripe.transfers().len(), 1, "{fault:?}");
    }
}

#[test]
fn a_time_out_before_and_after_the_effect_pays_once() {
    let stage = Stage::with_patience(Duration::from_millis(400)).made_ready();
    let (stage, id) = ask_on(stage);
    stage.stripe.script(&[Fault::HangBefore, Fault::HangAfter]);
    stage.work();
    assert_eq!(stage.status(&id), "reconciling");
    assert_eq!(stage.balance(), [2_000, 0, 3_000, 0, 0]);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
    assert_eq!(sent(&stage).len(), 2);
}

#[test]
fn what_stripe_has_not_even_begun_with_can_still_be_called_off() {
    for fault in [Some(Fault::TooMany), None] {
        let (stage, id) = asked();
        match fault {
            Some(fault) => stage.stripe.script(&[fault]),
            None => stage.stripe.with(|state| state.api_keys.clear()),
        }
        stage.work();
        assert_eq!(stage.status(&id), "queued", "{fault:?}");
        stage.app.engine.cancel_payout(id.parse().unwrap()).unwrap();
        stage.work();
        if fault.is_none() {
            assert_eq!(stage.status(&id), "queued", "Stripe does not say that it is not there");
            stage.stripe.with(|state| state.api_keys.insert(API_KEY.into(), PLATFORM.into()));
            stage.work_later();
        }
        assert_eq!(stage.status(&id), "cancelled");
        assert_eq!((stage.balance(), stage.sent()), ([5_000, 0, 0, 0, 0], 0));
    }
}

#[test]
fn after_an_unclear_one_a_refusal_counts_only_if_nothing_is_there() {
    // Nothing is there.
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore, Fault::Refuse]);
    stage.work();
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("failed", 0));
    assert_eq!(stage.balance(), [5_000, 0, 0, 0, 0]);

    // The answer was lost, and by the time it is told again Stripe has forgotten the key, and says no.
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BlockAfter]);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.work());
        stage.stripe.wait_until_blocked();
        // Stripe is not to be reached for the look-up.
        stage.stripe.with(|state| state.is_down = true);
        stage.stripe.let_go();
    });
    assert_eq!(stage.status(&id), "reconciling");
    stage.stripe.with(|state| {
        state.is_down = false;
        state.forget_keys();
    });
    stage.stripe.script(&[Fault::Refuse]);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}

#[test]
fn a_refusal_right_after_an_unclear_one_frees_nothing_yet() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore, Fault::Refuse]);
    stage.work();
    stage.app.advance_ms(60_000);
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()[2]), ("reconciling", 3_000));
    let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
    assert!(listed[0].problem.as_ref().unwrap().contains("the first may still be under way"), "{listed:?}");
    // The first had been held up on its way, and arrives only now.
    let account = stage.partner()["stripe"]["account_id"].clone();
    let late = json!({ "id": "tr_late", "object": "transfer", "amount": 3_000, "currency": "usd",
        "destination": account, "transfer_group": id, "platform": PLATFORM });
    stage.stripe.with(|state| state.transfers.push(late.clone()));
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("paid", [2_000, 0, 0, 3_000, 0]));

    // Nothing arrives: the refusal that Stripe repeats hours later counts.
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore, Fault::Refuse]);
    stage.work();
    stage.app.advance_ms(60_000);
    stage.work();
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("failed", [5_000, 0, 0, 0, 0]));
    assert_eq!(sent(&stage).len(), 3, "told under the same key each time");
}

#[test]
fn what_was_never_sent_goes_to_no_other_stripe_and_is_not_freed_by_one() {
    for is_called_off in [false, true] {
        let (stage, id) = asked();
        stage.stripe.with(|state| state.api_keys.insert("sk_other".into(), "acct_other_platform".into()));
        let set = |key: &str| {
            stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, key.into())]).unwrap();
        };
        set("sk_other");
        if is_called_off {
            stage.app.engine.cancel_payout(id.parse().unwrap()).unwrap();
        }
        stage.work();
        assert_eq!((stage.status(&id).as_str(), stage.balance()[2]), ("queued", 3_000), "{is_called_off}");
        assert!(sent(&stage).is_empty(), "the other Stripe is not told of it");
        let listed = stage.app.engine.payouts_of_project("default", true).unwrap();
        assert!(listed[0].problem.as_ref().unwrap().contains("Stripe key has changed"), "{listed:?}");
        set(API_KEY);
        stage.work_later();
        let (status, sum) = if is_called_off { ("cancelled", 0) } else { ("paid", 3_000) };
        assert_eq!((stage.status(&id).as_str(), stage.sent()), (status, sum));
    }
}

#[test]
fn after_a_day_it_is_only_looked_up() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    assert_eq!(stage.status(&id), "reconciling");
    let before = sent(&stage).len();
    stage.stripe.with(State::forget_keys);
    stage.app.advance_ms(23 * HOUR_MS);
    stage.work();
    assert_eq!(stage.status(&id), "reconciling", "nothing is given back by itself");
    stage.app.advance_days(30);
    stage.work();
    assert_eq!(stage.status(&id), "reconciling");
    assert_eq!(sent(&stage).len(), before, "it was not told again");
    assert_eq!(stage.balance()[2], 3_000);
}

#[test]
fn a_transfer_that_is_there_is_found_after_any_time() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BlockAfter]);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.work());
        stage.stripe.wait_until_blocked();
        stage.stripe.with(|state| state.is_down = true);
        stage.stripe.let_go();
    });
    stage.app.advance_days(40);
    stage.stripe.with(|state| {
        state.is_down = false;
        state.forget_keys();
    });
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
    assert_eq!(sent(&stage).len(), 1);
}

#[test]
fn another_key_of_the_same_stripe_goes_on_and_one_of_another_stripe_does_not() {
    let change = |stage: &Stage, key: &str, platform: &str| {
        stage.stripe.with(|state| state.api_keys.insert(key.into(), platform.into()));
        stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, key.into())]).unwrap();
    };
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    change(&stage, "sk_other", "acct_other_platform");
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), sent(&stage).len()), ("reconciling", 1), "not told to the other");
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), sent(&stage).len()), ("reconciling", 1));
    change(&stage, "sk_rolled", PLATFORM);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}

#[test]
fn a_word_by_webhook_settles_what_the_answer_did_not() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BlockAfter]);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.work());
        stage.stripe.wait_until_blocked();
        // The event overtakes the answer, which then never comes.
        let transfer = stage.stripe.transfers()[0].clone();
        let event = stage.event("evt_1", "transfer.created", &transfer);
        assert_eq!((stage.tell(&event), stage.tell(&event)), ("transfer".into(), "transfer".into()));
        assert_eq!(stage.status(&id), "paid");
        assert_eq!(stage.app.sqlite3("SELECT count(*) FROM outbox WHERE kind = 'transfer'"), "0\n");
        stage.stripe.with(|state| state.is_down = true);
        stage.stripe.let_go();
    });
    assert_eq!(stage.status(&id), "paid");
    assert_eq!(stage.work_later(), 0);
    assert_eq!((stage.sent(), stage.paid_by_ledger()), (3_000, 3_000));
}

/// Stripe says that it has made a payout's transfer.
fn tell_of_transfer(stage: &Stage, id: &str) {
    let account = stage.partner()["stripe"]["account_id"].clone();
    let transfer = json!({ "id": "tr_x", "object": "transfer", "amount": 3_000, "currency": "usd",
                           "destination": account, "transfer_group": id });
    assert_eq!(stage.tell(&stage.event("evt_1", "transfer.created", &transfer)), "transfer");
}

#[test]
fn what_is_paid_shows_no_problem_of_before() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    tell_of_transfer(&stage, &id);
    let listed = stage.app.engine.payouts_of_project("default", false).unwrap();
    assert_eq!((listed[0].problem.clone(), listed[0].waits_for()), (None, None));
    assert_eq!(
        stage.app.engine.open_deliveries("default").unwrap().iter().filter(|row| row.kind == "transfer").count(),
        0
    );
    assert_eq!(stage.work_later(), 0);
}

#[test]
fn events_of_other_transfers_settle_nothing() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    let account = stage.partner()["stripe"]["account_id"].clone();
    let good = json!({ "id": "tr_x", "object": "transfer", "amount": 3_000, "currency": "usd", "destination": account,
                       "transfer_group": id });
    for (n, (name, value)) in [
        ("amount", json!(2_999)),
        ("currency", json!("eur")),
        ("destination", json!("acct_other")),
        ("transfer_group", json!("po_0000000000000")),
        ("transfer_group", json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut other = good.clone();
        other[name] = value;
        assert_eq!(stage.tell(&stage.event(&format!("evt_{n}"), "transfer.created", &other)), "ignored");
    }
    let mut elsewhere = stage.event("evt_9", "transfer.created", &good);
    elsewhere["account"] = account.clone();
    assert_eq!(stage.tell(&elsewhere), "ignored", "made by a connected account");
    assert_eq!(stage.status(&id), "reconciling");
}

#[test]
fn a_transfer_that_is_reversed_is_shown_to_operators_and_frees_nothing() {
    let (stage, id) = asked();
    stage.work();
    let mut transfer = stage.stripe.transfers()[0].clone();
    let whole = {
        transfer["amount_reversed"] = json!(3_000);
        stage.event("evt_2", "transfer.reversed", &transfer)
    };
    transfer["amount_reversed"] = json!(1_000);
    let part = stage.event("evt_1", "transfer.reversed", &transfer);
    assert_eq!((stage.tell(&whole), stage.tell(&part)), ("transfer".into(), "transfer".into()));
    let listed = stage.app.engine.payouts_of_project("default", false).unwrap();
    assert_eq!((listed[0].payout.reversed_minor, listed[0].waits_for()), (3_000, Some("transfer_reversed")));
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("paid", [2_000, 0, 0, 3_000, 0]));
}

#[test]
fn a_transfer_of_what_was_given_back_is_for_people_to_look_at() {
    let (stage, id) = asked();
    stage.stripe.script(&[Fault::Refuse]);
    stage.work();
    tell_of_transfer(&stage, &id);
    let listed = stage.app.engine.payouts_of_project("default", false).unwrap();
    assert_eq!(listed[0].waits_for(), Some("transfer_exists"));
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("failed", [5_000, 0, 0, 0, 0]));
}

#[test]
fn the_key_is_in_no_problem_and_no_row_of_the_outbox() {
    let (stage, _) = asked();
    stage.stripe.script(&[Fault::BreakBefore]);
    stage.work();
    let outbox = stage.app.sqlite3("SELECT * FROM outbox");
    assert!(outbox.contains("payout_id") && !outbox.contains("sk_of_the_tests"), "{outbox}");
}
