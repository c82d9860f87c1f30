//! The terminal client: a thread that receives, a thread that sends, and what they share.
//!
//! ```text
//!  keyboard ─> send thread ────> socket ────> server
//!    screen <─     │ Shared (one lock)
//!              receive thread <─ socket <──── server
//! ```
//!
//! The receive thread blocks in `read` on the socket. The send thread blocks in `poll`, on everything
//! else: on the keyboard, on the socket while it has something to send, and on the terminal while
//! there is something to draw. It reads keys whatever the others do, because it never waits in a
//! `write`; so no server and no terminal can make the keyboard dead.
//!
//! What they share is `Shared`, plain data behind one lock: the `link` (which connection there is, and
//! what is on its way to the server) and the `terminal` (what is seen, and what it is drawn from). The
//! lock is never held while anything waits. A thread that has changed something wakes the other one: the
//! receive thread waits on a condition variable, the send thread's `poll` has a pipe for it.
//!
//! `main` waits for whichever thread ends first and makes an exit code of it. The other one is not
//! joined: the end of the process takes it along.
//!
//! Reading order: [`options`], `link`, `receive`, `typed` (a person) and `piped` (a program), `terminal`;
//! then what the terminal is made of, all of it plain data in and out: `screen`, `editor` with `keys` and
//! `completion`, `transcript`, and `width`.

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

mod width;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use link::{Link, Phase};
use options::Options;
use terminal::Terminal;

use crate::system::terminal::{self as system, Input, Output, Ready};

/// How much one `read` takes, in bytes: what a flood leaves in the socket's buffer is shown in a few
/// large writes, not in many small ones.
const READ_BYTES: usize = 64 * 1024;

/// How long a person who leaves waits for the server's goodbye. A server that hangs must not keep a
/// person; when it is over, the connection is closed all the same.
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
    /// Why the standard output can no longer be written to.
    output_error: Option<io::Error>,
}

/// How a connection ended, or the client. The texts are for a person.
enum Outcome {
    /// The server said goodbye, or nobody wants more of it.
    Done,
    /// Trying again would change nothing.
    Failed(String),
    /// Another connection may do, if the user wants one.
    Lost(String),
}

/// Runs the client until it has left the chat or lost it, and returns the exit code of the program.
pub fn run(options: Options) -> ExitCode {
    let outcome = match system::open() {
        Ok((input, output)) => chat(options, input, output),
        Err(error) => Outcome::Failed(format!("Could not open the terminal: {error}")),
    };
    let (Outcome::Failed(why) | Outcome::Lost(why)) = outcome else { return ExitCode::SUCCESS };
    why.lines().for_each(terminal::fail);
    ExitCode::FAILURE
}

fn chat(options: Options, input: Input, output: Output) -> Outcome {
    let terminal = Terminal::open(&options);
    let mut shared = Shared { link: Link::default(), terminal, output_error: None };
    match &options.nickname {
        Some(nickname) => shared.name(nickname, Phase::Connecting),
        None => shared.terminal.ask_nickname(),
    }
    let edits = shared.terminal.edits;
    let (shared, changed) = (Mutex::new(shared), Condvar::new());
    let client = Arc::new(Client { options, output, shared, changed });
    let (end, ends) = mpsc::channel();
    let send = move |client: &Client| {
        if edits { typed::key_loop(client, input) } else { piped::line_loop(client, input) }
    };
    let started = start(&client, "send", &end, send)
        .and_then(|()| start(&client, "receive", &end, receive::receive_loop));
    let outcome = match started {
        // The first thread to end decides; there is always one.
        Ok(()) => ends.recv().unwrap_or(Outcome::Done),
        Err(error) => Outcome::Failed(format!("Could not start a thread: {error}")),
    };
    client.lock().close(&client.output, outcome)
}

