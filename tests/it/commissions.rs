//! API.market's programme from the click to the commission, by the preset as it ships.

use crate::harness::{App, Client, DAY_MS, Developer, Reply};
use crate::stripe::{SECRET, charge, event, invoice, name, signed};
use proptest::prelude::*;
use refloop::domain::program::Preset;
use refloop::domain::time;
use serde_json::{Value, json};

struct Market {
    app: App,
    alice: Developer,
    bob: Developer,
    gateway: Client,
}

/// Alice, who referred Bob under the `commission` preset.
fn market() -> Market {
    let app = App::start();
    let project = app.engine.project_named("default").unwrap();
    app.engine.set_program(&project, Preset::Commission.program(), "test").unwrap();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    let gateway = app.gateway();
    Market { app, alice, bob, gateway }
}

impl Market {
    fn try_buy(&self, who: &str, id: &str, amount: i64, at: Option<&str>) -> Reply {
        let body = json!({ "id": id, "developer_id": who, "amount": amount, "currency": "usd", "at": at });
        self.gateway.post("/v1/purchases", body)
    }

    fn buy(&self, id: &str, amount: i64) {
        assert_eq!(self.try_buy(&self.bob.id, id, amount, None).status, 201, "{id}");
    }

    fn refund(&self, id: &str, purchase: &str, amount: i64) {
        let body = json!({ "id": id, "purchase_id": purchase, "amount": amount });
        assert_eq!(self.gateway.post("/v1/refunds", body).status, 201, "{id}");
    }

    fn set_track(&self, track: &str) {
        self.app.set_track("Alice", track);
    }

    /// Earned, pending, available, reversed, owed.
    fn figures(&self) -> [i64; 5] {
        let stats = self.alice.stats();
        ["credits_earned", "credits_pending", "credits_available", "credits_reversed", "owed"]
            .map(|name| stats[name].as_i64().unwrap())
    }

    fn net(&self) -> i64 {
        let [earned, _, _, reversed, _] = self.figures();
        earned - reversed
    }

    /// Of each grant of Alice's: amount and status.
    fn lines(&self) -> Vec<(i64, String)> {
        let ledger = self.alice.ledger();
        let grants = ledger.iter().filter(|entry| entry["kind"] == "grant");
        grants.map(|e| (e["credit_amount"].as_i64().unwrap(), e["status"].as_str().unwrap().to_owned())).collect()
    }

    fn referral(&self) -> Value {
        self.alice.get("/v1/developers/referrals").json()["data"][0].clone()
    }

    fn deliver(&self, id: &str, kind: &str, object: Value) -> String {
        self.tell(&event(id, kind, self.app.now_ms(), object))
    }

    fn tell(&self, event: &Value) -> String {
        let body = event.to_string().into_bytes();
        let signature = signed(&body, SECRET, self.app.now_ms());
        let headers = [("Content-Type", "application/json"), ("Stripe-Signature", signature.as_str())];
        let reply = self.app.anonymous().send("POST", "/webhooks/stripe/default", &headers, body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["outcome"].as_str().unwrap().to_owned()
    }
}

fn lines(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(amount, status)| (*amount, (*status).to_owned())).collect()
}

#[test]
fn the_seed_s_steps_from_signup_to_an_eligible_commission() {
    let market = market();
    assert_eq!(market.bob.signup["referral"]["bonus_credits"], 250);
    assert_eq!((market.referral()["status"].clone(), market.net()), (json!("signed_up"), 0));
    market.app.advance_days(2);
    market.buy("plan", 5_000);
    let referral = market.referral();
    assert_eq!(referral["status"], "converted");
    assert_eq!(referral["converted_at"], "2026-01-17T10:00:00Z");
    assert_eq!(referral["credits"][0]["status"], "PENDING");
    assert_eq!(referral["credits"][0]["vests_at"], "2026-02-16T10:00:00Z");
    assert_eq!((market.figures(), market.lines()), ([250, 250, 0, 0, 0], lines(&[(250, "PENDING")])));
    market.app.advance_ms(30 * DAY_MS - 1);
    assert_eq!((market.figures(), market.lines()), ([250, 250, 0, 0, 0], lines(&[(250, "PENDING")])));
    market.app.advance_ms(1);
    assert_eq!((market.figures(), market.lines()), ([250, 0, 250, 0, 0], lines(&[(250, "ELIGIBLE")])));
    let spent = market.alice.use_api(&market.gateway, "wallet", 100);
    assert_eq!((&spent["charged"], &spent["available"]), (&json!(100), &json!(150)), "a wallet to spend from");
    assert_eq!(market.lines(), lines(&[(250, "ELIGIBLE")]), "also when it has been spent since");
    let stats = market.alice.stats();
    assert_eq!((&stats["conversions"], &stats["pending_referrals"]), (&json!(1), &json!(0)));
}

