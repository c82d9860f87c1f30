//! Signals: a request to stop becomes a byte in a pipe.
//!
//! Almost nothing may be called in a signal handler (see `signal-safety(7)`): no lock, no allocation, no
//! `println!`. `write` on a pipe is allowed, and a thread can wait for the pipe and for a socket at once. So
//! the handler writes one byte, and everything else happens in a thread.
//!
//! On Windows Ctrl-C, Ctrl-Break and the closing of the console window come to a handler as well. It runs in a
//! thread of its own, and writes the same byte.

use std::io::PipeWriter;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::os::signal as os;

/// The byte that the handler of SIGINT and SIGTERM writes: the program must end.
pub const STOP: u8 = b'\n';

/// The byte that the handler of SIGHUP writes. Windows has no such signal.
pub const HANG_UP: u8 = b'h';

/// A second request to stop counts only after this time.
const MEANT_AFTER: Duration = Duration::from_secs(1);

/// When the handlers were set, and how many nanoseconds later the first request to stop came. The number is 0
/// until then.
static SET: OnceLock<Instant> = OnceLock::new();
static FIRST: AtomicU64 = AtomicU64::new(0);

/// Makes SIGINT and SIGTERM write [`STOP`] to `pipe`, and SIGHUP [`HANG_UP`], instead of ending the process.
///
/// A SIGINT or SIGTERM more than a second after the first one ends the process at once. Service managers and
/// `timeout` send the signal both to the process and to its group. So a second signal that comes sooner does
/// not count. SIGHUP never ends the process at once: when a terminal is closed, SIGHUP comes twice, from the
/// system and from the shell.
///
/// If SIGHUP was ignored when the program started (`nohup`), it stays ignored. SIGTTIN is ignored, so that a
/// read of the terminal from the background fails and does not stop the process. Source: `signal(2)`.
///
/// On Windows, Ctrl-C, Ctrl-Break and the end of the console count as SIGINT. The console ends when its
/// window is closed or its user logs off. The system then ends the process within five seconds. Source:
/// `SetConsoleCtrlHandler`.
pub fn stop_through(pipe: PipeWriter) {
    SET.get_or_init(Instant::now);
    os::stop_through(pipe);
}

/// Whether a request to stop that comes now is a second request that counts. A handler calls this once for each
/// request. `Instant` is `clock_gettime`, which is async-signal-safe.
pub(super) fn is_second_request() -> bool {
    let now = SET.get().map_or(Duration::ZERO, Instant::elapsed);
    let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1);
    let first = FIRST.compare_exchange(0, nanoseconds, Relaxed, Relaxed);
    first.is_err_and(|first| now.saturating_sub(Duration::from_nanos(first)) > MEANT_AFTER)
}
