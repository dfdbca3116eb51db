//! Invitations, logins, cookies, from the browser's side, and what a load balancer sees.

use axum::http::StatusCode;
use candor_annotate::store::Role;

use crate::browser::{Reply, Site};

fn cookie(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie");
    let (pair, rules) = cookie
        .split_once("; ")
        .unwrap_or_else(|| panic!("{}: no cookie", reply.status));
    assert_eq!(rules, "Path=/; HttpOnly; SameSite=Lax; Secure");
    pair.strip_prefix("__Host-candor=")
        .expect("the name that HTTPS allows")
        .to_owned()
}

#[tokio::test]
async fn an_invitation_leads_to_the_guidelines_and_then_to_work() {
    let site = Site::open().await;
    let (secret, _) = site.store.invite(Role::Annotator, 1, None).await.unwrap();
    let path = format!("/invite/{secret}");
    assert!(site.get(&path, "").await.text().contains("annotator"));
    let short = site
        .submit_form(&path, "", "name=Anna&password=short")
        .await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(short.text().contains("at least 10 characters") && short.text().contains("Anna"));
    let joined = site
        .submit_form(&path, "", "name=Anna&password=0123456789")
        .await;
    assert_eq!(
        (joined.status, joined.header("location")),
        (StatusCode::SEE_OTHER, "/")
    );
    let session = cookie(&joined);
    assert_eq!(
        site.get("/", &session).await.header("location"),
        "/guidelines"
    );
    assert_eq!(
        site.get("/annotate", &session).await.header("location"),
        "/guidelines"
    );
    assert_eq!(
        site.submit_form("/guidelines", &session, "")
            .await
            .header("location"),
        "/annotate"
    );
    assert_eq!(site.get("/annotate", &session).await.status, StatusCode::OK);
    assert_eq!(
        site.get(&path, "").await.status,
        StatusCode::NOT_FOUND,
        "an invitation is used once"
    );

    let wrong = site
        .submit_form("/login", "", "name=anna&password=0123456788")
        .await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let right = site
        .submit_form("/login", "", "name=ANNA&password=0123456789")
        .await;
    let other = cookie(&right);
    assert_ne!(other, session);
    let out = site.submit_form("/logout", &other, "").await;
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(site.get("/api/me", &other).await.code(), "login_required");
    assert_eq!(site.get("/api/me", &session).await.status, StatusCode::OK);
}

#[tokio::test]
async fn guessing_has_to_wait() {
    let site = Site::open().await;
    for _ in 0..5 {
        let reply = site
            .submit_form("/login", "", "name=nobody&password=0123456789")
            .await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    let reply = site
        .submit_form("/login", "", "name=nobody&password=0123456789")
        .await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, "900")
    );
    site.clock.pass(900_000);
    let reply = site
        .submit_form("/login", "", "name=nobody&password=0123456789")
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_is_not_found_in_the_database() {
    let site = Site::open().await;
    let session = site.session("anna", Role::Annotator).await;
    assert_eq!(session.len(), 64, "256 bits in hexadecimal");
    assert!(site.store.session(&session, 1).await.unwrap().is_some());
    let events = serde_json::to_string(&site.store.events(0).await.unwrap()).unwrap();
    assert!(!events.contains(&session));
}

#[tokio::test]
async fn a_load_balancer_is_told_when_the_database_is_gone() {
    let site = Site::open().await;
    assert_eq!(site.get("/readyz", "").await.status, StatusCode::OK);
    site.store.close().await;
    let status = site.get("/readyz", "").await.status;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.get("/healthz", "").await.status, StatusCode::OK);
}