#[test]
fn the_signup_credit_is_the_referee_s_for_thirty_days_from_the_signup() {
    let market = market();
    let line = market.bob.ledger()[0].clone();
    assert_eq!((&line["credit_amount"], &line["reason"]), (&json!(250), &json!("signup_bonus")));
    assert_eq!((&line["status"], &line["expires_at"]), (&json!("ELIGIBLE"), &json!("2026-02-14T10:00:00Z")));
    market.bob.use_api(&market.gateway, "a", 100);
    market.app.advance_ms(30 * DAY_MS - 1);
    assert_eq!(market.bob.stats()["credits_available"], 150);
    market.app.advance_ms(1);
    for _ in 0..2 {
        let stats = market.bob.stats();
        assert_eq!((&stats["credits_available"], &stats["credits_expired"]), (&json!(0), &json!(150)));
        market.app.sweep();
    }
    let late = market.bob.use_api(&market.gateway, "b", 10);
    assert_eq!((&late["charged"], &late["uncovered"]), (&json!(0), &json!(10)));
    assert_eq!(market.net(), 0, "the referrer gets nothing for a signup");
}

#[test]
fn each_purchase_pays_by_the_track_of_its_time_and_is_given_back_by_the_same() {
    let market = market();
    market.buy("on basic", 10_000);
    market.set_track("partner");
    market.buy("as a partner", 10_000);
    assert_eq!(market.lines(), lines(&[(500, "PENDING"), (1_000, "PENDING")]));
    market.refund("r1", "on basic", 4_000);
    assert_eq!(market.net(), 1_300, "40 % of 5 %");
    market.set_track("basic");
    market.refund("r2", "as a partner", 5_000);
    assert_eq!(market.net(), 800, "half of 10 %");
    market.buy("on basic again", 10_000);
    market.refund("r3", "on basic", 6_000);
    market.refund("r4", "as a partner", 5_000);
    assert_eq!(market.net(), 500);
    let shares = market.app.sqlite3("SELECT group_concat(basis_points) FROM decision WHERE rule = 'commission'");
    assert_eq!(shares.trim(), "500,1000,500");
}

#[test]
fn a_purchase_that_is_told_late_pays_what_was_paid_when_it_was_made() {
    let market = market();
    let made_at = time::rfc3339(market.app.now_ms());
    market.app.advance_days(2);
    market.app.change_program(|program| {
        for rule in program["rules"].as_array_mut().unwrap() {
            if !rule["basis_points"].is_null() {
                rule["basis_points"] = json!({ "basic": 2_000, "partner": 3_000 });
            }
        }
    });
    assert_eq!(market.try_buy(&market.bob.id, "late", 10_000, Some(&made_at)).status, 201);
    assert_eq!(market.net(), 500, "by the program of its time");
    market.buy("now", 10_000);
    assert_eq!(market.net(), 2_500);
    let versions = "SELECT group_concat(program_version) FROM decision WHERE rule = 'commission'";
    assert_eq!(market.app.sqlite3(versions).trim(), "2,3");

    // The track counts the same way.
    market.app.advance_days(1);
    let on_basic = time::rfc3339(market.app.now_ms());
    market.app.advance_days(1);
    market.set_track("partner");
    assert_eq!(market.try_buy(&market.bob.id, "before the upgrade", 10_000, Some(&on_basic)).status, 201);
    assert_eq!(market.net(), 4_500);
    market.buy("after it", 10_000);
    assert_eq!(market.net(), 7_500);
}

