//! A running server and its log.

use std::net::{Ipv4Addr, TcpStream};

use super::{Peer, Program, Transcript, server_command};

/// The first line of the log, up to the port.
const LISTENING: &str = "[SERVER] Server is listening on 127.0.0.1:";

/// A server on a port of its own. Dropped, it is killed, and must not have written to standard error;
/// in a failing test the transcript is printed.
pub(crate) struct Server {
    program: Program,
    port: u16,
    transcript: Transcript,
}

impl Server {
    /// Starts a server as it is without options, but for the port.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with these options, on a free port.
    pub(crate) fn with(options: &[&str]) -> Self {
        let transcript = Transcript::default();
        let command = server_command(["--port", "0"].iter().chain(options));
        Self::of(Program::start("server", command, &transcript), transcript)
    }

    /// Takes a server that was just started and waits until it listens.
    pub(crate) fn of(mut program: Program, transcript: Transcript) -> Self {
        let first = program.line();
        let port = first.strip_prefix(LISTENING).and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the log opens with {first:?}"));
        program.expect("[SERVER] Waiting for connections...");
        Self { program, port, transcript }
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub(crate) fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// The transcript that the server's peers share.
    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Connects without reading anything; `name` is for the transcript.
    pub(crate) fn connect(&self, name: &str) -> Peer {
        Peer::connect(name, self.port, &self.transcript)
    }

    /// Whether the kernel still takes connections for the server.
    pub(crate) fn is_listening(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    /// Connects and joins. What comes after the list of names (the history) is left to read.
    #[track_caller]
    pub(crate) fn join(&self, nickname: &str) -> Peer {
        let mut peer = self.connect(nickname);
        peer.expect("[SERVER] Enter your nickname:");
        peer.send(nickname);
        peer.expect("[SERVER] Connected to the server!");
        let online = peer.line();
        assert!(online.starts_with("[SERVER] ") && online.contains(" online: "), "{online:?}");
        peer
    }

    /// Joins several, one after another; each has read the join notices of those after it.
    #[track_caller]
    pub(crate) fn join_all<const N: usize>(&self, nicknames: [&str; N]) -> [Peer; N] {
        let mut peers: Vec<Peer> = Vec::new();
        for nickname in nicknames {
            let peer = self.join(nickname);
            for earlier in &mut peers {
                earlier.expect(&format!("[SERVER] {nickname} joined the chat!"));
            }
            peers.push(peer);
        }
        peers.try_into().unwrap_or_else(|_| unreachable!("one peer a nickname"))
    }

    /// Waits for the next line of the log, which must be this one.
    #[track_caller]
    pub(crate) fn expect_log(&mut self, line: &str) {
        self.program.expect(line);
    }

    /// Waits for lines of the log up to and including this one; returns those before it.
    #[track_caller]
    pub(crate) fn log_until(&mut self, last: &str) -> Vec<String> {
        self.program.lines_until(last)
    }

    /// Sends the server a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// Ends it as a service manager does, and checks that it ends in order.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        self.expect_exit();
    }

    /// Waits for its end, which must be in order.
    #[track_caller]
    pub(crate) fn expect_exit(&mut self) {
        let status = self.program.exit();
        assert!(status.code() == Some(0), "the server ended with {status}");
    }

    /// How many descriptors the server has open.
    #[cfg(target_os = "linux")]
    pub(crate) fn descriptors(&self) -> usize {
        self.count("fd")
    }

    /// How many threads the server has.
    #[cfg(target_os = "linux")]
    pub(crate) fn threads(&self) -> usize {
        self.count("task")
    }

    /// The most memory that the server has had resident so far, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory_kib(&self) -> usize {
        let path = format!("/proc/{}/status", self.program.pid());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        peak.and_then(|peak| peak.parse().ok()).expect("the kernel says how much")
    }

    #[cfg(target_os = "linux")]
    fn count(&self, what: &str) -> usize {
        let path = format!("/proc/{}/{what}", self.program.pid());
        std::fs::read_dir(path).expect("the server runs").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A thread that panics takes nobody else down, and so might go unseen.
            let errors = self.program.last_errors();
            assert!(errors.is_empty(), "the server wrote to standard error:\n{errors}");
        }
        self.transcript.print_if_failing();
    }
}
