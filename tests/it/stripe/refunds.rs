//! Refunds: of an invoice's payment, told one by one and as a charge's sum, in the shapes of old and new API versions.

use super::{Billing, charge, invoice, refund, session, subscription};
use serde_json::{Value, json};

/// Bob has subscribed for 20.00 by an invoice, of which 100 are Alice's commission.
fn paid() -> Billing {
    let billing = Billing::start().with_commission();
    billing.tell(&billing.event("evt_a", "checkout.session.completed", session("cs_1")));
    billing.tell(&billing.event("evt_b", "invoice.paid", invoice("in_1", 2_000)));
    assert_eq!(billing.earned(), (1_100, 500));
    billing
}

/// Tells each event under an id of its own, and says what Alice has of the commission after each.
fn told(billing: &Billing, events: &[(&str, Value)]) -> Vec<i64> {
    let tell = |(place, (kind, object)): (usize, &(&str, Value))| {
        billing.app.advance_ms(1_000);
        assert_eq!(billing.tell(&billing.event(&format!("evt_{place}"), kind, object.clone())), "refund");
        billing.earned().0 - 1_000
    };
    events.iter().enumerate().map(tell).collect()
}

#[test]
fn a_refund_told_by_several_events_counts_once() {
    let one = |state: &str| refund("re_1", "in_1", 500, state);
    let billing = paid();
    assert_eq!(
        told(
            &billing,
            &[
                ("refund.created", one("succeeded")),
                ("charge.refunded", charge("in_1", 500)),
                ("charge.refund.updated", one("succeeded")),
                ("refund.updated", one("succeeded")),
                ("charge.refunded", charge("in_1", 900)),
                ("refund.created", refund("re_2", "in_1", 400, "succeeded")),
                ("charge.refunded", charge("in_1", 500)),
                ("charge.refunded", charge("in_1", 900)),
            ]
        ),
        [75, 75, 75, 75, 55, 55, 55, 55]
    );
    // The team's own word on a refund that Stripe has told is a repeat.
    let again = json!({ "id": "re_1", "purchase_id": "in_1", "amount": 500 });
    assert_eq!(billing.app.gateway().post("/v1/refunds", again).status, 200);
    assert_eq!(billing.earned(), (1_055, 500));
}

#[test]
fn the_team_s_word_on_a_refund_that_was_told_as_a_sum_is_a_repeat() {
    let billing = paid();
    let tell = [("charge.refunded", charge("in_1", 500)), ("refund.created", refund("re_1", "in_1", 500, "succeeded"))];
    assert_eq!(told(&billing, &tell), [75, 75]);
    let again = json!({ "id": "re_1", "purchase_id": "in_1", "amount": 500 });
    assert_eq!(billing.app.gateway().post("/v1/refunds", again).status, 200);
    assert_eq!(billing.earned().0, 1_075);
}

#[test]
fn a_refund_that_only_a_sum_has_told_of_is_a_repeat_by_the_team_s_word() {
    let billing = paid();
    let gateway = billing.app.gateway();
    let told_by_team = |id: &str, amount: i64| {
        let body = json!({ "id": id, "purchase_id": "in_1", "amount": amount });
        assert_eq!(gateway.post("/v1/refunds", body.clone()).status, 201, "{id}");
        assert_eq!(gateway.post("/v1/refunds", body).status, 200, "{id}");
        billing.earned().0
    };
    billing.tell(&billing.event("evt_sum", "charge.refunded", charge("in_1", 500)));
    assert_eq!(billing.earned().0, 1_075);
    assert_eq!(told_by_team("re_1", 300), 1_075, "a part of the sum");
    assert_eq!(told_by_team("re_2", 200), 1_075, "the rest of it");
    assert_eq!(told_by_team("re_3", 500), 1_050, "one that the sum has not told of yet");
    billing.tell(&billing.event("evt_later", "charge.refunded", charge("in_1", 1_000)));
    billing.tell(&billing.event("evt_3", "refund.created", refund("re_3", "in_1", 500, "succeeded")));
    assert_eq!(billing.earned().0, 1_050);
}

#[test]
fn two_charges_of_an_invoice_add_up_however_each_is_told() {
    let billing = paid();
    let payment = |intent: &str| {
        json!({ "id": format!("inpay_{intent}"), "object": "invoice_payment", "invoice": "in_1", "status": "paid",
                "payment": { "type": "payment_intent", "payment_intent": intent } })
    };
    billing.tell(&billing.event("evt_p", "invoice_payment.paid", payment("pi_second")));
    let second = json!({ "id": "re_2", "object": "refund", "amount": 1_000, "currency": "usd", "charge": "ch_second",
                         "payment_intent": "pi_second", "status": "succeeded" });
    assert_eq!(told(&billing, &[("charge.refunded", charge("in_1", 500)), ("refund.created", second)]), [75, 25]);
}

