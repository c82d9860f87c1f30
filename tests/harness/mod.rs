//! The test harness. It runs the programs as processes, connects to them with raw sockets or in terminals, and
//! puts a deadline on every wait.
//!
//! The harness does not know how the server works inside. It starts the binary, reads the address from the
//! first line of its log, and then does only what anybody with `nc` can do. The tests contain the exact texts
//! of the protocol. Only the texts of the login are in the harness.
//!
//! - [`Server`]: a running server, which is killed and waited for when it is dropped. [`FakeServer`]: a listener
//!   that takes the place of a server. The test decides what a client receives from this listener.
//! - [`Peer`]: one connection to a server, driven by the test's own thread.
//! - [`engine::FakeEngine`]: a fake Redis with faults, over which several servers share a room.
//! - [`redis`]: the processes of a real Redis. [`link::Link`]: a connection to Redis that a test can cut.
//! - [`Program`]: any process whose output is read line by line, such as a server or a client.
//! - [`Tmux`]: a terminal, to test what a program does only on a terminal.
//! - [`play`]: runs the sessions in the documentation.
//! - [`proc`]: facts about processes and sockets, from Linux. [`random`]: random numbers from a seed.
//! - [`Transcript`]: everything that was sent and received, in order. It is printed when the test fails.
//!
//! Every wait has a deadline. Where nothing can wake a test, the test polls ([`poll_until`]). No test sleeps in the
//! hope that something happens in the meantime. To show that an action does *not* cause a line, a test sends a
//! marker after the action. The marker must be the next line that arrives.

pub(crate) mod engine;

mod peer;

pub(crate) mod redis;

pub(crate) mod link;

mod process;

mod server;

mod tmux;

pub(crate) mod play;

pub(crate) mod proc;

pub(crate) mod random;

mod transcript;

use std::fmt::Display;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use peer::Peer;
pub(crate) use process::{Finished, Program, client_command, server_command, shell};
pub(crate) use server::{FakeServer, SURELY_BEHIND, Server};
pub(crate) use tmux::{Directory, Tmux};
pub(crate) use transcript::Transcript;

use chat::protocol::nickname::Nickname;
use chat::protocol::replies;

/// The time after which a wait fails the test. The deadline is long, so that tests pass on a busy machine too. A
/// test that passes never waits that long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The pause between two calls of `look` in [`poll_until`].
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Calls `look` repeatedly, with a short pause between calls, until `look` returns `Some`. Returns the value in the
/// `Some`. After the deadline, panics with a message that contains `what`. Only this message formats `what`.
#[track_caller]
pub(crate) fn poll_until<T>(what: impl Display, look: impl FnMut() -> Option<T>) -> T {
    poll_every(POLL_INTERVAL, what, look)
}

/// Does the same as [`poll_until`], but waits for `pause` between two calls of `look`. This function is meant for
/// an expensive `look`.
#[track_caller]
pub(crate) fn poll_every<T>(
    pause: Duration,
    what: impl Display,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        thread::sleep(pause);
    }
}

/// Prints that this test is left out, and why: for example, a tool or a permission is missing. If
/// `CHAT_TESTS_COMPLETE` is set, the test fails instead.
#[track_caller]
pub(crate) fn leave_out(why: &str) {
    assert!(std::env::var_os("CHAT_TESTS_COMPLETE").is_none(), "left out: {why}");
    let thread = thread::current();
    let line = format!("left out: {}: {why}\n", thread.name().unwrap_or("a test"));
    // The test runner captures the text of `eprintln!`, and shows it only if the test fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Returns whether OpenBSD's `nc` is installed. If it is not, prints that the test is left out. Other programs
/// named `nc` have other options and print other texts.
#[track_caller]
pub(crate) fn has_nc() -> bool {
    let help = Command::new("nc").arg("-h").output();
    let is_openbsd = |text: &[u8]| String::from_utf8_lossy(text).contains("OpenBSD");
    let has_it = help.is_ok_and(|help| is_openbsd(&help.stderr) || is_openbsd(&help.stdout));
    if !has_it {
        leave_out("there is no OpenBSD nc");
    }
    has_it
}

/// Parses a nickname, for the functions of `chat::protocol::replies`.
pub(crate) fn nickname(text: &str) -> Nickname {
    Nickname::parse(text).expect("the test passes a valid nickname")
}

/// The server's answer to a client that enters a nickname which is already in use.
pub(crate) fn taken(name: &str) -> String {
    replies::nickname_refused(replies::nickname_taken(&nickname(name)))
}

/// Returns a port that is free and stays free: it is below the range from which systems assign ports to connections
/// and to listeners on port 0. Each call returns a different port. Processes with consecutive ids use different
/// blocks of 100 ports; there are 200 blocks.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 200).expect("below 200");
    let ports = || 12_000 + 100 * block + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
    let is_free = |&port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    std::iter::repeat_with(ports).find(is_free).expect("the sequence does not end")
}

/// Returns the output and the exit code that the server, or the client, must have after an error in its command
/// line; `why` is the text of that error.
pub(crate) fn usage_error(why: &str) -> Finished {
    let errors = format!("[ERROR] {why} (try --help)\n");
    Finished { code: Some(2), output: String::new(), errors }
}
