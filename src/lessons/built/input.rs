//! From step 6: cuts what one client sends into lines. Runs on that client's thread.
//!
//! Bytes stay bytes until a line is whole and short enough; only then do they become text. In the real
//! server this is [`protocol::framing`](crate::protocol::framing),
//! [`protocol::cleaning`](crate::protocol::cleaning) and [`server::input`](crate::server::input).

use std::io;
use std::mem;
use std::net::TcpStream;

use crate::system::socket;

/// The longest line, in bytes, without its end.
const MAX_LINE_BYTES: usize = 1024;

/// What one client sends.
#[derive(Debug)]
pub struct Input<'a> {
    stream: &'a TcpStream,
    /// The bytes that have arrived but have not been returned yet.
    bytes: Vec<u8>,
    /// The start of this line was too long and is thrown away. The rest is thrown away too.
    skips: bool,
}

impl<'a> Input<'a> {
    /// Reads nothing yet.
    pub fn new(stream: &'a TcpStream) -> Self {
        Self { stream, bytes: Vec::new(), skips: false }
    }

    /// Blocks until a whole line has come, and returns it without its end. `None` means that the client ended
    /// its stream. Its last line counts even without a line end.
    ///
    /// # Errors
    ///
    /// What `read` says: the connection is broken, or nothing came within its read timeout.
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
            // Reads as `stream.read` does. From step 12 on this matters: a write that does not wait does not
            // disturb it.
            let count = socket::read(self.stream, &mut buffer)?;
            if count == 0 {
                let last = mem::take(&mut self.bytes);
                return Ok((!last.is_empty() && !self.skips).then(|| clean(&last)));
            }
            self.bytes.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Makes text of a whole line. Removes the line end and everything that a terminal would obey.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches(['\r', '\n']).replace(char::is_control, "\u{FFFD}")
}
