//! Who is calling from where, and how often they may.

mod client;
mod places;
mod table;

pub use client::{TrustedProxies, network};
pub use table::{Limited, Quota};

use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{KeyId, OperatorId, ProjectId};
use crate::domain::limit::LimitName;
use crate::engine::{Guess, Owner};
use places::Who;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::Table;

/// The limits of each kind of call.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Signups per client address, by API and by page together.
    pub signup: Quota,
    /// Requests with a key that is not good, per client address; and as many tries at passwords.
    pub bad_key: Quota,
    /// Tries at the password of one account or operator: of a network's browsers together that have not signed in there,
    /// and of each one that has. And as many codes of an operator's second factor, but in a day.
    pub login: Quota,
    /// Public reads and pages, per client address.
    pub public: Quota,
    /// Calls that convert, per client address.
    pub convert: Quota,
    /// Mails that are asked for, per e-mail address.
    pub mail: Quota,
    /// Requests with a developer's key, per key, and as many in an operator's sessions; with a token of the team's app,
    /// per user.
    pub developer: Quota,
    /// Requests with a gateway key, per key.
    pub gateway: Quota,
}

impl Limits {
    pub fn of(&self, name: LimitName) -> Quota {
        match name {
            LimitName::Signup => self.signup,
            LimitName::BadKey => self.bad_key,
            LimitName::Login => self.login,
            LimitName::Public => self.public,
            LimitName::Convert => self.convert,
            LimitName::Mail => self.mail,
            LimitName::Developer => self.developer,
            LimitName::Gateway => self.gateway,
        }
    }
}

/// How long somebody has to wait, as people say it.
pub fn in_words(seconds: u64) -> String {
    match (seconds, seconds.div_ceil(60)) {
        (1, _) => "a second".into(),
        (2..=90, _) => format!("{seconds} seconds"),
        (_, minutes @ ..=90) => format!("{minutes} minutes"),
        (_, minutes) => format!("{} hours", minutes.div_ceil(60)),
    }
}

fn check(table: &Table, who: Who) -> Result<()> {
    table.check(who).map_err(|wait| {
        let seconds = wait.as_secs() + 1;
        let message = format!("Too many requests; try again in {seconds} seconds.");
        Error { retry_after_s: Some(seconds), ..Error::new(Kind::RateLimited, "rate_limited", message) }
    })
}

fn hash(what: impl Hash) -> u64 {
    // What is hashed is a secret of somebody's or a hash with a key already: nobody chooses what falls together.
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn hashed(what: impl Hash) -> Who {
    Who::Hashed(hash(what))
}

fn from(client: IpAddr) -> Who {
    Who::Network(network(client))
}

/// As many networks as it takes to use up an account's tries by new browsers.
const NETWORKS: u32 = 10;
/// Codes of six digits are guessed more easily than passwords.
const CODE_PERIOD: Duration = Duration::from_secs(24 * 3_600);

/// Of those whose tries were refused, so many are known by their account.
const MOST_OWNERS: usize = 1_000;

/// How a limit stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub remembered: usize,
    /// How many would be refused now.
    pub limited: usize,
    /// Some of them, who have to wait the longest first.
    pub longest: Vec<Limited>,
}

/// The running limits. State is in memory.
pub struct Limiter {
    signup: Table,
    bad_key: Table,
    login: Table,
    /// Of a network at an account, and of all networks together.
    unknown_browser: Table,
    unknown_browsers: Table,
    known_browser: Table,
    code: Table,
    public: Table,
    convert: Table,
    mail: Table,
    developer: Table,
    operator: Table,
    subject: Table,
    gateway: Table,
    /// Whose the counts are that refused a try at a password or code: for the console.
    owners: Mutex<HashMap<u64, Owner>>,
}

impl Limiter {
    pub fn new(limits: &Limits) -> Self {
        let none = || Table::new(Quota::new(0, Duration::from_secs(1)));
        let limiter = Self {
            signup: none(),
            bad_key: none(),
            login: none(),
            unknown_browser: none(),
            unknown_browsers: none(),
            known_browser: none(),
            code: none(),
            public: none(),
            convert: none(),
            mail: none(),
            developer: none(),
            operator: none(),
            subject: none(),
            gateway: none(),
            owners: Mutex::default(),
        };
        for name in LimitName::ALL {
            limiter.set(name, limits.of(name));
        }
        limiter
    }

