//! Accepting: the loop that turns connections into sessions.
//!
//! The loop never waits for a peer. Each client is asked for its nickname in its own thread. A newcomer for
//! whom there is no place gets one line, which always fits into an empty socket. No error of `accept` ends
//! the loop.
//!
//! The limits on connections count open descriptors, in every state of a connection. Each client owns a
//! reference to its [place](Client::place) and to the quota of its address. So the references are the count.
//!
//! Grew from step 8 of the [course](crate::lessons), where errors stop ending the loop, and step 10, where it
//! can be woken.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::ErrorKind::{AddrInUse, PermissionDenied};
use std::io::{self, IsTerminal, PipeReader, Read};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, Builder, Scope};
use std::time::{Duration, Instant};

use super::client::{Client, ClientId};
use super::operator::options::Options;
use super::operator::stats;
use super::outbox::MAX_GATHERED_BYTES;
use super::rate::{AddressQuota, TokenBucket, counted_as};
use super::session;
use super::shared::Shared;
use super::shutdown::CLOSING_TIME;
use crate::arguments::Endpoint;
use crate::protocol::replies;
use crate::system::signal::HANG_UP;
use crate::system::socket::{
    DeadPeer, detect_dead_peer, keep_urgent_data_in_line, limit_unsent, send_now,
    set_listen_backlog, wait_for_connections,
};
use crate::system::{descriptor, memory_map};

/// How long to pause when `accept` fails, for example because there are no descriptors left. Without a pause
/// it would fail again at once and keep a whole processor busy.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// The stack of a client's thread, in bytes. It is address space and takes no memory until it is used.
/// Sessions use two pages of it. Reporting a panic takes more.
const STACK_BYTES: usize = 128 << 10;

/// How many descriptors are left for everything except connections: standard streams, listeners, files.
const RESERVED_DESCRIPTORS: usize = 16;

/// The server does not start when the system's limits leave fewer clients than this.
const LEAST_CLIENTS: usize = 4;

/// How many refused newcomers may be connected at once: one for each sixteen descriptors, but at least the
/// first number and at most the second.
const REFUSED_AT_ONCE: (usize, usize) = (16, 256);

/// How much of what a refused newcomer has sent is discarded before its connection is closed, in bytes.
const DISCARDED_BYTES: u64 = 64 << 10;

/// How many memory maps a thread takes on Linux: its stack and the guard page below it, and the same again
/// for its signal stack. When the system has none left, `std` aborts the process.
const MAPS_PER_THREAD: usize = 4;

/// How many memory maps are left for the program, its libraries and its heap.
const RESERVED_MAPS: usize = 2048;

/// How much unsent text the kernel may hold for one client, in bytes. By default the kernel holds up to four
/// megabytes. What the kernel does not take stays in the log, which all slow clients share. With less than
/// this, a client would fall behind in every burst.
const MAX_UNSENT_BYTES: usize = 2 * MAX_GATHERED_BYTES;

/// How much unsent text the kernel may hold for all clients together, in bytes, and the least share of one
/// client. A newcomer gets an equal share. When that is half of what some have, all get it. With more than 4,096
/// clients the least share counts, and the sum is larger.
const ALL_UNSENT_BYTES: usize = 256 << 20;
const MIN_UNSENT_BYTES: usize = 64 << 10;

/// With these times the server notices a pulled cable within two minutes, even if nobody talks.
const DEAD_PEER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::from_secs(90),
};

/// How many connections may wait to be accepted. A storm of joins comes faster than threads start.
const LISTEN_BACKLOG: u16 = 4096;

/// How many connections the system's limits allow at once, sessions and refused newcomers.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    clients: usize,
    refused: usize,
    /// Which of the system's limits is the lowest.
    scarce: &'static str,
}

