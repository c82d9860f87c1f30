//! Accepting: the loop that turns connections into client threads.
//!
//! It does nothing that can wait for a peer: the nickname is asked in the client's thread, and a
//! newcomer for whom there is no place gets one line, which always fits into an empty socket. No
//! error of `accept` ends it.

use std::fmt;
use std::io::{self, PipeReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::Duration;

use super::backlog::MAX_UNSENT_BYTES;
use super::client_id::ClientId;
use super::room::Room;
use super::session;
use super::shutdown::StopSwitch;
use crate::protocol::replies;
use crate::system::socket::{DeadPeer, detect_dead_peer, limit_unsent, wait_for_connection};

/// How long to pause when `accept` fails: out of descriptors, say. Trying again at once would fail
/// at once, and take a whole processor that somebody needs to leave.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

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
    let mut burst = Burst::default();
    loop {
        let accepted = match wait_for_connection(listener, wake) {
            Ok(false) if !stop.is_stopped() => listener.accept(),
            Ok(_) => return,
            Err(error) => Err(error),
        };
        match accepted {
            Ok((stream, address)) => {
                connections += 1;
                match admit(room, ClientId::new(connections), stream, address, scope) {
                    Ok(()) => burst = Burst::default(),
                    Err(why) => burst.log(room, format_args!("Turned {} away", address.ip()), why),
                }
            }
            // The peer gave up between the two calls.
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                burst.log(room, format_args!("Could not accept a connection"), error.to_string());
                thread::sleep(ERROR_PAUSE);
            }
        }
    }
}

/// Newcomers that cannot be let in, one after the other. The log is told each reason once, since it
/// is not to be flooded by what cannot be helped.
#[derive(Default)]
struct Burst {
    reasons: Vec<String>,
}

impl Burst {
    fn log(&mut self, room: &Room, what: fmt::Arguments<'_>, why: String) {
        if !self.reasons.contains(&why) {
            room.log.notice(&format!("{what}: {why}"));
            self.reasons.push(why);
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
    // An IPv4 peer of an IPv6 listener counts under its IPv4 address.
    let from = address.ip().to_canonical();
    let refused = room.registry.insert(id, Arc::clone(&stream), from, &room.options).err();
    if let Some(refused) = refused {
        room.turn_away(&stream, refused.final_line());
        return Err(refused.to_string());
    }
    room.log.event(&format!("Connected with {address}"));
    let own_stream = Arc::clone(&stream);
    let session = move || session::serve(room, id, &own_stream);
    // The panic has left the room already, in its session.
    let panicked =
        move || room.log.notice(&format!("Internal error: closed the connection of {address}"));
    if let Err(error) = room.threads.spawn(scope, id, session, panicked) {
        room.registry.remove(id);
        room.turn_away(&stream, replies::SERVER_FULL);
        return Err(error.to_string());
    }
    Ok(())
}

/// Sets up the socket of a new connection.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Some systems hand down the listener's mode.
    stream.set_nonblocking(false)?;
    // Send a line at once, without waiting for the peer to acknowledge the one before (RFC 896). This
    // and the others fail where the system does not have them, and nobody is turned away for that.
    let _ = stream.set_nodelay(true);
    let _ = limit_unsent(stream, MAX_UNSENT_BYTES);
    let _ = detect_dead_peer(stream, DEAD_PEER);
    Ok(())
}
