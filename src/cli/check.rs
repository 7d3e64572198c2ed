//! Whether a file, or a running server, is in order.

use super::read_ahead::reading_ahead;
use super::{Report, read_file};
use crate::domain::error::{Error, Result};
use crate::domain::ledger::{Heads, SignedHead};
use crate::store::{KeptHeads, is_existing_file, verify_all};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;

/// A head that was kept from the API.
pub fn kept_head<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_str(&read_file(path)?)
        .map_err(|fault| Error::conflict("unreadable_head", format!("{} is not a kept head: {fault}", path.display())))
}

/// Checks chain, balances and audit log of a file, and that both chains go on from heads that were kept: `head` may
/// have both.
pub fn verify(file: &Path, head: Option<&Path>, audit_head: Option<&Path>) -> Result<Report> {
    let heads: Option<Heads> = head.map(kept_head).transpose()?;
    let audit_head: Option<SignedHead> = audit_head.map(kept_head).transpose()?;
    let (ledger, beside) = heads.map_or((None, None), |heads| (Some(heads.ledger), heads.audit));
    let audit: Vec<_> = beside.into_iter().chain(audit_head).collect();
    if !is_existing_file(file) {
        return Err(Error::not_found(format!("there is no database at {}", file.display())));
    }
    let kept = KeptHeads { ledger: ledger.as_ref(), audit: &audit };
    let verdict = reading_ahead(file, || verify_all(file, kept))?;
    let head = hex::encode(verdict.head.hash);
    Ok(match verdict.fault {
        None => Report::new(
            json!({
                "ok": true,
                "entries": verdict.entries,
                "head": head,
                "audit": { "rows": verdict.audit.seq, "head": hex::encode(verdict.audit.hash) },
            }),
            format!("ok: {} entries, head {head}; {} rows of the audit log", verdict.entries, verdict.audit.seq),
        ),
        Some(fault) => Report {
            document: json!({ "ok": false, "seq": fault.seq, "problem": fault.problem }),
            text: match fault.seq {
                0 => format!("not ok: {}", fault.problem),
                seq => format!("not ok: entry {seq}: {}", fault.problem),
            },
            ok: false,
        },
    })
}

/// For a container's health check, where nothing else is installed. Over TLS the certificate is not checked: it is for
/// the server's name, and this asks its address.
pub fn healthcheck(listen: SocketAddr, tls: bool) -> Result<Report> {
    let address = match listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), listen.port()),
        _ => listen,
    };
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None);
    let config = config.tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build());
    let agent: ureq::Agent = config.timeout_global(Some(std::time::Duration::from_secs(5))).build().into();
    let scheme = if tls { "https" } else { "http" };
    match agent.get(format!("{scheme}://{address}/healthz")).call() {
        Ok(answer) if answer.status() == 200 => Ok(Report::new(json!({ "ok": true }), "ok")),
        Ok(_) => Err(Error::busy(format!("{address} does not answer with 200"))),
        Err(fault) => Err(Error::busy(format!("{address} does not answer: {fault}"))),
    }
}
