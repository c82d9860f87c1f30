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
//! Likewise a name glued to the message behind it is a longer name. Lines with line ends suffer too,
//! where a read ends within one: it is taken for two. And the other direction is no better. Who looks
//! at its socket late finds `NICKNAME` and what was said meanwhile in one `recv`, which is not the
//! question that it knows. Writes are cut here so that each is whole characters, but a reader that is
//! late takes 1024 bytes from the middle of several, and has half a character at the edge, which it
//! cannot decode. Nothing here can mend that; a line end behind each message does, which is what the
//! default mode has.
//!
//! To see it, with `nc` for alice and a shell for bob, who says two things at once:
//!
//! ```console
//! 1$ cargo run -q --bin server -- --port 7007 --framing recv
//! 1  [SERVER] Server is listening on 127.0.0.1:7007
//! 1  [SERVER] Waiting for connections...
//! 2$ nc 127.0.0.1 7007
//! 2> alice
//! 2  NICKNAME[SERVER] Connected to the server!
//! 2  [SERVER] 1 online: alice
//! 3$ exec 3<>/dev/tcp/127.0.0.1/7007; printf bob >&3; read -r line <&3; echo "$line"
//! 3  NICKNAME[SERVER] Connected to the server!
//! 2  [SERVER] bob joined the chat!
//! 3$ printf 'bob: one' >&3
//! 2  bob: one
//! 3$ printf 'bob: twobob: three' >&3
//! 2  bob: twobob: three
//! 1  ...
//! ```
//!
//! Only the edge of a session knows of this mode: its handshake, here, where a message ends, in
//! [`super::input`], and how what goes out is cut, [`Framing::cut`]. Of the room it takes that somebody
//! may listen who has no name yet, and that there is no history.

use std::io::Write;
use std::iter;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::client_id::ClientId;
use super::input::Input;
use super::login::{Introduced, LoginEnd, is_timeout};
use super::options::Framing;
use super::rate::TokenBucket;
use super::room::Room;
use super::shutdown::Pass;
use crate::protocol::cleaning::clean;
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, TIMING_MARK_REFUSED};
use crate::protocol::nickname::{MAX_NICKNAME_CHARS, Nickname, NicknameError};
use crate::protocol::replies;
use crate::system::socket::WRITE_TIMEOUT;

/// What asks a client for its nickname, without a line end.
const NICKNAME_QUESTION: &[u8] = b"NICKNAME";

/// How long a client may take to answer before it counts as one that does not know the question.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// What such clients give to `recv`, in bytes.
const RECV_BYTES: usize = 1024;

/// Asks for a nickname, and joins the room with the answer, made fit and unique: these clients
/// cannot be asked again. Who has not answered within a second listens, unannounced, until a line
/// gives its name. Commands that need no name work before there is one.
///
/// Blocks until the name is given or the peer is gone.
///
/// # Errors
///
/// When nobody joined; the connection is then to be closed.
pub fn login<'a>(
    room: &'a Room,
    id: ClientId,
    mut stream: &TcpStream,
    input: &mut Input,
) -> Result<Introduced<'a>, LoginEnd> {
    let deadline = Instant::now() + ANSWER_TIME;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    stream.write_all(NICKNAME_QUESTION)?;
    let mut bucket = TokenBucket::new(room.options.rate, Instant::now());
    let mut newcomer = Newcomer { room, id, listens: false };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _pass = room.gate.enter().ok_or(LoginEnd::Gone)?;
            newcomer.listen();
        }
        // Who listens may do so for as long as it likes.
        stream.set_read_timeout((!newcomer.listens).then_some(left))?;
        match Input::wait(stream) {
            Err(error) if !newcomer.listens && is_timeout(&error) => continue,
            waited => waited?,
        }
        // Given on with the name, so that shutting down waits for what came with it.
        let pass = room.gate.enter().ok_or(LoginEnd::Gone)?;
        let has_ended = input.read(stream)? == 0;
        while let Some(received) = if has_ended { input.finish() } else { input.next_frame() } {
            if let Some(introduction) = newcomer.hear(received)? {
                stream.set_read_timeout(None)?;
                return Ok(newcomer.introduce(introduction, pass));
            }
            // What is no name counts as a line, though nobody sees it.
            let now = Instant::now();
            let wait = bucket.take(now);
            if !wait.is_zero() && !room.registry.wait_until(id, now + wait) {
                return Err(LoginEnd::Gone);
            }
        }
        if has_ended {
            return Err(if newcomer.listens { LoginEnd::Left } else { LoginEnd::Gone });
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

/// How a client says who it is: a name, and perhaps a whole line that is a message too.
type Introduction = (String, Option<String>);

impl<'a> Newcomer<'a> {
    /// Hears what comes before there is a name, and answers it. Returns the introduction if it is one.
    fn hear(&mut self, received: Frame<'_>) -> Result<Option<Introduction>, LoginEnd> {
        let answer = match received {
            Frame::TimingMark => {
                self.answer(|batch, id| batch.tell_bytes(id, &TIMING_MARK_REFUSED));
                return Ok(None);
            }
            Frame::NotUtf8 => replies::not_sent(replies::NOT_UTF8),
            Frame::TooLong { bytes } => replies::not_sent(replies::too_long(bytes)),
            Frame::Line(line) => match (Command::parse(line), line.split_once(": ")) {
                (Command::Blank, _) => return Ok(None),
                (Command::Quit, _) => {
                    self.listen();
                    return Err(LoginEnd::Left);
                }
                (Command::Who(_), _) => {
                    self.answer(Batch::ask);
                    return Ok(None);
                }
                (Command::Ping(word), _) => replies::pong(&clean(word)),
                (Command::Help, _) => replies::help(),
                (Command::Rename(name), _) => return Ok(Some((name.to_owned(), None))),
                // What is no command has a slash as a part of an unfit name.
                (Command::Say(_) | Command::Unknown(_), Some((name, _))) => {
                    return Ok(Some((name.to_owned(), Some(line.to_owned()))));
                }
                (Command::Say(_), None) => return Ok(Some((line.to_owned(), None))),
                (Command::Unknown(word), None) => replies::unknown_command(&clean(word)),
                (Command::Act(_) | Command::Tell { .. } | Command::Incomplete(_), _) => {
                    replies::NICKNAME_FIRST.to_owned()
                }
            },
        };
        self.answer(|batch, id| batch.tell(id, &answer));
        Ok(None)
    }

    /// Lets it hear what is said. Nobody is told.
    fn listen(&mut self) {
        if !self.listens {
            self.listens = true;
            self.room.registry.listen(self.id, &self.room.outbox);
        }
    }

    /// Answers this client alone, which listens from then on. Blocks while the outbox is full.
    fn answer(&mut self, fill: impl FnOnce(&mut Batch, ClientId)) {
        self.listen();
        // Not once the server is shutting down.
        if self.room.outbox.wait() {
            self.room.outbox.append(|batch| fill(batch, self.id));
        }
    }

    /// Joins the room under a name that is as close to the given one as can be had.
    fn introduce(self, (given, first): Introduction, pass: Pass<'a>) -> Introduced<'a> {
        let mut number = 0;
        loop {
            number += 1;
            // Reserved words and taken names get a number behind them, and some number is free.
            if let Ok(nickname) = fit(&given, number)
                && self.room.registry.join(self.id, &nickname, &self.room.outbox).is_ok()
            {
                return Introduced { nickname, given: Some(given), first, pass };
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
            ("Jose\u{301}", 1, "Jose"),
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
