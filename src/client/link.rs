//! The link: the connection, its phase, and the lines on their way to the server.
//!
//! It is plain data behind the client's one lock. The receive thread makes connections and loses them.
//! The send thread has [`Link::pump`] send as much as the socket takes. Nothing here ever waits.
//!
//! The client knows which of its lines the server has taken. TCP does not tell this: it may have accepted bytes
//! that never arrive. So now and then a `/ping` follows the lines, and its answer confirms all that were sent
//! before it. At most [`MAX_UNCONFIRMED_LINES`] are under way. The others wait here, where they can still be
//! discarded. When a connection is lost, its unconfirmed lines are known. A ping is sent after half that number
//! of lines, or [`PING_DELAY`] after a line. So a person who talks causes at most one ping in two seconds.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::protocol::replies::PONG_PREFIX;
use crate::system::socket::{send_now, shut_down};

/// How many bytes of the waiting lines are prepared for the socket at once.
const OUTGOING_BYTES: usize = 16 * 1024;

/// How many lines are sent before the server has confirmed any of them.
const MAX_UNCONFIRMED_LINES: usize = 100;

/// How long after a line its ping is sent.
const PING_DELAY: Duration = Duration::from_secs(2);

/// Opens the word of the client's own pings. The number of lines sent before the ping follows.
const PING_WORD: &str = "client-";

/// How long a server may take for the login. Without a limit, a server that accepts and stays silent would keep
/// a user forever.
pub(super) const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes a user can have waiting. It is more than anybody has to say, and little memory.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;

/// How far the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// There is no nickname, or the server has refused it. The next line typed is a nickname.
    #[default]
    Unnamed,
    /// There is a nickname, and perhaps a connection. The server has not taken the nickname yet.
    Login,
    /// In the room.
    Chatting,
}

/// The connection, if there is one, and what is to be sent.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) phase: Phase,
    /// `Arc` and not `try_clone`: one descriptor.
    stream: Option<Arc<TcpStream>>,
    /// Bytes that are next for the socket and not taken yet.
    outgoing: Vec<u8>,
    /// The lines that wait to be sent, each with its end: a large paste is as large in memory as it is.
    waiting: VecDeque<u8>,
    pub(super) waiting_lines: usize,
    /// The lines that were sent and not confirmed.
    pub(super) unconfirmed: VecDeque<String>,
    /// How many lines were ever sent, and how many of them before the last ping.
    sent: usize,
    pinged: usize,
    /// The next deadline: a ping is due, or the time for a login or a goodbye is over.
    pub(super) due: Option<Instant>,
    /// How many lines of a program were refused, by the client or by the server.
    pub(super) refused: usize,
    /// `/quit` is to follow the lines that wait.
    pub(super) leaving: bool,
    /// `/quit` was sent.
    quit: bool,
    /// The server's last line, if the server closes the connection after it.
    pub(super) farewell: Option<&'static str>,
    /// When a connection was lost on which the client was in the room.
    pub(super) last_seen: Option<Instant>,
}

