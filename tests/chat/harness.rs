//! The harness: the server as a process, strangers on raw sockets, and a deadline on every wait.
//!
//! Nothing here knows how the server is built: it starts the binary, reads the port from the first
//! line of its log, and from then on is what anybody with `nc` is. The exact texts of the wire stand
//! in the tests; here are only those without which nobody gets in.
//!
//! - [`Server`]: a running server. Dropped, it is killed and waited for.
//! - [`Peer`]: one connection to it, driven by the test's own thread.
//! - [`Program`]: any process whose output is read line by line; the server is one, so is a client.
//! - [`Tmux`]: a terminal, for what only a terminal gets; shared with the tests of the client's screen.
//! - [`Transcript`]: what all of them said, in order, printed when the test fails.
//!
//! No wait is without a deadline and no test sleeps. That something does *not* arrive is shown by a
//! marker: the next line that does arrive is the one sent after it.

mod peer;

mod program;

mod server;

mod transcript;

#[path = "../terminal/tmux.rs"]
#[expect(dead_code, reason = "the tests of the client's screen use more of it")]
#[expect(clippy::unwrap_used, reason = "a test may: its panic is its verdict")]
mod tmux;

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub(crate) use peer::Peer;
pub(crate) use program::{Finished, Program, client_command, server_command, shell};
pub(crate) use server::Server;
pub(crate) use tmux::Tmux;
pub(crate) use transcript::Transcript;

use chat::protocol::nickname::Nickname;
use chat::protocol::replies;

/// How long anything may take before the test fails. Long, since it is reached only by a failure,
/// and a busy machine is none.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Tries again and again until it is done. Each turn asks the server something or waits for it, so
/// this is no busy waiting; `what` is what should come about.
#[track_caller]
pub(crate) fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < DEADLINE, "{what}: waited in vain");
    }
}

/// Whether there is an `nc`; says so if not, and what needs it is left out.
pub(crate) fn has_nc() -> bool {
    let help = Command::new("nc").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if help.is_err() {
        eprintln!("skipped: there is no nc");
    }
    help.is_ok()
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
    loop {
        let port = 12_000 + 50 * block + NEXT.fetch_add(1, Ordering::Relaxed) % 50;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// What both programs do with a command line that is wrong in this way.
pub(crate) fn usage_error(why: &str) -> Finished {
    let errors = format!("[ERROR] {why} (try --help)\n");
    Finished { code: Some(2), output: String::new(), errors }
}
