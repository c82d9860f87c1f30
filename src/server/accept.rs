//! Accepting: the loop that turns connections into client threads.
//!
//! It does nothing that can wait for a peer: the nickname is asked in the client's thread, and a
//! newcomer for whom there is no place gets one line, which always fits into an empty socket. No
//! error of `accept` ends it.

use std::io::{self, IoSlice, PipeReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::Duration;

use super::registry::ClientId;
use super::shutdown::StopSwitch;
use super::{Room, session};
use crate::protocol::text;
use crate::system::socket::{DeadPeer, detect_dead_peer, wait_for_connection};

/// How long to pause when `accept` fails: out of descriptors, say. Trying again at once would fail
/// at once, and take a whole processor that somebody needs to leave.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// The stack of a client's thread, in bytes. It is address space, not memory, until it is used, and
/// a session uses little; most of this is for reporting a panic.
const STACK_BYTES: usize = 128 << 10;

/// A pulled cable is noticed within two minutes, in a silent room and in one that talks.
const DEAD_PEER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::from_secs(90),
};

/// Accepts connections until there is something to read in `wake` or `stop` is used, and gives each
/// a thread of its own in `scope`. Blocks in `poll`, which both of them wake.
pub fn accept_loop<'scope>(
    room: &'scope Room,
    listener: &TcpListener,
    wake: &PipeReader,
    stop: &StopSwitch,
    scope: &'scope Scope<'scope, '_>,
) {
    let mut connections = 0;
    let mut failing = false;
    loop {
        let accepted = match wait_for_connection(listener, wake) {
            Ok(false) if !stop.is_stopped() => listener.accept(),
            Ok(_) => return,
            Err(error) => Err(error),
        };
        match accepted {
            Ok((stream, address)) => {
                failing = false;
                connections += 1;
                room.log.event(&format!("Connected with {address}"));
                if let Err(reason) = admit(room, ClientId::new(connections), stream, address, scope)
                {
                    room.log.event(&format!("Turned {address} away: {reason}"));
                }
            }
            // The peer gave up between the two calls.
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Once a burst: the log is not to be flooded by what cannot be helped.
                if !failing {
                    room.log.notice(&format!("Could not accept a connection: {error}"));
                }
                failing = true;
                thread::sleep(ERROR_PAUSE);
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

/// Starts the thread of a new connection, or turns it away with one line and says why.
fn admit<'scope>(
    room: &'scope Room,
    id: ClientId,
    stream: TcpStream,
    address: SocketAddr,
    scope: &'scope Scope<'scope, '_>,
) -> Result<(), String> {
    prepare(&stream).map_err(|error| error.to_string())?;
    let stream = Arc::new(stream);
    if room.registry.count() >= room.options.max_clients {
        room.turn_away(&stream, text::SERVER_FULL);
        return Err("the server is full".to_owned());
    }
    room.registry.insert(id, Arc::clone(&stream));
    let session_stream = Arc::clone(&stream);
    let session = move || {
        // The panic has left the room already, in its session; it ends nothing but this thread.
        if catch_unwind(AssertUnwindSafe(|| session::serve(room, id, &session_stream))).is_err() {
            room.log.notice(&format!("A fault in the thread of {address} ended its connection"));
        }
    };
    let builder = thread::Builder::new().name(format!("{id}")).stack_size(STACK_BYTES);
    if let Err(error) = builder.spawn_scoped(scope, session) {
        room.registry.remove(id);
        room.turn_away(&stream, text::SERVER_FULL);
        return Err(format!("no thread for it: {error}"));
    }
    Ok(())
}

/// Sets up the socket of a new connection.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Some systems hand down the listener's mode.
    stream.set_nonblocking(false)?;
    // Send a line at once, without waiting for the peer to acknowledge the one before (RFC 896).
    stream.set_nodelay(true)?;
    detect_dead_peer(stream, DEAD_PEER)
}

impl Room {
    /// Says one last line to a connection that is not in the room, and closes it. Never blocks: the
    /// line fits into a socket's buffer, and if it does not, the peer is not reading anyway.
    pub fn turn_away(&self, stream: &Arc<TcpStream>, last_words: &str) {
        let line = format!("{last_words}\n");
        // An error means that the peer is gone, or not reading: nothing is left to be done.
        let _ = crate::system::socket::send_now(stream, &[IoSlice::new(line.as_bytes())]);
        self.closing.close(Arc::clone(stream), false);
    }
}
