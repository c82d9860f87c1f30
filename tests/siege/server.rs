//! The besieged server: one of our own as a process, or any that listens on loopback.
//!
//! What the process uses is read from `/proc`, so only on Linux and only of one of our own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the server may take to end. It promises three seconds.
const MAX_END_TIME: Duration = Duration::from_secs(5);

/// What the log says when a client's thread panicked.
const FAULT: &str = "A fault ended the connection";

/// A server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Option<Process>,
}

/// A server of our own. Dropped, it is killed.
struct Process {
    child: Child,
    /// Reads the log to its end, and returns the faults in it.
    log: Option<JoinHandle<Vec<String>>>,
}

/// What a process uses at one moment.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

impl Usage {
    /// The most that it used at either moment.
    pub(crate) fn or(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            memory_kib: self.memory_kib.max(other.memory_kib),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }
}

impl Server {
    /// Takes a server that runs already.
    pub(crate) fn running(address: SocketAddr) -> Self {
        Self { address, process: None }
    }

    /// Starts the binary next to this program, on a free port.
    pub(crate) fn start(options: &[&str]) -> Result<Self, String> {
        let here = std::env::current_exe().map_err(|error| error.to_string())?;
        // target/release/examples/siege and target/release/server.
        let binary = here.ancestors().nth(2).unwrap_or(Path::new(".")).join("server");
        let child = Command::new(&binary)
            .args(["--port", "0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| {
            format!("no server at {} ({error}): cargo build --release", binary.display())
        })?;
        let mut log = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
        let mut process = Process { child, log: None };
        let first = log.next().and_then(Result::ok).unwrap_or_default();
        let port = first.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port: u16 = port.ok_or_else(|| format!("the server's log opens with '{first}'"))?;
        process.log = Some(thread::spawn(move || {
            log.map_while(Result::ok).filter(|line| line.contains(FAULT)).collect()
        }));
        Ok(Self { address: (Ipv4Addr::LOCALHOST, port).into(), process: Some(process) })
    }

    /// What it uses now; `None` if it is not one of our own, or not on Linux.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let process = format!("/proc/{}", self.process.as_ref()?.child.id());
        let count = |what| fs::read_dir(format!("{process}/{what}")).map(|all| all.count() as u64);
        let status = fs::read_to_string(format!("{process}/status")).ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Usage {
            memory_kib: memory.trim().trim_end_matches(" kB").parse().ok()?,
            descriptors: count("fd").ok()?,
            threads: count("task").ok()?,
        })
    }

    /// Ends a server of our own as a service manager does. Returns what was wrong with its life.
    pub(crate) fn stop(&mut self) -> Vec<String> {
        let Some(mut process) = self.process.take() else { return Vec::new() };
        let mut wrong = Vec::new();
        match process.end() {
            Ok(Some(status)) if status.success() => {}
            Ok(Some(status)) => wrong.push(format!("the server ended with {status}")),
            Ok(None) => wrong.push(format!("the server did not end within {MAX_END_TIME:?}")),
            Err(error) => wrong.push(format!("the server cannot be ended: {error}")),
        }
        // Its standard output ends with it, and with that the log's reader.
        process.kill();
        let log = process.log.take().map(JoinHandle::join);
        wrong.extend(log.and_then(Result::ok).into_iter().flatten());
        wrong
    }
}

impl Process {
    /// Sends it SIGTERM and waits for its end.
    fn end(&mut self) -> io::Result<Option<ExitStatus>> {
        if let Some(early) = self.child.try_wait()? {
            return Ok(Some(early));
        }
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let start = Instant::now();
        while start.elapsed() < MAX_END_TIME {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::park_timeout(Duration::from_millis(10));
        }
        Ok(None)
    }

    fn kill(&mut self) {
        // It fails for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
