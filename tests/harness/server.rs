//! A running server and its log, and a fake server that a test drives.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::proc::Sample;
use super::{DEADLINE, Peer, Program, Tmux, Transcript, poll_until, server_command};

/// The first line of the log, up to the address.
const LISTENING: &str = "[SERVER] Server is listening on ";

/// If this many bytes for a client are still in the server, the client has certainly fallen behind: a server
/// never writes that much to a client at once.
pub(crate) const SURELY_BEHIND: u64 = 2 << 20;

/// The system's buffers for a client that does not read can hold at least this many bytes. The exact number of bytes
/// in the buffers is in `/proc`, which is slow to read on a system with many connections. So a test reads the exact
/// number only after it has sent more bytes than this.
const SURELY_HELD: u64 = 1 << 20;

/// A server on an address of its own. When this value is dropped, the server is killed. The drop panics if the
/// server has written to standard error. If the test fails, the transcript is printed.
pub(crate) struct Server {
    /// `None` if the server runs in a terminal.
    program: Option<Program>,
    address: SocketAddr,
    transcript: Transcript,
}

impl Server {
    /// Starts a server with no option except a free port.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with these options, on a free port.
    #[track_caller]
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::of(server_command(["--port", "0"].iter().chain(options)))
    }

    /// Runs a command that starts a server, and waits until the server listens.
    #[track_caller]
    pub(crate) fn of(command: Command) -> Self {
        let transcript = Transcript::default();
        let mut program = Program::start("server", command, &transcript);
        let first = program.line();
        let address = first.strip_prefix(LISTENING).and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the log begins with {first:?}"));
        program.expect("[SERVER] Waiting for connections...");
        Self { program: Some(program), address, transcript }
    }

    /// Runs a command that starts a server on `port`. The server writes its log to `output`, which is not read here.
    #[track_caller]
    pub(crate) fn unseen(command: Command, output: Stdio, port: u16) -> Self {
        let transcript = Transcript::default();
        let program = Some(Program::start_into("server", command, output, &transcript));
        let server = Self { program, address: (Ipv4Addr::LOCALHOST, port).into(), transcript };
        poll_until("a server that listens", || server.is_listening().then_some(()));
        server
    }

    /// Starts a terminal and runs a shell script in it. The script starts a server. Returns `None` if `tmux` is not
    /// installed.
    #[track_caller]
    pub(crate) fn in_terminal(script: &str) -> Option<(Self, Tmux)> {
        let terminal = Tmux::run(100, script)?;
        let address = poll_until(format_args!("a server in\n{terminal}"), || {
            terminal.rows().iter().find_map(|row| row.strip_prefix(LISTENING)?.parse().ok())
        });
        terminal.wait_for_row("[SERVER] Waiting for connections...");
        Some((Self { program: None, address, transcript: Transcript::default() }, terminal))
    }

    /// Returns the address on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the port on which the server listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the server's process.
    pub(crate) fn program(&mut self) -> &mut Program {
        self.program.as_mut().expect("the server does not run in a terminal")
    }

    /// Returns the transcript that the server and its peers share.
    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Connects without reading anything; `name` is the peer's name in the transcript.
    #[track_caller]
    pub(crate) fn connect(&self, name: &str) -> Peer {
        Peer::connect(name, self.address, &self.transcript)
    }

    /// Returns whether the system still accepts connections to the server's address.
    pub(crate) fn is_listening(&self) -> bool {
        TcpStream::connect(self.address).is_ok()
    }

    /// Connects and logs in under this nickname. The history, which the server sends next, stays unread.
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

    /// Lets several clients join, one after another. Each client reads the join notices of the clients after it.
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

    /// Waits for the next line of the log, which must be `line`.
    #[track_caller]
    pub(crate) fn expect_log(&mut self, line: &str) {
        self.program().expect(line);
    }

    /// Reads the log up to and including the first line that contains `part`. Returns the lines before it.
    #[track_caller]
    pub(crate) fn log_until(&mut self, part: &str) -> Vec<String> {
        self.program().lines_until(part)
    }

    /// Sends the server a signal. The signal's name is given without `SIG`.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        self.program.as_ref().expect("the server does not run in a terminal").signal(signal);
    }

    /// Sends the server SIGTERM, as a service manager does, and checks that it exits with code 0.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        self.expect_exit();
    }

    /// Waits for the server to exit. The exit code must be 0.
    #[track_caller]
    pub(crate) fn expect_exit(&mut self) {
        let status = self.program().exit();
        assert!(status.code() == Some(0), "the server ended with {status}");
    }

    /// Returns the resources that the server's process uses at this moment.
    #[track_caller]
    pub(crate) fn usage(&self) -> Sample {
        let program = self.program.as_ref().expect("the server does not run in a terminal");
        Sample::of(&program.pid().to_string()).expect("the server runs")
    }

    /// Makes `talker` send messages until `stalled`, which does not read, has fallen behind: the system's buffers
    /// contain less than was sent, so the rest is still in the server. `listener` receives all messages.
    #[track_caller]
    pub(crate) fn leave_behind(talker: &mut Peer, listener: &mut Peer, stalled: &Peer) {
        Self::leave_behind_by(SURELY_BEHIND, talker, listener, stalled);
    }

    /// Does the same as [`Server::leave_behind`], but only until `bytes` bytes for `stalled` are in the server. With
    /// a small `bytes`, the server could still write to `stalled` a short time before this function returns.
    #[track_caller]
    pub(crate) fn leave_behind_by(
        bytes: u64,
        talker: &mut Peer,
        listener: &mut Peer,
        stalled: &Peer,
    ) {
        let (line, goes_on) = ("x".repeat(1000), format!("* {} goes on", talker.name()));
        let (lines, heard) = (format!("{line}\n").repeat(99), format!("{}: {line}", talker.name()));
        let mut said = 0;
        while said < bytes + SURELY_HELD || said < bytes + stalled.bytes_held_by_system() {
            talker.send_bytes(lines.as_bytes());
            talker.send("/me goes on");
            talker.lines_until(&goes_on);
            said += lines.len() as u64;
            let heard_by_now =
                listener.lines_until(&goes_on).iter().filter(|l| **l == heard).count();
            assert_eq!(heard_by_now, 99, "`listener` receives every message");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program
            && !thread::panicking()
        {
            // A panic in one of the server's threads does not end the server, so a test might not notice it.
            // But the panic's message is on standard error.
            let errors = program.last_errors();
            assert!(errors.is_empty(), "the server wrote to standard error:\n{errors}");
        }
        self.transcript.print_if_failing();
    }
}

