//! Flags and environment as one plain value.

use crate::domain::email::DisposableDomains;
use crate::domain::error::{Error, Result};
use crate::domain::stripe::connect::pages_of;
use crate::engine::{self, BackupPlan, StripeCaller};
use crate::store::{Ack, Capacity, Replication};
use crate::web::{Limits, Quota, TlsFiles, TrustedProxies, WebSettings};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the database is; every command has it.
#[derive(Debug, Clone, Args)]
pub struct Database {
    /// The database file [default: refloop.db]
    #[arg(long, env = "REFLOOP_DB", value_name = "FILE", global = true)]
    pub db: Option<PathBuf>,
}

/// Settings of `refloop serve`. Limits of 0 mean none.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// Address and port to listen on
    #[arg(long, env = "REFLOOP_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// Where the world reaches this server; links point there [default: http:// and the listen address]
    #[arg(long, env = "REFLOOP_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Proxies whose X-Forwarded-For is believed: addresses and networks, separated by commas
    #[arg(long, env = "REFLOOP_TRUSTED_PROXIES", default_value = "", value_name = "LIST", value_parser = TrustedProxies::parse)]
    pub trusted_proxies: TrustedProxies,

    /// Threads that answer requests [default: one for each core]
    #[arg(long, env = "REFLOOP_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// Signups, each client address (IPv6: each /64)
    #[arg(long, env = "REFLOOP_SIGNUP_PER_HOUR", default_value_t = 10, value_name = "N")]
    pub signup_per_hour: u32,

    /// Requests with a bad key, and as many tries at passwords, each client address
    #[arg(long, env = "REFLOOP_BAD_KEY_PER_MINUTE", default_value_t = 30, value_name = "N")]
    pub bad_key_per_minute: u32,

    /// Tries at the password of one account, by the new browsers of a network together (ten times as many by those of
    /// all networks), and by each one that has signed in before
    #[arg(long, env = "REFLOOP_LOGIN_PER_HOUR", default_value_t = 20, value_name = "N")]
    pub login_per_hour: u32,

    /// Public reads and pages, each client address
    #[arg(long, env = "REFLOOP_PUBLIC_PER_MINUTE", default_value_t = 300, value_name = "N")]
    pub public_per_minute: u32,

    /// Conversions (POST /api/referral/convert), each client address
    #[arg(long, env = "REFLOOP_CONVERT_PER_HOUR", default_value_t = 100, value_name = "N")]
    pub convert_per_hour: u32,

    /// Requests, each developer key, each operator, and each user that comes with a token
    #[arg(long, env = "REFLOOP_DEVELOPER_PER_MINUTE", default_value_t = 600, value_name = "N")]
    pub developer_per_minute: u32,

    /// Requests, each gateway key
    #[arg(long, env = "REFLOOP_GATEWAY_PER_SECOND", default_value_t = 50_000, value_name = "N")]
    pub gateway_per_second: u32,

    /// How long a usage event's id is remembered
    #[arg(long, env = "REFLOOP_USAGE_ID_DAYS", default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub usage_id_days: u32,

    /// Stripe's API, without /v1
    #[arg(long, env = "REFLOOP_STRIPE_API_URL", default_value = "https://api.stripe.com", value_name = "URL", value_parser = public_url)]
    pub stripe_api_url: String,

    /// An RDAP server, without /domain/…, that is asked how old e-mail domains are [default: none is asked]
    #[arg(long, env = "REFLOOP_RDAP_URL", value_name = "URL", value_parser = public_url)]
    pub rdap_url: Option<String>,

    /// A file of domains, one a line, to take for disposable beside the shipped list
    #[arg(long, env = "REFLOOP_DISPOSABLE_DOMAINS", value_name = "FILE")]
    pub disposable_domains: Option<PathBuf>,

    /// The mail server, as smtp://user:password@host:587 or smtps://…:465, or @FILE that holds it [default: no mail]
    #[arg(long, env = "REFLOOP_SMTP_URL", value_name = "URL", hide_env_values = true, value_parser = secret)]
    pub smtp_url: Option<Secret>,

    /// Who mail comes from: refer@example.com, or "Example <refer@example.com>"; needed with a mail server
    #[arg(long, env = "REFLOOP_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,

    /// Mails that are asked for (forgotten password, another link), each account
    #[arg(long, env = "REFLOOP_MAIL_PER_HOUR", default_value_t = 5, value_name = "N")]
    pub mail_per_hour: u32,

    /// What copies the file elsewhere while it is served; with litestream, refloop leaves the write-ahead log to it
    #[arg(long, env = "REFLOOP_REPLICATION", default_value = "off", value_name = "WHAT")]
    pub replication: ReplicationBy,

    /// What must have a write before it is answered: this disk, or the replica too
    #[arg(long, env = "REFLOOP_ACK", default_value = "local", value_name = "WHERE")]
    pub ack: AckFrom,

    /// Where Litestream listens, to be asked for the replica's word
    #[arg(long, env = "REFLOOP_LITESTREAM_SOCKET", default_value = "/var/run/litestream.sock", value_name = "FILE")]
    pub litestream_socket: PathBuf,

    /// The chain of certificates (PEM) for https; read again when it changes [default: plain http]
    #[arg(long, env = "REFLOOP_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, env = "REFLOOP_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Address and port for Prometheus: /metrics, for whoever reaches it [default: no metrics]
    #[arg(long, env = "REFLOOP_METRICS_LISTEN", value_name = "ADDR:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// How the log is written [default: text to a terminal, else json]
    #[arg(long, env = "REFLOOP_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Which requests have a line in the log
    #[arg(long, env = "REFLOOP_LOG_REQUESTS", value_name = "WHICH", default_value = "faults")]
    pub log_requests: LoggedRequests,

    /// Writes (usage events, signups, …) that may wait before new ones are refused with 503
    #[arg(long, env = "REFLOOP_QUEUED_WRITES", default_value_t = 16_384, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queued_writes: u32,

    /// A directory for backups, which are made by themselves then [default: none are]
    #[arg(long, env = "REFLOOP_BACKUP_DIR", value_name = "DIR")]
    pub backup_dir: Option<PathBuf>,

    /// Hours from one backup to the next
    #[arg(long, env = "REFLOOP_BACKUP_EVERY", default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub backup_every: u32,

    /// How many backups stay there: the newest
    #[arg(long, env = "REFLOOP_BACKUP_KEEP", default_value_t = 14, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub backup_keep: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplicationBy {
    Off,
    Litestream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AckFrom {
    Local,
    Replica,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Which requests have a line in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LoggedRequests {
    /// Those that are answered with a 5xx.
    #[default]
    Faults,
    All,
}

/// A setting that is not printed.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Takes everything: what is wrong with it is said elsewhere, without repeating it.
#[expect(clippy::unnecessary_wraps, reason = "clap's parsers have this shape")]
fn secret(text: &str) -> std::result::Result<Secret, std::convert::Infallible> {
    Ok(Secret(text.to_owned()))
}

/// An address to open here; one that stands for all of them cannot be opened.
fn reachable(listening: SocketAddr, scheme: &str) -> String {
    if listening.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", listening.port())
    } else {
        format!("{scheme}://{listening}")
    }
}

