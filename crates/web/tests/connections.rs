//! Connections under attack: idle, half-sent and slow ones, and clients that do not read, do not keep others out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::routing::{get, post};
use candor_web::{Ended, Limits, STUCK, serve};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const LIMITS: Limits = Limits {
    connections: 4,
    per_address: 100,
    answer: Some(Duration::from_millis(300)),
    stuck: STUCK,
    drain: Duration::from_millis(200),
};

/// More than the system keeps for a client that does not read.
const LARGE: usize = 32 << 20;

/// How long a handler does other things before it reads a body.
const LATER: Duration = Duration::from_secs(1);

/// What is left of an answer in many parts.
struct Parts {
    n_left: usize,
}

impl Parts {
    const N: usize = 512;
    const BYTES: usize = LARGE / Self::N;
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.n_left == 0 {
            return Poll::Ready(None);
        }
        self.n_left -= 1;
        let part = Bytes::from(vec![0; Self::BYTES]);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.n_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.n_left * Self::BYTES) as u64)
    }
}

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
            "/parts",
            get(|| async { Body::new(Parts { n_left: Parts::N }) }),
        )
        .route(
            "/later",
            post(|request: Request| async {
                tokio::time::sleep(LATER).await;
                let body = to_bytes(request.into_body(), LARGE).await.unwrap();
                body.len().to_string()
            }),
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

/// A connection on which the answer to a request for `path` has begun, after the first bytes of its head.
async fn begun(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = connected(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 8]).await.unwrap();
    stream
}

/// In one part, and in many.
const LARGE_ANSWERS: [&str; 2] = ["/large", "/parts"];

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_their_answers_give_way() {
    for path in LARGE_ANSWERS {
        let (address, _stop, _served) = started(PATIENT).await;
        let mut stuck = Vec::new();
        for _ in 0..LIMITS.connections {
            stuck.push(begun(address, path).await);
        }
        assert!(is_answered_in_the_end(address).await, "{path}");
        // Who reads gets all, though others wait.
        let request = GET.replace("GET /", &format!("GET {path}"));
        let answer = said(connected(address).await, &request).await;
        assert!(answer.len() > LARGE, "{path}: {}", answer.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_closed() {
    let limits = Limits {
        stuck: Duration::from_millis(200),
        ..PATIENT
    };
    for path in LARGE_ANSWERS {
        let (address, _stop, _served) = started(limits).await;
        let mut stream = begun(address, path).await;
        // Nothing can be sent any more on a connection that the server has closed.
        let mut is_closed = false;
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            is_closed = stream.write_all(b"G").await.is_err();
            if is_closed {
                break;
            }
        }
        assert!(is_closed, "{path}");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.len() < LARGE, "{path}: {}", rest.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_begun_is_sent_to_its_end_when_the_server_stops() {
    for path in LARGE_ANSWERS {
        let (address, stop, served) = started(PATIENT).await;
        let mut stream = begun(address, path).await;
        stop.send(()).unwrap();
        // The client goes on when the server has heard of it.
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        let head = rest.windows(4).position(|part| part == b"\r\n\r\n");
        assert_eq!(rest.len() - (head.unwrap() + 4), LARGE, "{path}");
        let ended = tokio::time::timeout(Duration::from_mins(1), served).await;
        assert_eq!(ended.unwrap().unwrap(), Ended::Stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_the_server_is_answered_when_it_stops() {
    let (address, stop, served) = started(PATIENT).await;
    let request = "POST /later HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";
    let answer = tokio::spawn(async move { said(connected(address).await, request).await });
    // The handler has begun, and has not read the body.
    tokio::time::sleep(LATER / 4).await;
    stop.send(()).unwrap();
    let answer = answer.await.unwrap();
    assert!(answer.ends_with("\r\n\r\n4"), "{answer:?}");
    let ended = tokio::time::timeout(Duration::from_mins(1), served).await;
    assert_eq!(ended.unwrap().unwrap(), Ended::Stopped);
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
