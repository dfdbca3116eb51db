//! A small provider of sign-in on this machine, with a key that the test makes, and a site that takes its word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use url::Url;

use crate::browser::{Reply, Site};

/// The time of the site's clock, in seconds.
pub const NOW: i64 = 1_800_000_000;
/// The secret that the provider gave the app.
pub const SECRET: &str = "s3+cret";

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn new_key() -> EcdsaKeyPair {
    let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap()
}

pub fn published(key: &EcdsaKeyPair, name: &str) -> Value {
    let point = key.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": name,
           "x": encoded(&point[1..33]), "y": encoded(&point[33..])})
}

/// What the provider does.
pub struct Says {
    pub issuer: String,
    pub key: EcdsaKeyPair,
    pub keys: Value,
    /// What the configuration has otherwise.
    pub configuration: Value,
    pub head: Value,
    /// The claims, but for what `changed` has otherwise; a null leaves one out.
    pub claims: Value,
    pub changed: Value,
    pub challenge: String,
    /// Headers and forms of the exchanges.
    pub asked: Vec<(HeaderMap, HashMap<String, String>)>,
    /// Requests of the configuration and of the keys.
    pub n_configuration: usize,
    pub n_keys: usize,
    /// What both are answered with.
    pub status: StatusCode,
}

impl Says {
    fn token(&self) -> String {
        let mut claims = self.claims.clone();
        for (name, value) in self.changed.as_object().unwrap() {
            claims[name.as_str()] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        let signed = format!(
            "{}.{}",
            encoded(self.head.to_string()),
            encoded(claims.to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        let signature = if self.head["alg"] == "none" {
            String::new()
        } else {
            encoded(signature)
        };
        format!("{signed}.{signature}")
    }
}

type Shared = Arc<Mutex<Says>>;

async fn configuration(State(says): State<Shared>) -> (StatusCode, Json<Value>) {
    let mut says = says.lock().unwrap();
    says.n_configuration += 1;
    let issuer = &says.issuer;
    let mut configuration = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys")
    });
    for (name, value) in says.configuration.as_object().unwrap() {
        configuration[name.as_str()] = value.clone();
    }
    (says.status, Json(configuration))
}

async fn keys(State(says): State<Shared>) -> (StatusCode, Json<Value>) {
    let mut says = says.lock().unwrap();
    says.n_keys += 1;
    (says.status, Json(says.keys.clone()))
}

async fn exchange(
    State(says): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut says = says.lock().unwrap();
    let verifier = form.get("code_verifier").cloned().unwrap_or_default();
    let is_asker = encoded(digest(&SHA256, verifier.as_bytes())) == says.challenge;
    says.asked.push((headers, form));
    if is_asker {
        Json(json!({"token_type": "Bearer", "access_token": "x", "id_token": says.token()}))
            .into_response()
    } else {
        (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": "invalid_grant"})),
        )
            .into_response()
    }
}

/// A provider and a site that takes its word.
pub struct Lab {
    pub site: Site,
    pub says: Shared,
    _secret: tempfile::TempDir,
}

/// An attempt that a browser has begun.
pub struct Begun {
    pub cookie: String,
    pub asked: HashMap<String, String>,
}

impl Lab {
    pub async fn open(roles: &str) -> Self {
        Self::open_at("", roles).await
    }

    /// The same with more lines in the `[server]` of the site.
    pub async fn open_at(server: &str, roles: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = new_key();
        let says = Arc::new(Mutex::new(Says {
            keys: json!({"keys": [published(&key, "first")]}),
            head: json!({"alg": "ES256", "kid": "first"}),
            claims: json!({
                "iss": issuer, "aud": "candor", "sub": "17", "exp": NOW + 300, "iat": NOW,
                "preferred_username": "Anna", "groups": ["people"]
            }),
            changed: json!({}),
            challenge: String::new(),
            asked: Vec::new(),
            configuration: json!({}),
            n_configuration: 0,
            n_keys: 0,
            status: StatusCode::OK,
            issuer: issuer.clone(),
            key,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(exchange))
            .with_state(Arc::clone(&says));
        // It ends with the runtime of the test.
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let more = format!(
            "[oidc]\nissuer = {issuer:?}\nclient_id = \"candor\"\nclient_secret_file = \"{}\"\n\
             name = \"the <lab>\"\n{roles}",
            secret.display()
        );
        let site = Site::open_at(server, &more).await;
        Self {
            site,
            says,
            _secret: folder,
        }
    }

    /// With roles by the groups of the provider.
    pub async fn with_groups() -> Self {
        Self::open("role_claim = \"groups\"\nadmins = [\"bosses\"]\nannotators = [\"people\"]\n")
            .await
    }

    pub fn says(&self) -> MutexGuard<'_, Says> {
        self.says.lock().unwrap()
    }

    /// Begins an attempt; the provider hears of it as a browser would tell.
    pub async fn begin(&self) -> Begun {
        let reply = self.site.get("/oidc", "").await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text());
        let url = Url::parse(reply.header("location")).unwrap();
        assert!(
            url.as_str()
                .starts_with(&format!("{}/authorize?tenant=1&", self.says().issuer))
        );
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let cookie = reply.header("set-cookie");
        let (pair, rules) = cookie.split_once("; ").unwrap();
        assert_eq!(rules, "Path=/; HttpOnly; SameSite=Lax; Secure");
        let mut says = self.says();
        says.challenge.clone_from(&asked["code_challenge"]);
        says.claims["nonce"] = asked["nonce"].as_str().into();
        Begun {
            cookie: pair.to_owned(),
            asked,
        }
    }

    /// The browser comes back.
    pub async fn back(&self, cookie: &str, query: &str) -> Reply {
        let request = Request::builder()
            .uri(format!("/oidc/callback?{query}"))
            .header("cookie", cookie);
        self.site.send(request.body(Body::empty()).unwrap()).await
    }

    /// A whole sign-in.
    pub async fn sign_in(&self) -> Reply {
        let begun = self.begin().await;
        let query = format!("code=c%201&state={}", begun.asked["state"]);
        self.back(&begun.cookie, &query).await
    }
}

/// The session that somebody got, if they did.
pub fn session(reply: &Reply) -> Option<String> {
    reply
        .headers
        .get_all("set-cookie")
        .iter()
        .find_map(|cookie| {
            let (secret, _) = cookie
                .to_str()
                .unwrap()
                .strip_prefix("__Host-candor=")?
                .split_once(';')?;
            Some(secret.to_owned())
        })
}

pub fn assert_refused(reply: &Reply, words: &str) {
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{words}");
    assert!(session(reply).is_none(), "{words}");
    // The page says what the log does.
    assert!(!reply.text().contains(SECRET), "{words}");
    assert!(
        reply.text().contains(words),
        "{words} is not in {}",
        reply.text()
    );
}
