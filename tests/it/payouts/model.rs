//! Random histories, which a seed repeats: requests, refunds, usage, every fault of Stripe's, steps that are begun and
//! never ended as by a crash, events twice and in any order, days that pass and commissions that expire, clocks that are
//! wrong. What Stripe has sent is what was paid.

use super::{Stage, upgrade};
use crate::harness::Developer;
use crate::process::Dice;
use crate::stripe::shuffle;
use crate::stripe_api::{Fault, State};
use refloop::domain::delivery::DeliveryKind;
use refloop::domain::id::PayoutId;
use refloop::work::Receiver;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const STEPS: usize = 300;
const FAULTS: [Fault; 14] = [
    Fault::None,
    Fault::None,
    Fault::None,
    Fault::Refuse,
    Fault::NoFunds,
    Fault::BreakBefore,
    Fault::BreakAfter,
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::Unavailable,
    Fault::TooMany,
    Fault::InProgress,
    Fault::Proxy,
    Fault::HalfAnswer,
];

struct Model {
    stage: Stage,
    dice: Dice,
    /// Partners, each with somebody who buys.
    pairs: Vec<(Developer, Developer)>,
    purchases: Vec<(String, i64)>,
    events: Vec<Value>,
    /// Transfers that an event was made of.
    told: usize,
    made: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let stage = Stage::ready();
        stage.app.change_program(|program| {
            program["payouts"]["minimum"] = json!(1);
            program["rules"][1]["hold_days"] = json!(0);
            program["rules"][1]["expires_days"] = json!(3);
        });
        let mut pairs = Vec::new();
        for n in 0..3 {
            let partner = stage.app.developer(&format!("Partner{n}"));
            upgrade(&partner);
            let account = partner.post("/v1/partner/connect", json!({})).json()["account_id"].clone();
            stage.stripe.complete_account(account.as_str().unwrap());
            partner.post("/v1/partner/connect", json!({}));
            let buyer = stage.app.referee(&format!("Buyer{n}"), &partner.code());
            pairs.push((partner, buyer));
        }
        Self { stage, dice: Dice::new(seed), pairs, purchases: Vec::new(), events: Vec::new(), told: 0, made: 0 }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}-{}", self.made)
    }

    fn pair(&mut self) -> usize {
        usize::try_from(self.dice.between(0, 2)).unwrap()
    }

    fn step(&mut self) {
        match self.dice.between(1, 14) {
            1 | 2 => self.buy(),
            3 => self.refund(),
            4 => {
                let (who, id, calls) = (self.pair(), self.id("u"), self.dice.between(1, 300));
                self.pairs[who].0.use_api(&self.stage.app.gateway(), &id, calls);
            }
            5 | 6 => {
                let (who, all, amount) = (self.pair(), self.dice.one_in(2), self.dice.between(1, 900));
                let body = if all { json!({}) } else { json!({ "amount": amount }) };
                let reply = self.pairs[who].0.post("/v1/payouts", body);
                assert!([201, 409, 422].contains(&reply.status), "{}", reply.body);
            }
            7 => self.operate(),
            8 => {
                let hours = self.dice.pick(&[0, 1, 6, 26]);
                self.stage.app.advance_ms(hours * 3_600_000 + 61_000);
                if hours > 24 {
                    self.stage.stripe.with(State::forget_keys);
                }
            }
            9 => self.deliver_events(),
            10 => self.crash(),
            13 => self.jump(),
            _ => {
                // Time and again somebody sets the clock right.
                if self.stage.stripe.with(|state| state.ahead_ms) != 0 && self.dice.one_in(2) {
                    self.jump();
                }
                let fault = self.dice.pick(&FAULTS);
                self.stage.stripe.script(&[fault]);
                self.stage.work();
                self.stage.stripe.with(|state| state.script.clear());
            }
        }
    }

    fn buy(&mut self) {
        let (who, id, amount) = (self.pair(), self.id("p"), self.dice.between(100, 9_000));
        let body = json!({ "id": id, "developer_id": self.pairs[who].1.id, "amount": amount, "currency": "usd" });
        assert_eq!(self.stage.app.gateway().post("/v1/purchases", body).status, 201);
        self.purchases.push((id, amount));
    }

    fn refund(&mut self) {
        if self.purchases.is_empty() {
            return;
        }
        let last = i64::try_from(self.purchases.len()).unwrap() - 1;
        let (purchase, amount) = self.purchases[usize::try_from(self.dice.between(0, last)).unwrap()].clone();
        let (id, amount) = (self.id("r"), self.dice.between(1, amount));
        self.stage.refund(&id, &purchase, amount);
    }

    fn operate(&mut self) {
        let switch = self.dice.one_in(3);
        self.stage.app.change_program(|program| program["payouts"]["approval"] = json!(switch));
        let engine = &self.stage.app.engine;
        for listed in engine.payouts_of_project("default", true).unwrap() {
            let id = listed.payout.id;
            // Whether it is possible is not this one's to know.
            let _ = match self.dice.between(1, 4) {
                1 => engine.approve_payout(id),
                2 => engine.cancel_payout(id),
                3 => engine.retry_payout(id, false),
                _ => engine.retry_payout(id, true),
            };
        }
    }

    /// This machine's clock goes wrong, or is set right again.
    fn jump(&mut self) {
        let minutes = self.dice.pick(&[-1_560, -180, -10, 10, 180, 1_560]);
        let ahead_ms = self.stage.stripe.with(|state| std::mem::take(&mut state.ahead_ms));
        self.stage.app.advance_ms(ahead_ms);
        if ahead_ms == 0 {
            self.stage.app.advance_ms(minutes * 60_000);
            self.stage.stripe.with(|state| state.ahead_ms = -minutes * 60_000);
        }
    }

    /// A step is begun, perhaps carried out, and its end never noted.
    fn crash(&mut self) {
        let Some(begun) = self.stage.app.engine.next_delivery(DeliveryKind::Transfer).unwrap() else { return };
        if self.dice.one_in(2) {
            let fault = self.dice.pick(&FAULTS);
            self.stage.stripe.script(&[fault]);
            self.stage.client.tell(&begun);
            self.stage.stripe.with(|state| state.script.clear());
        }
    }

    fn deliver_events(&mut self) {
        let transfers = self.stage.stripe.transfers();
        for transfer in &transfers[self.told..] {
            let id = self.id("evt");
            let event = self.stage.event(&id, "transfer.created", transfer);
            let copies = self.dice.between(1, 3);
            self.events.extend((0..copies).map(|_| event.clone()));
        }
        self.told = transfers.len();
        shuffle(&mut self.events, &mut self.dice);
        let some = self.events.len() / 2;
        for mut event in self.events.split_off(some) {
            event["created"] = json!(self.stage.app.now_ms() / 1_000);
            self.stage.tell(&event);
        }
    }

    /// What Stripe has sent, by payout; one transfer for each.
    fn sent(&self) -> BTreeMap<String, i64> {
        let mut sent = BTreeMap::new();
        for transfer in self.stage.stripe.transfers() {
            let payout = transfer["transfer_group"].as_str().unwrap().to_owned();
            assert!(sent.insert(payout, transfer["amount"].as_i64().unwrap()).is_none(), "paid twice: {transfer}");
        }
        sent
    }

    fn check(&self) {
        let sent = self.sent();
        for (partner, _) in &self.pairs {
            for payout in partner.get("/v1/payouts?limit=200").json()["data"].as_array().unwrap() {
                let went = sent.get(payout["id"].as_str().unwrap());
                match payout["status"].as_str().unwrap() {
                    "paid" => assert_eq!(went, payout["amount"].as_i64().as_ref(), "lost: {payout}"),
                    "failed" | "cancelled" => assert_eq!(went, None, "freed and sent: {payout}"),
                    _ => assert!(went.is_none_or(|amount| json!(amount) == payout["amount"]), "{payout}"),
                }
            }
            let balance = partner.get("/v1/partner").json()["balance"].clone();
            assert!(balance.as_object().unwrap().values().all(|value| value.as_i64().unwrap() >= 0), "{balance}");
        }
    }

    /// With nothing in the way any more, everything is settled.
    fn finish(&mut self) {
        let engine = std::sync::Arc::clone(&self.stage.app.engine);
        if self.stage.stripe.with(|state| state.ahead_ms) != 0 {
            self.jump();
        }
        for _ in 0..5 {
            self.stage.app.advance_days(2);
            self.stage.stripe.with(State::forget_keys);
            for listed in engine.payouts_of_project("default", true).unwrap() {
                let id: PayoutId = listed.payout.id;
                let _ = engine.approve_payout(id);
                let _ = engine.retry_payout(id, true).or_else(|_| engine.retry_payout(id, false));
            }
            self.stage.work();
        }
        let open = engine.payouts_of_project("default", true).unwrap();
        assert!(open.is_empty(), "{open:?}");
        self.check();
        let sums: Vec<i64> = self.sent().into_values().collect();
        let paid = self.stage.app.sqlite3("SELECT coalesce(sum(amount_minor), 0) FROM payout WHERE status = 'paid'");
        assert_eq!(sums.iter().sum::<i64>(), paid.trim().parse::<i64>().unwrap());
        assert_eq!(sums.iter().sum::<i64>(), self.stage.paid_by_ledger());
        // What came back lived as long as it was promised.
        let early = "SELECT count(*) FROM entry AS back JOIN entry AS gone
                     ON gone.kind = 'expire' AND gone.lot = back.lot AND gone.seq > back.seq
                       AND gone.at_ms < back.expires_at_ms
                     WHERE back.kind = 'payout_return'";
        assert_eq!(self.stage.app.sqlite3(early).trim(), "0");
    }
}

#[test]
fn any_history_pays_once_and_loses_nothing() {
    for seed in [9, 2_529, 40_000, 77_777] {
        println!("seed {seed}");
        let mut model = Model::new(seed);
        for _ in 0..STEPS {
            model.step();
            model.check();
        }
        model.finish();
        assert!(model.sent().len() >= 5, "{} payouts are no history", model.sent().len());
    }
}