#[test]
fn a_purchase_that_is_told_late_pays_by_the_track_of_its_time_however_often_that_has_changed_since() {
    let market = market();
    let mut times = Vec::new();
    for track in ["basic", "partner", "basic", "partner", "basic"] {
        market.app.advance_days(1);
        if track != "basic" || !times.is_empty() {
            market.set_track(track);
        }
        // The instant of the change is the first on the new track.
        times.push((track, time::rfc3339(market.app.now_ms())));
    }
    market.app.advance_days(1);
    for (n, (track, at)) in times.iter().enumerate().rev() {
        let before = market.net();
        assert_eq!(market.try_buy(&market.bob.id, &format!("late {n}"), 10_000, Some(at)).status, 201);
        let commission = if *track == "partner" { 1_000 } else { 500 };
        assert_eq!(market.net() - before, commission, "{track}, change {n}");
    }
    // A program that is tried on the same past finds the same.
    let engine = &market.app.engine;
    let project = engine.project_named("default").unwrap();
    let (_, comparison) = engine.try_program(&project, &Preset::Commission.program()).unwrap();
    let commission = comparison.rules.iter().find(|line| line.rule == "commission").unwrap();
    assert_eq!((commission.current.amount, commission.proposed.amount), (3_500, 3_500));
    // What is known of tracks is not rewritten.
    for sql in [
        "UPDATE track_change SET at_ms = 0",
        "DELETE FROM track_change",
        "INSERT OR REPLACE INTO track_change SELECT id, account_id, 'partner', 0 FROM track_change",
    ] {
        assert!(market.app.sqlite3(sql).contains("track_change"), "{sql}");
    }
}

#[test]
fn a_dollar_is_the_least_that_counts() {
    let market = market();
    market.buy("99", 99);
    assert_eq!((market.net(), market.referral()["status"].clone()), (0, json!("signed_up")));
    let decision = "SELECT verdict, code FROM decision WHERE event = 'purchase'";
    assert_eq!(market.app.sqlite3(decision).trim(), "refused|below_min_purchase");
    market.refund("r1", "99", 99);
    market.buy("100", 100);
    assert_eq!((market.net(), market.referral()["status"].clone()), (5, json!("converted")));
    // What is left of a purchase may be less than that: what it keeps is its share of the rest.
    market.buy("more", 1_000);
    market.refund("r2", "more", 950);
    assert_eq!(market.net(), 5 + 3, "5 % of 0.50, half up");
    market.refund("r3", "more", 45);
    assert_eq!(market.net(), 5, "5 % of 0.05 is less than half a cent");
    assert_eq!(
        market
            .app
            .sqlite3(
                "SELECT count(*) FROM entry WHERE account_id IN
        (SELECT referee_id FROM referral) AND kind <> 'grant'"
            )
            .trim(),
        "0",
        "the referee's credit is not touched"
    );
}

#[test]
fn a_linear_hold_vests_day_by_day() {
    let market = market();
    market.app.change_program(|program| program["rules"][1]["vesting"] = json!("linear"));
    market.buy("p1", 60_000);
    for (days, available) in [(0, 0), (1, 100), (2, 300), (26, 2_900), (1, 3_000), (100, 3_000)] {
        market.app.advance_days(days);
        let [earned, pending, now, ..] = market.figures();
        assert_eq!((earned, pending, now), (3_000, 3_000 - available, available), "after {days} more days");
    }
}

#[test]
fn one_purchase_told_by_the_api_and_by_stripe_is_one() {
    let market = market();
    assert_eq!(market.app.sqlite3(&format!("UPDATE project SET stripe_webhook_secrets = '{SECRET}'")), "");
    name(&market.app, &market.bob.id, "cus_bob");
    market.buy("in_1", 2_000);
    assert_eq!(market.deliver("evt_1", "invoice.paid", invoice("in_1", 2_000)), "known");
    assert_eq!(market.deliver("evt_2", "invoice.paid", invoice("in_2", 4_000)), "purchase");
    let again = market.try_buy(&market.bob.id, "in_2", 4_000, None);
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("duplicate")));
    assert_eq!(market.lines(), lines(&[(100, "PENDING"), (200, "PENDING")]));
    // Nor does what somebody sells at an account of their own pay them anything.
    let mut forged = event("evt_0", "invoice.paid", market.app.now_ms(), invoice("in_0", 900_000));
    forged["account"] = json!("acct_of_a_partner");
    assert_eq!(market.tell(&forged), "ignored");
    // Each of the two may tell of a refund of either.
    market.refund("r1", "in_2", 1_000);
    assert_eq!(market.net(), 250);
    assert_eq!(market.deliver("evt_3", "charge.refunded", charge("in_1", 2_000)), "refund");
    assert_eq!(market.net(), 150);
    market.refund("r2", "in_2", 3_000);
    assert_eq!(market.net(), 0);
    market.app.advance_days(31);
    assert_eq!((market.figures()[2], market.lines()), (0, lines(&[(100, "REVERSED"), (200, "REVERSED")])));
}

