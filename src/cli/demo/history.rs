//! A year of history: who there is, and what happens when. All of it is decided by one row of dice.

use super::calendar::Calendar;
use super::deeds::Deed;
use super::dice::Dice;
use super::people;
use crate::domain::code::Code;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::engine::{HashedPassword, UsageEvent};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is going to happen. Ordered only so that a heap takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Finds the project, perhaps through somebody's link.
    Arrive(usize),
    SignUp(usize),
    /// Follows somebody's link and goes no further.
    LookIn(usize),
    Share(usize),
    StopSharing(usize),
    BeListed(usize),
    RotateKey(usize),
    Leave(usize),
    /// Becomes a partner, to be paid out.
    Upgrade(usize),
    /// Has everything paid out, and again some weeks later.
    PayOut(usize),
    /// Makes calls, and comes back so many times.
    Call(usize, u32),
    /// Spends some of the credits that referrals brought, and goes on doing so.
    Spend(usize),
    /// Pays for a month, at so many cents.
    Buy(usize, i64),
    /// Gets so many cents of that purchase back.
    Refund(usize, u32, i64),
}

/// The two projects: rewards in credits, and commissions on purchases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Credits,
    Commission,
}

pub struct Person {
    pub kind: Kind,
    pub name: String,
    pub address: String,
    pub account: Option<AccountId>,
    pub referrals: u32,
    pub via: Option<usize>,
    pub code: Option<Code>,
    /// What the browser keeps of the link that it followed.
    pub remembered: Option<String>,
    /// How many follow this one's link, beside others.
    pub pull: f64,
    pub is_star: bool,
    pub has_left: bool,
    pub shares_since_ms: i64,
    pub available: i64,
    pub newest_referral: Option<usize>,
}

pub struct History {
    pub people: Vec<Person>,
    pub now_ms: i64,
    pub dice: Dice,
    pub password: HashedPassword,
    /// Everyone who shares a code.
    pub sharers: Vec<usize>,
    /// Who bought, and the number of the purchase.
    pub sold: Vec<(usize, u32)>,
    /// For ids, and for addresses of visitors.
    pub counted: u32,
    calendar: Calendar,
    coming: BinaryHeap<Reverse<(i64, u64, Step)>>,
    planned: u64,
    projects: (ProjectId, ProjectId),
}

/// Who come first in a project and bring in most.
const STARS: [usize; 5] = [2, 5, 9, 16, 30];

impl History {
    pub fn new(
        calendar: Calendar,
        seed: u64,
        developers: usize,
        projects: (ProjectId, ProjectId),
        password: HashedPassword,
    ) -> Self {
        let mut history = Self {
            people: Vec::with_capacity(developers),
            now_ms: calendar.start_ms,
            dice: Dice::new(seed),
            password,
            sharers: Vec::new(),
            sold: Vec::new(),
            counted: 0,
            calendar,
            coming: BinaryHeap::new(),
            planned: 0,
            projects,
        };
        let mut arrivals: Vec<i64> = (0..developers).map(|_| history.calendar.arrival_ms(&mut history.dice)).collect();
        arrivals.sort_unstable();
        let mut count = [0, 0];
        for (number, at_ms) in arrivals.into_iter().enumerate() {
            let kind = if history.dice.happens(0.6) { Kind::Credits } else { Kind::Commission };
            let place = &mut count[usize::from(kind == Kind::Commission)];
            history.add_person(number, kind, STARS.iter().position(|star| star == place));
            *place += 1;
            history.at(at_ms, Step::Arrive(number));
        }
        history
    }

    fn add_person(&mut self, number: usize, kind: Kind, star: Option<usize>) {
        let name = people::name(&mut self.dice);
        let is_team = self.dice.happens(0.12);
        let domain = if is_team { format!("team{}.example", number / 40) } else { format!("dev{number}.example") };
        // Few bring in many: a long tail.
        let tail = (1.0 - self.dice.share()).powf(-0.9).min(30.0);
        let pull = match star {
            Some(place) => [170.0, 95.0, 60.0, 40.0, 28.0].get(place).copied().unwrap_or(30.0),
            None => tail,
        };
        self.people.push(Person {
            kind,
            address: format!("{}@{domain}", people::mailbox(&name, number)),
            name,
            account: None,
            referrals: 0,
            via: None,
            code: None,
            remembered: None,
            pull,
            is_star: star.is_some(),
            has_left: false,
            shares_since_ms: 0,
            available: 0,
            newest_referral: None,
        });
    }

    pub fn project(&self, kind: Kind) -> ProjectId {
        match kind {
            Kind::Credits => self.projects.0,
            Kind::Commission => self.projects.1,
        }
    }

    pub fn progress(&self) -> f64 {
        self.calendar.progress(self.now_ms)
    }

    fn at(&mut self, at_ms: i64, step: Step) {
        self.planned += 1;
        self.coming.push(Reverse((at_ms, self.planned, step)));
    }

    /// Plans a step for some days from now, unless the year is over by then.
    pub fn after(&mut self, days: f64, step: Step) {
        if let Some(at_ms) = self.calendar.later_ms(self.now_ms, days, &mut self.dice) {
            self.at(at_ms, step);
        }
    }

    /// Everything that happens at the next moment; `None` when the year is over.
    pub fn next(&mut self) -> Option<Result<Vec<Deed>>> {
        let Reverse((at_ms, ..)) = *self.coming.peek()?;
        self.now_ms = at_ms;
        let mut steps = Vec::new();
        while self.coming.peek().is_some_and(|Reverse((next_ms, ..))| *next_ms == at_ms) {
            steps.extend(self.coming.pop().map(|Reverse((.., step))| step));
        }
        Some(self.deeds(steps))
    }

    fn deeds(&mut self, steps: Vec<Step>) -> Result<Vec<Deed>> {
        let (mut deeds, mut usage) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Arrive(who) => deeds.extend(self.arrive(who)?),
                Step::SignUp(who) => deeds.push(self.sign_up(who)?),
                Step::LookIn(whose) => deeds.extend(self.look_in(whose)),
                Step::Call(who, left) => usage.extend(self.call(who, left)),
                Step::Spend(who) => usage.extend(self.spend(who)),
                Step::Buy(who, cents) => deeds.extend(self.buy(who, cents)),
                Step::Refund(who, purchase, cents) => deeds.push(self.refund(who, purchase, cents)),
                step => deeds.extend(self.of_account(step)),
            }
        }
        for kind in [Kind::Credits, Kind::Commission] {
            let calls = usage.iter().filter(|(who, _): &&(usize, UsageEvent)| self.people[*who].kind == kind).cloned();
            let (people, events): (Vec<_>, Vec<_>) = calls.unzip();
            if !events.is_empty() {
                deeds.push(Deed::Use { project: self.project(kind), people, events });
            }
        }
        Ok(deeds)
    }
}
