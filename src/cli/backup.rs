//! `refloop backup` and `refloop restore`: the whole file, out and back.

use super::check::kept_head;
use super::{Report, must_exist};
use crate::domain::backup;
use crate::domain::error::Result;
use crate::domain::ledger::Heads;
use crate::domain::money::grouped;
use crate::engine::{clear_unfinished, stem};
use crate::store::{Clock, Copied, Copying, KeptHeads, back_up, restore as put_back};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Copies the file to `to`, or under a name with the time into the directory `to`.
pub fn backup(db: &Path, to: &Path) -> Result<Report> {
    must_exist(db)?;
    let to = if to.is_dir() {
        clear_unfinished(to, db)?;
        to.join(backup::name(&stem(db), Clock::System.now_ms()))
    } else {
        to.to_owned()
    };
    let copied = back_up(db, &to, &mut progress())?;
    let text = format!("{} is there and in order: {}", copied.file.display(), figures(&copied));
    Ok(Report::new(document(&copied), text))
}

/// Puts a backup where `serve` finds it.
pub fn restore(from: &Path, db: &Path, head: Option<&Path>) -> Result<Report> {
    let heads: Option<Heads> = head.map(kept_head).transpose()?;
    let (ledger, audit) = heads.map_or((None, None), |heads| (Some(heads.ledger), heads.audit));
    let kept = KeptHeads { ledger: ledger.as_ref(), audit: audit.as_slice() };
    let copied = put_back(from, db, kept, Clock::System.now_ms(), &mut progress())?;
    let text = format!(
        "{} is there and in order: {}.\n\nIt knows nothing of what came after the backup. \"After a restore\" in the README \
         says what to\nsee to: keys that were revoked since, events of Stripe to be sent again, payouts to be looked at.",
        db.display(),
        figures(&copied)
    );
    Ok(Report::new(document(&copied), text))
}

fn figures(copied: &Copied) -> String {
    let (entries, head) = (grouped(copied.verdict.entries), hex::encode(copied.verdict.head.hash));
    format!("{}, {entries} entries, head {head}", size(copied.bytes))
}

fn document(copied: &Copied) -> Value {
    json!({
        "file": copied.file,
        "bytes": copied.bytes,
        "entries": copied.verdict.entries,
        "head": hex::encode(copied.verdict.head.hash),
    })
}

/// In megabytes, to one decimal.
pub fn size(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// Says on a terminal how far it is.
fn progress() -> impl FnMut(Copying) -> bool {
    let (is_terminal, mut shown) = (std::io::stderr().is_terminal(), None);
    move |copying| {
        let percent = copying.pages * 100 / copying.of.max(1);
        if is_terminal && shown.replace(percent) != Some(percent) {
            let end = if copying.pages == copying.of { ", checking it\n" } else { "" };
            let _ = write!(std::io::stderr(), "\r{percent:>3} % copied{end}");
        }
        true
    }
}
