//! The terminal client: a thread that receives, a thread that sends, and what they share.
//!
//! ```text
//!  keyboard ─> send thread ────> socket ────> server
//!                  │ Terminal (one lock)
//!    screen <─ receive thread <─ socket <──── server
//! ```
//!
//! Each thread blocks in one `read`: the one in the socket's, the other in the keyboard's. Two
//! things are shared, each behind its own lock: the `link` (which connection there is, and how far
//! it is) and the `terminal`. Neither lock is held while reading, and no thread ever holds both.
//!
//! `main` waits for whichever thread ends first and makes an exit code of it. The other one is not
//! joined: nothing can wake a thread out of reading the keyboard, and the end of the process takes it
//! along.
//!
//! Reading order: [`options`], `link`, `receive`, `send`, `terminal`; then what the terminal is made of,
//! all of it plain data in and out: `screen`, `editor` with `keys` and `completion`, `transcript`, and
//! `width`.

pub mod options;

mod link;

mod receive;

mod send;

mod terminal;

mod screen;

mod editor;

mod keys;

mod completion;

mod transcript;

mod width;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use std::{io, thread};

use link::{Link, Phase};
use options::Options;
use receive::{Ending, receive_loop};
use send::{Left, send_loop};
use terminal::Terminal;

/// How long somebody who leaves waits for the server's goodbye. A server that hangs must not keep a
/// person; when it is over, the connection is closed all the same.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the two threads share.
struct Client {
    options: Options,
    link: Link,
    terminal: Terminal,
}

/// What a thread has to say last.
enum End {
    Frame(Ending),
    Sent(Left),
    Panicked,
}

/// Runs the client until it has left the chat or lost it, and returns the exit code of the program.
pub fn run(options: Options) -> ExitCode {
    let (terminal, keyboard) = Terminal::open(&options);
    let link = Link::new();
    if let Some(nickname) = &options.nickname {
        terminal.set_nickname(nickname);
        link.enter(Phase::Connecting);
    }
    let client = Arc::new(Client { options, link, terminal });
    let (end, ends) = mpsc::channel();
    let send = |client: &Client| End::Sent(send_loop(client, keyboard));
    let receive = |client: &Client| End::Frame(receive_loop(client));
    let started =
        start(&client, "send", &end, send).and_then(|()| start(&client, "receive", &end, receive));
    let result = match started {
        Ok(()) => wait(&client, &ends),
        Err(error) => Err(format!("Could not start a thread: {error}")),
    };
    if let Some(line) = client.terminal.close() {
        client.terminal.status(&format!("Not sent: {line}"));
    }
    let Err(why) = result else { return ExitCode::SUCCESS };
    why.lines().for_each(|line| client.terminal.error(line));
    ExitCode::FAILURE
}

/// Starts a thread that reports its end however it ends, so that `main` never waits in vain.
fn start(
    client: &Arc<Client>,
    name: &str,
    end: &Sender<End>,
    run: impl FnOnce(&Client) -> End + Send + 'static,
) -> io::Result<()> {
    let (client, end) = (Arc::clone(client), end.clone());
    let body = move || {
        // Locks that a panic poisons are recovered from, so nothing is left half done.
        let last = catch_unwind(AssertUnwindSafe(|| run(&client))).unwrap_or(End::Panicked);
        // `main` may have gone already, and the process is going with it.
        let _ = end.send(last);
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

/// Waits for the first thread to end, and for the other one's word where that decides.
///
/// # Errors
///
/// What went wrong, in lines.
fn wait(client: &Client, ends: &Receiver<End>) -> Result<(), String> {
    let typed = client.terminal.input_is_terminal();
    let last = match ends.recv() {
        Ok(End::Sent(Left::Unconnected)) => return Ok(()),
        Ok(End::Sent(Left::Unnamed)) => return Err("There is no nickname.".to_owned()),
        // A person has decided to go. What the server makes of it is shown if it comes in time.
        Ok(End::Sent(Left::Quit)) if typed => {
            let _ = ends.recv_timeout(LEAVE_TIMEOUT);
            return Ok(());
        }
        // A script wants to know whether all was taken: however long it takes.
        Ok(End::Sent(Left::Quit | Left::ServerGone)) => ends.recv(),
        received => received,
    };
    match last {
        Ok(End::Frame(Ending::Left)) => Ok(()),
        Ok(End::Frame(_)) if typed && client.link.leaving() => Ok(()),
        Ok(End::Frame(Ending::Refused(why) | Ending::Lost(why))) => Err(why),
        Ok(End::Frame(Ending::NotConnected(error))) => {
            let endpoint = &client.options.endpoint;
            let why = format!("Could not connect to server at {endpoint}");
            let why = why + "\nMake sure the server is running!";
            // That nobody listens there is what these two lines say already.
            let told = error.kind() == io::ErrorKind::ConnectionRefused;
            Err(if told { why } else { format!("{why}\n{error}") })
        }
        // The panic itself was printed where it happened.
        _ => Err(String::new()),
    }
}
