//! Farmers: each makes accounts up and has them refer one another, the ways that are cheap. All fakes make the hundred
//! calls that pay, and every evening farmers spend whatever they can.

use super::people::{first_name, private_mailbox};
use super::world::{DAY_MS, HOUR_MS, MINUTE_MS, Step, Who, World};

/// What a kind of farmer is called, and what they do.
pub type Kind = (&'static str, fn(&mut World));

pub fn plan(world: &mut World) {
    let kinds: [Kind; 11] = [
        ("plus-addresses", plus_addresses),
        ("dotted addresses", dotted_addresses),
        ("numbered series", numbered_series),
        ("one office", one_office),
        ("one server over days", one_server_over_days),
        ("disposable domains", disposable_domains),
        ("own cheap domains", own_cheap_domains),
        ("one catch-all domain", one_catch_all_domain),
        ("rings", rings),
        ("bots", bots),
        ("patient one", patient_one),
    ];
    for (kind, plan) in kinds {
        world.kind = kind;
        plan(world);
    }
}

/// A farmer's main account, from an address of its own.
pub fn farmer(world: &mut World) -> (Who, String) {
    let (number, home) = (world.size(), world.fresh_address());
    let email = format!("{}.{number}@gmail.com", first_name(&mut world.dice));
    let who = world.add(email, true, None).expect("a mailbox of their own");
    let begins_ms = world.dice.between(0, 10 * 60) * MINUTE_MS;
    world.plan(begins_ms, Step::SignUp { who, from: home.clone() });
    world.plan(begins_ms + 1, Step::Look { who, from: home.clone() });
    (who, home)
}

/// A fake with the calls that pay: one, and the rest later.
pub fn fake(world: &mut World, by: Who, email: String, from: &str, at_ms: i64) -> Who {
    let who = signed_up(world, by, email, from, at_ms);
    world.plan(at_ms + 5 * MINUTE_MS, Step::Call { who, calls: 1 });
    world.plan(at_ms + 15 * MINUTE_MS, Step::Call { who, calls: 99 });
    who
}

pub fn signed_up(world: &mut World, by: Who, email: String, from: &str, at_ms: i64) -> Who {
    let who = world.add(email, true, Some(by)).expect("a mailbox of its own");
    world.plan(at_ms, Step::SignUp { who, from: from.to_owned() });
    who
}

/// A private mailbox with good looks.
pub fn good_name(world: &mut World) -> String {
    let initial = char::from(b'a' + u8::try_from(world.dice.between(0, 26)).unwrap());
    let number = world.size();
    format!("{initial}.{}", private_mailbox(&mut world.dice).replace('@', &format!(".{}@", number % 10)))
}

/// When the farmer sits down: on an afternoon, some minutes between two accounts.
pub fn session(world: &mut World, day: i64, number: usize) -> i64 {
    let minutes = i64::try_from(number).unwrap() * 7 + world.dice.between(0, 5);
    day * DAY_MS + 4 * HOUR_MS + minutes * MINUTE_MS
}

fn plus_addresses(world: &mut World) {
    for domain in ["gmail.com", "outlook.com"] {
        let ((by, _), phone) = (farmer(world), world.fresh_address());
        let name = first_name(&mut world.dice);
        for n in 0..10 {
            let at_ms = session(world, 1, n);
            fake(world, by, format!("{name}{by}+{n}@{domain}"), &phone, at_ms);
        }
    }
}

/// Each from another address, as from a pool of proxies.
fn dotted_addresses(world: &mut World) {
    let (by, _) = farmer(world);
    let spellings = ["farmhand", "f.armhand", "fa.rmhand", "far.mhand", "farm.hand", "farmh.and", "f.a.rmhand"];
    for (n, local) in spellings.into_iter().enumerate() {
        let (at_ms, from) = (session(world, 2, n), world.fresh_address());
        fake(world, by, format!("{local}@icloud.com"), &from, at_ms);
    }
}

fn numbered_series(world: &mut World) {
    let (by, _) = farmer(world);
    let name = first_name(&mut world.dice);
    for n in 0..14 {
        let (at_ms, from) = (session(world, 2, n), world.fresh_address());
        fake(world, by, format!("{name}.api{}@yahoo.com", n + 1), &from, at_ms);
    }
}

/// Names that look right, from the farmer's own office, where they look how it goes.
fn one_office(world: &mut World) {
    let (by, office) = farmer(world);
    let from_ms = session(world, 1, 0);
    world.plan(from_ms - HOUR_MS, Step::Look { who: by, from: office.clone() });
    for n in 0..12 {
        let (email, at_ms) = (good_name(world), session(world, 1, n));
        fake(world, by, email, &office, at_ms);
    }
}

/// Four a day from a rented server, where the farmer's own account never is.
fn one_server_over_days(world: &mut World) {
    let ((by, _), server) = (farmer(world), world.fresh_address());
    for day in 1..5 {
        for n in 0..4 {
            let (email, at_ms) = (good_name(world), session(world, day, n));
            fake(world, by, email, &server, at_ms);
        }
    }
}

fn disposable_domains(world: &mut World) {
    let (by, _) = farmer(world);
    for n in 0..10 {
        let (at_ms, from) = (session(world, 3, n), world.fresh_address());
        let domain = ["mailinator.com", "guerrillamail.com", "10minutemail.com", "yopmail.com"][n % 4];
        fake(world, by, format!("someone{n}@{domain}"), &from, at_ms);
    }
}

fn own_cheap_domains(world: &mut World) {
    let (by, _) = farmer(world);
    for n in 0..12 {
        let (domain, age) = (format!("cheap{by}-{n}.example"), world.dice.between(0, 20));
        world.register(&domain, age);
        let (at_ms, from) = (session(world, 2, n), world.fresh_address());
        fake(world, by, format!("hello@{domain}"), &from, at_ms);
    }
}

/// All at one old domain, each with a referrer of its own, all at one server.
fn one_catch_all_domain(world: &mut World) {
    let (domain, server) = ("catch-all.example", world.fresh_address());
    world.register(domain, 2_000);
    for n in 0..8 {
        let (by, _) = farmer(world);
        let at_ms = session(world, 3, n);
        world.plan(at_ms - 1, Step::Look { who: by, from: server.clone() });
        fake(world, by, format!("mail{n}@{domain}"), &server, at_ms);
    }
}

/// Each fake is referred by the one before, by turns from two addresses.
fn rings(world: &mut World) {
    for day in [1, 2] {
        let (first, home) = farmer(world);
        let turns = [home, world.fresh_address()];
        let mut by = first;
        let begins_ms = session(world, day, 0);
        world.plan(begins_ms - 1, Step::Look { who: first, from: turns[0].clone() });
        for n in 0..8_usize {
            let (email, from) = (good_name(world), turns[(n + 1) % 2].clone());
            let at_ms = begins_ms + i64::try_from(n).unwrap() * 10 * MINUTE_MS;
            by = fake(world, by, email, &from, at_ms);
            world.plan(at_ms + 1, Step::Look { who: by, from });
        }
    }
}

/// From two servers; each calls once every twenty seconds, a hundred times, and never again.
fn bots(world: &mut World) {
    let (by, _) = farmer(world);
    let servers = [world.fresh_address(), world.fresh_address()];
    for n in 0..12_usize {
        let letter = |world: &mut World| char::from(b'a' + u8::try_from(world.dice.between(0, 26)).unwrap());
        let letters: String = (0..9).map(|_| letter(world)).collect();
        let at_ms = session(world, 3, n);
        let who = signed_up(world, by, format!("{letters}@gmail.com"), &servers[n % 2], at_ms);
        for call in 0..100 {
            world.plan(at_ms + MINUTE_MS + call * 20_000, Step::Call { who, calls: 1 });
        }
    }
}

/// From homes all over the world, with good names, one a day: nothing but the calls tells.
fn patient_one(world: &mut World) {
    let (by, _) = farmer(world);
    for n in 0..16 {
        let (email, from) = (good_name(world), world.fresh_address());
        let at_ms = session(world, 1 + n, 0);
        let who = signed_up(world, by, email, &from, at_ms);
        for call in 0..100 {
            world.plan(at_ms + HOUR_MS + call * 30_000, Step::Call { who, calls: 1 });
        }
    }
}
