//! Client: the data of one client that the server's threads share: its number, its connection, and its flags.
//!
//! There is one [`Client`] for each connection. It owns the connection's only descriptor. The registry, the
//! client's session and the writer each hold an `Arc<Client>`. When the last of these references is dropped,
//! the descriptor is closed. Only then is the client's [place](Client::place) free for another connection.
//!
//! A thread sets a flag to tell another thread something about the client. Flags are read and written with
//! `Relaxed` ordering. Where a stronger ordering is needed, a lock or [`Client::wake`] provides it
//! (`std::thread::park` has acquire and release semantics).
//!
//! This module grew from step 8 of the [course](crate::lessons), in which threads share one `Arc<TcpStream>`.

use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

use super::rate::AddressQuota;
use crate::system::socket;

/// Identifies a connection for as long as the server runs. Numbers are not reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// Returns the number of the `n`-th connection.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// Returns the number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the index of this client's part, if there are `parts` parts. Sixteen consecutive client numbers
    /// share a part.
    pub fn part(self, parts: usize) -> usize {
        usize::try_from(self.0 / 16 % parts as u64).unwrap_or(0)
    }
}

/// Formats the number as the name of the client's thread.
impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client-{}", self.0)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// The client's number.
    pub id: ClientId,
    /// The connection. It owns the client's only descriptor.
    pub stream: TcpStream,
    /// The peer's address.
    pub address: SocketAddr,
    /// The time at which the connection was accepted.
    pub since: Instant,
    /// The quota that all clients from its address share. `None` for a client on the server's own machine. The
    /// number of references to this quota shows how many connections the address has.
    pub quota: Option<Arc<AddressQuota>>,
    /// The client's place among the open connections. All clients refer to the same object here. The number of
    /// references to this object shows how many connections are open. This field is dropped after `stream`, so
    /// a connection counts until its descriptor is closed.
    pub place: Arc<()>,
    /// Whether the client has left the room. If so, its further input is ignored. Set under the outbox's lock.
    pub has_left: AtomicBool,
    /// Whether the client is behind: its socket has not accepted all text that is meant for it. Set by the
    /// writer.
    pub is_behind: AtomicBool,
    /// Whether too much private text is kept for the client. If so, further private messages to it are refused.
    /// Set by the writer.
    pub is_overloaded: AtomicBool,
    /// Whether a send to the client failed although the peer had not closed the connection cleanly. Set by the
    /// writer.
    pub is_lost: AtomicBool,
    /// The number of the last batch that contains text from this client. Used under the outbox's lock.
    pub last_batch: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Client {
    /// Makes a client that has no thread yet.
    pub fn new(
        id: ClientId,
        stream: TcpStream,
        address: SocketAddr,
        quota: Option<Arc<AddressQuota>>,
        place: Arc<()>,
    ) -> Self {
        Self {
            id,
            stream,
            address,
            since: Instant::now(),
            quota,
            place,
            has_left: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            is_overloaded: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            last_batch: AtomicU64::new(0),
            thread: OnceLock::new(),
        }
    }

    /// Shuts the connection down. This wakes a thread that blocks in `read`, unless only writing is shut down.
    pub fn shut_down(&self, how: Shutdown) {
        // This fails when the peer is gone, or the system has ended the connection itself.
        let _ = socket::shut_down(&self.stream, how);
    }

    /// Makes the calling thread the client's own thread, which [`Client::wake`] wakes.
    pub fn adopt_thread(&self) {
        self.thread.get_or_init(thread::current);
    }

    /// Wakes the client's thread from [`Client::wait_while`]. If the thread is not waiting yet, its next wait
    /// returns from `park` once, and checks the condition again.
    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Blocks the client's own thread while `condition` holds, but at most until `deadline`, if there is one. A
    /// thread that changes the condition must call [`Client::wake`] afterwards.
    pub fn wait_while(&self, deadline: Option<Instant>, condition: impl Fn(&Self) -> bool) {
        while condition(self) {
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return,
                Some(left) => thread::park_timeout(left),
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::atomic::Ordering::Relaxed;

    /// Returns a client with a real connection, and the peer's end of this connection.
    pub(in crate::server) fn connected(number: u64) -> (Arc<Client>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        let client = Client::new(ClientId::new(number), stream, address, None, Arc::default());
        (Arc::new(client), peer)
    }

    #[test]
    fn a_wake_before_the_wait_is_not_lost() {
        let (client, _peer) = connected(1);
        client.is_behind.store(true, Relaxed);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                client.adopt_thread();
                client.wait_while(None, |client| client.is_behind.load(Relaxed));
            });
            client.is_behind.store(false, Relaxed);
            while !waiting.is_finished() {
                client.wake();
            }
        });
    }
}
