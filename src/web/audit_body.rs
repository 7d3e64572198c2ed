//! A row of the audit log as calls and files give it.

use crate::domain::audit::Record;
use crate::domain::time;
use serde_json::{Value, json};

pub fn body(record: &Record) -> Value {
    json!({
        "seq": record.seq,
        // `null`: about the team itself.
        "project_id": record.project,
        "actor": record.actor,
        "action": record.action,
        "subject": record.subject,
        "reason": record.reason,
        "details": serde_json::from_str::<Value>(&record.details).unwrap_or_default(),
        "ledger_seq": record.ledger.seq,
        "ledger_hash": hex::encode(record.ledger.hash),
        "at": time::rfc3339(record.at_ms),
        "hash": hex::encode(record.hash),
    })
}