impl Link {
    /// Goes on to a phase. The login has a limit of time.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.due = (phase == Phase::Login).then(|| Instant::now() + LOGIN_TIMEOUT);
    }

    /// Takes a nickname: to connect with, or to answer the server that has refused another one.
    pub(super) fn name(&mut self, nickname: &str) {
        self.enter(Phase::Login);
        if self.stream.is_some() {
            self.send(nickname);
        }
    }

    /// Takes a new connection.
    pub(super) fn connected(&mut self, stream: Arc<TcpStream>) {
        self.stream = Some(stream);
        self.farewell = None;
        self.enter(Phase::Login);
    }

    /// Drops the connection, and returns the lines that may be lost with it.
    pub(super) fn disconnected(&mut self) -> Vec<String> {
        if self.phase == Phase::Chatting {
            self.last_seen = Some(Instant::now());
        }
        // If a person is being asked for another nickname, the question stays.
        if self.phase != Phase::Unnamed {
            self.enter(Phase::Login);
        }
        self.stream = None;
        self.outgoing.clear();
        self.quit = false;
        self.unconfirmed.drain(..).collect()
    }

    /// Puts lines before the lines that wait.
    pub(super) fn say_again(&mut self, lines: &[String]) {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.bytes().chain([b'\n'])).collect();
        bytes.into_iter().rev().for_each(|byte| self.waiting.push_front(byte));
        self.waiting_lines += lines.len();
    }

    /// Puts a line behind the lines that wait.
    pub(super) fn say(&mut self, line: &str) {
        self.waiting.extend(line.as_bytes());
        self.waiting.push_back(b'\n');
        self.waiting_lines += 1;
    }

    /// Says a text as it is, even if it looks like a command.
    pub(super) fn say_text(&mut self, text: &str) {
        self.say(&if text.starts_with('/') { format!("/{text}") } else { text.to_owned() });
    }

    fn next_line(&mut self) -> Option<String> {
        let end = self.waiting.iter().position(|&byte| byte == b'\n')?;
        let line = self.waiting.drain(..=end).take(end).collect();
        self.waiting_lines -= 1;
        String::from_utf8(line).ok()
    }

    /// Discards the lines that wait, and returns how many there were.
    pub(super) fn discard(&mut self) -> usize {
        self.waiting = VecDeque::new();
        std::mem::take(&mut self.waiting_lines)
    }

    /// Returns whether so much waits that nothing may be added.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING_BYTES
    }

    /// Returns how many lines were not said, as far as is known.
    pub(super) fn unsaid(&self) -> usize {
        self.refused + self.unconfirmed.len() + self.waiting_lines
    }

    /// Takes the answer to one of the client's own pings. Returns whether the line was such an answer. The user
    /// does not see it.
    pub(super) fn confirm(&mut self, line: &str) -> bool {
        let word = line.strip_prefix(PONG_PREFIX).and_then(|word| word.strip_prefix(PING_WORD));
        let lines = word.and_then(|lines| lines.parse().ok());
        let Some(later) = lines.and_then(|lines| self.sent.checked_sub(lines)) else {
            return false;
        };
        self.unconfirmed.drain(..self.unconfirmed.len().saturating_sub(later));
        true
    }

    /// Returns how long it is until the next deadline.
    pub(super) fn next_due(&self) -> Option<Duration> {
        // Without a connection nothing would be done about a deadline, and it would stay due.
        self.stream.as_ref()?;
        Some(self.due?.saturating_duration_since(Instant::now()))
    }

    /// Returns whether it is time for that.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Returns whether the login has taken too long.
    pub(super) fn is_late(&self) -> bool {
        self.phase == Phase::Login && self.is_due()
    }

    /// Sends as much as the socket takes without a wait. If there is more to send, returns the socket, to wait
    /// for it.
    ///
    /// One's own messages are shown as they are sent, since the server does not send them back. They are shown
    /// before they are sent. Otherwise an answer could appear above the message that it answers.
    pub(super) fn pump(&mut self, terminal: &mut Terminal) -> Option<Arc<TcpStream>> {
        let stream = Arc::clone(self.stream.as_ref()?);
        while !self.is_late() {
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
        // The receive thread decides what comes next. The shutdown wakes it from its read.
        drop(shut_down(&stream, Shutdown::Both));
        self.stream = None;
        None
    }

    /// Moves waiting lines to the bytes that are next for the socket.
    fn fill(&mut self, terminal: &mut Terminal) {
        if self.phase != Phase::Chatting {
            return;
        }
        while self.outgoing.len() < OUTGOING_BYTES
            && self.unconfirmed.len() < MAX_UNCONFIRMED_LINES
            && let Some(line) = self.next_line()
        {
            terminal.show_own(&line);
            self.send(&line);
            self.unconfirmed.push_back(line);
            self.sent += 1;
            self.due.get_or_insert_with(|| Instant::now() + PING_DELAY);
            if self.sent - self.pinged >= MAX_UNCONFIRMED_LINES / 2 {
                self.ping();
            }
        }
        if self.leaving && !self.quit && self.waiting_lines == 0 {
            self.quit = true;
            self.send("/quit");
        } else if self.is_due() {
            self.ping();
        }
    }

    /// Asks whether everything that was sent so far was taken.
    pub(super) fn ping(&mut self) {
        self.send(&format!("/ping {PING_WORD}{}", self.sent));
        (self.pinged, self.due) = (self.sent, None);
    }

    /// Gives a line to the socket, before all that wait.
    pub(super) fn send(&mut self, line: &str) {
        // The line and its end are put together first: with TCP_NODELAY each write is a packet.
        self.outgoing.extend([line.as_bytes(), b"\n"].concat());
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
        let first: Vec<_> = (0..7).filter_map(|_| link.next_line()).collect();
        link.say_again(&first);
        assert_eq!(link.waiting_lines, 10);
        let all: Vec<_> = std::iter::from_fn(|| link.next_line()).collect();
        assert_eq!(all, (0..10).map(|number| format!("line {number}")).collect::<Vec<_>>());
        assert_eq!((link.waiting_lines, link.waiting.len()), (0, 0));
    }

    #[test]
    fn without_a_connection_nothing_is_due() {
        // A deadline that stays due would make the send thread loop without a pause.
        let mut link = Link { due: Some(Instant::now()), ..Link::default() };
        assert_eq!(link.next_due(), None);
        link.enter(Phase::Chatting);
        assert!(link.disconnected().is_empty());
        assert_eq!((link.phase, link.next_due()), (Phase::Login, None));
    }

    #[test]
    fn only_an_answer_to_a_ping_of_its_own_confirms_a_line() {
        let mut link = Link { sent: 7, ..Link::default() };
        link.unconfirmed = ["five", "six", "seven"].map(str::to_owned).into();
        for line in ["[SERVER] pong 6", "[SERVER] pong client-8", "[SERVER] pong client-x", "al: x"]
        {
            assert!(!link.confirm(line), "{line:?}");
        }
        assert!(link.confirm("[SERVER] pong client-6") && link.confirm("[SERVER] pong client-5"));
        assert_eq!(link.unconfirmed, ["seven"]);
    }
}
