//! The send thread for a person: it takes keys and does what they ask for.
//!
//! It blocks in [`Client::turn`] alone, and a key always wakes it there, no matter what the socket and the
//! terminal do.
//!
//! The client first asks about likely mistakes, in a row of its own: a paste of many lines, `quit` alone, a
//! command behind a blank. Enter means yes. Any other key means no, and then has its usual effect.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::keys::{Key, KeyParser};
use super::link::Phase;
use super::{Client, Outcome, READ_BYTES, Shared, count_lines};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;
use crate::protocol::command::Command;
use crate::protocol::replies;
use crate::system::terminal::Input;

/// How many pasted lines are sent without a question.
const MAX_UNASKED_LINES: usize = 5;

/// How much of a paste its question shows, in characters.
const SAMPLE_CHARS: usize = 24;

/// When a private message has come from somebody else, `/r` is shown with that name before it is sent. This
/// holds for this time.
const REPLY_DOUBT: Duration = Duration::from_secs(2);

/// What the send thread runs where lines are edited. It takes keys as they are pressed. Returns how the client
/// ended.
pub(super) fn key_loop(client: &Client, mut input: Input) -> Result<Infallible, Outcome> {
    let mut parser = KeyParser::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut last_key = Instant::now();
    loop {
        let patience = parser.patience().map(|time| time.saturating_sub(last_key.elapsed()));
        let keys = match client.turn(&mut input, &mut buffer, true, patience)? {
            // The terminal is gone.
            Some(0) => return Err(Outcome::Done),
            Some(bytes) => {
                last_key = Instant::now();
                parser.feed(&buffer[..bytes])
            }
            None if parser.patience().is_some_and(|time| time <= last_key.elapsed()) => {
                parser.nothing_followed().into_iter().collect()
            }
            None => continue,
        };
        let mut shared = client.lock();
        for key in keys {
            if key == Key::Ctrl('z') {
                shared.terminal.suspend(&client.output);
            } else {
                shared.press(&key);
            }
        }
    }
}

impl Shared {
    fn press(&mut self, key: &Key) {
        let question = self.terminal.question.take();
        match key {
            Key::Enter => match question {
                Some(question) if question.answer.contains('\n') => self.paste(&question.answer),
                Some(question) => self.submit(&question.answer),
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

    /// Takes a line that was typed. If it looks like a mistake, asks first.
    pub(super) fn enter(&mut self, line: String) {
        let terminal = &mut self.terminal;
        if line.len() > MAX_MESSAGE_BYTES {
            let why = replies::too_long(line.len());
            return terminal.note(&format!("Not sent: {why}"));
        }
        if let Some(("/r", text)) = line.split_once(' ') {
            let Some((name, since)) = &terminal.transcript.correspondent else {
                return terminal.note("Nobody has sent you a private message.");
            };
            let line = format!("/msg {name} {text}");
            if since.elapsed() >= REPLY_DOUBT {
                return self.submit(&line);
            }
            let why = format!("Press Enter again to tell {name}, who has just written.");
            terminal.ask(&why, line);
        } else if matches!(line.trim(), "quit" | "exit") {
            let why = "Press Enter again to leave, or type on to say something else.";
            terminal.ask(why, line);
        } else if !line.starts_with('/') && line.trim_start().starts_with('/') {
            let why =
                "Press Enter again to say this to everyone; without the blank it is a command.";
            terminal.ask(why, line);
        } else {
            self.submit(&line);
        }
    }

    /// Takes a paste. One line is put into the line being typed, several lines are said, and for many lines the
    /// client asks first.
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

    /// Says lines that were pasted. None of them is a command.
    fn paste(&mut self, text: &str) {
        let is_in = self.link.phase == Phase::Chatting;
        let mut refused = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line = clean(line);
            if line.len() > MAX_MESSAGE_BYTES || self.link.is_full() || !is_in {
                refused += 1;
            } else {
                self.link.say_text(&line);
            }
        }
        if refused > 0 {
            let limit = format!("as each has over {MAX_MESSAGE_BYTES} bytes, or too many wait");
            let why = if is_in { &limit } else { "as you are not in the room" };
            self.terminal.note(&format!("Not sent, {why}: {}.", count_lines(refused)));
        }
    }

    /// Obeys a line that a person typed.
    pub(super) fn submit(&mut self, line: &str) {
        self.terminal.finish(line);
        let Self { link, terminal, .. } = self;
        if let Some(answer) = terminal.transcript.switch(line) {
            return terminal.note(&answer);
        }
        match (Command::parse(line), link.phase) {
            (Command::Quit, _) => self.leave(),
            _ if matches!(line.trim(), "quit" | "exit") => self.leave(),
            (command @ (Command::Help | Command::Blank), phase) => {
                if command == Command::Help {
                    terminal.help();
                }
                match phase {
                    Phase::Unnamed => terminal.ask_nickname(),
                    Phase::Chatting if command == Command::Help => link.say(line),
                    _ => {}
                }
            }
            (_, Phase::Unnamed) => self.name(line),
            (_, Phase::Chatting) => link.say(line),
            _ => terminal.give_back(line),
        }
    }
}
