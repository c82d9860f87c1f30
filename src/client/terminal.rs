//! The terminal, or the pipes in its place: the text that the user sees, and the data from which this text is
//! drawn.
//!
//! The send thread changes the line being typed, and the receive thread adds lines above it. If both threads
//! wrote to the terminal, their output would be mixed. So both threads only change this data, under the client's
//! one lock. The send thread draws the result with [`Terminal::draw`], which writes as much as the terminal
//! accepts, and never blocks. So the output is never mixed, and no thread blocks in a write to a terminal that
//! accepts no output.
//!
//! Without line editing (with a pipe, `--plain` or a dumb terminal), lines are written unchanged.
//!
//! There are three ways to print: [`Terminal::show`] shows a line from the server, [`Terminal::note`] shows a
//! note from the client itself, and [`fail`] reports an error on standard error.

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use super::completion::CLIENT_COMMANDS;
use super::editor::Editor;
use super::keys::{BELL, Key};
use super::options::Options;
use super::screen::{Bottom, Screen};
use super::transcript::Transcript;
use crate::arguments::error_line;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;
use crate::protocol::command::Command;
use crate::system::terminal::{self as system, Output};

/// The start of every line from the client itself.
const CLIENT_PREFIX: &str = "[CLIENT] ";
const NICKNAME_PROMPT: &str = "Enter your nickname: ";

/// The amount of undrawn text, in bytes, at which the client stops reading from the server.
const MAX_UNDRAWN_BYTES: usize = 64 * 1024;

/// The number of waiting lines above which a note tells the person that lines are waiting.
const FEW_LINES: usize = 5;

/// The maximum time for which the client waits for the terminal to accept the last output when the program ends.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The text that the user sees, and the data from which this text is drawn.
#[derive(Default)]
pub(super) struct Terminal {
    /// Whether the standard input is a terminal on which a person types the lines.
    pub(super) person_types: bool,
    /// Whether the standard output is a terminal.
    person_reads: bool,
    /// Whether the client itself edits the lines. This is `false` for ordinary line input and for a pipe.
    pub(super) edits: bool,
    pub(super) transcript: Transcript,
    /// The line being typed.
    pub(super) editor: Editor,
    pub(super) screen: Screen,
    /// A question to the user, and the text that Enter sends: one line, or the lines of a paste. The question is
    /// shown in a separate row until the next key.
    pub(super) question: Option<(String, String)>,
    /// The state of the connection, shown in a separate row. Empty while the connection works.
    status: String,
    /// The text that waits to be shown, usually whole lines.
    above: String,
    /// The bytes that the output has not accepted yet.
    drawn: Vec<u8>,
    /// The maximum time for which a write waits for the output. This time is zero until [`Terminal::close`].
    patience: Duration,
    /// The last byte that the output has accepted.
    last_taken: Option<u8>,
    /// The maximum time for which the client waits to write a note to standard error. This time is zero once a note
    /// could not be written in time.
    note_patience: Duration,
    /// The error of the last failed write to the output.
    pub(super) error: Option<io::Error>,
    /// The line that was being typed when the client asked for a nickname.
    draft: Option<String>,
}

