//! The commands: the one place where everything is put together.

mod backup;
mod check;
mod demo;
mod doctor;
mod key;
mod log;
mod mail;
mod operator;
mod outbox;
mod payout;
mod program;
mod project;
mod read_ahead;
mod serve;

use crate::config::{Database, ServeSettings};
use crate::domain::error::{Error, Result};
use crate::engine::{Engine, Settings};
use crate::store::{Capacity, Clock, Store, is_existing_file};
use clap::{Parser, Subcommand};
use key::KeyCommand;
use mail::MailCommand;
use operator::OperatorCommand;
use outbox::OutboxCommand;
use payout::PayoutCommand;
use project::ProjectCommand;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

const DEFAULT_FILE: &str = "refloop.db";

/// A referral programme in one binary, for teams that sell an API.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    database: Database,

    /// Print exactly one JSON document
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server; needs no configuration
    Serve(Box<ServeSettings>),
    /// Make, list, show and change projects, and read and change their programs
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Make, list and revoke gateway keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make and list operators, who sign in to the console
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// See what mails look like
    #[command(subcommand)]
    Mail(MailCommand),
    /// See what is still to be told to other systems (mail, Stripe), and have it tried again
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// List payouts to partners; approve, cancel and retry them
    #[command(subcommand)]
    Payout(PayoutCommand),
    /// Recompute the ledger's chain, every balance from its entries alone, and the audit log's chain
    Verify {
        /// The database file; the same as --db
        file: Option<PathBuf>,
        /// What was kept of GET /v1/ledger/head, the ledger's head and the audit log's; - for standard input
        #[arg(long, value_name = "HEAD.json")]
        head: Option<PathBuf>,
        /// A head that was kept from the audit log, GET /v1/admin/projects/PROJECT/audit/head
        #[arg(long, value_name = "HEAD.json")]
        audit_head: Option<PathBuf>,
    },
    /// Copy the file while it is served, and check the copy
    Backup {
        /// The file to make, or a directory, where it gets a name with the time
        dest: PathBuf,
    },
    /// Put a backup back where there is no file, after checking it
    Restore {
        /// The backup
        src: PathBuf,
        /// A head that was kept from GET /v1/ledger/head, which the backup has to contain; - for standard input
        #[arg(long, value_name = "HEAD.json")]
        head: Option<PathBuf>,
    },
    /// Look for what is wrong with the file, its place and the settings of `serve`, which it takes as well
    Doctor(Box<ServeSettings>),
    /// Make a file with a year of made-up history, to look around in
    Demo(demo::DemoSettings),
    /// Ask a running server whether it is well
    Healthcheck {
        /// Where it listens
        #[arg(long, env = "REFLOOP_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Ask over TLS; the certificate is not checked
        #[arg(long)]
        tls: bool,
        /// Set where the server has it: then it is asked over TLS
        #[arg(long, env = "REFLOOP_TLS_CERT", hide = true)]
        tls_cert: Option<PathBuf>,
    },
}

/// What a command has to say: a document for programs, lines for people, and whether all is well.
struct Report {
    document: Value,
    text: String,
    ok: bool,
}

impl Report {
    fn new(document: Value, text: impl Into<String>) -> Self {
        Self { document, text: text.into(), ok: true }
    }
}

/// What clap has to say: help and version are no fault; wrong usage is a document, too, for who asked for one.
fn misused(fault: &clap::Error) -> ExitCode {
    let _ = fault.print();
    if !fault.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let message = fault.to_string();
        let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        print(&json!({ "error": { "code": "usage", "message": message, "errors": [] } }).to_string());
    }
    ExitCode::from(2)
}

/// Runs the command line of this process. Exit status 0, 1 for a fault, 2 for wrong usage.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return misused(&fault),
    };
    log::start(match &cli.command {
        Command::Serve(settings) => Some(settings),
        _ => None,
    });
    match execute(&cli) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(report)) => {
            let line = if cli.json { report.document.to_string() } else { report.text };
            print(line.trim_end());
            if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let details = error.fields.iter().map(|fault| format!("\n  {}: {}", fault.field, fault.detail));
            let details: String = if error.fields.len() > 1 { details.collect() } else { String::new() };
            let _ = writeln!(std::io::stderr(), "refloop: {}{details}", error.message);
            if cli.json {
                print(
                    &json!({ "error": { "code": error.code, "message": error.message, "errors": error.fields } })
                        .to_string(),
                );
            }
            ExitCode::FAILURE
        }
    }
}

/// A reader that has closed its end is no fault of ours.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn execute(cli: &Cli) -> Result<Option<Report>> {
    let db = cli.database.db.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    match &cli.command {
        Command::Serve(settings) => serve::serve(db, settings, cli.json).map(|()| None),
        Command::Project(command) => project::run(db, command).map(Some),
        Command::Key(command) => key::run(db, command).map(Some),
        Command::Operator(command) => operator::run(db, command).map(Some),
        Command::Verify { file, head, audit_head } => {
            check::verify(file.as_deref().unwrap_or(db), head.as_deref(), audit_head.as_deref()).map(Some)
        }
        Command::Backup { dest } => backup::backup(db, dest).map(Some),
        Command::Restore { src, head } => backup::restore(src, db, head.as_deref()).map(Some),
        Command::Doctor(settings) => Ok(Some(doctor::run(db, settings))),
        Command::Demo(settings) => demo::run(cli.database.db.as_deref(), settings).map(Some),
        Command::Mail(command) => mail::run(command).map(Some),
        Command::Outbox(command) => outbox::run(db, command).map(Some),
        Command::Payout(command) => payout::run(db, command).map(Some),
        Command::Healthcheck { listen, tls, tls_cert } => {
            check::healthcheck(*listen, *tls || tls_cert.is_some()).map(Some)
        }
    }
}

/// The engine on a file that is there already, to change something, beside a running server or without one.
fn open(db: &Path) -> Result<Engine> {
    open_by(db, Store::open)
}

/// The engine on a file that is there already, and that stays as it is. It is in no server's way.
fn open_to_read(db: &Path) -> Result<Engine> {
    open_by(db, Store::look)
}

fn open_by(db: &Path, open: fn(&Path, Clock, Capacity) -> Result<Store>) -> Result<Engine> {
    must_exist(db)?;
    let store = open(db, Clock::System, Capacity { readers: 1, ..Capacity::default() })?;
    Ok(Engine::new(Arc::new(store), Settings::default()))
}

fn must_exist(db: &Path) -> Result<()> {
    if is_existing_file(db) {
        return Ok(());
    }
    Err(Error::not_found(format!("there is no database at {}; `refloop serve` makes one", db.display())))
}

/// A file's text, or that of standard input for `-`.
fn read_file(path: &Path) -> Result<String> {
    const LONGEST: u64 = 8 << 20;
    let fault = |fault: &dyn std::fmt::Display| Error::not_found(format!("cannot read {}: {fault}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(LONGEST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
    };
    match read {
        Ok(_) if text.len() as u64 > LONGEST => Err(fault(&"it is longer than 8 MiB")),
        Ok(_) => Ok(text),
        Err(error) => Err(fault(&error)),
    }
}
