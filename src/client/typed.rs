//! The send thread of a person: keys in, and what they ask for.
//!
//! It blocks in [`Client::turn`] alone, and a key wakes it there whatever the socket and the terminal
//! do.
//!
//! What is likely a mistake is asked about first, in a row of its own: a paste of many lines, `quit`
//! alone, a command behind a blank. Enter is yes; any other key is no, and then does what it does.

use std::time::{Duration, Instant};

use super::keys::{Key, KeyParser};
use super::link::Phase;
use super::{Client, Outcome, READ_BYTES, Shared, count_lines};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;
use crate::protocol::command::Command;
use crate::protocol::replies;
use crate::system::terminal::Input;

/// How long after asking to be suspended this thread leaves the terminal alone. The signal goes to
/// the process, and another thread may be the one that it stops first.
const SUSPEND_TIMEOUT: Duration = Duration::from_millis(200);

/// How many pasted lines are sent without a question.
const MAX_UNASKED_LINES: usize = 5;

/// How much of a paste its question shows, in characters.
const SAMPLE_CHARS: usize = 24;

/// How soon after a private message from somebody else `/r` is taken to be meant for them only if it
/// is confirmed.
const REPLY_DOUBT: Duration = Duration::from_secs(2);

/// What is asked, and what Enter then does.
pub(super) enum Question {
    /// Takes this line as it is.
    Line(String),
    /// Says all lines of this text.
    Paste(String),
}

/// What the send thread runs where lines are edited: takes keys as they are pressed, until this user has
/// left or the terminal is gone.
pub(super) fn key_loop(client: &Client, mut input: Input) -> Outcome {
    let mut parser = KeyParser::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut last_key = Instant::now();
    let mut suspended = None::<Instant>;
    loop {
        let patience = parser.patience().map(|time| time.saturating_sub(last_key.elapsed()));
        let resume = suspended.map(|at| SUSPEND_TIMEOUT.saturating_sub(at.elapsed()));
        let ready = match client.turn(&mut input, true, patience.into_iter().chain(resume).min()) {
            Ok(ready) => ready,
            Err(outcome) => return outcome,
        };
        if ready.redraw || suspended.is_some_and(|at| at.elapsed() >= SUSPEND_TIMEOUT) {
            suspended = None;
            client.lock().terminal.resume();
        }
        let keys = match ready.input.then(|| input.read(&mut buffer)).flatten() {
            Some(0) => return Outcome::Done,
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
                suspended = Some(Instant::now());
                shared.terminal.suspend(&client.output);
            } else {
                shared.press(&key);
            }
        }
    }
}

impl Shared {
    fn press(&mut self, key: &Key) {
        let question = self.terminal.answer();
        let is_asked = question.is_some();
        match (key, question) {
            (Key::Enter, Some(Question::Line(line))) => {
                self.terminal.finish();
                self.submit(&line);
            }
            (Key::Enter, Some(Question::Paste(text))) => self.say_pasted(&text),
            (Key::Enter, None) => self.enter(),
            (_, Some(Question::Paste(_))) => self.terminal.note("The paste is not sent."),
            _ => {}
        }
        match key {
            Key::Enter => {}
            Key::Ctrl('c') if is_asked || self.discard() => {}
            Key::Ctrl('c' | 'd') if self.terminal.editor.text().is_empty() => self.leave(),
            Key::Ctrl('l') => self.terminal.screen.clear(),
            Key::Paste(text) => self.paste(text),
            Key::LostPaste => {
                self.terminal.note("Not sent: a paste that was broken off, or too large.");
            }
            key => self.terminal.edit(key),
        }
    }

    /// Takes the line being typed, unless it is to be looked at again.
    fn enter(&mut self) {
        let line = self.terminal.editor.text().to_owned();
        if line.len() > MAX_MESSAGE_BYTES {
            let why = replies::too_long(line.len());
            return self.terminal.note(&format!("Not sent: {why}"));
        }
        if let Some(line) = self.expand(&line)
            && !self.asks_about(&line)
        {
            self.terminal.finish();
            self.submit(&line);
        }
    }

