//! What the provider is asked: its configuration, its keys, and an ID token for a code.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder, header};
use ring::digest;
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::begun::Begun;
use super::id_token::{self, Expected, Fault};
use super::keys::Keys;
use crate::error::AnnotateError;
use crate::outgoing;
use crate::project::{Oidc, Project, Secret, is_private_way};
use crate::store::Attempt;

/// How long configuration and keys are taken to be the provider's.
const FRESH: Duration = Duration::from_hours(1);
/// How long the provider is left alone after it did not answer.
const QUIET: Duration = Duration::from_secs(5);
/// How often keys are asked for anew because of a token with an unknown one: anybody can send such a token here.
const ANEW: Duration = Duration::from_mins(1);

/// The provider's configuration, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Configuration {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Something that the provider said, and when it last did not answer.
struct Said<T> {
    last: Option<(Instant, Arc<T>)>,
    failed: Option<(Instant, String)>,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self {
            last: None,
            failed: None,
        }
    }
}

impl<T> Said<T> {
    /// What holds without asking: what was said lately, or what came of asking a moment ago.
    fn known(&self, anew: bool) -> Option<Result<Arc<T>, String>> {
        if let Some((at, said)) = &self.last
            && at.elapsed() < FRESH
            && !anew
        {
            return Some(Ok(Arc::clone(said)));
        }
        let (at, reason) = self.failed.as_ref()?;
        (at.elapsed() < QUIET).then(|| self.or_last(reason.clone()))
    }

    /// Takes in what came of asking.
    fn take(&mut self, found: Result<T, String>) -> Result<Arc<T>, String> {
        match found {
            Ok(said) => {
                let said = Arc::new(said);
                self.last = Some((Instant::now(), Arc::clone(&said)));
                self.failed = None;
                Ok(said)
            }
            Err(reason) => {
                self.failed = Some((Instant::now(), reason.clone()));
                self.or_last(reason)
            }
        }
    }

    /// What was said last, however long ago, holds where the provider does not answer.
    fn or_last(&self, reason: String) -> Result<Arc<T>, String> {
        let last = self.last.as_ref().map(|(_, said)| Arc::clone(said));
        last.ok_or(reason)
    }
}

/// What is known of the provider. It is locked for moments: nobody waits for an answer that another one waits for.
#[derive(Default)]
struct Known {
    configuration: Said<Configuration>,
    keys: Said<Keys>,
    anew: Option<Instant>,
}

/// A provider of sign-in.
pub(in crate::server) struct Provider {
    pub(super) oidc: Oidc,
    redirect_uri: String,
    secret: Option<Secret>,
    client: Client,
    known: Mutex<Known>,
    pub(super) begun: Begun,
}

/// What the provider answers to a code.
#[derive(Deserialize)]
struct Granted {
    id_token: Option<String>,
}

impl Provider {
    /// The provider of a project, which is not asked anything yet.
    pub(in crate::server) fn new(project: &Project, oidc: &Oidc) -> Result<Self, AnnotateError> {
        let secret = oidc.client_secret.as_ref();
        let client = outgoing::client();
        // What is on this machine is not asked for through a proxy.
        let client = if oidc.issuer.starts_with("http://") {
            client.no_proxy()
        } else {
            client
        };
        Ok(Self {
            redirect_uri: format!("{}/oidc/callback", project.url()),
            secret: secret.map(|place| place.read(project)).transpose()?,
            client: client.build().map_err(|error| AnnotateError::Io {
                action: "prepare requests to",
                place: oidc.issuer.clone(),
                remedy: "check the certificates of the system",
                source: std::io::Error::other(outgoing::reason(error)),
            })?,
            oidc: oidc.clone(),
            known: Mutex::default(),
            begun: Begun::default(),
        })
    }

