//! Secrets that are shown once, and passwords.

use super::Engine;
use crate::domain::error::{Error, Result};
use argon2::{Argon2, PasswordHasher};

/// A fresh 256-bit secret behind a prefix that says what it is for.
pub fn fresh(prefix: &str) -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|fault| Error::internal(format!("no entropy: {fault}")))?;
    Ok(format!("{prefix}{}", hex::encode(bytes)))
}

/// argon2id with 19 MiB and 2 passes: some tens of milliseconds on this thread.
pub fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|fault| Error::internal(format!("argon2: {fault}")))
}

impl Engine {
    /// [`hash`] off the async threads, few at a time: the permit lives as long as the work.
    pub(super) async fn hash_password(&self, password: String) -> Result<String> {
        let permit = std::sync::Arc::clone(&self.hashing).acquire_owned().await;
        let permit = permit.map_err(|_| Error::internal("the hasher stopped"))?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            hash(&password)
        });
        work.await.unwrap_or_else(|_| Err(Error::internal("the hasher panicked")))
    }
}
