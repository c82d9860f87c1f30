//! The link: the connection as both threads see it, and how far the client is with it.
//!
//! The receive thread makes connections and loses them; the send thread writes to whichever there
//! is. What they share is the phase and the stream, under one lock that is held for a look or a
//! change, never while connecting, reading or writing. Whoever needs another phase waits for it on
//! the condition variable, and is woken by every change.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How far the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no nickname yet, so nothing to connect with.
    Unnamed,
    /// There is a nickname and no connection.
    Connecting,
    /// Connected; the server has not said yet what it thinks of the nickname.
    Login,
    /// It does not like it: the next line typed is another nickname.
    Refused,
    /// In the room.
    Chatting,
    /// The connection ended and there will be no other.
    Over,
}

/// The connection, if there is one, and its phase.
pub(super) struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: Phase,
    /// `Arc` and not `try_clone`: one descriptor, and who writes does not hold the lock meanwhile.
    stream: Option<Arc<TcpStream>>,
    /// `/quit` was said: the end that follows is no loss.
    leaving: bool,
}

impl Link {
    /// A link that waits for a nickname.
    pub(super) fn new() -> Self {
        let state = State { phase: Phase::Unnamed, stream: None, leaving: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Returns the phase of this moment.
    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Enters a phase; those without a connection drop the one there was.
    pub(super) fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        if matches!(phase, Phase::Connecting | Phase::Over) {
            state.stream = None;
        }
        self.changed.notify_all();
    }

    /// Takes a new connection.
    pub(super) fn connected(&self, stream: Arc<TcpStream>) {
        self.lock().stream = Some(stream);
        self.enter(Phase::Login);
    }

    /// Blocks as long as the phase is one of these, and returns the one that it is then.
    pub(super) fn wait_while(&self, phases: &[Phase]) -> Phase {
        let state = self.lock();
        let unwanted = |state: &mut State| phases.contains(&state.phase);
        let state =
            self.changed.wait_while(state, unwanted).unwrap_or_else(PoisonError::into_inner);
        state.phase
    }

    /// Sends a line. Blocks while the server takes nothing, which is how it slows a fast sender.
    ///
    /// # Errors
    ///
    /// There is no connection, or it is lost; then the phase is no longer [`Phase::Chatting`].
    pub(super) fn send(&self, line: &str) -> io::Result<()> {
        let stream = self.lock().stream.clone().ok_or(io::ErrorKind::NotConnected)?;
        // One write: TCP_NODELAY would send a line end of its own in a packet of its own.
        let sent = (&*stream).write_all(format!("{line}\n").as_bytes());
        if sent.is_err() {
            // The receive thread, which decides what comes next, reads on until it is told.
            drop(stream.shutdown(Shutdown::Both));
            let mut state = self.lock();
            if state.stream.as_ref().is_some_and(|current| Arc::ptr_eq(current, &stream)) {
                state.stream = None;
                state.phase = Phase::Connecting;
            }
        }
        sent
    }

    /// Says `/quit` if there is anybody to say it to, and returns whether there is. Blocks as
    /// [`Link::send`] does.
    pub(super) fn leave(&self) -> bool {
        self.lock().leaving = true;
        self.send("/quit").is_ok()
    }

    /// Returns whether `/quit` was said.
    pub(super) fn leaving(&self) -> bool {
        self.lock().leaving
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