impl Capacity {
    /// Raises the limit on descriptors as far as possible, and reads the limits of the system.
    ///
    /// # Errors
    ///
    /// When the limits leave room for fewer than four clients.
    pub fn of_system(options: &Options) -> io::Result<Self> {
        let descriptors = descriptor::raise_limit().unwrap_or(usize::MAX);
        let (least, most) = REFUSED_AT_ONCE;
        let refused = (descriptors / 16).clamp(least, most);
        let by_descriptors = descriptors.saturating_sub(RESERVED_DESCRIPTORS + refused);
        let by_maps = memory_map::limit().saturating_sub(RESERVED_MAPS) / MAPS_PER_THREAD;
        let (most, scarce) = if by_descriptors < by_maps {
            (by_descriptors, "descriptors (ulimit -n)")
        } else {
            (by_maps, "memory maps (vm.max_map_count)")
        };
        let capacity = Self { clients: options.max_clients.min(most), refused, scarce };
        match capacity.lowered(options) {
            Some(why) if capacity.clients < LEAST_CLIENTS => Err(io::Error::other(why)),
            _ => Ok(capacity),
        }
    }

    /// Says why fewer clients are let in than the options ask for. `None` if the limits allow that number.
    pub fn lowered(&self, options: &Options) -> Option<String> {
        let Self { clients, scarce, .. } = self;
        let wanted = options.max_clients;
        (*clients < wanted)
            .then(|| format!("--max-clients is {clients}, not {wanted}: the limit on {scarce}"))
    }
}

/// Listens on every address that the host name has, always on the same port.
///
/// # Errors
///
/// When an address is in use or not allowed, or when this machine has none of them. An address that this
/// machine does not have is left out: `localhost` may name an IPv6 address where IPv6 is switched off.
pub fn listen(endpoint: &Endpoint) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut failed = Err(io::ErrorKind::NotFound.into());
    let mut port = endpoint.port;
    for mut address in (endpoint.host.as_str(), port).to_socket_addrs()? {
        address.set_port(port);
        // A name may be listed twice.
        if listeners.iter().any(|listener| listener.local_addr().is_ok_and(|a| a == address)) {
            continue;
        }
        match TcpListener::bind(address) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                set_listen_backlog(&listener, LISTEN_BACKLOG)?;
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) if matches!(error.kind(), AddrInUse | PermissionDenied) => {
                return Err(error);
            }
            Err(error) => failed = Err(error),
        }
    }
    if listeners.is_empty() { failed } else { Ok(listeners) }
}

