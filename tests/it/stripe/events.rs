//! What each event does, and what it does not.

use super::{Billing, charge, event, invoice, name, net, refund, session, subscription};
use crate::harness::DAY_MS;
use refloop::domain::program::Preset;
use serde_json::{Value, json};

/// An object with some of its fields changed.
fn with(mut object: Value, changes: Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

const BOTH: (i64, i64) = (1_000, 500);
const NOTHING: (i64, i64) = (0, 0);

#[test]
fn a_checkout_converts_and_pays_both() {
    let billing = Billing::start();
    billing.app.advance_days(1);
    let outcome = billing.tell(&billing.event("evt_1", "checkout.session.completed", session("cs_1")));
    assert_eq!((outcome.as_str(), billing.earned()), ("converted", BOTH));
    let referrals = billing.alice.get("/v1/developers/referrals").json();
    let referral = &referrals["data"][0];
    assert_eq!((&referral["status"], &referral["converted_at"]), (&json!("converted"), &json!("2026-01-16T10:00:00Z")));
    assert_eq!(referral["credits"][0]["reason"], "referral_credit");
    let decisions =
        billing.app.sqlite3("SELECT event, rule, verdict, code, purchase_id IS NULL, inputs FROM decision ORDER BY id");
    let inputs = |amount: i64| format!(r#"{{"amount":{amount},"converted":false,"hold_days":0,"on":"conversion"}}"#);
    let expected = [
        format!("subscription|referral_credit|granted|granted|1|{}", inputs(1_000)),
        format!("subscription|referee_credit|granted|granted|1|{}", inputs(500)),
    ];
    assert_eq!(decisions.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_dry_run_counts_what_stripe_has_told() {
    let billing = Billing::start();
    let project = billing.app.engine.project_named("default").unwrap();
    let mut proposed = Preset::Subscription.program();
    proposed.rules[0].amount = Some(2_000);
    let totals = || {
        let (_, comparison) = billing.app.engine.try_program(&project, &proposed).unwrap();
        [comparison.current.amount, comparison.proposed.amount]
    };
    assert_eq!(totals(), [0, 0]);
    billing.tell(&billing.event("evt_1", "checkout.session.completed", session("cs_1")));
    assert_eq!((totals(), billing.earned()), ([1_500, 2_500], BOTH));
    billing.tell(&billing.event("evt_2", "customer.subscription.created", subscription("sub_1")));
    billing.tell(&billing.event("evt_3", "invoice.paid", invoice("in_1", 2_000)));
    assert_eq!((totals(), billing.earned()), ([1_500, 2_500], BOTH), "once, whatever else it tells");
}

#[test]
fn each_event_that_converts_or_does_not() {
    let unpaid = json!({ "payment_status": "unpaid" });
    let completed = "checkout.session.completed";
    for (kind, object, outcome, earned) in [
        (completed, session("cs_1"), "converted", BOTH),
        (completed, with(session("cs_1"), json!({ "payment_status": "no_payment_required" })), "converted", BOTH),
        (completed, with(session("cs_1"), json!({ "mode": "payment", "subscription": null })), "converted", BOTH),
        (completed, json!({ "id": "cs_1", "client_reference_id": "pc_bob" }), "converted", BOTH),
        (completed, with(session("cs_1"), unpaid.clone()), "unpaid", NOTHING),
        (completed, with(session("cs_1"), json!({ "status": "open" })), "unpaid", NOTHING),
        (completed, with(session("cs_1"), json!({ "mode": "setup" })), "unpaid", NOTHING),
        ("checkout.session.async_payment_succeeded", with(session("cs_1"), unpaid.clone()), "converted", BOTH),
        ("checkout.session.async_payment_failed", with(session("cs_1"), unpaid.clone()), "ignored", NOTHING),
        ("checkout.session.expired", with(session("cs_1"), unpaid), "ignored", NOTHING),
        (
            "customer.subscription.created",
            with(subscription("sub_1"), json!({ "customer": "pc_bob" })),
            "converted",
            BOTH,
        ),
        (
            "customer.subscription.created",
            with(subscription("sub_1"), json!({ "metadata": { "customer_id": "pc_bob" }, "status": "trialing" })),
            "converted",
            BOTH,
        ),
        (
            "customer.subscription.created",
            with(subscription("sub_1"), json!({ "metadata": { "customer_id": "pc_bob" }, "status": "incomplete" })),
            "unpaid",
            NOTHING,
        ),
        (
            "customer.subscription.updated",
            with(subscription("sub_1"), json!({ "metadata": { "customer_id": "pc_bob" } })),
            "link",
            NOTHING,
        ),
        (
            "customer.subscription.deleted",
            with(subscription("sub_1"), json!({ "customer": "pc_bob" })),
            "ignored",
            NOTHING,
        ),
        ("invoice.paid", with(invoice("in_1", 2_000), json!({ "customer": "pc_bob" })), "purchase", BOTH),
        ("invoice.payment_succeeded", with(invoice("in_1", 1), json!({ "customer": "pc_bob" })), "purchase", BOTH),
        ("invoice.paid", with(invoice("in_1", 0), json!({ "customer": "pc_bob" })), "unpaid", NOTHING),
        ("invoice.payment_failed", with(invoice("in_1", 0), json!({ "customer": "pc_bob" })), "ignored", NOTHING),
        ("customer.created", json!({ "id": "cus_bob", "metadata": { "customer_id": "pc_bob" } }), "link", NOTHING),
        ("charge.succeeded", charge("in_1", 0), "link", NOTHING),
        ("charge.refunded", charge("in_1", 500), "refund", NOTHING),
        ("refund.created", refund("re_1", "in_1", 500, "succeeded"), "refund", NOTHING),
        ("payment_intent.succeeded", json!({ "id": "pi_1", "latest_charge": "ch_1" }), "link", NOTHING),
        ("charge.dispute.created", json!({ "id": "dp_1", "object": "dispute" }), "ignored", NOTHING),
        ("something.of.tomorrow", json!({ "id": 5 }), "ignored", NOTHING),
    ] {
        let billing = Billing::start();
        let told = billing.tell(&billing.event("evt_1", kind, object));
        assert_eq!((told.as_str(), billing.earned()), (outcome, earned), "{kind}");
        let status = if earned == BOTH { "converted" } else { "signed_up" };
        assert_eq!(billing.status(), status, "{kind}");
    }
}

#[test]
fn a_checkout_that_is_paid_later_converts_then() {
    let billing = Billing::start();
    let unpaid = with(session("cs_1"), json!({ "payment_status": "unpaid" }));
    assert_eq!(billing.tell(&billing.event("evt_1", "checkout.session.completed", unpaid.clone())), "unpaid");
    billing.app.advance_days(8);
    let paid = billing.event("evt_2", "checkout.session.async_payment_succeeded", unpaid);
    assert_eq!((billing.tell(&paid).as_str(), billing.earned()), ("converted", BOTH));
}

#[test]
fn a_subscription_that_was_incomplete_converts_when_it_is_paid() {
    let billing = Billing::start();
    let named = json!({ "metadata": { "customer_id": "pc_bob" } });
    let incomplete = with(with(subscription("sub_1"), named.clone()), json!({ "status": "incomplete" }));
    assert_eq!(billing.tell(&billing.event("evt_1", "customer.subscription.created", incomplete)), "unpaid");
    let mut updated = billing.event("evt_2", "customer.subscription.updated", with(subscription("sub_1"), named));
    updated["data"]["previous_attributes"] = json!({ "status": "past_due" });
    assert_eq!((billing.tell(&updated).as_str(), billing.earned()), ("link", NOTHING));
    updated["id"] = json!("evt_3");
    updated["data"]["previous_attributes"] = json!({ "status": "incomplete" });
    assert_eq!((billing.tell(&updated).as_str(), billing.earned()), ("converted", BOTH));
}

#[test]
fn the_same_effect_under_another_id_pays_nothing_more() {
    let billing = Billing::start().with_commission();
    let completed = "checkout.session.completed";
    for (kind, object, outcome) in [
        (completed, session("cs_1"), "converted"),
        (completed, session("cs_1"), "known"),
        ("checkout.session.async_payment_succeeded", session("cs_1"), "known"),
        (completed, session("cs_2"), "known"),
        ("customer.subscription.created", subscription("sub_bob"), "known"),
        ("customer.subscription.created", subscription("sub_another"), "known"),
        ("invoice.paid", invoice("in_1", 2_000), "purchase"),
        ("invoice.paid", invoice("in_1", 2_000), "known"),
        ("invoice.payment_succeeded", invoice("in_1", 2_000), "known"),
    ] {
        let id = format!("evt_{}", billing.app.sqlite3("SELECT count(*) FROM stripe_event").trim());
        assert_eq!(billing.tell(&billing.event(&id, kind, object)), outcome, "{kind}");
    }
    assert_eq!(billing.earned(), (1_100, 500));
    assert_eq!(billing.grants(), "commission 100, referee_credit 500, referral_credit 1000\n");
    // Told by the team itself, it is still the same purchase.
    let body = json!({ "id": "in_1", "developer_id": billing.bob.id, "amount": 2_000, "currency": "usd" });
    assert_eq!(billing.app.gateway().post("/v1/purchases", body).status, 200);
}

#[test]
fn each_name_by_which_a_customer_is_found() {
    let meta = json!({ "customer_id": "pc_bob" });
    let session = |changes: Value| {
        let nameless = json!({ "client_reference_id": null, "customer": null });
        ("checkout.session.completed", with(with(session("cs_1"), nameless), changes))
    };
    let subscription = |changes: Value| ("customer.subscription.created", with(subscription("sub_1"), changes));
    let invoice = |changes: Value| ("invoice.paid", with(invoice("in_1", 2_000), changes));
    for (kind, object) in [
        session(json!({ "client_reference_id": "pc_bob" })),
        session(json!({ "metadata": meta })),
        session(json!({ "client_reference_id": "cart_17", "metadata": meta })),
        session(json!({ "customer": "pc_bob" })),
        session(json!({ "customer": { "id": "cus_bob", "metadata": meta } })),
        subscription(json!({ "metadata": meta })),
        subscription(json!({ "customer": { "id": "cus_bob", "metadata": meta } })),
        invoice(json!({ "subscription_details": { "metadata": meta } })),
        invoice(json!({ "parent": { "subscription_details": { "metadata": meta } } })),
        invoice(json!({ "metadata": meta })),
    ] {
        let billing = Billing::start();
        let told = billing.tell(&billing.event("evt_1", kind, object.clone()));
        assert!(["converted", "purchase"].contains(&told.as_str()), "{told}: {object}");
        assert_eq!(billing.earned(), BOTH, "{object}");
    }
    let billing = Billing::start();
    let (kind, object) = session(json!({ "client_reference_id": billing.bob.id }));
    assert_eq!(billing.tell(&billing.event("evt_1", kind, object)), "converted", "a developer's id is a name too");
    let (kind, object) = session(json!({}));
    assert_eq!(billing.tell(&billing.event("evt_2", kind, object)), "no_customer");
}

#[test]
fn a_customer_that_was_learned_stays() {
    let billing = Billing::start().with_commission();
    let carol = billing.app.referee("Carol", &billing.alice.code());
    name(&billing.app, &carol.id, "pc_carol");
    billing.tell(&billing.event(
        "evt_1",
        "customer.created",
        json!({ "id": "cus_bob", "metadata": { "customer_id": "pc_bob" } }),
    ));
    // Whoever can put a name into a checkout cannot take over somebody's customer by it.
    let other = with(session("cs_1"), json!({ "client_reference_id": "pc_carol" }));
    assert_eq!(billing.tell(&billing.event("evt_2", "checkout.session.completed", other)), "converted");
    assert_eq!(carol.stats()["credits_earned"], 500);
    billing.tell(&billing.event("evt_3", "invoice.paid", invoice("in_1", 2_000)));
    let buyer = billing.app.sqlite3("SELECT name FROM purchase JOIN account ON account.id = account_id");
    assert_eq!(buyer, "Bob\n");
}

#[test]
fn an_account_may_be_several_customers() {
    let billing = Billing::start().with_commission();
    for (event, customer) in [("evt_1", "cus_one"), ("evt_2", "cus_two")] {
        let object = with(session(event), json!({ "customer": customer, "invoice": null, "subscription": null }));
        billing.tell(&billing.event(event, "checkout.session.completed", object));
    }
    for (event, customer) in [("evt_3", "cus_one"), ("evt_4", "cus_two")] {
        let object = with(invoice(event, 2_000), json!({ "customer": customer }));
        assert_eq!(billing.tell(&billing.event(event, "invoice.paid", object)), "purchase");
    }
    assert_eq!(billing.earned(), (1_200, 500));
}

#[test]
fn another_currency_is_recorded_and_is_no_purchase() {
    let billing = Billing::start();
    let euros = with(invoice("in_1", 2_000), json!({ "customer": "pc_bob", "currency": "eur" }));
    assert_eq!(billing.tell(&billing.event("evt_1", "invoice.paid", euros)), "other_currency");
    assert_eq!((billing.earned(), billing.status()), (NOTHING, "signed_up".into()));
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM purchase").trim(), "0");
    let kept = billing.app.sqlite3("SELECT type, object_id, amount_minor, currency, outcome FROM stripe_event");
    assert_eq!(kept, "invoice.paid|in_1|2000|eur|other_currency\n");
}

#[test]
fn a_conversion_pays_by_the_program_in_force_then() {
    let billing = Billing::start();
    billing.app.change_program(|program| {
        program["rules"][0]["amount"] = json!(7_000);
        program["rules"][1]["amount"] = json!(0);
    });
    billing.tell(&billing.event("evt_1", "checkout.session.completed", session("cs_1")));
    assert_eq!(billing.earned(), (7_000, 0));
}

#[test]
fn a_disabled_program_pays_nothing() {
    let billing = Billing::start();
    billing.app.change_program(|program| program["enabled"] = json!(false));
    billing.tell(&billing.event("evt_1", "checkout.session.completed", session("cs_1")));
    assert_eq!(billing.earned(), NOTHING);
    let codes = billing.app.sqlite3("SELECT group_concat(DISTINCT code) FROM decision");
    assert_eq!(codes, "program_disabled\n");
    billing.app.change_program(|program| program["enabled"] = json!(true));
    assert_eq!(billing.tell(&billing.event("evt_2", "checkout.session.completed", session("cs_2"))), "known");
    assert_eq!(billing.earned(), NOTHING, "it has converted, once");
}

#[test]
fn where_something_else_is_the_conversion_only_invoices_count() {
    for (preset, earned) in [(Preset::Credits, (500, 1_000)), (Preset::Bonus, NOTHING)] {
        let billing = Billing::start();
        let project = billing.app.engine.project_named("default").unwrap();
        billing.app.engine.set_program(&project, preset.program(), "test").unwrap();
        let carol = billing.app.referee("Carol", &billing.alice.code());
        name(&billing.app, &carol.id, "pc_carol");
        let by_carol =
            |object: Value| with(object, json!({ "client_reference_id": "pc_carol", "customer": "cus_carol" }));
        let told = billing.tell(&billing.event("evt_1", "checkout.session.completed", by_carol(session("cs_1"))));
        assert_eq!(told, "no_conversion", "{preset:?}");
        let told = billing.tell(&billing.event("evt_2", "invoice.paid", by_carol(invoice("in_1", 2_000))));
        assert_eq!(told, "purchase", "{preset:?}");
        assert_eq!(
            (billing.alice.stats()["credits_earned"].as_i64(), carol.stats()["credits_earned"].as_i64()),
            (Some(earned.0), Some(earned.1))
        );
        assert_eq!(billing.app.sqlite3("SELECT count(*) FROM referral WHERE converted_at_ms IS NOT NULL").trim(), "0");
    }
}

#[test]
fn who_was_not_referred_or_is_rejected_brings_nothing() {
    let billing = Billing::start();
    let eve = billing.app.sign_up("Eve", "eve@alice.example", Some(&billing.alice.code()));
    name(&billing.app, &eve.id, "pc_eve");
    let dan = billing.app.developer("Dan");
    name(&billing.app, &dan.id, "pc_dan");
    for who in ["pc_eve", "pc_dan"] {
        let object = with(session(&format!("cs_{who}")), json!({ "client_reference_id": who, "customer": null }));
        let told = billing.tell(&billing.event(&format!("evt_1{who}"), "checkout.session.completed", object));
        assert_eq!(told, "no_referral", "{who}");
        let object = with(invoice(&format!("in_{who}"), 500), json!({ "customer": who }));
        let told = billing.tell(&billing.event(&format!("evt_2{who}"), "invoice.paid", object));
        assert_eq!(told, "purchase", "{who}");
    }
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM entry").trim(), "0");
}

#[test]
fn a_purchase_is_made_when_its_event_was_and_never_later_than_now() {
    let billing = Billing::start().with_commission();
    billing.app.change_program(|program| program["rules"][2]["hold_days"] = json!(30));
    let start_ms = billing.app.now_ms();
    billing.app.advance_days(8);
    let by_bob = |id: &str| with(invoice(id, 2_000), json!({ "customer": "pc_bob" }));
    billing.tell(&event("evt_1", "invoice.paid", start_ms + DAY_MS, by_bob("in_1")));
    billing.tell(&event("evt_2", "invoice.paid", start_ms + 400 * DAY_MS, by_bob("in_2")));
    let mut timeless = billing.event("evt_3", "invoice.paid", by_bob("in_3"));
    timeless["created"] = json!("soon");
    billing.tell(&timeless);
    let vests: Vec<Value> = billing.alice.ledger().iter().map(|entry| entry["vests_at"].clone()).collect();
    let now = "2026-02-22T10:00:00Z";
    assert_eq!(vests, ["2026-01-16T10:00:00Z", "2026-02-15T10:00:00Z", now, now]);
    assert_eq!(billing.earned(), (1_300, 500));
}

#[test]
fn erasing_an_account_forgets_which_customer_it_was() {
    let billing = Billing::start();
    billing.tell(&billing.event("evt_1", "checkout.session.completed", session("cs_1")));
    assert_eq!(billing.bob.delete("/v1/developers/me").status, 200);
    let dump = billing.app.dump();
    assert!(!dump.contains("cus_bob") && !dump.contains("pc_bob"), "it is still there");
    assert_eq!(billing.tell(&billing.event("evt_2", "invoice.paid", invoice("in_1", 2_000))), "waiting");
    assert_eq!(net(&billing.alice), 1_000);
}
