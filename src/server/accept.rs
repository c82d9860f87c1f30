//! Accept: the loop that accepts connections and starts a session for each of them.
//!
//! The loop never waits for a peer. Each session runs in its own thread, and asks for the nickname there. If the
//! server is full, the loop sends a newcomer one line. This line always fits into the empty buffer of the newcomer's
//! socket. No error of `accept` ends the loop.
//!
//! The limits on connections count every connection whose descriptor is open, even a connection that is being closed.
//! Each client owns a reference to its [place](Client::place), and one to the quota of its address. So the number of
//! references is the number of connections.
//!
//! This module grew from steps 8 and 10 of the [course](crate::lessons). Step 8 added that errors do not end the
//! loop. Step 10 added that another thread can wake the loop.

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

/// The pause of the loop after `accept` has failed, for example because there are no descriptors left. Without the
/// pause, `accept` would fail again at once, and the loop would keep a whole processor busy.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// The stack size of a client's thread, in bytes. A stack is only address space: its pages take no memory until they
/// are used. A session uses two pages. Reporting a panic needs more pages.
const STACK_BYTES: usize = 128 << 10;

/// The number of descriptors that are reserved for everything except connections: standard streams, listeners, files.
const RESERVED_DESCRIPTORS: usize = 16;

/// The minimum number of clients. The server does not start if the system's limits allow fewer.
const LEAST_CLIENTS: usize = 4;

/// The server keeps the connection of one refused newcomer open for every sixteen descriptors. These are the lower
/// and the upper bound of that number.
const REFUSED_AT_ONCE: (usize, usize) = (16, 256);

/// The maximum number of bytes that are read from a refused newcomer and discarded before its connection is closed.
const DISCARDED_BYTES: u64 = 64 << 10;

/// The number of memory maps that a thread needs on Linux: one for its stack, one for the guard page below the stack,
/// and two more for its signal stack. If the system has no map left, `std` aborts the process.
const MAPS_PER_THREAD: usize = 4;

/// The number of memory maps that are reserved for the program, its libraries and its heap.
const RESERVED_MAPS: usize = 2048;

/// The maximum number of bytes of unsent text that the kernel keeps for one client. The kernel's own limit is up to
/// four megabytes. Text that the kernel does not accept stays in the log, which all slow clients share. If this limit
/// were lower, a client would fall behind in every burst of messages.
const MAX_UNSENT_BYTES: usize = 2 * MAX_GATHERED_BYTES;

/// The number of bytes of unsent text that the kernel may keep for all clients together. The limit of a newcomer is
/// this number divided by the number of clients: see [`Door::adapt_shares`].
const ALL_UNSENT_BYTES: usize = 256 << 20;

/// The smallest limit for one client, in bytes. With more than 4,096 clients, the sum of the limits exceeds
/// [`ALL_UNSENT_BYTES`].
const MIN_UNSENT_BYTES: usize = 64 << 10;

/// With these times, the server notices a pulled cable within two minutes, even if nobody sends a message.
const DEAD_PEER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::from_secs(90),
};

/// The maximum number of connections that wait to be accepted. In a storm of joins, connections arrive faster than
/// threads can be started.
const LISTEN_BACKLOG: u16 = 4096;

/// The maximum numbers of connections that are open at once.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// The maximum number of connections that have a session.
    clients: usize,
    /// The maximum number of connections of refused newcomers.
    refused: usize,
    /// The name of the system limit that would be reached first.
    scarce: &'static str,
}

impl Capacity {
    /// Raises the limit on descriptors as far as possible, and reads the limits of the system.
    ///
    /// # Errors
    ///
    /// Returns an error if the system's limits allow fewer than four clients, although the options ask for more.
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

    /// Returns the reason why the server accepts fewer clients than the options ask for, or `None` if it accepts as
    /// many.
    pub fn lowered(&self, options: &Options) -> Option<String> {
        let Self { clients, scarce, .. } = self;
        let wanted = options.max_clients;
        (*clients < wanted)
            .then(|| format!("--max-clients is {clients}, not {wanted}: the limit on {scarce}"))
    }
}

/// Listens on every address of the host name, with the same port for all addresses.
///
/// # Errors
///
/// Returns an error if an address is in use or not permitted, or if none of the addresses belongs to this machine. If
/// only some of the addresses belong to this machine, the others are skipped. (For example, `localhost` can have an
/// IPv6 address although IPv6 is off.)
pub fn listen(endpoint: &Endpoint) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut failed = Err(io::ErrorKind::NotFound.into());
    let mut port = endpoint.port;
    for mut address in (endpoint.host.as_str(), port).to_socket_addrs()? {
        address.set_port(port);
        // The system can list an address twice.
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

/// Accepts connections, and starts a thread in `scope` for each of them. Blocks in `poll`. Returns when a byte from
/// `wake` asks the server to stop. If the server has no terminal, a hang-up signal does not stop the server, but
/// makes it log the statistics.
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
    // This check must come before the loop: after a hang-up the terminal is closed, and `is_terminal` returns
    // `false`.
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
                    // A listener for IPv6 reports an IPv4 peer as `::ffff:192.0.2.7`.
                    address.set_ip(address.ip().to_canonical());
                    match door.admit(stream, address, scope) {
                        Ok(()) => burst = Burst::default(),
                        Err(why) => {
                            burst.log(shared, format_args!("Turned {} away", address.ip()), why);
                        }
                    }
                }
                // This listener has no new connection, or the peer gave up between `poll` and `accept`.
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

