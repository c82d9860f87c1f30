//! Member: acts on the messages and commands of a client that has joined.
//!
//! Everything that a member sends becomes a change of the [`room`](super::room), at one point of the order.
//! Messages for everyone are gathered here first. So during a flood, the outbox is locked once for each read
//! and not once for each line. Before any other change, the gathered messages are passed on to the outbox, so
//! that nothing overtakes them.
//!
//! The [`session`](super::session) reads the lines, and charges the client for the cost of each line.
//!
//! This module grew from the function `serve` in step 5 of the [course](crate::lessons).

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::client::Client;
use super::room::Room;
use super::shared::Shared;
use crate::protocol::cleaning::clean_line;
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, TIMING_MARK_REFUSED};
use crate::protocol::nickname::Nickname;
use crate::protocol::replies;

/// The size, in bytes, at which the gathered messages are passed on before all lines of the read have been
/// handled. Messages can be larger than the bytes that were read, because the nickname is put in front of each
/// line.
const MAX_PASSED_ON_BYTES: usize = 64 << 10;

/// The size of the buffer that is kept after a read with few messages, in bytes.
const KEPT_BYTES: usize = 1024;

/// A client that has joined.
#[derive(Debug)]
pub struct Member<'a> {
    shared: &'a Shared,
    client: &'a Arc<Client>,
    nickname: Nickname,
    /// The formatted messages that have not been passed on yet.
    said: Vec<u8>,
}

/// The work that one line causes for the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// The number of bytes that the server has to deliver. Text for everyone counts only once.
    pub delivered: usize,
    /// The number of names that the server had to search.
    pub searched: usize,
}

impl<'a> Member<'a> {
    /// Makes the member for a client that has joined under this nickname.
    pub fn new(shared: &'a Shared, client: &'a Arc<Client>, nickname: Nickname) -> Self {
        Self { shared, client, nickname, said: Vec::new() }
    }

    /// Acts on one frame that the member sent, and returns what it costs. Returns `None` if the member leaves.
    /// Blocks while the outbox is full and already contains text from this client.
    pub fn take(&mut self, frame: Frame<'_>) -> Option<Cost> {
        match frame {
            Frame::Line(line) => match clean_line(line) {
                Ok(line) => self.obey(Command::parse(&line)),
                Err(bytes) => Some(self.refuse(replies::too_long_cleaned(bytes))),
            },
            Frame::NotUtf8 => Some(self.refuse(replies::NOT_UTF8)),
            Frame::TooLong { bytes } => Some(self.refuse(replies::too_long(bytes))),
            Frame::TimingMark => Some(self.answer_bytes(TIMING_MARK_REFUSED.to_vec())),
        }
    }

    fn obey(&mut self, command: Command<'_>) -> Option<Cost> {
        Some(match command {
            Command::Blank => Cost::default(),
            Command::Say(text) => self.say(text),
            Command::Act(action) => {
                let line = replies::action(&self.nickname, action);
                if self.after_what_was_said().act(self.client, &line) {
                    self.shared.log_message(&line);
                }
                Cost::of(line.len() + 1)
            }
            Command::Tell { to, .. } if self.is_overloaded(to) => {
                self.refuse(replies::TOLD_TOO_MUCH)
            }
            Command::Tell { to, text } => {
                match self.after_what_was_said().tell(self.client, to, text) {
                    None => self.answer(replies::no_such_nickname(to)),
                    Some(bytes) => Cost::of(bytes),
                }
            }
            Command::Rename(name) => self.rename(name),
            Command::Who(part) => {
                let delivered = self.after_what_was_said().who(self.client, part);
                let members = || self.shared.outbox.look(Room::count).0;
                Cost { delivered, searched: if part.is_empty() { 0 } else { members() } }
            }
            Command::Ping(word) => self.answer(replies::pong(word)),
            Command::Help => self.answer(replies::help()),
            Command::Incomplete(usage) => self.answer(replies::usage(usage)),
            Command::Unknown(word) => self.answer(replies::unknown_command(word)),
            Command::Quit => return None,
        })
    }

    fn say(&mut self, text: &str) -> Cost {
        let before = self.said.len();
        for part in replies::message_parts(&self.nickname, text) {
            self.said.extend_from_slice(part.as_bytes());
        }
        self.said.push(b'\n');
        let cost = Cost::of(self.said.len() - before);
        if self.said.len() >= MAX_PASSED_ON_BYTES {
            self.pass_on();
        }
        cost
    }

    /// Returns whether private messages to the member with this name are refused, because too much private text
    /// is kept for that member. (By the time the message is sent, the name could belong to another member.)
    fn is_overloaded(&self, name: &str) -> bool {
        let id = self.shared.outbox.look(|room| room.find(name));
        let client = id.and_then(|id| self.shared.registry.get(id));
        client.is_some_and(|client| client.is_overloaded.load(Relaxed))
    }

    fn rename(&mut self, name: &str) -> Cost {
        let new = match Nickname::parse(name) {
            Ok(new) if new == self.nickname => {
                return self.answer(replies::renamed_to_itself(&new));
            }
            Ok(new) => new,
            Err(error) => return self.answer(replies::rename_refused(error)),
        };
        match self.after_what_was_said().rename(self.client, &new) {
            Some(Ok(())) => {
                let before = mem::replace(&mut self.nickname, new);
                let new = &self.nickname;
                self.shared.log.event(&format!("{before} is now known as {new}"));
                Cost::of(before.as_str().len() + new.as_str().len())
            }
            Some(Err(_taken)) => {
                self.answer(replies::rename_refused(replies::nickname_taken(&new)))
            }
            None => Cost::default(),
        }
    }

    /// Informs the member that a line was not sent. `why` is a sentence that gives the reason.
    fn refuse(&mut self, why: impl std::fmt::Display) -> Cost {
        self.answer(replies::not_sent(why))
    }

    /// Sends an answer to this member alone, after everything that the member has said so far.
    fn answer(&mut self, lines: String) -> Cost {
        self.answer_bytes((lines + "\n").into_bytes())
    }

    /// Sends an answer that may contain bytes that are not text.
    fn answer_bytes(&mut self, bytes: Vec<u8>) -> Cost {
        let cost = Cost::of(bytes.len());
        self.after_what_was_said().answer(self.client, bytes);
        cost
    }

    /// Passes the gathered messages on. Returns the shared data, with which the caller makes a change that must
    /// follow these messages.
    fn after_what_was_said(&mut self) -> &'a Shared {
        self.pass_on();
        self.shared
    }

    /// Passes the gathered messages on to the outbox. Blocks while the outbox is full and already contains text
    /// from this client.
    pub fn pass_on(&mut self) {
        if self.said.is_empty() {
            return;
        }
        self.shared.say(self.client, &self.said);
        if self.shared.options.log_messages {
            let said = String::from_utf8_lossy(&self.said);
            said.lines().for_each(|line| self.shared.log_message(line));
        }
        // During a flood the large buffer is kept. Allocating a new buffer each time would cost a system call
        // and twenty page faults.
        if self.said.len() <= KEPT_BYTES {
            self.said.shrink_to(KEPT_BYTES);
        }
        self.said.clear();
    }
}

impl Cost {
    fn of(delivered: usize) -> Self {
        Self { delivered, searched: 0 }
    }
}
