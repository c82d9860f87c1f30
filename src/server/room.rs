//! The room: what all threads of the server share, and what concerns more than one part of it.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::client_id::ClientId;
use super::closing::{Closing, DRAIN_TIME};
use super::event_log::EventLog;
use super::options::Options;
use super::outbox::Outbox;
use super::registry::Registry;
use super::shutdown::Gate;
use super::threads::Threads;
use crate::protocol::replies::{self, LeaveReason};
use crate::system::socket::send_now;

/// How long the broadcaster may take for what was said before the farewell, and the farewell itself,
/// from when the server began to end.
pub const DELIVERY_TIME: Duration = Duration::from_millis(2400);

/// When all connections are ended at the latest, from then too. What is left of three seconds is what
/// a thousand threads take to end on a busy machine.
const CLOSING_TIME: Duration = Duration::from_millis(2600);

/// What all threads of the server share.
#[derive(Debug)]
pub struct Room {
    /// How it is to behave.
    pub options: Options,
    /// Who is connected.
    pub registry: Registry,
    /// What is to be delivered.
    pub outbox: Outbox,
    /// What slow clients have not taken yet.
    pub backlog: Backlog,
    /// What sessions pass while they hand on what they read.
    pub gate: Gate,
    /// The threads of clients.
    pub threads: Threads,
    /// Where sockets go that are done with.
    pub closing: Closing,
    /// What whoever runs the server is told.
    pub log: EventLog,
}

/// Parting with single clients.
impl Room {
    /// Says one last line to a connection that is not in the room, and closes it. Never blocks: the
    /// line fits into a socket's buffer, and if it does not, the peer is not reading anyway.
    pub fn turn_away(&self, stream: &Arc<TcpStream>, final_line: &str) {
        let line = format!("{final_line}\n");
        // An error means that the peer is gone, or not reading: nothing is left to be done.
        let _ = send_now(stream, &[IoSlice::new(line.as_bytes())]);
        self.closing.close(Arc::clone(stream), false);
    }

    /// Has a client leave to which writing failed, for the reason that the error says.
    pub fn give_up(&self, id: ClientId, error: &io::Error) {
        let reason = match error.kind() {
            // Its time was over; where the system's own was, because nothing is acknowledged any more,
            // it says `TimedOut`.
            io::ErrorKind::WouldBlock => LeaveReason::TooSlow,
            // The peer has closed: whether in order, its session finds out by reading.
            io::ErrorKind::BrokenPipe => return,
            _ => LeaveReason::ConnectionLost,
        };
        self.registry.turn_out(id, reason);
    }
}

/// The end of the room, step by step.
impl Room {
    /// Has every session pass on what it has read, over all bounds. Blocks until all have. From
    /// then on they read nothing until the farewell is sent, and then only to throw away, which keeps
    /// a reset from destroying it.
    pub fn come_to_rest(&self) {
        self.gate.begin_to_close();
        self.outbox.lift_bound();
        self.backlog.lift_bounds();
        self.registry.lift_waits();
        self.gate.wait_until_empty();
    }

    /// Closes all connections, after the farewell. Blocks until whoever is behind and reads has got it,
    /// but no longer than two seconds after the end `began`, and until the peers have closed too, for
    /// half a second in all, and no longer than 2.6 seconds after it began.
    pub fn hang_up(&self, began: Instant) {
        let farewell = format!("{}\n", replies::SHUTTING_DOWN);
        for (_, stream) in self.registry.streams(|is_in| !is_in) {
            // They fail when the peer is gone, or not reading. Behind it comes at most what its own thread
            // is just saying.
            let _ = send_now(&stream, &[IoSlice::new(farewell.as_bytes())]);
            let _ = stream.shutdown(Shutdown::Write);
        }
        self.shut_down(Shutdown::Write, &self.backlog.behind());
        for id in self.backlog.wait_until_taken(began) {
            self.registry.turn_out(id, LeaveReason::TooSlow);
            self.backlog.give_up(id);
        }
        self.shut_down(Shutdown::Write, &[]);
        self.gate.farewell_is_sent();
        self.registry.wait_until_empty((Instant::now() + DRAIN_TIME).min(began + CLOSING_TIME));
        self.cut_off();
    }

    /// Ends all connections at once, and so whatever waits for one.
    pub fn cut_off(&self) {
        self.shut_down(Shutdown::Both, &[]);
    }

    /// Shuts down the connections of all but these.
    fn shut_down(&self, how: Shutdown, except: &[ClientId]) {
        for (id, stream) in self.registry.streams(|_| true) {
            if !except.contains(&id) {
                // It fails when the peer is gone.
                let _ = stream.shutdown(how);
            }
        }
    }
}