/// A fake server. The test decides what a client receives from it, and when.
pub(crate) struct FakeServer {
    listener: TcpListener,
    transcript: Transcript,
}

impl FakeServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        Self { listener, transcript: Transcript::default() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("a bound socket has an address").port()
    }

    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Accepts the next connection.
    #[track_caller]
    pub(crate) fn connection(&self) -> Peer {
        let listener = self.listener.try_clone().expect("there are descriptors left");
        let (accepted, stream) = mpsc::channel();
        // `accept` has no timeout. So another thread calls it, and this thread waits until the deadline.
        thread::spawn(move || accepted.send(listener.accept()));
        let stream = stream.recv_timeout(DEADLINE).expect("the client connects");
        let stream = stream.expect("a connection can be accepted").0;
        Peer::on("fake server", stream, &self.transcript)
    }

    /// Accepts the next client and asks for its nickname, which must be `nickname`.
    #[track_caller]
    pub(crate) fn ask(&self, nickname: &str) -> Peer {
        let mut peer = self.connection();
        peer.send("[SERVER] Enter your nickname:");
        peer.expect(nickname);
        peer
    }

    /// Accepts the next client, which must give this nickname, and sends it the lines of a successful login.
    #[track_caller]
    pub(crate) fn let_in(&self, nickname: &str) -> Peer {
        let mut peer = self.ask(nickname);
        peer.send("[SERVER] Connected to the server!");
        peer.send(&format!("[SERVER] 1 online: {nickname}"));
        peer
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.transcript.print_if_failing();
    }
}
