//! One run, as the main thread directs it: joining, talking, closing, leaving.
//!
//! It tells the other threads how far things are by what they all share, the room, looks there how
//! far they are, once a millisecond, and now and then prints that.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::client::CONNECT_TIMEOUT;
use super::options::Options;
use super::process::{Sample, memory_of};
use super::readers::read_loop;
use super::report::{Findings, Report};
use super::room::Room;
use super::senders;
use crate::arguments::UsageError;
use crate::system::descriptor;

/// The most reader threads. One takes in some gigabytes a second, more than one server sends.
const MAX_READERS: u32 = 4;

/// How often the progress line appears, and how long a run is before it does.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// How long a server may take to close the connections of those who leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is nothing to report.
#[derive(Debug)]
pub enum Failure {
    /// The options do not allow it.
    Usage(UsageError),
    /// It was tried; this line says what went wrong.
    Failed(String),
}

/// Measures a server. Blocks until all clients have left.
///
/// # Errors
///
/// When the run did not come to its end. What was wrong with what came is in the report.
pub fn measure(options: &Options) -> Result<Report, Failure> {
    // Where the limit cannot be raised, connecting says so soon enough.
    let _ = descriptor::raise_limit();
    let room = Room::new(options, resolve(options)?);
    thread::scope(|scope| {
        let report = room.direct(scope);
        room.closed.store(true, Relaxed);
        report
    })
}

/// Finds the server: the first of its host's addresses that answers, or else just the first.
fn resolve(options: &Options) -> Result<SocketAddr, Failure> {
    let endpoint = &options.endpoint;
    let addresses = (endpoint.host.as_str(), endpoint.port).to_socket_addrs();
    let addresses: Vec<_> = addresses.map_err(|error| failed(endpoint, error))?.collect();
    if !options.anywhere && !addresses.iter().all(|address| address.ip().is_loopback()) {
        let why = format!("{endpoint} is not on this machine: that takes --anywhere");
        return Err(Failure::Usage(UsageError::new(why)));
    }
    let answers = |address: &&_| TcpStream::connect_timeout(address, CONNECT_TIMEOUT).is_ok();
    let found = addresses.iter().find(answers).or(addresses.first());
    found.copied().ok_or_else(|| failed(endpoint, "no address"))
}

fn failed(what: impl Display, error: impl Display) -> Failure {
    Failure::Failed(format!("{what}: {error}"))
}

/// Directing.
impl Room {
    /// Directs a run from its start to its end.
    fn direct<'s>(&'s self, scope: &'s Scope<'s, '_>) -> Result<Report, Failure> {
        let mut findings = Findings::default();
        let all = self.options.clients + self.options.stalled;
        // Half of the cores are the server's.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = u32::try_from(cores / 2).map_or(MAX_READERS, |half| half.clamp(1, MAX_READERS));
        let reader = |number| spawn(scope, "reader", move || read_loop(self, number, count));
        let readers: Vec<_> = (0..count).map(reader).collect::<Result<_, _>>()?;

        // The first comes alone: it finds out whether the room is empty.
        self.wait("joining", || self.joined.load(Relaxed) == 1)?;
        if let Some(pid) = &self.options.pid {
            Sample::of(pid).map_err(|error| failed(format!("process {pid}"), error))?;
        }
        findings.samples[0] = self.samples();
        let start = Instant::now();
        self.admitted.store(all, Relaxed);
        self.wait("joining", || self.joined.load(Relaxed) == all)?;
        findings.joined = start.elapsed();
        self.say_first(&self.roll_call);
        self.wait("joining", || self.ready.load(Relaxed) == all)?;
        findings.told = start.elapsed();

        findings.samples[1] = self.samples();
        self.admitted.store(all + self.options.visitors, Relaxed);
        let sender = spawn(scope, "sender", || senders::send(self))?;
        let are_done = || self.done.load(Relaxed) >= self.options.clients;
        self.wait("talking", || self.arrived.load(Relaxed) && sender.is_finished() || are_done())?;
        if self.arrived.load(Relaxed) {
            findings.closing = Some(Instant::now());
            self.say_first(&self.closing);
        }
        self.wait("talking", are_done)?;
        findings.samples[2] = self.samples();

        self.over.store(true, Relaxed);
        self.wait("reading on", || self.done.load(Relaxed) == all)?;
        for stream in self.streams.iter().filter_map(OnceLock::get) {
            // The server may have closed it already.
            let _ = stream.shutdown(Shutdown::Write);
        }
        let start = Instant::now();
        let have_left = || self.gone.load(Relaxed) == all || start.elapsed() > LEAVE_TIMEOUT;
        self.wait("leaving", have_left)?;
        self.closed.store(true, Relaxed);
        let (began, late) = join(sender)?;
        (findings.began, findings.late) = (Some(began), late);
        for reader in readers {
            let (clients, visits) = join(reader)?;
            findings.clients.extend(clients);
            findings.visits.extend(visits);
        }
        Ok(Report::new(self, findings))
    }

    /// Waits for something, and meanwhile prints how far things are.
    fn wait(&self, phase: &str, is_reached: impl Fn() -> bool) -> Result<(), Failure> {
        let mut next_progress = Instant::now() + PROGRESS_INTERVAL;
        while !is_reached() {
            if let Some(why) = self.failure() {
                return Err(Failure::Failed(why.to_owned()));
            }
            if Instant::now() >= next_progress {
                next_progress += PROGRESS_INTERVAL;
                self.print_progress(phase);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn print_progress(&self, phase: &str) {
        let seconds = self.epoch.elapsed().as_secs();
        let (joined, received) = (self.joined.load(Relaxed), self.received.load(Relaxed));
        let memory = self.options.pid.as_ref().and_then(|pid| memory_of(pid).ok());
        let server = memory.map_or(String::new(), |(resident_kib, peak_kib)| {
            format!(", server at {} MiB, peak {}", resident_kib / 1024, peak_kib / 1024)
        });
        let line = format!("{seconds:>4} s  {phase}: {joined} in, {received} deliveries{server}\n");
        // Nobody reads it when standard error is closed.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Looks at the server, if its process is known, and at this process.
    fn samples(&self) -> [Option<Sample>; 2] {
        let look = |pid: &str| Sample::of(pid).ok();
        [self.options.pid.as_deref().and_then(look), look("self")]
    }

    /// Says, as the first client, an action: what everyone is to see, the first client too.
    fn say_first(&self, text: &str) {
        if let Some(stream) = self.streams.first().and_then(OnceLock::get) {
            senders::write_all(self, stream, format!("/me {text}\n").as_bytes());
        }
    }
}

fn spawn<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    name: &str,
    body: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>, Failure> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn_scoped(scope, body).map_err(|error| failed("a thread", error))
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, Failure> {
    thread.join().map_err(|_| failed("a thread", "it panicked"))
}
