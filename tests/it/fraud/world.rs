//! What happens when: plans are put on a timeline and carried out by calls from outside.

use super::outcome::{Farm, Outcome};
use super::people::{Dice, own_address};
use crate::harness::{App, Client, PASSWORD};
use crate::signals::{Rdap, call, proxied_with};
use refloop::domain::id::AccountId;
use refloop::engine::Settings;
use serde_json::json;
use std::collections::BTreeMap;

pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// Long enough for all holds to end.
const DAYS: i64 = 26;

/// Somebody of the population, by number.
pub type Who = usize;

pub struct Person {
    email: String,
    /// Which kind of farmer made them up.
    farmer: Option<&'static str>,
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
    /// All there is, before somebody looks.
    Spend {
        who: Who,
    },
    Erase {
        who: Who,
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
    /// The kind of farmer whose people are added.
    pub kind: &'static str,
    kinds: BTreeMap<&'static str, Farm>,
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
            kind: "",
            kinds: BTreeMap::new(),
        }
    }

    /// Who this will be; `None` for a mailbox that somebody has.
    pub fn add(&mut self, email: String, farmer: bool, by: Option<Who>) -> Option<Who> {
        if self.people.iter().any(|person| person.email == email) {
            return None;
        }
        let farmer = farmer.then_some(self.kind);
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
            Step::Spend { who } => self.spend(&[who], at_ms),
            Step::Erase { who } => {
                let client = self.people[who].client.as_ref().unwrap();
                assert_eq!(client.delete("/v1/developers/me").status, 200);
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
        let is_farmer = |who: &Who| self.people[*who].farmer.is_some() && !self.people[*who].id.is_empty();
        self.spend(&(0..self.people.len()).filter(is_farmer).collect::<Vec<_>>(), at_ms);
    }

    /// Everything that they have.
    fn spend(&mut self, whose: &[Who], at_ms: i64) {
        let event = |who: &Who| {
            let id = format!("spend-{who}-{at_ms}");
            json!({ "id": id, "developer_id": self.people[*who].id, "calls": 0, "spend": 1_000_000 })
        };
        let events: Vec<_> = whose.iter().map(event).collect();
        let answers = self.app.gateway().post("/v1/usage", json!({ "events": events })).json();
        for (who, answer) in whose.iter().zip(answers["results"].as_array().unwrap()) {
            let kind = self.people[*who].farmer.expect("only farmers spend");
            self.kinds.entry(kind).or_default().spent += answer["charged"].as_i64().unwrap();
        }
    }

    fn outcome(&self) -> Outcome {
        let rows = self.app.sqlite3(
            "SELECT referee_id, status,
                    EXISTS (SELECT 1 FROM decision WHERE referral_id = referral.id AND verdict = 'held'),
                    (SELECT coalesce(sum(granted), 0) FROM lot WHERE lot.referral_id = referral.id),
                    (SELECT group_concat(code) FROM signal WHERE referral_id = referral.id)
             FROM referral",
        );
        let mut outcome = Outcome { kinds: self.kinds.clone(), ..Outcome::default() };
        for row in rows.lines() {
            let columns: Vec<_> = row.split('|').collect();
            let id = AccountId(columns[0].parse().unwrap()).to_string();
            let person = self.people.iter().find(|person| person.id == id).unwrap();
            let (refused, held) = (columns[1] == "rejected", columns[2] == "1");
            if let Some(kind) = person.farmer {
                let farm = outcome.kinds.entry(kind).or_default();
                farm.fakes += 1;
                farm.refused += i64::from(refused);
                farm.held += i64::from(held);
                farm.granted += columns[3].parse::<i64>().unwrap();
                if !refused && !held {
                    println!("  {kind}, and neither refused nor held: {} [{}]", person.email, columns[4]);
                }
            } else if !refused {
                outcome.honest += 1;
                outcome.honest_held += i64::from(held);
                if held {
                    println!("  honest, and held: {} [{}]", person.email, columns[4]);
                }
            }
        }
        outcome
    }
}
