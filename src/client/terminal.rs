//! The terminal, or the pipes in its place: what both threads print on.
//!
//! One owner, one lock. The lock is held while a piece of output is put together and written, so
//! that two threads never write into each other's lines; it is never held while the socket or the
//! keyboard is waited for. A terminal that takes no output (a slow pipe) stops whoever prints, and
//! then, by TCP, the server's end of it.
//!
//! Text from the server is cleaned here, the last place before it is printed: the server is not
//! trusted either.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::protocol::cleaning::clean;

/// What asks for a nickname.
const NICKNAME_PROMPT: &str = "Enter your nickname: ";

/// Where the client prints.
pub(super) struct Terminal {
    /// The standard input is a terminal: a person types.
    typed: bool,
    /// The standard output is a terminal: a person reads.
    read: bool,
    /// What both threads see and change.
    view: Mutex<View>,
}

struct View {
    nickname: String,
}

impl Terminal {
    /// Finds out what the standard input and output are.
    pub(super) fn open() -> Self {
        Self {
            typed: io::stdin().is_terminal(),
            read: io::stdout().is_terminal(),
            view: Mutex::new(View { nickname: String::new() }),
        }
    }

    /// Returns whether a person types, rather than a program.
    pub(super) fn input_is_terminal(&self) -> bool {
        self.typed
    }

    /// Prints lines from the server.
    ///
    /// # Errors
    ///
    /// Nobody reads the output any more.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        let _view = self.lock();
        let mut output = String::new();
        for line in lines {
            output += &clean(line);
            output.push('\n');
        }
        print(io::stdout(), &output)
    }

    /// Says something that is no message: to a person among the messages, else beside them.
    pub(super) fn status(&self, text: &str) {
        let line = format!("[CLIENT] {}\n", clean(text));
        let _view = self.lock();
        // Closed output is noticed with the next message, and nothing can be said about it here.
        let _ = if self.typed && self.read {
            print(io::stdout(), &line)
        } else {
            print(io::stderr(), &line)
        };
    }

    /// Says what went wrong.
    pub(super) fn error(&self, text: &str) {
        let _view = self.lock();
        // With standard error closed there is nowhere left to complain.
        let _ = print(io::stderr(), &format!("[ERROR] {}\n", clean(text)));
    }

    /// Asks for a nickname, if there is a person to ask.
    pub(super) fn ask_nickname(&self) {
        let _view = self.lock();
        if self.typed {
            // As in `status`.
            let _ = if self.read {
                print(io::stdout(), NICKNAME_PROMPT)
            } else {
                print(io::stderr(), NICKNAME_PROMPT)
            };
        }
    }

    /// Sets the nickname that is offered to the server.
    pub(super) fn set_nickname(&self, nickname: &str) {
        nickname.clone_into(&mut self.lock().nickname);
    }

    /// Returns one's own nickname.
    pub(super) fn nickname(&self) -> String {
        self.lock().nickname.clone()
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all and flushes: `print!` would panic on a closed stream.
fn print(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}
