//! Databases for the load, made by the product's own calls, so that they are what the product leaves behind.

use super::Outcome;
use futures_util::future::try_join_all;
use refloop::domain::access::{Role, Scope};
use refloop::domain::code::Code;
use refloop::domain::id::{AccountId, ProjectId};
use refloop::domain::program::{Party, Preset, Trigger};
use refloop::engine::{Applied, Arrival, Devices, Engine, Settings, UsageEvent, UsageStatus, Who};
use refloop::store::{Capacity, Clock, NewAccount, NewKey, Snapshot, Store};
use serde_json::json;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Developers that one account has referred.
const BY_ONE_REFERRER: usize = 10;
/// What goes into one transaction, or waits for the same one.
const TOGETHER: usize = 1_000;
/// Calls of one developer in a row, as a gateway sends what it has gathered.
const IN_A_ROW: usize = 20;
const LISTED: usize = 100_000;

/// Where nothing is compared that would hold a referral back.
fn from_this_machine() -> Arrival {
    let network = std::net::Ipv4Addr::LOCALHOST.into();
    Arrival { network, user_agent: String::new(), remembered: None, account: None, devices: Devices::default() }
}

/// A database that is being filled. Every developer was referred and has the signup bonus to spend.
pub struct Seeder {
    pub store: Arc<Store>,
    pub engine: Arc<Engine>,
    pub project: ProjectId,
    pub developers: Vec<AccountId>,
    /// Of the first ones, for the list.
    pub secrets: Vec<String>,
    pub runtime: Runtime,
    sent: usize,
}

impl Seeder {
    pub fn new(db: &Path, credits: i64) -> Outcome<Self> {
        let store = Arc::new(Store::open(db, Clock::System, Capacity::default())?);
        let engine = Arc::new(Engine::new(Arc::clone(&store), Settings::default()));
        let project = engine.project_named("default")?;
        let mut program = Preset::Credits.program();
        for rule in &mut program.rules {
            if rule.on == Trigger::Signup && rule.to == Party::Referee {
                rule.amount = Some(credits);
            }
        }
        engine.set_program(&project, program, "load")?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (developers, secrets) = (Vec::new(), Vec::new());
        Ok(Self { store, engine, project: project.id, developers, secrets, runtime, sent: 0 })
    }

    /// Adds so many developers, and who referred them.
    pub fn add_developers(&mut self, count: usize) -> Outcome {
        let (start, end) = (self.developers.len(), self.developers.len() + count);
        for first in (start..end).step_by(TOGETHER) {
            self.add_together(first..end.min(first + TOGETHER))?;
        }
        Ok(())
    }

    fn add_together(&mut self, numbers: Range<usize>) -> Outcome {
        let project = self.project;
        let secrets: Vec<String> = numbers.clone().map(|_| secret()).collect::<Outcome<_>>()?;
        let for_writer = secrets.clone();
        let made = self.store.write_blocking(move |tx| {
            let new = |email: String, name: String| NewAccount {
                email: Some(email),
                name: Some(name),
                password_hash: Some(String::new()),
                external_id: None,
                disposable: false,
            };
            let (mut made, mut code) = (Vec::new(), referral_code(numbers.start)?);
            for (number, secret) in numbers.zip(&for_writer) {
                if number % BY_ONE_REFERRER == 0 {
                    let email = format!("referrer@referrer{number}.example");
                    let referrer = tx.add_account(project, &new(email, format!("Referrer {number}")))?;
                    code = referral_code(number)?;
                    tx.add_code(project, referrer.id, &code, None)?;
                }
                let email = format!("load@developer{number}.example");
                let developer = tx.add_account(project, &new(email, format!("Developer {number}")))?.id;
                tx.add_key(project, &NewKey { secret, role: &Role::Developer(developer), name: None, made_by: None })?;
                made.push((developer, code.clone()));
            }
            Ok(made)
        })?;
        let arrival = from_this_machine();
        let apply =
            |(developer, code): &(AccountId, Code)| self.engine.apply_code(project, *developer, code.clone(), &arrival);
        let applied = made.iter().map(apply);
        for applied in self.runtime.block_on(try_join_all(applied))? {
            if let Applied::Rejected { reason } = applied {
                return Err(format!("a referral was rejected: {reason}").into());
            }
        }
        self.developers.extend(made.iter().map(|(developer, _)| *developer));
        self.secrets.extend(secrets.into_iter().take(LISTED.saturating_sub(self.secrets.len())));
        Ok(())
    }

    pub fn entries(&self) -> Outcome<i64> {
        Ok(self.store.read_blocking(newest)?)
    }

