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
//! Reading order: [`options`], `link`, `receive`, `send`, `terminal`.

pub mod options;

mod link;

mod receive;

mod send;

mod terminal;

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
    Received(Ending),
    Sent(Left),
    /// The panic itself was printed where it happened.
    Panicked,
}

/// Runs the client until it has left the chat or lost it, and returns the exit code of the program.
pub fn run(options: Options) -> ExitCode {
    let terminal = Terminal::open();
    let link = Link::new();
    if let Some(nickname) = &options.nickname {
        terminal.set_nickname(nickname);
        link.enter(Phase::Connecting);
    }
    let client = Arc::new(Client { options, link, terminal });
    let (end, ends) = mpsc::channel();
    let started =
        start(&client, "send", &end, |client| End::Sent(send_loop(client))).and_then(|()| {
            start(&client, "receive", &end, |client| End::Received(receive_loop(client)))
        });
    drop(end);
    let result = match started {
        Ok(()) => wait(&client, &ends),
        Err(error) => Err(vec![format!("Could not start a thread: {error}")]),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(lines) => {
            for line in &lines {
                client.terminal.error(line);
            }
            ExitCode::FAILURE
        }
    }
}

/// Starts a thread that reports its end however it ends, so that `main` never waits in vain.
fn start(
    client: &Arc<Client>,
    name: &str,
    end: &Sender<End>,
    run: fn(&Client) -> End,
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

/// Waits for the first thread to end, and for the other one's word where that decides. Returns what
/// went wrong, in lines.
fn wait(client: &Client, ends: &Receiver<End>) -> Result<(), Vec<String>> {
    let left = match ends.recv() {
        Ok(End::Received(ending)) => return judge(client, ending),
        Ok(End::Sent(left)) => left,
        Ok(End::Panicked) | Err(_) => return Err(Vec::new()),
    };
    let last = match left {
        Left::Unconnected => return Ok(()),
        Left::Unnamed => return Err(vec!["There is no nickname: the input is empty.".to_owned()]),
        // A person has decided to go. What the server makes of it is shown if it comes in time.
        Left::Quit if client.terminal.input_is_terminal() => {
            let _ = ends.recv_timeout(LEAVE_TIMEOUT);
            return Ok(());
        }
        // A script wants to know whether all was taken: however long it takes.
        Left::Quit | Left::ServerGone => ends.recv(),
    };
    match last {
        Ok(End::Received(ending)) => judge(client, ending),
        _ => Err(Vec::new()),
    }
}

/// Makes a result of the way in which the connection ended.
fn judge(client: &Client, ending: Ending) -> Result<(), Vec<String>> {
    match ending {
        Ending::Goodbye | Ending::OutputClosed => Ok(()),
        Ending::Closed | Ending::Lost(_) if client.link.leaving() => {
            Err(vec!["The server did not say goodbye: not everything may have arrived.".to_owned()])
        }
        Ending::Closed => Err(vec!["The server closed the connection.".to_owned()]),
        Ending::Lost(error) => Err(vec![format!("The connection to the server is lost: {error}")]),
        Ending::Refused => Err(vec!["The server did not take the nickname.".to_owned()]),
        Ending::NotConnected(error) => {
            let mut lines = vec![
                format!("Could not connect to server at {}", client.options.endpoint),
                "Make sure the server is running!".to_owned(),
            ];
            if error.kind() != io::ErrorKind::ConnectionRefused {
                lines.push(error.to_string());
            }
            Err(lines)
        }
    }
}
