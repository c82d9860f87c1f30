//! The gateway's end of a connection to a client. Like programs without framing, this module treats the result of
//! each read as messages.
//!
//! Only the client's own thread reads from the client: first the name, and then the messages. Compare this with
//! `server_lines.rs`, which reads from the server. In this module, the result depends on how the bytes arrive.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

use crate::unframed;

/// The maximum number of bytes that one read returns. These bytes are one message, or one message for each line.
const READ_BYTES: usize = 64 << 10;

/// The stream of a client, and the buffer for its reads.
pub(crate) struct Reads<'a> {
    client: &'a TcpStream,
    buffer: Vec<u8>,
    /// The number of bytes at the start of the buffer that belong to a line whose end did not fit into the last
    /// read.
    kept: usize,
}

impl<'a> Reads<'a> {
    /// Makes the reader of a new connection.
    pub(crate) fn new(client: &'a TcpStream) -> Self {
        Self { client, buffer: vec![0; READ_BYTES], kept: 0 }
    }

    /// The connection itself.
    pub(crate) fn client(&self) -> &'a TcpStream {
        self.client
    }

    /// Reads once, and returns the messages that arrived, or `None` at the end of the stream.
    ///
    /// The end of a read is also the end of a message. [`unframed::end_of_messages`] explains the exception.
    ///
    /// # Errors
    ///
    /// The connection is broken, or its read timeout has passed.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut client = self.client;
        let bytes = loop {
            match client.read(&mut self.buffer[self.kept..]) {
                // A signal has interrupted the call. The signal does not concern this connection.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        if bytes == 0 && self.kept == 0 {
            return Ok(None);
        }
        let filled = self.kept + bytes;
        let is_full = filled == self.buffer.len();
        let end = unframed::end_of_messages(&self.buffer[..filled], is_full);
        let messages = unframed::messages(&self.buffer[..end]).map(<[u8]>::to_vec).collect();
        self.buffer.copy_within(end..filled, 0);
        self.kept = filled - end;
        Ok(Some(messages))
    }
}
