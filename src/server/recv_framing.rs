//! `--framing recv`: how a chat speaks that has no framing, to show why this one has.
//!
//! Many a first chat program takes each `recv` for one message. This mode serves the clients of two
//! such programs unmodified. One waits for the eight bytes `NICKNAME`, answers with its bare
//! nickname, and then sends `nick: text`, all without a line end. The other has no handshake: it
//! prints whatever comes and sends `name: text\n`.
//!
//! It works as long as nobody is in a hurry. TCP keeps no boundaries between writes, so two messages
//! sent in quick succession arrive in one `recv`, glued together:
//!
//! ```text
//! alice sends    b"alice: one"  b"alice: two"
//! bob receives   b"alice: onealice: two\n"
//! ```
//!
//! The other direction is no better. Who looks at its socket late finds `NICKNAME` and what was said
//! meanwhile in one `recv`, which is not the question that it knows. Writes are cut here so that each
//! is whole characters, but a reader that is late takes 1024 bytes from the middle of several, and
//! has half a character at the edge, which it cannot decode. Nothing here can mend that; a line end
//! behind each message does, which is what the default mode has.
//!
//! Only the edge of a session knows of this mode: its handshake, here, where a line ends, in
//! [`super::input`], and the size of a write, [`Framing::cut`]. Of the room it takes that somebody may listen
//! who has no name yet, and that there is no history.

use std::io::Write;
use std::iter;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::client_id::ClientId;
use super::input::Input;
use super::login::{LoginEnd, is_timeout};
use super::options::Framing;
use super::rate::TokenBucket;
use super::room::Room;
use crate::protocol::command::Command;
use crate::protocol::framing::Received;
use crate::protocol::nickname::{MAX_NICKNAME_CHARS, Nickname, NicknameError};
use crate::protocol::text;
use crate::system::socket::WRITE_TIMEOUT;

/// What asks a client for its nickname, without a line end.
const NICKNAME_QUESTION: &[u8] = b"NICKNAME";

/// How long a client may take to answer before it counts as one that does not know the question.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// What such clients give to `recv`, in bytes.
const RECV_BYTES: usize = 1024;

/// A client that is in.
#[derive(Debug)]
pub struct Introduced {
    /// Its nickname in the room.
    pub nickname: Nickname,
    /// The name that it gave and opens its messages with, if it is one of these clients.
    pub given: Option<String>,
    /// The line that gave it, if that is a message too.
    pub first: Option<String>,
}

impl From<Nickname> for Introduced {
    /// A client of the default framing.
    fn from(nickname: Nickname) -> Self {
        Self { nickname, given: None, first: None }
    }
}

/// Asks for a nickname, and joins the room with the answer, made fit and unique: these clients
/// cannot be asked again. Who does not answer within a second listens, unannounced, until its first
/// line gives its name. Commands that need no name work before there is one.
///
/// Blocks until the name is given or the peer is gone.
///
/// # Errors
///
/// When nobody joined; the connection is then to be closed.
pub fn login(
    room: &Room,
    id: ClientId,
    mut stream: &TcpStream,
    input: &mut Input,
) -> Result<Introduced, LoginEnd> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.write_all(NICKNAME_QUESTION)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    let mut bucket = TokenBucket::new(room.options.rate, Instant::now());
    let mut newcomer = Newcomer { room, id, listens: false };
    loop {
        let pass = room.gate.enter().ok_or(LoginEnd::Gone)?;
        loop {
            let has_line_end = input.has_line_end();
            let Some(received) = input.next_received() else { break };
            if let Some(introduced) = newcomer.take(received, has_line_end)? {
                stream.set_read_timeout(None)?;
                return Ok(introduced);
            }
            // What is no name counts as a line, though nobody sees it.
            let now = Instant::now();
            let wait = bucket.take(now);
            if !wait.is_zero() && !room.registry.wait_until(id, now + wait) {
                return Err(LoginEnd::Gone);
            }
        }
        // Nobody holds it while waiting for a peer.
        drop(pass);
        match input.read(stream) {
            Ok(0) if newcomer.listens => return Err(LoginEnd::Left),
            Ok(0) => return Err(LoginEnd::Gone),
            Ok(_) => {}
            Err(error) if !newcomer.listens && is_timeout(&error) => {
                stream.set_read_timeout(None)?;
                let _pass = room.gate.enter().ok_or(LoginEnd::Gone)?;
                newcomer.listen();
            }
            Err(_) => return Err(LoginEnd::Gone),
        }
    }
}

