//! Connections: how many there may be, how long a request may take to arrive, and how they end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::ServeError;

/// How long the head of a request may take, and a connection may be without one.
const HEAD: Duration = Duration::from_secs(20);
/// Connections of all addresses together.
const MAX_CONNECTIONS: usize = 4096;
/// How often the thread of the models is looked after.
const LOOK: Duration = Duration::from_millis(200);

/// The address at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// How many connections each address has.
#[derive(Debug, Default)]
struct Counts(Mutex<HashMap<IpAddr, usize>>);

/// A connection that is counted.
struct Counted {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Counted {
    /// Counts a connection, unless its address has as many as it may have.
    fn new(counts: &Arc<Counts>, address: IpAddr, most: usize) -> Option<Self> {
        let mut of = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = of.entry(address).or_insert(0);
        if *n >= most {
            return None;
        }
        *n += 1;
        Some(Self {
            counts: Arc::clone(counts),
            address,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut of = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = of.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                of.remove(&self.address);
            }
        }
    }
}

/// Serves connections until `stop` is done, and then for at most `drain` what is under way.
///
/// # Errors
/// `is_alive` has said no.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    per_address: usize,
    drain: Duration,
    stop: impl Future<Output = ()>,
    is_alive: impl Fn() -> bool,
) -> Result<(), ServeError> {
    let counts = Arc::new(Counts::default());
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    let mut look = time::interval(LOOK);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = look.tick() => {
                if !is_alive() {
                    return Err(ServeError::EngineEnded);
                }
                while tasks.try_join_next().is_some() {}
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // An address that has too many is not even told so: the answer would cost what it saves.
                    let counted = Counted::new(&counts, peer.ip(), per_address);
                    if let Some(counted) = counted.filter(|_| tasks.len() < MAX_CONNECTIONS) {
                        tasks.spawn(one(stream, counted, router.clone(), stopped.clone()));
                    }
                }
                Err(error) => {
                    // Often the system's limit on open files: others will be closed.
                    tracing::warn!("candor serve: cannot accept a connection: {error}");
                    time::sleep(LOOK).await;
                }
            },
        }
    }
    drop(listener);
    drop(router);
    stopping.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if time::timeout(drain, all).await.is_err() {
        tracing::warn!("candor serve: {} connections are cut off", tasks.len());
        tasks.shutdown().await;
    }
    Ok(())
}

/// Serves one connection.
async fn one(
    stream: TcpStream,
    counted: Counted,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    // Parts of an answer are small, and each is awaited.
    drop(stream.set_nodelay(true));
    let peer = Peer(counted.address);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
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
        () = stop => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_others_are_not_concerned() {
        let counts = Arc::new(Counts::default());
        let [a, b] = ["10.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
        let first = Counted::new(&counts, a, 2).unwrap();
        let _second = Counted::new(&counts, a, 2).unwrap();
        assert!(Counted::new(&counts, a, 2).is_none());
        let other = Counted::new(&counts, b, 2);
        assert!(other.is_some());
        drop(first);
        let _third = Counted::new(&counts, a, 2).unwrap();
        drop(other);
        assert_eq!(counts.0.lock().unwrap().len(), 1);
    }
}
