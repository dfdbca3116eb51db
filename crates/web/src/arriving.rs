//! The body of a request, which tells when all of it has come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use crate::places::Asked;

/// The body of a request. Until its end is read, the connection waits for its client and may be closed for another.
#[derive(Debug)]
pub(crate) struct Arriving {
    body: Incoming,
    asked: Arc<Asked>,
}

impl Arriving {
    pub(crate) fn new(body: Incoming, asked: Arc<Asked>) -> Self {
        if body.is_end_stream() {
            asked.has_come();
        }
        Self { body, asked }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || this.body.is_end_stream() {
            this.asked.has_come();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