/// Returns whether the server was started in a terminal. If so, closing the terminal ends the server.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Consecutive failures to admit a connection. Each reason is logged only once, so that an overload does not flood
/// the event log.
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

/// The number of remembered addresses below which no address is forgotten.
const PRUNED_AT_LEAST: usize = 1024;

/// The data that the server remembers about an address from which clients connect.
struct Origin {
    /// The quota that all clients from this address share. Each of these clients owns a reference to the quota, so
    /// the number of references shows the number of clients.
    quota: Arc<AddressQuota>,
    /// The rate limit for new connections. An address may open connections at the same rate at which one client may
    /// send lines.
    bucket: TokenBucket,
}

/// Decides which connections are admitted. Only the accept loop uses this, so there is no lock.
struct Door<'scope> {
    shared: &'scope Shared,
    capacity: Capacity,
    /// The number of the most recent connection.
    last_number: u64,
    /// Each open connection owns a reference to this object, so the references count the connections.
    places: Arc<()>,
    /// The addresses from which clients connect.
    origins: HashMap<IpAddr, Origin>,
    /// The number of remembered addresses at which the unused addresses are forgotten.
    prune_at: usize,
    /// The largest limit on unsent bytes that any client has. Clients that connected earlier can have larger limits
    /// than newcomers.
    largest_share: usize,
    /// The connections of refused newcomers, the oldest first, each with the time at which it must be closed.
    refused: VecDeque<(Instant, TcpStream)>,
}

impl<'scope> Door<'scope> {
    /// Starts the session of a new connection. If that is not possible, the connection is closed, usually after one
    /// line to the peer, and the reason is returned.
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
            // The thread was not started, and its reference was dropped. So this is normally the last reference.
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
            // A panic does no harm to other threads: they use the shared locks even if the panic has poisoned them.
            if catch_unwind(AssertUnwindSafe(|| session::serve(shared, &client))).is_err() {
                let address = client.address;
                shared.log.notice(&format!("Internal error: closed the connection of {address}"));
            }
        };
        builder.spawn_scoped(scope, session).map(drop)
    }

    /// Returns the number of open connections, including connections that are being closed.
    fn places_taken(&self) -> usize {
        Arc::strong_count(&self.places) - 1
    }

    /// Returns the maximum number of unsent bytes that the kernel may keep for a newcomer.
    fn unsent_share(&self) -> usize {
        let share = ALL_UNSENT_BYTES / (self.places_taken() + 1);
        share.clamp(MIN_UNSENT_BYTES, MAX_UNSENT_BYTES)
    }

    /// Lowers the limit of every client to the limit of a newcomer, if the largest limit is at least twice as high. A
    /// newcomer's limit shrinks as more clients connect. A lower limit does not make the kernel drop text that it
    /// already has.
    fn adapt_shares(&mut self) {
        let share = self.unsent_share();
        if share <= self.largest_share / 2 {
            for client in self.shared.registry.all() {
                // This fails on systems that do not have the option.
                let _ = limit_unsent(&client.stream, share);
            }
            self.largest_share = share;
        }
        self.largest_share = self.largest_share.max(share);
    }

    /// Sets up the socket of a new connection.
    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        // On some systems, a new socket is non-blocking because its listener is.
        stream.set_nonblocking(false)?;
        // Send each line at once, without waiting until the peer has acknowledged the previous line (RFC 896). On a
        // system that lacks one of these options, setting it fails. The connection is admitted anyway.
        let _ = stream.set_nodelay(true);
        let _ = limit_unsent(stream, self.unsent_share());
        let _ = detect_dead_peer(stream, DEAD_PEER);
        let _ = keep_urgent_data_in_line(stream);
        Ok(())
    }

    /// Takes a token for a new connection from `address`. Returns `false` if there is no token.
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
            // If an address has not been used lately, its entry is the same as a new entry, and is not needed.
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

    /// Refuses a newcomer: sends it one line, and keeps the socket open while the newcomer reads this line.
    fn refuse(&mut self, stream: TcpStream, line: &str) {
        self.shared.stats.turn_away(line);
        // These calls fail when the peer is gone. Then there is nothing left to do.
        let _ = send_now(&stream, format!("{line}\n").as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        if stream.set_nonblocking(true).is_ok() {
            self.refused.push_back((Instant::now() + CLOSING_TIME, stream));
        }
    }

    /// Closes the connections of refused newcomers whose time is over. If too many of these connections are open, the
    /// oldest are closed early. Returns the time until the next one must be closed, or `None` if none is open. Never
    /// blocks.
    fn close_refused(&mut self) -> Option<Duration> {
        let now = Instant::now();
        while let Some((until, stream)) = self.refused.front() {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() && self.refused.len() <= self.capacity.refused {
                return Some(left);
            }
            // Closing a socket that has unread input would reset the connection, and a reset could destroy the
            // line on its way to the peer. This call fails when there is no more input, or when the peer is gone.
            let _ = io::copy(&mut stream.take(DISCARDED_BYTES), &mut io::sink());
            self.refused.pop_front();
        }
        None
    }
}
