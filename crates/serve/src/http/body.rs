//! JSON bodies: how large, how slow, how many at a time.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::App;
use crate::api::refusal::Refusal;
use crate::engine::Client;

/// Largest body: sixteen images of two megabytes in base 64, or one of twenty.
const MAX_BYTES: usize = 40 << 20;
/// What all bodies in memory may take together.
const ALL_KIB: usize = 512 << 10;
/// What the bodies of one client may take of that.
const CLIENT_KIB: usize = 128 << 10;
/// How long a body may take to arrive, the wait for memory included.
const ARRIVAL: Duration = Duration::from_mins(1);

/// The memory that a body takes, of its client's and of all; free when this is dropped.
pub(super) type Held = [OwnedSemaphorePermit; 2];

/// Memory for bodies. What a body says it has is taken before it has come, so each client has a bound of its own: one that
/// sends nothing of what it announces keeps nobody else out.
#[derive(Debug)]
pub(super) struct Bodies {
    /// A KiB each.
    all: Arc<Semaphore>,
    /// Of those clients that have bodies in memory, or wait for it.
    of_clients: Mutex<HashMap<Client, Arc<Semaphore>>>,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL_KIB)),
            of_clients: Mutex::default(),
        }
    }

    /// Waits for memory: first for the client's own, so that who waits for that takes nothing of the others'.
    async fn hold(&self, client: Client, n_kib: u32) -> Result<Held, AcquireError> {
        let own = self.of(client).acquire_many_owned(n_kib).await?;
        let shared = Arc::clone(&self.all).acquire_many_owned(n_kib).await?;
        Ok([own, shared])
    }

    fn of(&self, client: Client) -> Arc<Semaphore> {
        let of_clients = self.of_clients.lock();
        let mut of_clients = of_clients.unwrap_or_else(PoisonError::into_inner);
        // Whoever holds memory or waits for it has the semaphore too.
        of_clients.retain(|_, own| Arc::strong_count(own) > 1);
        let own = of_clients
            .entry(client)
            .or_insert_with(|| Arc::new(Semaphore::new(CLIENT_KIB)));
        Arc::clone(own)
    }
}

/// Reads a body. Its memory is to be held for as long as images are there as they were sent.
pub(super) async fn json(app: &App, request: Request) -> Result<(Value, Held), Refusal> {
    let headers = request.headers();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default();
    // A browser asks before it sends this type to another site, and never sends it from a form.
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "the body must be JSON; send `Content-Type: application/json`",
        ));
    }
    let n_kib = announced(headers)?.div_ceil(1 << 10).max(1) as u32;
    let client = request.extensions().get::<Client>().copied();
    let client = client.unwrap_or(Client::Address(Ipv4Addr::UNSPECIFIED.into()));
    let read = async {
        let held = app.bodies.hold(client, n_kib).await;
        (to_bytes(request.into_body(), MAX_BYTES).await, held)
    };
    let Ok((bytes, held)) = timeout(ARRIVAL, read).await else {
        return Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            format!(
                "the body has not arrived within {} s; send it again",
                ARRIVAL.as_secs()
            ),
        ));
    };
    // A body of unknown length is cut off at the limit, and any body may be.
    let bytes = bytes.map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "unreadable_body",
            format!("the body was cut off, or has more than {MAX_BYTES} bytes"),
        )
    })?;
    let held = held.map_err(|_| Refusal::stopping())?;
    let value = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            format!("the body is not JSON: {error}"),
        )
    })?;
    Ok((value, held))
}

/// The bytes that a body says it has; the most it may have where it does not say.
fn announced(headers: &HeaderMap) -> Result<usize, Refusal> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    match length.map(str::parse::<usize>) {
        None | Some(Err(_)) => Ok(MAX_BYTES),
        Some(Ok(n)) if n <= MAX_BYTES => Ok(n),
        Some(Ok(n)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body has {n} bytes, expected at most {MAX_BYTES}; scale the images down"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether memory can be had without waiting for others.
    async fn take(bodies: &Bodies, client: Client) -> Option<Held> {
        let waiting = bodies.hold(client, 40 << 10);
        let waited = timeout(Duration::from_millis(50), waiting).await;
        waited.ok().map(Result::unwrap)
    }

    #[tokio::test]
    async fn one_client_takes_no_more_than_its_own_and_is_forgotten_when_it_holds_nothing() {
        let bodies = Bodies::new();
        let (one, other) = (Client::Key(0), Client::Key(1));
        let mut held = Vec::new();
        // Three of 40 MiB are 120 of 128; a fourth has no room.
        for room in [true, true, true, false] {
            let taken = take(&bodies, one).await;
            assert_eq!(taken.is_some(), room);
            held.extend(taken);
        }
        assert_eq!(bodies.all.available_permits(), (512 - 120) << 10);
        let others = take(&bodies, other).await;
        assert!(others.is_some());
        held.pop();
        assert!(take(&bodies, one).await.is_some());
        drop((held, others));
        assert_eq!(bodies.all.available_permits(), 512 << 10);
        drop(bodies.of(Client::Key(2)));
        let of_clients = bodies.of_clients.lock().unwrap();
        let known: Vec<Client> = of_clients.keys().copied().collect();
        assert_eq!(known, [Client::Key(2)]);
    }
}
