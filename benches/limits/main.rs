//! What refloop is measured beside: the same HTTP set-up without work, SQLite without HTTP, and the obvious way to
//! combine the two. Also makes the databases for it. `benches/load.sh` runs it; `benches/README.md` says what for.

mod growth;
mod http;
mod raw;
mod seed;

use clap::{CommandFactory, Parser, Subcommand};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

// The product's allocator, so that the comparison is not one of allocators.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(name = "limits", about = "What refloop is measured beside; see benches/README.md")]
struct Cli {
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve answers without doing anything for them
    Http {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        workers: usize,
    },
    /// Serve usage events, each in a transaction of its own
    Naive {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        workers: usize,
        /// A seeded database that nothing else has open
        #[arg(long)]
        db: PathBuf,
    },
    /// Insert usage events without a server, with 1, 100 and 1000 in a transaction
    Sqlite {
        /// A seeded database that nothing else has open
        #[arg(long)]
        db: PathBuf,
        /// Events for each size of a transaction
        #[arg(long, default_value_t = 200_000)]
        rows: usize,
        /// How long each size may take
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Make a database with developers, credits and usage, and a list for the load
    Seed {
        #[arg(long)]
        db: PathBuf,
        #[arg(long, default_value_t = 1_000)]
        developers: usize,
        /// The ledger's entries, at least
        #[arg(long, default_value_t = 0)]
        entries: i64,
        /// What every developer starts with
        #[arg(long, default_value_t = 1_000_000_000)]
        credits: i64,
        /// Where the keys, a code and the developers go
        #[arg(long)]
        out: PathBuf,
    },
    /// Add up what the accounts of a database were charged, and count the entries
    Charged {
        #[arg(long)]
        db: PathBuf,
        /// What `seed` wrote
        #[arg(long)]
        list: PathBuf,
    },
    /// Fill a database and print the cost of an event at each size on the way
    Growth {
        /// A file that is not there yet
        #[arg(long)]
        db: PathBuf,
        #[arg(long)]
        developers: usize,
        /// The sizes, in entries
        #[arg(long, value_delimiter = ',')]
        entries: Vec<i64>,
        /// Send what is measured to one developer
        #[arg(long)]
        hot: bool,
        /// Stop after this time, wherever it has got to
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
}

fn main() -> Outcome {
    // `cargo bench` and `cargo test --all-targets` run it without one: that is no fault.
    let Some(command) = Cli::parse().command else { return Ok(Cli::command().print_help()?) };
    match command {
        Command::Http { listen, workers } => http::serve(listen, workers, None),
        Command::Naive { listen, workers, db } => http::serve(listen, workers, Some(raw::Naive::open(&db)?)),
        Command::Sqlite { db, rows, seconds } => raw::measure(&db, rows, seconds),
        Command::Seed { db, developers, entries, credits, out } => seed::seed(&db, developers, entries, credits, &out),
        Command::Charged { db, list } => seed::charged(&db, &list),
        Command::Growth { db, developers, entries, hot, seconds } => {
            growth::measure(&db, developers, &entries, hot, seconds)
        }
    }
}
