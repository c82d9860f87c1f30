//! The link: the connection, its phase, and the lines on their way to the server.
//!
//! The link is plain data behind the client's one lock. The receive thread sets the connection and drops it. The
//! send thread calls [`Link::pump`], which sends as much as the socket accepts. Nothing in this module blocks.
//!
//! The client needs to know which of its lines the server has received. TCP does not report this: the system may
//! accept bytes that never arrive. So the client sends a `/ping` after some lines, and the answer confirms all
//! lines that were sent before this ping. At any time, at most [`MAX_UNCONFIRMED_LINES`] sent lines are
//! unconfirmed. Further lines wait in the client, where they can still be discarded. When a connection is lost,
//! the client knows which lines are unconfirmed.
//!
//! The client sends a ping after every `MAX_UNCONFIRMED_LINES / 2` lines, and at the latest [`PING_DELAY`] after
//! a line. So a person who types causes at most one ping every two seconds.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::protocol::replies::PONG_PREFIX;
use crate::system::socket::{send_now, shut_down};

/// Waiting lines are moved to `outgoing` only while it has fewer bytes than this number.
const OUTGOING_BYTES: usize = 16 * 1024;

/// The maximum number of sent lines that the server has not confirmed yet.
const MAX_UNCONFIRMED_LINES: usize = 100;

/// The longest time from a sent line to the next ping.
const PING_DELAY: Duration = Duration::from_secs(2);

/// The start of the word in the client's own pings. The rest of the word is the number of lines that were sent
/// before the ping.
const PING_WORD: &str = "client-";

/// The time limit for the login. Without a limit, a user would wait forever for a server that accepts the
/// connection and sends nothing.
pub(super) const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum time for which the client waits for the server's goodbye when a person leaves. A server that hangs
/// must not delay the person.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum number of lines that wait to be sent. Nobody needs that many lines: the limit only bounds the
/// memory that they use.
const MAX_LINES: usize = 500_000;

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// There is no nickname yet, or the server has refused the nickname. The next typed line is used as the
    /// nickname.
    #[default]
    Unnamed,
    /// There is a nickname, and perhaps a connection. The server has not accepted the nickname yet.
    Login,
    /// The client is in the room.
    Chatting,
    /// A person has sent `/quit`, and the client waits a moment for the server's goodbye.
    Leaving,
}

/// The connection, if there is one, and the lines to be sent.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) phase: Phase,
    /// The threads share the stream in an `Arc`, since `try_clone` would use a second descriptor.
    stream: Option<Arc<TcpStream>>,
    /// The bytes that are sent next. The socket has not accepted them yet.
    outgoing: Vec<u8>,
    /// The user's lines that the server has not confirmed. The lines that were sent come first. The lines that wait
    /// to be sent follow.
    lines: VecDeque<String>,
    /// The number of lines in `lines` that were sent.
    unconfirmed: usize,
    /// The number of lines that the server has confirmed since the start of the program.
    confirmed: usize,
    /// The next deadline: the time at which a ping is due, or at which a login or a goodbye has taken too long.
    pub(super) due: Option<Instant>,
    /// For a program: the number of its lines that the client or the server has refused.
    pub(super) refused: usize,
    /// Whether the user is leaving. For a program, the client sends `/quit` after the lines that wait.
    pub(super) leaving: bool,
    /// Whether the `/quit` for a program was sent.
    quit: bool,
    /// The last received line, if it is a line after which the server closes the connection.
    pub(super) farewell: Option<&'static str>,
    /// The time at which the client last lost a connection while it was in the room.
    pub(super) last_seen: Option<Instant>,
}

