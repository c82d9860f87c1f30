//! The terminal, or the pipes in its place: one owner of all that is seen, shared by two threads.
//!
//! The send thread changes the line being typed; the receive thread prints messages, for which it
//! must erase that line and draw it again. Either alone would be simple; together they would write
//! into each other's half-finished work. So everything that is seen, and everything it is drawn
//! from, is one [`View`] behind one lock. A thread takes the lock, changes the view, writes the
//! result with a single `write`, and lets go. So each sees the other's work either done or not begun,
//! and so does the person.
//!
//! The lock is not held while a key, the socket or the link is waited for, and whoever holds it takes
//! no other. It is held while writing: if the terminal takes no output, both threads wait, then the
//! server's end of the connection does, by TCP, and nothing is lost.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::completion::CLIENT_COMMANDS;
use super::editor::{Action, Editor};
use super::keys::Key;
use super::options::{Color, Options};
use super::screen::{CLEAR_SCREEN, Input, Screen};
use super::transcript::Transcript;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;
use crate::system::terminal::{self, Keyboard};

const NICKNAME_PROMPT: &str = "Enter your nickname: ";
const PROMPT: &str = "> ";

/// Where the client prints.
pub(super) struct Terminal {
    /// The standard input is a terminal.
    person_types: bool,
    /// The standard output is a terminal.
    person_reads: bool,
    /// Everything that is seen, and what it is drawn from. See the module's documentation.
    view: Mutex<View>,
}

struct View {
    /// The line being typed; `None` with ordinary line input, and with a pipe.
    typing: Option<Typing>,
    transcript: Transcript,
    /// What is being typed is a nickname.
    asking: bool,
}

struct Typing {
    output: File,
    editor: Editor,
    screen: Screen,
    /// That the line is full was said already.
    told_full: bool,
}

impl Terminal {
    /// Finds out what the standard input and output are. Where lines can be edited here it returns the
    /// keyboard as well.
    pub(super) fn open(options: &Options) -> (Self, Option<Keyboard>) {
        let person_types = io::stdin().is_terminal();
        let person_reads = io::stdout().is_terminal();
        let plain = options.plain || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let (mut keyboard, mut typing, mut failure) = (None, None, None);
        if person_types && person_reads && !plain {
            match terminal::open_raw() {
                Ok((keys, output)) => {
                    let (editor, screen) = (Editor::default(), Screen::default());
                    typing = Some(Typing { output, editor, screen, told_full: false });
                    keyboard = Some(keys);
                }
                Err(error) => failure = Some(error),
            }
        }
        let mut transcript = Transcript::default();
        transcript.color = match options.color {
            Color::Auto => person_reads && !plain && !no_color,
            Color::Always => true,
            Color::Never => false,
        };
        transcript.timestamps = options.timestamps;
        transcript.editing = keyboard.is_some();
        transcript.bell = keyboard.is_some();
        let view = Mutex::new(View { typing, transcript, asking: false });
        let terminal = Self { person_types, person_reads, view };
        if let Some(error) = failure {
            terminal.status(&format!("No line editing on this terminal ({error}): plain input."));
        }
        if person_types && keyboard.is_none() {
            terminal::exit_on_interrupt();
        }
        (terminal, keyboard)
    }

    /// Returns whether a person types, rather than a program.
    pub(super) fn input_is_terminal(&self) -> bool {
        self.person_types
    }