    /// Records so many events, spread over all developers (or the first one alone), in transactions of `together`,
    /// `at_once` of them under way.
    pub fn record(&mut self, count: usize, together: usize, at_once: usize, hot: bool) -> Outcome {
        let mut left = count;
        while left > 0 {
            let mut batches = Vec::new();
            while left > 0 && batches.len() < at_once {
                let size = left.min(together);
                batches.push(self.engine.record_usage(self.project, self.events(size, hot)));
                self.sent += size;
                left -= size;
            }
            let answers = self.runtime.block_on(try_join_all(batches))?;
            let odd = answers.iter().flatten().find(|a| a.status != UsageStatus::Recorded || a.uncovered > 0);
            if let Some(odd) = odd {
                return Err(format!("an event was not recorded in full: {odd:?}").into());
            }
        }
        Ok(())
    }

    fn events(&self, count: usize, hot: bool) -> Vec<UsageEvent> {
        let numbers = self.sent..self.sent + count;
        let event = |number: usize| UsageEvent {
            id: format!("seed-{number:010}"),
            who: Who::Developer(self.developers[if hot { 0 } else { self.place(number) }]),
            calls: 1,
            spend: 1,
            require_full: false,
        };
        numbers.map(event).collect()
    }

    /// Scattered, but always the same: a multiplication by a large odd number, as hash tables do it.
    fn place(&self, number: usize) -> usize {
        let turn = (number / IN_A_ROW) as u64;
        let scattered = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(scattered).unwrap_or_default() % self.developers.len()
    }

    /// Adds events until the ledger has so many entries, or `until` has come. Whether it got there.
    pub fn fill(&mut self, entries: i64, until: Option<Instant>) -> Outcome<bool> {
        loop {
            let missing = usize::try_from(entries - self.entries()?).unwrap_or_default();
            if missing == 0 {
                return Ok(true);
            }
            if until.is_some_and(|until| Instant::now() > until) {
                return Ok(false);
            }
            self.record(missing.min(50 * TOGETHER), TOGETHER, 4, false)?;
        }
    }
}

fn newest(db: &Snapshot<'_>) -> refloop::domain::error::Result<i64> {
    Ok(db.ledger_head()?.seq)
}

fn referral_code(number: usize) -> refloop::domain::error::Result<Code> {
    Code::parse("code", &format!("LOAD{:08}", number / BY_ONE_REFERRER))
}

fn secret() -> Outcome<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|fault| format!("no entropy: {fault}"))?;
    Ok(format!("bw_live_{}", hex::encode(bytes)))
}

/// Makes the database and writes the list: `gateway KEY`, `code CODE`, then `DEVELOPER KEY` for up to 100,000.
pub fn seed(db: &Path, developers: usize, entries: i64, credits: i64, out: &Path) -> Outcome {
    let started = Instant::now();
    let mut seeder = Seeder::new(db, credits)?;
    seeder.add_developers(developers)?;
    seeder.fill(entries, None)?;
    let gateway = seeder.engine.make_gateway_key("default", vec![Scope::UsageWrite], None)?;
    let mut list = BufWriter::new(std::fs::File::create(out)?);
    writeln!(list, "gateway {}", gateway.secret)?;
    writeln!(list, "code {}", referral_code(0)?)?;
    for (developer, secret) in seeder.developers.iter().zip(&seeder.secrets) {
        writeln!(list, "{developer} {secret}")?;
    }
    list.flush()?;
    let entries = seeder.entries()?;
    println!(
        "{}",
        json!({ "developers": developers, "entries": entries, "charged": spent(&seeder.store, &seeder.developers)?,
                "seconds": started.elapsed().as_secs() })
    );
    Ok(())
}

fn spent(store: &Store, accounts: &[AccountId]) -> Outcome<i64> {
    Ok(store.read_blocking(|db| {
        let project = db.project_named("default")?.id;
        accounts.iter().map(|account| Ok(db.totals(project, *account)?.spent)).sum()
    })?)
}

/// Prints what the listed developers were charged in all, and how long the ledger is.
pub fn charged(db: &Path, list: &Path) -> Outcome {
    let store = Store::open(db, Clock::System, Capacity::default())?;
    let list = std::fs::read_to_string(list)?;
    let ids = list.lines().filter_map(|line| line.split(' ').next()).filter(|word| word.starts_with("dev_"));
    let accounts: Vec<AccountId> = ids.map(str::parse).collect::<Result<_, _>>().map_err(|_| "not a list of ids")?;
    let entries = store.read_blocking(newest)?;
    println!("{}", json!({ "charged": spent(&store, &accounts)?, "entries": entries }));
    Ok(())
}
