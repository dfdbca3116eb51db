//! Sign-in by a provider, which here is a small one of the test's own, with a key that the test makes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use candor_annotate::store::Role;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use url::Url;

use crate::browser::{Reply, Site};

/// The time of the site's clock, in seconds.
const NOW: i64 = 1_800_000_000;
/// The secret that the provider gave the app.
const SECRET: &str = "s3+cret";

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn new_key() -> EcdsaKeyPair {
    let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap()
}

fn published(key: &EcdsaKeyPair, name: &str) -> Value {
    let point = key.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": name,
           "x": encoded(&point[1..33]), "y": encoded(&point[33..])})
}

/// What the provider does.
struct Says {
    issuer: String,
    key: EcdsaKeyPair,
    keys: Value,
    head: Value,
    /// The claims, but for what `changed` has otherwise; a null leaves one out.
    claims: Value,
    changed: Value,
    challenge: String,
    /// Headers and forms of the exchanges.
    asked: Vec<(HeaderMap, HashMap<String, String>)>,
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

async fn configuration(State(says): State<Shared>) -> Json<Value> {
    let issuer = says.lock().unwrap().issuer.clone();
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys")
    }))
}

async fn keys(State(says): State<Shared>) -> Json<Value> {
    Json(says.lock().unwrap().keys.clone())
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
struct Lab {
    site: Site,
    says: Shared,
    _secret: tempfile::TempDir,
}

/// An attempt that a browser has begun.
struct Begun {
    cookie: String,
    asked: HashMap<String, String>,
}

impl Lab {
    async fn open(roles: &str) -> Self {
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
        let site = Site::open_with(&format!(
            "[oidc]\nissuer = {issuer:?}\nclient_id = \"candor\"\nclient_secret_file = {secret:?}\n\
             name = \"the <lab>\"\n{roles}"
        ))
        .await;
        Self {
            site,
            says,
            _secret: folder,
        }
    }

    /// With roles by the groups of the provider.
    async fn with_groups() -> Self {
        Self::open("role_claim = \"groups\"\nadmins = [\"bosses\"]\nannotators = [\"people\"]\n")
            .await
    }

    fn says(&self) -> MutexGuard<'_, Says> {
        self.says.lock().unwrap()
    }

    /// Begins an attempt; the provider hears of it as a browser would tell.
    async fn begin(&self) -> Begun {
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
    async fn back(&self, cookie: &str, query: &str) -> Reply {
        let request = Request::builder()
            .uri(format!("/oidc/callback?{query}"))
            .header("cookie", cookie);
        self.site.send(request.body(Body::empty()).unwrap()).await
    }

    /// A whole sign-in.
    async fn sign_in(&self) -> Reply {
        let begun = self.begin().await;
        let query = format!("code=c%201&state={}", begun.asked["state"]);
        self.back(&begun.cookie, &query).await
    }
}

/// The session that somebody got, if they did.
fn session(reply: &Reply) -> Option<String> {
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

fn assert_refused(reply: &Reply, words: &str) {
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{words}");
    assert!(session(reply).is_none(), "{words}");
    assert!(
        reply.text().contains(words),
        "{words} is not in {}",
        reply.text()
    );
}

#[tokio::test]
async fn somebody_whom_the_provider_vouches_for_is_let_in() {
    let lab = Lab::with_groups().await;
    let login = lab.site.get("/login", "").await.text();
    assert!(
        login.contains("href=\"/oidc\"") && !login.contains("the <lab>"),
        "{login}"
    );
    let begun = lab.begin().await;
    let expected = [
        ("response_type", "code"),
        ("client_id", "candor"),
        ("redirect_uri", "https://annotate.example/oidc/callback"),
        ("scope", "openid profile"),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in expected {
        assert_eq!(begun.asked[name], value);
    }
    let query = format!(
        "code=c%201&state={}&iss={}",
        begun.asked["state"],
        lab.says().issuer
    );
    let reply = lab.back(&begun.cookie, &query).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::SEE_OTHER, "/"),
        "{}",
        reply.text()
    );
    let session = session(&reply).expect("a session");
    let me = lab.site.get("/api/me", &session).await.json();
    assert_eq!(
        (me["name"].as_str(), me["role"].as_str()),
        (Some("Anna"), Some("annotator"))
    );
    {
        let says = lab.says();
        let (headers, form) = &says.asked[0];
        // Encoded as in a form before it is put into the header.
        let basic = format!("Basic {}", STANDARD.encode("candor:s3%2Bcret"));
        assert_eq!(headers["authorization"], basic.as_str());
        assert_eq!(
            (form["grant_type"].as_str(), form["code"].as_str()),
            ("authorization_code", "c 1")
        );
        assert_eq!(
            form["redirect_uri"],
            "https://annotate.example/oidc/callback"
        );
        assert!(!form.contains_key("client_secret"));
    }
    // A password that nobody chose opens nothing.
    let form = "name=Anna&password=none";
    let login = lab.site.submit_form("/login", "", form).await;
    assert_eq!(login.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_account_is_that_of_the_subject_and_of_nobody_with_its_name() {
    let lab = Lab::with_groups().await;
    let other = lab.site.session("anna", Role::Admin).await;
    let first = session(&lab.sign_in().await).unwrap();
    let name = |session: String| {
        let site = &lab.site;
        async move { site.get("/api/me", &session).await.json()["name"].clone() }
    };
    assert_eq!(name(first.clone()).await, "Anna (2)");
    assert_eq!(name(other.clone()).await, "anna");
    // Another name of the same subject; another group is another role.
    lab.says().changed = json!({"preferred_username": "Bert", "groups": ["people", "bosses"]});
    let again = session(&lab.sign_in().await).unwrap();
    let me = lab.site.get("/api/me", &again).await.json();
    assert_eq!(
        (me["name"].as_str(), me["role"].as_str()),
        (Some("Anna (2)"), Some("admin"))
    );
    lab.says().changed = json!({"sub": "18"});
    let third = session(&lab.sign_in().await).unwrap();
    assert_eq!(name(third).await, "Anna (3)");

    let people = lab.site.get("/api/admin/people", &other).await.json();
    let person = people["people"][1]["person"].as_str().unwrap();
    let change = json!({"role": null, "disabled": true, "retrain": null});
    lab.site
        .post(&format!("/api/admin/people/{person}"), &other, &change)
        .await;
    lab.says().changed = json!({});
    assert_refused(&lab.sign_in().await, "disabled");
    let told = lab.site.get("/api/admin/events", &other).await.text();
    assert!(told.contains("Anna (2)") && !told.contains(SECRET));
}

#[tokio::test]
async fn a_token_that_is_not_for_this_sign_in_is_refused() {
    let lab = Lab::with_groups().await;
    for (changed, words) in [
        (json!({"nonce": "another"}), "of another sign-in"),
        (json!({"nonce": null}), "of another sign-in"),
        (json!({"aud": "another"}), "for another app"),
        (json!({"aud": null}), "for another app"),
        (
            json!({"aud": ["candor", "another"]}),
            "does not say who asked",
        ),
        (
            json!({"aud": ["candor", "another"], "azp": "another"}),
            "another app asked",
        ),
        (json!({"iss": "https://evil.example"}), "by another issuer"),
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"exp": null}), "expired"),
        (json!({"exp": "2099"}), "expired"),
        (json!({"iat": NOW + 61}), "of the future"),
        (json!({"nbf": NOW + 61}), "does not hold yet"),
        (json!({"sub": ""}), "who signed in"),
        (json!({"sub": 17}), "who signed in"),
        (json!({"groups": ["others"]}), "no part in this project"),
        (
            json!({"preferred_username": " \u{7} "}),
            "preferred_username",
        ),
    ] {
        lab.says().changed = changed;
        assert_refused(&lab.sign_in().await, words);
    }
    lab.says().changed = json!({});
    for (head, words) in [
        (json!({"alg": "none"}), "neither RS256 nor ES256"),
        (
            json!({"alg": "HS256", "kid": "first"}),
            "neither RS256 nor ES256",
        ),
        (json!({"alg": "RS256", "kid": "first"}), "does not publish"),
        (json!({"alg": "ES256", "kid": "second"}), "does not publish"),
        (
            json!({"alg": "ES256", "kid": "first", "crit": ["b64"]}),
            "an extension",
        ),
    ] {
        lab.says().head = head;
        assert_refused(&lab.sign_in().await, words);
    }
    lab.says().head = json!({"alg": "ES256", "kid": "first"});
    let right = std::mem::replace(&mut lab.says().key, new_key());
    assert_refused(&lab.sign_in().await, "signature does not hold");
    lab.says().key = right;
    // What is just still right, so that it was not something else that was refused.
    for changed in [
        json!({"exp": NOW - 59, "iat": NOW + 60}),
        json!({"aud": ["candor", "another"], "azp": "candor"}),
    ] {
        lab.says().changed = changed;
        assert!(session(&lab.sign_in().await).is_some());
    }
    let people = lab.site.store.members().await.unwrap().0;
    assert_eq!(people.len(), 1);
}

