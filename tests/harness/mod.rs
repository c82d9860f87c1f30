//! The harness: the programs as processes, strangers on raw sockets, terminals, and a deadline on
//! every wait.
//!
//! Nothing here knows how the server is built: it starts the binary, reads the address from the first line of
//! its log, and from then on does what anybody with `nc` can do. The tests have the exact texts of the wire.
//! Only the texts of the login stand here.
//!
//! - [`Server`]: a running server. Dropped, it is killed and waited for. [`FakeServer`]: one whose
//!   words a test chooses.
//! - [`Peer`]: one connection to it, driven by the test's own thread.
//! - [`engine::FakeEngine`]: a fake of the engine over which several servers share a room, with every fault.
//! - [`redis`]: the processes of a real engine. [`link::Link`]: a link to one, which can be cut.
//! - [`Program`]: any process whose output is read line by line, such as a server or a client.
//! - [`Tmux`]: a terminal, for what a program does only on a terminal.
//! - [`play`]: the sessions in the documentation, acted out.
//! - [`proc`]: what Linux tells about processes and sockets. [`random`]: random numbers from a seed.
//! - [`Transcript`]: everything that was sent and received, in order. It is printed when the test fails.
//!
//! Every wait has a deadline. Where nothing can wake a test, it polls ([`poll_until`]). No pause
//! decides an order. To show that something does *not* arrive, a test sends a marker after it: the
//! marker must be the next line that arrives.

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

/// How long anything may take before the test fails. It is long, because a busy machine is no failure.
/// A test that passes never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How long [`poll_until`] waits between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls: looks again and again, with a short pause in between, until there is something to see, and
/// returns that. After the deadline it panics and says `what` was waited for. `what` is formatted only
/// then.
#[track_caller]
pub(crate) fn poll_until<T>(what: impl Display, look: impl FnMut() -> Option<T>) -> T {
    poll_every(POLL_INTERVAL, what, look)
}

/// Does the same with a pause of this length, for a look that costs much.
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

/// Says that this test is left out, and why: a tool is missing, or a right. With `CHAT_TESTS_COMPLETE`
/// set, the test fails instead.
#[track_caller]
pub(crate) fn leave_out(why: &str) {
    assert!(std::env::var_os("CHAT_TESTS_COMPLETE").is_none(), "left out: {why}");
    let thread = thread::current();
    let line = format!("left out: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Not by `eprintln!`, whose text is shown only if the test fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Whether the `nc` of OpenBSD is there. If not, the test is left out. Other programs of that name have other
/// options and print other words.
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

/// A port that is free and stays free. It is below the ports that systems give to connections and to
/// port 0. Each call returns another one, and 200 runs of this binary in a row use different blocks.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 200).expect("it is small");
    let ports = || 12_000 + 100 * block + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
    let is_free = |&port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    std::iter::repeat_with(ports).find(is_free).expect("the sequence does not end")
}

/// How both programs end when the command line is wrong in this way.
pub(crate) fn usage_error(why: &str) -> Finished {
    let errors = format!("[ERROR] {why} (try --help)\n");
    Finished { code: Some(2), output: String::new(), errors }
}
