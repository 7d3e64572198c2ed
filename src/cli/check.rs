//! Whether a file, or a running server, is in order.

use super::read_ahead::reading_ahead;
use super::{Report, read_file};
use crate::domain::error::{Error, Result};
use crate::domain::ledger::{Heads, SignedHead};
use crate::store::{KeptHeads, is_existing_file, verify_all};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

fn kept_head<T: DeserializeOwned>(path: &Path) -> Result<T> {
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

/// Enough HTTP for a container's health check, where nothing else is installed.
pub fn healthcheck(listen: SocketAddr) -> Result<Report> {
    let address = match listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), listen.port()),
        _ => listen,
    };
    let ask = || -> std::io::Result<String> {
        let patience = std::time::Duration::from_secs(5);
        let mut stream = std::net::TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => Ok(Report::new(json!({ "ok": true }), "ok")),
        Ok(_) => Err(Error::busy(format!("{address} does not answer with 200"))),
        Err(fault) => Err(Error::busy(format!("{address} does not answer: {fault}"))),
    }
}