fn public_url(text: &str) -> std::result::Result<String, String> {
    let url = text.trim_end_matches('/');
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"'<>\\`".contains(&b)) => {
            Ok(url.to_owned())
        }
        _ => Err("give an http:// or https:// address without a query".into()),
    }
}

impl ServeSettings {
    /// What the faces need; `listening` is the bound address, whose port may have been chosen by the system.
    pub fn web(&self, listening: SocketAddr) -> WebSettings {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (second, minute, hour) = (Duration::from_secs(1), Duration::from_secs(60), Duration::from_secs(3_600));
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        WebSettings {
            public_url: self.public_url.clone().unwrap_or_else(|| reachable(listening, scheme)),
            workers: self.workers.map_or(cores, usize::from),
            limits: Limits {
                signup: Quota::new(self.signup_per_hour, hour),
                bad_key: Quota::new(self.bad_key_per_minute, minute),
                login: Quota::new(self.login_per_hour, hour),
                public: Quota::new(self.public_per_minute, minute),
                convert: Quota::new(self.convert_per_hour, hour),
                mail: Quota::new(self.mail_per_hour, hour),
                developer: Quota::new(self.developer_per_minute, minute),
                gateway: Quota::new(self.gateway_per_second, second),
            },
            trusted_proxies: self.trusted_proxies.clone(),
            body_timeout: Duration::from_secs(10),
            tls: self.tls_cert.is_some(),
        }
    }

    /// The certificate and its key, if TLS ends here.
    pub fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key })
    }

    /// What anyone on the network can read along, in words; `None` when nothing is.
    pub fn exposure(&self) -> Option<String> {
        let is_open = !self.listen.ip().is_loopback() && self.tls_cert.is_none() && self.trusted_proxies.is_empty();
        is_open.then(|| {
            format!(
                "listening on {} without TLS and without a trusted proxy: passwords and keys cross the network in the \
                 clear. Set --tls-cert and --tls-key, or put a proxy in front and name it in --trusted-proxies",
                self.listen
            )
        })
    }

    /// The mail server, if there is one; an empty setting is none.
    pub fn mail_server(&self) -> Option<&str> {
        self.smtp_url.as_ref().map(|Secret(url)| url.trim()).filter(|url| !url.is_empty())
    }

    pub fn backups(&self) -> Option<BackupPlan> {
        let (every_hours, keep) = (self.backup_every, self.backup_keep);
        self.backup_dir.clone().map(|dir| BackupPlan { dir, every_hours, keep })
    }

    pub fn engine(&self, disposable_domains: DisposableDomains, stripe: StripeCaller) -> engine::Settings {
        engine::Settings {
            usage_id_days: self.usage_id_days,
            disposable_domains,
            stripe,
            stripe_pages: pages_of(&self.stripe_api_url),
            sends_mail: self.mail_server().is_some(),
            asks_rdap: self.rdap_url.is_some(),
            backups: self.backups(),
            ..engine::Settings::default()
        }
    }

    /// Refuses to wait for a replica that nobody makes.
    pub fn replication(&self) -> Result<Replication> {
        match (self.replication, self.ack) {
            (ReplicationBy::Off, AckFrom::Local) => Ok(Replication::Off),
            (ReplicationBy::Off, AckFrom::Replica) => Err(Error::field(
                "ack",
                "no_replica",
                "There is no replica to wait for: set REFLOOP_REPLICATION=litestream too, or REFLOOP_ACK=local.",
            )),
            (ReplicationBy::Litestream, AckFrom::Local) => Ok(Replication::Litestream(Ack::Local)),
            (ReplicationBy::Litestream, AckFrom::Replica) => {
                Ok(Replication::Litestream(Ack::Replica(self.litestream_socket.clone())))
            }
        }
    }

    pub fn capacity(&self) -> Capacity {
        Capacity { queued_writes: usize::try_from(self.queued_writes).unwrap_or(usize::MAX), ..Capacity::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls() {
        assert_eq!(public_url("https://api.example.com/").unwrap(), "https://api.example.com");
        for text in ["", "api.example.com", "ftp://x", "https://", "https://x/?a=1", "https://x y", "https://x\""] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }
}
