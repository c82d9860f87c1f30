//! Session: the server's side of one client, from its first line to its last.
//!
//! Each session has a thread of its own. It blocks until something comes, takes everything one read
//! returns, and passes all its complete lines on at once; it never writes to the socket once the
//! client is in. Whatever happens to it, a panic included, the client leaves exactly once.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client_id::ClientId;
use super::input::Input;
use super::login::{Introduced, LoginEnd, login};
use super::options::Framing;
use super::rate::TokenBucket;
use super::recv_framing::{self, without_name};
use super::room::Room;
use crate::protocol::cleaning::clean;
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, TIMING_MARK_REFUSED};
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::{self, LeaveReason};
use crate::system::socket::is_gone;

/// How much of what one read returned is passed on at once, in bytes. Lines grow when the nickname,
/// of 128 bytes at most, is put in front of them.
const MAX_PASSED_ON_BYTES: usize = 64 << 10;

/// What is kept of the buffer for that once so little is said at once, in bytes.
const KEPT_BYTES: usize = 1024;

/// How long a client whose connection is over may go on with what it had sent, at its rate. A bot
/// that says its piece and hangs up is heard; a nickname is not held for a ghost.
const GONE_TIME: Duration = Duration::from_secs(20);

/// Serves one client until it leaves. This is what the client's thread runs.
pub fn serve(room: &Room, id: ClientId, stream: &Arc<TcpStream>) {
    let mut input = Input::new(&room.options);
    let mut membership = Membership { room, id, reason: LeaveReason::ConnectionLost };
    let introduced = match room.options.framing {
        Framing::Line => login(room, id, stream, &mut input),
        Framing::Recv => recv_framing::login(room, id, stream, &mut input),
    };
    match introduced {
        Ok(introduced) => {
            room.log.event(&format!("Nickname of client is {}", introduced.nickname));
            membership.reason = speak(room, id, stream, introduced, &mut input);
        }
        // It is told the farewell, like all others.
        Err(_) if room.gate.enter().is_none() => {}
        Err(LoginEnd::TurnedAway(why)) => {
            // The address is lost when the peer is, and then nobody was turned away.
            if let Ok(address) = stream.peer_addr() {
                let why = why.trim_start_matches(replies::NOTICE_PREFIX);
                room.log.event(&format!("Turned {address} away: {why}"));
            }
            room.turn_away(stream, why);
        }
        Err(LoginEnd::Quit) => room.turn_away(stream, replies::GOODBYE),
        Err(LoginEnd::Left) => membership.reason = LeaveReason::Quit,
        Err(LoginEnd::Gone) => {}
    }
    // Left within the gate, it is announced; else the server is shutting down.
    let pass = room.gate.enter();
    if pass.is_none() {
        room.gate.wait_for_farewell();
        // What still comes is thrown away, so that the farewell arrives.
        while input.read(stream).is_ok_and(|bytes| bytes > 0) {}
    }
    drop(membership);
}

/// Being connected. Dropping it is leaving, also when the thread panics.
struct Membership<'a> {
    room: &'a Room,
    id: ClientId,
    reason: LeaveReason,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let room = self.room;
        if let Some((nickname, reason)) = room.registry.leave(self.id, self.reason, &room.outbox) {
            room.log.event(&format!("{nickname} left the chat!{reason}"));
        }
    }
}

/// Whether the session goes on.
enum Flow {
    Continue,
    Leave(LeaveReason),
}

/// A client that is in: turns what it sends into entries of the outbox.
struct Speaker<'a> {
    room: &'a Room,
    id: ClientId,
    stream: &'a TcpStream,
    nickname: Nickname,
    /// With [`Framing::Recv`]: what it gave as its name, and opens its messages with.
    given: Option<String>,
    bucket: TokenBucket,
    /// When its connection was found to be over, while it waited for its rate.
    gone: Option<Instant>,
    /// Formatted lines that were not passed on yet.
    said: Vec<u8>,
}

