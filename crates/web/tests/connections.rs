//! Connections under attack: idle, half-sent and slow ones, and clients that do not read, do not keep others out.

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

/// More than the system keeps for a client that does not read.
const LARGE: usize = 32 << 20;

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
        .route("/large", get(|| async { vec![0_u8; LARGE] }))
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

/// Limits under which nothing but the need of places ends a connection while a test runs.
const PATIENT: Limits = Limits {
    answer: Some(Duration::from_hours(1)),
    drain: Duration::from_hours(1),
    ..LIMITS
};

/// Whether a client that tries again is answered: before the server has seen that others are stuck, it may be turned away.
async fn is_answered_in_the_end(address: SocketAddr) -> bool {
    for _ in 0..200 {
        let mut stream = connected(address).await;
        let mut answer = String::new();
        if stream.write_all(GET.as_bytes()).await.is_ok()
            && stream.read_to_string(&mut answer).await.is_ok()
            && answer.starts_with("HTTP/1.1 200")
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_bodies_give_way_and_stopping_does_not_wait_for_them() {
    let (address, stop, served) = started(PATIENT).await;
    let mut half = Vec::new();
    for _ in 0..20 {
        let mut stream = connected(address).await;
        let request = b"POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
        stream.write_all(request).await.unwrap();
        half.push(stream);
    }
    for _ in 0..3 {
        assert!(is_answered_in_the_end(address).await);
    }
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_mins(1), served).await;
    assert_eq!(ended.unwrap().unwrap(), Ended::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_their_answers_give_way() {
    let (address, _stop, _served) = started(PATIENT).await;
    let mut stuck = Vec::new();
    for _ in 0..LIMITS.connections {
        let mut stream = connected(address).await;
        let request = GET.replace("GET /", "GET /large");
        stream.write_all(request.as_bytes()).await.unwrap();
        // The answer has begun.
        stream.read_exact(&mut [0; 8]).await.unwrap();
        stuck.push(stream);
    }
    assert!(is_answered_in_the_end(address).await);
    // Who reads gets all, though others wait.
    let answer = said(
        connected(address).await,
        &GET.replace("GET /", "GET /large"),
    )
    .await;
    assert!(answer.len() > LARGE, "{}", answer.len());
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
