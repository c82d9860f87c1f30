//! The main thread's part of a run: it directs the joining, the talking, the closing and the leaving.
//!
//! The main thread publishes the phase in the shared [`Run`]. Every millisecond, it reads the progress of the
//! other threads from the `Run`. Every two seconds, it prints the progress.

use std::fmt::Display;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::client::CONNECT_TIMEOUT;
use crate::options::Options;
use crate::proc::{Sample, memory_of};
use crate::readers::read_loop;
use crate::report::{Findings, Report};
use crate::run::Run;
use crate::server::Server;
use crate::{say, scout, senders, siege};
use chat::arguments::UsageError;
use chat::system::descriptor;
use chat::system::socket::connect;

/// The maximum number of reader threads. A single reader thread can read some gigabytes a second, more than a
/// server sends.
const MAX_READERS: u32 = 4;

/// The interval at which the progress is printed. A run that is shorter than this prints no progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// The maximum time for a server to close the connections of clients that leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why there is no report.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The options do not allow the run.
    Usage(UsageError),
    /// The run failed. The text says why.
    Failed(String),
}

/// Measures a server. Blocks until all clients have left.
///
/// # Errors
///
/// Fails if the run does not reach its end. Lost or wrong lines are not errors: they are in the report.
pub(crate) fn measure(options: &Options) -> Result<Report, Failure> {
    // If the limit on descriptors cannot be raised, a later connection fails with an error message.
    let _ = descriptor::raise_limit();
    let mut options = options.clone();
    let mut server = None;
    let address = if options.starts_server() {
        let started = siege::start_server(&options).map_err(Failure::Failed)?;
        options.pid = Some(started.pid());
        let address = started.address;
        server = Some(started);
        address
    } else {
        let stream = find_server(&options)?;
        let address = stream.peer_addr().map_err(|error| failed(&options.endpoint, error))?;
        if options.siege.is_none()
            && let Some(warning) = scout::warning(stream, &options)
        {
            say(warning);
        }
        address
    };
    let run = Run::new(&options, address);
    thread::scope(|scope| {
        let report = run.direct(scope, server);
        run.closed.store(true, Relaxed);
        report
    })
}

/// Connects to the first address of the server's host that accepts a connection.
fn find_server(options: &Options) -> Result<TcpStream, Failure> {
    let endpoint = &options.endpoint;
    let addresses = (endpoint.host.as_str(), endpoint.port).to_socket_addrs();
    let addresses: Vec<_> = addresses.map_err(|error| failed(endpoint, error))?.collect();
    if !options.anywhere && !addresses.iter().all(|address| address.ip().is_loopback()) {
        let why = format!("{endpoint} is not on this machine: that takes --anywhere");
        return Err(Failure::Usage(UsageError::new(why)));
    }
    connect(&addresses[..], CONNECT_TIMEOUT)
        .map_err(|error| failed(format!("could not connect to {endpoint}"), error))
}

fn failed(what: impl Display, error: impl Display) -> Failure {
    Failure::Failed(format!("{what}: {error}"))
}