impl Terminal {
    /// Finds out whether the standard input and output are terminals. Also puts the terminal into raw mode if the
    /// client is to edit lines.
    pub(super) fn open(options: &Options) -> Self {
        let person_types = io::stdin().is_terminal() && !options.listen && !options.say;
        let person_reads = io::stdout().is_terminal();
        let plain = options.plain || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let raw = (person_types && person_reads && !plain).then(system::enter_raw_mode);
        let edits = matches!(raw, Some(Ok(())));
        let suits_colors = person_reads && !plain && !no_color;
        let color = options.color.unwrap_or_else(|| suits_colors && system::shows_colors());
        let transcript = Transcript::new(options, color, edits);
        let mut terminal = Self {
            person_types,
            person_reads,
            edits,
            transcript,
            note_patience: CLOSE_TIMEOUT,
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

    /// Adds a line from the server to the text to be shown.
    pub(super) fn show(&mut self, line: &str) {
        if self.transcript.received(line, &mut self.above) {
            self.drawn.push(BELL);
        }
    }

    /// Adds the user's own line to the text to be shown, if it is a message. Without line editing, the line as
    /// typed is already on the screen.
    pub(super) fn show_own(&mut self, line: &str) {
        if let Command::Say(text) = Command::parse(line)
            && self.edits
        {
            self.show(&format!("{}: {text}", self.transcript.nickname));
        }
    }

    /// Prints a note for the user. A person sees the note among the messages. For a program, the note goes to
    /// standard error.
    pub(super) fn note(&mut self, text: &str) {
        if self.edits || !self.transcript.options.silent {
            self.tell(&format!("{CLIENT_PREFIX}{}\n", clean(text)));
        }
    }

    fn tell(&mut self, text: &str) {
        self.transcript.settle(&mut self.above);
        if self.person_types && self.person_reads {
            self.above += text;
        } else if !complain(text, self.note_patience) {
            self.note_patience = Duration::ZERO;
        }
    }

    /// Shows the state of the connection. With line editing, each state replaces the previous state.
    pub(super) fn status(&mut self, text: &str) {
        if self.edits {
            self.status = clean(text).into_owned();
        } else if !text.is_empty() {
            self.note(text);
        }
    }

    /// Shows the client's own help, in addition to the server's help.
    pub(super) fn help(&mut self) {
        CLIENT_COMMANDS.lines().for_each(|line| self.note(line));
        if self.edits {
            self.note("  Up and Down recall lines, Tab completes names and commands,");
            self.note("  Ctrl-L empties the screen, Ctrl-Z suspends, Ctrl-C or Ctrl-D leaves.");
        }
    }

    /// Asks for a nickname, if there is a person to ask.
    pub(super) fn ask_nickname(&mut self) {
        self.draft.get_or_insert_with(|| self.editor.finish());
        if self.person_types && !self.edits {
            self.tell(NICKNAME_PROMPT);
        }
    }

    /// Sets the nickname that the client sends to the server.
    pub(super) fn set_nickname(&mut self, nickname: &str) {
        nickname.clone_into(&mut self.transcript.nickname);
        self.editor.set(self.draft.take().unwrap_or_default());
    }

    /// Edits the line being typed.
    pub(super) fn edit(&mut self, key: &Key) {
        let was_full = self.editor.is_full;
        self.editor.press(key, || self.transcript.names());
        if self.editor.is_full && !was_full {
            self.note(&format!("No more fits on that line: {MAX_MESSAGE_BYTES} bytes."));
        }
    }

    /// Ends the line being typed. `line` is the line that was entered.
    pub(super) fn finish(&mut self, line: &str) {
        self.editor.finish();
        if self.edits && self.draft.is_some() {
            // The question stays on the screen with its answer.
            self.tell(&format!("{NICKNAME_PROMPT}{line}\n"));
        } else {
            self.editor.remember(line);
        }
    }

    /// Shows a question in a separate row until the next key. Enter then sends `answer`. If `answer` is one line,
    /// it is shown as the line being typed.
    pub(super) fn ask(&mut self, text: &str, answer: String) {
        if !self.edits {
            self.note(text);
        } else if !answer.contains('\n') {
            self.editor.set(answer.clone());
        }
        self.question = Some((text.to_owned(), answer));
    }

    /// Puts a line back into the editor if it could not be sent, so that the user can send it later.
    pub(super) fn give_back(&mut self, line: &str) {
        self.note(&format!("Not sent, as you are not in the room: {line}"));
        if self.edits {
            self.editor.set(line.to_owned());
        }
    }

    /// Suspends the process group, as Ctrl-Z does. When the process continues, enters raw mode again.
    pub(super) fn suspend(&mut self, output: &Output) {
        self.restore(output);
        system::suspend();
        system::raw_mode();
    }

    /// Shows the text that was received last, and restores the terminal. The client waits only a moment for a
    /// terminal that accepts no output. For a program that reads the output, the client waits without a limit.
    pub(super) fn close(&mut self, output: &Output) {
        let draft = self.draft.take().unwrap_or(self.editor.finish());
        if !draft.is_empty() {
            self.note(&format!("Not sent: {draft}"));
        }
        self.transcript.settle(&mut self.above);
        self.patience = if self.edits { CLOSE_TIMEOUT } else { Duration::MAX };
        self.draw(output, 0);
        self.restore(output);
    }

    /// Returns whether too much text waits to be shown, so that no more text should be added.
    pub(super) fn is_full(&self) -> bool {
        self.above.len() >= MAX_UNDRAWN_BYTES
    }

    /// Draws the changes, as far as the output accepts them in time. Returns whether nothing is left to draw.
    pub(super) fn draw(&mut self, output: &Output, waiting: usize) -> bool {
        if !self.write(output) {
            return false;
        }
        if self.question.is_some() || !self.status.is_empty() {
            // A question or a status is shown in place of the line of joins and leaves. So that line first
            // becomes final.
            self.transcript.settle(&mut self.above);
        }
        let above = std::mem::take(&mut self.above);
        self.drawn =
            if self.edits { self.draw_screen(&above, waiting) } else { above }.into_bytes();
        self.write(output)
    }

    /// Returns the bytes that draw the lines of `above`, a note, and the line being typed.
    fn draw_screen(&mut self, above: &str, waiting: usize) -> String {
        let editor = &self.editor;
        let prompt = match &editor.search {
            _ if self.draft.is_some() => NICKNAME_PROMPT.to_owned(),
            Some(query) => format!("search {query}: "),
            None => format!("{}> ", self.transcript.nickname),
        };
        // Only one note is shown at a time, since the screen may be as small as five rows of twenty columns.
        let waits = format!("{waiting} lines are waiting; Ctrl-C discards them.");
        let note = match &self.question {
            Some((text, _)) => text,
            None if waiting > FEW_LINES => &waits,
            None => &self.status,
        };
        let note = match note.as_str() {
            "" => &self.transcript.presence,
            note => &format!("{CLIENT_PREFIX}{note}"),
        };
        let bottom = Bottom { note, prompt: &prompt, text: &editor.text, cursor: editor.cursor };
        self.screen.draw(above, bottom, system::columns())
    }

    /// Writes the drawn bytes, as far as the output accepts them in time. If the output fails, the remaining
    /// bytes are dropped. If the output fails in the middle of a line, a line feed is written later to end this
    /// line. Returns whether no bytes are left.
    fn write(&mut self, output: &Output) -> bool {
        match output.write_within(&self.drawn, self.patience) {
            Ok(written) => {
                self.last_taken = self.drawn.drain(..written).next_back().or(self.last_taken);
            }
            Err(error) => {
                self.drawn.clear();
                self.drawn.extend(self.last_taken.filter(|&byte| byte != b'\n').map(|_| b'\n'));
                self.error = Some(error);
            }
        }
        self.drawn.is_empty()
    }

    /// Erases the line being typed and restores the terminal.
    fn restore(&mut self, output: &Output) {
        if self.edits {
            self.drawn.extend(self.screen.erase(system::columns()).bytes());
            // The terminal is restored even if it accepts no output or is gone.
            self.write(output);
        }
        system::restore();
    }
}

/// Reports an error on standard error. Must not be called while lines are edited.
pub(super) fn fail(text: &str) {
    complain(&error_line(text), CLOSE_TIMEOUT);
}

/// Writes to standard error, but waits at most `patience` for it to accept the text. Returns whether all of the
/// text was written. If standard error is closed or stuck, the text cannot be reported anywhere else.
fn complain(text: &str, patience: Duration) -> bool {
    let stderr = Output::stderr();
    stderr.is_ok_and(|stderr| {
        stderr.write_within(text.as_bytes(), patience).is_ok_and(|written| written == text.len())
    })
}
