//! The server that is examined: a new process for each check, measured from outside.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::kernel;
use super::peer::Peer;
use super::wire::Wire;

/// The time between two attempts to find out whether the server listens.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The settings that are the same for all checks of one run.
#[derive(Debug)]
pub(crate) struct Examination {
    /// The command that starts the server. `{port}` stands for the server's port.
    pub(crate) command: Vec<String>,
    pub(crate) wire: Wire,
    /// The time limit for everything that a good server does within milliseconds.
    pub(crate) patience: Duration,
    /// The number of megabytes that are sent to a client that does not read, to measure how much memory this costs
    /// the server.
    pub(crate) megabytes: usize,
}

/// A running server. Dropping this value kills the server.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) examination: &'a Examination,
    process: Child,
    pub(crate) port: u16,
    /// Whether the examiner has killed the server.
    is_killed: bool,
}

impl<'a> Server<'a> {
    /// Starts the server with a limit on its descriptors, and waits until the server listens.
    ///
    /// This function does not connect to find out whether the server listens, because a naive server may not survive
    /// a connection that sends nothing.
    pub(crate) fn start(examination: &'a Examination, descriptors: u32) -> Result<Self, String> {
        let port = free_port();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"]);
        let with_port = |word: &String| word.replace("{port}", &port.to_string());
        shell.args(examination.command.iter().map(with_port));
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = shell.spawn().map_err(|error| error.to_string())?;
        let mut server = Self { examination, process, port, is_killed: false };
        let output = server.process.stdout.take().ok_or("its output is not there")?;
        let first_line = read_output(output);
        let start = Instant::now();
        // The start may take long, for example if the command starts an interpreter.
        let time = examination.patience.max(Duration::from_secs(10));
        while start.elapsed() < time {
            // Most servers print something when they are ready. But only the kernel knows for certain whether a
            // server listens.
            let printed = first_line.recv_timeout(LOOK_INTERVAL);
            if printed == Err(RecvTimeoutError::Disconnected) {
                // The server has closed its output, so `recv_timeout` has not waited.
                thread::sleep(LOOK_INTERVAL);
            }
            if kernel::listens(port).unwrap_or(printed.is_ok()) {
                return Ok(server);
            }
            if let Some(status) = server.exit() {
                return Err(format!("it has ended ({status})"));
            }
        }
        Err(format!("nobody listens on port {port}"))
    }

    /// Connects to the server. The kernel accepts the connection, even if the server has not called `accept` yet.
    pub(crate) fn connect(&self) -> Result<Peer, String> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let stream = stream.map_err(|error| format!("nobody can connect: {error}"))?;
        Peer::new(stream, self).map_err(|error| error.to_string())
    }

    /// Connects and joins under a name.
    pub(crate) fn join(&self, name: &str) -> Result<Peer, String> {
        let mut peer = self.connect()?;
        peer.send(name)?;
        peer.until(|line| self.examination.wire.is_welcome(line))
            .map_err(|why| format!("{name} was not let in: {why}"))?;
        Ok(peer)
    }

    /// Joins with two clients. Makes sure that the first client will receive the second client's messages: a
    /// naive server may welcome a client a moment before the client has joined.
    pub(crate) fn join_two(&self, first: &str, second: &str) -> Result<(Peer, Peer), String> {
        let (mut first, peer) = (self.join(first)?, self.join(second)?);
        first.wait_for(|line| self.examination.wire.is_join(line, second));
        Ok((first, peer))
    }

    /// Returns the server's peak memory, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        kernel::peak_memory_kib(self.process.id())
    }

    /// Asks the server to end, by SIGTERM.
    pub(crate) fn ask_to_end(&self) -> Result<(), String> {
        let kill = Command::new("kill").arg(self.process.id().to_string()).status();
        kill.map(drop).map_err(|error| format!("`kill` cannot be run: {error}"))
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.is_killed = true;
        // This fails if the server has already ended.
        let _ = self.process.kill();
    }

    /// Returns the server's exit status, or `None` if the server still runs or was killed by the examiner.
    pub(crate) fn exit(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten().filter(|_| !self.is_killed)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.kill();
        // This wait is short, because the server was killed.
        let _ = self.process.wait();
    }
}

/// Reads the server's output on a new thread, so that the server never blocks when it prints. The channel reports
/// the first line.
fn read_output(output: impl Read + Send + 'static) -> Receiver<()> {
    let (printed, first_line) = channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        if output.read_until(b'\n', &mut Vec::new()).is_ok_and(|count| count > 0) {
            // This fails if nobody still waits for the report.
            let _ = printed.send(());
        }
        let _ = io::copy(&mut output, &mut io::sink());
    });
    first_line
}

/// Returns a port that no program uses, and that the kernel does not choose for clients' ends of connections.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = process::id() * 61 + TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + u16::try_from(number % 12_000).unwrap_or(0);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