/// The steps of a run.
impl Run {
    /// Directs a run from its start to its end. `server` is the server that a siege has started, if there is one.
    fn direct<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        mut server: Option<Server>,
    ) -> Result<Report, Failure> {
        let mut findings = Findings::default();
        let count = self.readers();
        let reader = |number| spawn(scope, "reader", move || read_loop(self, number, count));
        let readers: Vec<_> = (0..count).map(reader).collect::<Result<_, _>>()?;

        self.have_all_join(&mut findings)?;
        findings.samples[1] = self.samples();
        self.admitted.store(self.members() + self.options.visitors, Relaxed);
        let sender = spawn(scope, "sender", || senders::send(self))?;
        if let Some(siege) = &self.options.siege {
            let mut outcome = siege::attack(self, siege, &mut server);
            self.quiet.store(true, Relaxed);
            self.wait("settling", || sender.is_finished() || self.are_done())?;
            if let Some(server) = server.take() {
                self.settle()?;
                // In this case the server's farewell ends the talking, instead of the closing line.
                outcome.ended = Some(siege::stop(self, server).0);
            }
            findings.siege = Some(outcome);
        }
        self.wait("talking", || {
            self.has_first_everything() && sender.is_finished() || self.are_done()
        })?;
        if self.has_first_everything() && !self.options.starts_server() {
            findings.closing = Some(Instant::now());
            self.say_first(&self.closing);
        }
        self.wait("talking", || self.are_done())?;
        findings.samples[2] = self.samples();

        self.have_all_leave()?;
        let (began, late) = join(sender)?;
        (findings.began, findings.late) = (Some(began), late);
        for reader in readers {
            let (clients, visits) = join(reader)?;
            findings.clients.extend(clients);
            findings.visits.extend(visits);
        }
        Ok(Report::new(self, findings))
    }

    /// The number of threads that read for all clients. The readers use half of the cores, and leave the
    /// other half to the server. In a siege the attackers need cores too, and a single reader would often
    /// have to wait for a core. So a siege has the maximum number of readers.
    fn readers(&self) -> u32 {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let half = u32::try_from(cores / 2).map_or(MAX_READERS, |half| half.clamp(1, MAX_READERS));
        if self.options.siege.is_some() { MAX_READERS } else { half }
    }

    /// The number of clients that stay from the beginning of the run to its end.
    fn members(&self) -> u32 {
        self.options.clients + self.options.stalled
    }

    /// Whether the first client has received all messages that it must receive.
    fn has_first_everything(&self) -> bool {
        self.first_received.load(Relaxed) >= self.expected(0)
    }

    /// Whether all clients that do not stall have received everything.
    fn are_done(&self) -> bool {
        self.done.load(Relaxed) >= self.options.clients
    }

    /// Lets all clients join, and waits until each client knows of all the others.
    fn have_all_join(&self, findings: &mut Findings) -> Result<(), Failure> {
        let all = self.members();
        // The first client joins alone, and checks that the room is empty.
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
        Ok(())
    }

    /// Waits until every client has received all lines of a siege. Gives up when so much time has passed that the
    /// missing lines must be lost.
    fn settle(&self) -> Result<(), Failure> {
        let all = u64::from(self.options.clients).saturating_mul(self.expected(0));
        let start = Instant::now();
        self.wait("settling", || {
            self.received.load(Relaxed) >= all
                || self.are_done()
                || start.elapsed() > self.silence() / 2
        })
    }

    /// Lets the stalled clients read, and then lets all clients leave.
    fn have_all_leave(&self) -> Result<(), Failure> {
        let all = self.members();
        self.over.store(true, Relaxed);
        self.wait("reading on", || self.done.load(Relaxed) == all)?;
        for stream in self.streams.iter().filter_map(OnceLock::get) {
            // This fails if the server has already closed the connection.
            let _ = stream.shutdown(Shutdown::Write);
        }
        let start = Instant::now();
        let have_left = || self.gone.load(Relaxed) == all || start.elapsed() > LEAVE_TIMEOUT;
        self.wait("leaving", have_left)?;
        self.closed.store(true, Relaxed);
        Ok(())
    }

    /// Polls until a condition is true. Prints the progress meanwhile.
    fn wait(&self, phase: &str, is_reached: impl Fn() -> bool) -> Result<(), Failure> {
        let mut progress = self.progress();
        while !is_reached() {
            if let Some(why) = self.failure() {
                return Err(Failure::Failed(why.to_owned()));
            }
            progress.tell(phase);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Returns a printer of the progress.
    pub(crate) fn progress(&self) -> Progress<'_> {
        Progress { run: self, next: Instant::now() + PROGRESS_INTERVAL }
    }

    /// Measures the resources of the server, if its process is known, and of this process.
    fn samples(&self) -> [Option<Sample>; 2] {
        [self.server_sample(), Sample::of("self").ok()]
    }

    /// Measures the resources of the server, if its process is known.
    pub(crate) fn server_sample(&self) -> Option<Sample> {
        self.options.pid.as_deref().and_then(|pid| Sample::of(pid).ok())
    }

    /// Sends an action as the first client. All clients receive an action, even its sender.
    fn say_first(&self, text: &str) {
        if let Some(stream) = self.streams.first().and_then(OnceLock::get) {
            senders::write_all(self, stream, format!("/me {text}\n").as_bytes());
        }
    }
}

/// Prints the progress at intervals.
pub(crate) struct Progress<'a> {
    run: &'a Run,
    next: Instant,
}

impl Progress<'_> {
    /// Prints a line if the interval has passed.
    pub(crate) fn tell(&mut self, phase: &str) {
        if Instant::now() < self.next {
            return;
        }
        self.next += PROGRESS_INTERVAL;
        let seconds = self.run.epoch.elapsed().as_secs();
        let (joined, received) = (self.run.joined.load(Relaxed), self.run.received.load(Relaxed));
        let memory = self.run.options.pid.as_ref().and_then(|pid| memory_of(pid).ok());
        let server = memory.map_or(String::new(), |(resident_kib, peak_kib)| {
            format!(", server at {} MiB, peak {}", resident_kib / 1024, peak_kib / 1024)
        });
        say(format_args!("{seconds:>4} s  {phase}: {joined} in, {received} deliveries{server}"));
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
