//! The gateway's end of a connection to a client. It makes messages of the stream, as programs without
//! framing do.
//!
//! Only the client's own thread reads: first the name, and then the messages. Compare this with the lines of
//! the server in `server_lines.rs`: here it matters how the bytes arrive.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

use crate::unframed;

/// The most that one read takes, in bytes: one message, or one for each line end.
const READ_BYTES: usize = 64 << 10;

/// The stream of a client, read by read.
pub(crate) struct Reads<'a> {
    client: &'a TcpStream,
    buffer: Vec<u8>,
    /// How many bytes at the start of the buffer belong to a line whose end did not fit.
    kept: usize,
}

impl<'a> Reads<'a> {
    /// Takes a new connection.
    pub(crate) fn new(client: &'a TcpStream) -> Self {
        Self { client, buffer: vec![0; READ_BYTES], kept: 0 }
    }

    /// The connection itself.
    pub(crate) fn client(&self) -> &'a TcpStream {
        self.client
    }

    /// Reads once and returns the messages that came, or `None` at the end of the stream.
    ///
    /// The end of a read is the end of a message, as [`unframed::end_of_messages`] says.
    ///
    /// # Errors
    ///
    /// When the connection broke, or its read timeout is over.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut client = self.client;
        let bytes = loop {
            match client.read(&mut self.buffer[self.kept..]) {
                // A signal came. It is for the process, not for this connection.
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
