//! The terminal client: a thread that receives, a thread that sends, and what they share.
//!
//! ```text
//!  keyboard ─> send thread ────> socket ────> server
//!    screen <─     │ Shared (one lock)
//!              receive thread <─ socket <──── server
//! ```
//!
//! The receive thread blocks in `read` on the socket. The send thread blocks in `poll`, on everything else: on
//! the keyboard, on the socket while it has something to send, and on the output while there is something to
//! show. It never waits in a `write`. So it always reads keys: no server and no terminal can make the keyboard
//! dead.
//!
//! They share `Shared`, plain data behind one lock: the `link` (the connection, and what is on its way to the
//! server) and the `terminal` (what is seen, and what it is drawn from). No thread waits while it holds the
//! lock, except for a moment if standard error takes nothing. A thread that has changed something wakes the
//! other one. The receive thread waits on a condition variable, and the send thread's `poll` has a pipe for it.
//!
//! `main` waits for the send thread. It ends by itself, or because the receive thread has ended. `main` turns
//! the result into an exit code. The receive thread is not joined: it ends with the process.
//!
//! Reading order: [`options`], `link`, `receive`, `typed` (a person) and `piped` (a program), `terminal`.
//! Then come the parts of the terminal, plain data in and out: `screen`, `editor` with `keys` and
//! `completion`, `transcript` with `people`, and `width`.

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

/// How much one `read` takes, in bytes. It is large, so that a flood is shown in a few large writes instead of
/// many small ones.
const READ_BYTES: usize = 64 * 1024;

/// When this many lines wait, no more input of a program is read.
const MAX_WAITING_LINES: usize = 1000;

/// The data that the two threads share.
struct Client {
    options: Options,
    output: Output,
    shared: Mutex<Shared>,
    /// The receive thread waits on it.
    changed: Condvar,
}

struct Shared {
    link: Link,
    terminal: Terminal,
    /// How the client ends, once that is known. The send thread then ends.
    outcome: Option<Outcome>,
}

/// How a connection or the client ended. The texts are for a person.
enum Outcome {
    /// The server said goodbye, or nobody reads the output any more.
    Done,
    /// Trying again would change nothing.
    Failed(String),
    /// Another connection may work, if the user wants one.
    Lost(String),
}

/// Runs the client until it has left the chat or lost it, and returns the exit code of the program.
pub fn run(options: Options) -> ExitCode {
    let reasons = chat(options).unwrap_or_else(|error| vec![format!("Could not start: {error}")]);
    for why in &reasons {
        terminal::fail(why);
    }
    if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Chats, and returns what went wrong.
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
        // A panic is reported as an end too, so that nobody waits in vain. Its message is already printed. The
        // lock that it poisons is used as it is.
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

    /// Changes what is shared, and wakes the send thread, which sends and draws what is new.
    fn change<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        let result = change(&mut self.lock());
        system::wake();
        result
    }

    /// Blocks the receive thread until `is_true` holds. It is checked after each turn of the send thread.
    fn wait_until(&self, is_true: impl Fn(&Shared) -> bool) {
        drop(self.changed.wait_while(self.lock(), |shared| !is_true(shared)));
    }
}

/// The body of the send thread. In each turn it sends and draws as much as it can without a wait. Then it blocks
/// until there is input (if it wants any), until more can be sent or drawn, until something has changed, or
/// until something is due. While many lines of a program wait to be sent, it wants no input. So a program that
/// writes into the pipe is slowed to the pace of the server.
///
/// Returns how the client ends: this user has left, the receive thread has ended, or the terminal is gone.
fn send_loop(client: &Client, mut input: Input) -> Outcome {
    let Client { options, output, .. } = client;
    let mut buffer = vec![0; READ_BYTES];
    let (mut keys, mut lines) = (KeyParser::default(), LineDecoder::new(MAX_MESSAGE_BYTES));
    // When the rest of an incomplete key is no longer waited for.
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
    /// Takes a line for a nickname: to connect with, or to answer the server that has refused another one.
    fn name(&mut self, nickname: &str) {
        self.terminal.set_nickname(nickname.trim());
        self.link.enter(Phase::Login);
        self.link.send(nickname.trim());
    }

    /// Returns how the client ends, if it is time to end. If the output of a program cannot be written, or nobody
    /// reads it any more, the lines that were read are still sent.
    fn ending(&mut self, listens: bool) -> Option<Outcome> {
        let Self { link, terminal, outcome } = self;
        let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match terminal.error.as_ref().map(is_closed) {
            _ if outcome.is_some() => outcome.take(),
            // The receive thread may be waiting for a terminal that takes nothing.
            _ if link.phase == Phase::Leaving && link.is_due() => Some(Outcome::Done),
            Some(is_closed) if terminal.edits || is_closed && listens => Some(Outcome::Done),
            Some(true) if !link.leaving => {
                Some(Outcome::Failed("Nobody reads the output any more.".to_owned()))
            }
            _ => None,
        }
    }

    /// Leaves. For a person, lines that still wait are not sent. The client waits a moment for the server's
    /// goodbye. It does not wait if no goodbye can come, or if the person leaves for the second time. A program
    /// must know whether the server has taken all its lines, so for a program there is no limit.
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

    /// Discards the lines that wait, and returns whether there were any.
    fn discard(&mut self) -> bool {
        let lines = self.link.discard();
        if lines > 0 {
            self.terminal.note(&format!("Not sent: {}.", count_lines(lines)));
        }
        lines > 0
    }

    /// Takes up the lines that a lost connection may not have delivered. A person gets them back. The lines of
    /// a program are sent again on the next connection.
    fn disconnected(&mut self) {
        if self.terminal.person_types {
            for line in self.link.take_until(self.link.sent()) {
                self.terminal.note(&format!("Not confirmed: {line}"));
            }
        }
        self.link.disconnected();
    }

    /// Restores the terminal, and returns what went wrong: why the client ends, and what was not said.
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
