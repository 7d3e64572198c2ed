//! What operators do about payouts.

use super::{Report, open, open_to_read};
use crate::domain::error::Result;
use crate::domain::id::PayoutId;
use crate::domain::time;
use crate::engine::ListedPayout;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, Subcommand)]
pub enum PayoutCommand {
    /// List a project's payouts, newest first, and say which of them wait for an operator
    List {
        /// Slug or id
        #[arg(long, default_value = "default")]
        project: String,
        /// Only those that are not settled
        #[arg(long)]
        open: bool,
    },
    /// Let a payout go that waits for an approval
    Approve {
        /// The payout's id
        id: String,
    },
    /// Call a payout off that Stripe was not told of yet; its money comes back
    Cancel {
        /// The payout's id
        id: String,
    },
    /// Have an open payout tried again, or looked up, now
    Retry {
        /// The payout's id
        id: String,
        /// If Stripe was last told 25 hours ago or earlier and has no such transfer, give the money back
        #[arg(long)]
        resolve: bool,
    },
}

pub fn run(db: &Path, command: &PayoutCommand) -> Result<Report> {
    match command {
        PayoutCommand::List { project, open: only_open } => {
            let payouts = open_to_read(db)?.payouts_of_project(project, *only_open)?;
            let documents: Vec<_> = payouts.iter().map(document).collect();
            let text = payouts.iter().map(line).collect::<Vec<_>>().join("\n");
            Ok(Report::new(json!({ "payouts": documents }), text))
        }
        PayoutCommand::Approve { id } => {
            let id: PayoutId = id.parse()?;
            open(db)?.approve_payout(id)?;
            Ok(Report::new(json!({ "id": id, "approved": true }), format!("{id} is approved.")))
        }
        PayoutCommand::Cancel { id } => {
            let id: PayoutId = id.parse()?;
            open(db)?.cancel_payout(id)?;
            let text =
                format!("{id} will not be sent; a running server asks Stripe once more, and gives its money back.");
            Ok(Report::new(json!({ "id": id, "cancelled": true }), text))
        }
        PayoutCommand::Retry { id, resolve } => {
            let id: PayoutId = id.parse()?;
            open(db)?.retry_payout(id, *resolve)?;
            let text = format!("{id} will be tried again.");
            Ok(Report::new(json!({ "id": id, "retried": true, "resolve": resolve }), text))
        }
    }
}

fn line(listed: &ListedPayout) -> String {
    let row = &listed.payout;
    let waits = listed.waits_for().map(|what| format!("  waits for: {what}")).unwrap_or_default();
    let owes = if listed.owed > 0 { format!("  owes: {} {}", listed.owed, row.currency) } else { String::new() };
    let why = row.failure.as_ref().or(listed.problem.as_ref());
    let why = why.map(|why| format!("  {why}")).unwrap_or_default();
    let (id, account, amount) = (row.id, row.account, row.amount_minor);
    format!("{id}  {:<11}  {account}  {amount} {}{waits}{owes}{why}", row.status.as_str(), row.currency)
}

fn document(listed: &ListedPayout) -> Value {
    let row = &listed.payout;
    json!({
        "id": row.id,
        "developer_id": row.account,
        "amount": row.amount_minor,
        "currency": row.currency,
        "status": row.status.as_str(),
        "waits_for": listed.waits_for(),
        "owed": listed.owed,
        "problem": listed.problem,
        "failure": row.failure,
        "times_sent": row.times_sent,
        "last_sent_at": row.sendings.map(|sent| time::rfc3339(sent.last_at_ms)),
        "transfer_id": row.transfer,
        "reversed_amount": row.reversed_minor,
        "created_at": time::rfc3339(row.created_at_ms),
        "paid_at": row.paid_at_ms.map(time::rfc3339),
    })
}
