//! The part of the send thread that carries out the keys of a person who edits lines. This code runs under the
//! client's lock, and never blocks.
//!
//! If a line is probably a mistake, the client first asks the person, in a separate row. Likely mistakes are a
//! paste of many lines, the word `quit` alone, and a command with a blank before its slash. Enter means yes. Any
//! other key means no, and then has its usual effect.

use std::time::Duration;

use super::keys::Key;
use super::link::Phase;
use super::{Shared, count_lines};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;
use crate::protocol::command::Command;
use crate::protocol::replies;
use crate::system::terminal::Output;

/// The maximum number of pasted lines that are sent without asking the person first.
const MAX_UNASKED_LINES: usize = 5;

/// The number of characters of a paste that are shown when the client asks about the paste.
const SAMPLE_CHARS: usize = 24;

/// When a private message comes from a different person than the previous message, an `/r` within this time may
/// still be meant for the previous person. So the client asks before it sends the answer.
const REPLY_DOUBT: Duration = Duration::from_secs(2);

impl Shared {
    /// Carries out a key.
    pub(super) fn press(&mut self, key: &Key, output: &Output) {
        if *key == Key::Ctrl('z') {
            return self.terminal.suspend(output);
        }
        let question = self.terminal.question.take();
        match key {
            Key::Enter => match question {
                Some((_, answer)) if answer.contains('\n') => self.paste(&answer),
                Some((_, answer)) => self.submit(&answer),
                None => self.enter(self.terminal.editor.text.clone()),
            },
            Key::Ctrl('c') if question.is_some() || self.discard() => {}
            Key::Ctrl('c' | 'd') if self.terminal.editor.text.is_empty() => self.leave(),
            Key::Ctrl('l') => self.terminal.screen.clears = true,
            Key::Paste(text) => self.pasted(text),
            Key::LostPaste => {
                self.terminal.note("Not sent: a paste that was broken off, or too large.");
            }
            key => self.terminal.edit(key),
        }
    }

    /// Handles a typed line. If it looks like a mistake, asks first.
    pub(super) fn enter(&mut self, mut line: String) {
        let terminal = &mut self.terminal;
        let mut doubt = None;
        if line.len() > MAX_MESSAGE_BYTES {
            return terminal.note(&format!("Not sent: {}", replies::too_long(line.len())));
        } else if let Some(("/r", text)) = line.split_once(' ') {
            let Some((name, since)) = &terminal.transcript.correspondent else {
                return terminal.note("Nobody has sent you a private message.");
            };
            if since.elapsed() < REPLY_DOUBT {
                doubt = Some(format!("to tell {name}, who has just written."));
            }
            line = format!("/msg {name} {text}");
        } else if is_leave(&line) {
            doubt = Some("to leave, or type on to say something else.".to_owned());
        } else if !line.starts_with('/') && line.trim_start().starts_with('/') {
            doubt = Some("to say this to everyone; without the blank it is a command.".to_owned());
        }
        match doubt {
            Some(why) => terminal.ask(&format!("Press Enter again {why}"), line),
            None => self.submit(&line),
        }
    }

    /// Handles a paste. One line is inserted into the line being typed. Several lines are sent as messages. If
    /// there are many lines, the client asks first.
    fn pasted(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.lines().count();
        if lines <= 1 {
            self.terminal.edit(&Key::Paste(text.trim_end_matches('\n').to_owned()));
            if text.ends_with('\n') {
                self.enter(self.terminal.editor.text.clone());
            }
        } else if lines <= MAX_UNASKED_LINES {
            self.paste(&text);
        } else {
            let first = text.lines().next().unwrap_or_default();
            let sample: String = clean(first).chars().take(SAMPLE_CHARS).collect();
            let why = format!("Enter sends {lines} lines, Ctrl-C or Esc does not: {sample}…");
            self.terminal.ask(&why, text);
        }
    }

    /// Sends pasted lines as messages. None of them is treated as a command.
    fn paste(&mut self, text: &str) {
        let is_in = self.link.phase == Phase::Chatting;
        let mut refused = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line = clean(line);
            let fits = line.len() <= MAX_MESSAGE_BYTES && !self.link.is_full();
            if is_in && fits { self.link.say_text(&line) } else { refused += 1 }
        }
        if refused > 0 {
            let limit = format!("as each has over {MAX_MESSAGE_BYTES} bytes, or too many wait");
            let why = if is_in { &limit } else { "as you are not in the room" };
            self.terminal.note(&format!("Not sent, {why}: {}.", count_lines(refused)));
        }
    }

    /// Carries out a line that a person typed: a nickname, a command or a message.
    pub(super) fn submit(&mut self, line: &str) {
        self.terminal.finish(line);
        let Self { link, terminal, .. } = self;
        if let Some(answer) = terminal.transcript.switch(line) {
            return terminal.note(&answer);
        }
        let command = Command::parse(line);
        if command == Command::Help {
            terminal.help();
        }
        match (command, link.phase) {
            (Command::Quit, _) => self.leave(),
            _ if is_leave(line) => self.leave(),
            (Command::Help | Command::Blank, Phase::Unnamed) => terminal.ask_nickname(),
            (_, Phase::Unnamed) => self.name(line),
            (Command::Blank, _) => {}
            (_, Phase::Chatting) => link.say(line),
            (Command::Help, _) => {}
            _ => terminal.give_back(line),
        }
    }
}

/// Returns whether a person who types only this line probably wants to leave.
fn is_leave(line: &str) -> bool {
    matches!(line.trim(), "quit" | "exit")
}
