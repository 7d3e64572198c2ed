//! Farmers who have read the README, and stay below what it names as far as that is cheap.

use super::farmers::{Kind, fake, farmer, good_name, session, signed_up};
use super::world::{DAY_MS, HOUR_MS, MINUTE_MS, Step, Who, World};

pub fn plan(world: &mut World) {
    let kinds: [Kind; 12] = [
        ("erases each at once, one server", erases_at_once),
        ("erases each within the hour, many networks", erases_everywhere),
        ("erases a series of mailboxes", erases_a_series),
        ("thins a burst out", thins_out),
        ("one call more", one_call_more),
        ("calls in two parts", calls_in_two_parts),
        ("a call now and then doubled, with jitter", jitters),
        ("nineteen an hour", drips),
        ("addresses of one /64", one_prefix),
        ("a tree of codes at one server", tree),
        ("many main accounts at one server", many_mains),
        ("calls as people do, two a day at one server", copycat),
    ];
    for (kind, plan) in kinds {
        world.kind = kind;
        plan(world);
    }
}

/// Makes the calls that pay, spends what there is, and erases the account.
fn gone(world: &mut World, by: Who, email: String, from: &str, at_ms: i64) {
    let who = fake(world, by, email, from, at_ms);
    world.plan(at_ms + 20 * MINUTE_MS, Step::Spend { who });
    world.plan(at_ms + 20 * MINUTE_MS, Step::Spend { who: by });
    world.plan(at_ms + 21 * MINUTE_MS, Step::Erase { who });
}

fn erases_at_once(world: &mut World) {
    let ((by, _), server) = (farmer(world), world.fresh_address());
    for n in 0..16 {
        let (email, at_ms) = (good_name(world), session(world, 1, 4 * n));
        gone(world, by, email, &server, at_ms);
    }
}

fn erases_everywhere(world: &mut World) {
    let (by, _) = farmer(world);
    for n in 0..24_usize {
        let (email, from) = (good_name(world), world.fresh_address());
        let at_ms = session(world, 1 + i64::try_from(n / 2).unwrap(), 20 * (n % 2));
        gone(world, by, email, &from, at_ms);
    }
}

fn erases_a_series(world: &mut World) {
    let (by, _) = farmer(world);
    for n in 0..16 {
        let (from, at_ms) = (world.fresh_address(), session(world, 2, 4 * n));
        gone(world, by, format!("api.fan{}@outlook.com", n + 1), &from, at_ms);
    }
}

/// Throw-away signups with the same code first, from elsewhere: some that a rule refuses, and some that look good.
fn thins_out(world: &mut World) {
    let (by, _) = farmer(world);
    let (here, there) = (world.fresh_address(), world.fresh_address());
    for n in 0..24 {
        let email = if n % 2 == 0 { format!("nobody{n}@mailinator.com") } else { good_name(world) };
        let at_ms = session(world, 2, 0) + i64::from(n) * MINUTE_MS;
        signed_up(world, by, email, &there, at_ms);
    }
    for n in 0..12 {
        let (email, at_ms) = (good_name(world), session(world, 2, 4 + n));
        fake(world, by, email, &here, at_ms);
    }
}

/// From networks all over the world, with good names, two a day: nothing but the calls tells.
fn scattered(world: &mut World, calls: fn(&mut World, Who, i64)) {
    let (by, _) = farmer(world);
    for n in 0..24_usize {
        let (email, from) = (good_name(world), world.fresh_address());
        let at_ms = session(world, 1 + i64::try_from(n / 2).unwrap(), 20 * (n % 2));
        let who = signed_up(world, by, email, &from, at_ms);
        calls(world, who, at_ms + 10 * MINUTE_MS);
    }
}

fn one_call_more(world: &mut World) {
    scattered(world, |world, who, at_ms| {
        world.plan(at_ms, Step::Call { who, calls: 1 });
        world.plan(at_ms + 10 * MINUTE_MS, Step::Call { who, calls: 100 });
    });
}

/// 37 and 63, and the like, with pauses as they come.
fn calls_in_two_parts(world: &mut World) {
    scattered(world, |world, who, at_ms| {
        let (first, pause) = (world.dice.between(20, 80), world.dice.between(5, 200));
        world.plan(at_ms, Step::Call { who, calls: first });
        world.plan(at_ms + pause * MINUTE_MS, Step::Call { who, calls: 100 - first });
    });
}

/// One by one, each twenty seconds give or take eight, some doubled, and a few more than a hundred.
fn jitters(world: &mut World) {
    scattered(world, |world, who, at_ms| {
        let (mut at_ms, calls) = (at_ms, world.dice.between(100, 108));
        for _ in 0..calls {
            at_ms += world.dice.between(12_000, 28_000);
            let calls = if world.dice.percent(3) { 2 } else { 1 };
            world.plan(at_ms, Step::Call { who, calls });
        }
    });
}

/// Below what counts as a burst of a code, from a pool of proxies.
fn drips(world: &mut World) {
    let (by, _) = farmer(world);
    for n in 0..57 {
        let (email, from) = (good_name(world), world.fresh_address());
        fake(world, by, email, &from, 3 * DAY_MS + 4 * HOUR_MS + n * 3 * MINUTE_MS + n * 10_000);
    }
}

fn one_prefix(world: &mut World) {
    let (by, _) = farmer(world);
    let prefix = format!("2001:db8:{by:x}:1");
    for n in 0..12 {
        let (email, at_ms) = (good_name(world), session(world, 1, n));
        fake(world, by, email, &format!("{prefix}:{:x}::{n:x}", 7 * n), at_ms);
    }
}

/// Each brings two on the next day, so that nobody has brought many.
fn tree(world: &mut World) {
    let ((root, _), server) = (farmer(world), world.fresh_address());
    let mut level = vec![root];
    for day in 1..5 {
        let mut next = Vec::new();
        for by in level {
            for _ in 0..2 {
                let (email, at_ms) = (good_name(world), session(world, day, 3 * next.len()));
                let who = fake(world, by, email, &server, at_ms);
                world.plan(at_ms + 1, Step::Look { who, from: server.clone() });
                next.push(who);
            }
        }
        level = next;
    }
}

/// The main accounts on one day, two fakes of each on the next.
fn many_mains(world: &mut World) {
    let server = world.fresh_address();
    let mains: Vec<_> = (0..10)
        .map(|n| {
            let (email, at_ms) = (good_name(world), session(world, 1, n));
            let who = world.add(email, true, None).expect("a mailbox of their own");
            world.plan(at_ms, Step::SignUp { who, from: server.clone() });
            world.plan(at_ms + 1, Step::Look { who, from: server.clone() });
            who
        })
        .collect();
    for n in 0..20 {
        let (email, at_ms) = (good_name(world), session(world, 2, n));
        fake(world, mains[n / 2], email, &server, at_ms);
    }
}

/// Calls in bursts over days, well beyond the milestone.
fn copycat(world: &mut World) {
    let ((by, _), server) = (farmer(world), world.fresh_address());
    for n in 0..24_usize {
        let email = good_name(world);
        let at_ms = session(world, 1 + i64::try_from(n / 2).unwrap(), 10 * (n % 2));
        let who = signed_up(world, by, email, &server, at_ms);
        let mut call_ms = at_ms;
        for _ in 0..world.dice.between(4, 12) {
            call_ms += world.dice.between(20, 900) * MINUTE_MS;
            let calls = world.dice.between(5, 90);
            world.plan(call_ms, Step::Call { who, calls });
        }
    }
}
