//! What is sent to a client, and what becomes of a client that does not take it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{self, Sleep};

use crate::places::Place;

/// A connection that its place knows to be stuck while the client takes nothing, and that ends when this lasts.
#[derive(Debug)]
pub(crate) struct Sending {
    stream: TcpStream,
    place: Arc<Place>,
    /// How long the client may take nothing of what is sent to it.
    patience: Duration,
    /// Ends when the client has taken nothing for too long; none while it takes what is sent.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Sending {
    pub(crate) fn new(stream: TcpStream, place: Arc<Place>, patience: Duration) -> Self {
        Self {
            stream,
            place,
            patience,
            stuck: None,
        }
    }

    /// What an attempt to send came to, after its place was told.
    fn sent(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if sent.is_ready() {
            if self.stuck.take().is_some() {
                self.place.set_stuck(false);
            }
            return sent;
        }
        let (place, patience) = (&self.place, self.patience);
        let stuck = self.stuck.get_or_insert_with(|| {
            place.set_stuck(true);
            Box::pin(time::sleep(patience))
        });
        stuck
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Sending {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Sending {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.sent(context, sent)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.sent(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        // It is asked for only when nothing is left to be written.
        if matches!(flushed, Poll::Ready(Ok(()))) {
            this.place.all_is_sent();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
