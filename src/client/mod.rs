//! The terminal client: a thread that receives, a thread that sends, and the data that they share.
//!
//! ```text
//!  keyboard ─> send thread ────> socket ────> server
//!    screen <─     │ Shared (one lock)
//!              receive thread <─ socket <──── server
//! ```
//!
//! The receive thread blocks in `read` on the socket. The send thread blocks in `poll`. This call waits for keys,
//! for space in the socket if there is text to send, and for space in the output if there is text to show. The
//! send thread never blocks in a `write`. So this thread handles keys even if the server or the terminal accepts
//! no data.
//!
//! The threads share `Shared`, plain data behind one lock. The data has two parts: the `link` (the connection,
//! and the lines for the server) and the `terminal` (the text for the user, and the data from which this text is
//! drawn). No thread blocks while it holds the lock, except for a moment if standard error accepts no output. A
//! thread that changes the data wakes the other thread. If there is no nickname yet, or if too much text waits to
//! be shown, the receive thread waits on a condition variable. The send thread is woken by a byte in a pipe: its
//! `poll` also waits for this pipe.
//!
//! `main` waits for the send thread. The send thread ends when the user leaves, or when the receive thread has
//! ended. `main` turns the result of the send thread into an exit code. The receive thread is not joined: it ends
//! with the process.
//!
//! The modules are meant to be read in this order:
//!
//! 1. [`options`]: the command line.
//! 2. [`link`]: the connection, and the lines that the server has not confirmed yet.
//! 3. [`receive`]: the receive thread.
//! 4. [`typed`] and [`piped`]: the input from a person, and the input from a program.
//! 5. [`terminal`]: the text for the user, and when it is shown.
//! 6. The parts of the terminal, which do no I/O: [`screen`], [`editor`] with [`keys`] and [`completion`],
//!    [`transcript`] with [`people`], and [`width`].

pub mod options;

mod link;

mod receive;

mod typed;

mod piped;

mod terminal;

mod screen;

mod editor;

mod keys;

mod completion;

mod transcript;

mod people;

mod width;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use keys::KeyParser;
use link::{Link, Phase};
use options::Options;
use terminal::Terminal;

use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::framing::LineDecoder;
use crate::system::terminal::{self as system, Input, Output};

/// The maximum number of bytes that one `read` returns. It is large, so that a flood of text is shown with a few
/// large writes instead of many small writes.
const READ_BYTES: usize = 64 * 1024;

/// The number of waiting lines at which the client stops reading input from a program.
const MAX_WAITING_LINES: usize = 1000;

/// The data that the two threads share.
struct Client {
    options: Options,
    output: Output,
    shared: Mutex<Shared>,
    /// The receive thread waits on this condition variable.
    changed: Condvar,
}

struct Shared {
    link: Link,
    terminal: Terminal,
    /// The way in which the client ends. Once this field is set, the send thread ends.
    outcome: Option<Outcome>,
}

/// How a connection or the client ended. The texts are error messages for the user.
enum Outcome {
    /// The end was not a failure: for example, the server said goodbye.
    Done,
    /// Another attempt to connect would fail in the same way.
    Failed(String),
    /// Another attempt to connect may succeed. With `--reconnect`, the client tries again.
    Lost(String),
}

/// Runs the client until it has left the chat or has lost the connection. Returns the exit code of the program.
pub fn run(options: Options) -> ExitCode {
    let reasons = chat(options).unwrap_or_else(|error| vec![format!("Could not start: {error}")]);
    for why in &reasons {
        terminal::fail(why);
    }
    if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the chat until it ends. Returns an error message for each thing that went wrong.
fn chat(options: Options) -> io::Result<Vec<String>> {
    let (input, output) = system::open()?;
    let terminal = Terminal::open(&options);
    let mut shared = Shared { link: Link::default(), terminal, outcome: None };
    match &options.nickname {
        Some(nickname) => shared.name(nickname),
        None => shared.terminal.ask_nickname(),
    }
    let (shared, changed) = (Mutex::new(shared), Condvar::new());
    let client = Arc::new(Client { options, output, shared, changed });
    let outcome = run_threads(&client, input)
        .unwrap_or_else(|error| Outcome::Failed(format!("Could not start a thread: {error}")));
    Ok(client.lock().close(&client.output, outcome))
}

/// Runs the two threads until the send thread ends.
fn run_threads(client: &Arc<Client>, input: Input) -> io::Result<Outcome> {
    let receiver = Arc::clone(client);
    thread::Builder::new().name("receive".to_owned()).spawn(move || {
        // A panic also sets an outcome, so that the send thread does not wait forever. The message of the panic
        // is already printed. The lock is used even if the panic has poisoned it.
        let outcome = catch_unwind(AssertUnwindSafe(|| receive::receive_loop(&receiver)));
        let outcome = outcome.unwrap_or(Outcome::Failed("Internal error.".to_owned()));
        receiver.change(|shared| shared.outcome = Some(outcome));
    })?;
    let sender = Arc::clone(client);
    let send = thread::Builder::new().name("send".to_owned());
    let send = send.spawn(move || send_loop(&sender, input))?;
    Ok(send.join().unwrap_or(Outcome::Failed("Internal error.".to_owned())))
}

impl Client {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the shared data, and wakes the send thread, which then sends and draws.
    fn change<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        let result = change(&mut self.lock());
        system::wake();
        result
    }

    /// Blocks the receive thread until `is_true` returns `true`. After each iteration of the send thread's loop,
    /// `is_true` is called again.
    fn wait_until(&self, is_true: impl Fn(&Shared) -> bool) {
        drop(self.changed.wait_while(self.lock(), |shared| !is_true(shared)));
    }
}

