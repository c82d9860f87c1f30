//! The gateway's end of a connection to the server. Framing cuts the stream into lines.
//!
//! The client's own thread connects and joins. Then it passes [`ServerLines`] to the listener's thread, which passes
//! the server's lines on. Compare this with `reads.rs`, which reads from a client. In this module, the result does
//! not depend on how the bytes arrive.

use std::io::{self, ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::time::Duration;

use chat::arguments::Endpoint;
use chat::protocol::MAX_SERVER_LINE_BYTES;
use chat::protocol::framing::{Frame, LineDecoder};

/// The time limit for connecting to one of the server's addresses. After that, the server has the same time to
/// answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The maximum number of bytes that one read returns.
const READ_BYTES: usize = 4096;

/// A connection to the server, read line by line.
pub(crate) struct ServerLines {
    stream: TcpStream,
    decoder: LineDecoder,
    buffer: Vec<u8>,
    /// The part of the buffer that is not decoded yet.
    unread: Range<usize>,
}

impl ServerLines {
    /// Connects to the first of the server's addresses that accepts a connection. The connection has a read
    /// timeout, because a program that sends nothing is not a chat server.
    ///
    /// # Errors
    ///
    /// No address accepts the connection. The error is the error of the last address.
    pub(crate) fn connect(server: &Endpoint) -> io::Result<Self> {
        let mut connected = Err(ErrorKind::AddrNotAvailable.into());
        for address in (server.host.as_str(), server.port).to_socket_addrs()? {
            connected = TcpStream::connect_timeout(&address, CONNECT_TIME);
            if connected.is_ok() {
                break;
            }
        }
        let stream = connected?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(CONNECT_TIME))?;
        let decoder = LineDecoder::new(MAX_SERVER_LINE_BYTES);
        Ok(Self { stream, decoder, buffer: vec![0; READ_BYTES], unread: 0..0 })
    }

    /// The connection itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns the next line, or `None` if the server has ended its stream. Skips lines that are too long or not
    /// UTF-8; the server sends no such lines. Blocks until there is a line.
    ///
    /// # Errors
    ///
    /// The connection is broken, or its read timeout has passed.
    pub(crate) fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let mut rest = &self.buffer[self.unread.clone()];
            let frame = self.decoder.next(&mut rest);
            self.unread.start = self.unread.end - rest.len();
            match frame {
                Some(Frame::Line(line)) => return Ok(Some(line.to_owned())),
                Some(_) => continue,
                None => {}
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(bytes) => self.unread = 0..bytes,
                // A signal has interrupted the call. The signal does not concern this connection.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