#[test]
fn a_commission_that_was_spent_before_its_refund_is_owed_and_repaid() {
    let market = market();
    market.buy("p1", 10_000);
    market.app.advance_days(30);
    market.alice.use_api(&market.gateway, "all", 500);
    market.refund("dispute", "p1", 10_000);
    assert_eq!(market.figures(), [500, 0, 0, 500, 500]);
    market.buy("p2", 4_000);
    assert_eq!(market.figures(), [700, 0, 0, 500, 300], "what is still held repays as well");
    market.buy("p3", 10_000);
    assert_eq!(market.figures(), [1_200, 200, 0, 500, 0]);
    market.app.advance_days(30);
    assert_eq!(market.figures(), [1_200, 0, 200, 500, 0]);
    // The purchase that repaid is given back too: all of what it brought, wherever that went.
    market.refund("r2", "p2", 4_000);
    assert_eq!(market.figures(), [1_200, 0, 0, 700, 0]);
}

#[test]
fn what_was_bought_long_before_the_referral_is_not_its_work() {
    let market = market();
    let (carol, code) = (market.app.developer("Carol"), market.alice.code());
    assert_eq!(market.try_buy(&carol.id, "before", 10_000, None).status, 201);
    market.app.advance_days(5);
    assert_eq!(carol.post("/v1/developers/referrals/apply", json!({ "code": code })).status, 201);
    for (id, at) in [("ages before", "2025-01-01T00:00:00Z"), ("a little more", "2026-01-13T09:59:59Z")] {
        assert_eq!(market.try_buy(&carol.id, id, 10_000, Some(at)).status, 201);
        assert_eq!(market.net(), 0, "{id}");
    }
    let converted = |status: &str| market.alice.all(&format!("/v1/developers/referrals?status={status}")).len();
    assert_eq!((converted("converted"), market.app.sqlite3("SELECT count(*) FROM purchase").trim()), (0, "3"));
    // Within the days that a code may come late it counts, as Stripe's word does.
    assert_eq!(market.try_buy(&carol.id, "just before", 10_000, Some("2026-01-13T10:00:00Z")).status, 201);
    assert_eq!((market.net(), converted("converted")), (500, 1));
}

#[test]
fn a_time_is_no_way_around_the_hold() {
    let market = market();
    market.app.advance_days(3);
    let vests_at = |id: &str, at: &str| {
        assert_eq!(market.try_buy(&market.bob.id, id, 10_000, Some(at)).status, 201, "{id}");
        market.alice.ledger().last().unwrap()["vests_at"].clone()
    };
    assert_eq!(vests_at("told late", "2026-01-16T10:00:00Z"), "2026-02-15T10:00:00Z", "thirty days from the purchase");
    assert_eq!(vests_at("before he came", "2026-01-10T10:00:00Z"), "2026-02-14T10:00:00Z", "from when he came");
    assert_eq!(vests_at("in the future", "2036-01-01T00:00:00Z"), "2026-02-17T10:00:00Z", "from now");
    assert_eq!(market.figures(), [1_500, 1_500, 0, 0, 0]);
}

