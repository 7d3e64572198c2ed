//! Asks an RDAP server when domains were registered.

use super::Receiver;
use crate::domain::delivery::{DeliveryKind, Outcome};
use crate::domain::rdap;
use crate::engine::{Begun, Content};
use std::net::ToSocketAddrs;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of one hop; all together stay within what a courier may take.
const TIMEOUT: Duration = Duration::from_secs(7);
const LONGEST_ANSWER: u64 = 256 * 1024;
/// A server that knows where to ask sends on (RFC 7480, section 5.2), and seldom more than twice.
const MOST_HOPS: usize = 3;

/// Finds public addresses only, whatever a name is said to stand for.
#[derive(Debug, Default)]
struct PublicOnly(DefaultResolver);

impl Resolver for PublicOnly {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut public = self.empty();
        for address in self.0.resolve(uri, config, timeout)?.iter().filter(|address| rdap::is_public(address.ip())) {
            public.push(*address);
        }
        if public.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(public) }
    }
}

/// A client of one server, and of those that it sends on to: with https, or as the server itself is asked, and never
/// into a network that is not public, unless the server is in one.
#[derive(Debug, Clone)]
pub struct RdapClient {
    base_url: String,
    agent: ureq::Agent,
    elsewhere: ureq::Agent,
}

fn config() -> Config {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(TIMEOUT))
        .user_agent(concat!("refloop/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// What one server has said.
enum Said {
    Answer(Outcome),
    /// Ask there.
    SentOn(String),
}

impl RdapClient {
    /// The base URL is the part before `/domain/…`.
    pub fn new(base_url: &str) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            agent: config().into(),
            elsewhere: ureq::Agent::with_parts(config(), DefaultConnector::default(), PublicOnly::default()),
        }
    }

    /// Whether it answers at all (RFC 9082: `help`).
    pub fn probe(&self) -> std::result::Result<(), String> {
        let asked = self.agent.get(format!("{}/help", self.base_url)).call();
        match asked.map(|answer| answer.status().as_u16()) {
            Ok(status) if status >= 500 => Err(format!("it answers {status}")),
            Ok(_) => Ok(()),
            Err(_) => Err("it is not to be reached".into()),
        }
    }

    /// What is not known is an answer, too; what may be known later is asked for again.
    fn ask(&self, domain: &str) -> Outcome {
        let Ok(first) = format!("{}{}", self.base_url, rdap::path_of(domain)).parse::<Uri>() else {
            return Outcome::Refused("the RDAP server's URL is none".into());
        };
        let mut here = first.clone();
        for _ in 0..=MOST_HOPS {
            let agent = if is_same_server(&first, &here) || is_local(&first) { &self.agent } else { &self.elsewhere };
            match ask_one(agent, &here, domain) {
                Said::Answer(outcome) => return outcome,
                Said::SentOn(location) => match next(&first, &here, &location) {
                    Some(there) => here = there,
                    None => return Outcome::Retry("the RDAP server sends on to where nothing is asked".into()),
                },
            }
        }
        Outcome::Retry("the RDAP server sends on and on".into())
    }
}

fn ask_one(agent: &ureq::Agent, uri: &Uri, domain: &str) -> Said {
    let Ok(mut answer) = agent.get(uri).header("Accept", "application/rdap+json").call() else {
        return Said::Answer(Outcome::Retry("the RDAP server is not to be reached".into()));
    };
    let status = answer.status().as_u16();
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    Said::Answer(match (status, location) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => return Said::SentOn(location.to_owned()),
        (200, _) => match answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec() {
            Ok(body) => Outcome::Done(rdap::registered_at_ms(domain, &body).map(|at_ms| at_ms.to_string())),
            Err(_) => Outcome::Retry("the RDAP server's answer broke off, or is too long".into()),
        },
        // It does not know the domain, or what kind of name that is (RFC 7480, section 5.3 and 5.4).
        (400 | 404 | 410, _) => Outcome::Done(None),
        // Who may not ask now, or asks too much, knows nothing about the domain.
        _ => Outcome::Retry(format!("the RDAP server answered {status}")),
    })
}

fn is_same_server(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

/// Whether the configured server is in a network that is not public, as one in the team's own house is.
fn is_local(uri: &Uri) -> bool {
    let Some(host) = uri.host() else { return false };
    let addresses = (host.trim_matches(['[', ']']), 80).to_socket_addrs();
    addresses.is_ok_and(|mut addresses| addresses.any(|address| !rdap::is_public(address.ip())))
}

/// Where a server sends on to, if that is a place to ask.
fn next(first: &Uri, here: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let there: Uri = if location.starts_with('/') && !location.starts_with("//") {
        format!("{}://{}{location}", here.scheme_str()?, here.authority()?).parse().ok()?
    } else {
        location.parse().ok()?
    };
    let is_as_safe =
        there.scheme_str() == Some("https") || there.scheme_str() == Some("http") && first.scheme_str() == Some("http");
    let names_a_user = there.authority()?.as_str().contains('@');
    (is_as_safe && !names_a_user).then_some(there)
}

impl Receiver for RdapClient {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Domain
    }

    fn tell(&self, begun: &Begun) -> Outcome {
        match &begun.content {
            Content::Domain(domain) => self.ask(domain),
            Content::Letter(_) | Content::Call(_) | Content::Transfer(_) => {
                Outcome::Unclear("this is no domain".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn where_it_may_be_sent_on_to() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let (secure, open) =
            (uri("https://rdap.example/domain/a.example"), uri("http://rdap.example/domain/a.example"));
        for (first, location, there) in [
            (&secure, "https://other.example/domain/a.example", Some("https://other.example/domain/a.example")),
            (&secure, "/v1/domain/a.example#x", Some("https://rdap.example/v1/domain/a.example")),
            (&secure, "http://rdap.example/domain/a.example", None),
            (&open, "http://other.example/x", Some("http://other.example/x")),
            (&open, "https://other.example/x", Some("https://other.example/x")),
            (&open, "file:///etc/passwd", None),
            (&open, "ftp://other.example/x", None),
            (&open, "//other.example/x", None),
            (&open, "https://user:secret@other.example/x", None),
            (&open, "elsewhere", None),
            (&open, "", None),
        ] {
            assert_eq!(next(first, first, location), there.map(uri), "{location}");
        }
    }

    #[test]
    fn no_server_leads_into_a_network_that_is_not_public() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = RdapClient::new("https://rdap.example");
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "[::1]"] {
            let there = format!("http://{host}:{port}/domain/a.example").parse().unwrap();
            let said = ask_one(&client.elsewhere, &there, "a.example");
            assert!(matches!(said, Said::Answer(Outcome::Retry(_))), "{host}");
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody has come");
        for (url, is) in [("http://127.0.0.1:1", true), ("http://localhost", true), ("http://[::1]:1", true)] {
            assert_eq!(is_local(&url.parse().unwrap()), is, "{url}");
        }
        assert!(!is_local(&"https://8.8.8.8".parse().unwrap()));
    }
}
