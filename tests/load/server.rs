//! A server that this program starts and besieges: its process, and the faults in its log.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::proc::memory_of;

/// The maximum time for the server to end. The server promises to end within three seconds.
const MAX_END_TIME: Duration = Duration::from_secs(5);

/// The interval at which this program checks whether the server has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The text that the server logs after a panic of a client's thread.
const FAULT: &str = "Internal error";

/// A running server. Dropping this value kills the server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    /// The thread that reads the log. The thread ends when the server has ended, and returns the logged
    /// faults.
    log: Option<JoinHandle<Vec<String>>>,
}

impl Server {
    /// Starts the server that is in the same directory as this program, on a free port.
    pub(crate) fn start(options: &[&str]) -> Result<Self, String> {
        let here = std::env::current_exe().map_err(|error| error.to_string())?;
        let binary = here.with_file_name("server");
        let child = Command::new(&binary)
            .args(["--port", "0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| {
            format!("no server at {} ({error}): cargo build --release", binary.display())
        })?;
        let output = child.stdout.take().ok_or("the server has no standard output")?;
        let mut log = BufReader::new(output).lines();
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let mut server = Self { address, child, log: None };
        let first = log.next().and_then(Result::ok).unwrap_or_default();
        let port = first.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        server.address.set_port(port.ok_or(format!("the server's log opens with '{first}'"))?);
        server.log = Some(thread::spawn(move || {
            log.map_while(Result::ok).filter(|line| line.contains(FAULT)).collect()
        }));
        Ok(server)
    }

    /// Returns the process id of the server.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Stops the server as a service manager does. Returns the time that this took, the peak of the server's
    /// memory in KiB, and a description of everything that went wrong.
    pub(crate) fn stop(mut self) -> (Duration, u64, Vec<String>) {
        let start = Instant::now();
        let (mut peak_kib, mut wrong) = (0, Vec::new());
        match self.end(start, &mut peak_kib) {
            Ok(Some(status)) if status.success() => {}
            Ok(Some(status)) => wrong.push(format!("the server ended with {status}")),
            Ok(None) => wrong.push(format!("the server did not end within {MAX_END_TIME:?}")),
            Err(error) => wrong.push(format!("the server cannot be ended: {error}")),
        }
        let took = start.elapsed();
        // This ends the server's standard output, which ends the thread that reads the log.
        self.kill();
        let faults = self.log.take().map(JoinHandle::join);
        wrong.extend(faults.and_then(Result::ok).into_iter().flatten());
        (took, peak_kib, wrong)
    }

    /// Sends SIGTERM to the server, and polls until it has ended.
    fn end(&mut self, start: Instant, peak_kib: &mut u64) -> io::Result<Option<ExitStatus>> {
        if let Some(early) = self.child.try_wait()? {
            return Ok(Some(early));
        }
        Command::new("kill").arg(self.pid()).status()?;
        while start.elapsed() < MAX_END_TIME {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            let (_, peak) = memory_of(&self.pid()).unwrap_or_default();
            *peak_kib = peak.max(*peak_kib);
            thread::sleep(LOOK_AGAIN);
        }
        Ok(None)
    }

    fn kill(&mut self) {
        // This fails if the process has already ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