#[test]
fn one_payment_without_an_invoice_is_a_purchase_that_can_be_given_back() {
    let billing = Billing::start().with_commission();
    let mut once = session("cs_1");
    for (field, value) in [("mode", json!("payment")), ("subscription", Value::Null), ("invoice", Value::Null)] {
        once[field] = value;
    }
    once["payment_intent"] = json!("pi_cs_1");
    for id in ["evt_a", "evt_b"] {
        billing.tell(&billing.event(id, "checkout.session.completed", once.clone()));
        assert_eq!((billing.earned(), billing.status()), ((1_100, 500), "converted".into()));
    }
    assert_eq!(told(&billing, &[("refund.created", refund("re_1", "cs_1", 500, "succeeded"))]), [75]);
    billing.tell(&billing.event("evt_c", "charge.refunded", charge("cs_1", 2_000)));
    assert_eq!(billing.earned(), (0, 0), "all of it is back, and so is what it paid");
}

#[test]
fn a_refund_counts_when_it_has_succeeded() {
    let one = |state: &str| refund("re_1", "in_1", 500, state);
    let two = |state: &str| refund("re_2", "in_1", 300, state);
    assert_eq!(
        told(
            &paid(),
            &[
                ("refund.created", one("pending")),
                ("charge.refunded", charge("in_1", 500)),
                ("refund.updated", one("requires_action")),
                ("refund.updated", one("succeeded")),
                ("refund.created", two("pending")),
                ("charge.refunded", charge("in_1", 800)),
                ("refund.failed", two("failed")),
                ("refund.updated", two("canceled")),
                ("charge.refunded", charge("in_1", 500)),
            ]
        ),
        [100, 100, 100, 75, 75, 75, 75, 75, 75]
    );
}

#[test]
fn an_older_word_on_a_refund_does_not_undo_a_newer_one() {
    let billing = paid();
    let old = billing.event("evt_old", "refund.updated", refund("re_1", "in_1", 500, "succeeded"));
    let older = billing.event("evt_older", "refund.created", refund("re_2", "in_1", 400, "pending"));
    told(&billing, &[("refund.failed", refund("re_1", "in_1", 500, "failed"))]);
    assert_eq!((billing.tell(&old).as_str(), billing.earned().0), ("refund", 1_100), "it has failed since");
    let now = billing.event("evt_new", "refund.updated", refund("re_2", "in_1", 400, "succeeded"));
    billing.tell(&now);
    billing.tell(&older);
    assert_eq!(billing.earned().0, 1_080);
}

#[test]
fn a_full_refund_ends_at_exactly_zero_and_beyond_it_nothing() {
    let billing = paid();
    let refunded = [667, 1_333, 1_999, 2_000, 2_000, 9_000];
    let events = refunded.map(|amount| ("charge.refunded", charge("in_1", amount)));
    let left = told(&billing, &events[..3]);
    assert_eq!(left, [67, 33, 0], "rounded half up, of what is left");
    assert_eq!(billing.earned().1, 500, "what is fixed goes back with the whole");
    for (place, (kind, object)) in events[3..].iter().enumerate() {
        billing.tell(&billing.event(&format!("evt_end_{place}"), kind, object.clone()));
        // The checkout's grants stand on the first invoice, though they were paid before it was told.
        assert_eq!(billing.earned(), (0, 0));
    }
}

#[test]
fn the_order_of_checkout_and_invoice_makes_no_difference_to_a_refund() {
    let events = [
        ("checkout.session.completed", session("cs_1")),
        ("customer.subscription.created", subscription("sub_bob")),
        ("invoice.paid", invoice("in_1", 2_000)),
        ("charge.refunded", charge("in_1", 2_000)),
        ("charge.succeeded", charge("in_1", 0)),
    ];
    for first in 0..events.len() {
        let billing = Billing::start().with_commission();
        for turn in 0..events.len() {
            let (kind, object) = &events[(first + turn) % events.len()];
            billing.tell(&billing.event(&format!("evt_{turn}"), kind, object.clone()));
        }
        assert_eq!((billing.earned(), billing.status()), ((0, 0), "converted".into()), "{first}");
        // The renewal is another purchase, and its refund is not the first one's.
        billing.tell(&billing.event("evt_more", "invoice.paid", invoice("in_2", 1_000)));
        assert_eq!(billing.earned(), (50, 0));
    }
}

#[test]
fn a_renewal_s_refund_leaves_the_conversion() {
    let billing = paid();
    billing.tell(&billing.event("evt_2", "invoice.paid", invoice("in_2", 2_000)));
    assert_eq!(billing.earned(), (1_200, 500));
    billing.tell(&billing.event("evt_3", "refund.created", refund("re_1", "in_2", 2_000, "succeeded")));
    assert_eq!(billing.earned(), (1_100, 500));
}