#[tokio::test]
async fn an_attempt_is_good_once_in_the_browser_that_began_it() {
    let lab = Lab::with_groups().await;
    let (mine, other) = (lab.begin().await, lab.begin().await);
    let query = |begun: &Begun| format!("code=c&state={}", begun.asked["state"]);
    for (cookie, query) in [
        ("", query(&mine)),
        (other.cookie.as_str(), query(&mine)),
        (mine.cookie.as_str(), "code=c".to_owned()),
        (mine.cookie.as_str(), "code=c&state=".to_owned()),
        ("__Host-candor-sign-in=", "code=c&state=".to_owned()),
        (
            "__Host-candor-sign-in=made-up",
            "code=c&state=made-up2".to_owned(),
        ),
    ] {
        assert_refused(&lab.back(cookie, &query).await, "did not begin it");
    }
    let made_up = lab
        .back("__Host-candor-sign-in=made-up", "code=c&state=made-up")
        .await;
    assert_refused(&made_up, "too long ago");
    assert!(
        lab.says().asked.is_empty(),
        "no code was taken to the provider"
    );

    // The provider knows the challenge of the one that was begun last.
    let refused = lab.back(&mine.cookie, &query(&mine)).await;
    assert_refused(&refused, "status 400");
    assert!(session(&lab.back(&other.cookie, &query(&other)).await).is_some());
    assert_refused(
        &lab.back(&other.cookie, &query(&other)).await,
        "too long ago",
    );

    let late = lab.begin().await;
    lab.site.clock.pass(10 * 60 * 1000);
    assert_refused(&lab.back(&late.cookie, &query(&late)).await, "too long ago");
    for (more, words) in [
        ("&iss=https%3A%2F%2Fevil.example", "another provider"),
        ("&error=access_denied", "access_denied"),
    ] {
        let begun = lab.begin().await;
        let query = format!("{}{more}", query(&begun));
        assert_refused(&lab.back(&begun.cookie, &query).await, words);
    }
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_asked_for_once() {
    let lab = Lab::open("everybody = \"annotator\"\n").await;
    assert!(session(&lab.sign_in().await).is_some());
    {
        let mut says = lab.says();
        says.key = new_key();
        says.head["kid"] = "second".into();
        says.keys = json!({"keys": [published(&says.key, "second")]});
    }
    assert!(
        session(&lab.sign_in().await).is_some(),
        "the new key is found"
    );
    lab.says().head["kid"] = "third".into();
    let before = lab.says().keys.clone();
    lab.says().keys = json!({"keys": [before["keys"][0], {"kid": "third"}]});
    assert_refused(&lab.sign_in().await, "does not publish");
}

#[tokio::test]
async fn without_a_provider_there_is_no_such_page() {
    let site = Site::open().await;
    for path in ["/oidc", "/oidc/callback?code=c&state=s"] {
        assert_eq!(site.get(path, "").await.status, StatusCode::NOT_FOUND);
    }
    assert!(!site.get("/login", "").await.text().contains("/oidc"));
}
