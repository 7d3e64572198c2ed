//! Events in any order, any number of times, early and late: what they come to is the same.

use super::{Billing, charge, invoice, name, refund, session, shuffle, subscription};
use crate::process::Dice;
use serde_json::{Value, json};

fn without_name() -> Value {
    let mut object = session("cs_1");
    object["client_reference_id"] = Value::Null;
    object
}

#[test]
fn whatever_the_order_each_side_is_paid_once() {
    let kinds: [(&str, Value); 10] = [
        ("checkout.session.completed", session("cs_1")),
        ("checkout.session.async_payment_succeeded", session("cs_1")),
        ("customer.subscription.created", subscription("sub_bob")),
        ("customer.subscription.updated", subscription("sub_bob")),
        ("customer.created", json!({ "id": "cus_bob", "metadata": { "customer_id": "pc_bob" } })),
        ("invoice.paid", invoice("in_1", 2_000)),
        ("invoice.payment_succeeded", invoice("in_1", 2_000)),
        ("charge.succeeded", charge("in_1", 0)),
        ("charge.refunded", charge("in_1", 500)),
        ("refund.created", refund("re_1", "in_1", 500, "succeeded")),
    ];
    for seed in 0..12 {
        let billing = Billing::start().with_commission();
        let made = |place: usize| billing.event(&format!("evt_{place}"), kinds[place].0, kinds[place].1.clone());
        let mut deliveries: Vec<usize> = (0..10 * kinds.len()).map(|n| n % kinds.len()).collect();
        shuffle(&mut deliveries, &mut Dice::new(seed));
        let mut new = 0;
        for place in deliveries {
            let reply = billing.deliver(&made(place));
            assert_eq!(reply.status, 200, "seed {seed}: {}", reply.body);
            new += usize::from(reply.json()["status"] == "recorded");
        }
        assert_eq!(new, kinds.len(), "seed {seed}");
        assert_eq!(billing.grants(), "commission 100, referee_credit 500, referral_credit 1000\n", "seed {seed}");
        assert_eq!((billing.earned(), billing.status()), ((1_075, 500), "converted".into()), "seed {seed}");
        let left = billing.app.sqlite3("SELECT (SELECT count(*) FROM stripe_awaited), (SELECT count(*) FROM refund)");
        assert_eq!(left, "0|1\n", "seed {seed}");
    }
}

#[test]
fn what_comes_before_the_checkout_waits_for_it() {
    let billing = Billing::start().with_commission();
    for (place, (kind, object)) in [
        ("customer.subscription.created", subscription("sub_bob")),
        ("charge.refunded", charge("in_1", 1_000)),
        ("invoice.paid", invoice("in_1", 2_000)),
        ("invoice.paid", invoice("in_2", 3_000)),
    ]
    .into_iter()
    .enumerate()
    {
        let told = billing.tell(&billing.event(&format!("evt_{place}"), kind, object));
        assert_eq!(told, if kind == "charge.refunded" { "refund" } else { "waiting" });
        assert_eq!(billing.earned(), (0, 0));
        billing.app.advance_days(3);
    }
    let told = billing.tell(&billing.event("evt_last", "checkout.session.completed", session("cs_1")));
    assert_eq!(told, "known", "the subscription was there first");
    assert_eq!(billing.grants(), "commission 100, commission 150, referee_credit 500, referral_credit 1000\n");
    assert_eq!(billing.earned(), (1_200, 500));
    let outcomes = billing.app.sqlite3("SELECT group_concat(outcome) FROM stripe_event ORDER BY id");
    assert_eq!(outcomes, "converted,refund,purchase,purchase,known\n");
    let purchased = billing.app.sqlite3("SELECT group_concat(purchased_at_ms < created_at_ms) FROM purchase");
    assert_eq!(purchased, "1,1\n", "each was made when its event was");
}

#[test]
fn on_day_8_and_later_it_works_as_well() {
    for days in [7, 8, 30, 400] {
        let billing = Billing::start();
        let first = billing.event("evt_1", "checkout.session.completed", session("cs_1"));
        billing.app.advance_days(days);
        assert_eq!(billing.tell(&first), "converted", "{days}");
        assert_eq!(billing.earned(), (1_000, 500), "{days}");
        let fresh = billing.event("evt_2", "customer.subscription.created", subscription("sub_1"));
        assert_eq!(billing.tell(&fresh), "known", "{days}");
    }
}

#[test]
fn a_customer_that_nobody_knows_waits_and_makes_no_account() {
    let billing = Billing::start();
    let accounts = || billing.app.sqlite3("SELECT count(*) FROM account");
    let before = accounts();
    let mut stranger = session("cs_1");
    (stranger["client_reference_id"], stranger["customer"]) = (json!("pc_new"), json!("cus_new"));
    assert_eq!(billing.tell(&billing.event("evt_1", "checkout.session.completed", stranger)), "waiting");
    let mut other = invoice("in_1", 2_000);
    other["customer"] = json!("cus_new");
    assert_eq!(billing.tell(&billing.event("evt_2", "invoice.paid", other)), "waiting");
    assert_eq!((accounts(), billing.earned()), (before, (0, 0)));
}

