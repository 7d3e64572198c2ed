//! A farmer: in the last days of the year, somebody makes up fourteen accounts and refers them all. What they bring is
//! held, for an operator to find.

use crate::domain::code::Code;
use crate::domain::email::Email;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::time::DAY_MS;
use crate::engine::{Arrival, Devices, Engine, HashedPassword, Signup, UsageEvent, Who};
use std::net::{IpAddr, Ipv4Addr};

const FAKES: u32 = 14;
const PAUSE_MS: i64 = 7 * 60_000;
/// Before the end.
const BEGINS_MS: i64 = 3 * DAY_MS;
/// Of those that are set aside for documentation.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);
pub const EMAIL: &str = "farmer@farm.example";

pub struct Farm {
    project: ProjectId,
    password: HashedPassword,
    next_ms: i64,
    code: Option<Code>,
    fakes: Vec<AccountId>,
    /// Of these fakes, how many have made their calls.
    called: usize,
}

impl Farm {
    pub fn new(project: ProjectId, password: HashedPassword, end_ms: i64) -> Self {
        Self { project, password, next_ms: end_ms - BEGINS_MS, code: None, fakes: Vec::new(), called: 0 }
    }

    /// Accounts, the farmer's own included.
    pub fn accounts(&self) -> usize {
        self.fakes.len() + usize::from(self.code.is_some())
    }

    pub fn referrals(&self) -> usize {
        self.fakes.len()
    }

    /// What is due by now, one thing at a time. Whether there was anything.
    pub async fn go_on(&mut self, engine: &Engine, now_ms: i64) -> Result<bool> {
        if now_ms < self.next_ms {
            return Ok(false);
        }
        self.next_ms = now_ms + PAUSE_MS;
        let fakes = u32::try_from(self.fakes.len()).unwrap_or(u32::MAX);
        if self.code.is_none() {
            let account = self.sign_up(engine, EMAIL, "Farmer").await?;
            engine.sight(self.project, account, &arrival()).await?;
            let made = engine.referral_code(self.project, account, None, None).await?;
            self.code = Some(Code::parse("code", &made.code)?);
        } else if fakes < FAKES {
            let number = fakes + 1;
            let account =
                self.sign_up(engine, &format!("hello@shop{number}.example"), &format!("Shop {number}")).await?;
            self.fakes.push(account);
        } else if let Some(account) = self.fakes.get(self.called) {
            // Exactly what the milestone asks for, and never again.
            let id = format!("farm-{}", self.called);
            let event = UsageEvent { id, who: Who::Developer(*account), calls: 100, spend: 0, require_full: false };
            engine.record_usage(self.project, vec![event]).await?;
            self.called += 1;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    async fn sign_up(&self, engine: &Engine, address: &str, name: &str) -> Result<AccountId> {
        let email = Email::parse("email", address)?;
        let mut signup = Signup::with_hashed(email, name.to_owned(), self.password.clone());
        signup.code.clone_from(&self.code);
        let came_from = engine.came_from(self.project, &arrival()).await?;
        let signed_up = engine.sign_up(self.project, signup.coming_from(Some(came_from))).await?;
        Ok(signed_up.profile.profile.account.id)
    }
}

fn arrival() -> Arrival {
    let user_agent = "Mozilla/5.0 (demo)".into();
    let network = IpAddr::V4(ADDRESS);
    Arrival { network, user_agent, remembered: None, account: None, devices: Devices::default() }
}
