//! `refloop demo`: a file with a year of made-up history, lived through by the engine itself on a clock of its own.

mod behaviour;
mod calendar;
mod deeds;
mod dice;
mod farm;
mod history;
mod interrupted;
mod people;
mod world;

use super::Report;
use crate::domain::error::{Error, Result};
use crate::domain::money::grouped;
use crate::store::{check_free, give_name};
use clap::Args;
use interrupted::Interrupted;
use serde_json::json;
use std::fmt::Display;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use world::{Lived, World};

const DEFAULT_FILE: &str = "refloop-demo.db";

#[derive(Debug, Args)]
pub struct DemoSettings {
    /// The file to make; the same as --db [default: refloop-demo.db]
    file: Option<PathBuf>,
    /// How many developers there are at the end
    #[arg(long, default_value_t = 3_000, value_name = "N", value_parser = clap::value_parser!(u32).range(50..=20_000))]
    developers: u32,
    /// Another number makes another history
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// A directory of its own beside the file that is made, so that a half one is never found under its name.
struct Workshop(PathBuf);

impl Workshop {
    fn beside(file: &Path) -> Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&name).map_err(|fault| cannot("make a directory beside", file, &fault))?;
        Ok(Self(name.into()))
    }

    fn database(&self) -> PathBuf {
        self.0.join(DEFAULT_FILE)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn cannot(what: &str, file: &Path, fault: &dyn Display) -> Error {
    Error::conflict("cannot_make_demo", format!("cannot {what} {}: {fault}", file.display()))
}

pub fn run(db: Option<&Path>, settings: &DemoSettings) -> Result<Report> {
    let file = settings.file.as_deref().or(db).unwrap_or(Path::new(DEFAULT_FILE));
    check_free(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|fault| Error::internal(format!("cannot start a runtime: {fault}")))?;
    let interrupted = Interrupted::listen(&runtime)?;
    let workshop = Workshop::beside(file)?;
    let lived = World::make(&workshop.database(), settings, runtime, interrupted)?.live()?;
    give_name(&workshop.database(), file)?;
    Ok(report(file, &lived))
}

/// Where to go next.
fn report(file: &Path, lived: &Lived) -> Report {
    let serve = if file == Path::new(super::DEFAULT_FILE) {
        "refloop serve".to_owned()
    } else {
        format!("refloop serve --db {}", file.display())
    };
    let projects: Vec<_> = lived
        .projects
        .iter()
        .map(|project| {
            json!({
                "slug": project.slug, "name": project.name, "url": project.url, "email": project.email,
                "referrals": project.referrals, "in_debt": project.in_debt, "gateway_key": project.gateway_key,
            })
        })
        .collect();
    let document = json!({
        "db": file, "developers": lived.developers, "referrals": lived.referrals, "entries": lived.entries,
        "serve": serve, "password": lived.password, "projects": projects,
        "farmer": farm::EMAIL, "review": format!("{}/admin/default/review", world::URL),
        "operator": { "url": format!("{}/admin/login", world::URL), "email": lived.operator },
    });
    let mut text = format!(
        "{} is there: {} developers, {} referrals and {} ledger entries of the last twelve months.\n\n  {serve}\n\n\
         serves it. Then sign in:\n\n",
        file.display(),
        grouped(lived.developers),
        grouped(lived.referrals),
        grouped(lived.entries),
    );
    for project in &lived.projects {
        let _ = writeln!(text, "  {:<12} {:<38} {}", project.name, format!("{}/login", project.url), project.email);
        if let Some(email) = &project.in_debt {
            let _ = writeln!(text, "  {:<12} {:<38} {email}", "  in debt", "");
        }
    }
    let _ = writeln!(text, "  {:<12} {:<38} {}", "Operator", format!("{}/admin/login", world::URL), lived.operator);
    let review = format!("{}/admin/default/review", world::URL);
    let _ = writeln!(text, "  {:<12} {review:<38} a farmer's referrals wait", "Review");
    let _ = writeln!(text, "\n  Password     {}  (everyone's)\n", lived.password);
    for project in &lived.projects {
        let _ = writeln!(text, "  Gateway key  {}  ({})", project.gateway_key, project.slug);
    }
    Report::new(document, text)
}
