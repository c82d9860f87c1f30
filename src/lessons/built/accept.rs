//! From step 8: an accept loop that survives every error. Runs on the main thread.
//!
//! It does nothing that can wait for a peer: each connection gets a thread of its own. In the real
//! server this is [`server::accept`](crate::server::accept), which also counts and refuses.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::system::socket::{DeadPeer, detect_dead_peer};

/// When the kernel asks a silent peer whether it is there, and how long it waits for an answer.
const DEAD_PEER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::from_secs(90),
};

/// How long to wait after an error. Without descriptors or threads, `accept` would fail again at once.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Makes the kernel notice when the peer has vanished. Also makes it send each write at once. The stream is
/// made blocking. On some systems it inherits the non-blocking mode of its listener.
///
/// # Errors
///
/// What the kernel says. The connection cannot be used then.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    detect_dead_peer(stream, DEAD_PEER)
}

/// Runs `serve` on a thread of its own for each connection, without end. Blocks in `accept`.
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