    /// Prints lines from the server.
    ///
    /// # Errors
    ///
    /// Nobody reads the output any more.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        let mut view = self.lock();
        let shown = view.transcript.received(lines);
        view.print(&shown)
    }

    /// Prints one's own message, which the server does not send back. Without line editing it stands
    /// there as typed.
    pub(super) fn show_own(&self, text: &str) {
        let mut view = self.lock();
        if view.typing.is_some() {
            let shown = view.transcript.own(text);
            view.draw(&shown);
        }
    }

    /// Says something that is no message.
    pub(super) fn status(&self, text: &str) {
        self.say(&mut self.lock(), &format!("[CLIENT] {}\n", clean(text)));
    }

    /// Says what the client adds to the server's help.
    pub(super) fn help(&self) {
        for (command, purpose) in CLIENT_COMMANDS {
            self.status(&format!("  {command:<14}  {purpose}"));
        }
        if self.lock().typing.is_some() {
            self.status("  Up and Down recall lines, Tab completes names and commands,");
            self.status("  Ctrl-L empties the screen, Ctrl-Z suspends, Ctrl-C or Ctrl-D leaves.");
        }
    }

    /// Says what went wrong, on standard error; not while lines are edited.
    pub(super) fn error(&self, text: &str) {
        let _view = self.lock();
        // With standard error closed there is nowhere left to complain.
        let _ = write_all(io::stderr(), &format!("[ERROR] {}\n", clean(text)));
    }

    /// Asks for a nickname, if there is a person to ask.
    pub(super) fn ask_nickname(&self) {
        let mut view = self.lock();
        view.asking = true;
        if view.typing.is_some() {
            view.draw("");
        } else if self.person_types {
            self.say(&mut view, NICKNAME_PROMPT);
        }
    }

    /// Sets the nickname that is offered to the server.
    pub(super) fn set_nickname(&self, nickname: &str) {
        let mut view = self.lock();
        view.transcript.set_nickname(nickname);
        view.asking = false;
        view.draw("");
    }

    /// Returns one's own nickname.
    pub(super) fn nickname(&self) -> String {
        self.lock().transcript.nickname().to_owned()
    }

    /// Does what a command to the client itself asks for, and says so; `false` if it is none.
    pub(super) fn switch(&self, command: &str) -> bool {
        let answer = self.lock().transcript.switch(command);
        answer.inspect(|answer| self.status(answer)).is_some()
    }

    /// Edits the line with these keys, draws it, and returns what they ask for.
    pub(super) fn press(&self, keys: &[Key]) -> Vec<Action> {
        let mut view = self.lock();
        let View { typing: Some(typing), transcript, asking } = &mut *view else {
            return Vec::new();
        };
        let (mut actions, mut above, mut full) = (Vec::new(), String::new(), false);
        for &key in keys {
            let action = typing.editor.press(key, || transcript.names());
            match &action {
                Some(Action::ClearScreen) => above += CLEAR_SCREEN,
                Some(Action::Full) => full = true,
                // The question stays on the screen with its answer.
                Some(Action::Line(line)) if *asking => {
                    above += &format!("{NICKNAME_PROMPT}{}\n", clean(line));
                }
                Some(Action::Line(line)) if !line.is_empty() => typing.editor.remember(line),
                _ => {}
            }
            actions.extend(action);
        }
        if full && !typing.told_full {
            above += &format!("[CLIENT] That line is full, with {MAX_MESSAGE_BYTES} bytes.\n");
        }
        typing.told_full = full;
        view.draw(&above);
        actions
    }

    /// Gives back a line that could not be sent, to be sent later.
    pub(super) fn give_back(&self, line: &str) {
        self.status(&format!("Not sent, as you are not in the room: {line}"));
        let mut view = self.lock();
        if let Some(typing) = view.typing.as_mut().filter(|typing| typing.editor.text().is_empty())
        {
            typing.editor.set(line.to_owned());
        }
        view.draw("");
    }

    /// Stops the process group, as Ctrl-Z does; the line is drawn again with [`Terminal::redraw`].
    pub(super) fn suspend(&self) {
        self.lock().restore();
        terminal::suspend();
    }

    /// Draws the line being typed, for a new size or a terminal that others have written to.
    pub(super) fn redraw(&self) {
        let mut view = self.lock();
        if view.typing.is_some() {
            terminal::raw_mode();
            view.draw("");
        }
    }

    /// Gives the terminal back, and returns what was typed and not sent.
    pub(super) fn close(&self) -> Option<String> {
        let mut view = self.lock();
        view.restore();
        let typed = view.typing.take()?.editor.text().to_owned();
        (!typed.is_empty() && !view.asking).then_some(typed)
    }

    /// Says something to a person among the messages, to a program beside them.
    fn say(&self, view: &mut View, text: &str) {
        if self.person_types && self.person_reads {
            view.draw(text);
        } else {
            // As in `error`.
            let _ = write_all(io::stderr(), text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Prints whole lines, above the line being typed if there is one, in one write.
    fn print(&mut self, lines: &str) -> io::Result<()> {
        let Some(typing) = &mut self.typing else { return write_all(io::stdout(), lines) };
        let prompt = if self.asking { NICKNAME_PROMPT } else { PROMPT };
        let (text, cursor) = (typing.editor.text(), typing.editor.cursor());
        let input = Input { prompt, text, cursor };
        let bytes = typing.screen.draw(lines, input, terminal::columns());
        typing.output.write_all(bytes.as_bytes())
    }

    /// Prints where a failure means nothing: a terminal that is gone ends the program by SIGHUP, and
    /// a pipe that nobody reads is noticed with the next message.
    fn draw(&mut self, lines: &str) {
        let _ = self.print(lines);
    }

    /// Erases the line being typed and restores the terminal.
    fn restore(&mut self) {
        if let Some(typing) = &mut self.typing {
            // As in `draw`.
            let _ = typing.output.write_all(typing.screen.erase(terminal::columns()).as_bytes());
            terminal::restore();
        }
    }
}

/// Writes all and flushes: `print!` would panic on a closed stream.
fn write_all(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}
