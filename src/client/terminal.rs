//! The terminal, or the pipes in its place: all that is seen, and what it is drawn from.
//!
//! The send thread changes the line being typed; the receive thread adds lines above it. Either alone
//! would be simple; together they would write into each other's half-finished work. So neither writes:
//! both change this, under the client's one lock, and the send thread draws the result with
//! [`Terminal::draw`], which writes what the terminal takes and never waits. So a person sees each change
//! either whole or not at all, and a terminal that takes nothing keeps no thread.
//!
//! Where no line is edited (a pipe, `--plain`, a dumb terminal) there is nothing to draw. There the
//! receive thread writes what the server sends, and waits for whoever reads it, without the lock.
//!
//! There are three ways to print: [`Terminal::show`] adds to the messages, [`Terminal::note`] speaks to
//! the user, and [`fail`] complains on standard error.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::completion::CLIENT_COMMANDS;
use super::editor::Editor;
use super::keys::Key;
use super::options::{Color, Options};
use super::screen::{Input, Screen};
use super::transcript::Transcript;
use super::typed::Question;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;
use crate::protocol::command::Command;
use crate::system::terminal::{self as system, Output};

const NICKNAME_PROMPT: &str = "Enter your nickname: ";
const BELL: char = '\x07';

/// How much text waits to be drawn before the server is slowed down, in bytes.
const MAX_UNDRAWN_BYTES: usize = 64 * 1024;

/// How many lines wait before a person is told.
const FEW_LINES: usize = 5;

/// How long the terminal may take for what is printed last, when the program ends.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What is seen, and what it is drawn from.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "states, independent of each other")]
pub(super) struct Terminal {
    /// The standard input is a terminal.
    pub(super) person_types: bool,
    /// The standard output is a terminal.
    person_reads: bool,
    pub(super) transcript: Transcript,
    /// Lines are edited here; not with ordinary line input, nor with a pipe.
    pub(super) edits: bool,
    /// The line being typed.
    pub(super) editor: Editor,
    pub(super) screen: Screen,
    /// What is asked, and what for.
    question: Option<(String, Question)>,
    /// How things stand with the connection, in a row of its own; empty if all is well.
    status: String,
    /// Lines to be printed above it.
    above: String,
    /// What was drawn and not taken by the terminal yet.
    drawn: Vec<u8>,
    rings: bool,
    is_suspended: bool,
    is_silent: bool,
    pub(super) is_muted: bool,
    /// What is being typed is a nickname.
    asking: bool,
    /// What was being typed before that.
    draft: String,
    /// That the line is full was said already.
    told_full: bool,
}

impl Terminal {
    /// Finds out what the standard input and output are, and takes a terminal into raw mode where lines
    /// are edited.
    pub(super) fn open(options: &Options) -> Self {
        let person_types = io::stdin().is_terminal() && !options.listen && !options.say;
        let person_reads = io::stdout().is_terminal();
        let plain = options.plain || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let raw = (person_types && person_reads && !plain).then(system::enter_raw_mode);
        let edits = matches!(raw, Some(Ok(())));
        let mut transcript = Transcript::default();
        transcript.color = match options.color {
            Color::Auto => person_reads && !plain && !no_color && system::shows_colors(),
            Color::Always => true,
            Color::Never => false,
        };
        transcript.timestamps = options.timestamps;
        transcript.quiet = options.quiet;
        transcript.no_history = options.no_history;
        transcript.editing = edits;
        transcript.bell = edits;
        let mut terminal = Self {
            person_types,
            person_reads,
            transcript,
            edits,
            is_silent: options.silent,
            ..Self::default()
        };
        if let Some(Err(error)) = raw {
            terminal.note(&format!("No line editing on this terminal ({error}): plain input."));
        }
        if person_types && !edits {
            system::exit_on_interrupt();
        }
        terminal
    }

    /// Adds a line from the server to what is shown.
    pub(super) fn show(&mut self, line: &str) {
        self.rings |= self.transcript.received(line, &mut self.above);
    }