    /// Where a browser goes to sign in.
    pub(super) async fn address(&self, attempt: &Attempt) -> Result<Url, String> {
        let configuration = self.configuration().await?;
        let mut url = Url::parse(&configuration.authorization_endpoint)
            .map_err(|error| format!("its authorization endpoint is no address: {error}"))?;
        let hash = digest::digest(&digest::SHA256, attempt.verifier.as_bytes());
        let mut scope = "openid".to_owned();
        for more in self.oidc.scopes.iter().filter(|scope| *scope != "openid") {
            scope = format!("{scope} {more}");
        }
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.oidc.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &scope)
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(hash))
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// The claims of whoever signed in, for the code that the browser brought.
    pub(super) async fn claims(
        &self,
        code: &str,
        attempt: &Attempt,
        now_secs: i64,
    ) -> Result<Value, String> {
        let token = self.exchange(code, &attempt.verifier).await?;
        let expected = Expected {
            issuer: &self.oidc.issuer,
            client_id: &self.oidc.client_id,
            nonce: &attempt.nonce,
            now_secs,
        };
        let keys = self.keys(false).await?;
        let verified = match id_token::verify(&token, &keys, &expected) {
            Err(Fault::UnknownKey) => {
                let keys = self.keys(true).await?;
                id_token::verify(&token, &keys, &expected)
            }
            verified => verified,
        };
        verified.map_err(|fault| match fault {
            Fault::UnknownKey => {
                "its ID token is signed by a key that it does not publish".to_owned()
            }
            Fault::Wrong(reason) => format!("its ID token is refused: {reason}"),
        })
    }

    async fn exchange(&self, code: &str, verifier: &str) -> Result<String, String> {
        let configuration = self.configuration().await?;
        let request = self.request(&configuration, code, verifier);
        let granted: Granted = answer(request, "the exchange of the code").await?;
        granted
            .id_token
            .ok_or_else(|| "it gave no ID token for the code".to_owned())
    }

    /// The request of an ID token for a code.
    fn request(&self, configuration: &Configuration, code: &str, verifier: &str) -> RequestBuilder {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("code_verifier", verifier);
        let mut request = self.client.post(&configuration.token_endpoint);
        let methods = configuration.token_endpoint_auth_methods_supported.as_ref();
        let takes_basic =
            methods.is_none_or(|methods| methods.iter().any(|one| one == "client_secret_basic"));
        match &self.secret {
            Some(secret) if takes_basic => {
                // RFC 6749, section 2.3.1: both are encoded as in a form first.
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let password = encoded(secret.expose());
                request = request.basic_auth(encoded(&self.oidc.client_id), Some(password));
            }
            Some(secret) => {
                form.append_pair("client_id", &self.oidc.client_id)
                    .append_pair("client_secret", secret.expose());
            }
            None => {
                form.append_pair("client_id", &self.oidc.client_id);
            }
        }
        request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn configuration(&self) -> Result<Arc<Configuration>, String> {
        let known = self.known().configuration.known(false);
        if let Some(known) = known {
            return known;
        }
        let found = self.ask_configuration().await;
        self.known().configuration.take(found)
    }

    async fn ask_configuration(&self) -> Result<Configuration, String> {
        let issuer = self.oidc.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let found: Configuration = answer(self.client.get(url), "its configuration").await?;
        if found.issuer != self.oidc.issuer {
            return Err(format!("it calls itself {:?}", found.issuer));
        }
        for url in [
            &found.authorization_endpoint,
            &found.token_endpoint,
            &found.jwks_uri,
        ] {
            if !is_private_way(url) {
                return Err(format!(
                    "its configuration names {url:?}, which is not https"
                ));
            }
        }
        Ok(found)
    }

    /// The provider's keys, asked for anew where `anew` and not just done.
    async fn keys(&self, anew: bool) -> Result<Arc<Keys>, String> {
        let configuration = self.configuration().await?;
        if let Some(known) = self.known_keys(anew) {
            return known;
        }
        let keys = self.client.get(&configuration.jwks_uri);
        let set: Result<Value, String> = answer(keys, "its keys").await;
        self.known().keys.take(set.map(|set| Keys::of(&set)))
    }

    /// The keys without asking; whoever is given none is to ask, and the only one for some time to do so because of an unknown key.
    fn known_keys(&self, anew: bool) -> Option<Result<Arc<Keys>, String>> {
        let mut known = self.known();
        let may_ask = anew && known.anew.is_none_or(|at| at.elapsed() > ANEW);
        let keys = known.keys.known(may_ask);
        if may_ask && keys.is_none() {
            known.anew = Some(Instant::now());
        }
        keys
    }
}

/// The JSON that the provider answers. What it says beside a refusal is not passed on: it may hold what was sent.
async fn answer<T: for<'de> Deserialize<'de>>(
    request: RequestBuilder,
    what: &str,
) -> Result<T, String> {
    let request = request.header(header::ACCEPT, "application/json");
    let response = request
        .send()
        .await
        .map_err(|error| format!("{what}: {}", outgoing::reason(error)))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("{what}: status {}", status.as_u16()));
    }
    let bytes = outgoing::body(response).await?;
    serde_json::from_slice(&bytes).map_err(|_| format!("{what}: not the JSON that was expected"))
}