/// A client that has not given its name. It is dealt with within the [gate](super::shutdown::Gate).
struct Newcomer<'a> {
    room: &'a Room,
    id: ClientId,
    /// It is sent what is said; from then on only the broadcaster writes to it.
    listens: bool,
}

impl Newcomer<'_> {
    /// Takes what came before there is a name. Returns the client once there is one.
    fn take(
        &mut self,
        received: Received<'_>,
        has_line_end: bool,
    ) -> Result<Option<Introduced>, LoginEnd> {
        let line = match received {
            Received::Line(line) => line,
            Received::NotUtf8 => return Ok(self.answer(&text::not_sent(text::NOT_UTF8))),
            Received::TooLong { bytes } => {
                return Ok(self.answer(&text::not_sent(text::too_long(bytes))));
            }
            Received::TimingMark => return Ok(None),
        };
        Ok(match Command::parse(line) {
            Command::Blank => None,
            Command::Quit => {
                self.listen();
                return Err(LoginEnd::Left);
            }
            Command::Help => self.answer(&text::help()),
            Command::Who => {
                self.listen();
                self.room.outbox.append(|batch| batch.ask(self.id));
                None
            }
            Command::Rename(name) => Some(self.introduce(name, None)),
            Command::Act(_) | Command::Tell { .. } | Command::Incomplete(_) => {
                self.answer(text::NICKNAME_FIRST)
            }
            // A slash in front of what is no command is part of an unfit name.
            Command::Say(_) | Command::Unknown(_) => Some(match line.split_once(": ") {
                // The answer to the question is a name, whatever is in it.
                Some((name, _)) if self.listens || has_line_end => self.introduce(name, Some(line)),
                _ => self.introduce(line, None),
            }),
        })
    }

    /// Lets it hear what is said. Nobody is told.
    fn listen(&mut self) {
        if !self.listens {
            self.listens = true;
            self.room.registry.listen(self.id, &self.room.outbox);
        }
    }

    /// Says something to this client alone, which listens from then on.
    fn answer(&mut self, lines: &str) -> Option<Introduced> {
        self.listen();
        if self.room.outbox.wait() {
            self.room.outbox.append(|batch| batch.tell(self.id, lines));
        }
        None
    }

    /// Joins the room under a name that is as close to the given one as can be had.
    fn introduce(&self, given: &str, first: Option<&str>) -> Introduced {
        let mut number = 0;
        loop {
            number += 1;
            // Reserved words and taken names get a number behind them, and some number is free.
            if let Ok(nickname) = fit(given, number)
                && self.room.registry.join(self.id, &nickname, &self.room.outbox).is_ok()
            {
                let (given, first) = (Some(given.to_owned()), first.map(str::to_owned));
                return Introduced { nickname, given, first };
            }
        }
    }
}

/// Makes a nickname of whatever was given: what is not allowed is left out, what is too long is cut
/// off, and a number above one is put behind it.
fn fit(given: &str, number: usize) -> Result<Nickname, NicknameError> {
    let suffix = if number > 1 { format!("-{number}") } else { String::new() };
    let mut name = String::new();
    let mut left = MAX_NICKNAME_CHARS - suffix.len();
    for c in given.chars().filter(|c| !c.is_whitespace()) {
        name.push(c);
        // In its place: a mark is allowed behind a letter only.
        match Nickname::parse(&name) {
            Ok(_) | Err(NicknameError::Reserved) => left -= 1,
            Err(_) => drop(name.pop()),
        }
        if left == 0 {
            break;
        }
    }
    if name.is_empty() {
        name.push_str("guest");
    }
    Nickname::parse(&(name + &suffix))
}

