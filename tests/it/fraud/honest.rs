//! Honest developers: they refer friends, readers and colleagues, sit behind shared addresses, and call as people do.

use super::people::{first_name, private_mailbox};
use super::world::{DAY_MS, HOUR_MS, MINUTE_MS, Step, Who, World};

const REFERRERS: usize = 60;
/// Days in which referrals happen.
const DAYS: i64 = 12;
const UNIVERSITIES: [&str; 3] = ["uni-north.example", "uni-south.example", "tech-institute.example"];

pub fn plan(world: &mut World) {
    let offices: Vec<String> = (0..12).map(|_| world.fresh_address()).collect();
    // Of a campus, a co-working space, a mobile carrier.
    let networks: Vec<String> = (0..30).map(|_| world.fresh_address()).collect();
    for domain in UNIVERSITIES {
        world.register(domain, 9_000);
    }
    for number in 0..REFERRERS {
        let in_office = world.dice.percent(50);
        let home = if in_office { world.dice.one_of(&offices).clone() } else { world.fresh_address() };
        let email = company_mailbox(world, &format!("team{number}"));
        let begins_ms = world.dice.between(0, 24 * 60) * MINUTE_MS;
        let referrer = referrer(world, email, &home, begins_ms);
        looks(world, referrer, begins_ms, &home);
        for friend in 0..world.dice.between(1, 7) {
            let at_ms = begins_ms + world.dice.between(60, DAYS * 24 * 60) * MINUTE_MS;
            let (email, from) = friend_of(world, (number, friend), &home, &networks);
            join(world, referrer, email, from, at_ms);
        }
    }
    viral_post(world, &networks);
}

/// A mailbox, and an address.
fn friend_of(world: &mut World, name: (usize, i64), office: &str, networks: &[String]) -> (String, String) {
    match world.dice.between(0, 100) {
        // A colleague who comes with a private mailbox, at work.
        0..2 => (private_mailbox(&mut world.dice), office.to_owned()),
        2..12 => {
            let (student, university) = (world.size(), *world.dice.one_of(&UNIVERSITIES));
            let email = format!("{}{student}@{university}", first_name(&mut world.dice));
            (email, world.dice.one_of(networks).clone())
        }
        12..20 => (private_mailbox(&mut world.dice), world.dice.one_of(networks).clone()),
        20..45 => (private_mailbox(&mut world.dice), world.fresh_address()),
        _ => (company_mailbox(world, &format!("company{}-{}", name.0, name.1)), world.fresh_address()),
    }
}

fn referrer(world: &mut World, email: String, home: &str, begins_ms: i64) -> Who {
    let who = world.add(email, false, None).expect("a mailbox of their own");
    world.plan(begins_ms, Step::SignUp { who, from: home.to_owned() });
    world.plan(begins_ms + 1, Step::Look { who, from: home.to_owned() });
    who
}

/// At a domain of their own; three in a thousand have just begun.
fn company_mailbox(world: &mut World, name: &str) -> String {
    let domain = format!("{name}.example");
    let is_new = world.dice.between(0, 1_000) < 3;
    let age = if is_new { world.dice.between(1, 25) } else { world.dice.between(60, 6_000) };
    world.register(&domain, age);
    format!("{}@{domain}", first_name(&mut world.dice))
}

/// On one day of five they look at how their code does.
fn looks(world: &mut World, who: Who, begins_ms: i64, from: &str) {
    for day in 1..DAYS {
        if world.dice.percent(20) {
            world.plan(begins_ms + day * DAY_MS, Step::Look { who, from: from.to_owned() });
        }
    }
}

fn join(world: &mut World, by: Who, email: String, from: String, at_ms: i64) {
    let Some(who) = world.add(email, false, Some(by)) else { return };
    world.plan(at_ms, Step::SignUp { who, from });
    // A few think better of it.
    if world.dice.percent(2) {
        let later_ms = world.dice.between(5, 5 * 24 * 60) * MINUTE_MS;
        world.plan(at_ms + later_ms, Step::Erase { who });
        return;
    }
    let first_ms = at_ms + world.dice.between(2, 2 * 24 * 60) * MINUTE_MS;
    match world.dice.between(0, 100) {
        0..30 => {}
        // They try it out.
        30..60 => {
            let calls = world.dice.between(1, 60);
            world.plan(first_ms, Step::Call { who, calls });
        }
        // They run a test program that calls once a second, at a gateway that reports each call.
        60..62 => {
            for call in 0..world.dice.between(90, 140) {
                world.plan(first_ms + call * 1_000, Step::Call { who, calls: 1 });
            }
        }
        // A job calls each ten minutes, and goes on.
        62..64 => {
            for call in 0..110 {
                world.plan(first_ms + call * 10 * MINUTE_MS, Step::Call { who, calls: 1 });
            }
        }
        // They build something; the gateway reports in batches.
        _ => {
            for batch in 0..world.dice.between(3, 12) {
                let calls = world.dice.between(5, 90);
                let later_ms = world.dice.between(0, 5 * MINUTE_MS);
                world.plan(first_ms + batch * 5 * HOUR_MS + later_ms, Step::Call { who, calls });
            }
        }
    }
}

/// A post that many read at once: sixty signups in two hours, most of them in the first.
fn viral_post(world: &mut World, networks: &[String]) {
    let email = company_mailbox(world, "blogger");
    let home = world.fresh_address();
    let blogger = referrer(world, email, &home, 0);
    let posted_ms = 3 * DAY_MS + world.dice.between(0, 600) * MINUTE_MS;
    for reader in 0..60_i64 {
        let on_the_way = world.dice.percent(10);
        let from = if on_the_way { world.dice.one_of(networks).clone() } else { world.fresh_address() };
        let email = if world.dice.percent(45) {
            private_mailbox(&mut world.dice)
        } else {
            company_mailbox(world, &format!("reader{reader}"))
        };
        join(world, blogger, email, from, posted_ms + reader * reader * 2 * 1_000);
    }
}