/// Reads and passes on until a client leaves that is in. Returns why.
fn speak(
    room: &Room,
    id: ClientId,
    stream: &TcpStream,
    introduced: Introduced<'_>,
    input: &mut Input,
) -> LeaveReason {
    let Introduced { nickname, given, first, mut pass } = introduced;
    let bucket = TokenBucket::new(room.options.rate, Instant::now());
    let mut speaker =
        Speaker { room, id, stream, nickname, given, bucket, gone: None, said: Vec::new() };
    if let Some(first) = first
        && let Flow::Leave(reason) = speaker.take(Frame::Line(&first))
    {
        return reason;
    }
    loop {
        while let Some(received) = input.next_frame() {
            if let Flow::Leave(reason) = speaker.take(received) {
                return reason;
            }
        }
        speaker.pass_on();
        drop(pass);
        // What was read is said: so nothing is read where it might not be said any more.
        let waited = Input::wait(stream);
        // Shutting down the reading side stops who is silent; who floods is still read.
        if !room.registry.is_wanted(id) {
            return LeaveReason::Kicked;
        }
        let Some(entered) = room.gate.enter() else { return LeaveReason::Quit };
        pass = entered;
        match waited.and_then(|()| input.read(stream)) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => return LeaveReason::ConnectionLost,
        }
    }
    if let Some(received) = input.finish() {
        speaker.take(received);
        speaker.pass_on();
    }
    LeaveReason::Quit
}

