//! What happens when: plans are put on a timeline and carried out by calls from outside.

use super::people::{Dice, own_address};
use crate::harness::{App, Client, PASSWORD};
use crate::signals::{Rdap, call, proxied_with};
use refloop::domain::id::AccountId;
use refloop::engine::Settings;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};

pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// What a fake would bring by the rewards alone: 1,000 and 500 at signup, 500 for a call, 1,000 for a hundred.
const BARE: i64 = 3_000;
/// Long enough for all holds to end.
const DAYS: i64 = 26;

/// Somebody of the population, by number.
pub type Who = usize;

pub struct Person {
    email: String,
    farmer: bool,
    /// Whose code they use.
    by: Option<Who>,
    id: String,
    client: Option<Client>,
    code: Option<String>,
}

pub enum Step {
    SignUp {
        who: Who,
        from: String,
    },
    /// The owner is seen: they fetch their code.
    Look {
        who: Who,
        from: String,
    },
    Call {
        who: Who,
        calls: i64,
    },
    /// Farmers spend what they can, domains are looked up, the sweep runs.
    Evening,
}

pub struct World {
    pub dice: Dice,
    people: Vec<Person>,
    app: App,
    rdap: Rdap,
    timeline: BTreeMap<(i64, usize), Step>,
    planned: usize,
    addresses: usize,
    spent: i64,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    honest: i64,
    honest_held: i64,
    fakes: i64,
    refused: i64,
    fakes_held: i64,
    /// What fakes would bring by the rewards alone, by the rules against abuse, and what farmers could ever spend.
    bare: i64,
    granted: i64,
    spendable: i64,
}

