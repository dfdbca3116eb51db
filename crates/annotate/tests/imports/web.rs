//! A web server with one image, and one that is too large.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub const IMAGE: &[u8] = include_bytes!("../../../data/tests/golden/images/one_pixel.png");

type Asked = Arc<Mutex<Vec<String>>>;

pub struct Server {
    pub url: String,
    asked: Asked,
    /// It ends with the server.
    _runtime: Runtime,
}

impl Server {
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let asked = Asked::default();
        let router = Router::new().fallback(answer).with_state(asked.clone());
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its number"));
        runtime.spawn(async { axum::serve(listener, router).await });
        Self {
            url,
            asked,
            _runtime: runtime,
        }
    }

    /// The paths of good images that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

async fn answer(State(asked): State<Asked>, request: Request) -> Response {
    match request.uri().path() {
        path @ "/images/sub/a.png" => {
            asked.lock().expect("nobody panicked").push(path.to_owned());
            IMAGE.into_response()
        }
        "/images/large.png" => {
            let part = Bytes::from(vec![0; 1 << 20]);
            let parts = stream::iter(std::iter::repeat_n(
                Ok::<_, std::convert::Infallible>(part),
                65,
            ));
            let length = [(header::CONTENT_LENGTH, (65 << 20).to_string())];
            (length, Body::from_stream(parts)).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
