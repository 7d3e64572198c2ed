//! Whether the systems that are set can be reached. No others are asked for anything.

use super::Finding;
use crate::config::ServeSettings;
use crate::domain::payout::CLOCKS_DIFFER_MS;
use crate::domain::stripe::api::{ApiCall, Reply, differs};
use crate::engine::Secret;
use crate::store::{Content, StripeSetup};
use crate::work::{RdapClient, SmtpServer, StripeClient};
use std::path::Path;
use std::time::Duration;

/// For each of them.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn look(settings: &ServeSettings, content: Option<&Content>, now_ms: i64) -> Vec<Finding> {
    let setups = content.map(|content| content.stripe.as_slice()).unwrap_or_default();
    // Test projects have no Stripe.
    let live = setups.iter().filter(|setup| !setup.is_test);
    let mut findings: Vec<_> = mail(settings).into_iter().collect();
    findings.extend(live.map(|setup| stripe(settings, setup, now_ms)));
    findings.extend(rdap(settings));
    findings
}

fn mail(settings: &ServeSettings) -> Option<Finding> {
    let url = settings.mail_server()?;
    let server = match url.strip_prefix('@') {
        Some(file) => crate::cli::read_file(Path::new(file)).and_then(|url| SmtpServer::parse(&url)),
        None => SmtpServer::parse(url),
    };
    let remedy = "see to REFLOOP_SMTP_URL: host, port, user and password, and that this machine may connect to it";
    Some(match server.map(|server| server.with_patience(PATIENCE)) {
        Err(fault) => Finding::fault("mail", fault.message, remedy),
        Ok(server) => match server.probe() {
            Ok(()) => Finding::ok("mail", "the server answers and takes what it is told"),
            Err(problem) => Finding::fault("mail", format!("the server cannot be used: {problem}"), remedy),
        },
    })
}

/// Stripe answers with its clock, too.
fn stripe(settings: &ServeSettings, setup: &StripeSetup, now_ms: i64) -> Finding {
    let (slug, url) = (&setup.slug, &settings.stripe_api_url);
    let call = ApiCall { path: "/v1/balance".into(), form: None, idempotency_key: None };
    let reply = StripeClient::with_timeout(url, PATIENCE).call(&call, &Secret(setup.api_key.clone()));
    let apart_s = differs(&reply, now_ms) / 1_000;
    match reply {
        // A key that may not do this one thing is answered 403, and is good for others.
        Reply::Answer(answer) if answer.status == 401 => Finding::fault(
            "stripe",
            format!("{slug}: Stripe does not know the key"),
            format!("refloop project set {slug} stripe.api_key=@FILE"),
        ),
        Reply::Answer(answer) if answer.status >= 500 => Finding::warning(
            "stripe",
            format!("{url} answers {}", answer.status),
            "payouts wait until it is well again; see https://status.stripe.com",
        ),
        Reply::Answer(_) if apart_s > CLOCKS_DIFFER_MS / 1_000 => Finding::fault(
            "stripe",
            format!("{slug}: this machine's clock and Stripe's are {apart_s} seconds apart: no payout is sent"),
            "set this machine's clock, by NTP (timedatectl set-ntp true)",
        ),
        Reply::Answer(_) => Finding::ok("stripe", format!("{slug}: {url} answers, and knows the key")),
        Reply::NotSent(problem) | Reply::Lost(problem) => Finding::fault(
            "stripe",
            format!("{slug}: {url} cannot be reached: {problem}"),
            "see that this machine may connect to it; payouts wait until then",
        ),
    }
}

fn rdap(settings: &ServeSettings) -> Option<Finding> {
    let url = settings.rdap_url.as_ref()?;
    let remedy =
        "see to REFLOOP_RDAP_URL, and that this machine may connect to it; until then no domain's age is known";
    Some(match RdapClient::new(url).probe() {
        Ok(()) => Finding::ok("rdap", format!("{url} answers")),
        Err(problem) => Finding::warning("rdap", format!("{url}: {problem}"), remedy),
    })
}