/// The body of the send thread. In each iteration, the thread sends and draws as much as possible without
/// blocking. Then it blocks until there is input, until more can be sent or drawn, until the receive thread has
/// changed something, or until a deadline has passed. While many lines from a program wait to be sent, the thread
/// does not read input. So the program is slowed down to the pace of the server.
///
/// Returns when the user has left, when the receive thread has ended, or when the terminal is gone.
fn send_loop(client: &Client, mut input: Input) -> Outcome {
    let Client { options, output, .. } = client;
    let mut buffer = vec![0; READ_BYTES];
    let (mut keys, mut lines) = (KeyParser::default(), LineDecoder::new(MAX_MESSAGE_BYTES));
    // The time at which the client stops waiting for the rest of an incomplete key.
    let mut key_due = None;
    loop {
        let mut shared = client.lock();
        let Shared { link, terminal, .. } = &mut *shared;
        let wants = terminal.edits
            || !options.listen && !link.leaving && link.waiting() < MAX_WAITING_LINES;
        let socket = link.pump(terminal);
        let due = [key_due, link.next_due()].into_iter().flatten().min();
        let is_drawn = terminal.draw(output, link.waiting());
        if let Some(outcome) = shared.ending(options.listen) {
            return outcome;
        }
        drop(shared);
        client.changed.notify_all();
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        let ready = input.wait(wants, socket.as_deref(), (!is_drawn).then_some(output), timeout);
        let Ok(ready) = ready else { return Outcome::Done };
        if ready.redraw {
            system::raw_mode();
        }
        let read = if ready.input { input.read(&mut buffer) } else { None };
        let mut shared = client.lock();
        let pressed = match read.map(|bytes| &buffer[..bytes]) {
            Some(bytes) if !shared.terminal.edits => {
                shared.read_lines(&mut lines, bytes);
                continue;
            }
            // The terminal is gone.
            Some([]) => return Outcome::Done,
            Some(bytes) => keys.feed(bytes),
            None if key_due.is_some_and(|due| due <= Instant::now()) => keys.nothing_followed(),
            None => continue,
        };
        key_due = keys.patience().map(|patience| Instant::now() + patience);
        for key in &pressed {
            shared.press(key, output);
        }
    }
}

impl Shared {
    /// Uses a line as the nickname. The client connects with this nickname, or sends it to a server that has
    /// refused another nickname.
    fn name(&mut self, nickname: &str) {
        self.terminal.set_nickname(nickname.trim());
        self.link.enter(Phase::Login);
        self.link.send(nickname.trim());
    }

    /// Returns how the client ends, if it must end now. If a write to a pipe or a file fails, for example because
    /// the disk is full, the client still sends lines. If nobody reads the output any more, the client ends at
    /// once, unless the client's input has already ended. In that case, the client first sends the lines that are
    /// left.
    fn ending(&mut self, listens: bool) -> Option<Outcome> {
        let Self { link, terminal, outcome } = self;
        let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match terminal.error.as_ref().map(is_closed) {
            _ if outcome.is_some() => outcome.take(),
            // The goodbye has taken too long. The receive thread cannot handle this if it waits for a slow
            // terminal.
            _ if link.phase == Phase::Leaving && link.is_due() => Some(Outcome::Done),
            Some(is_closed) if terminal.edits || is_closed && listens => Some(Outcome::Done),
            Some(true) if !link.leaving => {
                Some(Outcome::Failed("Nobody reads the output any more.".to_owned()))
            }
            _ => None,
        }
    }

    /// Leaves the chat. When a person leaves, the client discards the lines that still wait, and waits a moment
    /// for the server's goodbye. The client does not wait if it is not in the room, or if the person asks to
    /// leave a second time. A program must know whether the server has received all of the program's lines. So
    /// when the input of a program ends, the client waits without a limit.
    fn leave(&mut self) {
        self.link.leaving = true;
        if !self.terminal.person_types {
            return;
        }
        self.discard();
        if self.link.phase == Phase::Chatting {
            self.link.send("/quit");
            self.link.enter(Phase::Leaving);
        } else {
            self.outcome = Some(Outcome::Done);
        }
    }

    /// Discards the lines that wait to be sent. Returns whether there were any such lines.
    fn discard(&mut self) -> bool {
        let lines = self.link.discard();
        if lines > 0 {
            self.terminal.note(&format!("Not sent: {}.", count_lines(lines)));
        }
        lines > 0
    }

    /// Handles the lines that a lost connection may not have delivered. A person is shown these lines. The lines
    /// of a program are sent again on the next connection.
    fn disconnected(&mut self) {
        if self.terminal.person_types {
            for line in self.link.take_until(self.link.sent()) {
                self.terminal.note(&format!("Not confirmed: {line}"));
            }
        }
        self.link.disconnected();
    }

    /// Restores the terminal. Returns an error message for each thing that went wrong, such as lines that were
    /// not sent.
    fn close(&mut self, output: &Output, outcome: Outcome) -> Vec<String> {
        self.disconnected();
        if self.terminal.person_types {
            self.discard();
        }
        self.terminal.close(output);
        let mut reasons = match outcome {
            Outcome::Done => Vec::new(),
            Outcome::Failed(why) | Outcome::Lost(why) => why.lines().map(str::to_owned).collect(),
        };
        let error =
            self.terminal.error.take().filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        reasons.extend(error.map(|error| format!("Could not write the output: {error}")));
        if self.link.last_seen.is_some() && self.link.unsaid() > 0 {
            reasons.push(format!("Not said: {}.", count_lines(self.link.unsaid())));
        }
        reasons
    }
}

fn count_lines(lines: usize) -> String {
    if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") }
}
