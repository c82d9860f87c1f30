//! Signals: a request to stop becomes a byte in a pipe.
//!
//! A signal handler may do almost nothing (see `signal-safety(7)`): it must not lock, allocate, or call
//! `println!`. But it may write to a pipe, and a thread can wait for the pipe and for a socket at once. So the
//! handler writes one byte, and everything else happens in a thread.
//!
//! On Windows the system calls a handler for Ctrl-C, for Ctrl-Break, and when the console window is closed. The
//! handler runs in a thread of its own, and writes the same byte.

use std::io::PipeWriter;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::os::signal as os;

/// The byte that the handler of SIGINT and SIGTERM writes: the program must end.
pub const STOP: u8 = b'\n';

/// The byte that the handler of SIGHUP writes. Windows has no such signal.
pub const HANG_UP: u8 = b'h';

/// A second request to stop counts only if it arrives more than this time after the first request.
const MEANT_AFTER: Duration = Duration::from_secs(1);

/// `SET` is the time at which the handlers were set. `FIRST` is the number of nanoseconds from that time to the
/// first request to stop, or 0 if there was no request yet.
static SET: OnceLock<Instant> = OnceLock::new();
static FIRST: AtomicU64 = AtomicU64::new(0);

/// Makes SIGINT and SIGTERM write [`STOP`] to `pipe`, and SIGHUP write [`HANG_UP`]. These signals do not end the
/// process by themselves.
///
/// But if a second SIGINT or SIGTERM arrives more than one second after the first, it ends the process at once.
/// Service managers and `timeout` send the signal both to the process and to its group, so the process receives
/// the signal twice. For this reason, a second signal within one second does not count. SIGHUP never ends the
/// process at once: when a terminal is closed, both the system and the shell send SIGHUP.
///
/// If SIGHUP was ignored when the program started (`nohup`), it stays ignored. SIGTTIN is ignored. So if a
/// background process reads the terminal, the read fails, and the process is not suspended. Source:
/// `signal(2)`.
///
/// On Windows, Ctrl-C, Ctrl-Break and the end of the console count as SIGINT. The console ends when its
/// window is closed or its user logs off. The system then ends the process within five seconds. Source:
/// `SetConsoleCtrlHandler`.
pub fn stop_through(pipe: PipeWriter) {
    SET.get_or_init(Instant::now);
    os::stop_through(pipe);
}

/// Returns whether a request to stop that arrives now counts as a second request. A handler calls this once for
/// each request. `Instant` uses `clock_gettime`, which is async-signal-safe.
pub(super) fn is_second_request() -> bool {
    let now = SET.get().map_or(Duration::ZERO, Instant::elapsed);
    let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1);
    let first = FIRST.compare_exchange(0, nanoseconds, Relaxed, Relaxed);
    first.is_err_and(|first| now.saturating_sub(Duration::from_nanos(first)) > MEANT_AFTER)
}
