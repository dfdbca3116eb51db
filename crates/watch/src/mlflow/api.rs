//! Requests to an MLflow server. The key goes into one header, and is struck out of whatever comes back.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candor_web::is_own_name;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::WatchError;

/// Longer answers are not read; that to a search has a few kilobytes.
const MAX_BODY_BYTES: u64 = 4 << 20;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of what a server says so much is repeated.
const MAX_CHARS: usize = 300;
/// What MLflow calls what is not there.
const MISSING: &str = "RESOURCE_DOES_NOT_EXIST";

const CHECK_URL: &str = "check --mlflow: it is the address that a browser shows MLflow at, such as http://127.0.0.1:5000";
const CHECK_SERVER: &str = "start the server, or check --mlflow";
const CHECK_LOG: &str = "the server's log may say more";
const CHECK_KEY: &str =
    "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD";

/// What MLflow's own clients send of a user, from the variables that they read: name and password where both are set, else a token.
#[must_use]
pub fn authorization(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let name = set("MLFLOW_TRACKING_USERNAME");
    if let Some((name, password)) = name.zip(set("MLFLOW_TRACKING_PASSWORD")) {
        let both = STANDARD.encode(format!("{name}:{password}"));
        return Some(format!("Basic {both}"));
    }
    let token = set("MLFLOW_TRACKING_TOKEN")?;
    Some(format!("Bearer {token}"))
}

/// The way to a server.
pub(super) struct Api {
    agent: Agent,
    /// As it was given.
    url: String,
    authorization: Option<String>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Api")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// # Errors
    /// The address is none, holds a password, or would carry the key unencrypted to another machine.
    pub(super) fn new(url: &str, authorization: Option<String>) -> Result<Self, WatchError> {
        // The address is not repeated: a password may stand in it.
        let refused = |problem: &str, remedy| WatchError::Mlflow {
            url: "of --mlflow".to_owned(),
            problem: problem.to_owned(),
            remedy,
        };
        let Some((scheme @ ("http" | "https"), rest)) = url.split_once("://") else {
            return Err(refused(
                "has no address with http:// or https://",
                CHECK_URL,
            ));
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() || host.contains('@') || rest.contains(['?', '#']) {
            let problem = "has an address without a host, or with a user, a query or a fragment";
            return Err(refused(problem, CHECK_URL));
        }
        let is_own = is_own_name(host);
        if scheme == "http" && authorization.is_some() && !is_own {
            let problem = "is on another machine, and the key would be sent there unencrypted";
            return Err(refused(
                problem,
                "use https, or unset the MLFLOW_TRACKING_… variables",
            ));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // They would carry the key elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("candor/", env!("CARGO_PKG_VERSION")));
        if is_own {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            url: url.trim_end_matches('/').to_owned(),
            authorization,
        })
    }

    /// Asks for something; none where the server says that it is not there.
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub(super) fn get(
        &self,
        route: &str,
        query: (&str, &str),
    ) -> Result<Option<Value>, WatchError> {
        let mut request = self.agent.get(self.address(route)).query(query.0, query.1);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let (status, body) = self.answer(request.call())?;
        if status == 404 && body["error_code"] == MISSING {
            return Ok(None);
        }
        self.accepted(route, status, body).map(Some)
    }

    /// Sends something.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) fn post(&self, route: &str, body: &Value) -> Result<Value, WatchError> {
        let mut request = self
            .agent
            .post(self.address(route))
            .header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let (status, body) = self.answer(request.send(body.to_string().as_str()))?;
        self.accepted(route, status, body)
    }

    /// A text of an answer.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn text(&self, answer: &Value, place: &str) -> Result<String, WatchError> {
        let text = answer.pointer(place).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| {
            let problem = format!("gave an answer without `{place}`");
            self.refusal(&problem, CHECK_URL)
        })
    }

    fn address(&self, route: &str) -> String {
        format!("{}/api/2.0/mlflow/{route}", self.url)
    }

    /// Status and body; a body that is no JSON is null.
    fn answer(
        &self,
        answered: Result<Response<Body>, ureq::Error>,
    ) -> Result<(u16, Value), WatchError> {
        let lost =
            |error: ureq::Error| self.error(&format!("was not reached: {error}"), CHECK_SERVER);
        let mut response = answered.map_err(lost)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_BODY_BYTES);
        let bytes = body.read_to_vec().map_err(lost)?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    fn accepted(&self, route: &str, status: u16, body: Value) -> Result<Value, WatchError> {
        match status {
            200 if body.is_object() => Ok(body),
            401 | 403 => {
                let problem = format!("answered {status} to {route}");
                Err(self.error(&problem, CHECK_KEY))
            }
            _ => {
                let (said, remedy) = match body["message"].as_str() {
                    Some(said) => (said, CHECK_LOG),
                    None => ("nothing that MLflow says", CHECK_URL),
                };
                let problem = format!("answered {status} to {route}: {said}");
                Err(self.refusal(&problem, remedy))
            }
        }
    }

    /// What keeps all requests from being answered.
    fn error(&self, problem: &str, remedy: &'static str) -> WatchError {
        WatchError::Mlflow {
            url: format!("at {}", self.url),
            problem: self.without_key(problem),
            remedy,
        }
    }

    /// What is wrong with one request.
    fn refusal(&self, problem: &str, remedy: &'static str) -> WatchError {
        WatchError::MlflowRefused {
            url: format!("at {}", self.url),
            problem: self.without_key(problem),
            remedy,
        }
    }

    fn without_key(&self, problem: &str) -> String {
        let key = self.authorization.as_ref();
        let key = key.and_then(|authorization| authorization.split_once(' '));
        let problem = key.map_or_else(
            || problem.to_owned(),
            |(_, key)| problem.replace(key, "[key]"),
        );
        problem.chars().take(MAX_CHARS).collect()
    }
}
