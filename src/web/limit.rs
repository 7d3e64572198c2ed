//! Who is calling from where, and how often they may.

use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{KeyId, OperatorId, ProjectId};
use actix_web::HttpRequest;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota as Rate, RateLimiter};
use ipnet::IpNet;
use std::hash::Hash;
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
    /// Requests with a key that is not good, per client address; and as many sign-ins of operators.
    pub bad_key: Quota,
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

    fn forget_idle(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// The running limits. State is in memory.
pub struct Limiter {
    signup: Keyed<IpAddr>,
    bad_key: Keyed<IpAddr>,
    login: Keyed<IpAddr>,
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

    pub fn login(&self, client: IpAddr) -> Result<()> {
        self.login.check(&network(client))
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
        self.public.forget_idle();
        self.convert.forget_idle();
        self.mail.forget_idle();
        self.developer.forget_idle();
        self.operator.forget_idle();
        self.subject.forget_idle();
        self.gateway.forget_idle();
    }
}

/// One subscriber has a whole /64 of IPv6.
fn network(client: IpAddr) -> IpAddr {
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
    fn zero_means_no_limit() {
        let limiter = Keyed::new(Quota::new(0, Duration::from_secs(3_600)));
        for _ in 0..1_000 {
            limiter.check(&1).unwrap();
        }
    }
}
