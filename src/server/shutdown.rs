//! Shutdown: how the server is asked to stop, and how it ends within three seconds.
//!
//! | by this time after the request | this is done |
//! | --- | --- |
//! | 0.8 s | every line that a session has cut is in the outbox ([`IN_FLIGHT_AFTER`]) |
//! | 1.4 s | other servers that share the room know of the shutdown ([`RELAYED_AFTER`]) |
//! | 2.2 s | everyone who reads has received the farewell ([`DELIVERED_AFTER`]) |
//! | 2.7 s | the peers have had half a second to close, and all connections are shut down ([`CLOSED_AFTER`]) |
//! | 2.9 s | the log is written ([`LOGGED_AFTER`]) |
//!
//! [`shut_down`] takes these steps one after another, except for the last, which
//! [`Server::run`](super::Server::run) takes.
//!
//! Text that a session has read but not yet cut into lines is lost. For the sender, such text is the same as
//! text that was still in the socket.
//!
//! This module grew from step 10 of the [course](crate::lessons), in which every blocking call gets a thread
//! that wakes it.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::net::Shutdown::{Both, Write as WriteHalf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::protocol::replies;
use crate::system::signal::STOP;
use crate::system::socket::send_now;

/// The time after the start of the shutdown by which sessions must have appended the lines that they have cut.
pub const IN_FLIGHT_AFTER: Duration = Duration::from_millis(800);

/// The time after the start of the shutdown by which other servers that share the room must know of the
/// shutdown.
pub const RELAYED_AFTER: Duration = Duration::from_millis(1400);

/// The time after the start of the shutdown by which the writer must have delivered the last messages and the
/// farewell.
pub const DELIVERED_AFTER: Duration = Duration::from_millis(2200);

/// The time after the start of the shutdown by which all connections must be shut down. On a busy machine, ten
/// thousand threads need the rest of the three seconds to end.
pub const CLOSED_AFTER: Duration = Duration::from_millis(2700);

/// The time after the start of the shutdown by which the event log must be written.
pub const LOGGED_AFTER: Duration = Duration::from_millis(2900);

/// The time that a peer has to read its final line and to close the connection.
pub const CLOSING_TIME: Duration = Duration::from_millis(500);

/// The time without any progress after which the writer stops waiting for slow readers. Progress means that at
/// least one slow reader receives something.
pub const END_STALL: Duration = Duration::from_millis(1500);

/// A handle with which any thread or signal handler can ask the server to stop.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    wake: Arc<PipeWriter>,
}

impl ShutdownHandle {
    /// Makes the handle, and the reading end of a pipe. The pipe becomes readable once the handle is used.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no descriptor left.
    pub fn new() -> io::Result<(Self, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        Ok((Self { wake: Arc::new(writer) }, reader))
    }

    /// Asks the server to stop. Returns at once.
    pub fn stop(&self) {
        // This fails when the accept loop has ended. Then there is nobody to wake.
        let _ = (&*self.wake).write_all(&[STOP]);
    }

    /// Returns the pipe's writing end, for a signal handler.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no descriptor left.
    pub fn pipe(&self) -> io::Result<PipeWriter> {
        self.wake.try_clone()
    }
}

/// The state of the shutdown, which all threads share.
#[derive(Debug, Default)]
pub struct Shutdown {
    /// The time at which the shutdown began. Sessions check this before they cut a line.
    began: OnceLock<Instant>,
    /// The number of sessions that have lines in flight: lines that have been cut from the input but are not in
    /// the outbox yet.
    in_flight: Mutex<usize>,
    /// Wakes [`shut_down`] once no session has lines in flight.
    idle: Condvar,
    /// Whether the farewell has been sent to everyone.
    is_told: AtomicBool,
}

/// A session counts as having lines in flight until this guard is dropped.
#[derive(Debug)]
pub struct InFlightGuard<'a>(&'a Shutdown);

impl Shutdown {
    /// Returns whether the server is shutting down.
    pub fn has_begun(&self) -> bool {
        self.began.get().is_some()
    }

