//! Asks an RDAP server when domains were registered.

use super::Receiver;
use crate::domain::delivery::{DeliveryKind, Outcome};
use crate::domain::rdap;
use crate::engine::{Begun, Content};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: u64 = 256 * 1024;

/// A client of one server. Nothing else is ever asked: it follows no redirect, wherever that may lead.
#[derive(Debug, Clone)]
pub struct RdapClient {
    base_url: String,
    agent: ureq::Agent,
}

impl RdapClient {
    /// The base URL is the part before `/domain/…`.
    pub fn new(base_url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("refloop/", env!("CARGO_PKG_VERSION")));
        Self { base_url: base_url.trim_end_matches('/').to_owned(), agent: config.build().into() }
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
        let url = format!("{}{}", self.base_url, rdap::path_of(domain));
        let Ok(mut answer) = self.agent.get(url).header("Accept", "application/rdap+json").call() else {
            return Outcome::Retry("the RDAP server is not to be reached".into());
        };
        let status = answer.status().as_u16();
        match status {
            200 => {}
            429 | 500.. => return Outcome::Retry(format!("the RDAP server answered {status}")),
            _ => return Outcome::Done(None),
        }
        match answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec() {
            Ok(body) => Outcome::Done(rdap::registered_at_ms(domain, &body).map(|at_ms| at_ms.to_string())),
            Err(_) => Outcome::Retry("the RDAP server's answer broke off, or is too long".into()),
        }
    }
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