    /// Another limit from now on; everyone whom it counts begins anew.
    pub fn set(&self, name: LimitName, quota: Quota) {
        for table in self.tables(name) {
            table.set(quota);
        }
        if name == LimitName::Login {
            self.unknown_browsers.set(Quota { count: quota.count.saturating_mul(NETWORKS), ..quota });
            self.code.set(Quota { period: CODE_PERIOD, ..quota });
        }
    }

    /// What a limit is made of.
    fn tables(&self, name: LimitName) -> Vec<&Table> {
        match name {
            LimitName::Signup => vec![&self.signup],
            LimitName::BadKey => vec![&self.bad_key, &self.login],
            LimitName::Login => {
                vec![&self.unknown_browser, &self.unknown_browsers, &self.known_browser, &self.code]
            }
            LimitName::Public => vec![&self.public],
            LimitName::Convert => vec![&self.convert],
            LimitName::Mail => vec![&self.mail],
            LimitName::Developer => vec![&self.developer, &self.operator, &self.subject],
            LimitName::Gateway => vec![&self.gateway],
        }
    }

    /// With at most `most` of those who would be refused now.
    pub fn standing(&self, name: LimitName, most: usize) -> Standing {
        let mut standing = Standing { remembered: 0, limited: 0, longest: Vec::new() };
        for table in self.tables(name) {
            let (limited, longest) = table.limited(most);
            standing.remembered += table.remembered();
            standing.limited += limited;
            standing.longest.extend(longest);
        }
        standing.longest.sort_by_key(|one| std::cmp::Reverse(one.wait_s));
        standing.longest.truncate(most);
        standing
    }

    /// How many calls a limit has refused since the start.
    pub fn refused(&self, name: LimitName) -> u64 {
        self.tables(name).into_iter().map(Table::refused).sum()
    }

    /// What is shown of one that is counted, and its hash, if it has one.
    pub fn find(&self, name: LimitName, handle: &str) -> Option<(String, Option<u64>)> {
        self.tables(name).into_iter().find_map(|table| table.find(handle))
    }