/// Carol has an account since today, and applies Alice's code some days after her checkout was told.
fn applies_late(days: i64) -> (Billing, i64) {
    let billing = Billing::start();
    let mut hers = session("cs_1");
    (hers["client_reference_id"], hers["customer"]) = (json!("pc_carol"), json!("cus_carol"));
    assert_eq!(billing.tell(&billing.event("evt_1", "checkout.session.completed", hers)), "waiting");
    let mut renewal = invoice("in_1", 2_000);
    renewal["customer"] = json!("cus_carol");
    assert_eq!(billing.tell(&billing.event("evt_2", "invoice.paid", renewal)), "waiting");
    billing.app.advance_days(days);
    let carol = billing.app.developer("Carol");
    name(&billing.app, &carol.id, "pc_carol");
    let code = billing.alice.code();
    let applied = carol.post("/v1/developers/referrals/apply", json!({ "code": code }));
    assert_eq!(applied.status, 201, "{}", applied.body);
    let earned = carol.stats()["credits_earned"].as_i64().unwrap();
    (billing, earned)
}

#[test]
fn a_checkout_that_was_told_before_the_code_came_converts_then() {
    for (days, earned, outcomes) in
        [(0, 500, "converted,purchase"), (7, 500, "converted,purchase"), (8, 0, "no_referral,purchase")]
    {
        let (billing, hers) = applies_late(days);
        assert_eq!((hers, billing.earned().0), (earned, 2 * earned), "after {days} days");
        let told = billing.app.sqlite3("SELECT group_concat(outcome) FROM stripe_event");
        assert_eq!(told.trim(), outcomes, "after {days} days");
        let mut again = session("cs_2");
        (again["client_reference_id"], again["customer"]) = (Value::Null, json!("cus_carol"));
        billing.tell(&billing.event("evt_3", "checkout.session.completed", again));
        assert_eq!(billing.earned().0, 1_000, "a later one does, once");
    }
}

#[test]
fn a_link_that_is_learned_late_settles_everything() {
    let billing = Billing::start().with_commission();
    assert_eq!(billing.tell(&billing.event("evt_1", "checkout.session.completed", without_name())), "waiting");
    for n in 1..=3 {
        let told =
            billing.tell(&billing.event(&format!("evt_in_{n}"), "invoice.paid", invoice(&format!("in_{n}"), 1_000)));
        assert_eq!(told, "waiting");
    }
    // The team writes its own id into the customer at last.
    let named = json!({ "id": "cus_bob", "object": "customer", "metadata": { "customer_id": "pc_bob" } });
    assert_eq!(billing.tell(&billing.event("evt_2", "customer.updated", named)), "link");
    assert_eq!(billing.earned(), (1_150, 500));
    assert_eq!(billing.tell(&billing.event("evt_3", "invoice.paid", invoice("in_4", 1_000))), "purchase");
    assert_eq!(billing.earned(), (1_200, 500));
}

#[test]
fn names_are_passed_on_from_customer_to_customer() {
    let billing = Billing::start();
    // Told before the account has its name: a session that links name and customer, and a subscription of that one.
    let mut hers = session("cs_1");
    (hers["client_reference_id"], hers["customer"], hers["payment_status"]) =
        (json!("pc_carol"), json!("cus_carol"), json!("unpaid"));
    billing.tell(&billing.event("evt_1", "checkout.session.completed", hers));
    let mut subscribed = subscription("sub_carol");
    subscribed["customer"] = json!("cus_carol");
    billing.tell(&billing.event("evt_2", "customer.subscription.created", subscribed));
    let carol = billing.app.developer("Carol");
    name(&billing.app, &carol.id, "pc_carol");
    assert_eq!(carol.post("/v1/developers/referrals/apply", json!({ "code": billing.alice.code() })).status, 201);
    assert_eq!(carol.stats()["credits_earned"], 500);
    let told = billing.app.sqlite3("SELECT group_concat(outcome) FROM stripe_event");
    assert_eq!(told, "unpaid,converted\n");
}