    /// Registers a session that is about to cut lines from its input. Returns `None` once the server is
    /// shutting down.
    pub fn enter(&self) -> Option<InFlightGuard<'_>> {
        let mut in_flight = self.lock();
        // The shutdown begins under the same lock. So a session is either counted, or sees that the shutdown
        // has begun.
        if self.has_begun() {
            return None;
        }
        *in_flight += 1;
        Some(InFlightGuard(self))
    }

    /// Returns whether the farewell has been sent to everyone. Until then, the sessions that are about to end
    /// read nothing. A hundred threads that read and discard a flood would leave the writer only a hundredth of
    /// the processor time.
    pub fn is_told(&self) -> bool {
        self.is_told.load(Relaxed)
    }

    /// Returns the time that is `after` later than the beginning of the shutdown. If the shutdown has not
    /// begun, it begins now.
    pub fn deadline(&self, after: Duration) -> Instant {
        *self.began.get_or_init(Instant::now) + after
    }

    fn begin(&self) {
        let _in_flight = self.lock();
        self.began.get_or_init(Instant::now);
    }

    /// Blocks until no session has lines in flight, or until `deadline`.
    fn wait_until_idle(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        // An error means a poisoned lock. The wait is over in that case, too.
        drop(self.idle.wait_timeout_while(self.lock(), left, |in_flight| *in_flight > 0));
    }

    /// A panic cannot leave a number half changed. So the lock is used even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.0.lock();
        *in_flight -= 1;
        if *in_flight == 0 && self.0.has_begun() {
            self.0.idle.notify_all();
        }
    }
}

/// Ends the server: sends everyone the farewell, and ends every session. The channel `delivered` is
/// disconnected when the writer ends.
///
/// Blocks for at most 2.7 seconds. Afterwards no session waits for anything.
pub fn shut_down(shared: &Shared, delivered: &Receiver<()>) {
    let Shared { registry, outbox, shutdown, .. } = shared;
    // 1. No session cuts a further line. Sessions that wait for a rate token, or because their client is
    //    behind, wake and see that the shutdown has begun.
    shutdown.begin();
    registry.all().iter().for_each(|client| client.wake());
    // 2. The lines that have been cut go into the outbox. The farewell is the last line in the outbox.
    shutdown.wait_until_idle(shutdown.deadline(IN_FLIGHT_AFTER));
    shared.close(replies::SHUTTING_DOWN);
    // 3. This function sends the farewell to the clients that have not joined. The writer sends it to the
    //    members. The writer also serves the clients that have left but have not received everything yet.
    let farewell = format!("{}\n", replies::SHUTTING_DOWN);
    for client in registry.all() {
        if outbox.look(|room| !room.has(client.id) && !client.has_left.load(Relaxed)) {
            // This fails when the peer is gone, or is not reading.
            let _ = send_now(&client.stream, farewell.as_bytes());
            client.shut_down(WriteHalf);
        }
    }
    // 4. The writer delivers. Slow readers that still read have time until the writer's deadline.
    let left = shutdown.deadline(DELIVERED_AFTER).saturating_duration_since(Instant::now());
    if delivered.recv_timeout(left + CLOSING_TIME / 4) == Err(RecvTimeoutError::Timeout) {
        // The machine is so busy that the writer is not done in time. Shutting all connections down makes every
        // later send of the writer fail at once.
        registry.all().iter().for_each(|client| client.shut_down(Both));
    }
    // 5. The peers have time to read the farewell and to close. Meanwhile the sessions discard further input.
    //    Closing a socket that has unread input would reset the connection, and a reset could destroy the
    //    farewell.
    shutdown.is_told.store(true, Relaxed);
    for client in registry.all() {
        client.shut_down(WriteHalf);
        client.wake();
    }
    let parted = Instant::now() + CLOSING_TIME;
    registry.wait_until_empty(parted.min(shutdown.deadline(CLOSED_AFTER)));
    // 6. This wakes the sessions that still block in `read`.
    for client in registry.all() {
        client.shut_down(Both);
        client.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_is_in_flight_is_waited_for_and_nothing_begins_after_it() {
        let shutdown = Shutdown::default();
        let in_flight = shutdown.enter().unwrap();
        assert!(shutdown.enter().is_some(), "and is done at once");
        shutdown.begin();
        assert!(shutdown.enter().is_none());
        let far = Instant::now() + Duration::from_secs(600);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| shutdown.wait_until_idle(far));
            assert!(!waiting.is_finished());
            drop(in_flight);
        });
    }

    #[test]
    fn the_wait_for_what_is_in_flight_has_an_end() {
        let shutdown = Shutdown::default();
        let _in_flight = shutdown.enter().unwrap();
        shutdown.begin();
        shutdown.wait_until_idle(Instant::now() + Duration::from_millis(1));
    }

    #[test]
    fn the_handle_makes_the_pipe_readable() {
        let (handle, mut wake) = ShutdownHandle::new().unwrap();
        handle.clone().stop();
        let mut byte = [0];
        std::io::Read::read_exact(&mut wake, &mut byte).unwrap();
        assert_eq!(byte, *b"\n");
    }
}
