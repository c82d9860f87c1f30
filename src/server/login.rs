//! Login: asking a new connection for its nickname, in that connection's own thread.
//!
//! So somebody who says nothing keeps nobody else from joining. Until the nickname is taken this
//! thread alone writes to the socket, but for the farewell; from then on it never writes again. The
//! whole login, writes included, has one deadline.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::client_id::ClientId;
use super::input::Input;
use super::room::Room;
use super::shutdown::Pass;
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, TIMING_MARK_REFUSED};
use crate::protocol::nickname::Nickname;
use crate::protocol::replies;
use crate::system::socket::WRITE_TIMEOUT;

/// How many nicknames a connection may try.
const MAX_TRIES: u32 = 10;

/// A client that is in.
#[derive(Debug)]
pub struct Introduced<'a> {
    /// Its nickname in the room.
    pub nickname: Nickname,
    /// With [`Framing::Recv`](super::options::Framing::Recv): the name that it gave, and opens its
    /// messages with.
    pub given: Option<String>,
    /// The line that gave it, if that is a message too.
    pub first: Option<String>,
    /// Whoever joined before the gate closed gets everything said that was read with the nickname.
    pub pass: Pass<'a>,
}

/// How a login ends that brings nobody into the room.
#[derive(Debug)]
pub enum LoginEnd {
    /// There is no nickname and will be none; this line says why.
    TurnedAway(&'static str),
    /// The peer said `/quit`.
    Quit,
    /// The peer listened without a nickname, and left in order. The broadcaster, which alone writes to
    /// those who listen, says goodbye.
    Left,
    /// The peer is gone, or the room is shutting down and another thread says the farewell.
    Gone,
}

impl From<io::Error> for LoginEnd {
    fn from(error: io::Error) -> Self {
        if is_timeout(&error) { Self::TurnedAway(replies::LOGIN_TIMEOUT) } else { Self::Gone }
    }
}

/// Whether a read or write timeout is over, which systems report in two ways.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Asks for a nickname until one can be had, and joins the room with it.
///
/// Blocks until the peer has given one, has had all its tries, is gone, or the deadline is over.
///
/// # Errors
///
/// When nobody joined; the connection is then to be closed.
pub fn login<'a>(
    room: &'a Room,
    id: ClientId,
    stream: &'a TcpStream,
    input: &mut Input,
) -> Result<Introduced<'a>, LoginEnd> {
    let deadline = Instant::now() + room.options.login_timeout;
    let mut login = Login { room, id, stream, deadline, tries: 0 };
    login.say(replies::ENTER_NICKNAME)?;
    loop {
        while let Some(received) = input.next_frame() {
            if let Some(introduced) = login.answer(received)? {
                stream.set_read_timeout(None)?;
                return Ok(introduced);
            }
        }
        stream.set_read_timeout(Some(login.time_left()?))?;
        if input.read(stream)? == 0 {
            let last = input.finish().ok_or(LoginEnd::Gone)?;
            return login.answer(last)?.ok_or(LoginEnd::Gone);
        }
    }
}

struct Login<'a> {
    room: &'a Room,
    id: ClientId,
    stream: &'a TcpStream,
    deadline: Instant,
    tries: u32,
}

impl<'a> Login<'a> {
    /// Answers what came at the prompt. Returns the client once it is in.
    fn answer(&mut self, received: Frame<'_>) -> Result<Option<Introduced<'a>>, LoginEnd> {
        let refusal = match received {
            Frame::TimingMark => {
                self.write(&TIMING_MARK_REFUSED)?;
                return Ok(None);
            }
            Frame::NotUtf8 => replies::NOT_UTF8.to_owned(),
            Frame::TooLong { bytes } => replies::too_long(bytes),
            Frame::Line(line) => match Command::parse(line) {
                Command::Quit => return Err(LoginEnd::Quit),
                Command::Help => {
                    self.say(&replies::help())?;
                    self.say(replies::ENTER_NICKNAME)?;
                    return Ok(None);
                }
                _ => match self.join(line)? {
                    Ok(introduced) => return Ok(Some(introduced)),
                    Err(refusal) => refusal,
                },
            },
        };
        self.say(&replies::nickname_refused(refusal))?;
        self.tries += 1;
        if self.tries == MAX_TRIES {
            return Err(LoginEnd::TurnedAway(replies::TOO_MANY_TRIES));
        }
        Ok(None)
    }

    /// Joins the room, or returns why not under that name.
    fn join(&self, line: &str) -> Result<Result<Introduced<'a>, String>, LoginEnd> {
        let nickname = match Nickname::parse(line) {
            Ok(nickname) => nickname,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let pass = self.room.gate.enter().ok_or(LoginEnd::Gone)?;
        // From the join on others write, for whom the login's time means nothing.
        self.stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        match self.room.registry.join(self.id, &nickname, &self.room.outbox) {
            Ok(()) => Ok(Ok(Introduced { nickname, given: None, first: None, pass })),
            Err(_taken) => Ok(Err(replies::nickname_taken(&nickname))),
        }
    }

    fn say(&self, line: &str) -> Result<(), LoginEnd> {
        self.write(format!("{line}\n").as_bytes())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), LoginEnd> {
        self.stream.set_write_timeout(Some(self.time_left()?))?;
        let mut stream = self.stream;
        Ok(stream.write_all(bytes)?)
    }

    /// What is left of the login's time; never zero, which would mean to wait without end.
    fn time_left(&self) -> Result<Duration, LoginEnd> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(LoginEnd::TurnedAway(replies::LOGIN_TIMEOUT)),
            left => Ok(left),
        }
    }
}
