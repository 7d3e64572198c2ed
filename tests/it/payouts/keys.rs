//! The project's Stripe key is another than when a payout was asked for: whose word counts, and what is said where none does.

use super::Stage;
use crate::stripe_api::{PLATFORM, State};
use refloop::domain::setting::Setting;
use serde_json::json;

const HOUR_MS: i64 = 3_600_000;

fn asked() -> (Stage, String) {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request(json!({ "amount": 3_000 }));
    (stage, id)
}

fn set_key(stage: &Stage, key: &str) {
    stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, key.into())]).unwrap();
}

/// Another key, of this Stripe account.
fn change_key(stage: &Stage, key: &str, platform: &str) {
    stage.stripe.with(|state| state.api_keys.insert(key.into(), platform.into()));
    set_key(stage, key);
}

fn close_accounts(stage: &Stage) {
    stage.stripe.with(|state| state.accounts.clear());
}

fn cancel(stage: &Stage, id: &str) {
    stage.app.engine.cancel_payout(id.parse().unwrap()).unwrap();
}

fn problem(stage: &Stage) -> String {
    stage.app.engine.payouts_of_project("default", true).unwrap()[0].problem.clone().unwrap_or_default()
}

#[test]
fn a_rolled_key_frees_what_was_for_an_account_that_is_closed_by_now() {
    // Called off, and never sent.
    let (stage, id) = asked();
    change_key(&stage, "sk_rolled", PLATFORM);
    close_accounts(&stage);
    cancel(&stage, &id);
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("cancelled", [5_000, 0, 0, 0, 0]));
    assert!(stage.stripe.requests("POST", "/v1/transfers").is_empty());

    // Not called off: Stripe refuses it.
    let (stage, id) = asked();
    change_key(&stage, "sk_rolled", PLATFORM);
    close_accounts(&stage);
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("failed", [5_000, 0, 0, 0, 0]));

    // Perhaps sent: an operator can settle it.
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let id = stage.request_and_try();
    change_key(&stage, "sk_rolled", PLATFORM);
    close_accounts(&stage);
    stage.stripe.with(State::forget_keys);
    stage.app.advance_ms(49 * HOUR_MS);
    stage.app.engine.retry_payout(id.parse().unwrap(), true).unwrap();
    stage.work();
    assert_eq!((stage.status(&id).as_str(), stage.balance()), ("failed", [5_000, 0, 0, 0, 0]));
}

#[test]
fn a_key_of_the_other_mode_or_of_others_frees_nothing() {
    for (key, platform) in [("sk_other", "acct_other_platform"), ("sk_test_other", PLATFORM)] {
        let (stage, id) = asked();
        change_key(&stage, key, platform);
        cancel(&stage, &id);
        stage.work();
        assert_eq!((stage.status(&id).as_str(), stage.balance()[2]), ("queued", 3_000), "{key}");
        assert!(problem(&stage).contains("is of another Stripe account (or mode)"), "{}", problem(&stage));
    }
}

#[test]
fn where_it_is_not_known_whose_key_counts_the_account_to_be_paid_tells() {
    // Whose key made the account was never told.
    let (stage, id) = asked();
    stage.app.sqlite3("UPDATE stripe_account SET platform = NULL");
    change_key(&stage, "sk_other", "acct_other_platform");
    stage.work();
    assert_eq!(stage.status(&id), "queued");
    assert!(problem(&stage).contains("does not know the account to be paid"), "{}", problem(&stage));
    change_key(&stage, "sk_rolled", PLATFORM);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));

    // A key that may not ask whose it is.
    let (stage, id) = asked();
    stage.stripe.with(|state| state.hides_itself = true);
    change_key(&stage, "sk_other", "acct_other_platform");
    stage.work();
    assert_eq!(stage.status(&id), "queued");
    change_key(&stage, "sk_rolled", PLATFORM);
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}

#[test]
fn what_stripe_does_not_say_is_not_said_for_it() {
    let (stage, id) = asked();
    change_key(&stage, "sk_rolled", PLATFORM);
    stage.stripe.with(|state| state.is_down = true);
    stage.work();
    let said = problem(&stage);
    assert!(said.contains("Stripe does not say whose it is: HTTP 503") && !said.contains("know"), "{said}");
    stage.stripe.with(|state| state.is_down = false);
    set_key(&stage, "sk_wrong");
    stage.work_later();
    let said = problem(&stage);
    assert!(said.contains("Stripe does not say whose it is: HTTP 401") && !said.contains("know"), "{said}");
    set_key(&stage, "sk_rolled");
    stage.work_later();
    assert_eq!((stage.status(&id).as_str(), stage.sent()), ("paid", 3_000));
}