#[expect(clippy::cast_precision_loss, reason = "small figures")]
fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Outcome {
    pub fn and(&self, other: &Self) -> Self {
        Self {
            honest: self.honest + other.honest,
            honest_held: self.honest_held + other.honest_held,
            fakes: self.fakes + other.fakes,
            refused: self.refused + other.refused,
            fakes_held: self.fakes_held + other.fakes_held,
            bare: self.bare + other.bare,
            granted: self.granted + other.granted,
            spendable: self.spendable + other.spendable,
        }
    }

    pub fn held_share(&self) -> f64 {
        share(self.honest_held, self.honest)
    }

    pub fn spendable_share(&self) -> f64 {
        share(self.spendable, self.bare)
    }

    /// Of all fakes, those that were refused or held.
    pub fn recall(&self) -> f64 {
        share(self.refused + self.fakes_held, self.fakes)
    }

    /// Of all that was held, what was made up.
    fn precision(&self) -> f64 {
        share(self.fakes_held, self.fakes_held + self.honest_held)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        write!(
            f,
            "{} honest referrals, {} held ({}); {} made up, {} refused, {} held: precision {}, recall {}; credits: {} by \
             the rewards alone, {} ({}) after the rules, {} ({}) ever spendable",
            self.honest,
            self.honest_held,
            percent(self.held_share()),
            self.fakes,
            self.refused,
            self.fakes_held,
            percent(self.precision()),
            percent(self.recall()),
            self.bare,
            self.granted,
            percent(share(self.granted, self.bare)),
            self.spendable,
            percent(self.spendable_share()),
        )
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            app: proxied_with(Settings { asks_rdap: true, ..Settings::default() }),
            dice: Dice::new(seed),
            people: Vec::new(),
            rdap: Rdap::start(),
            timeline: BTreeMap::new(),
            planned: 0,
            addresses: 0,
            spent: 0,
        }
    }

    /// Who this will be; `None` for a mailbox that somebody has.
    pub fn add(&mut self, email: String, farmer: bool, by: Option<Who>) -> Option<Who> {
        if self.people.iter().any(|person| person.email == email) {
            return None;
        }
        self.people.push(Person { email, farmer, by, id: String::new(), client: None, code: None });
        Some(self.people.len() - 1)
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.people.len()
    }

    pub fn plan(&mut self, at_ms: i64, step: Step) {
        self.planned += 1;
        self.timeline.insert((at_ms, self.planned), step);
    }

    pub fn fresh_address(&mut self) -> String {
        self.addresses += 1;
        own_address(self.addresses)
    }

    /// A domain, registered so many days before the first one.
    pub fn register(&self, domain: &str, days_before: i64) {
        self.rdap.registered(domain, self.app.now_ms() - days_before * DAY_MS);
    }

    /// Lives through the timeline.
    pub fn live(mut self) -> Outcome {
        let start_ms = self.app.now_ms();
        for day in 0..DAYS {
            // The clock starts at ten in the morning.
            self.plan(day * DAY_MS + 12 * HOUR_MS, Step::Evening);
        }
        while let Some(((at_ms, _), step)) = self.timeline.pop_first() {
            let behind_ms = start_ms + at_ms - self.app.now_ms();
            if behind_ms > 0 {
                self.app.advance_ms(behind_ms);
            }
            self.carry_out(step, at_ms);
        }
        self.outcome()
    }

    fn carry_out(&mut self, step: Step, at_ms: i64) {
        match step {
            Step::SignUp { who, from } => self.sign_up(who, &from),
            Step::Look { who, from } => self.look(who, &from),
            Step::Call { who, calls } => {
                let id = format!("{who}-{at_ms}-{calls}");
                let event = json!({ "id": id, "developer_id": self.people[who].id, "calls": calls, "spend": 0 });
                let reply = self.app.gateway().post("/v1/usage", event);
                assert_eq!(reply.status, 200, "{}", reply.body);
            }
            Step::Evening => self.evening(at_ms),
        }
    }

    fn sign_up(&mut self, who: Who, from: &str) {
        let code = self.people[who].by.map(|by| self.people[by].code.clone().expect("the referrer has a code"));
        let email = &self.people[who].email;
        let body = json!({ "email": email, "password": PASSWORD, "name": "Somebody", "referral_code": code });
        let reply = call(&self.app.anonymous(), from, "/v1/developers/signup", &body);
        assert_eq!(reply.status, 201, "{email}: {}", reply.body);
        let body = reply.json();
        let person = &mut self.people[who];
        body["developer"]["id"].as_str().unwrap().clone_into(&mut person.id);
        person.client = Some(self.app.anonymous().with_key(body["api_key"].as_str().unwrap()));
    }

    fn look(&mut self, who: Who, from: &str) {
        let client = self.people[who].client.as_ref().unwrap();
        let reply = call(client, from, "/v1/developers/referral-code", &json!({}));
        self.people[who].code = Some(reply.json()["referral_code"].as_str().unwrap().to_owned());
    }

    fn evening(&mut self, at_ms: i64) {
        while self.rdap.deliver(&self.app) > 0 {}
        self.app.sweep();
        let farmers = self.people.iter().filter(|person| person.farmer && !person.id.is_empty());
        let spend = |person: &Person| {
            let id = format!("spend-{}-{at_ms}", person.id);
            json!({ "id": id, "developer_id": person.id, "calls": 0, "spend": 1_000_000 })
        };
        let events: Vec<_> = farmers.map(spend).collect();
        let answers = self.app.gateway().post("/v1/usage", json!({ "events": events })).json();
        let charged = answers["results"].as_array().unwrap().iter().map(|answer| answer["charged"].as_i64().unwrap());
        self.spent += charged.sum::<i64>();
    }

    fn outcome(&self) -> Outcome {
        let rows = self.app.sqlite3(
            "SELECT referee_id, status,
                    EXISTS (SELECT 1 FROM decision WHERE referral_id = referral.id AND verdict = 'held'),
                    (SELECT coalesce(sum(granted), 0) FROM lot WHERE lot.referral_id = referral.id),
                    (SELECT group_concat(code) FROM signal WHERE referral_id = referral.id)
             FROM referral",
        );
        let farmers: HashSet<_> =
            self.people.iter().filter(|person| person.farmer).map(|person| person.id.as_str()).collect();
        let mut outcome = Outcome { spendable: self.spent, ..Outcome::default() };
        for row in rows.lines() {
            let columns: Vec<_> = row.split('|').collect();
            let id = AccountId(columns[0].parse().unwrap()).to_string();
            let (refused, held) = (columns[1] == "rejected", columns[2] == "1");
            if farmers.contains(id.as_str()) {
                outcome.fakes += 1;
                outcome.refused += i64::from(refused);
                outcome.fakes_held += i64::from(held);
                outcome.bare += BARE;
                outcome.granted += columns[3].parse::<i64>().unwrap();
                if !refused && !held {
                    println!("  made up, and neither refused nor held: {} [{}]", self.email(&id), columns[4]);
                }
            } else if !refused {
                outcome.honest += 1;
                outcome.honest_held += i64::from(held);
                if held {
                    println!("  honest, and held: {} [{}]", self.email(&id), columns[4]);
                }
            }
        }
        outcome
    }

    fn email(&self, id: &str) -> &str {
        self.people.iter().find(|person| person.id == id).map_or("", |person| &person.email)
    }
}
