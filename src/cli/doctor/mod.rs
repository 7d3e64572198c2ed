//! `refloop doctor`: everything about a file, its place and the settings that can be looked at, and what to do about it.

mod file;
mod reach;
mod settings;

use super::Report;
use crate::config::ServeSettings;
use crate::store::{Clock, Identity, content, identify, is_existing_file};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// It works, and should be otherwise.
    Warning,
    Fault,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// What was looked at, what was found, and what to do about it.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, state: State::Ok, detail: detail.into(), remedy: None }
    }

    fn warning(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Warning, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn fault(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Fault, ..Self::warning(check, detail, remedy) }
    }

    fn document(&self) -> Value {
        json!({ "check": self.check, "state": self.state.as_str(), "detail": self.detail, "remedy": self.remedy })
    }
}

/// Looks at the file, and at the settings as `serve` would have them. Warnings alone are no fault.
pub fn run(db: &Path, settings: &ServeSettings) -> Report {
    let now_ms = Clock::System.now_ms();
    let is_ours = is_existing_file(db) && identify(db) == Ok(Identity::Current);
    let content = if is_ours { content(db).ok() } else { None };
    let mut findings = file::look(db, content.as_ref(), now_ms);
    findings.extend(settings::look(db, settings, content.as_ref(), now_ms));
    findings.extend(reach::look(settings, content.as_ref(), now_ms));
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (faults, warnings) = (count(State::Fault), count(State::Warning));
    let documents: Vec<_> = findings.iter().map(Finding::document).collect();
    let document = json!({ "ok": faults == 0, "faults": faults, "warnings": warnings, "findings": documents });
    Report { document, text: table(&findings, faults, warnings), ok: faults == 0 }
}

fn table(findings: &[Finding], faults: usize, warnings: usize) -> String {
    let mut text = String::new();
    for Finding { check, state, detail, remedy } in findings {
        let _ = writeln!(text, "{:<8} {check:<12} {detail}", state.as_str());
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "{:<21} → {remedy}", "");
        }
    }
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let _ = write!(text, "\n{}, {}", counted(faults, "fault"), counted(warnings, "warning"));
    text
}
