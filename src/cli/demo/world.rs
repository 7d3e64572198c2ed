//! The engine that the history happens to: its file, its clock, and the two projects.

use super::DemoSettings;
use super::calendar::Calendar;
use super::deeds::{Outcome, begin, pay_out};
use super::farm::Farm;
use super::history::{History, Kind};
use super::interrupted::Interrupted;
use super::people::THROW_AWAY;
use crate::domain::access::Scope;
use crate::domain::delivery::DeliveryKind;
use crate::domain::email::DisposableDomains;
use crate::domain::error::{Error, Result};
use crate::domain::program::Preset;
use crate::domain::setting::Setting;
use crate::domain::time::DAY_MS;
use crate::engine::{Engine, HashedPassword, Reader, Settings};
use crate::store::{Capacity, Clock, Store};
use crate::work;
use futures_util::future::try_join_all;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::runtime::Runtime;

/// Everyone's: nobody's data is in here.
const PASSWORD: &str = "demo-password";
const OPERATOR: &str = "operator@demo.example";
/// Where `refloop serve` listens when it is told nothing else.
pub const URL: &str = "http://127.0.0.1:8080";
const MARKET: &str = "market";
/// Browsers take every name under localhost for this machine.
const MARKET_HOST: &str = "market.localhost";

pub struct World {
    engine: Engine,
    reader: Reader,
    runtime: Runtime,
    clock: Arc<AtomicI64>,
    interrupted: Interrupted,
    history: History,
    farm: Farm,
    gateway_keys: (String, String),
}

/// What there is at the end, and who has the most to show.
pub struct Lived {
    pub developers: i64,
    pub referrals: i64,
    pub entries: i64,
    pub password: &'static str,
    pub operator: &'static str,
    pub projects: Vec<DemoProject>,
}

pub struct DemoProject {
    pub slug: &'static str,
    pub name: &'static str,
    pub url: String,
    /// Of the star who has brought in most.
    pub email: String,
    pub referrals: u32,
    /// Of a partner in debt.
    pub in_debt: Option<String>,
    pub gateway_key: String,
}

impl World {
    /// The file with its two projects, on the first day.
    pub fn make(db: &Path, settings: &DemoSettings, runtime: Runtime, interrupted: Interrupted) -> Result<Self> {
        let calendar = Calendar::until(Clock::System.now_ms());
        let clock = Arc::new(AtomicI64::new(calendar.start_ms));
        let store = Store::fill(db, Clock::Manual(Arc::clone(&clock)), Capacity::default())?;
        let rules = Settings { disposable_domains: DisposableDomains::parse(THROW_AWAY)?, ..Settings::default() };
        let engine = Engine::new(Arc::new(store), rules);
        // A sandbox, so that its payouts go nowhere, and its clock can be moved on.
        let market = engine.create_project("default", MARKET, "Demo Market", Preset::Commission, "test")?;
        engine.set_project(MARKET, vec![(Setting::Host, MARKET_HOST.into())])?;
        engine.set_project("default", vec![(Setting::Name, "Demo API".into())])?;
        for slug in ["default", MARKET] {
            let project = engine.project_named(slug)?;
            let mut program = (*engine.program(&project)?.0).clone();
            program.leaderboard.enabled = true;
            program.payouts.approval = true;
            engine.set_program(&project, program, "demo")?;
        }
        // The server's own first start has nothing to say any more.
        let first = engine.first_start()?.ok_or_else(|| Error::internal("a new file that was started before"))?;
        let of_market = engine.make_gateway_key(MARKET, Scope::ALL.to_vec(), Some("demo".into()))?;
        let old = engine.make_gateway_key("default", vec![Scope::UsageWrite], Some("before the move".into()))?;
        engine.revoke_gateway_key(old.row.id)?;
        engine.create_operator(OPERATOR, PASSWORD, "default")?;
        let projects = (engine.project_named("default")?.id, market.id);
        let developers = usize::try_from(settings.developers).unwrap_or_default();
        let password = HashedPassword::of(PASSWORD)?;
        let farm = Farm::new(projects.0, password.clone(), Clock::System.now_ms());
        let history = History::new(calendar, settings.seed, developers, projects, password);
        Ok(Self {
            reader: engine.reader()?,
            engine,
            runtime,
            clock,
            interrupted,
            history,
            farm,
            gateway_keys: (first.gateway_key, of_market.secret),
        })
    }

    /// Lives through the year, and closes the file.
    pub fn live(mut self) -> Result<Lived> {
        let mut progress = Progress::default();
        let mut day = self.history.now_ms / DAY_MS;
        while let Some(deeds) = self.history.next() {
            self.interrupted.check()?;
            self.clock.store(self.history.now_ms, Ordering::SeqCst);
            let deeds = deeds?.into_iter().map(|deed| begin(&self.engine, &self.reader, deed));
            let outcomes: Vec<Outcome> = self.runtime.block_on(try_join_all(deeds))?;
            for outcome in outcomes {
                self.history.follow(outcome);
            }
            self.runtime.block_on(self.farm.go_on(&self.engine, self.history.now_ms))?;
            if self.history.now_ms / DAY_MS > day {
                day = self.history.now_ms / DAY_MS;
                self.tidy_up()?;
                progress.show(self.history.progress());
            }
        }
        self.clock.store(Clock::System.now_ms(), Ordering::SeqCst);
        self.tidy_up()?;
        self.ask_for_last_payouts()?;
        let debtor = self.leave_a_debt()?;
        progress.end();
        self.sum_up(debtor)
    }

