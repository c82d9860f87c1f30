//! One connection to a server. A test sends bytes and reads lines, as a user of `nc` does.
//!
//! All reads and writes happen on the test's own thread. Bytes that were read stay in `received` until the test
//! asks for them. So `expect` sees every line, in order, and fails on a line that should not have arrived.

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{DEADLINE, Transcript, proc};

/// The maximum number of bytes that one read returns.
const READ_BYTES: usize = 16 * 1024;

/// The test's end of a connection.
pub(crate) struct Peer {
    name: String,
    stream: TcpStream,
    received: Vec<u8>,
    transcript: Transcript,
}

impl Peer {
    /// Connects to the server at that address; `name` is for the transcript only.
    pub(crate) fn connect(name: &str, address: SocketAddr, transcript: &Transcript) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the server listens");
        Self::on(name, stream, transcript)
    }

    /// Wraps a connection that is already established.
    pub(crate) fn on(name: &str, stream: TcpStream, transcript: &Transcript) -> Self {
        // With `TCP_NODELAY`, each write is sent as a segment of its own. So a test decides where its lines are
        // split.
        stream.set_nodelay(true).expect("TCP_NODELAY on a connected socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        let transcript = transcript.clone();
        Self { name: name.to_owned(), stream, received: Vec::new(), transcript }
    }

    /// The peer's name in the transcript.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The peer's own address, which the server sees as the address of its client.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Returns the number of bytes for this peer that are in the system's buffers at both ends of the connection
    /// together.
    pub(crate) fn bytes_held_by_system(&self) -> u64 {
        let far_end = self.stream.peer_addr().expect("a connected socket has a peer");
        let ends = proc::both_sockets(self.address(), far_end);
        let (arrived, sent) = ends.expect("the connection is open");
        // Bytes that have arrived but are not acknowledged yet count twice. So the sum can be too large, but
        // never too small.
        sent.unacknowledged + arrived.unread
    }

    /// The connection itself, for a test that does something unusual.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a line, followed by `\n`.
    #[track_caller]
    pub(crate) fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Sends exactly these bytes.
    #[track_caller]
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.transcript.add(&self.name, '>', bytes);
        if let Err(error) = self.stream.write_all(bytes) {
            panic!("{} could not send {} bytes: {error}", self.name, bytes.len());
        }
    }

    /// Shuts the connection down for writing, as `nc -N` does at the end of its input. The peer can still read.
    pub(crate) fn end_input(&mut self) {
        self.transcript.add(&self.name, '>', b"(end of input)");
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Waits for the next line, which must be `line`.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str) {
        let got = self.line();
        assert!(got == line, "{} got the line\n  {got:?}\nnot\n  {line:?}", self.name);
    }

    /// Waits for these lines, in this order, with no other line between them.
    #[track_caller]
    pub(crate) fn expect_all<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) {
        for line in lines {
            self.expect(line.as_ref());
        }
    }

    /// Waits for the next line and returns it without its `\n`. A `\r` before the `\n` is kept.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let end = loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                break end;
            }
            let read = self.read("a line");
            assert!(read > 0, "{} waited for a line and the connection ended", self.name);
        };
        let line: Vec<u8> = self.received.drain(..=end).collect();
        match String::from_utf8(line) {
            Ok(line) => line.trim_end_matches('\n').to_owned(),
            Err(error) => panic!("{} received a line that is not UTF-8: {error}", self.name),
        }
    }

    /// Waits for the next line that is not a ping of the client, and returns this line. The client sends pings
    /// on its own, at times that a test cannot know.
    #[track_caller]
    pub(crate) fn said(&mut self) -> String {
        loop {
            let line = self.line();
            if !line.starts_with("/ping client-") {
                return line;
            }
        }
    }

    /// Reads lines until one of them is `this` or `that`. Returns whether it was `this`.
    #[track_caller]
    pub(crate) fn comes_to(&mut self, this: &str, that: &str) -> bool {
        loop {
            let line = self.line();
            if line == this || line == that {
                return line == this;
            }
        }
    }

    /// Reads lines up to and including `last`. Returns the lines before it.
    #[track_caller]
    pub(crate) fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line == last {
                return lines;
            }
            lines.push(line);
        }
    }

    /// Waits for the next bytes, which must be `bytes`.
    #[track_caller]
    pub(crate) fn expect_bytes(&mut self, bytes: &[u8]) {
        let got = self.bytes(bytes.len());
        self.transcript.add(&self.name, '<', &got);
        assert!(got == bytes, "{} got the bytes {got:x?}, not {bytes:x?}", self.name);
    }

    /// Reads to the end of the stream, and returns the bytes. The connection must end without an error.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.received);
        let read = self.stream.read_to_end(&mut rest);
        assert!(read.is_ok(), "{} waited for the end of the stream: {read:?}", self.name);
        rest
    }

    /// Waits for `count` bytes and returns them.
    #[track_caller]
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.received.drain(..count.min(self.received.len())).collect();
        let have = bytes.len();
        bytes.resize(count, 0);
        let read = self.stream.read_exact(&mut bytes[have..]);
        assert!(read.is_ok(), "{} waited for {count} bytes: {read:?}", self.name);
        bytes
    }

    /// Returns a buffered reader for all further bytes. Reading from it is faster than [`Peer::line`], and does not add
    /// the bytes to the transcript.
    pub(crate) fn reader(&mut self) -> impl BufRead + '_ {
        let received = Cursor::new(std::mem::take(&mut self.received));
        received.chain(BufReader::with_capacity(READ_BYTES, &self.stream))
    }

    /// Waits for the connection to end without an error. No byte may arrive before the end.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        while self.received.is_empty() && self.read("the end of the stream") > 0 {}
        let rest = String::from_utf8_lossy(&self.received);
        assert!(rest.is_empty(), "{} got {rest:?} where the connection should end", self.name);
    }

    /// Waits for `line`, and then for the end of the connection. No byte may arrive between the two.
    #[track_caller]
    pub(crate) fn expect_last(&mut self, line: &str) {
        self.expect(line);
        self.expect_end();
    }

    /// Waits for the connection to end, either normally or by a reset. Discards all bytes that arrive before the end.
    #[track_caller]
    pub(crate) fn wait_for_any_end(&mut self) {
        let mut thrown_away = [0; READ_BYTES];
        loop {
            match uninterrupted(|| self.stream.read(&mut thrown_away)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{} waited for the end of the stream: {error}", self.name),
            }
        }
    }

    /// Resets the connection. Closing a socket that contains unread data makes the system send a reset (RFC 2525,
    /// 2.17). So the function first waits for data to arrive, and then closes the socket.
    #[track_caller]
    pub(crate) fn reset(self) {
        match uninterrupted(|| self.stream.peek(&mut [0])) {
            Ok(1) => self.transcript.add(&self.name, '>', b"(reset)"),
            other => panic!("{} waited for unread data: {other:?}", self.name),
        }
    }

    /// Reads the bytes that have arrived, and returns their number: 0 at the end of the stream. Blocks until
    /// there is at least one byte, or the stream ends.
    #[track_caller]
    fn read(&mut self, what: &str) -> usize {
        let mut buffer = [0; READ_BYTES];
        match uninterrupted(|| self.stream.read(&mut buffer)) {
            Ok(bytes) => {
                self.transcript.add(&self.name, '<', &buffer[..bytes]);
                self.received.extend_from_slice(&buffer[..bytes]);
                bytes
            }
            Err(error) => {
                let have = String::from_utf8_lossy(&self.received);
                panic!("{} waited for {what}, has {have:?}: {error}", self.name)
            }
        }
    }
}

/// Reads again if a signal interrupted the read. A read with a timeout is interrupted even when the process is
/// merely stopped and continued (`signal(7)`).
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
