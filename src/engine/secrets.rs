//! Secrets that are shown once, and passwords.

use super::Engine;
use crate::domain::error::{Error, Result};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// A fresh 256-bit secret behind a prefix that says what it is for.
pub fn fresh(prefix: &str) -> Result<String> {
    Ok(format!("{prefix}{}", hex::encode(fresh_key()?)))
}

/// A key of 256 random bits.
pub fn fresh_key() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|fault| Error::internal(format!("no entropy: {fault}")))?;
    Ok(bytes)
}

/// argon2id with 19 MiB and 2 passes: some tens of milliseconds on this thread.
pub fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|fault| Error::internal(format!("argon2: {fault}")))
}

impl Engine {
    /// [`hash`] off the async threads, few at a time: the permit lives as long as the work.
    pub(super) async fn hash_password(&self, password: String) -> Result<String> {
        self.hashing(move || hash(&password)).await
    }

    /// Whether the password is the one behind the hash. Without a hash it is not, after the same work.
    pub(super) async fn password_matches(&self, password: String, hash: Option<String>) -> Result<bool> {
        let Some(hash) = hash else {
            self.hash_password(password).await?;
            return Ok(false);
        };
        let verify = move || match Argon2::default().verify_password(password.as_bytes(), hash.as_str()) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(fault) => Err(Error::internal(format!("argon2: {fault}"))),
        };
        self.hashing(verify).await
    }

    async fn hashing<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = std::sync::Arc::clone(&self.hashing).acquire_owned().await;
        let permit = permit.map_err(|_| Error::internal("the hasher stopped"))?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.unwrap_or_else(|_| Err(Error::internal("the hasher panicked")))
    }
}