#[test]
fn under_review_a_commission_is_held_and_rejected_it_never_comes() {
    let market = market();
    let review = "UPDATE referral SET status = 'review', reason = 'same_address'";
    assert_eq!(market.app.sqlite3(review), "");
    market.buy("p1", 10_000);
    market.app.advance_days(60);
    assert_eq!(market.figures(), [500, 500, 0, 0, 0], "it does not vest until it is cleared");
    assert_eq!(market.alice.use_api(&market.gateway, "u", 10)["charged"], 0);
    market.refund("r1", "p1", 5_000);
    assert_eq!(market.figures(), [500, 250, 0, 250, 0]);
    assert_eq!(market.app.sqlite3("UPDATE referral SET status = 'rejected', rejected_at_ms = 1"), "");
    market.buy("p2", 10_000);
    assert_eq!(market.figures()[0], 500);
}

#[test]
fn another_currency_changes_nothing() {
    let market = market();
    let body = json!({ "id": "p1", "developer_id": market.bob.id, "amount": 10_000, "currency": "eur" });
    assert_eq!(market.gateway.post("/v1/purchases", body).faults(), ["currency: currency_mismatch"]);
    assert_eq!(market.referral()["status"], "signed_up");
    market.buy("p1", 10_000);
    assert_eq!(market.net(), 500, "the id is still free");
}

/// What is done to one referral's purchases.
#[derive(Debug, Clone)]
enum Step {
    Buy(i64),
    /// Of one of the purchases, told or yet to come.
    Refund(usize, i64),
    Track(bool),
    Spend(i64),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let cents = prop_oneof![1..300_i64, 300..100_000_i64];
    prop_oneof![
        4 => cents.clone().prop_map(Step::Buy),
        4 => (0..12_usize, cents).prop_map(|(which, amount)| Step::Refund(which, amount)),
        1 => any::<bool>().prop_map(Step::Track),
        2 => (1..3_000_i64).prop_map(Step::Spend),
        2 => (1..25_i64).prop_map(Step::Wait),
    ]
}

/// A purchase as this model knows it: gross, refunded, the share that it was paid by.
#[derive(Clone, Copy, Default)]
struct Bought {
    gross: i64,
    refunded: i64,
    share: i64,
}

impl Bought {
    /// Half up, by adding a half and cutting off.
    fn of(self, amount: i64) -> i64 {
        if self.gross < 100 { 0 } else { (amount * self.share * 2 + 10_000) / 20_000 }
    }

    fn left(self) -> i64 {
        self.of((self.gross - self.refunded).max(0))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 40, ..ProptestConfig::with_cases(10) })]

    #[test]
    fn whatever_is_bought_and_given_back_the_sums_are_right(steps in prop::collection::vec(step(), 1..40)) {
        let market = market();
        let (mut known, mut bought, mut share) = (vec![Bought::default(); 12], 0, 500);
        for (n, step) in steps.iter().enumerate() {
            match *step {
                Step::Buy(amount) if bought < known.len() => {
                    market.buy(&format!("p{bought}"), amount);
                    known[bought] = Bought { gross: amount, share, ..known[bought] };
                    bought += 1;
                }
                Step::Buy(_) => (),
                Step::Refund(which, amount) => {
                    market.refund(&format!("r{n}"), &format!("p{which}"), amount);
                    known[which].refunded += amount;
                }
                Step::Track(partner) => {
                    share = if partner { 1_000 } else { 500 };
                    market.set_track(if partner { "partner" } else { "basic" });
                }
                Step::Spend(amount) => drop(market.alice.use_api(&market.gateway, &format!("u{n}"), amount)),
                Step::Wait(days) => market.app.advance_days(days),
            }
            let [earned, pending, available, reversed, owed] = market.figures();
            let used = market.alice.stats()["credits_used"].as_i64().unwrap();
            prop_assert_eq!(earned, known[..bought].iter().map(|purchase| purchase.of(purchase.gross)).sum::<i64>());
            prop_assert_eq!(earned - reversed, known[..bought].iter().map(|purchase| purchase.left()).sum::<i64>());
            prop_assert_eq!(pending + available, earned - reversed - used + owed);
        }
        for (which, purchase) in known[..bought].iter().enumerate() {
            market.refund(&format!("last{which}"), &format!("p{which}"), purchase.gross);
        }
        let [earned, pending, available, reversed, owed] = market.figures();
        prop_assert_eq!((earned - reversed, pending, available), (0, 0, 0));
        prop_assert_eq!(owed, market.alice.stats()["credits_used"].as_i64().unwrap());
    }
}