/// Starts a thread that reports its end however it ends, so that `main` never waits in vain.
fn start(
    client: &Arc<Client>,
    name: &str,
    end: &Sender<Outcome>,
    run: impl FnOnce(&Client) -> Outcome + Send + 'static,
) -> io::Result<()> {
    let (client, end) = (Arc::clone(client), end.clone());
    let body = move || {
        // Locks that a panic poisons are recovered from, so nothing is left half done. The panic
        // itself was printed where it happened.
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&client)));
        // `main` may have gone already, and the process is going with it.
        let _ = end.send(outcome.unwrap_or(Outcome::Failed(String::new())));
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
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
        let waiting = self.changed.wait_while(self.lock(), |shared| !is_true(shared));
        drop(waiting);
    }

    /// One turn of the send thread: sends and draws what can be without a wait, then blocks until there
    /// is input (if it `wants` any), until more can be sent or drawn, until something has changed, or
    /// until `timeout` is over.
    ///
    /// # Errors
    ///
    /// This user has left, or the terminal is gone.
    fn turn(
        &self,
        input: &mut Input,
        wants: bool,
        timeout: Option<Duration>,
    ) -> Result<Ready, Outcome> {
        let mut shared = self.lock();
        let Shared { link, terminal, .. } = &mut *shared;
        let socket = link.pump(terminal);
        let is_drawn = terminal.draw(&self.output, link.waiting()).map_err(|_| Outcome::Done)?;
        let goodbye = shared.patience();
        if goodbye.is_some_and(|patience| patience.is_zero()) {
            return Err(Outcome::Done);
        }
        let ping = shared.link.next_ping();
        drop(shared);
        self.changed.notify_all();
        let output = (!is_drawn).then_some(&self.output);
        let timeout = [timeout, goodbye, ping].into_iter().flatten().min();
        let ready = input.wait(wants, socket.as_deref(), output, timeout);
        ready.map_err(|_| Outcome::Done)
    }
}

impl Shared {
    /// Takes a line for a nickname.
    fn name(&mut self, nickname: &str, next: Phase) {
        self.terminal.set_nickname(nickname.trim());
        self.link.phase = next;
        if next == Phase::Login {
            self.link.send(nickname.trim());
        }
    }

    /// Returns how long a person who leaves waits for the server's goodbye: not at all without a
    /// connection. A program wants to know whether all was taken: it waits however long it takes.
    fn patience(&self) -> Option<Duration> {
        let since = self.link.leaving.filter(|_| self.terminal.person_types)?;
        let is_in = self.link.phase == Phase::Chatting;
        Some(if is_in { LEAVE_TIMEOUT.saturating_sub(since.elapsed()) } else { Duration::ZERO })
    }

    /// Leaves. What a person still had waiting is not said any more.
    fn leave(&mut self) {
        if self.terminal.person_types {
            self.discard();
        }
        self.link.leave();
    }

    /// Discards the lines that wait, and returns whether there were any.
    fn discard(&mut self) -> bool {
        let lines = self.link.discard();
        if lines > 0 {
            self.terminal.note(&format!("Not sent: {}.", count_lines(lines)));
        }
        lines > 0
    }

    /// Gives a person back what a lost connection may not have delivered; a program's lines are to be
    /// sent again by the next one.
    fn disconnected(&mut self) {
        let lines = self.link.disconnected();
        if self.terminal.person_types {
            for line in lines {
                self.terminal.note(&format!("Not confirmed: {line}"));
            }
        } else {
            self.link.say_again(&lines);
        }
    }

    /// Gives the terminal back, says what was not said, and returns the outcome with that in mind.
    fn close(&mut self, output: &Output, outcome: Outcome) -> Outcome {
        let was_in = self.link.phase == Phase::Chatting;
        self.disconnected();
        if self.terminal.person_types {
            self.discard();
            let draft = self.terminal.take_draft();
            if !draft.is_empty() {
                self.terminal.note(&format!("Not sent: {draft}"));
            }
        }
        self.terminal.close(output);
        let mut reasons = match outcome {
            Outcome::Done => Vec::new(),
            Outcome::Failed(why) | Outcome::Lost(why) => vec![why],
        };
        let write_error = self.output_error.take();
        reasons.extend(write_error.map(|error| format!("Could not write the output: {error}")));
        if was_in && self.link.unsaid() > 0 {
            reasons.push(format!("Not said: {}.", count_lines(self.link.unsaid())));
        }
        if reasons.is_empty() { Outcome::Done } else { Outcome::Failed(reasons.join("\n")) }
    }
}

fn count_lines(lines: usize) -> String {
    if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") }
}
