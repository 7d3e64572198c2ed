//! What `refloop doctor` asks of a file. Nothing is written, and it is in no server's way.

pub use super::backup::integrity;
use super::file::{self, Identity};
use super::schema::Schema;
use super::verify;
use crate::domain::error::Result;
use std::fs::{File, TryLockError};
use std::path::Path;

/// Whose file it is. Refuses what is not refloop's, and what is newer.
pub fn identify(path: &Path) -> Result<Identity> {
    file::identity(&verify::open(path)?, path, &Schema::CURRENT)
}

/// Whether a server, or a command that writes, has the file.
pub fn is_served(path: &Path) -> bool {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let lock = File::open(file::beside(&real, "-lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// What settings have to fit to.
#[derive(Debug, Clone)]
pub struct Content {
    /// The newest of what live projects have in the ledger; else when the file was made.
    pub newest_at_ms: i64,
    pub stripe: Vec<StripeSetup>,
}

/// A project that has a key of Stripe's.
#[derive(Clone)]
pub struct StripeSetup {
    pub slug: String,
    pub is_test: bool,
    /// Not to be printed.
    pub api_key: String,
    pub has_webhook_secret: bool,
}

impl std::fmt::Debug for StripeSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stripe for {}", self.slug)
    }
}

/// Reads what a file of this schema holds.
pub fn content(path: &Path) -> Result<Content> {
    let connection = verify::open(path)?;
    // Test projects have clocks of their own.
    let newest = "SELECT max(created_at_ms, coalesce((
                    SELECT max(recent.at_ms) FROM (SELECT at_ms, project_id FROM entry ORDER BY seq DESC LIMIT 1000) AS recent
                      JOIN project ON project.id = recent.project_id WHERE project.mode = 'live'), 0)) FROM instance";
    let newest_at_ms = connection.query_row(newest, [], |row| row.get(0))?;
    let setups = "SELECT slug, mode = 'test', stripe_api_key, stripe_webhook_secrets IS NOT NULL FROM project
                  WHERE stripe_api_key IS NOT NULL ORDER BY id";
    let mut setups = connection.prepare(setups)?;
    let setups = setups.query_map([], |row| {
        let (slug, is_test) = (row.get(0)?, row.get(1)?);
        Ok(StripeSetup { slug, is_test, api_key: row.get(2)?, has_webhook_secret: row.get(3)? })
    })?;
    Ok(Content { newest_at_ms, stripe: setups.collect::<rusqlite::Result<_>>()? })
}
