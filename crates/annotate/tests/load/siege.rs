//! Connections that send half a request and then wait, more than the server has room for.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;

/// Opens `n` of them: every other one has sent half a head, the others half a body. Those that are turned away are left out.
pub fn lay(address: &str, session: &str, n: usize) -> Vec<TcpStream> {
    let head = "GET /healthz HTTP/1.1\r\nhost:".to_owned();
    let body = format!(
        "POST /api/claim HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\ncookie: candor={session}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"holding\":"
    );
    let opened = |half: &String| {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.write_all(half.as_bytes()).ok()?;
        Some(stream)
    };
    [head, body]
        .iter()
        .cycle()
        .take(n)
        .filter_map(opened)
        .collect()
}

/// Whether the server still waits for the rest.
pub fn waits(stream: &TcpStream) -> bool {
    let would_block = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_err_and(would_block)
}
