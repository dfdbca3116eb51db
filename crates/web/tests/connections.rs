//! Connections under attack: idle, half-sent and slow ones do not keep others out.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use candor_web::{Ended, Limits, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const LIMITS: Limits = Limits {
    connections: 4,
    per_address: 100,
    answer: Some(Duration::from_millis(300)),
    drain: Duration::from_millis(200),
};

/// A server, and what ends it.
async fn started(
    limits: Limits,
) -> (
    SocketAddr,
    oneshot::Sender<()>,
    tokio::task::JoinHandle<Ended>,
) {
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route(
            "/peer",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
        )
        .route(
            "/body",
            post(|body: Bytes| async move { body.len().to_string() }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(async move {
        let stop = async {
            let _ = stopped.await;
        };
        serve(listener, router, limits, stop, || true).await
    });
    (address, stop, served)
}

/// What a connection answers to the bytes of a request, to its end.
async fn said(mut stream: TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_half_sent_connections_give_way() {
    let (address, _stop, _served) = started(LIMITS).await;
    let mut idle = Vec::new();
    for i in 0..40 {
        let mut stream = connected(address).await;
        if i % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        }
        idle.push(stream);
    }
    for _ in 0..10 {
        let answer = said(connected(address).await, GET).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"),
            "{answer:?}"
        );
    }
    // The first was closed for another.
    let mut first = idle.remove(0);
    let read = first.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_ends_in_time() {
    let (address, _stop, _served) = started(LIMITS).await;
    let slow = "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = said(connected(address).await, slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
    let whole =
        "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhalf";
    let answer = said(connected(address).await, whole).await;
    assert!(answer.ends_with("\r\n\r\n4"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_know_the_peer_and_stopping_waits_no_longer_than_it_may() {
    let (address, stop, served) = started(LIMITS).await;
    let peer = said(connected(address).await, &GET.replace("GET /", "GET /peer")).await;
    assert!(peer.ends_with("127.0.0.1"), "{peer:?}");
    let _idle = connected(address).await;
    let mut half = connected(address).await;
    half.write_all(b"POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nh")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), served).await;
    assert_eq!(ended.unwrap().unwrap(), Ended::Stopped);
}