    /// Gives one its whole allowance back. Whether there was such a one.
    pub fn lift(&self, name: LimitName, handle: &str) -> bool {
        self.tables(name).into_iter().any(|table| table.lift(handle))
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<u64, Owner>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose tries have the count with this hash, if they were refused and it is anybody's.
    pub fn owner_of(&self, hash: u64) -> Option<Owner> {
        self.owners().get(&hash).copied()
    }

    /// Counts a try by its hash, and remembers whose it was when it is refused.
    fn try_of(&self, table: &Table, hash: u64, guess: Guess) -> Result<()> {
        check(table, Who::Hashed(hash)).inspect_err(|_| {
            let (Some(of), mut owners) = (guess.of, self.owners()) else { return };
            // Whoever holds up more than that has a list to look at already.
            if owners.len() < MOST_OWNERS {
                owners.insert(hash, of);
            }
        })
    }

    pub fn signup(&self, client: IpAddr) -> Result<()> {
        check(&self.signup, from(client))
    }

    pub fn bad_key(&self, client: IpAddr) -> Result<()> {
        check(&self.bad_key, from(client))
    }

    /// A try at a password, before it is known whose: for [`Limiter::guess`].
    pub fn login(&self, client: IpAddr) -> Result<()> {
        check(&self.login, from(client)).map_err(|error| too_many(error, "from your network"))
    }

    /// A try at a password. A browser that has signed in there before has an allowance of its own, that nobody else can
    /// use up, neither from the same address nor with the same account. The others of one network cannot use up those of
    /// all networks together, so that it takes many to keep an owner with a new browser waiting.
    pub fn guess(&self, client: IpAddr, by_address: Result<()>, guess: Guess) -> Result<()> {
        if guess.by_known_browser {
            let tries = self.try_of(&self.known_browser, guess.counted_by, guess);
            return tries.map_err(|error| too_many(error, "from this browser"));
        }
        by_address?;
        let tries = self.try_of(&self.unknown_browser, hash((guess.counted_by, network(client))), guess);
        let tries = tries.and_then(|()| self.try_of(&self.unknown_browsers, guess.counted_by, guess));
        tries.map_err(|error| too_many(error, "with this address"))
    }

    /// A try at the code of an operator's second factor, by someone who has the password. Again a browser that has
    /// signed in before has its own allowance, all others together have one.
    pub fn code(&self, guess: Guess) -> Result<()> {
        let place = if guess.by_known_browser { "from this browser" } else { "with this address" };
        self.try_of(&self.code, guess.counted_by, guess).map_err(|error| too_many(error, place))
    }

    pub fn public(&self, client: IpAddr) -> Result<()> {
        check(&self.public, from(client))
    }

    pub fn convert(&self, client: IpAddr) -> Result<()> {
        check(&self.convert, from(client))
    }

    /// A mail to an address, whoever asks for it. The address itself is not remembered.
    pub fn mail(&self, project: ProjectId, address: &str) -> Result<()> {
        check(&self.mail, hashed((project, blake3::hash(address.as_bytes()).as_bytes())))
    }

    /// A user of the team's app, by the id that the app's tokens name.
    pub fn subject(&self, project: ProjectId, external_id: &str) -> Result<()> {
        check(&self.subject, hashed((project, external_id)))
    }

    pub fn developer(&self, key: KeyId) -> Result<()> {
        check(&self.developer, Who::Row(key.0))
    }

    pub fn operator(&self, operator: OperatorId) -> Result<()> {
        check(&self.operator, Who::Row(operator.0))
    }

    pub fn gateway(&self, key: KeyId) -> Result<()> {
        check(&self.gateway, Who::Row(key.0))
    }

    /// Drops the state of those who have not called for a while.
    pub fn forget_idle(&self) {
        for table in LimitName::ALL.into_iter().flat_map(|name| self.tables(name)) {
            table.forget_idle();
        }
        let tries = self.tables(LimitName::Login);
        self.owners().retain(|hash, _| tries.iter().any(|table| table.counts(*hash)));
    }
}

fn too_many(error: Error, where_from: &str) -> Error {
    let wait = in_words(error.retry_after_s.unwrap_or(1));
    let message = format!("There were too many tries {where_from}. Try again in {wait}.");
    Error { message, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_an_hour_is_a_burst_of_ten_and_counts_a_whole_v6_subscriber() {
        let table = Table::new(Quota::new(10, Duration::from_secs(3_600)));
        for host in 0..10 {
            check(&table, from(ip(&format!("2001:db8::{host}")))).unwrap();
        }
        let refusal = check(&table, from(ip("2001:db8::ffff"))).unwrap_err();
        assert_eq!(refusal.kind, Kind::RateLimited);
        assert!(refusal.retry_after_s.is_some_and(|seconds| (300..=361).contains(&seconds)), "{refusal:?}");
        check(&table, from(ip("2001:db8:0:1::1"))).unwrap();
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn a_known_browser_has_an_allowance_of_its_own() {
        let (none, one) = (Quota::new(0, Duration::from_secs(1)), Quota::new(1, Duration::from_secs(3_600)));
        let limits = Limits {
            signup: none,
            bad_key: one,
            login: one,
            public: none,
            convert: none,
            mail: none,
            developer: none,
            gateway: none,
        };
        let limiter = Limiter::new(&limits);
        let client = ip("192.0.2.1");
        let guess = |counted_by, by_known_browser| Guess { counted_by, by_known_browser, of: None };
        limiter.guess(client, limiter.login(client), guess(1, false)).unwrap();
        let by_address = limiter.login(client).unwrap_err();
        assert!(by_address.message.contains("from your network. Try again in 60 minutes."), "{}", by_address.message);
        limiter.guess(client, Err(by_address.clone()), guess(2, true)).unwrap();
        assert!(limiter.guess(client, Ok(()), guess(2, true)).unwrap_err().message.contains("from this browser"));
        assert!(limiter.guess(client, Ok(()), guess(1, false)).unwrap_err().message.contains("with this address"));
        assert_eq!(limiter.guess(client, Err(by_address.clone()), guess(3, false)).unwrap_err(), by_address);
        limiter.guess(client, Ok(()), guess(3, false)).unwrap();
        // Nine other networks have a try each at the first account, and then it is enough.
        for host in 2..=10 {
            let other = ip(&format!("192.0.2.{host}"));
            limiter.guess(other, Ok(()), guess(1, false)).unwrap();
            assert!(limiter.guess(other, Ok(()), guess(1, false)).is_err(), "{host}");
        }
        assert!(limiter.guess(ip("198.51.100.1"), Ok(()), guess(1, false)).is_err());
        limiter.guess(ip("198.51.100.1"), Ok(()), guess(4, false)).unwrap();
    }

    #[test]
    fn waits_in_words() {
        for (seconds, words) in
            [(1, "a second"), (45, "45 seconds"), (91, "2 minutes"), (3_600, "60 minutes"), (10_000, "3 hours")]
        {
            assert_eq!(in_words(seconds), words);
        }
    }
}