/// Accepts connections and gives each its own thread in `scope`. Blocks in `poll`. Ends when a byte from `wake`
/// asks the server to stop. Without a terminal, a hang-up only logs the statistics.
pub fn accept_loop<'scope>(
    shared: &'scope Shared,
    capacity: Capacity,
    listeners: &[TcpListener],
    mut wake: &PipeReader,
    scope: &'scope Scope<'scope, '_>,
) {
    let mut door = Door {
        shared,
        capacity,
        last_number: 0,
        places: Arc::default(),
        origins: HashMap::new(),
        prune_at: PRUNED_AT_LEAST,
        largest_share: MAX_UNSENT_BYTES,
        refused: VecDeque::new(),
    };
    let mut burst = Burst::default();
    // This looks once, at the beginning: a terminal that is closed is no terminal any more.
    let has_terminal = has_terminal();
    loop {
        let timeout = door.close_refused();
        let failed = match wait_for_connections(listeners, wake, timeout) {
            Ok(true) => {
                let mut byte = [0];
                let is_hang_up = wake.read(&mut byte).is_ok() && byte == [HANG_UP];
                if !is_hang_up || has_terminal {
                    return;
                }
                shared.log.notice(&stats::line(shared));
                continue;
            }
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        for accepted in failed.into_iter().chain(listeners.iter().map(TcpListener::accept)) {
            match accepted {
                Ok((stream, mut address)) => {
                    // A listener for IPv6 has IPv4 peers as `::ffff:192.0.2.7`.
                    address.set_ip(address.ip().to_canonical());
                    match door.admit(stream, address, scope) {
                        Ok(()) => burst = Burst::default(),
                        Err(why) => {
                            burst.log(shared, format_args!("Turned {} away", address.ip()), why);
                        }
                    }
                }
                // Nobody has come to this listener, or the peer gave up between `poll` and `accept`.
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    let what = format_args!("Could not accept a connection");
                    burst.log(shared, what, error.to_string());
                    thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }
}

/// Whether the server was started in a terminal. Then it ends when the terminal does.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// A run of consecutive refusals. Each reason is logged once, so that an overload does not flood the log.
#[derive(Default)]
struct Burst {
    reasons: Vec<String>,
}

impl Burst {
    fn log(&mut self, shared: &Shared, what: fmt::Arguments<'_>, why: String) {
        if !self.reasons.contains(&why) {
            shared.log.notice(&format!("{what}: {why}"));
            self.reasons.push(why);
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

/// How many addresses are remembered before those without a connection are forgotten.
const PRUNED_AT_LEAST: usize = 1024;

/// An address that clients come from.
struct Origin {
    /// The quota that its clients share. Each client owns a reference, so the references count them.
    quota: Arc<AddressQuota>,
    /// An address may connect as often as one client may say a line.
    bucket: TokenBucket,
}

/// Who may come in. It belongs to the accept loop, so there is no lock.
struct Door<'scope> {
    shared: &'scope Shared,
    capacity: Capacity,
    /// The number of the last connection.
    last_number: u64,
    /// Each connection that is open has a reference to this.
    places: Arc<()>,
    /// Where clients come from.
    origins: HashMap<IpAddr, Origin>,
    /// How many addresses there must be before some are forgotten the next time.
    prune_at: usize,
    /// The largest limit on unsent bytes that any client still has from when the room was smaller.
    largest_share: usize,
    /// Newcomers that were refused, each with the time until which it may read why. The oldest is the first.
    refused: VecDeque<(Instant, TcpStream)>,
}

impl<'scope> Door<'scope> {
    /// Starts the session of a new connection, or refuses it with one line and returns why.
    fn admit(
        &mut self,
        stream: TcpStream,
        address: SocketAddr,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<(), String> {
        let origin = counted_as(address.ip());
        if origin.is_some_and(|origin| self.shared.bans.has(origin)) {
            self.refuse(stream, replies::BANNED);
            return Err("banned".into());
        }
        if origin.is_some_and(|origin| !self.may_connect(origin)) {
            self.refuse(stream, replies::TOO_MANY_FROM_ADDRESS);
            return Err("it connects too often".into());
        }
        self.prepare(&stream).map_err(|error| error.to_string())?;
        if self.places_taken() >= self.capacity.clients {
            self.refuse(stream, replies::SERVER_FULL);
            return Err("the server is full".into());
        }
        let quota = origin.map(|origin| Arc::clone(&self.origin(origin).quota));
        let others = quota.as_ref().map_or(0, |quota| Arc::strong_count(quota) - 2);
        let limit = self.shared.options.max_per_address;
        if limit > 0 && others >= limit {
            self.refuse(stream, replies::TOO_MANY_FROM_ADDRESS);
            return Err("too many connections from there".into());
        }
        self.shared.log.event(&format!("Connected with {address}"));
        self.last_number += 1;
        let id = ClientId::new(self.last_number);
        let place = Arc::clone(&self.places);
        let client = Arc::new(Client::new(id, stream, address, quota, place));
        self.adapt_shares();
        self.start_session(&client, scope).map_err(|error| {
            self.shared.registry.remove(id);
            // The thread that was never started has dropped its reference, so this is normally the last one.
            if let Some(client) = Arc::into_inner(client) {
                self.refuse(client.stream, replies::SERVER_FULL);
            }
            error.to_string()
        })
    }

    fn start_session(
        &self,
        client: &Arc<Client>,
        scope: &'scope Scope<'scope, '_>,
    ) -> io::Result<()> {
        let shared = self.shared;
        shared.registry.insert(client);
        let builder = Builder::new().name(client.id.to_string()).stack_size(STACK_BYTES);
        let client = Arc::clone(client);
        let session = move || {
            // A panic does no harm to other threads: what they share is behind locks that survive it.
            if catch_unwind(AssertUnwindSafe(|| session::serve(shared, &client))).is_err() {
                let address = client.address;
                shared.log.notice(&format!("Internal error: closed the connection of {address}"));
            }
        };
        builder.spawn_scoped(scope, session).map(drop)
    }

    /// How many connections are open, in every state.
    fn places_taken(&self) -> usize {
        Arc::strong_count(&self.places) - 1
    }

    /// Returns what the kernel may hold unsent for a newcomer.
    fn unsent_share(&self) -> usize {
        let share = ALL_UNSENT_BYTES / (self.places_taken() + 1);
        share.clamp(MIN_UNSENT_BYTES, MAX_UNSENT_BYTES)
    }

    /// The share of a newcomer shrinks as the room grows. Once it is half of what some clients have, everyone
    /// gets the new share. The kernel keeps what it already holds.
    fn adapt_shares(&mut self) {
        let share = self.unsent_share();
        if share <= self.largest_share / 2 {
            for client in self.shared.registry.all() {
                // As for a newcomer.
                let _ = limit_unsent(&client.stream, share);
            }
            self.largest_share = share;
        }
        self.largest_share = self.largest_share.max(share);
    }

    /// Sets up the socket of a new connection.
    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        // Some systems hand down the listener's mode.
        stream.set_nonblocking(false)?;
        // Send a line at once, without waiting for the peer to acknowledge the one before (RFC 896). These
        // options fail on systems that do not have them. Nobody is turned away for that.
        let _ = stream.set_nodelay(true);
        let _ = limit_unsent(stream, self.unsent_share());
        let _ = detect_dead_peer(stream, DEAD_PEER);
        let _ = keep_urgent_data_in_line(stream);
        Ok(())
    }

    /// Takes a token for a connection from an address. Returns whether there was one.
    fn may_connect(&mut self, address: IpAddr) -> bool {
        let bucket = &mut self.origin(address).bucket;
        let may_connect = bucket.wait(Instant::now()).is_zero();
        if may_connect {
            bucket.take(1.0);
        }
        may_connect
    }

    fn origin(&mut self, address: IpAddr) -> &mut Origin {
        let (now, rate) = (Instant::now(), self.shared.options.rate);
        if self.origins.len() >= self.prune_at {
            // One that no client has come from lately is the same as a new one.
            self.origins.retain(|_, Origin { quota, bucket }| {
                Arc::strong_count(quota) > 1 || !quota.is_full(now) || !bucket.is_full(now)
            });
            self.prune_at = (self.origins.len() * 2).max(PRUNED_AT_LEAST);
        }
        self.origins.entry(address).or_insert_with(|| Origin {
            quota: Arc::new(AddressQuota::new(rate, now)),
            bucket: TokenBucket::new(rate, now),
        })
    }

    /// Sends a newcomer its only line, and keeps the socket open while the newcomer reads it.
    fn refuse(&mut self, stream: TcpStream, line: &str) {
        self.shared.stats.turn_away(line);
        // These calls fail when the peer is gone. Then nothing is left to be done.
        let _ = send_now(&stream, format!("{line}\n").as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        if stream.set_nonblocking(true).is_ok() {
            self.refused.push_back((Instant::now() + CLOSING_TIME, stream));
        }
    }

    /// Closes the connections of refused newcomers whose time is over. If there are too many of them, the
    /// oldest have less time. Returns after what time to call this again. Never blocks.
    fn close_refused(&mut self) -> Option<Duration> {
        let now = Instant::now();
        while let Some((until, stream)) = self.refused.front() {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() && self.refused.len() <= self.capacity.refused {
                return Some(left);
            }
            // To close a socket that has unread input would reset the connection, and the peer might not read
            // why it was refused. This fails when nothing more is there, or when the peer is gone.
            let _ = io::copy(&mut stream.take(DISCARDED_BYTES), &mut io::sink());
            self.refused.pop_front();
        }
        None
    }
}
