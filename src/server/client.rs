//! A client as all threads of the server share it: its number, its connection, and its flags.
//!
//! There is one [`Client`] for each connection, with the connection's only descriptor in it. The registry, the
//! client's session and the writer each hold an `Arc` of it. When the last of them drops it, the descriptor is
//! closed. Only then is the client's [place](Client::place) free for another.
//!
//! One thread sets a flag to tell another something about the client. Flags are `Relaxed`: where the order
//! matters, a lock or [`Client::wake`] makes it (`std::thread::park` has acquire and release semantics).
//!
//! Grew from the one `Arc<TcpStream>` that step 8 of the [course](crate::lessons) shares.

use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

use super::rate::AddressQuota;
use crate::system::socket;

/// Identifies a connection for as long as the server runs. Numbers are not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// The `n`-th connection.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// Returns the number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Which of the `parts` parts this client belongs to. Sixteen clients that came one after the other share a
    /// part.
    pub fn part(self, parts: usize) -> usize {
        usize::try_from(self.0 / 16 % parts as u64).unwrap_or(0)
    }
}

/// The name of the client's thread.
impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client-{}", self.0)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// The connection: the client's one descriptor.
    pub stream: TcpStream,
    /// Where it comes from.
    pub address: SocketAddr,
    /// When it came.
    pub since: Instant,
    /// The quota that all clients from its address share. `None` for a client on the server's own machine.
    /// The references to it count the connections from this address.
    pub quota: Option<Arc<AddressQuota>>,
    /// Its place among the connections. The references to this count them all. It is dropped after the stream,
    /// so a connection counts until its descriptor is closed.
    pub place: Arc<()>,
    /// The client has left the room. What it still sends is ignored. Set under the outbox's lock.
    pub has_left: AtomicBool,
    /// The client is behind: it has not taken everything that it was sent. Set by the writer.
    pub is_behind: AtomicBool,
    /// Too much private text is kept for the client. Nobody can tell it more. Set by the writer.
    pub is_overloaded: AtomicBool,
    /// Sending to the client failed, and the peer had not closed cleanly before. Set by the writer.
    pub is_lost: AtomicBool,
    /// The number of the last batch that has text of this client. Used under the outbox's lock.
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

    /// Makes the calling thread the client's own: [`Client::wake`] wakes it.
    pub fn adopt_thread(&self) {
        self.thread.get_or_init(thread::current);
    }

    /// Wakes the client's thread from [`Client::wait_while`], or lets its next wait look again.
    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Blocks the client's own thread while `condition` holds, or until `deadline`, if there is one. A thread
    /// that changes the condition must call [`Client::wake`] afterwards.
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

    /// A client with a connection of its own, and its peer.
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
