//! One kept-alive connection that is opened again when it breaks, to the next server where there are several: a load balancer
//! for one person.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub struct Client {
    /// The servers, of which the first has the address that everybody knows.
    addresses: Vec<String>,
    /// Which of them is asked.
    at: usize,
    session: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Somebody who begins at the server with this number, counted round.
    pub fn new(addresses: &[String], at: usize, session: &str) -> Self {
        Self {
            addresses: addresses.to_vec(),
            at: at % addresses.len(),
            session: session.to_owned(),
            connection: None,
        }
    }

    /// Goes on at another server, as a load balancer sends people now here and now there.
    pub fn move_on(&mut self) {
        if self.addresses.len() > 1 {
            self.at = (self.at + 1) % self.addresses.len();
            self.connection = None;
        }
    }

    /// Sends a request until it is answered, and tells how long the answered try took.
    pub async fn post(&mut self, path: &str, body: &Value) -> (StatusCode, Value, f64) {
        loop {
            let started = Instant::now();
            if let Some((status, reply)) = self.attempt(path, body).await {
                return (status, reply, started.elapsed().as_secs_f64());
            }
            self.connection = None;
            self.move_on();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn attempt(&mut self, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(&self.addresses[self.at]).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        let known = &self.addresses[0];
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", known)
            .header("origin", format!("http://{known}"))
            .header("cookie", format!("candor={}", self.session))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .ok()?;
        let response = self.connection.as_mut()?.send_request(request).await.ok()?;
        let status = response.status();
        let bytes = response.into_body().collect().await.ok()?.to_bytes();
        // A server that is going down may still answer that it could not.
        if status.is_server_error() {
            return None;
        }
        Some((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }
}
