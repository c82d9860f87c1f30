//! Input: what one client sent and nobody looked at yet.
//!
//! One `read` takes as much as is there, up to 64 KiB (less where lines wait for their rate), and
//! every line in it is then passed on without asking the system again. The buffer is small for who
//! types and grows for who floods, so ten thousand silent clients cost little.

use std::io::{self, Read};
use std::net::TcpStream;
use std::ops::Range;

use super::options::{Framing, Options};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::system::socket::has_input;

/// The buffer of a client that types, in bytes.
const MIN_BUFFER_BYTES: usize = 512;

/// The same where one read is one message: more than a message may have. One that fills it is too long
/// anyway, or is many lines, and goes on in the next read.
const MIN_RECV_BUFFER_BYTES: usize = 4 * MAX_MESSAGE_BYTES;

/// The buffer of a client that sends as fast as it can, in bytes.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// The same where lines wait for their rate, and nothing is gained by having more of them here. What
/// was read is as good as said: a server that ends has to deliver it first.
const MAX_LIMITED_BUFFER_BYTES: usize = MIN_RECV_BUFFER_BYTES;

/// The receiving side of a connection.
#[derive(Debug)]
pub struct Input {
    buffer: Vec<u8>,
    max_bytes: usize,
    unread: Range<usize>,
    framing: LineDecoder,
    /// What one read returned ends with a message, also without a line end.
    reads_are_messages: bool,
    /// The last message did not fit into the buffer: the next read brings more of it.
    is_cut: bool,
}

impl Input {
    /// Makes the input of a new connection.
    pub fn new(options: &Options) -> Self {
        let is_limited = options.rate > 0;
        Self {
            buffer: Vec::new(),
            max_bytes: if is_limited { MAX_LIMITED_BUFFER_BYTES } else { MAX_BUFFER_BYTES },
            unread: 0..0,
            framing: LineDecoder::new(MAX_MESSAGE_BYTES),
            reads_are_messages: options.framing == Framing::Recv,
            is_cut: false,
        }
    }

    /// Returns the next thing that has come whole, without reading; `None` when more must be read.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let mut rest = &self.buffer[self.unread.clone()];
        if self.reads_are_messages && !rest.contains(&b'\n') {
            // No line can come of it.
            let mut timing_mark = false;
            while self.framing.next(&mut rest).is_some() {
                timing_mark = true;
            }
            self.unread.start = self.unread.end;
            if timing_mark {
                return Some(Frame::TimingMark);
            }
            return if self.is_cut { None } else { self.framing.finish() };
        }
        let received = self.framing.next(&mut rest);
        self.unread.start = self.unread.end - rest.len();
        received
    }

    /// Returns the last line of an ended stream, if it had no line end.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        self.framing.finish()
    }

    /// Blocks until there is something to [`read`](Input::read): something came, the stream ended, or
    /// it was shut down by another thread; or until its read timeout is over (`WouldBlock`).
    ///
    /// # Errors
    ///
    /// When the connection broke, as the system says.
    pub fn wait(stream: &TcpStream) -> io::Result<()> {
        uninterrupted(|| stream.peek(&mut [0])).map(drop)
    }

    /// Reads once, and returns how many bytes came: 0 at the end of the stream. To be called when
    /// [`Input::next_frame`] has nothing more. Blocks and fails as [`Input::wait`] does, and not
    /// after it.
    ///
    /// # Errors
    ///
    /// When the connection broke, as the system says.
    pub fn read(&mut self, mut stream: &TcpStream) -> io::Result<usize> {
        self.fit_buffer();
        let bytes = uninterrupted(|| stream.read(&mut self.buffer))?;
        self.unread = 0..bytes;
        self.is_cut = self.reads_are_messages && bytes == self.buffer.len() && has_input(stream);
        Ok(bytes)
    }

    /// Fits the buffer to what the read before took: four times as large if it was full, and back
    /// to the smallest size if that would have done.
    fn fit_buffer(&mut self) {
        let taken = self.unread.end;
        let least = if self.reads_are_messages { MIN_RECV_BUFFER_BYTES } else { MIN_BUFFER_BYTES };
        let bytes = if taken == self.buffer.len() {
            (taken * 4).clamp(least, self.max_bytes)
        } else if taken <= least {
            least
        } else {
            return;
        };
        if bytes != self.buffer.len() {
            // A new one, not a resized one: there is nothing in the old one to keep.
            self.buffer = vec![0; bytes];
        }
    }
}

/// Reads again when a signal came, which concerns the process and not this connection.
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
