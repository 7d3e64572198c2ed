//! Many payouts through the real binary with faults of Stripe's, kill -9, operators who call off, and events twice and in
//! disorder: what the stand-in has sent, what refloop says it paid, and the ledger agree to the cent. A seed repeats what
//! is asked for and in which order; when the server dies in the middle of it is the machine's.

use super::crash::{World, now_ms};
use crate::process::{Dice, run};
use crate::stripe::{event, shuffle};
use crate::stripe_api::Fault;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Faults that pass by themselves.
const FAULTS: [Fault; 12] = [
    Fault::None,
    Fault::None,
    Fault::None,
    Fault::None,
    Fault::Refuse,
    Fault::BreakBefore,
    Fault::BreakAfter,
    Fault::ErrorAfter,
    Fault::Unavailable,
    Fault::TooMany,
    Fault::InProgress,
    Fault::HalfAnswer,
];

/// What Stripe has to tell, and has not told yet.
#[derive(Default)]
struct Feed {
    waiting: Vec<Value>,
    /// Transfers that events were made of.
    known: usize,
    /// The most that was told to be reversed, by payout.
    reversed: BTreeMap<String, i64>,
    made: i64,
}

impl Feed {
    fn add(&mut self, dice: &mut Dice, id: &str, kind: &str, at_ms: i64, object: &Value) {
        let copies = dice.between(1, 2);
        self.waiting.extend((0..copies).map(|_| event(id, kind, at_ms, object.clone())));
    }

    /// Most transfers are told of, some as reversed, in parts.
    fn add_transfers(&mut self, world: &World, dice: &mut Dice) {
        let transfers = world.stripe.transfers();
        for transfer in &transfers[self.known..] {
            let id = transfer["id"].as_str().unwrap();
            if !dice.one_in(4) {
                self.add(dice, &format!("evt_{id}"), "transfer.created", now_ms(), transfer);
            }
            if dice.one_in(5) {
                let whole = transfer["amount"].as_i64().unwrap();
                for (n, amount) in [(whole + 1) / 2, whole].into_iter().enumerate() {
                    let mut reversed = transfer.clone();
                    reversed["amount_reversed"] = json!(amount);
                    self.add(dice, &format!("evt_{id}_{n}"), "transfer.reversed", now_ms(), &reversed);
                }
                self.reversed.insert(transfer["transfer_group"].as_str().unwrap().to_owned(), whole);
            }
        }
        self.known = transfers.len();
    }

    /// A partner's account is not ready for a second: all of that is told at once, in any order.
    fn tell_account(&mut self, world: &World, dice: &mut Dice, partner: usize) {
        let account = world.stripe.with(|state| state.accounts[&world.accounts[partner]].clone());
        let before = self.waiting.len();
        for ready in [true, false, true] {
            self.made += 1;
            let mut account = account.clone();
            account["payouts_enabled"] = json!(ready);
            let at_ms = now_ms() + self.made * 2_000;
            self.add(dice, &format!("evt_account_{}", self.made), "account.updated", at_ms, &account);
        }
        let mut told = self.waiting.split_off(before);
        shuffle(&mut told, dice);
        for event in &told {
            world.tell(event);
        }
    }

    fn tell_some(&mut self, world: &World, dice: &mut Dice) {
        shuffle(&mut self.waiting, dice);
        let kept = self.waiting.len() / 2;
        for event in self.waiting.split_off(kept) {
            world.tell(&event);
        }
    }

    fn tell_the_rest(&mut self, world: &World) {
        for event in self.waiting.drain(..) {
            world.tell(&event);
        }
        let listed = world.sql("SELECT id, reversed_minor FROM payout WHERE reversed_minor > 0");
        let id = |text: &str| refloop::domain::id::PayoutId(text.parse().unwrap()).to_string();
        let lines = listed.lines().map(|line| line.split_once('|').unwrap());
        let reversed: BTreeMap<_, i64> = lines.map(|(key, amount)| (id(key), amount.parse().unwrap())).collect();
        assert_eq!(reversed, self.reversed);
        for partner in &world.partners {
            assert_eq!(world.get(partner, "/v1/partner")["stripe"]["ready"], true);
        }
    }
}

/// Payouts in rounds, one for each partner and round; in each the server is killed in the middle. How many there were, and
/// how many were paid.
fn simulate(partners: usize, rounds: usize, seed: u64) -> (usize, usize) {
    let begun = std::time::Instant::now();
    println!("seed {seed}");
    let (mut world, mut dice, mut feed) = (World::new(partners), Dice::new(seed), Feed::default());
    let last = i64::try_from(partners).unwrap() - 1;
    let one = |dice: &mut Dice| usize::try_from(dice.between(0, last)).unwrap();
    for round in 0..rounds {
        let script: Vec<_> = (0..partners * 2).map(|_| dice.pick(&FAULTS)).collect();
        world.stripe.script(&script);
        let before = world.stripe.requests_so_far();
        let mut asked = Vec::new();
        for partner in &world.partners {
            let (status, body) = world.post(partner, "/v1/payouts", &json!({ "amount": dice.between(1, 5_000) }));
            assert!(status == 201, "round {round}: {body}");
            asked.push(body["payout"]["id"].as_str().unwrap().to_owned());
        }
        // The last one may still be here, or not.
        run(world.dir(), &["payout", "cancel", asked.last().unwrap(), "--json"]);
        let (partner, calls) = (one(&mut dice), one(&mut dice) * 3);
        feed.tell_account(&world, &mut dice, partner);
        world.stripe.wait_for_calls(before + calls);
        feed.add_transfers(&world, &mut dice);
        feed.tell_some(&world, &mut dice);
        world.restart();
        feed.tell_some(&world, &mut dice);
        world.settle();
        if round % 10 == 9 {
            println!("round {}, {} s", round + 1, begun.elapsed().as_secs());
        }
    }
    world.stripe.with(|state| state.script.clear());
    world.settle();
    feed.add_transfers(&world, &mut dice);
    feed.tell_the_rest(&world);
    world.check()
}

#[test]
fn a_thousand_payouts_with_faults_and_crashes_agree_to_the_cent() {
    let (all, paid) = simulate(50, 20, 2_529);
    assert_eq!(all, 1_000);
    assert!(paid > 700, "{paid}");
}

/// Ten to twenty minutes: `tests/run --test it ten_thousand -- --ignored --nocapture`
#[test]
#[ignore = "the same at its full length"]
fn ten_thousand_payouts_with_faults_and_crashes_agree_to_the_cent() {
    let (all, paid) = simulate(100, 100, 10_000);
    println!("{all} payouts, {paid} paid");
    assert_eq!(all, 10_000);
    assert!(paid > 7_000, "{paid}");
}
