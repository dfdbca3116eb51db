//! Which handler answers which route.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post, put};
use candor_web::Headers;

use super::{
    App, adjudicating, administering, annotating, images, importing, machines, metrics, oidc,
    origin, pages, renewal, statics, tokens,
};

/// No inline script or style, nothing from elsewhere, no framing, and no string becomes markup.
pub(super) const HEADERS: Headers = Headers {
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    referrer: "same-origin",
};

/// Largest body of a request.
const MAX_BODY_BYTES: usize = 256 << 10;

/// Every route: method, path, and whether it is described in `openapi.json`.
pub const ROUTES: [(&str, &str, bool); 54] = [
    ("get", "/", false),
    ("get", "/login", false),
    ("post", "/login", false),
    ("post", "/logout", false),
    ("get", "/oidc", false),
    ("get", "/oidc/callback", false),
    ("get", "/invite/{token}", false),
    ("post", "/invite/{token}", false),
    ("get", "/renew/{token}", false),
    ("post", "/renew/{token}", false),
    ("get", "/guidelines", false),
    ("post", "/guidelines", false),
    ("get", "/annotate", false),
    ("get", "/adjudicate", false),
    ("get", "/admin", false),
    ("get", "/static/{name}", false),
    ("get", "/api/me", true),
    ("get", "/api/project", true),
    ("post", "/api/claim", true),
    ("get", "/api/assignments/{assignment}/image/{number}", true),
    ("post", "/api/heartbeat", true),
    ("put", "/api/assignments/{assignment}/draft", true),
    ("post", "/api/assignments/{assignment}/answer", true),
    ("post", "/api/assignments/{assignment}/skip", true),
    ("post", "/api/assignments/{assignment}/flag", true),
    ("post", "/api/undo", true),
    ("get", "/api/adjudication", true),
    ("get", "/api/adjudication/{item}", true),
    ("post", "/api/adjudication/{item}/decide", true),
    ("post", "/api/adjudication/{item}/send_back", true),
    ("post", "/api/adjudication/{item}/withdraw", true),
    ("post", "/api/adjudication/{item}/reopen", true),
    ("get", "/api/admin/overview", true),
    ("get", "/api/admin/quality", true),
    ("get", "/api/admin/days", true),
    ("get", "/api/admin/days.csv", true),
    ("post", "/api/admin/pause", true),
    ("get", "/api/admin/people", true),
    ("post", "/api/admin/people/{person}", true),
    ("post", "/api/admin/people/{person}/renewal", true),
    ("post", "/api/admin/invites", true),
    ("get", "/api/admin/tokens", true),
    ("post", "/api/admin/tokens", true),
    ("post", "/api/admin/tokens/{token}/revoke", true),
    ("post", "/api/admin/import", true),
    ("post", "/api/admin/images", true),
    ("get", "/api/admin/export", true),
    ("get", "/api/admin/events", true),
    ("get", "/api/items/{item}/image/{number}", true),
    ("get", "/healthz", true),
    ("get", "/readyz", true),
    ("get", "/metrics", true),
    ("get", "/api/openapi.json", true),
    ("get", "/favicon.ico", false),
];

fn handler(method: &str, path: &str) -> MethodRouter<Arc<App>> {
    match (method, path) {
        ("get", "/") => get(pages::start),
        ("get", "/login") => get(pages::login),
        ("post", "/login") => post(pages::log_in),
        ("post", "/logout") => post(pages::log_out),
        ("get", "/oidc") => get(oidc::begin),
        ("get", "/oidc/callback") => get(oidc::callback),
        ("get", "/invite/{token}") => get(pages::invite),
        ("post", "/invite/{token}") => post(pages::join),
        ("get", "/renew/{token}") => get(renewal::form),
        ("post", "/renew/{token}") => post(renewal::renew),
        ("get", "/guidelines") => get(pages::guidelines),
        ("post", "/guidelines") => post(pages::accept_guidelines),
        ("get", "/annotate") => get(pages::annotate),
        ("get", "/adjudicate") => get(pages::adjudicate),
        ("get", "/admin") => get(pages::admin),
        ("get", "/static/{name}") => get(statics::file),
        ("get", "/favicon.ico") => get(statics::icon),
        ("get", "/api/me") => get(annotating::me),
        ("get", "/api/project") => get(annotating::project),
        ("post", "/api/claim") => post(annotating::claim),
        ("get", "/api/assignments/{assignment}/image/{number}") => get(images::of_task),
        ("post", "/api/heartbeat") => post(annotating::heartbeat),
        ("put", "/api/assignments/{assignment}/draft") => put(annotating::draft),
        ("post", "/api/assignments/{assignment}/answer") => post(annotating::answer),
        ("post", "/api/assignments/{assignment}/skip") => post(annotating::skip),
        ("post", "/api/assignments/{assignment}/flag") => post(annotating::flag),
        ("post", "/api/undo") => post(annotating::undo),
        ("get", "/api/adjudication") => get(adjudicating::queue),
        ("get", "/api/adjudication/{item}") => get(adjudicating::case),
        ("post", "/api/adjudication/{item}/decide") => post(adjudicating::decide),
        ("post", "/api/adjudication/{item}/send_back") => post(adjudicating::send_back),
        ("post", "/api/adjudication/{item}/withdraw") => post(adjudicating::withdraw),
        ("post", "/api/adjudication/{item}/reopen") => post(adjudicating::reopen),
        ("get", "/api/admin/overview") => get(administering::overview),
        ("get", "/api/admin/quality") => get(administering::quality),
        ("get", "/api/admin/days") => get(administering::days),
        ("get", "/api/admin/days.csv") => get(administering::days_csv),
        ("post", "/api/admin/pause") => post(administering::pause),
        ("get", "/api/admin/people") => get(administering::people),
        ("post", "/api/admin/people/{person}") => post(administering::amend),
        ("post", "/api/admin/people/{person}/renewal") => post(administering::offer_renewal),
        ("post", "/api/admin/invites") => post(administering::invite),
        ("get", "/api/admin/tokens") => get(tokens::list),
        ("post", "/api/admin/tokens") => post(tokens::make),
        ("post", "/api/admin/tokens/{token}/revoke") => post(tokens::revoke),
        ("post", "/api/admin/import") => {
            post(importing::import).layer(DefaultBodyLimit::max(importing::MAX_BYTES))
        }
        ("post", "/api/admin/images") => {
            post(importing::image).layer(DefaultBodyLimit::max(importing::MAX_BYTES))
        }
        ("get", "/api/admin/export") => get(administering::export),
        ("get", "/api/admin/events") => get(administering::events),
        ("get", "/api/items/{item}/image/{number}") => get(images::of_item),
        ("get", "/healthz") => get(machines::health),
        ("get", "/readyz") => get(machines::ready),
        ("get", "/metrics") => get(machines::metrics),
        ("get", "/api/openapi.json") => get(machines::openapi),
        (method, path) => unreachable!("{method} {path} is in ROUTES and has no handler"),
    }
}

/// All routes, behind the check of where requests come from and the headers of every answer.
pub fn router(app: Arc<App>) -> Router {
    let routes = ROUTES
        .iter()
        .fold(Router::new(), |router, &(method, path, _)| {
            router.route(path, handler(method, path))
        });
    routes
        .fallback(pages::not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(&app), origin::check))
        .layer(from_fn(|request, next| HEADERS.add(request, next)))
        .layer(from_fn_with_state(Arc::clone(&app), metrics::measure))
        .with_state(app)
}