impl Speaker<'_> {
    fn take(&mut self, received: Frame<'_>) -> Flow {
        if let Flow::Leave(reason) = self.wait_for_rate() {
            return Flow::Leave(reason);
        }
        match received {
            Frame::Line(line) => {
                let line = match &self.given {
                    Some(given) => without_name(line, [given, self.nickname.as_str()]),
                    None => line,
                };
                self.obey(Command::parse(&clean(line)))
            }
            Frame::NotUtf8 => self.answer(&replies::not_sent(replies::NOT_UTF8)),
            Frame::TooLong { bytes } => self.answer(&replies::not_sent(replies::too_long(bytes))),
            Frame::TimingMark => {
                let id = self.id;
                if self.make_room() {
                    self.room.outbox.append(|batch| batch.tell_bytes(id, &TIMING_MARK_REFUSED));
                }
                Flow::Continue
            }
        }
    }

    fn obey(&mut self, command: Command<'_>) -> Flow {
        let (room, id) = (self.room, self.id);
        match command {
            Command::Blank => {}
            Command::Say(said) => {
                for part in replies::message_prefix(&self.nickname, said) {
                    self.said.extend_from_slice(part.as_bytes());
                }
                self.said.push(b'\n');
                if self.said.len() >= MAX_PASSED_ON_BYTES {
                    self.pass_on();
                }
            }
            Command::Act(action) => {
                self.make_room();
                let line = replies::action(&self.nickname, action);
                room.outbox.append(|batch| batch.act(id, &line));
            }
            Command::Tell { to, text } => {
                self.make_room();
                if !room.registry.tell((id, &self.nickname), to, text, &room.outbox) {
                    return self.answer(&replies::no_such_nickname(to));
                }
            }
            Command::Rename(name) => return self.rename(name),
            Command::Who(_) => {
                if self.make_room() {
                    room.outbox.append(|batch| batch.ask(id));
                }
            }
            Command::Ping(word) => return self.answer(&replies::pong(word)),
            Command::Help => return self.answer(&replies::help()),
            Command::Incomplete(usage) => return self.answer(&replies::usage(usage)),
            Command::Unknown(word) => return self.answer(&replies::unknown_command(word)),
            Command::Quit => {
                self.pass_on();
                return Flow::Leave(LeaveReason::Quit);
            }
        }
        Flow::Continue
    }

    fn rename(&mut self, name: &str) -> Flow {
        self.make_room();
        let room = self.room;
        match Nickname::parse(name) {
            Err(error) => self.answer(&replies::rename_refused(error)),
            Ok(nickname) => match room.registry.rename(self.id, &nickname, &room.outbox) {
                Ok(()) => {
                    room.log.event(&format!("{} is now known as {nickname}", self.nickname));
                    self.nickname = nickname;
                    Flow::Continue
                }
                Err(_taken) => {
                    self.answer(&replies::rename_refused(replies::nickname_taken(&nickname)))
                }
            },
        }
    }

    /// Answers this client alone, after everything that it said before.
    fn answer(&mut self, lines: &str) -> Flow {
        let id = self.id;
        if self.make_room() {
            self.room.outbox.append(|batch| batch.tell(id, lines));
        }
        Flow::Continue
    }

    /// Passes on what was said, and blocks while the outbox is full: to be called before anything is
    /// appended under a lock, or is not said to all. Returns whether answers are wanted: not once the
    /// server is shutting down, when all that was read is obeyed at once and nobody waits for them.
    fn make_room(&mut self) -> bool {
        self.pass_on();
        self.room.outbox.wait()
    }

    /// Passes on what was said. Blocks while the outbox is full.
    fn pass_on(&mut self) {
        if !self.said.is_empty() {
            self.room.outbox.say(self.id, &self.said);
            // Not while it floods: allocating anew each time is a system call and twenty page faults.
            if self.said.len() <= KEPT_BYTES {
                self.said.shrink_to(KEPT_BYTES);
            }
            self.said.clear();
        }
    }

    /// Takes a line's token, and blocks until it would have been there. What was said before is
    /// passed on first. Being turned out or a shutdown wakes it.
    fn wait_for_rate(&mut self) -> Flow {
        if !self.bucket.is_limited() {
            return Flow::Continue;
        }
        let now = Instant::now();
        let wait = self.bucket.take(now);
        if wait.is_zero() {
            return Flow::Continue;
        }
        self.pass_on();
        if !self.room.registry.wait_until(self.id, now + wait) {
            return Flow::Leave(LeaveReason::Kicked);
        }
        // Reading would not show it before all that it had sent is read, at this rate.
        if is_gone(self.stream) && self.gone.get_or_insert(now).elapsed() > GONE_TIME {
            return Flow::Leave(LeaveReason::ConnectionLost);
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::backlog::Backlog;
    use crate::server::batch::Batch;
    use crate::server::closing::Closing;
    use crate::server::event_log::EventLog;
    use crate::server::options::Options;
    use crate::server::outbox::Outbox;
    use crate::server::registry::Registry;
    use crate::server::shutdown::Gate;
    use crate::server::threads::Threads;
    use std::net::TcpListener;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_panic_leaves_as_every_other_end_of_a_session_does() {
        let room = Room {
            options: Options::default(),
            registry: Registry::default(),
            outbox: Outbox::default(),
            backlog: Backlog::new(0),
            gate: Gate::default(),
            threads: Threads::default(),
            closing: Closing::new().0,
            log: EventLog::start(true).unwrap().0,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (id, alice) = (ClientId::new(1), Nickname::parse("alice").unwrap());
        let address = stream.local_addr().unwrap().ip();
        room.registry.insert(id, Arc::clone(&stream), address, &room.options).unwrap();
        room.registry.join(id, &alice, &room.outbox).unwrap();

        let session = || {
            let _membership = Membership { room: &room, id, reason: LeaveReason::ConnectionLost };
            panic!("the test's own");
        };
        catch_unwind(AssertUnwindSafe(session)).unwrap_err();

        let mut batch = Batch::default();
        assert!(room.outbox.take(&mut batch));
        let notices = String::from_utf8_lossy(batch.common());
        assert_eq!(
            notices,
            "[SERVER] alice joined the chat!\n[SERVER] alice left the chat! (connection lost)\n"
        );
        assert_eq!(room.registry.find("alice"), None, "the name is free");
    }
}
