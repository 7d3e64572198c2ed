//! The log: lines on standard error.

use crate::config::{LogFormat, LoggedRequests, ServeSettings};
use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{fmt, prelude::*};

/// From here on what is traced is written. `REFLOOP_LOG` has the last word on what that is.
pub fn start(settings: Option<&ServeSettings>) {
    let (format, requests) =
        settings.map_or((None, LoggedRequests::default()), |settings| (settings.log_format, settings.log_requests));
    let asked = std::env::var("REFLOOP_LOG").ok().and_then(|asked| asked.parse().ok());
    let filter: Targets = asked.unwrap_or_else(|| {
        let requests = match requests {
            LoggedRequests::Faults => Level::WARN,
            LoggedRequests::All => Level::INFO,
        };
        let targets = [("refloop", Level::INFO), ("refloop::request", requests)];
        Targets::new().with_default(Level::WARN).with_targets(targets)
    });
    let usual = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format.unwrap_or(usual) {
        LogFormat::Text => lines.compact().with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // A second subscriber in one process can only be a test's.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    std::panic::set_hook(Box::new(log_panic));
}

/// Where it was, and not what it says: a library may quote what it was given.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(place, thread = thread.name().unwrap_or_default(), "panicked");
}
