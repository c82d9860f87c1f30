//! The other ends: the server as a process, a peer at its socket, and a server of a test's own.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a peer waits for a line before the test has failed.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// The server, on a free port; stopped with the test.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_server"))
            .args(["--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut first = String::new();
        log.read_line(&mut first).unwrap();
        let port = first.trim().rsplit(':').next().unwrap().parse().expect(&first);
        // Read to its end, or the server would write to a closed pipe.
        std::thread::spawn(move || log.lines().for_each(drop));
        Self { process, port }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails when the test has killed it already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// One end of a connection, line by line.
pub(crate) struct Peer {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Self { stream, lines }
    }

    /// Joins a server's room under a nickname.
    pub(crate) fn join(server: &Server, nickname: &str) -> Self {
        let mut peer = Self::new(TcpStream::connect(("127.0.0.1", server.port)).unwrap());
        peer.say(nickname);
        peer.wait_for("[SERVER] Connected to the server!");
        peer
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Returns the next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line comes in time");
        line.trim_end_matches('\n').to_owned()
    }

    /// Reads up to this line.
    pub(crate) fn wait_for(&mut self, expected: &str) {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|last| last != expected) {
            let line = self.line();
            assert!(!line.is_empty(), "{expected:?} does not come, but {lines:?}");
            lines.push(line);
        }
    }
}

/// A server that says what a test wants it to.
pub(crate) struct FakeServer {
    listener: TcpListener,
    pub(crate) port: u16,
}

impl FakeServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// Takes the next client into its room.
    pub(crate) fn accept(&self, nickname: &str) -> Peer {
        let mut peer = Peer::new(self.listener.accept().unwrap().0);
        peer.say("[SERVER] Enter your nickname:");
        assert_eq!(peer.line(), nickname);
        peer.say("[SERVER] Connected to the server!");
        peer
    }
}
