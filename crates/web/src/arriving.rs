//! The body of a request, which tells when all of it has come.

use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use crate::places::Asked;

/// The body of a request. While somebody waits for more of it, the connection waits for its client and may be closed for another;
/// while nobody does, it waits for the server.
#[derive(Debug)]
pub(crate) struct Arriving {
    body: Incoming,
    /// Gone once the answer is made, whoever has the body then.
    asked: Weak<Asked>,
}

impl Arriving {
    pub(crate) fn new(body: Incoming, asked: Weak<Asked>) -> Self {
        let arriving = Self { body, asked };
        if arriving.body.is_end_stream() {
            arriving.tell(Asked::has_come);
        }
        arriving
    }

    fn tell(&self, what: impl FnOnce(&Asked)) {
        if let Some(asked) = self.asked.upgrade() {
            what(&asked);
        }
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
        this.tell(match &polled {
            Poll::Pending => Asked::waits_for_body,
            Poll::Ready(Some(Ok(_))) if !this.body.is_end_stream() => Asked::has_more,
            Poll::Ready(_) => Asked::has_come,
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // What is left of it nobody waits for.
        self.tell(Asked::has_come);
    }
}
