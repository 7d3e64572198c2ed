//! What is still to be told to other systems.

use super::{Report, open, open_to_read};
use crate::domain::error::Result;
use crate::domain::id::DeliveryId;
use crate::domain::time;
use crate::engine::DeliveryRow;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, Subcommand)]
pub enum OutboxCommand {
    /// List what waits, and what is parked with the reason why
    List {
        /// Slug or id
        #[arg(long, default_value = "default")]
        project: String,
    },
    /// Have a delivery tried again now
    Retry {
        /// The delivery's id
        id: String,
    },
}

pub fn run(db: &Path, command: &OutboxCommand) -> Result<Report> {
    match command {
        OutboxCommand::List { project } => {
            let rows = open_to_read(db)?.open_deliveries(project)?;
            let documents: Vec<_> = rows.iter().map(document).collect();
            let text = rows.iter().map(line).collect::<Vec<_>>().join("\n");
            Ok(Report::new(json!({ "deliveries": documents }), text))
        }
        OutboxCommand::Retry { id } => {
            let id: DeliveryId = id.parse()?;
            open(db)?.retry_delivery(id)?;
            Ok(Report::new(json!({ "id": id, "state": "waiting" }), format!("{id} will be tried again.")))
        }
    }
}

fn line(row: &DeliveryRow) -> String {
    let problem = row.problem.as_deref().unwrap_or_default();
    let line = format!("{}  {:<7}  {}  tries {}  {problem}", row.id, row.state, row.kind, row.tries);
    line.trim_end().to_owned()
}

fn document(row: &DeliveryRow) -> Value {
    json!({
        "id": row.id,
        "kind": row.kind,
        "developer_id": row.account,
        "body": serde_json::from_str::<Value>(&row.body).unwrap_or_default(),
        "state": row.state,
        "tries": row.tries,
        "due_at": time::rfc3339(row.due_at_ms),
        "problem": row.problem,
        "created_at": time::rfc3339(row.created_at_ms),
    })
}
