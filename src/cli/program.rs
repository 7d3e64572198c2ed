//! A project's program: printing it, its versions, changing it, and trying a change.

use super::{Report, open, open_to_read, read_file};
use crate::domain::error::{Error, Result};
use crate::domain::money::grouped;
use crate::domain::program::{Party, Program};
use crate::domain::replay::{Comparison, Sum};
use crate::domain::time;
use crate::engine::{Engine, Project};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct ProgramCommand {
    /// Slug or id
    project: String,
    /// A program in JSON; - for standard input
    #[arg(conflicts_with_all = ["versions", "version"])]
    file: Option<PathBuf>,
    /// List all versions, with who made them and when
    #[arg(long, conflicts_with = "version")]
    versions: bool,
    /// Print this version
    #[arg(long, value_name = "N")]
    version: Option<i64>,
    /// Write nothing; say what FILE would have paid over the project's past, beside the program in force
    #[arg(long, requires = "file")]
    dry_run: bool,
}

pub fn run(db: &Path, command: &ProgramCommand) -> Result<Report> {
    let name = command.project.as_str();
    if let Some(file) = &command.file {
        let program = Program::from_json(&read_file(file)?)?;
        return if command.dry_run { try_out(db, name, &program) } else { set(db, name, program) };
    }
    let engine = open_to_read(db)?;
    let project = engine.project_named(name)?;
    if command.versions { list(&engine, &project) } else { print(&engine, &project, command.version) }
}

fn print(engine: &Engine, project: &Project, version: Option<i64>) -> Result<Report> {
    let text = match version {
        Some(version) => engine.program_text(project, version)?,
        None => engine.program(project)?.0.to_json(),
    };
    let document = serde_json::from_str(&text).map_err(|fault| Error::internal(fault.to_string()))?;
    Ok(Report::new(document, text))
}

fn list(engine: &Engine, project: &Project) -> Result<Report> {
    let (_, versions) = engine.program(project)?;
    let rows = versions.iter().map(|row| (row.version, row.author.as_str(), time::rfc3339(row.created_at_ms)));
    let line = |(version, author, at): (i64, &str, String)| format!("{version:>4}  {at:<24}  {author}");
    let text = rows.clone().map(line).collect::<Vec<_>>().join("\n");
    let document =
        |(version, author, at): (i64, &str, String)| json!({ "version": version, "author": author, "created_at": at });
    let documents: Vec<_> = rows.map(document).collect();
    Ok(Report::new(json!({ "project_id": project.id, "slug": project.slug, "versions": documents }), text))
}

fn set(db: &Path, name: &str, program: Program) -> Result<Report> {
    let engine = open(db)?;
    let project = engine.project_named(name)?;
    let version = engine.set_program(&project, program, "command line")?;
    let document = json!({ "project_id": project.id, "slug": project.slug, "version": version });
    Ok(Report::new(document, format!("{} now runs version {version} of its program.", project.slug)))
}

fn try_out(db: &Path, name: &str, proposed: &Program) -> Result<Report> {
    let engine = open_to_read(db)?;
    let project = engine.project_named(name)?;
    let (current, comparison) = engine.try_program(&project, proposed)?;
    let rules = comparison.rules.iter().map(|rule| {
        let mut document = compared(rule.current, rule.proposed);
        document["rule"] = json!(rule.rule);
        document["to"] = json!(rule.to);
        document
    });
    let document = json!({
        "project_id": project.id,
        "slug": project.slug,
        "version": current.version,
        "unit": current.unit,
        "proposed_unit": proposed.unit,
        "referrals": comparison.referrals,
        "rules": rules.collect::<Vec<_>>(),
        "total": compared(comparison.current, comparison.proposed),
    });
    Ok(Report::new(document, table(&comparison, &current, proposed)))
}

fn compared(current: Sum, proposed: Sum) -> Value {
    let sum = |sum: Sum| json!({ "grants": sum.grants, "sum": sum.amount });
    json!({ "current": sum(current), "proposed": sum(proposed), "difference": sum(current.to(proposed)) })
}

fn table(comparison: &Comparison, current: &Program, proposed: &Program) -> String {
    let mut text = format!(
        "Over {} referrals (before refunds; nothing was written):\n\n{:<40}  {:<8}  {:>26}  {:>26}  {:>26}\n",
        grouped(comparison.referrals),
        "rule",
        "to",
        format!("current, {}", current.unit),
        format!("proposed, {}", proposed.unit),
        "difference"
    );
    let mut line = |rule: &str, to: &str, current: Sum, proposed: Sum| {
        let cell = |sum: Sum| format!("{} in {}", grouped(sum.amount), grouped(sum.grants));
        let cells = [current, proposed, current.to(proposed)].map(cell);
        let [current, proposed, difference] = cells;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{rule:<40}  {to:<8}  {current:>26}  {proposed:>26}  {difference:>26}");
    };
    for rule in &comparison.rules {
        let to = match rule.to {
            Party::Referrer => "referrer",
            Party::Referee => "referee",
        };
        line(&rule.rule, to, rule.current, rule.proposed);
    }
    line("in all", "", comparison.current, comparison.proposed);
    text
}