/// Takes the name off that these clients put in front of each message; the server puts the real one
/// there, so nobody can speak in another's name.
pub fn without_name<'a>(line: &'a str, names: [&str; 2]) -> &'a str {
    let without = |name| line.strip_prefix(name)?.strip_prefix(": ");
    names.into_iter().find_map(without).unwrap_or(line)
}

/// How what goes out is written: the fan-out asks, and need not know why.
impl Framing {
    /// Cuts a client's view into the slices that it is offered.
    pub fn cut<'a>(self, view: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
        let most = match self {
            Self::Line => usize::MAX,
            Self::Recv => RECV_BYTES,
        };
        view.flat_map(move |text| pieces(text, most))
    }

    /// How many of `most` slices go into one write.
    pub fn slices_at_once(self, most: usize) -> usize {
        match self {
            Self::Line => most,
            Self::Recv => 1,
        }
    }
}

/// Cuts text into the writes in which clients can take it that read `most` bytes at once: whole lines,
/// as many as fit; a line that does not fit is cut between characters.
fn pieces(text: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    iter::from_fn(move || {
        let mut end = rest.len().min(most);
        if let Some(line_end) = rest[..end].iter().rposition(|&byte| byte == b'\n') {
            end = line_end + 1;
        } else {
            // The bytes of a character but its first are 10xxxxxx.
            while end < rest.len() && rest[end] & 0b1100_0000 == 0b1000_0000 {
                end -= 1;
            }
        }
        let piece;
        (piece, rest) = rest.split_at(end);
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_made_fit_and_can_be_made_unique() {
        for (given, number, fitted) in [
            ("Alice", 1, "Alice"),
            ("Alice", 2, "Alice-2"),
            (" the cat! ", 1, "thecat"),
            ("\u{1b}[2J", 3, "2J-3"),
            ("", 1, "guest"),
            ("server", 2, "server-2"),
            ("Young", 1, "Young"),
            ("Jose\u{301} \u{301}", 1, "Jose\u{301}\u{301}"),
            ("\u{301}x", 1, "x"),
            (&"x".repeat(40), 10, &("x".repeat(29) + "-10")),
        ] {
            assert_eq!(fit(given, number).unwrap().as_str(), fitted);
        }
        assert_eq!(fit("server", 1), Err(NicknameError::Reserved));
    }

    #[test]
    fn only_ones_own_name_is_taken_off() {
        let names = ["Alice-2", "Alice"];
        for (line, message) in [
            ("Alice: hi", "hi"),
            ("Alice-2: hi", "hi"),
            ("Bob: hi", "Bob: hi"),
            ("Alice:hi", "Alice:hi"),
            ("Alice: Bob: hi", "Bob: hi"),
        ] {
            assert_eq!(without_name(line, names), message);
        }
    }

    #[test]
    fn a_piece_is_whole_lines_or_whole_characters_and_fits_into_one_recv() {
        let line = |length: usize| "x".repeat(length - 1) + "\n";
        let lengths = |text: String| -> Vec<usize> {
            let cut: Vec<&[u8]> = pieces(text.as_bytes(), RECV_BYTES).collect();
            assert_eq!(cut.concat(), text.as_bytes());
            assert!(cut.iter().all(|piece| str::from_utf8(piece).is_ok()));
            cut.iter().map(|piece| piece.len()).collect()
        };
        assert_eq!(lengths(String::new()), [0; 0]);
        assert_eq!(lengths(line(1000) + &line(24) + &line(5)), [1024, 5]);
        assert_eq!(lengths(line(1000) + &line(25)), [1000, 25]);
        assert_eq!(lengths("é".repeat(600) + "\n"), [1024, 177]);
        assert_eq!(lengths("x".to_owned() + &"é".repeat(600)), [1023, 178]);
    }
}
