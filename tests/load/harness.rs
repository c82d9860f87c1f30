//! The harness: the server and the tool as child processes, with a deadline on every wait.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long anything here may take: far more than it does, since machines can be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The server, on a port of its own. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

/// What a run of the tool left behind.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_server"));
        server.args(["--port", "0", "--rate", "0", "--quiet"]).args(arguments);
        Self::of(server)
    }

    /// The naive one, which the README's figures stand beside. `cargo test` has built it, since
    /// it is an example.
    pub(crate) fn naive() -> Self {
        let directory = Path::new(env!("CARGO_BIN_EXE_server")).parent().unwrap();
        let mut server = Command::new(directory.join("examples/naive_server"));
        server.arg("0");
        Self::of(server)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let first_line = in_background(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            (line, stdout)
        });
        // The rest of its output is read by nobody, and with --quiet there is hardly any.
        let (line, _stdout) = first_line.recv_timeout(DEADLINE).expect("the server says its port");
        let port = line.trim_end().rsplit(':').next().unwrap().parse();
        Self { child, port: port.unwrap_or_else(|_| panic!("no port in '{line}'")) }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill and something to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the tool to its end.
pub(crate) fn load(arguments: &str) -> Finished {
    let mut child = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let stdout = in_background(move || text_of(&mut stdout));
    let stderr = in_background(move || text_of(&mut stderr));
    let Ok(stdout) = stdout.recv_timeout(DEADLINE) else {
        child.kill().unwrap();
        panic!("load {arguments}: it did not end; it said:\n{}", stderr.recv().unwrap());
    };
    let stderr = stderr.recv_timeout(DEADLINE).unwrap();
    Finished { code: child.wait().unwrap().code(), stdout, stderr }
}

impl Finished {
    /// Returns a figure of the last line.
    pub(crate) fn figure(&self, key: &str) -> &str {
        let last = self.stdout.lines().next_back().unwrap_or_default();
        let mut pairs = last.split(' ').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(found, _)| *found == key).map(|(_, value)| value);
        value.unwrap_or_else(|| panic!("no {key} in the last line\n{self}"))
    }

    pub(crate) fn number(&self, key: &str) -> f64 {
        self.figure(key).parse().unwrap()
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, stdout, stderr } = self;
        writeln!(f, "code {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

fn text_of(pipe: &mut impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result
}
