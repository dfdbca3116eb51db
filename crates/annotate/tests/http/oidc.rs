//! Sign-in by a provider: who is let in, and everything that keeps somebody out.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_annotate::store::Role;
use serde_json::json;

use crate::browser::Site;
use crate::provider::{Begun, Lab, NOW, SECRET, assert_refused, new_key, published, session};

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
async fn one_address_cannot_begin_any_number() {
    let lab = Lab::with_groups().await;
    let ask = async |path: &str, cookie: &str, address: [u8; 4]| {
        let request = Request::builder().uri(path).header("cookie", cookie);
        let mut request = request.body(Body::empty()).unwrap();
        let peer = ConnectInfo(SocketAddr::from((address, 4000)));
        request.extensions_mut().insert(peer);
        lab.site.send(request).await.status
    };
    let (one, other) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    for _ in 0..100 {
        assert_eq!(ask("/oidc", "", one).await, StatusCode::SEE_OTHER);
    }
    assert_eq!(ask("/oidc", "", one).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("/oidc", "", other).await, StatusCode::SEE_OTHER);
    // Whoever finishes one may begin another.
    let begun = lab.begin().await;
    let path = format!("/oidc/callback?code=c&state={}", begun.asked["state"]);
    assert_eq!(ask(&path, &begun.cookie, one).await, StatusCode::SEE_OTHER);
    assert_eq!(ask("/oidc", "", one).await, StatusCode::SEE_OTHER);
    assert_eq!(ask("/oidc", "", one).await, StatusCode::TOO_MANY_REQUESTS);
    lab.site.clock.pass(10 * 60 * 1000);
    assert_eq!(ask("/oidc", "", one).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn whoever_leaves_all_groups_is_out() {
    let lab = Lab::with_groups().await;
    let session = session(&lab.sign_in().await).unwrap();
    // A name is of no matter any more.
    lab.says().changed = json!({"groups": ["others"], "preferred_username": null});
    assert_refused(&lab.sign_in().await, "no part in this project");
    let me = lab.site.get("/api/me", &session).await;
    assert_eq!(me.code(), "login_required");
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
    // One that comes right after it waits: anybody could send tokens that make the app ask.
    {
        let mut says = lab.says();
        assert_eq!(says.n_keys, 2);
        let second = says.keys["keys"][0].clone();
        says.key = new_key();
        says.head["kid"] = "third".into();
        says.keys = json!({"keys": [second, published(&says.key, "third")]});
    }
    assert_refused(&lab.sign_in().await, "does not publish");
    let says = lab.says();
    assert_eq!((says.n_keys, says.n_configuration), (2, 1));
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_left_alone_and_what_it_said_holds() {
    let lab = Lab::with_groups().await;
    lab.says().status = StatusCode::BAD_GATEWAY;
    for _ in 0..3 {
        let reply = lab.site.get("/oidc", "").await;
        assert_refused(&reply, "its configuration: status 502");
    }
    assert_eq!(lab.says().n_configuration, 1);

    let lab = Lab::with_groups().await;
    assert!(session(&lab.sign_in().await).is_some());
    {
        let mut says = lab.says();
        says.status = StatusCode::BAD_GATEWAY;
        says.head["kid"] = "second".into();
    }
    for _ in 0..3 {
        assert_refused(&lab.sign_in().await, "does not publish");
    }
    assert_eq!(lab.says().n_keys, 2);
    lab.says().head["kid"] = "first".into();
    assert!(session(&lab.sign_in().await).is_some());
}

#[tokio::test]
async fn what_the_provider_names_is_private_and_what_it_says_is_bounded() {
    for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let lab = Lab::with_groups().await;
        lab.says().configuration = json!({endpoint: "http://login.example/"});
        let reply = lab.site.get("/oidc", "").await;
        assert_refused(&reply, "which is not https");
    }
    let lab = Lab::with_groups().await;
    // JSON all the same, so that it is the size that is refused.
    lab.says().configuration = json!({"more": "x".repeat(1 << 20)});
    let reply = lab.site.get("/oidc", "").await;
    assert_refused(&reply, "more than 1048576 bytes");
}

#[tokio::test]
async fn the_cookie_of_an_attempt_is_no_other_projects_session() {
    // The session of a project at `kitchens-sign-in` is in `__Host-candor.kitchens-sign-in`.
    let lab = Lab::open_at("path = \"kitchens\"\n", "everybody = \"annotator\"\n").await;
    let begun = lab.begin().await;
    let (name, _) = begun.cookie.split_once('=').unwrap();
    assert_eq!(name, "__Host-candor-sign-in.kitchens");
}

#[tokio::test]
async fn without_a_provider_there_is_no_such_page() {
    let site = Site::open().await;
    for path in ["/oidc", "/oidc/callback?code=c&state=s"] {
        assert_eq!(site.get(path, "").await.status, StatusCode::NOT_FOUND);
    }
    assert!(!site.get("/login", "").await.text().contains("/oidc"));
}
