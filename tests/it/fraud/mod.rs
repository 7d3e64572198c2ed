//! The fraud simulation: made-up populations of honest developers and of farmers live through weeks in the real app, over
//! HTTP, on a clock of its own. What is held, and what farmers can ever spend, is printed and bounded.
//!
//! `cargo test --test it fraud -- --nocapture` shows the figures.

mod farmers;
mod honest;
mod people;
mod world;

use world::{Outcome, World};

const SEEDS: [u64; 3] = [1, 2_026, 987_654_321];

#[test]
fn farmers_earn_next_to_nothing_and_honest_referrals_are_hardly_ever_held() {
    let mut all = Outcome::default();
    for seed in SEEDS {
        let mut world = World::new(seed);
        honest::plan(&mut world);
        farmers::plan(&mut world);
        let outcome = world.live();
        println!("seed {seed}: {outcome}");
        // No population is far off, whatever its seed.
        assert!(outcome.spendable_share() < 0.05, "{outcome}");
        assert!(outcome.held_share() <= 0.02, "{outcome}");
        all = all.and(&outcome);
    }
    println!("all: {all}");
    assert!(all.spendable_share() < 0.05, "{all}");
    assert!(all.held_share() <= 0.01, "{all}");
    assert!(all.recall() > 0.9, "{all}");
}