    /// Adds one's own message, if the line is one. Without line editing it stands there as typed.
    pub(super) fn show_own(&mut self, line: &str) {
        if let Command::Say(text) = Command::parse(line)
            && self.edits
        {
            self.transcript.own(text, &mut self.above);
        }
    }

    /// Tells the user something: a person among the messages, a program beside them.
    pub(super) fn note(&mut self, text: &str) {
        let text = format!("[CLIENT] {}\n", clean(text));
        if self.edits {
            self.transcript.settle(&mut self.above);
            self.above += &text;
        } else if !self.is_silent {
            self.print(&text);
        }
    }

    /// Tells the user how things stand: in place, where lines are edited.
    pub(super) fn status(&mut self, text: &str) {
        if self.edits {
            self.transcript.settle(&mut self.above);
            self.status = if text.is_empty() { "" } else { "[CLIENT] " }.to_owned() + &clean(text);
        } else if !text.is_empty() {
            self.note(text);
        }
    }

    /// Prints at once where no line is edited. With the stream closed there is nowhere left to complain.
    fn print(&self, text: &str) {
        let _ = if self.person_types && self.person_reads {
            io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush())
        } else {
            io::stderr().write_all(text.as_bytes())
        };
    }

    /// Says what the client adds to the server's help.
    pub(super) fn help(&mut self) {
        for (command, purpose) in CLIENT_COMMANDS {
            self.note(&format!("  {command:<14}  {purpose}"));
        }
        if self.edits {
            self.note("  Up and Down recall lines, Tab completes names and commands,");
            self.note("  Ctrl-L empties the screen, Ctrl-Z suspends, Ctrl-C or Ctrl-D leaves.");
        }
    }

    /// Asks for a nickname, if there is a person to ask.
    pub(super) fn ask_nickname(&mut self) {
        if !self.asking {
            self.draft = self.editor.finish();
        }
        self.asking = true;
        if self.person_types && !self.edits {
            self.print(NICKNAME_PROMPT);
        }
    }

    /// Sets the nickname that is offered to the server.
    pub(super) fn set_nickname(&mut self, nickname: &str) {
        self.transcript.set_nickname(nickname);
        if std::mem::take(&mut self.asking) {
            self.editor.set(std::mem::take(&mut self.draft));
        }
    }

    /// Does what a command to the client itself asks for, and says so; `false` if it is none.
    pub(super) fn switch(&mut self, command: &str) -> bool {
        let answer = self.transcript.switch(command);
        answer.inspect(|answer| self.note(answer)).is_some()
    }

    /// Edits the line being typed.
    pub(super) fn edit(&mut self, key: &Key) {
        let fits = self.editor.press(key, || self.transcript.names());
        if !fits && !self.told_full {
            self.note(&format!("No more fits on that line: {MAX_MESSAGE_BYTES} bytes."));
        }
        self.told_full = !fits;
    }

    /// Ends the line being typed and returns it.
    pub(super) fn finish(&mut self) -> String {
        let line = self.editor.finish();
        if self.asking {
            // The question stays on the screen with its answer.
            self.transcript.settle(&mut self.above);
            self.above += &format!("{NICKNAME_PROMPT}{line}\n");
        } else {
            self.editor.remember(&line);
        }
        line
    }

    /// Asks something, in a row of its own, until the next key.
    pub(super) fn ask(&mut self, text: &str, question: Question) {
        if self.edits {
            // It takes the place of who came and went, which is to stay.
            self.transcript.settle(&mut self.above);
        } else {
            self.note(text);
        }
        self.question = Some((format!("[CLIENT] {text}"), question));
    }

    /// Returns what was asked and takes it off the screen.
    pub(super) fn answer(&mut self) -> Option<Question> {
        self.question.take().map(|(_text, question)| question)
    }

    /// Gives back a line that could not be sent, to be sent later.
    pub(super) fn give_back(&mut self, line: &str) {
        self.note(&format!("Not sent, as you are not in the room: {line}"));
        if self.editor.text().is_empty() {
            self.editor.set(line.to_owned());
        }
    }

    /// Stops the process group, as Ctrl-Z does; nothing is drawn until [`Terminal::resume`].
    pub(super) fn suspend(&mut self, output: &Output) {
        self.restore(output);
        self.is_suspended = true;
        system::suspend();
    }

    /// Takes the terminal again, for a new size or after others have written to it.
    pub(super) fn resume(&mut self) {
        system::raw_mode();
        self.is_suspended = false;
    }

    /// Takes what was typed and not sent; empty if there is nothing.
    pub(super) fn take_draft(&mut self) -> String {
        let typed = self.editor.finish();
        if self.asking { std::mem::take(&mut self.draft) } else { typed }
    }

    /// Gives the terminal back. What was received last is to be seen, if the terminal takes it.
    pub(super) fn close(&mut self, output: &Output) {
        self.transcript.settle(&mut self.above);
        let _ = self.draw(output, 0);
        let _ = self.write(output, CLOSE_TIMEOUT);
        self.restore(output);
        // The send thread may have another turn before the process ends.
        self.edits = false;
        self.drawn.clear();
    }

    /// Returns whether so much waits to be drawn that no more should be added.
    pub(super) fn is_full(&self) -> bool {
        self.edits && self.above.len() >= MAX_UNDRAWN_BYTES
    }

    /// Returns what is to be written to the standard output where no line is edited.
    pub(super) fn take_output(&mut self) -> String {
        let output = if self.edits { String::new() } else { std::mem::take(&mut self.above) };
        if self.is_muted { String::new() } else { output }
    }

    /// Draws what has changed, as far as the terminal takes it without a wait, and returns whether it
    /// took all.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub(super) fn draw(&mut self, output: &Output, waiting: usize) -> io::Result<bool> {
        if self.is_suspended || !self.write(output, Duration::ZERO)? {
            return Ok(self.is_suspended);
        }
        if !self.edits {
            return Ok(true);
        }
        let editor = &self.editor;
        let prompt = format!("{}> ", self.transcript.nickname);
        let search = editor.search().map(|query| format!("search {query}: "));
        let prompt = if self.asking { NICKNAME_PROMPT } else { search.as_ref().unwrap_or(&prompt) };
        let input = Input { prompt, text: editor.text(), cursor: editor.cursor() };
        // One at a time: the screen may have five rows, of twenty columns.
        let note = match &self.question {
            Some((question, _)) => question.clone(),
            None if waiting > FEW_LINES => {
                format!("[CLIENT] {waiting} lines are waiting; Ctrl-C discards them.")
            }
            None if self.status.is_empty() => self.transcript.presence(),
            None => self.status.clone(),
        };
        let mut drawn = self.screen.draw(&self.above, &note, input, system::columns());
        if std::mem::take(&mut self.rings) {
            drawn.push(BELL);
        }
        self.above.clear();
        self.drawn = drawn.into_bytes();
        self.write(output, Duration::ZERO)
    }

    /// Writes what was drawn, as far as the terminal takes it in time, and returns whether it took all.
    fn write(&mut self, output: &Output, patience: Duration) -> io::Result<bool> {
        let written = output.write_within(&self.drawn, patience)?;
        self.drawn.drain(..written);
        Ok(self.drawn.is_empty())
    }

    /// Erases the line being typed and restores the terminal.
    fn restore(&mut self, output: &Output) {
        if self.edits {
            self.drawn.extend(self.screen.erase(system::columns()).bytes());
            // A terminal that takes nothing, or is gone, is restored all the same.
            let _ = self.write(output, Duration::ZERO);
        }
        system::restore();
    }
}

/// Says what went wrong, on standard error; not while lines are edited.
pub(super) fn fail(text: &str) {
    let text = format!("[ERROR] {}\n", clean(text));
    // With standard error closed, or stuck, there is nowhere left to complain.
    if let Ok(stderr) = Output::stderr() {
        let _ = stderr.write_within(text.as_bytes(), CLOSE_TIMEOUT);
    }
}
