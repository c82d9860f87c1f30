//! One connection, as a stranger with `nc` has it: bytes out, lines in.
//!
//! It runs on the test's own thread. Bytes that were read stay in `received` until the test asks for them. So
//! `expect` sees every line, in order, and fails on a line that should not have come.

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{DEADLINE, Transcript, proc};

/// The most that one read takes.
const READ_BYTES: usize = 16 * 1024;

/// A stranger's end of a connection.
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

    /// Takes a connection that is already established.
    pub(crate) fn on(name: &str, stream: TcpStream, transcript: &Transcript) -> Self {
        // One write is one segment, so a test decides where its lines are split.
        stream.set_nodelay(true).expect("TCP_NODELAY on a connected socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        let transcript = transcript.clone();
        Self { name: name.to_owned(), stream, received: Vec::new(), transcript }
    }

    /// The name for the transcript.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its own address, as the server sees it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// How many bytes on their way to this peer the system holds, at both ends of the connection.
    pub(crate) fn bytes_held_by_system(&self) -> u64 {
        let far_end = self.stream.peer_addr().expect("a connected socket has a peer");
        let ends = proc::both_sockets(self.address(), far_end);
        let (arrived, sent) = ends.expect("the connection stands");
        // Bytes that have arrived but are not acknowledged yet count twice. So the number is never too small.
        sent.unacknowledged + arrived.unread
    }

    /// The connection itself, for a test that does something unusual.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a line and its end.
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

    /// Ends its stream, as `nc` does at the end of its input. It still reads.
    pub(crate) fn end_input(&mut self) {
        self.transcript.add(&self.name, '>', b"(end of input)");
        self.stream.shutdown(Shutdown::Write).expect("the connection stands");
    }

    /// Waits for the next line, which must be this one.
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

    /// Waits for the next line and returns it without its `\n`. It would still have a `\r`.
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
            Err(error) => panic!("{} was sent what is not UTF-8: {error}", self.name),
        }
    }

    /// Waits for the next line that is not a ping, and returns it. The client sends a ping by itself some time
    /// after a line.
    #[track_caller]
    pub(crate) fn said(&mut self) -> String {
        loop {
            let line = self.line();
            if !line.starts_with("/ping client-") {
                return line;
            }
        }
    }

    /// Waits for lines up to one of these two. Returns whether it was the first.
    #[track_caller]
    pub(crate) fn comes_to(&mut self, this: &str, that: &str) -> bool {
        loop {
            let line = self.line();
            if line == this || line == that {
                return line == this;
            }
        }
    }

    /// Waits for lines up to and including this one; returns those before it.
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

    /// Waits for the next bytes, which must be these.
    #[track_caller]
    pub(crate) fn expect_bytes(&mut self, bytes: &[u8]) {
        let got = self.bytes(bytes.len());
        self.transcript.add(&self.name, '<', &got);
        assert!(got == bytes, "{} got the bytes {got:x?}, not {bytes:x?}", self.name);
    }

    /// Reads to the end of the stream. The connection must end cleanly.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.received);
        let read = self.stream.read_to_end(&mut rest);
        assert!(read.is_ok(), "{} waited for the end: {read:?}", self.name);
        rest
    }

    /// Waits for that many bytes and returns them.
    #[track_caller]
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.received.drain(..count.min(self.received.len())).collect();
        let have = bytes.len();
        bytes.resize(count, 0);
        let read = self.stream.read_exact(&mut bytes[have..]);
        assert!(read.is_ok(), "{} waited for {count} bytes: {read:?}", self.name);
        bytes
    }

    /// The bytes that come from here on, as a stream. It is read faster than line by line, and nothing is kept of it.
    pub(crate) fn reader(&mut self) -> impl BufRead + '_ {
        let received = Cursor::new(std::mem::take(&mut self.received));
        received.chain(BufReader::with_capacity(READ_BYTES, &self.stream))
    }

    /// Waits for the connection to end cleanly. Nothing more may come before.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        while self.received.is_empty() && self.read("the end") > 0 {}
        let rest = String::from_utf8_lossy(&self.received);
        assert!(rest.is_empty(), "{} got {rest:?} where the connection should end", self.name);
    }

    /// Waits for this line, and then for the end. Nothing may come between them.
    #[track_caller]
    pub(crate) fn expect_last(&mut self, line: &str) {
        self.expect(line);
        self.expect_end();
    }

    /// Waits for the connection to end, cleanly or not, and drops what comes before.
    #[track_caller]
    pub(crate) fn wait_for_any_end(&mut self) {
        let mut thrown_away = [0; READ_BYTES];
        loop {
            match uninterrupted(|| self.stream.read(&mut thrown_away)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{} waited for the end: {error}", self.name),
            }
        }
    }

    /// Breaks the connection. There must be data that this peer has not read: to close a socket with unread
    /// data resets the connection (RFC 2525, 2.17).
    #[track_caller]
    pub(crate) fn reset(self) {
        match uninterrupted(|| self.stream.peek(&mut [0])) {
            Ok(1) => self.transcript.add(&self.name, '>', b"(reset)"),
            other => panic!("{} waited for something unread: {other:?}", self.name),
        }
    }

    /// Reads what there is, and returns how many bytes that was: 0 at the end of the stream. Blocks until
    /// there is something.
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

/// Reads again if a signal interrupted the read. To stop and to continue a process is enough to interrupt a
/// read with a timeout (`signal(7)`).
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
