//! The fraud simulation: made-up populations of honest developers and of farmers live through weeks in the real app, over
//! HTTP, on a clock of its own. What is held, and what farmers can ever spend, is printed and bounded.
//!
//! `cargo test --test it fraud -- --nocapture` shows the figures.

mod farmers;
mod honest;
mod outcome;
mod people;
mod readers;
mod world;

use outcome::Outcome;
use world::World;

const SEEDS: [u64; 3] = [1, 2_026, 987_654_321];

#[test]
fn farmers_earn_next_to_nothing_and_honest_referrals_are_hardly_ever_held() {
    let live = |seed| {
        let mut world = World::new(seed);
        honest::plan(&mut world);
        farmers::plan(&mut world);
        readers::plan(&mut world);
        world.live()
    };
    // No population knows of another.
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let lives = SEEDS.map(|seed| scope.spawn(move || live(seed)));
        lives.into_iter().map(|life| life.join().unwrap()).collect()
    });
    let mut all = Outcome::default();
    for (seed, outcome) in SEEDS.iter().zip(&outcomes) {
        println!("seed {seed}: {outcome}");
        // None is far off, whatever its seed.
        assert!(outcome.farm().spent_share() < 0.05, "{outcome}");
        assert!(outcome.held_share() <= 0.02, "{outcome}");
        all = all.and(outcome);
    }
    println!("all: {all}");
    assert!(all.farm().spent_share() < 0.05, "{all}");
    assert!(all.held_share() <= 0.01, "{all}");
    assert!(all.farm().recall() > 0.9, "{all}");
    for (kind, farm) in &all.kinds {
        assert!(farm.spent_share() < 0.2, "{kind}: {all}");
    }
}