impl Link {
    /// Enters a phase. Some phases have a time limit.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let limit = if phase == Phase::Leaving { LEAVE_TIMEOUT } else { LOGIN_TIMEOUT };
        let is_limited = matches!(phase, Phase::Login | Phase::Leaving);
        self.due = is_limited.then(|| Instant::now() + limit);
    }

    /// Sets a new connection.
    pub(super) fn connected(&mut self, stream: Arc<TcpStream>) {
        self.stream = Some(stream);
        self.outgoing.clear();
        self.farewell = None;
        self.enter(Phase::Login);
    }

    /// Drops the connection. The unconfirmed lines wait to be sent again.
    pub(super) fn disconnected(&mut self) {
        if self.phase == Phase::Chatting {
            self.last_seen = Some(Instant::now());
        }
        // If a person is being asked for another nickname, the question stays.
        if self.phase != Phase::Unnamed {
            self.enter(Phase::Login);
        }
        self.stream = None;
        self.quit = false;
        self.unconfirmed = 0;
    }

    /// Appends a line to the lines that wait to be sent.
    pub(super) fn say(&mut self, line: &str) {
        self.lines.push_back(line.to_owned());
    }

    /// Appends a message to the lines that wait, even if its text looks like a command.
    pub(super) fn say_text(&mut self, text: &str) {
        self.say(&if text.starts_with('/') { format!("/{text}") } else { text.to_owned() });
    }

    /// Removes the unconfirmed lines up to line `number`, and returns them. Lines are counted from the start of
    /// the program.
    pub(super) fn take_until(&mut self, number: usize) -> Vec<String> {
        let count = number.saturating_sub(self.confirmed);
        self.confirmed += count;
        self.unconfirmed -= count;
        self.lines.drain(..count).collect()
    }

    /// Returns the number of the last line that was sent, counted from the start of the program.
    pub(super) fn sent(&self) -> usize {
        self.confirmed + self.unconfirmed
    }

    /// Returns the number of lines that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.lines.len() - self.unconfirmed
    }

    /// Discards the lines that wait to be sent. Returns the number of discarded lines.
    pub(super) fn discard(&mut self) -> usize {
        self.lines.drain(self.unconfirmed..).count()
    }

    /// Returns whether the maximum number of lines is reached, so that no further line can be added.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= MAX_LINES
    }

    /// Returns the number of lines that were refused or are not confirmed.
    pub(super) fn unsaid(&self) -> usize {
        self.refused + self.lines.len()
    }

    /// Returns whether a line is the answer to one of the client's own pings, and handles such an answer. The
    /// caller must not show the answer to the user.
    pub(super) fn confirm(&mut self, line: &str) -> bool {
        let word = line.strip_prefix(PONG_PREFIX).and_then(|word| word.strip_prefix(PING_WORD));
        let number = word.and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|&number| number <= self.sent()) else { return false };
        self.take_until(number);
        true
    }

    /// Returns the next deadline, if there is a connection. Without a connection, the client does nothing at a
    /// deadline. If this function returned the deadline anyway, it would stay due, and the send thread would
    /// never block.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.stream.as_ref().and(self.due)
    }

    /// Returns whether the deadline has passed. In the room, this means that a ping is due. In another phase, it
    /// means that the login or the goodbye has taken too long.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Sends as much as the socket accepts without blocking. If there is more to send, returns the socket, so
    /// that the caller can wait for it.
    ///
    /// The user's own messages are shown here, since the server does not send them back. A message is shown
    /// before it is sent. Otherwise an answer could appear above the message.
    pub(super) fn pump(&mut self, terminal: &mut Terminal) -> Option<Arc<TcpStream>> {
        let stream = Arc::clone(self.stream.as_ref()?);
        while self.phase == Phase::Chatting || !self.is_due() {
            self.fill(terminal);
            if self.outgoing.is_empty() {
                return None;
            }
            match send_now(&stream, &self.outgoing) {
                Ok(bytes) => drop(self.outgoing.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(stream),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // The shutdown wakes the receive thread from its `read`, and that thread decides what happens next.
        drop(shut_down(&stream, Shutdown::Both));
        self.stream = None;
        None
    }

    /// Moves waiting lines to `outgoing`.
    fn fill(&mut self, terminal: &mut Terminal) {
        if self.phase != Phase::Chatting {
            return;
        }
        while self.outgoing.len() < OUTGOING_BYTES
            && self.unconfirmed < MAX_UNCONFIRMED_LINES
            && let Some(line) = self.lines.get(self.unconfirmed).cloned()
        {
            terminal.show_own(&line);
            self.send(&line);
            self.unconfirmed += 1;
            self.due.get_or_insert_with(|| Instant::now() + PING_DELAY);
            if self.sent().is_multiple_of(MAX_UNCONFIRMED_LINES / 2) {
                self.ping();
            }
        }
        if self.leaving && !self.quit && self.waiting() == 0 {
            self.quit = true;
            self.send("/quit");
        } else if self.is_due() {
            self.ping();
        }
    }

    /// Sends a ping. The server's answer confirms all lines that were sent before the ping.
    pub(super) fn ping(&mut self) {
        self.send(&format!("/ping {PING_WORD}{}", self.sent()));
        self.due = None;
    }

    /// Appends a line to `outgoing`, so that it is sent before all lines that wait.
    pub(super) fn send(&mut self, line: &str) {
        // The line and its line end are sent with one write. With TCP_NODELAY, two writes would send two packets.
        self.outgoing.extend([line.as_bytes(), b"\n"].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_out_in_order_and_again_after_a_lost_connection() {
        let mut link = Link { phase: Phase::Chatting, ..Link::default() };
        let mut terminal = Terminal::default();
        let lines: Vec<_> = (0..10).map(|number| format!("line {number}")).collect();
        for line in &lines[..7] {
            link.say(line);
        }
        link.fill(&mut terminal);
        for line in &lines[7..] {
            link.say(line);
        }
        assert_eq!((link.waiting(), link.unsaid()), (3, 10));
        assert_eq!(link.take_until(3), lines[..3]);
        assert_eq!((link.waiting(), link.unsaid()), (3, 7));
        link.disconnected();
        assert_eq!((link.waiting(), link.unsaid()), (7, 7));
        // A new connection begins with nothing to send.
        link.outgoing.clear();
        link.enter(Phase::Chatting);
        link.fill(&mut terminal);
        assert_eq!(String::from_utf8_lossy(&link.outgoing), lines[3..].join("\n") + "\n");
        link.say("one more");
        assert_eq!((link.discard(), link.unsaid()), (1, 7));
        assert_eq!(link.take_until(10), lines[3..]);
        assert_eq!((link.unconfirmed, link.unsaid()), (0, 0));
    }

    #[test]
    fn without_a_connection_nothing_is_due() {
        // A deadline that stays due would make the send thread loop without a pause.
        let mut link = Link { due: Some(Instant::now()), ..Link::default() };
        assert_eq!(link.next_due(), None);
        link.enter(Phase::Chatting);
        link.disconnected();
        assert_eq!((link.phase, link.next_due()), (Phase::Login, None));
    }

    #[test]
    fn only_an_answer_to_a_ping_of_its_own_confirms_a_line() {
        let mut link = Link { phase: Phase::Chatting, ..Link::default() };
        for line in ["one", "two", "three"] {
            link.say(line);
        }
        link.fill(&mut Terminal::default());
        for line in ["[SERVER] pong 2", "[SERVER] pong client-4", "[SERVER] pong client-x", "al: x"]
        {
            assert!(!link.confirm(line), "{line:?}");
        }
        assert!(link.confirm("[SERVER] pong client-2") && link.confirm("[SERVER] pong client-1"));
        assert_eq!(link.take_until(3), ["three"]);
    }
}
