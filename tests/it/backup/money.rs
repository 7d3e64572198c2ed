//! Payouts that left after the backup which was put back.

use crate::payouts::crash::World;
use crate::process::run;
use serde_json::{Value, json};

/// The file is lost, and the backup takes its place.
fn go_back(world: &mut World) {
    world.server.kill_9();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.dir().join(format!("refloop.db{suffix}")));
    }
    assert_eq!(run(world.dir(), &["restore", "backup.db"]).code, 0);
    world.restart();
}

fn listed(world: &World) -> Vec<Value> {
    run(world.dir(), &["payout", "list", "--json"]).json()["payouts"].as_array().unwrap().clone()
}

#[test]
fn one_that_waited_in_the_backup_is_not_sent_again() {
    let mut world = World::new(1);
    let partner = world.partners[0].clone();
    world.stripe.with(|state| state.is_down = true);
    assert_eq!(world.post(&partner, "/v1/payouts", &json!({ "amount": 500 })).0, 201);
    assert_eq!(run(world.dir(), &["backup", "backup.db"]).code, 0);
    world.stripe.with(|state| state.is_down = false);
    world.settle();
    assert_eq!(world.check(), (1, 1));
    go_back(&mut world);
    world.settle();
    assert_eq!(world.check(), (1, 1));
    assert_eq!(world.stripe.transfers().len(), 1, "Stripe was asked first");
}

#[test]
fn the_first_one_after_a_restore_waits_for_an_operator() {
    let mut world = World::new(2);
    let partners = world.partners.clone();
    assert_eq!(run(world.dir(), &["backup", "backup.db"]).code, 0);
    assert_eq!(world.post(&partners[0], "/v1/payouts", &json!({ "amount": 500 })).0, 201);
    world.settle();
    assert_eq!(world.check(), (1, 1));
    go_back(&mut world);
    assert!(listed(&world).is_empty(), "the backup does not know of it");

    for partner in &partners {
        let (status, asked) = world.post(partner, "/v1/payouts", &json!({ "amount": 500 }));
        assert_eq!((status, &asked["payout"]["status"]), (201, &json!("queued")));
    }
    world.hurry();
    world.stripe.wait_for_calls(usize::MAX);
    assert_eq!(world.stripe.transfers().len(), 1, "nothing leaves by itself");
    let waiting = listed(&world);
    assert!(waiting.iter().all(|payout| payout["waits_for"] == "approval"), "{waiting:?}");
    // The newest first: the first partner was paid, says Stripe; the second was not.
    let id = |n: usize| waiting[n]["id"].as_str().unwrap();
    assert_eq!(run(world.dir(), &["payout", "cancel", id(1)]).code, 0);
    assert_eq!(run(world.dir(), &["payout", "approve", id(0)]).code, 0);
    world.settle();
    assert_eq!(world.stripe.transfers().len(), 2);
    // Who was looked at is not looked at again; who was not, is.
    assert_eq!(world.post(&partners[1], "/v1/payouts", &json!({ "amount": 500 })).0, 201);
    world.settle();
    assert_eq!(world.stripe.transfers().len(), 3);
    assert_eq!(world.post(&partners[0], "/v1/payouts", &json!({ "amount": 500 })).0, 201);
    let waiting: Vec<_> = listed(&world).into_iter().filter(|payout| payout["waits_for"] == "approval").collect();
    assert_eq!(waiting.len(), 1);
}
