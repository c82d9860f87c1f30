//! From step 8: an accept loop that survives every error. It runs on the main thread.
//!
//! The loop never waits for a peer, because each connection gets a thread of its own. The real server's counterpart
//! is [`server::accept`](crate::server::accept), which also counts connections and refuses some of them.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::system::socket::{DeadPeer, detect_dead_peer};

/// The times for detecting a dead peer: when the kernel asks a silent peer for an answer, and how long it waits for
/// the answer.
const DEAD_PEER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::from_secs(90),
};

/// The pause after an error, for example because no descriptor is free. Without this pause, the next attempt would
/// fail at once.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Makes the kernel detect a peer that has vanished, and makes the kernel send each write at once. Also makes the
/// stream blocking, because on some systems a stream inherits the non-blocking mode of its listener.
///
/// # Errors
///
/// Any error of the system. After an error, the connection cannot be used.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    detect_dead_peer(stream, DEAD_PEER)
}

/// Accepts connections forever, and runs `serve` on a new thread for each connection. Blocks in `accept`.
pub fn accept_loop(
    listener: &TcpListener,
    serve: impl Fn(&Arc<TcpStream>) + Clone + Send + 'static,
) -> ! {
    loop {
        let accepted = listener.accept().and_then(|(stream, address)| {
            prepare(&stream)?;
            let (stream, serve) = (Arc::new(stream), serve.clone());
            let thread = thread::Builder::new().name(format!("client {}", address.port()));
            thread.spawn(move || serve(&stream))
        });
        if accepted.is_err() {
            thread::sleep(PAUSE);
        }
    }
}
