//! Connections: how many there may be, how long a request may take to arrive, and how they end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::arriving::Arriving;
use crate::places::{Place, Places};
use crate::sending::Sending;

/// How long the head of a request may take, and a connection may be without one.
const HEAD: Duration = Duration::from_secs(20);
/// How often the server looks whether it is alive.
const LOOK: Duration = Duration::from_millis(200);
/// Connections are never more than this.
const MOST: usize = 4096;
/// Files that the program opens for other ends.
const OTHER_FILES: usize = 64;

/// How long clients may take nothing of what is sent to them where there is no reason for another time.
pub const STUCK: Duration = Duration::from_mins(1);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections of all addresses together; [`max_connections`] says what the system allows.
    pub connections: usize,
    /// Connections of one address.
    pub per_address: usize,
    /// How long the begin of an answer may take, the arrival of the request's body included; `None` where handlers see to it.
    pub answer: Option<Duration>,
    /// How long a client may take nothing of what is sent to it, [`STUCK`] for most.
    pub stuck: Duration,
    /// How long what is under way may go on when the server stops.
    pub drain: Duration,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// It was not alive any more.
    Dead,
}

/// Connections for which the system has files, some kept for other ends.
#[must_use]
pub fn max_connections() -> usize {
    #[cfg(unix)]
    {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = files.and_then(|n| usize::try_from(n).ok());
        places_of(files.unwrap_or(MOST + OTHER_FILES))
    }
    #[cfg(not(unix))]
    {
        places_of(MOST + OTHER_FILES)
    }
}

/// Connections for which there is room among so many open files; where those are few, half of them.
fn places_of(files: usize) -> usize {
    files
        .saturating_sub(OTHER_FILES)
        .max(files / 2)
        .clamp(1, MOST)
}

/// Serves connections until `stop` is done, and then for at most `limits.drain` what is under way. Handlers find the address at
/// the other end as [`ConnectInfo<SocketAddr>`]. Where all places are taken, the connection that has waited for its client for
/// longest is closed for the new one, be it for a request, for the rest of one, or until the client takes its answer; a new one is
/// turned away only where all are being answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
    is_alive: impl Fn() -> bool,
) -> Ended {
    let places = Places::new(limits.connections, limits.per_address);
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    let mut look = time::interval(LOOK);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = look.tick() => {
                if !is_alive() {
                    return Ended::Dead;
                }
                while tasks.try_join_next().is_some() {}
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Who is turned away is not even told so: the answer would cost what it saves.
                    if let Some(place) = places.take(canonical(peer.ip())) {
                        tasks.spawn(one(stream, peer, place, router.clone(), limits, stopped.clone()));
                    }
                }
                // A client that left before it was accepted concerns nobody else.
                Err(error) if has_left(&error) => {}
                Err(error) => {
                    if lacks_files(&error) {
                        places.free_one();
                    }
                    tracing::warn!("cannot accept a connection: {error}");
                    time::sleep(LOOK).await;
                }
            },
        }
    }
    drop(listener);
    drop(router);
    stopping.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if time::timeout(limits.drain, all).await.is_err() {
        tracing::warn!("{} connections are cut off", tasks.len());
        tasks.shutdown().await;
    }
    Ended::Stopped
}

/// Whether a connection could not be accepted because its client had gone.
fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Whether a connection could not be accepted because this process, or the system, may open no more files.
fn lacks_files(error: &io::Error) -> bool {
    #[cfg(unix)]
    let codes = {
        use rustix::io::Errno;
        [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error)
    };
    // WSAEMFILE.
    #[cfg(not(unix))]
    let codes = [10024];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

/// One address for an IPv4 client, whether it comes over IPv4 or over a socket for both.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Serves one connection.
async fn one(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    // Parts of an answer are small, and each is awaited.
    drop(stream.set_nodelay(true));
    let place = Arc::new(place);
    let router = TowerToHyperService::new(router);
    let service = {
        let place = Arc::clone(&place);
        service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let asked = Arc::new(place.asked());
            let answer =
                router.call(request.map(|body| Arriving::new(body, Arc::downgrade(&asked))));
            async move {
                let answer = match limits.answer {
                    None => answer.await,
                    Some(within) => time::timeout(within, answer)
                        .await
                        .unwrap_or_else(|_| Ok(too_slow())),
                };
                asked.has_come();
                // Until the last of it is made, or the client has left; what is still to be sent then is counted by its place.
                answer.map(|answer: Response| {
                    answer.map(|body| {
                        Body::new(body.map_frame(move |frame| {
                            let _ = &asked;
                            frame
                        }))
                    })
                })
            }
        })
    };
    let stream = Sending::new(stream, Arc::clone(&place), limits.stuck);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let stop = async {
        // The sender outlives all connections.
        drop(stopped.wait_for(|stopped| *stopped).await);
    };
    // How it ends is the client's affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = place.leave.notified() => return,
        // Who has not asked all yet is not waited for.
        () = stop => if place.is_owed() {
            connection.as_mut().graceful_shutdown();
        } else {
            return;
        },
    }
    drop(connection.await);
}

/// The answer to a request whose body did not come, or whose handler did not end, in time.
fn too_slow() -> Response {
    let mut answer = StatusCode::REQUEST_TIMEOUT.into_response();
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_who_may_open_no_more_files_closes_a_connection_for_another() {
        // ENFILE and EMFILE have these numbers on every Unix; EPERM and EINVAL are others.
        for (code, lacks) in [(23, true), (24, true), (1, false), (22, false)] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(lacks_files(&error), lacks, "{error}");
            assert!(!has_left(&error), "{error}");
        }
        for kind in [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
        ] {
            assert!(has_left(&kind.into()) && !lacks_files(&kind.into()));
        }
    }

    #[test]
    fn some_files_are_left_for_other_ends() {
        for (files, places) in [(1024, 960), (200, 136), (100, 50), (1, 1), (1 << 20, 4096)] {
            assert_eq!(places_of(files), places, "{files}");
        }
    }
}
