//! The harness: the server as a process under a command of one's choice, and strangers on raw
//! sockets. A deadline on every wait; nothing sleeps; a server that is dropped is killed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use chat::protocol::replies;

/// How long anything may take before the test fails. Long, since it is reached only by a failure,
/// and a busy machine is none.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The first line of the log, up to the address.
const LISTENING: &str = "[SERVER] Server is listening on ";

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    input: Option<ChildStdin>,
    /// The lines of its log, or of the terminal that it writes to.
    log: Receiver<String>,
}

/// The server with these options, on a free port.
pub(crate) fn server(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0"]).args(options);
    command
}

/// A line of shell, which finds the server as `$SERVER`.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("SERVER", env!("CARGO_BIN_EXE_server"));
    command
}

/// A line of shell on a terminal of its own; what is typed there is [`Server::enter`]ed. `None`, and
/// a line that says so, where there is no `script(1)` to make one.
pub(crate) fn on_a_terminal(script: &str) -> Option<Command> {
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|version| version.stdout.starts_with(b"script from util-linux")) {
        eprintln!("skipped: no script(1) of util-linux, so no terminal");
        return None;
    }
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", script, "/dev/null"]);
    command.env("SERVER", env!("CARGO_BIN_EXE_server")).env("SHELL", "/bin/sh");
    Some(command)
}

/// A port on which nobody listens: it was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Calls `look` until it returns something, with a short pause in between.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited for {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

impl Server {
    /// Starts the server with these options.
    #[track_caller]
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::of(server(options))
    }

    /// Starts a command that logs to a pipe, and waits until the log says where it listens.
    #[track_caller]
    pub(crate) fn of(command: Command) -> Self {
        let mut server = Self::spawn(command, Stdio::piped());
        let first = server.log_line();
        let address = first.strip_prefix(LISTENING).and_then(|address| address.parse().ok());
        server.address = address.unwrap_or_else(|| panic!("the log opens with {first:?}"));
        server.expect_log("[SERVER] Waiting for connections...");
        server
    }

    /// Starts a command that logs to `output`, where nobody looks, and listens on `port`.
    #[track_caller]
    pub(crate) fn unseen(command: Command, output: Stdio, port: u16) -> Self {
        let mut server = Self::spawn(command, output);
        server.address = (Ipv4Addr::LOCALHOST, port).into();
        wait_for("a server that listens", || TcpStream::connect(server.address).ok());
        server
    }

    fn spawn(mut command: Command, output: Stdio) -> Self {
        command.stdin(Stdio::piped()).stdout(output);
        let mut child = command.spawn().expect("the program can be started");
        let (sender, log) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    // A terminal ends lines with a carriage return too.
                    if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                        return;
                    }
                }
            });
        }
        let address = (Ipv4Addr::UNSPECIFIED, 0).into();
        Self { input: child.stdin.take(), child, address, log }
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Types into its standard input.
    #[track_caller]
    pub(crate) fn enter(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it is a pipe");
        input.write_all(text.as_bytes()).expect("it takes input");
    }

    /// The next line of its log.
    #[track_caller]
    pub(crate) fn log_line(&self) -> String {
        self.log.recv_timeout(DEADLINE).expect("the log goes on")
    }

    /// Waits for the next line of its log, which must be this one.
    #[track_caller]
    pub(crate) fn expect_log(&self, line: &str) {
        assert_eq!(self.log_line(), line);
    }

    /// Waits for lines of its log up to the first that contains `text`; returns all of them.
    #[track_caller]
    pub(crate) fn log_until(&self, text: &str) -> Vec<String> {
        let mut lines = vec![self.log_line()];
        while !lines[lines.len() - 1].contains(text) {
            lines.push(self.log_line());
        }
        lines
    }

    /// What is left of its log. It must have ended, or soon end.
    #[track_caller]
    pub(crate) fn rest_of_log(&self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return lines,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the log does not end: {lines:?}"),
            }
        }
    }

    /// Connects without reading anything.
    #[track_caller]
    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Connects and joins. What comes after the list of names (the history) is left to read.
    #[track_caller]
    pub(crate) fn join(&self, nickname: &str) -> Peer {
        let mut peer = self.connect();
        peer.expect(replies::ENTER_NICKNAME);
        peer.send(nickname);
        peer.expect(replies::CONNECTED);
        assert!(peer.line().contains(" online: "));
        peer
    }

    /// Sends it a signal, by its name without `SIG`.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(kill.is_ok_and(|status| status.success()), "SIG{signal} could not be sent");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn exit(&mut self) -> ExitStatus {
        wait_for("the server's end", || self.child.try_wait().expect("it is a child"))
    }

    /// Ends it as a service manager does, which must work in order.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.exit().code(), Some(0));
    }

    /// The names of its threads, cut to 15 characters by the kernel.
    pub(crate) fn threads(&self) -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let threads = threads.expect("the server runs").filter_map(Result::ok);
        // A thread may end while one looks at it.
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok()).collect()
    }

    /// Waits until so many clients are behind.
    #[track_caller]
    pub(crate) fn wait_for_catch_up(&self, clients: usize) {
        wait_for("clients that are behind", || {
            let behind = self.threads().iter().filter(|name| name.contains(" catch")).count();
            (behind >= clients).then_some(())
        });
    }

    /// How much processor time it has used, in hundredths of a second.
    #[track_caller]
    pub(crate) fn processor_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the server runs");
        // After the name in parentheses: state is field 3, utime 14, stime 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        fields[11..=12].iter().filter_map(|time| time.parse::<u64>().ok()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stranger's end of a connection.
pub(crate) struct Peer {
    reader: BufReader<TcpStream>,
}

impl Peer {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the server listens");
        stream.set_nodelay(true).expect("TCP_NODELAY on a connected socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        Self { reader: BufReader::new(stream) }
    }

    /// The connection itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends a line and its end.
    #[track_caller]
    pub(crate) fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Sends exactly these bytes.
    #[track_caller]
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the server takes it");
    }

    /// Ends what it sends; it still reads.
    #[track_caller]
    pub(crate) fn end_input(&self) {
        self.stream().shutdown(Shutdown::Write).expect("the connection stands");
    }

    /// The next line, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => line.trim_end_matches('\n').to_owned(),
            other => panic!("waited for a line, has {line:?}: {other:?}"),
        }
    }

    /// Waits for the next line, which must be this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
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

    /// The next so many bytes.
    #[track_caller]
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).expect("so much is sent");
        bytes
    }

    /// Reads to the end of the connection, which must come in order.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = self.reader.read_to_end(&mut rest);
        assert!(read.is_ok(), "{read:?} after {:?}", String::from_utf8_lossy(&rest));
        rest
    }

    /// Waits for this line and then the end, with nothing between.
    #[track_caller]
    pub(crate) fn expect_last(&mut self, line: &str) {
        self.expect(line);
        assert_eq!(self.rest(), b"");
    }
}

/// An address of this machine that is not loopback; packets to it do not leave the machine. `None`,
/// and a line that says so, where there is no network.
pub(crate) fn own_address() -> Option<IpAddr> {
    // Connecting a UDP socket sends nothing: it only chooses the route (TEST-NET-1, RFC 5737).
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    let routed =
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr());
    let address = routed.ok().map(|address| address.ip()).filter(|address| !address.is_loopback());
    if address.is_none() {
        eprintln!("skipped: this machine has no address but loopback");
    }
    address
}
