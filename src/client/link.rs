//! The link: the connection, how far the client is with it, and the lines on their way to the server.
//!
//! It is plain data behind the client's one lock. The receive thread makes connections and loses them;
//! the send thread has [`Link::pump`] send as much as the socket takes. Nothing here ever waits.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::terminal::Terminal;
use crate::system::socket::send_now;

/// How many bytes are taken from the lines that wait before the socket takes more.
const OUTGOING_BYTES: usize = 16 * 1024;

/// How far the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// There is no nickname yet, so nothing to connect with.
    #[default]
    Unnamed,
    /// There is a nickname and no connection.
    Connecting,
    /// Connected; the server has not said yet what it thinks of the nickname.
    Login,
    /// It does not like it: the next line typed is another nickname.
    Refused,
    /// In the room.
    Chatting,
}

/// The connection, if there is one, and what is to be sent.
#[derive(Debug, Default)]
pub(super) struct Link {
    phase: Phase,
    /// `Arc` and not `try_clone`: one descriptor.
    stream: Option<Arc<TcpStream>>,
    /// What was given to the socket and not taken yet.
    outgoing: Vec<u8>,
    /// Lines that wait to be sent.
    waiting: Lines,
    /// Since when `/quit` is to follow the lines that wait.
    leaving: Option<Instant>,
    /// It was sent.
    quit: bool,
}

impl Link {
    /// Returns the phase of this moment.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Enters a phase.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Takes a new connection.
    pub(super) fn connected(&mut self, stream: Arc<TcpStream>) {
        self.stream = Some(stream);
        self.phase = Phase::Login;
    }

    /// Drops the connection there was.
    pub(super) fn disconnected(&mut self) {
        self.stream = None;
        self.phase = Phase::Connecting;
        self.outgoing.clear();
        self.quit = false;
    }

    /// Gives the server a nickname.
    pub(super) fn offer(&mut self, nickname: &str) {
        self.outgoing.extend([nickname.as_bytes(), b"\n"].concat());
    }

    /// Has a line sent after those that wait.
    pub(super) fn say(&mut self, line: &str) {
        self.waiting.push(line);
    }

    /// Returns how many lines wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.count
    }

    /// Has `/quit` sent after the lines that wait.
    pub(super) fn leave(&mut self) {
        self.leaving.get_or_insert_with(Instant::now);
    }

    /// Returns whether this user wants to leave.
    pub(super) fn leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Returns since when.
    pub(super) fn leaving_since(&self) -> Option<Instant> {
        self.leaving
    }

    /// Sends what the socket takes without a wait. Returns the socket if it takes no more for now, and
    /// there is more to send.
    ///
    /// One's own messages are shown as they are sent, since the server does not send them back: before
    /// they are sent, or an answer could be seen above one.
    pub(super) fn pump(&mut self, terminal: &mut Terminal) -> Option<Arc<TcpStream>> {
        let stream = Arc::clone(self.stream.as_ref()?);
        loop {
            self.fill(terminal);
            if self.outgoing.is_empty() {
                return None;
            }
            match send_now(&stream, &self.outgoing) {
                Ok(bytes) => drop(self.outgoing.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(stream),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    // The receive thread, which decides what comes next, reads on until it is told.
                    drop(stream.shutdown(Shutdown::Both));
                    self.stream = None;
                    return None;
                }
            }
        }
    }

    /// Moves lines that wait to those that are given to the socket.
    fn fill(&mut self, terminal: &mut Terminal) {
        while self.phase == Phase::Chatting
            && self.outgoing.len() < OUTGOING_BYTES
            && !terminal.is_full()
            && let Some(line) = self.waiting.pop()
        {
            terminal.show_own(&line);
            // TCP_NODELAY would send a line end of its own in a packet of its own.
            self.outgoing.extend([line.as_bytes(), b"\n"].concat());
        }
        if self.leaving() && !self.quit && self.phase == Phase::Chatting && self.waiting.count == 0
        {
            self.quit = true;
            self.outgoing.extend(b"/quit\n");
        }
    }
}

/// Lines, first in, first out, in one text: a large paste is as large in memory as it is.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Where the first line starts, in bytes.
    start: usize,
    count: usize,
}

impl Lines {
    fn push(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
        self.count += 1;
    }

    fn pop(&mut self) -> Option<String> {
        let (line, _rest) = self.text[self.start..].split_once('\n')?;
        let line = line.to_owned();
        self.start += line.len() + 1;
        self.count -= 1;
        if self.start > self.text.len() / 2 {
            self.text.drain(..self.start);
            self.start = 0;
        }
        Some(line)
    }
}
