//! The send thread of a person: keys in, and what they ask for.
//!
//! It blocks in [`Client::turn`] alone, and a key wakes it there whatever the socket and the terminal
//! do.

use std::time::{Duration, Instant};

use super::editor::Action;
use super::keys::{Key, KeyParser};
use super::link::Phase;
use super::{Client, Outcome, READ_BYTES, Shared};
use crate::protocol::command::Command;
use crate::protocol::replies;
use crate::system::terminal::Input;

/// How long after an ESC the rest of a key's bytes may come. They come at once, but for a slow line;
/// a person needs longer for the next key.
const ESCAPE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long after asking to be suspended this thread leaves the terminal alone. The signal goes to
/// the process, and another thread may be the one that it stops first.
const SUSPEND_TIMEOUT: Duration = Duration::from_millis(200);

/// What the send thread runs where lines are edited: takes keys as they are pressed, until this user has
/// left or the terminal is gone.
pub(super) fn key_loop(client: &Client, mut input: Input) -> Outcome {
    let mut keys = KeyParser::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut last_key = Instant::now();
    let mut suspended = None::<Instant>;
    loop {
        let escape =
            keys.is_after_escape().then(|| ESCAPE_TIMEOUT.saturating_sub(last_key.elapsed()));
        let resume = suspended.map(|at| SUSPEND_TIMEOUT.saturating_sub(at.elapsed()));
        let ready = match client.turn(&mut input, true, escape.into_iter().chain(resume).min()) {
            Ok(ready) => ready,
            Err(outcome) => return outcome,
        };
        if ready.redraw || suspended.is_some_and(|at| at.elapsed() >= SUSPEND_TIMEOUT) {
            suspended = None;
            client.lock().terminal.resume();
        }
        let mut bytes = 0;
        if ready.input {
            match input.read(&mut buffer) {
                None => continue,
                Some(0) => return Outcome::Done,
                Some(read) => (bytes, last_key) = (read, Instant::now()),
            }
        } else if last_key.elapsed() >= ESCAPE_TIMEOUT {
            keys.nothing_followed();
        }
        let mut shared = client.lock();
        let keys = keys.feed(&buffer[..bytes]);
        if keys.contains(&Key::Interrupt) && shared.discard() {
            continue;
        }
        for action in shared.terminal.press(&keys) {
            match action {
                Action::Line(line) => shared.submit(&line),
                Action::TooLong(bytes) => {
                    shared.terminal.note(&format!("Not sent: {}", replies::too_long(bytes)));
                }
                Action::Suspend => {
                    suspended = Some(Instant::now());
                    shared.terminal.suspend(&client.output);
                }
                Action::Leave => shared.leave(),
                // The terminal's own.
                Action::ClearScreen | Action::Full => {}
            }
        }
    }
}

impl Shared {
    /// Does what a line asks for that a person typed.
    pub(super) fn submit(&mut self, line: &str) {
        let phase = self.link.phase();
        let command = Command::parse(line);
        if matches!(command, Command::Quit | Command::Say("quit" | "exit")) {
            return self.leave();
        }
        let Shared { link, terminal, .. } = self;
        match command {
            Command::Unknown(word) if terminal.switch(word) => return,
            Command::Blank => {
                if matches!(phase, Phase::Unnamed | Phase::Refused) {
                    terminal.ask_nickname();
                }
                return;
            }
            Command::Help => {
                terminal.help();
                if phase == Phase::Unnamed {
                    return terminal.ask_nickname();
                }
            }
            _ if phase == Phase::Unnamed => return self.name(line, Phase::Connecting),
            _ if phase == Phase::Refused => return self.name(line, Phase::Login),
            _ => {}
        }
        match phase {
            Phase::Chatting if !link.is_full() => link.say(line),
            Phase::Refused => link.offer(line),
            _ => terminal.give_back(line),
        }
    }
}
