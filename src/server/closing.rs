//! Closing: how last words arrive.
//!
//! Closing a socket that has unread input resets the connection, and the reset can destroy what the
//! peer has not read yet, the reason why it was turned away, say. So the writing side is shut down
//! first, which tells the peer that nothing more comes, and what the peer still sends is read and
//! thrown away until it closes too, for a moment at most. One thread does this for all sockets, and
//! nobody waits for it.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How many closed connections may wait for the thread. Beyond it they are closed at once, and a
/// peer that is still sending may miss its last words.
const MAX_WAITING: usize = 256;

/// How many are drained at once. Each of them holds a descriptor; beyond it the oldest are closed.
const MAX_DRAINING: usize = 256;

/// How long a peer may take to read its last words and close.
pub const DRAIN_TIME: Duration = Duration::from_millis(500);

/// How often the sockets are looked at.
const DRAIN_INTERVAL: Duration = Duration::from_millis(10);

/// The way to the draining thread. The thread ends when this is dropped and all is drained.
#[derive(Debug)]
pub struct Closing {
    sockets: SyncSender<Draining>,
}

/// A connection on which nothing more is said.
#[derive(Debug)]
pub struct Draining {
    stream: Arc<TcpStream>,
    /// Its reading side was shut down here, so reading cannot tell when the peer closes.
    deaf: bool,
    until: Instant,
}

impl Closing {
    /// Makes the way to the thread, and what [`drain_loop`] is to be run with.
    pub fn new() -> (Self, Receiver<Draining>) {
        let (sockets, receiver) = sync_channel(MAX_WAITING);
        (Self { sockets }, receiver)
    }

    /// Closes a connection after what was written to it. Returns at once.
    ///
    /// `deaf` says that its reading side was shut down to wake a thread. Were its writing side shut
    /// down too, the system would answer whatever the peer still sends with a reset. So such a peer
    /// learns that nothing more comes when its time to read is over.
    pub fn close(&self, stream: Arc<TcpStream>, deaf: bool) {
        let ended = if deaf { Ok(()) } else { stream.shutdown(Shutdown::Write) };
        // They fail when the peer is gone already; then there is nothing to be careful about.
        if ended.is_err() || stream.set_nonblocking(true).is_err() {
            return;
        }
        let until = Instant::now() + DRAIN_TIME;
        // When the queue is full the socket is dropped, and so closed, here.
        let _ = self.sockets.try_send(Draining { stream, deaf, until });
    }
}

/// The draining thread. Blocks until there is a socket to drain; ends when [`Closing`] is dropped.
#[expect(clippy::needless_pass_by_value, reason = "the receiving end lives and ends here")]
pub fn drain_loop(sockets: Receiver<Draining>) {
    let mut draining: Vec<Draining> = Vec::new();
    loop {
        let next = if draining.is_empty() {
            sockets.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            sockets.recv_timeout(DRAIN_INTERVAL)
        };
        match next {
            Ok(socket) => {
                draining.push(socket);
                draining.extend(sockets.try_iter().take(MAX_WAITING));
                // The oldest have had the most time.
                draining.drain(..draining.len().saturating_sub(MAX_DRAINING));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if draining.is_empty() => return,
            // `recv_timeout` does not wait any more.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(DRAIN_INTERVAL),
        }
        let now = Instant::now();
        draining.retain(|socket| now < socket.until && is_open(socket));
    }
}

/// Throws away what has come, and returns whether more may.
fn is_open(socket: &Draining) -> bool {
    let mut thrown_away = [0; 4096];
    // A bounded number of reads: somebody who floods does not keep the others waiting.
    for _ in 0..16 {
        match (&*socket.stream).read(&mut thrown_away) {
            Ok(0) => return socket.deaf,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}
