//! Gateway keys.

use super::{Report, open, open_to_read};
use crate::domain::access::Scope;
use crate::domain::error::Result;
use crate::domain::id::KeyId;
use crate::domain::{text, time};
use crate::engine::KeyRow;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a gateway key; it is shown this one time
    Create {
        /// Slug or id
        #[arg(long, default_value = "default")]
        project: String,
        /// Comma-separated: referrals:read, referrals:write, usage:write, purchases:write, admin
        #[arg(long, value_parser = scopes)]
        scopes: Scopes,
        /// What it is for
        #[arg(long, value_parser = key_name)]
        name: Option<String>,
    },
    /// List a project's gateway keys
    List {
        /// Slug or id
        #[arg(long, default_value = "default")]
        project: String,
    },
    /// Revoke a gateway key
    Revoke {
        /// The key's id
        id: String,
    },
}

#[derive(Debug, Clone)]
pub struct Scopes(Vec<Scope>);

fn scopes(text: &str) -> std::result::Result<Scopes, String> {
    Scope::parse_list(text).map(Scopes).map_err(|fault| fault.message)
}

fn key_name(text: &str) -> std::result::Result<String, String> {
    text::display("name", text, 100).map_err(|fault| fault.message)
}

pub fn run(db: &Path, command: &KeyCommand) -> Result<Report> {
    match command {
        KeyCommand::Create { project, scopes, name } => {
            let made = open(db)?.make_gateway_key(project, scopes.0.clone(), name.clone())?;
            let scopes: Vec<_> = scopes.0.iter().map(|scope| scope.as_str()).collect();
            let document = json!({ "id": made.row.id, "key": made.secret, "scopes": scopes });
            let text = format!("{}\n\nThis is the only time it is shown ({}).", made.secret, made.row.id);
            Ok(Report::new(document, text))
        }
        KeyCommand::List { project } => {
            let keys = open_to_read(db)?.gateway_keys(project)?;
            let documents: Vec<_> = keys.iter().map(document).collect();
            let text = keys.iter().map(line).collect::<Vec<_>>().join("\n");
            Ok(Report::new(json!({ "keys": documents }), text))
        }
        KeyCommand::Revoke { id } => {
            let id: KeyId = id.parse()?;
            open(db)?.revoke_gateway_key(id)?;
            Ok(Report::new(json!({ "id": id, "revoked": true }), format!("{id} is revoked.")))
        }
    }
}

fn line(key: &KeyRow) -> String {
    let state = if key.revoked_at_ms.is_some() { "revoked" } else { "active" };
    format!("{}  {state:<7}  {}  {}", key.id, key.hint, key.scopes)
}

fn document(key: &KeyRow) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes.split(',').collect::<Vec<_>>(),
        "created_at": time::rfc3339(key.created_at_ms),
        "last_used_at": key.last_used_at_ms.map(time::rfc3339),
        "revoked_at": key.revoked_at_ms.map(time::rfc3339),
    })
}
