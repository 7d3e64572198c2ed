//! What people do and what follows from it: who shares, who buys, who gives up, who cheats a little.

use super::deeds::{Deed, Outcome};
use super::history::{History, Kind, Step};
use super::people::{self, THROW_AWAY};
use crate::domain::email::Email;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::time::DAY_MS;
use crate::engine::{Applied, Arrival, Devices, NewPurchase, NewRefund, Signup, UsageEvent, Who};
use std::net::{IpAddr, Ipv4Addr};

/// Months at these prices are sold, in cents.
const PRICES: [i64; 7] = [900, 1_900, 1_900, 2_900, 4_900, 4_900, 9_900];

/// Somebody whom the engine knows.
#[derive(Clone, Copy)]
struct Known {
    project: ProjectId,
    account: AccountId,
}

impl History {
    fn known(&self, who: usize) -> Option<Known> {
        let person = &self.people[who];
        let project = self.project(person.kind);
        person.account.filter(|_| !person.has_left).map(|account| Known { project, account })
    }

    fn count(&mut self) -> u32 {
        self.counted += 1;
        self.counted
    }

    // --- coming ---

    /// Somebody finds the project: by a link, the more often the longer there is a programme, or by themselves.
    pub fn arrive(&mut self, who: usize) -> Result<Vec<Deed>> {
        let by_link = 0.2 + 0.45 * self.progress();
        let via = if self.dice.happens(by_link) { self.somebody_s_link(who) } else { None };
        let Some(via) = via else { return Ok(vec![self.sign_up(who)?]) };
        self.people[who].via = Some(via);
        let cheat = self.dice.share();
        let domain_of =
            |someone: usize| self.people[someone].address.rsplit_once('@').map(|(_, domain)| domain.to_owned());
        let domain = match cheat {
            share if share < 0.03 => domain_of(via),
            share if share < 0.06 => self.people[via].newest_referral.and_then(domain_of),
            share if share < 0.08 => Some(THROW_AWAY.to_owned()),
            _ => None,
        };
        if let Some(domain) = domain {
            let mailbox = people::mailbox(&self.people[who].name, who);
            self.people[who].address = format!("{mailbox}@{domain}");
        }
        let days = self.dice.around(0.7);
        self.after(days, Step::SignUp(who));
        // For each that signs up, there are others who only look.
        for _ in 0..self.dice.between(0, 7) {
            let days = self.dice.around(4.0);
            self.after(days, Step::LookIn(via));
        }
        Ok(self.visit(Some(who), via).into_iter().collect())
    }

    /// By how much each of those who share is seen: less from month to month, unless they make a living of it.
    fn somebody_s_link(&mut self, who: usize) -> Option<usize> {
        let kind = self.people[who].kind;
        let weight = |place: &usize| {
            let person = &self.people[*place];
            let is_there = person.kind == kind && person.code.is_some() && !person.has_left;
            let days = i32::try_from((self.now_ms - person.shares_since_ms) / DAY_MS).unwrap_or(i32::MAX);
            let fresh = if person.is_star { 1.0 } else { 0.35 + (-f64::from(days) / 80.0).exp() };
            if is_there { person.pull * fresh } else { 0.0 }
        };
        let weights: Vec<f64> = self.sharers.iter().map(weight).collect();
        let mut rolled = self.dice.share() * weights.iter().sum::<f64>();
        let found = weights.iter().position(|weight| {
            rolled -= weight;
            rolled < 0.0
        });
        found.and_then(|place| self.sharers.get(place).copied())
    }

    fn arrival(&mut self, remembered: Option<String>) -> Arrival {
        let [_, b, c, d] = self.count().to_be_bytes();
        // Addresses that are set aside for measurements, of which everyone here has one of their own.
        let network = IpAddr::V4(Ipv4Addr::new(198, 18 + b % 2, c, d));
        Arrival {
            network,
            user_agent: "Mozilla/5.0 (demo)".into(),
            remembered,
            account: None,
            devices: Devices::default(),
        }
    }