#[test]
fn each_way_to_tell_which_invoice_a_refund_is_of() {
    let bare = |id: &str, more: Value| {
        let mut object = json!({ "id": id, "customer": "pc_bob", "amount_paid": 2_000, "currency": "usd" });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("invoice.paid", object)
    };
    let refund = |more: Value| {
        let mut object = json!({ "id": "re_1", "amount": 2_000, "status": "succeeded" });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("refund.created", object)
    };
    let in_list = |payment: Value| json!({ "payments": { "data": [{ "id": "inpay_1", "payment": payment }] } });
    let paid_by_intent = (
        "invoice_payment.paid",
        json!({ "id": "inpay_1", "invoice": "in_1",
        "payment": { "type": "payment_intent", "payment_intent": "pi_1" } }),
    );
    let charged = ("charge.succeeded", json!({ "id": "ch_1", "payment_intent": "pi_1" }));
    for events in [
        // Before 2025: invoice and charge name each other.
        vec![bare("in_1", json!({ "charge": "ch_1", "payment_intent": "pi_1" })), refund(json!({ "charge": "ch_1" }))],
        vec![bare("in_1", json!({ "charge": "ch_1" })), refund(json!({ "charge": "ch_1", "payment_intent": "pi_1" }))],
        vec![
            bare("in_1", json!({})),
            ("charge.refunded", json!({ "id": "ch_1", "invoice": "in_1", "amount_refunded": 2_000 })),
        ],
        vec![
            bare("in_1", json!({})),
            (
                "charge.refunded",
                json!({ "id": "ch_1", "invoice": { "id": "in_1" }, "amount_refunded": 2_000,
              "refunds": { "data": [{ "id": "re_1", "amount": 2_000, "status": "succeeded" }] } }),
            ),
        ],
        vec![
            bare("in_1", json!({})),
            ("payment_intent.succeeded", json!({ "id": "pi_1", "latest_charge": "ch_1", "invoice": "in_1" })),
            refund(json!({ "charge": "ch_1" })),
        ],
        // Since then: by the list of its payments, or by an event of its own.
        vec![
            bare("in_1", in_list(json!({ "type": "payment_intent", "payment_intent": "pi_1" }))),
            refund(json!({ "payment_intent": "pi_1" })),
        ],
        vec![bare("in_1", in_list(json!({ "type": "charge", "charge": "ch_1" }))), refund(json!({ "charge": "ch_1" }))],
        vec![bare("in_1", json!({})), paid_by_intent.clone(), refund(json!({ "payment_intent": { "id": "pi_1" } }))],
        vec![bare("in_1", json!({})), paid_by_intent, charged, refund(json!({ "charge": "ch_1" }))],
    ] {
        // In this order, and with each later one first.
        for first in 0..events.len() {
            let billing = Billing::start().with_commission();
            for turn in 0..events.len() {
                let (kind, object) = &events[(first + turn) % events.len()];
                billing.tell(&billing.event(&format!("evt_{turn}"), kind, object.clone()));
            }
            assert_eq!(billing.earned(), (0, 0), "{first}: {events:?}");
            let grants = billing.grants();
            assert_eq!(grants, "commission 100, referee_credit 500, referral_credit 1000\n", "{first}: {events:?}");
        }
    }
}

#[test]
fn two_charges_of_one_invoice_add_up() {
    let billing = Billing::start().with_commission();
    let mut object = invoice("in_1", 2_000);
    let pay = |id: &str| json!({ "payment": { "type": "payment_intent", "payment_intent": id } });
    object["payments"]["data"] = json!([pay("pi_1"), pay("pi_2")]);
    object["customer"] = json!("pc_bob");
    billing.tell(&billing.event("evt_a", "invoice.paid", object));
    let charge = |id: &str, intent: &str, refunded: i64| {
        ("charge.refunded", json!({ "id": id, "payment_intent": intent, "amount_refunded": refunded }))
    };
    let events = [charge("ch_1", "pi_1", 400), charge("ch_2", "pi_2", 600), charge("ch_1", "pi_1", 800)];
    assert_eq!(told(&billing, &events), [80, 50, 30]);
}

#[test]
fn a_refund_of_what_is_no_purchase_here_is_only_recorded() {
    let billing = paid();
    billing.tell(&billing.event("evt_1", "charge.refunded", charge("in_unknown", 700)));
    billing.tell(&billing.event("evt_2", "refund.created", refund("re_9", "in_unknown", 700, "succeeded")));
    assert_eq!(billing.earned(), (1_100, 500));
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM refund").trim(), "0");
}
