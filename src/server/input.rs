//! Input: the bytes that have been read from a client but not yet cut into lines.
//!
//! One `read` call reads all bytes that are available, up to a limit. All lines in these bytes are then cut
//! without another system call. The buffer is small for a client that types, and grows for a client that
//! floods. So ten thousand silent clients use little memory.
//!
//! This module grew from step 6 of the [course](crate::lessons), in which each message becomes a line.

use std::io;
use std::net::TcpStream;
use std::ops::Range;

use super::operator::options::Options;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::system::socket;

/// The size of the buffer for a client that types, in bytes.
const MIN_BUFFER_BYTES: usize = 256;

/// The maximum size of the buffer if there is a rate limit, in bytes. A larger buffer would gain nothing.
const MAX_LIMITED_BUFFER_BYTES: usize = 4 << 10;

/// The maximum size of the buffer if there is no rate limit, in bytes.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// The receiving side of a connection.
#[derive(Debug)]
pub struct Input {
    buffer: Vec<u8>,
    max_bytes: usize,
    unread: Range<usize>,
    decoder: LineDecoder,
    /// The number of bytes that have been decoded since the last frame. Bytes that [`Input::take_endless`] has
    /// already returned do not count.
    since_frame: usize,
    /// Whether the stream has ended but its last line has not been cut yet.
    has_ended: bool,
}

impl Input {
    /// Makes the input of a new connection.
    pub fn new(options: &Options) -> Self {
        let is_limited = options.rate > 0;
        Self {
            buffer: Vec::new(),
            max_bytes: if is_limited { MAX_LIMITED_BUFFER_BYTES } else { MAX_BUFFER_BYTES },
            unread: 0..0,
            decoder: LineDecoder::new(MAX_MESSAGE_BYTES),
            since_frame: 0,
            has_ended: false,
        }
    }

    /// Cuts the next line from the bytes that have been read. Returns `None` if more bytes must be read. The
    /// last line of a stream needs no line end.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if self.unread.is_empty() && std::mem::take(&mut self.has_ended) {
            return self.decoder.finish();
        }
        let mut rest = &self.buffer[self.unread.clone()];
        let frame = self.decoder.next(&mut rest);
        let looked_at = self.unread.len() - rest.len();
        self.unread.start += looked_at;
        self.since_frame = if frame.is_some() { 0 } else { self.since_frame + looked_at };
        frame
    }

    /// Returns the number of whole kibibytes that have been decoded since the last frame. No kibibyte is
    /// counted in two calls. The client pays for these kibibytes, so a line or a telnet sequence without an
    /// end is not free.
    pub fn take_endless(&mut self) -> usize {
        let endless = self.since_frame / 1024;
        self.since_frame %= 1024;
        endless
    }

    /// Returns whether [`Input::next_frame`] needs another read before it can return a frame.
    pub fn is_exhausted(&self) -> bool {
        self.unread.is_empty() && !self.has_ended
    }

    /// Reads once, and returns the number of bytes that were read, which is 0 at the end of the stream. Call
    /// this only when the input [is exhausted](Input::is_exhausted), because bytes that have not been cut yet
    /// are discarded.
    ///
    /// Blocks until bytes arrive, the stream ends, another thread shuts the connection down, or the read
    /// timeout expires.
    ///
    /// # Errors
    ///
    /// Returns `WouldBlock` if the read timeout has expired. The system can report this slightly too early.
    /// Any other error means that the connection is broken.
    pub fn read(&mut self, stream: &TcpStream) -> io::Result<usize> {
        self.fit_buffer();
        let bytes = socket::read(stream, &mut self.buffer)?;
        self.unread = 0..bytes;
        self.has_ended = bytes == 0;
        Ok(bytes)
    }

    /// Adapts the size of the buffer to the last read. If that read filled the buffer, the new size is four
    /// times as large. If the smallest size would have been enough, the buffer shrinks to the smallest size.
    fn fit_buffer(&mut self) {
        let taken = self.unread.end;
        let bytes = if taken == self.buffer.len() {
            (taken * 4).clamp(MIN_BUFFER_BYTES, self.max_bytes)
        } else if taken <= MIN_BUFFER_BYTES {
            MIN_BUFFER_BYTES
        } else {
            return;
        };
        if bytes != self.buffer.len() {
            // This is a new buffer, and not a resized one, because nothing in the old buffer has to be kept.
            self.buffer = vec![0; bytes];
        }
    }
}
