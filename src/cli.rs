//! The commands: the one place where everything is put together.

use crate::config::{Database, ServeSettings};
use crate::domain::access::Scope;
use crate::domain::email::DisposableDomains;
use crate::domain::error::{Error, Result};
use crate::domain::id::KeyId;
use crate::domain::ledger::SignedHead;
use crate::domain::program::Program;
use crate::domain::{text, time};
use crate::engine::{Engine, Settings};
use crate::store::{Capacity, Clock, Store, is_existing_file, verify_file};
use crate::web::{self, Context};
use crate::work::Worker;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use std::io::{IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

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
    /// Show a project, or read and change its program
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Make, list and revoke gateway keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Recompute the ledger's chain and every balance from its entries alone
    Verify {
        /// The database file; the same as --db
        file: Option<PathBuf>,
        /// A head that was kept from GET /v1/ledger/head; - for standard input
        #[arg(long, value_name = "HEAD.json")]
        head: Option<PathBuf>,
    },
    /// Ask a running server whether it is well
    Healthcheck {
        /// Where it listens
        #[arg(long, env = "REFLOOP_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
        listen: SocketAddr,
    },
}

#[derive(Debug, Subcommand)]
enum ProjectCommand {
    /// Show a project's settings, secrets left out
    Show {
        /// Slug or id
        project: String,
    },
    /// Print a project's program as JSON, or make FILE its next version
    Program {
        /// Slug or id
        project: String,
        /// A program in JSON; - for standard input
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
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
struct Scopes(Vec<Scope>);

fn scopes(text: &str) -> std::result::Result<Scopes, String> {
    Scope::parse_list(text).map(Scopes).map_err(|fault| fault.message)
}

fn key_name(text: &str) -> std::result::Result<String, String> {
    text::display("name", text, 100).map_err(|fault| fault.message)
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

/// Runs the command line of this process. Exit status 0, 1 for a fault, 2 for wrong usage.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    start_log();
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

fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("REFLOOP_LOG").unwrap_or_else(|_| EnvFilter::new("warn,refloop=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process can only be a test's.
    let _ = if std::io::stderr().is_terminal() { log.compact().try_init() } else { log.json().try_init() };
}

fn execute(cli: &Cli) -> Result<Option<Report>> {
    let db = &cli.database.db;
    match &cli.command {
        Command::Serve(settings) => serve(db, settings, cli.json).map(|()| None),
        Command::Project(ProjectCommand::Show { project }) => show_project(db, project).map(Some),
        Command::Project(ProjectCommand::Program { project, file: None }) => print_program(db, project).map(Some),
        Command::Project(ProjectCommand::Program { project, file: Some(file) }) => {
            set_program(db, project, file).map(Some)
        }
        Command::Key(command) => key(db, command).map(Some),
        Command::Verify { file, head } => verify(file.as_ref().unwrap_or(db), head.as_deref()).map(Some),
        Command::Healthcheck { listen } => healthcheck(*listen).map(Some),
    }
}

/// The engine on a file that is there already, beside a running server or without one.
fn open(db: &Path) -> Result<Engine> {
    if !is_existing_file(db) {
        let message = format!("there is no database at {}; `refloop serve` makes one", db.display());
        return Err(Error::not_found(message));
    }
    let store = Store::open(db, Clock::System, Capacity { readers: 1, ..Capacity::default() })?;
    Ok(Engine::new(Arc::new(store), Settings::default()))
}

fn serve(db: &Path, settings: &ServeSettings, as_json: bool) -> Result<()> {
    let fault = |what: &str, fault: &dyn std::fmt::Display| Error::conflict("cannot_serve", format!("{what}: {fault}"));
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| fault(&format!("cannot listen on {}", settings.listen), &error))?;
    let listening = listener.local_addr().map_err(|error| fault("cannot listen", &error))?;
    let disposable_domains = match &settings.disposable_domains {
        Some(file) => DisposableDomains::parse(&read_file(file)?)?,
        None => DisposableDomains::default(),
    };
    let store = Arc::new(Store::serve(db, Clock::System, settings.capacity())?);
    let engine = Arc::new(Engine::new(store, settings.engine(disposable_domains)));
    let context = Arc::new(Context::new(Arc::clone(&engine), settings.web(listening)));
    greet(&engine, db, &context.settings.public_url, as_json)?;
    let for_worker = Arc::clone(&context);
    let worker = Worker::start(engine, move || for_worker.limiter.forget_idle())?;
    let served = web::serve(context, listener);
    drop(worker);
    served.map_err(|error| fault("the server stopped", &error))
}

/// Says where everything is. The secrets of a first start are shown now and never again.
fn greet(engine: &Engine, db: &Path, url: &str, as_json: bool) -> Result<()> {
    let first = engine.first_start()?;
    if as_json {
        let mut document = json!({ "url": url, "signup_url": format!("{url}/signup"), "db": db });
        if let Some(first) = first {
            document["operator_url"] = format!("{url}/admin/setup?token={}", first.operator_token).into();
            document["gateway_key"] = first.gateway_key.into();
        }
        print(&document.to_string());
        return Ok(());
    }
    print(&format!("refloop is serving {} on {url}\n", db.display()));
    print(&format!("  Signup page      {url}/signup"));
    if let Some(first) = first {
        print(&format!("  Operator link    {url}/admin/setup?token={}", first.operator_token));
        print(&format!("  Gateway key      {}", first.gateway_key));
        print("\n  The link and the key are shown this one time: keep them.");
    }
    print("");
    Ok(())
}

fn show_project(db: &Path, name: &str) -> Result<Report> {
    let engine = open(db)?;
    let project = engine.project_named(name)?;
    let (program, versions) = engine.program(&project)?;
    let newest = versions.first();
    let document = json!({
        "project_id": project.id,
        "team_id": project.team,
        "slug": project.slug,
        "name": project.name,
        "mode": project.mode,
        "host": project.host,
        "landing_url": project.landing_url,
        "key_prefix": project.key_prefix,
        "created_at": time::rfc3339(project.created_at_ms),
        "program": {
            "version": program.version,
            "unit": program.unit,
            "enabled": program.enabled,
            "author": newest.map(|version| &version.author),
            "created_at": newest.map(|version| time::rfc3339(version.created_at_ms)),
        },
    });
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    Ok(Report::new(document, text))
}

fn print_program(db: &Path, name: &str) -> Result<Report> {
    let engine = open(db)?;
    let (program, _) = engine.program(&engine.project_named(name)?)?;
    let text = program.to_json();
    let document = serde_json::from_str(&text).map_err(|fault| Error::internal(fault.to_string()))?;
    Ok(Report::new(document, text))
}

fn read_file(path: &Path) -> Result<String> {
    let mut text = String::new();
    let outcome = if path == Path::new("-") {
        std::io::stdin().take(1 << 20).read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|content| text = content)
    };
    outcome.map_err(|fault| Error::not_found(format!("cannot read {}: {fault}", path.display())))?;
    Ok(text)
}

fn set_program(db: &Path, name: &str, file: &Path) -> Result<Report> {
    let program = Program::from_json(&read_file(file)?)?;
    let engine = open(db)?;
    let project = engine.project_named(name)?;
    let version = engine.set_program(&project, program, "command line")?;
    let document = json!({ "project_id": project.id, "slug": project.slug, "version": version });
    Ok(Report::new(document, format!("{} now runs version {version} of its program.", project.slug)))
}

fn key(db: &Path, command: &KeyCommand) -> Result<Report> {
    match command {
        KeyCommand::Create { project, scopes, name } => {
            let made = open(db)?.make_gateway_key(project, scopes.0.clone(), name.clone())?;
            let scopes: Vec<_> = scopes.0.iter().map(|scope| scope.as_str()).collect();
            let document = json!({ "id": made.row.id, "key": made.secret, "scopes": scopes });
            Ok(Report::new(
                document,
                format!("{}\n\nThis is the only time it is shown ({}).", made.secret, made.row.id),
            ))
        }
        KeyCommand::List { project } => {
            let keys = open(db)?.gateway_keys(project)?;
            let line = |key: &crate::store::KeyRow| {
                let state = if key.revoked_at_ms.is_some() { "revoked" } else { "active" };
                format!("{}  {state:<7}  {}  {}", key.id, key.hint, key.scopes)
            };
            let text = keys.iter().map(line).collect::<Vec<_>>().join("\n");
            let documents = keys.iter().map(|key| {
                json!({
                    "id": key.id,
                    "name": key.name,
                    "hint": key.hint,
                    "scopes": key.scopes.split(',').collect::<Vec<_>>(),
                    "created_at": time::rfc3339(key.created_at_ms),
                    "last_used_at": key.last_used_at_ms.map(time::rfc3339),
                    "revoked_at": key.revoked_at_ms.map(time::rfc3339),
                })
            });
            Ok(Report::new(json!({ "keys": documents.collect::<Vec<_>>() }), text))
        }
        KeyCommand::Revoke { id } => {
            let id: KeyId = id.parse()?;
            open(db)?.revoke_gateway_key(id)?;
            Ok(Report::new(json!({ "id": id, "revoked": true }), format!("{id} is revoked.")))
        }
    }
}

fn verify(file: &Path, head: Option<&Path>) -> Result<Report> {
    let kept: Option<SignedHead> = match head {
        None => None,
        Some(path) => Some(serde_json::from_str(&read_file(path)?).map_err(|fault| {
            Error::conflict("unreadable_head", format!("{} is not a kept head: {fault}", path.display()))
        })?),
    };
    if !is_existing_file(file) {
        return Err(Error::not_found(format!("there is no database at {}", file.display())));
    }
    let verdict = verify_file(file, kept.as_ref())?;
    let head = hex::encode(verdict.head.hash);
    Ok(match verdict.fault {
        None => Report::new(
            json!({ "ok": true, "entries": verdict.entries, "head": head }),
            format!("ok: {} entries, head {head}", verdict.entries),
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
fn healthcheck(listen: SocketAddr) -> Result<Report> {
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
