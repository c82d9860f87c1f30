//! The harness: the programs as processes, strangers on raw sockets, terminals, and a deadline on
//! every wait.
//!
//! Nothing here knows how the server is built: it starts the binary, reads the address from the
//! first line of its log, and from then on is what anybody with `nc` is. The exact texts of the wire
//! stand in the tests; here are only those without which nobody gets in.
//!
//! - [`Server`]: a running server. Dropped, it is killed and waited for. [`FakeServer`]: one whose
//!   words a test chooses.
//! - [`Peer`]: one connection to it, driven by the test's own thread.
//! - [`Program`]: any process whose output is read line by line; the server is one, so is a client.
//! - [`Tmux`]: a terminal, for what only a terminal gets.
//! - [`play`]: the sessions in the documentation, acted out.
//! - [`proc`]: what Linux tells about processes and sockets. [`random`]: numbers from a seed.
//! - [`Transcript`]: what all of them said, in order, printed when the test fails.
//!
//! Every wait has a deadline, and what cannot be waited for is polled ([`poll_until`]). No pause
//! decides an order. That something does *not* arrive is shown by a marker: the next line that does
//! arrive is the one sent after it.

mod peer;

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

/// How long anything may take before the test fails. Long, since only a failure takes so long, and a
/// busy machine is none.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How long [`poll_until`] waits between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls: looks again and again, with a short pause in between, until there is something to see, and
/// returns that. Past the deadline it panics with `what` should have come about, which is not
/// formatted before.
#[track_caller]
pub(crate) fn poll_until<T>(what: impl Display, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Says that this test is left out, and why: a tool that is not there, a right that it lacks. Where
/// `CHAT_TESTS_COMPLETE` is set, leaving out is failing.
#[track_caller]
pub(crate) fn leave_out(why: &str) {
    assert!(std::env::var_os("CHAT_TESTS_COMPLETE").is_none(), "left out: {why}");
    let thread = thread::current();
    let line = format!("left out: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Not by `eprintln!`, whose text is shown only if the test fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Whether there is the `nc` of OpenBSD; if not, what needs it is left out. Others of that name have
/// other options, and print other words.
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

/// The nickname of that text, for the functions of `chat::protocol::replies`.
pub(crate) fn nickname(text: &str) -> Nickname {
    Nickname::parse(text).expect("the test gives a fit nickname")
}

/// The answer at the prompt to a nickname that somebody has.
pub(crate) fn taken(name: &str) -> String {
    replies::nickname_refused(replies::nickname_taken(&nickname(name)))
}

/// A port that is free and stays so: below those that systems give to connections and to port 0,
/// another one each time, and, of 200 runs of this binary in a row, from a block of its own.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 200).expect("it is small");
    let ports = || 12_000 + 100 * block + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
    let is_free = |&port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    std::iter::repeat_with(ports).find(is_free).expect("the sequence does not end")
}

/// What both programs do with a command line that is wrong in this way.
pub(crate) fn usage_error(why: &str) -> Finished {
    let errors = format!("[ERROR] {why} (try --help)\n");
    Finished { code: Some(2), output: String::new(), errors }
}
