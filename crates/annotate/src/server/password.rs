//! Passwords: argon2id, a few at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use crate::error::Refusal;

/// Hashing one takes 19 MiB; more at once wait.
const AT_A_TIME: usize = 2;
/// Shortest password, in characters (NIST SP 800-63B asks for 8).
const MIN_CHARS: usize = 10;
/// Longest password, in bytes.
const MAX_BYTES: usize = 1024;

/// Hashes and checks passwords.
pub(super) struct Passwords {
    turns: Semaphore,
    /// What a login without an account is compared with, so that it takes as long as one with.
    decoy: String,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_A_TIME),
            decoy: hash("no account has this password"),
        }
    }
}

fn hash(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("argon2 accepts every password of bounded length")
        .to_string()
}

fn matches(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

impl Passwords {
    /// The hash of a new password.
    pub(super) async fn hash(&self, password: String) -> Result<String, Refusal> {
        if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
            let found = format!("has {} characters", password.chars().count());
            return Err(Refusal::invalid(
                "password",
                found,
                "choose one of at least 10 characters",
            ));
        }
        let turn = self.turns.acquire().await;
        let hashed = tokio::task::spawn_blocking(move || hash(&password)).await;
        drop(turn);
        hashed.map_err(|_| Refusal::invalid("password", "cannot be hashed", "choose another"))
    }

    /// Whether a password is the one with this hash; without a hash it is not, and takes as long.
    pub(super) async fn check(&self, password: String, hash: Option<String>) -> bool {
        if password.len() > MAX_BYTES {
            return false;
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let turn = self.turns.acquire().await;
        let good = tokio::task::spawn_blocking(move || matches(&password, &hash)).await;
        drop(turn);
        known && good.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_argon2id_with_the_parameters_that_owasp_asks_for() {
        let hash = hash("correct horse");
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(matches("correct horse", &hash));
        assert!(!matches("correct horsf", &hash));
    }
}
