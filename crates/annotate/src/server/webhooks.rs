//! Telling webhooks what has happened, as Standard Webhooks has it: signed with HMAC-SHA-256, with an id that is the same at every
//! try and a time, so that whoever is told can refuse what is old or came already.
//!
//! What is to be told is in the database (`store/deliveries.rs`). Each webhook has a task of its own, so one that does not answer
//! keeps no other waiting, and no request of a browser waits for any.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Url, header};
use ring::hmac;
use tokio::task::JoinSet;

use super::{App, reply};
use crate::error::AnnotateError;
use crate::outgoing;
use crate::project::{Project, Webhook};
use crate::store::{Delivery, Store};

/// How often the database is asked whether anything is to be told.
const LOOK: Duration = Duration::from_secs(2);
/// What a secret begins with that is bytes in base64; others are taken as they are.
const ENCODED: &str = "whsec_";
/// Shortest key, in bytes, as Standard Webhooks has it: a shorter one could be guessed.
const MIN_KEY: usize = 24;

/// A webhook, ready to be told.
pub(super) struct Target {
    name: String,
    url: Url,
    key: hmac::Key,
    client: Client,
}

/// The webhooks of a project.
pub(super) fn targets(project: &Project) -> Result<Vec<Target>, AnnotateError> {
    let one = |hook| Target::new(project, hook);
    project.webhooks.iter().map(one).collect()
}

/// The key that a secret stands for.
fn key(secret: &str) -> Result<hmac::Key, String> {
    let bytes = match secret.strip_prefix(ENCODED) {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| format!("what follows {ENCODED} is no base64"))?,
        None => secret.as_bytes().to_owned(),
    };
    if bytes.len() < MIN_KEY {
        return Err(format!(
            "the secret has {} bytes, expected {MIN_KEY} at least",
            bytes.len()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The signature of a message.
fn signature(key: &hmac::Key, id: &str, at_secs: i64, body: &str) -> String {
    let signed = format!("{id}.{at_secs}.{body}");
    let tag = hmac::sign(key, signed.as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

impl Target {
    fn new(project: &Project, hook: &Webhook) -> Result<Self, AnnotateError> {
        let refused = |reason: String| AnnotateError::Io {
            action: "use the webhook",
            place: hook.name.clone(),
            remedy: "check its url and its secret in the project",
            source: io::Error::other(reason),
        };
        let secret = hook.secret.read(project)?;
        let url = Url::parse(&hook.url).map_err(|error| refused(error.to_string()))?;
        let client = outgoing::client();
        let client = match (hook.allow_private, url.scheme()) {
            (false, _) => outgoing::public_only(client),
            // A proxy could read it, and does not know this machine's own network.
            (true, "http") => client.no_proxy(),
            (true, _) => client,
        };
        Ok(Self {
            name: hook.name.clone(),
            url,
            key: key(secret.expose()).map_err(refused)?,
            client: client
                .build()
                .map_err(|error| refused(outgoing::reason(error)))?,
        })
    }

    /// Tells what is due, one after the other, and returns how much was told.
    async fn deliver(&self, store: &Store) -> Result<usize, AnnotateError> {
        let mut n_told = 0;
        while let Some(delivery) = store.due_delivery(&self.name).await? {
            match self.send(&delivery, store.unix_ms() / 1000).await {
                Ok(()) => {
                    store.delivered(delivery.delivery).await?;
                    n_told += 1;
                }
                Err(reason) => {
                    let (name, tries) = (&self.name, delivery.tries);
                    tracing::warn!(
                        "candor annotate: webhook {name:?} was not told at try {tries}: {reason}"
                    );
                    store.not_delivered(delivery).await?;
                }
            }
        }
        Ok(n_told)
    }

    async fn send(&self, delivery: &Delivery, at_secs: i64) -> Result<(), String> {
        let (id, body) = (&delivery.delivery, &delivery.body);
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at_secs.to_string())
            .header("webhook-signature", signature(&self.key, id, at_secs, body))
            .body(body.clone());
        let response = request.send().await.map_err(outgoing::reason)?;
        let status = response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("status {}", status.as_u16()))
        }
    }
}

/// Tells all webhooks of a project what is due now, and returns how much was told.
///
/// # Errors
/// As the database says.
pub async fn deliver(app: &App) -> Result<usize, AnnotateError> {
    let mut n_told = 0;
    for target in &app.webhooks {
        n_told += target.deliver(&app.store).await?;
    }
    Ok(n_told)
}

/// Goes on telling for as long as what is returned lives.
pub(super) fn keep_telling(apps: &[Arc<App>]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for app in apps {
        for i in 0..app.webhooks.len() {
            let app = Arc::clone(app);
            tasks.spawn(async move {
                loop {
                    if let Err(error) = app.webhooks[i].deliver(&app.store).await {
                        reply::log(&error);
                    }
                    tokio::time::sleep(LOOK).await;
                }
            });
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_signed_as_standard_webhooks_signs_them() {
        // The example of the specification's libraries; the second is from Python's `hmac`.
        let encoded = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(
            signature(&encoded, id, 1_614_265_330, "{\"test\": 2432232314}"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        let plain = key("a plain secret of 28 letters").unwrap();
        assert_eq!(
            signature(&plain, "d-1", 1_800_000_000, "{}"),
            "v1,S3YU17EJW7/CCgRIiCNs3ahOdTM/lWgchIarSZGfTcI="
        );
        // 23 letters, nothing at all, and 23 bytes in base64.
        for (secret, words) in [
            ("whsec_not base64", "no base64"),
            ("a secret of 23 letters.", "has 23 bytes"),
            ("whsec_", "has 0 bytes"),
            ("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "has 23 bytes"),
        ] {
            let refused = key(secret).unwrap_err();
            assert!(refused.contains(words), "{secret}: {refused}");
        }
    }
}
