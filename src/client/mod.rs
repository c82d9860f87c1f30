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

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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

/// When so many lines wait, no more input of a program is read.
const MAX_WAITING_LINES: usize = 1000;

/// How long a person who leaves waits for the server's goodbye. A server that hangs must not keep a person.
/// When this time is over, the client closes the connection.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the two threads have in common.
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
    /// How the receive thread has ended.
    outcome: Option<Outcome>,
    /// Why the standard output can no longer be written to.
    output_error: Option<io::Error>,
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
    let mut shared = Shared { link: Link::default(), terminal, outcome: None, output_error: None };
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
    let send = thread::Builder::new().name("send".to_owned()).spawn(move || {
        let Err(outcome) = send_loop(&sender, input);
        outcome
    })?;
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

    /// Blocks the receive thread until a turn of the send thread has made something true.
    fn wait_until(&self, is_true: impl Fn(&Shared) -> bool) {
        drop(self.changed.wait_while(self.lock(), |shared| !is_true(shared)));
    }
}

/// What the send thread runs. In each turn it sends and draws as much as it can without a wait. Then it blocks
/// until there is input (if it wants any), until more can be sent or drawn, until something has changed, or
/// until something is due. While many lines of a program wait to be sent, it wants no input. So a program that
/// writes into the pipe is slowed to the pace of the server.
///
/// # Errors
///
/// How the client ends: this user has left, the receive thread has ended, or the terminal is gone.
fn send_loop(client: &Client, mut input: Input) -> Result<Infallible, Outcome> {
    let Client { options, output, .. } = client;
    let mut buffer = vec![0; READ_BYTES];
    let (mut keys, mut lines) = (KeyParser::default(), LineDecoder::new(MAX_MESSAGE_BYTES));
    // When the rest of an incomplete key is no longer waited for.
    let mut key_due = None;
    loop {
        let mut shared = client.lock();
        let Shared { link, terminal, outcome, .. } = &mut *shared;
        let has_left = terminal.person_types && link.leaving && link.is_due();
        if let Some(outcome) = outcome.take().or(has_left.then_some(Outcome::Done)) {
            return Err(outcome);
        }
        let wants = terminal.edits
            || !options.listen && !link.leaving && link.waiting() < MAX_WAITING_LINES;
        let socket = link.pump(terminal);
        let due = [key_due, link.next_due()].into_iter().flatten().min();
        let is_drawn = shared.draw(output, options.listen)?;
        drop(shared);
        client.changed.notify_all();
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        let ready = input.wait(wants, socket.as_deref(), (!is_drawn).then_some(output), timeout);
        let ready = ready.map_err(|_| Outcome::Done)?;
        if ready.redraw {
            system::raw_mode();
        }
        let read = if ready.input { input.read(&mut buffer) } else { None };
        let mut shared = client.lock();
        let pressed = match read.map(|bytes| &buffer[..bytes]) {
            Some(bytes) if !shared.terminal.edits => {
                shared.read_lines(&mut lines, bytes, options.say)?;
                continue;
            }
            // The terminal is gone.
            Some([]) => return Err(Outcome::Done),
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
    /// Takes a line for a nickname.
    fn name(&mut self, nickname: &str) {
        self.terminal.set_nickname(nickname.trim());
        self.link.name(nickname.trim());
    }

    /// Shows as much as the output takes without a wait. Returns whether the output took everything.
    ///
    /// # Errors
    ///
    /// The end: nobody reads any more. The lines of a program are still sent if only the output has failed, or
    /// if the input has ended.
    fn draw(&mut self, output: &Output, listens: bool) -> Result<bool, Outcome> {
        let drawn = self.terminal.draw(output, self.link.waiting());
        drawn.or_else(|error| {
            let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
            if self.terminal.edits || is_closed && listens {
                return Err(Outcome::Done);
            }
            if is_closed && !self.link.leaving {
                return Err(Outcome::Failed("Nobody reads the output any more.".to_owned()));
            }
            self.output_error = Some(error);
            Ok(false)
        })
    }

    /// Leaves. For a person, lines that still wait are not sent. The client waits a moment for the server's
    /// goodbye. It does not wait if no goodbye can come, or if the person leaves for the second time. A program
    /// must know whether the server has taken all its lines, so for a program there is no limit.
    fn leave(&mut self) {
        let waits = self.link.phase == Phase::Chatting && !self.link.leaving;
        self.link.leaving = true;
        if self.terminal.person_types {
            self.discard();
            let patience = if waits { LEAVE_TIMEOUT } else { Duration::ZERO };
            self.link.due = Some(Instant::now() + patience);
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
            for line in self.link.take_until(self.link.sent) {
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
            let draft = self.terminal.take_draft();
            if !draft.is_empty() {
                self.terminal.note(&format!("Not sent: {draft}"));
            }
        }
        let written = self.terminal.close(output);
        let mut reasons = match outcome {
            Outcome::Done => Vec::new(),
            Outcome::Failed(why) | Outcome::Lost(why) => why.lines().map(str::to_owned).collect(),
        };
        let error = self.output_error.take().or(written.err());
        let error = error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
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
