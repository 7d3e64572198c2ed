//! Who is calling from where, and how often they may.

use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{KeyId, OperatorId, ProjectId};
use crate::engine::Guess;
use actix_web::HttpRequest;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota as Rate, RateLimiter};
use ipnet::IpNet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

/// So many a period: a burst of all of them, then one each period / count. 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub count: u32,
    pub period: Duration,
}

impl Quota {
    pub const fn new(count: u32, period: Duration) -> Self {
        Self { count, period }
    }
}

/// The limits of each kind of call.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Signups per client address, by API and by page together.
    pub signup: Quota,
    /// Requests with a key that is not good, per client address; and as many tries at passwords.
    pub bad_key: Quota,
    /// Tries at the password of one account or operator: of a network's browsers together that have not signed in there,
    /// and of each one that has.
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

/// A limit by key, or none.
struct Keyed<K: Hash + Eq + Clone>(Option<DefaultKeyedRateLimiter<K>>);

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(quota: Quota) -> Self {
        let rate = NonZeroU32::new(quota.count)
            .and_then(|count| Some(Rate::with_period(quota.period / quota.count)?.allow_burst(count)));
        Self(rate.map(RateLimiter::keyed))
    }

    fn check(&self, key: &K) -> Result<()> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            let seconds = wait.as_secs() + 1;
            let message = format!("Too many requests; try again in {seconds} seconds.");
            Error { retry_after_s: Some(seconds), ..Error::new(Kind::RateLimited, "rate_limited", message) }
        })
    }

    fn count(&self) -> usize {
        self.0.as_ref().map_or(0, RateLimiter::len)
    }

    fn forget_idle(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn in_words(seconds: u64) -> String {
    match (seconds, seconds.div_ceil(60)) {
        (1, _) => "a second".into(),
        (2..=90, _) => format!("{seconds} seconds"),
        (_, minutes @ ..=90) => format!("{minutes} minutes"),
        (_, minutes) => format!("{} hours", minutes.div_ceil(60)),
    }
}

/// Tries at passwords, by whose they would be. Anyone can make up addresses that nobody has, and each is remembered as
/// if somebody had it; when there are too many of them, addresses share what is left in groups.
struct Tries {
    by_owner: Keyed<u64>,
    most_owners: usize,
}

impl Tries {
    const GROUPS: u64 = 1 << 16;

    fn new(quota: Quota) -> Self {
        Self { by_owner: Keyed::new(quota), most_owners: 200_000 }
    }

    fn check(&self, owner: u64) -> Result<()> {
        let is_crowded = self.by_owner.count() >= self.most_owners;
        self.by_owner.check(&if is_crowded { owner % Self::GROUPS } else { owner })
    }
}

/// As many networks as it takes to use up an account's tries by new browsers.
const NETWORKS: u32 = 10;

fn from_network(owner: u64, client: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (owner, network(client)).hash(&mut hasher);
    hasher.finish()
}

/// The running limits. State is in memory.
pub struct Limiter {
    signup: Keyed<IpAddr>,
    bad_key: Keyed<IpAddr>,
    login: Keyed<IpAddr>,
    /// Of a network at an account, and of all networks together.
    unknown_browser: Tries,
    unknown_browsers: Tries,
    known_browser: Keyed<u64>,
    public: Keyed<IpAddr>,
    convert: Keyed<IpAddr>,
    mail: Keyed<(ProjectId, [u8; 32])>,
    developer: Keyed<KeyId>,
    operator: Keyed<OperatorId>,
    subject: Keyed<(ProjectId, String)>,
    gateway: Keyed<KeyId>,
}

impl Limiter {
    pub fn new(limits: &Limits) -> Self {
        Self {
            signup: Keyed::new(limits.signup),
            bad_key: Keyed::new(limits.bad_key),
            login: Keyed::new(limits.bad_key),
            unknown_browser: Tries::new(limits.login),
            unknown_browsers: Tries::new(Quota { count: limits.login.count.saturating_mul(NETWORKS), ..limits.login }),
            known_browser: Keyed::new(limits.login),
            public: Keyed::new(limits.public),
            convert: Keyed::new(limits.convert),
            mail: Keyed::new(limits.mail),
            developer: Keyed::new(limits.developer),
            operator: Keyed::new(limits.developer),
            subject: Keyed::new(limits.developer),
            gateway: Keyed::new(limits.gateway),
        }
    }

    pub fn signup(&self, client: IpAddr) -> Result<()> {
        self.signup.check(&network(client))
    }

    pub fn bad_key(&self, client: IpAddr) -> Result<()> {
        self.bad_key.check(&network(client))
    }

    /// A try at a password, before it is known whose: for [`Limiter::guess`].
    pub fn login(&self, client: IpAddr) -> Result<()> {
        self.login.check(&network(client)).map_err(|error| too_many(error, "from your network"))
    }

    /// A try at a password. A browser that has signed in there before has an allowance of its own, that nobody else can
    /// use up, neither from the same address nor with the same account. The others of one network cannot use up those of
    /// all networks together, so that it takes many to keep an owner with a new browser waiting.
    pub fn guess(&self, client: IpAddr, by_address: Result<()>, guess: Guess) -> Result<()> {
        if guess.by_known_browser {
            return self.known_browser.check(&guess.counted_by).map_err(|error| too_many(error, "from this browser"));
        }
        by_address?;
        let tries = self.unknown_browser.check(from_network(guess.counted_by, client));
        let tries = tries.and_then(|()| self.unknown_browsers.check(guess.counted_by));
        tries.map_err(|error| too_many(error, "with this address"))
    }

    pub fn public(&self, client: IpAddr) -> Result<()> {
        self.public.check(&network(client))
    }

    pub fn convert(&self, client: IpAddr) -> Result<()> {
        self.convert.check(&network(client))
    }

    /// A mail to an address, whoever asks for it. The address itself is not remembered.
    pub fn mail(&self, project: ProjectId, address: &str) -> Result<()> {
        self.mail.check(&(project, *blake3::hash(address.as_bytes()).as_bytes()))
    }

    /// A user of the team's app, by the id that the app's tokens name.
    pub fn subject(&self, project: ProjectId, external_id: &str) -> Result<()> {
        self.subject.check(&(project, external_id.to_owned()))
    }

    pub fn developer(&self, key: KeyId) -> Result<()> {
        self.developer.check(&key)
    }

    pub fn operator(&self, operator: OperatorId) -> Result<()> {
        self.operator.check(&operator)
    }

    pub fn gateway(&self, key: KeyId) -> Result<()> {
        self.gateway.check(&key)
    }

    /// Drops the state of those who have not called for a while.
    pub fn forget_idle(&self) {
        self.signup.forget_idle();
        self.bad_key.forget_idle();
        self.login.forget_idle();
        self.unknown_browser.by_owner.forget_idle();
        self.unknown_browsers.by_owner.forget_idle();
        self.known_browser.forget_idle();
        self.public.forget_idle();
        self.convert.forget_idle();
        self.mail.forget_idle();
        self.developer.forget_idle();
        self.operator.forget_idle();
        self.subject.forget_idle();
        self.gateway.forget_idle();
    }
}

fn too_many(error: Error, where_from: &str) -> Error {
    let wait = in_words(error.retry_after_s.unwrap_or(1));
    let message = format!("There were too many tries {where_from}. Try again in {wait}.");
    Error { message, ..error }
}

/// One subscriber has a whole /64 of IPv6.
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Addresses and networks, separated by commas.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let parse = |word: &str| {
            let address = word.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| word.parse()).map_err(|_| format!("{word:?} is neither an address nor a network"))
        };
        words.map(parse).collect::<std::result::Result<_, _>>().map(Self)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The socket's address, or behind a trusted proxy the rightmost untrusted one that it forwards.
    fn client(&self, peer: IpAddr, forwarded: &[&str]) -> IpAddr {
        let mut client = peer.to_canonical();
        let hops = forwarded.iter().flat_map(|line| line.split(',')).collect::<Vec<_>>();
        for hop in hops.into_iter().rev() {
            if !self.contains(client) {
                break;
            }
            // Some proxies add the port.
            let hop = hop.trim();
            let address = hop.parse::<IpAddr>().or_else(|_| hop.parse().map(|socket: SocketAddr| socket.ip()));
            match address {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }

    pub fn client_of(&self, request: &HttpRequest) -> IpAddr {
        let peer = request.peer_addr().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.ip());
        let lines: Vec<&str> =
            request.headers().get_all("x-forwarded-for").filter_map(|line| line.to_str().ok()).collect();
        self.client(peer, &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_client_is_the_rightmost_untrusted_address() {
        let proxies = TrustedProxies::parse("10.0.0.1, 192.168.0.0/16, fd00::/8").unwrap();
        for (peer, forwarded, client) in [
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["6.6.6.6, 198.51.100.1, 192.168.3.4"], "198.51.100.1"),
            ("10.0.0.1", vec!["6.6.6.6", "198.51.100.1", "192.168.3.4"], "198.51.100.1"),
            ("10.0.0.1", vec!["6.6.6.6, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec!["192.168.0.7"], "192.168.0.7"),
            ("fd00::1", vec!["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", vec!["198.51.100.1:5678"], "198.51.100.1"),
            ("10.0.0.1", vec!["[2001:db8::1]:443"], "2001:db8::1"),
        ] {
            assert_eq!(proxies.client(ip(peer), &forwarded), ip(client), "{peer} {forwarded:?}");
        }
        assert!(TrustedProxies::parse("10.0.0.0/33").is_err());
    }

    #[test]
    fn ten_an_hour_is_a_burst_of_ten_and_counts_a_whole_v6_subscriber() {
        let limiter = Keyed::new(Quota::new(10, Duration::from_secs(3_600)));
        for host in 0..10 {
            limiter.check(&network(ip(&format!("2001:db8::{host}")))).unwrap();
        }
        let refusal = limiter.check(&network(ip("2001:db8::ffff"))).unwrap_err();
        assert_eq!(refusal.kind, Kind::RateLimited);
        assert!(refusal.retry_after_s.is_some_and(|seconds| (300..=361).contains(&seconds)), "{refusal:?}");
        limiter.check(&network(ip("2001:db8:0:1::1"))).unwrap();
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn made_up_addresses_use_up_memory_only_so_far() {
        let an_hour = Quota::new(2, Duration::from_secs(3_600));
        let tries = Tries { by_owner: Keyed::new(an_hour), most_owners: 1_000 };
        for _ in 0..2 {
            tries.check(u64::MAX).unwrap();
        }
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for owner in 1..200_000 {
            let _ = tries.check(spread(owner));
        }
        assert!(tries.by_owner.count() <= 1_000 + usize::try_from(Tries::GROUPS).unwrap());
        let group = (0..4).map(|_| tries.check(u64::MAX).is_err()).filter(|refused| *refused).count();
        assert!(group >= 2, "who is guessed at stays slow");
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
        let guess = |counted_by, by_known_browser| Guess { counted_by, by_known_browser };
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

    #[test]
    fn zero_means_no_limit() {
        let limiter = Keyed::new(Quota::new(0, Duration::from_secs(3_600)));
        for _ in 0..1_000 {
            limiter.check(&1).unwrap();
        }
    }
}