    /// Completes `/r TEXT`, and takes decorations off the name in `/msg`. Returns the line for the server,
    /// or `None` if it is to be looked at again.
    fn expand(&mut self, line: &str) -> Option<String> {
        if let Command::Tell { to, text } = Command::parse(line) {
            let name = to.trim_start_matches('@').trim_end_matches([':', ',']);
            return Some(format!("/msg {name} {text}"));
        }
        let Some(("/r", text)) = line.split_once(' ') else { return Some(line.to_owned()) };
        let Some((name, since)) = self.terminal.transcript.correspondent.clone() else {
            self.terminal.note("Nobody has sent you a private message.");
            return None;
        };
        let line = format!("/msg {name} {text}");
        if since.elapsed() >= REPLY_DOUBT {
            return Some(line);
        }
        let why = format!("Press Enter again to tell {name}, who has just written.");
        self.terminal.editor.set(line.clone());
        self.terminal.ask(&why, Question::Line(line));
        None
    }

    /// Asks about a line that is likely not what it seems; returns whether it did.
    pub(super) fn asks_about(&mut self, line: &str) -> bool {
        let terminal = &mut self.terminal;
        let why = if matches!(line.trim(), "quit" | "exit") {
            "Press Enter again to leave, or type on to say something else."
        } else if !line.starts_with('/') && line.trim_start().starts_with('/') {
            "Press Enter again to say this to everyone; without the blank it is a command."
        } else {
            return false;
        };
        terminal.ask(why, Question::Line(line.to_owned()));
        true
    }

    /// Takes pasted text: one line is typed, several are said, and many are asked about.
    fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.lines().count();
        let Some((first, rest)) = text.split_once('\n').filter(|_| lines > 1) else {
            self.terminal.edit(&Key::Paste(text.trim_end_matches('\n').to_owned()));
            return if text.ends_with('\n') {
                self.enter();
            };
        };
        if self.link.phase != Phase::Chatting {
            let lines = count_lines(lines);
            self.terminal.note(&format!("Not sent, as you are not in the room: {lines}."));
        } else if lines > MAX_UNASKED_LINES {
            let sample: String = clean(first).chars().take(SAMPLE_CHARS).collect();
            let why = format!("Enter sends {lines} lines, Ctrl-C or Esc does not: {sample}…");
            self.terminal.ask(&why, Question::Paste(text));
        } else {
            // The first one goes on with what was typed, and the last one may go on.
            self.terminal.edit(&Key::Paste(first.to_owned()));
            let (middle, last) = rest.rsplit_once('\n').unwrap_or(("", rest));
            let first = self.terminal.finish();
            self.say_pasted(&format!("{first}\n{middle}"));
            self.terminal.edit(&Key::Paste(last.to_owned()));
        }
    }

    /// Says lines that were pasted. None of them is a command.
    pub(super) fn say_pasted(&mut self, text: &str) {
        let mut refused = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let slash = if line.starts_with('/') { "/" } else { "" };
            let line = format!("{slash}{}", clean(line));
            if line.len() > MAX_MESSAGE_BYTES || self.link.is_full() {
                refused += 1;
            } else {
                self.link.say(&line);
            }
        }
        if refused > 0 {
            let lines = count_lines(refused);
            let limit = format!("over {MAX_MESSAGE_BYTES} bytes each, or too much in all");
            self.terminal.note(&format!("Not sent: {lines}, {limit}."));
        }
    }

    /// Does what a line asks for that a person typed.
    pub(super) fn submit(&mut self, line: &str) {
        let phase = self.link.phase;
        let command = Command::parse(line);
        if command == Command::Quit || matches!(line.trim(), "quit" | "exit") {
            return self.leave();
        }
        let Shared { link, terminal, .. } = self;
        match command {
            Command::Unknown(_) if terminal.switch(line) => return,
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
            Phase::Refused => link.send(line),
            _ => terminal.give_back(line),
        }
    }
}
