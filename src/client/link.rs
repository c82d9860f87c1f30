//! The link: the connection, how far the client is with it, and the lines on their way to the server.
//!
//! It is plain data behind the client's one lock. The receive thread makes connections and loses them;
//! the send thread has [`Link::pump`] send as much as the socket takes. Nothing here ever waits.
//!
//! Own lines are accounted for. TCP says that bytes are under way, not that anybody took them; so now
//! and then a `/ping` follows the lines, and its answer confirms all that were sent before it. At most
//! [`MAX_UNCONFIRMED_LINES`] are under way, the others wait here, where they can still be discarded. When
//! a connection is lost, its unconfirmed lines are known. A ping is sent after half of that number, or
//! [`PING_DELAY`] after a line: one small line in two seconds, at most, for a person who talks.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::protocol::replies::PONG_PREFIX;
use crate::system::socket::{send_now, shut_down};

/// How many bytes are taken from the lines that wait before the socket takes more.
const OUTGOING_BYTES: usize = 16 * 1024;

/// How many lines are sent before the server has confirmed any of them.
const MAX_UNCONFIRMED_LINES: usize = 100;

/// How long a line is without a ping after it.
const PING_DELAY: Duration = Duration::from_secs(2);

/// What opens the word of the client's own pings; the number of lines sent before it follows.
const PING_WORD: &str = "client-";

/// How much a user can have waiting, in bytes: more than anybody has to say, and no burden.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;

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
    pub(super) phase: Phase,
    /// `Arc` and not `try_clone`: one descriptor.
    stream: Option<Arc<TcpStream>>,
    /// What was given to the socket and not taken yet.
    outgoing: Vec<u8>,
    /// Lines that wait to be sent.
    waiting: Lines,
    /// Lines that were sent and not confirmed.
    pub(super) unconfirmed: VecDeque<String>,
    /// How many lines were ever sent, and how many of them before the last ping.
    sent: usize,
    pinged: usize,
    /// When the next ping is due.
    ping_due: Option<Instant>,
    /// How many lines were refused, here or by the server.
    pub(super) refused: usize,
    /// Since when `/quit` is to follow the lines that wait.
    pub(super) leaving: Option<Instant>,
    /// It was sent.
    quit: bool,
}

impl Link {
    /// Takes a new connection.
    pub(super) fn connected(&mut self, stream: Arc<TcpStream>) {
        self.stream = Some(stream);
        self.phase = Phase::Login;
    }

    /// Drops the connection there was, and returns the lines that it may have lost.
    pub(super) fn disconnected(&mut self) -> Vec<String> {
        self.stream = None;
        self.phase = Phase::Connecting;
        self.outgoing.clear();
        self.ping_due = None;
        self.quit = false;
        self.unconfirmed.drain(..).collect()
    }

    /// Has lines sent before all that wait.
    pub(super) fn say_again(&mut self, lines: &[String]) {
        let waiting = std::mem::take(&mut self.waiting);
        for line in lines {
            self.waiting.push(line);
        }
        self.waiting.text += &waiting.text[waiting.start..];
        self.waiting.count += waiting.count;
    }

    /// Has a line sent after those that wait.
    pub(super) fn say(&mut self, line: &str) {
        self.waiting.push(line);
    }

    /// Returns how many lines wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.count
    }

    /// Discards the lines that wait, and returns how many there were.
    pub(super) fn discard(&mut self) -> usize {
        std::mem::take(&mut self.waiting).count
    }

    /// Returns whether so much waits that nothing may be added.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.text.len() >= MAX_WAITING_BYTES
    }

    /// Returns how many lines were not said, as far as is known.
    pub(super) fn unsaid(&self) -> usize {
        self.refused + self.unconfirmed.len() + self.waiting.count
    }

    /// Takes the answer to a ping. Returns whether the ping was the client's own, and not for the user.
    pub(super) fn confirm(&mut self, line: &str) -> bool {
        let Some(word) = line.strip_prefix(PONG_PREFIX) else { return false };
        let own = word.strip_prefix(PING_WORD).and_then(|lines| lines.parse().ok());
        // One that the user sent confirms what was said before it as well.
        let said = |line: &String| line.strip_prefix("/ping ").is_some_and(|said| said == word);
        let confirmed = match own {
            Some(lines) => {
                let left = self.sent.saturating_sub(lines);
                self.unconfirmed.len().saturating_sub(left)
            }
            None => self.unconfirmed.iter().position(said).map_or(0, |at| at + 1),
        };
        self.unconfirmed.drain(..confirmed);
        own.is_some()
    }

    /// Returns in what time [`Link::pump`] has something to do by itself.
    pub(super) fn next_ping(&self) -> Option<Duration> {
        // Without a connection it never comes to be sent, and would be due all the time.
        self.stream.as_ref()?;
        Some(self.ping_due?.saturating_duration_since(Instant::now()))
    }

    /// Has `/quit` sent after the lines that wait.
    pub(super) fn leave(&mut self) {
        self.leaving.get_or_insert_with(Instant::now);
    }

    /// Returns whether this user wants to leave.
    pub(super) fn leaving(&self) -> bool {
        self.leaving.is_some()
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
                    drop(shut_down(&stream, Shutdown::Both));
                    self.stream = None;
                    return None;
                }
            }
        }
    }

    /// Moves lines that wait to those that are given to the socket.
    fn fill(&mut self, terminal: &mut Terminal) {
        if self.phase != Phase::Chatting {
            return;
        }
        while self.outgoing.len() < OUTGOING_BYTES
            && self.unconfirmed.len() < MAX_UNCONFIRMED_LINES
            && let Some(line) = self.waiting.pop()
        {
            terminal.show_own(&line);
            self.send(&line);
            self.unconfirmed.push_back(line);
            self.sent += 1;
            self.ping_due.get_or_insert_with(|| Instant::now() + PING_DELAY);
            if self.sent - self.pinged >= MAX_UNCONFIRMED_LINES / 2 {
                self.ping();
            }
        }
        if self.leaving() && !self.quit && self.waiting.count == 0 {
            self.quit = true;
            self.send("/quit");
        } else if self.next_ping().is_some_and(|time| time.is_zero()) {
            self.ping();
        }
    }

    fn ping(&mut self) {
        self.send(&format!("/ping {PING_WORD}{}", self.sent));
        (self.pinged, self.ping_due) = (self.sent, None);
    }

    /// Gives a line to the socket, before all that wait.
    pub(super) fn send(&mut self, line: &str) {
        // TCP_NODELAY would send a line end of its own in a packet of its own.
        self.outgoing.extend([line.as_bytes(), b"\n"].concat());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_as_they_went_in_whatever_is_put_before_them() {
        let mut link = Link::default();
        for number in 0..10 {
            link.say(&format!("line {number}"));
        }
        let first: Vec<_> = (0..7).filter_map(|_| link.waiting.pop()).collect();
        link.say_again(&first);
        assert_eq!(link.waiting(), 10);
        let all: Vec<_> = std::iter::from_fn(|| link.waiting.pop()).collect();
        assert_eq!(all, (0..10).map(|number| format!("line {number}")).collect::<Vec<_>>());
        assert_eq!((link.waiting(), link.waiting.text.as_str()), (0, ""));
    }

    #[test]
    fn without_a_connection_no_ping_is_due() {
        // One that is due all the time would have the send thread turn without a pause.
        let mut link = Link { ping_due: Some(Instant::now()), ..Link::default() };
        assert_eq!(link.next_ping(), None);
        assert!(link.disconnected().is_empty());
        assert_eq!(link.ping_due, None);
    }
}