    fn visit(&mut self, who: Option<usize>, via: usize) -> Option<Deed> {
        let (project, code) = (self.project(self.people[via].kind), self.people[via].code.clone()?);
        Some(Deed::Visit { who, project, code, arrival: self.arrival(None) })
    }

    pub fn look_in(&mut self, whose: usize) -> Option<Deed> {
        self.visit(None, whose)
    }

    /// With the code of the link that the browser remembers, if it followed one, and if that is still good.
    pub fn sign_up(&mut self, who: usize) -> Result<Deed> {
        let remembered = self.people[who].remembered.take();
        let arrival = remembered.map(|token| self.arrival(Some(token)));
        let person = &self.people[who];
        let (email, project) = (Email::parse("email", &person.address)?, self.project(person.kind));
        let signup = Box::new(Signup::with_hashed(email, person.name.clone(), self.password.clone()));
        Ok(Deed::SignUp { who, project, signup, arrival })
    }

    // --- what follows ---

    pub fn follow(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Joined { who, account, referral } => {
                self.people[who].account = Some(account);
                let counts = matches!(referral, Some(Applied::Accepted { .. }));
                if let (true, Some(via)) = (counts, self.people[who].via) {
                    self.people[via].referrals += 1;
                    self.people[via].newest_referral = Some(who);
                }
                self.plan(who, counts);
            }
            Outcome::Shares(who, code) => {
                self.people[who].code = Some(code);
                self.people[who].shares_since_ms = self.now_ms;
                if !self.sharers.contains(&who) {
                    self.sharers.push(who);
                    if self.people[who].is_star || self.dice.happens(0.3) {
                        let days = self.dice.around(9.0);
                        self.after(days, Step::BeListed(who));
                    }
                }
            }
            Outcome::Visited(Some(who), remembered) => self.people[who].remembered = remembered,
            Outcome::Used(left) => {
                for (who, available) in left {
                    self.people[who].available = available;
                }
            }
            Outcome::Visited(None, _) | Outcome::Nothing => (),
        }
    }

    /// What somebody who has just signed up is going to do.
    fn plan(&mut self, who: usize, was_referred: bool) {
        let (kind, is_star) = (self.people[who].kind, self.people[who].is_star);
        let maybe = |history: &mut Self, probability: f64, days: f64, step: Step| {
            if history.dice.happens(probability) {
                let days = history.dice.around(days);
                history.after(days, step);
            }
        };
        if is_star {
            self.after(1.0, Step::Share(who));
            self.after(20.0, Step::Spend(who));
        } else {
            maybe(self, 0.16, 12.0, Step::Share(who));
            maybe(self, 0.05, 60.0, Step::Spend(who));
            maybe(self, 0.02, 120.0, Step::StopSharing(who));
            maybe(self, 0.006, 90.0, Step::Leave(who));
        }
        maybe(self, 0.03, 90.0, Step::RotateKey(who));
        match kind {
            Kind::Credits => {
                let visits = if self.dice.happens(0.4) { self.dice.between(12, 45) } else { self.dice.between(1, 9) };
                let visits = u32::try_from(visits).unwrap_or_default();
                let calls = if is_star {
                    1.0
                } else if was_referred {
                    0.36
                } else {
                    0.3
                };
                maybe(self, calls, 3.0, Step::Call(who, visits));
            }
            Kind::Commission => {
                if is_star {
                    self.after(45.0, Step::Upgrade(who));
                }
                if was_referred {
                    maybe(self, 0.5, 8.0, Step::Call(who, 2));
                }
                let price = self.dice.pick(&PRICES).unwrap_or(1_900);
                maybe(self, if was_referred { 0.27 } else { 0.2 }, 6.0, Step::Buy(who, price));
            }
        }
    }

    // --- using ---

    fn usage(&mut self, who: usize, calls: i64) -> Option<(usize, UsageEvent)> {
        let known = self.known(who)?;
        let id = format!("usage-{}", self.count());
        // Who is paid in money leaves it to be paid out.
        let is_partner = self.people[who].is_star && self.people[who].kind == Kind::Commission;
        let spend = if is_partner { 0 } else { calls };
        Some((who, UsageEvent { id, who: Who::Developer(known.account), calls, spend, require_full: false }))
    }

    pub fn call(&mut self, who: usize, left: u32) -> Option<(usize, UsageEvent)> {
        if left > 0 {
            let days = 1.0 + self.dice.around(5.0);
            self.after(days, Step::Call(who, left - 1));
        }
        let most = if left > 9 { 90 } else { 25 };
        let calls = self.dice.between(1, most);
        self.usage(who, calls)
    }

    /// About a third of what there is, every few weeks.
    pub fn spend(&mut self, who: usize) -> Option<(usize, UsageEvent)> {
        let days = 5.0 + self.dice.around(12.0);
        self.after(days, Step::Spend(who));
        let available = self.people[who].available;
        let part = self.dice.between(available / 6, available / 2).max(10);
        self.usage(who, part)
    }

    // --- buying ---

    pub fn buy(&mut self, who: usize, cents: i64) -> Option<Deed> {
        let known = self.known(who)?;
        let number = self.count();
        self.sold.push((who, number));
        if self.dice.happens(0.86) {
            self.after(30.0, Step::Buy(who, cents));
        }
        let (days, part) = match self.dice.share() {
            share if share < 0.04 => (self.dice.around(5.0), cents),
            share if share < 0.07 => (self.dice.around(9.0), self.dice.between(cents / 4, cents * 3 / 4)),
            // A dispute, which the buyer's bank decides weeks later.
            share if share < 0.08 => (25.0 + self.dice.around(15.0), cents),
            _ => (0.0, 0),
        };
        if part > 0 {
            self.after(days, Step::Refund(who, number, part));
        }
        let purchase = NewPurchase {
            id: format!("invoice-{number}"),
            who: Who::Developer(known.account),
            amount_minor: cents,
            currency: "usd".into(),
            at_ms: None,
        };
        Some(Deed::Buy { project: known.project, purchase })
    }

    pub fn refund(&mut self, who: usize, purchase: u32, cents: i64) -> Deed {
        let (id, purchase_id) = (format!("refund-{}", self.count()), format!("invoice-{purchase}"));
        let project = self.project(self.people[who].kind);
        Deed::Refund { project, refund: NewRefund { id, purchase_id, amount_minor: cents } }
    }

    // --- one's own account ---

    pub fn of_account(&mut self, step: Step) -> Option<Deed> {
        let (Step::Share(who)
        | Step::StopSharing(who)
        | Step::BeListed(who)
        | Step::RotateKey(who)
        | Step::Upgrade(who)
        | Step::PayOut(who)
        | Step::Leave(who)) = step
        else {
            return None;
        };
        let Known { project, account } = self.known(who)?;
        Some(match step {
            Step::Share(_) => Deed::Share { who, project, account },
            Step::StopSharing(_) => {
                // From here on nobody comes by it. Some make a new one.
                self.people[who].code.take()?;
                if self.dice.happens(0.5) {
                    self.after(3.0, Step::Share(who));
                }
                Deed::StopSharing { project, account }
            }
            Step::BeListed(_) => {
                self.people[who].code.as_ref()?;
                let name = people::nickname(&self.people[who].name, &mut self.dice);
                Deed::BeListed { project, account, name }
            }
            Step::RotateKey(_) => Deed::RotateKey { project, account },
            Step::Upgrade(_) => {
                self.after(60.0, Step::PayOut(who));
                Deed::Upgrade { project, account, name: self.people[who].name.clone() }
            }
            Step::PayOut(_) => {
                // What comes in the last weeks is left for the last day.
                if self.progress() < 0.7 {
                    self.after(45.0, Step::PayOut(who));
                }
                Deed::PayOut { project, account }
            }
            _ => {
                self.people[who].has_left = true;
                Deed::Leave { project, account }
            }
        })
    }
}