#[test]
fn in_a_test_project_an_event_is_as_old_by_its_clock_as_by_the_machine_s() {
    let billing = Billing::start().with_commission();
    billing.app.change_program(|program| program["rules"][2]["hold_days"] = json!(30));
    billing.app.sqlite3("UPDATE project SET mode = 'test'");
    let gateway = billing.app.gateway();
    let advance = |days: &str| assert_eq!(gateway.post("/v1/test-clock", json!({ "advance": days })).status, 200);
    advance("P100D");
    let mut late = billing.event("evt_2", "invoice.paid", invoice("in_2", 2_000));
    late["created"] = json!((billing.app.now_ms() - 86_400_000) / 1_000);
    billing.tell(&billing.event("evt_1", "checkout.session.completed", session("cs_1")));
    billing.tell(&late);
    let entries = billing.alice.ledger();
    let vests: Vec<&Value> = entries.iter().map(|entry| &entry["vests_at"]).collect();
    assert_eq!(vests, ["2026-04-25T10:00:00Z", "2026-05-24T10:00:00Z"]);
    assert_eq!(billing.alice.stats()["credits_pending"], 100);
    advance("P29D");
    assert_eq!(billing.alice.stats()["credits_pending"], 0);
}

#[test]
fn a_customer_of_the_projects_api_converts_whichever_is_told_first() {
    let billing = Billing::start();
    let gateway = billing.app.gateway();
    let path = |rest: &str| format!("/api/billstack/teams/default/projects/default/referrals{rest}");
    let code = gateway.post(&path("/codes"), json!({ "customerId": "pc_ann" })).json()["code"]["code"].clone();
    let by = |who: &str| {
        let mut object = session(&format!("cs_{who}"));
        (object["client_reference_id"], object["customer"]) = (json!(who), Value::Null);
        billing.event(&format!("evt_{who}"), "checkout.session.completed", object)
    };
    let apply = |who: &str| {
        let reply = gateway.post(&path("/apply"), json!({ "code": code, "refereeCustomerId": who }));
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["referral"]["status"].clone()
    };
    assert_eq!(apply("pc_first"), "pending");
    assert_eq!(billing.tell(&by("pc_first")), "converted");
    assert_eq!(billing.tell(&by("pc_second")), "waiting");
    assert_eq!(apply("pc_second"), "converted");
    let history = gateway.get(&path(&format!("/codes/{}", code.as_str().unwrap()))).json();
    let statuses: Vec<_> = history["referrals"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, ["converted", "converted"]);
    let sums = billing.app.sqlite3(
        "SELECT group_concat(sum) FROM (SELECT sum(amount) AS sum FROM entry GROUP BY account_id ORDER BY sum)",
    );
    assert_eq!(sums, "500,500,2000\n");
}

/// A project's server that knows Bob before he has a referral: he has a code of his own.
fn with_a_code_of_his_own(billing: &Billing) -> (crate::harness::Client, String) {
    let gateway = billing.app.gateway();
    let made = |customer: &str| {
        let path = "/api/billstack/teams/default/projects/default/referrals/codes";
        gateway.post(path, json!({ "customerId": customer })).json()["code"]["code"].as_str().unwrap().to_owned()
    };
    let code = made("pc_dora");
    made("pc_eve");
    (gateway.clone(), code)
}

#[test]
fn a_checkout_told_a_moment_before_the_code_counts_whether_or_not_there_is_an_account() {
    let apply = "/api/billstack/teams/default/projects/default/referrals/apply";
    for (customer, days, status) in [("pc_eve", 0, 201), ("pc_nobody", 0, 201), ("pc_eve", 7, 201), ("pc_eve", 8, 409)]
    {
        let billing = Billing::start();
        let (gateway, code) = with_a_code_of_his_own(&billing);
        let mut checkout = session("cs_1");
        checkout["client_reference_id"] = json!(customer);
        checkout["customer"] = json!("cus_other");
        billing.tell(&billing.event("evt_1", "checkout.session.completed", checkout));
        billing.app.advance_days(days);
        let applied = gateway.post(apply, json!({ "code": code, "refereeCustomerId": customer }));
        assert_eq!(applied.status, status, "{customer} {days}: {}", applied.body);
        if status == 201 {
            assert_eq!(applied.json()["referral"]["status"], "converted", "{customer} {days}");
        }
    }
}

#[test]
fn what_was_bought_long_before_the_code_is_not_its_work() {
    let billing = Billing::start().with_commission();
    let (gateway, code) = with_a_code_of_his_own(&billing);
    let other = |mut object: Value| {
        object["customer"] = json!("cus_eve");
        object
    };
    for month in 0..5 {
        let paid = other(invoice(&format!("in_{month}"), 100_000));
        assert_eq!(billing.tell(&billing.event(&format!("evt_{month}"), "invoice.paid", paid)), "waiting");
        billing.app.advance_days(30);
    }
    let apply = "/api/billstack/teams/default/projects/default/referrals/apply";
    let applied = gateway.post(apply, json!({ "code": code, "refereeCustomerId": "pc_eve" }));
    assert_eq!(applied.status, 201, "{}", applied.body);
    let says_who = json!({ "id": "cus_eve", "metadata": { "customer_id": "pc_eve" } });
    billing.tell(&billing.event("evt_who", "customer.updated", says_who));
    assert_eq!(billing.grants(), "\n", "nothing for the months before");
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM purchase").trim(), "5", "though they are on record");
}
