//! Refusals and failures as HTTP answers: a status, a stable code, and sentences for people.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::{AnnotateError, Refusal, whole_secs};

/// What a JSON handler returns instead of an answer.
pub(super) struct Failure(pub AnnotateError);

impl<E: Into<AnnotateError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Refusal {
    /// The stable code and the HTTP status.
    pub(super) fn code(&self) -> (&'static str, StatusCode) {
        match self {
            Self::LoginRequired => ("login_required", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN),
            Self::UnknownToken => ("unknown_token", StatusCode::UNAUTHORIZED),
            Self::ScopeMissing(_) => ("scope_missing", StatusCode::FORBIDDEN),
            Self::CrossSite => ("cross_site", StatusCode::FORBIDDEN),
            Self::WrongPassword => ("wrong_password", StatusCode::UNAUTHORIZED),
            Self::SignIn(_) => ("sign_in", StatusCode::FORBIDDEN),
            Self::NoRole => ("no_role", StatusCode::FORBIDDEN),
            Self::Disabled => ("disabled", StatusCode::FORBIDDEN),
            Self::TooManyAttempts { .. } => ("too_many_attempts", StatusCode::TOO_MANY_REQUESTS),
            Self::NotFound(_) => ("not_found", StatusCode::NOT_FOUND),
            Self::LeaseLost => ("lease_lost", StatusCode::CONFLICT),
            Self::NoImage => ("no_image", StatusCode::CONFLICT),
            Self::TooSoon { .. } => ("too_soon", StatusCode::CONFLICT),
            Self::SubmissionReused => ("submission_reused", StatusCode::CONFLICT),
            Self::NotInTraining => ("not_in_training", StatusCode::CONFLICT),
            Self::NothingToUndo => ("nothing_to_undo", StatusCode::CONFLICT),
            Self::Decided => ("decided", StatusCode::CONFLICT),
            Self::OwnAnswer => ("own_answer", StatusCode::FORBIDDEN),
            Self::LastAdmin => ("last_admin", StatusCode::CONFLICT),
            Self::Invalid { .. } => ("invalid", StatusCode::UNPROCESSABLE_ENTITY),
        }
    }
}

/// An error's body: what went wrong, and after the semicolon what to do.
pub(super) fn body(code: &str, sentence: &str) -> Value {
    let (message, remedy) = sentence.rsplit_once("; ").unwrap_or((sentence, ""));
    json!({"error": {"code": code, "message": message, "remedy": remedy}})
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let refusal = match self.0 {
            AnnotateError::Refused(refusal) => refusal,
            error => return broken(&error),
        };
        let (code, status) = refusal.code();
        let mut body = body(code, &refusal.to_string());
        let wait = match refusal {
            Refusal::TooSoon { retry_after_ms } | Refusal::TooManyAttempts { retry_after_ms } => {
                Some(retry_after_ms)
            }
            _ => None,
        };
        if let Some(ms) = wait {
            body["error"]["retry_after_ms"] = ms.into();
        }
        let mut response = (status, Json(body)).into_response();
        if let Some(ms) = wait {
            let secs = HeaderValue::from(whole_secs(ms));
            response.headers_mut().insert(header::RETRY_AFTER, secs);
        }
        response
    }
}

/// Writes an error to the server's log.
pub(super) fn log(error: &AnnotateError) {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    tracing::error!("candor annotate: {error}{}", source.unwrap_or_default());
}

/// Something that the person at the browser can do nothing about: the details go to the server's log only.
pub(super) fn broken(error: &AnnotateError) -> Response {
    log(error);
    let sentence =
        "the server could not do this; try again, and tell the administrator if it stays";
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(body("internal", sentence)),
    )
        .into_response()
}
