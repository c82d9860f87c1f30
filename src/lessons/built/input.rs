//! From step 6: cuts the bytes from one client into lines. Runs on that client's thread.
//!
//! The bytes of a line are converted to text only when the line is complete, and only if it is not too long. The real
//! server's counterparts are [`protocol::framing`](crate::protocol::framing),
//! [`protocol::cleaning`](crate::protocol::cleaning) and [`server::input`](crate::server::input).

use std::io;
use std::mem;
use std::net::TcpStream;

use crate::system::socket;

/// The maximum length of a line, in bytes, without its line end.
const MAX_LINE_BYTES: usize = 1024;

/// The input from one client.
#[derive(Debug)]
pub struct Input<'a> {
    stream: &'a TcpStream,
    /// The bytes that have arrived but have not been returned yet.
    bytes: Vec<u8>,
    /// Whether the current line is too long. If it is, its beginning was discarded, and its end will be discarded
    /// too.
    skips: bool,
}

impl<'a> Input<'a> {
    /// Makes the input of a connection. Reads nothing yet.
    pub fn new(stream: &'a TcpStream) -> Self {
        Self { stream, bytes: Vec::new(), skips: false }
    }

    /// Blocks until a whole line has arrived, and returns the line without its line end. Returns `None` if the
    /// client has ended its stream. The last line before the end of the stream need not have a line end.
    ///
    /// # Errors
    ///
    /// Any error of `read`: the connection is broken, or nothing arrived within the read timeout.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let is_whole = !mem::take(&mut self.skips);
                if is_whole && end <= MAX_LINE_BYTES {
                    return Ok(Some(clean(&line)));
                }
                continue;
            }
            if self.bytes.len() > MAX_LINE_BYTES {
                self.bytes.clear();
                self.skips = true;
            }
            // Unlike `stream.read`, this call is correct on every system even while another thread calls `send_now`,
            // as in steps 12 and 13.
            let count = socket::read(self.stream, &mut buffer)?;
            if count == 0 {
                let last = mem::take(&mut self.bytes);
                return Ok((!last.is_empty() && !self.skips).then(|| clean(&last)));
            }
            self.bytes.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Converts a whole line to text. Removes the line end, and replaces all control characters, because a terminal
/// would obey them.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches(['\r', '\n']).replace(char::is_control, "\u{FFFD}")
}