    /// Books what has expired, and forgets what is due to be forgotten.
    fn tidy_up(&self) -> Result<()> {
        self.approve_payouts()?;
        while work::run_once(&self.engine)?.is_full() {}
        Ok(())
    }

    /// The operator looks at each payout, some days after it was asked for; and then it is paid.
    fn approve_payouts(&self) -> Result<()> {
        let before_ms = self.clock.load(Ordering::SeqCst) - 3 * DAY_MS;
        for listed in self.engine.payouts_of_project(MARKET, true)? {
            if listed.waits_for() == Some("approval") && listed.payout.created_at_ms < before_ms {
                self.engine.approve_payout(listed.payout.id)?;
            }
        }
        match self.engine.next_delivery(DeliveryKind::Transfer)? {
            None => Ok(()),
            Some(_) => Err(Error::internal("a demo has no Stripe to tell of a payout")),
        }
    }

    /// So that there are payouts for the operator to look at.
    fn ask_for_last_payouts(&self) -> Result<()> {
        let stars = self.history.people.iter().filter(|person| person.is_star && person.kind == Kind::Commission);
        for account in stars.filter_map(|star| star.account) {
            self.runtime.block_on(pay_out(&self.engine, self.history.project(Kind::Commission), account))?;
        }
        Ok(())
    }

    /// A partner who was paid for what is refunded now: the one with the second most referrals. Nobody, where there is too
    /// little history for it.
    fn leave_a_debt(&mut self) -> Result<Option<usize>> {
        const MOST_REFUNDS: usize = 100;
        let people = &self.history.people;
        let is_star = |who: &usize| people[*who].is_star && people[*who].kind == Kind::Commission;
        let mut stars: Vec<usize> = (0..people.len()).filter(is_star).collect();
        stars.sort_by_key(|who| std::cmp::Reverse(people[*who].referrals));
        let Some((who, account)) = stars.get(1).and_then(|who| Some((*who, people[*who].account?))) else {
            return Ok(None);
        };
        let bought = self.history.sold.iter().copied().filter(|(buyer, _)| people[*buyer].via == Some(who));
        let bought: Vec<_> = bought.take(MOST_REFUNDS).collect();
        let project = self.history.project(Kind::Commission);
        for (buyer, number) in bought {
            let deed = self.history.refund(buyer, number, i64::from(u32::MAX));
            self.runtime.block_on(begin(&self.engine, &self.reader, deed))?;
            if self.runtime.block_on(self.engine.partner(project, account))?.balance.owed > 0 {
                return Ok(Some(who));
            }
        }
        Ok(None)
    }

    fn sum_up(self, debtor: Option<usize>) -> Result<Lived> {
        let head = self.runtime.block_on(self.engine.signed_heads())?.ledger;
        let people = &self.history.people;
        let most = |kind: Kind| {
            let own = people.iter().filter(|person| person.kind == kind && person.is_star);
            own.max_by_key(|person| person.referrals).ok_or_else(|| Error::internal("a project without people"))
        };
        let count = |number: usize| i64::try_from(number).unwrap_or_default();
        let (credits, commission) = (most(Kind::Credits)?, most(Kind::Commission)?);
        let project = |slug, name, url, star: &super::history::Person, gateway_key| DemoProject {
            slug,
            name,
            url,
            email: star.address.clone(),
            referrals: star.referrals,
            in_debt: debtor.map(|who| people[who].address.clone()).filter(|_| star.kind == Kind::Commission),
            gateway_key,
        };
        let (own_key, market_key) = self.gateway_keys;
        let market_url = URL.replace("127.0.0.1", MARKET_HOST);
        Ok(Lived {
            developers: count(people.iter().filter(|person| person.account.is_some()).count() + self.farm.accounts()),
            referrals: people.iter().map(|person| i64::from(person.referrals)).sum::<i64>()
                + count(self.farm.referrals()),
            entries: head.seq,
            password: PASSWORD,
            operator: OPERATOR,
            projects: vec![
                project("default", "Demo API", URL.to_owned(), credits, own_key),
                project(MARKET, "Demo Market", market_url, commission, market_key),
            ],
        })
    }
}

/// One line on a terminal that says how far it is.
#[derive(Default)]
struct Progress {
    shown: u32,
}

impl Progress {
    fn show(&mut self, share: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is between 0 and 1")]
        let percent = (share * 100.0) as u32;
        if percent > self.shown && std::io::stderr().is_terminal() {
            self.shown = percent;
            let _ = write!(std::io::stderr(), "\rA year of history: {percent} %");
        }
    }

    fn end(&self) {
        if self.shown > 0 {
            let _ = write!(std::io::stderr(), "\r{:30}\r", "");
        }
    }
}
