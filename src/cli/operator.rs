//! Operators.

use super::{Report, open, open_to_read};
use crate::domain::error::{Error, Result};
use crate::domain::operator::OperatorRole;
use crate::domain::time;
use crate::engine::OperatorRow;
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::Path;

#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make an operator; the password is one line on standard input
    Create {
        /// E-mail address, with which they sign in
        #[arg(long)]
        email: String,
        /// Whose projects they run: a team's slug or id
        #[arg(long, default_value = "default")]
        team: String,
        /// owner, operator or read_only [default: owner for the first of a team, then operator]
        #[arg(long, value_parser = role)]
        role: Option<OperatorRole>,
    },
    /// Switch off the second factor of an operator who has lost it, and sign them out everywhere
    Reset {
        /// E-mail address, with which they sign in
        #[arg(long)]
        email: String,
    },
    /// List operators
    List {
        /// Of this team only: its slug or id
        #[arg(long)]
        team: Option<String>,
    },
}

fn role(text: &str) -> std::result::Result<OperatorRole, String> {
    OperatorRole::parse(text).ok_or_else(|| "there are owner, operator and read_only".into())
}

pub fn run(db: &Path, command: &OperatorCommand) -> Result<Report> {
    match command {
        OperatorCommand::Create { email, team, role } => {
            // Whoever types keeps no server from starting.
            drop(open_to_read(db)?);
            let password = password()?;
            let made = open(db)?.create_operator_as(email, &password, team, *role)?;
            let document = json!({ "id": made.id, "email": made.email, "team_id": made.team.id, "team": made.team.slug, "role": made.role.as_str() });
            let role = made.role.title().to_lowercase();
            Ok(Report::new(document, format!("{} can sign in to {}, as its {role}.", made.email, made.team.slug)))
        }
        OperatorCommand::Reset { email } => {
            let id = open(db)?.reset_operator(email)?;
            let text = format!("{id} signs in with the password alone, and is signed out everywhere.");
            Ok(Report::new(json!({ "id": id, "second_factor": false }), text))
        }
        OperatorCommand::List { team } => {
            let operators = open_to_read(db)?.operators(team.as_deref())?;
            let documents: Vec<_> = operators.iter().map(document).collect();
            let line = |operator: &OperatorRow| {
                let OperatorRow { id, team_slug, email, role, .. } = operator;
                format!("{id}  {team_slug}  {:<9}  {email}", role.as_str())
            };
            let text = operators.iter().map(line).collect::<Vec<_>>().join("\n");
            Ok(Report::new(json!({ "operators": documents }), text))
        }
    }
}

fn document(operator: &OperatorRow) -> Value {
    json!({
        "id": operator.id,
        "email": operator.email,
        "team_id": operator.team,
        "team": operator.team_slug,
        "role": operator.role.as_str(),
        "second_factor": operator.has_second_factor,
        "created_at": time::rfc3339(operator.created_at_ms),
    })
}

/// One line of standard input. A second one would be a password that someone believes to be set and is not.
fn password() -> Result<String> {
    const LONGEST: u64 = 1 << 20;
    let refuse = |detail: String| Error::field("password", "unreadable_password", detail);
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let _ = write!(std::io::stderr(), "Password (it is shown as you type): ");
    }
    let (mut line, mut rest) = (String::new(), String::new());
    let mut input = stdin.lock().take(LONGEST);
    let read = input.read_line(&mut line);
    if !std::io::stdin().is_terminal() {
        let _ = input.read_to_string(&mut rest);
    }
    read.map_err(|fault| refuse(format!("Standard input cannot be read: {fault}.")))?;
    if !rest.trim().is_empty() {
        return Err(refuse("Give the password alone, as one line on standard input.".into()));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
