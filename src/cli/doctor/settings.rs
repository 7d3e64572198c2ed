//! Settings that contradict each other, or what is there.

use super::Finding;
use super::file::try_to_write;
use crate::config::ServeSettings;
use crate::domain::email::DisposableDomains;
use crate::domain::time::{HOUR_MS, rfc3339};
use crate::engine::{BackupPlan, backups_in};
use crate::store::{Content, StripeSetup, directory_of};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub fn look(db: &Path, settings: &ServeSettings, content: Option<&Content>, now_ms: i64) -> Vec<Finding> {
    let mut findings: Vec<_> = network(settings).into_iter().collect();
    findings.extend(mail(settings));
    findings.extend(domains(settings));
    let setups = content.map(|content| content.stripe.as_slice()).unwrap_or_default();
    findings.extend(setups.iter().filter_map(|setup| stripe(settings, setup)));
    if findings.is_empty() {
        findings.push(Finding::ok("settings", "nothing contradicts itself"));
    }
    findings.push(match settings.backups() {
        Some(plan) => backups(db, &plan, now_ms),
        None => Finding::warning(
            "backups",
            "none are made by themselves",
            "serve with --backup-dir DIR (REFLOOP_BACKUP_DIR), on another disk, or call `refloop backup` from cron",
        ),
    });
    findings
}

fn network(settings: &ServeSettings) -> Option<Finding> {
    let is_https = settings.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    let is_here = settings.listen.ip().is_loopback();
    let has_proxy = !settings.trusted_proxies.is_empty();
    let warning = |detail: &str, remedy: &str| Some(Finding::warning("settings", detail, remedy));
    match (is_https, is_here, has_proxy) {
        (false, _, true) => warning(
            "there is a trusted proxy, but the public URL does not begin with https://: cookies are sent in the clear, too",
            "set --public-url (REFLOOP_PUBLIC_URL) to the https:// address that the proxy serves",
        ),
        (false, false, false) => warning(
            "it listens to other machines, and what they say goes over the network in the clear",
            "listen on 127.0.0.1 behind a proxy with TLS, and set --public-url and --trusted-proxies",
        ),
        (true, _, false) => warning(
            "the public URL is https://, but no proxy is trusted: all visitors share one address, and its limits",
            "set --trusted-proxies (REFLOOP_TRUSTED_PROXIES) to the proxy's address, such as 127.0.0.1",
        ),
        _ => None,
    }
}

fn mail(settings: &ServeSettings) -> Option<Finding> {
    let from = settings.mail_from.as_ref().filter(|from| !from.trim().is_empty());
    match (settings.mail_server(), from) {
        (Some(_), None) => Some(Finding::fault(
            "settings",
            "there is a mail server, but nobody whom mail comes from: serve does not start",
            "set --mail-from (REFLOOP_MAIL_FROM)",
        )),
        (None, Some(_)) => Some(Finding::warning(
            "settings",
            "it is said whom mail comes from, but there is no mail server: none is sent",
            "set REFLOOP_SMTP_URL",
        )),
        (Some(url), Some(_)) => {
            let file = Path::new(url.strip_prefix('@')?);
            let mode = std::fs::metadata(file).ok()?.mode();
            (mode & 0o077 != 0).then(|| {
                let file = file.display();
                let detail = format!("{file} holds the mail server's password, and others on this machine may read it");
                Finding::warning("settings", detail, format!("chmod 600 {file}"))
            })
        }
        (None, None) => None,
    }
}

fn domains(settings: &ServeSettings) -> Option<Finding> {
    let file = settings.disposable_domains.as_ref()?;
    let read = crate::cli::read_file(file).and_then(|text| DisposableDomains::parse(&text));
    let remedy = "mend the file, or leave --disposable-domains (REFLOOP_DISPOSABLE_DOMAINS) out";
    read.err().map(|fault| Finding::fault("settings", format!("serve does not start: {}", fault.message), remedy))
}

fn stripe(settings: &ServeSettings, setup: &StripeSetup) -> Option<Finding> {
    let slug = &setup.slug;
    let is_live_key = ["sk_live_", "rk_live_"].iter().any(|prefix| setup.api_key.starts_with(prefix));
    let is_test_key = ["sk_test_", "rk_test_"].iter().any(|prefix| setup.api_key.starts_with(prefix));
    let is_stripe = settings.stripe_api_url == "https://api.stripe.com";
    if is_live_key && !is_stripe {
        let detail = format!("{slug}: a live key of Stripe's would be sent to {}", settings.stripe_api_url);
        return Some(Finding::fault("settings", detail, "leave --stripe-api-url (REFLOOP_STRIPE_API_URL) out"));
    }
    if is_test_key && !setup.is_test && is_stripe {
        let detail =
            format!("{slug} is live, but its Stripe key is a test key: payouts are marked paid, and no money moves");
        return Some(Finding::warning("settings", detail, format!("refloop project set {slug} stripe.api_key=@FILE")));
    }
    if !setup.has_webhook_secret && !setup.is_test {
        let detail = format!("{slug} has a Stripe key, but no webhook secret: what Stripe tells is refused");
        return Some(Finding::warning(
            "settings",
            detail,
            format!("refloop project set {slug} stripe.webhook_secret=@FILE"),
        ));
    }
    None
}

fn backups(db: &Path, plan: &BackupPlan, now_ms: i64) -> Finding {
    let dir = plan.dir.display();
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    let made = match backups_in(&plan.dir, db) {
        Ok(made) => made,
        Err(fault) => {
            return Finding::fault("backups", fault.message, format!("make the directory, or mount it: {dir}"));
        }
    };
    if let Err(fault) = try_to_write(&plan.dir) {
        let remedy = "give the directory to the user that refloop runs as, and see that it has space";
        return Finding::fault("backups", format!("{dir} cannot be written to: {fault}"), remedy);
    }
    let Some(newest) = made.iter().copied().filter(|at_ms| *at_ms <= now_ms).max() else {
        return Finding::warning(
            "backups",
            format!("there is none in {dir} yet"),
            "start the server: it makes one at once",
        );
    };
    let at = rfc3339(newest);
    if now_ms - newest > 2 * i64::from(plan.every_hours) * HOUR_MS {
        let remedy = "see that the server runs with this setting; its log says why the last one failed";
        return Finding::fault("backups", format!("the newest of {} in {dir} is of {at}", made.len()), remedy);
    }
    if device(&plan.dir) == device(directory_of(db)) {
        let detail = format!("{dir} is on the disk that the database is on: both go when it goes");
        return Finding::warning("backups", detail, "mount another one there, or copy the backups to another machine");
    }
    Finding::ok("backups", format!("{} in {dir}, the newest of {at}", made.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: ServeSettings,
    }

    #[test]
    fn keys_of_stripe_have_to_be_of_the_project_s_kind() {
        let settings = Line::parse_from(["refloop"]).settings;
        let found = |api_key: &str, is_test, has_webhook_secret| {
            let setup = StripeSetup { slug: "acme".into(), is_test, api_key: api_key.into(), has_webhook_secret };
            stripe(&settings, &setup)
                .map(|finding| (finding.state, finding.detail.contains("its Stripe key is a test key")))
        };
        assert_eq!(found("sk_live_1", false, true), None);
        for key in ["sk_test_1", "rk_test_1"] {
            assert_eq!(found(key, false, true), Some((State::Warning, true)), "{key}");
            assert_eq!(found(key, true, false), None, "{key}");
        }
        assert_eq!(found("rk_live_1", false, false), Some((State::Warning, false)));
    }
}
