//! Signals: asking to stop becomes a byte in a pipe.
//!
//! Almost nothing may be called in a signal handler (see `signal-safety(7)`): no lock, no
//! allocation, no `println!`. `write` on a pipe may, and whoever waits can wait for the pipe and for
//! a socket at once. So the handler writes one byte, and everything else happens in a thread.

use std::io::PipeWriter;

/// What the handler of SIGINT and SIGTERM writes: the program is to end.
pub const STOP: u8 = b'\n';

/// What the handler of SIGHUP writes.
pub const HANG_UP: u8 = b'h';

/// Makes SIGINT and SIGTERM write [`STOP`] to `pipe`, and SIGHUP [`HANG_UP`], instead of ending the process.
///
/// SIGINT or SIGTERM ends it at once when it comes more than a second after the first of them. Service
/// managers and `timeout` send theirs to the process and to its group, so a second one that comes
/// sooner was not meant. SIGHUP never does: when a terminal is closed it comes twice, from the system and
/// from the shell.
///
/// SIGHUP stays ignored where the program was started so (`nohup`). SIGTTIN is ignored, so that
/// reading the terminal from the background fails instead of stopping the process. Elsewhere than on
/// Unix this does nothing, and Ctrl-C ends the process at once. Source: `signal(2)`.
pub fn stop_through(pipe: PipeWriter) {
    #[cfg(unix)]
    unix::stop_through(pipe);
    #[cfg(not(unix))]
    drop(pipe);
}

/// The calls, for the terminal's signals too.
#[cfg(unix)]
pub(super) mod unix {
    use std::ffi::{c_int, c_void};
    use std::io::PipeWriter;
    use std::os::fd::IntoRawFd;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::{HANG_UP, STOP};

    const SIGHUP: c_int = 1;
    pub(in super::super) const SIGINT: c_int = 2;
    const SIGTERM: c_int = 15;
    const SIGTTIN: c_int = 21;
    pub(in super::super) const DEFAULT: usize = 0;
    pub(in super::super) const IGNORE: usize = 1;

    /// After what time a second request to stop is meant.
    const MEANT_AFTER: Duration = Duration::from_secs(1);

    unsafe extern "C" {
        fn raise(number: c_int) -> c_int;
        pub(in super::super) fn signal(signal: c_int, handler: usize) -> usize;
        pub(in super::super) fn write(
            descriptor: c_int,
            bytes: *const c_void,
            count: usize,
        ) -> isize;
    }

    /// Sets a handler, which may do only what `signal-safety(7)` allows, and returns the one before.
    pub(in super::super) fn handle(number: c_int, handler: extern "C" fn(c_int)) -> usize {
        // SAFETY: all handlers in this module and its neighbours keep to that.
        unsafe { signal(number, handler as usize) }
    }

    /// Sets a handler, unless the signal is ignored, as SIGHUP is under `nohup`: then it stays so.
    pub(in super::super) fn handle_unless_ignored(number: c_int, handler: extern "C" fn(c_int)) {
        if handle(number, handler) == IGNORE {
            // SAFETY: no code of ours runs.
            unsafe { signal(number, IGNORE) };
        }
    }

    unsafe extern "C" {
        #[cfg_attr(target_os = "linux", link_name = "__errno_location")]
        #[cfg_attr(not(target_os = "linux"), link_name = "__error")]
        fn errno() -> *mut c_int;
    }

    /// Does what a handler has to do and leaves `errno` as it was: the code that the signal interrupted
    /// may be about to look at it. Source: `signal-safety(7)`.
    pub(in super::super) fn keep_errno(handle: impl FnOnce()) {
        // SAFETY: the function returns where this thread's number lies, which is there for as long as
        // the thread is.
        unsafe {
            let before = *errno();
            handle();
            *errno() = before;
        }
    }

    /// Where the handler writes. Never closed once set, since a signal may come at any time.
    static PIPE: AtomicI32 = AtomicI32::new(-1);

    /// When the handlers were set, and how many nanoseconds later the first request to stop came; 0 before.
    static SET: OnceLock<Instant> = OnceLock::new();
    static FIRST: AtomicU64 = AtomicU64::new(0);

    /// It would block after as many bytes as a pipe takes, 65,536, if nobody read them.
    fn write_to_pipe(byte: u8) {
        // SAFETY: `write` is async-signal-safe, and the byte outlives the call.
        keep_errno(|| unsafe {
            write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        });
    }

    extern "C" fn stop(number: c_int) {
        // `Instant` is `clock_gettime`, which is async-signal-safe.
        let now = SET.get().map_or(Duration::ZERO, Instant::elapsed);
        let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1);
        let (none, relaxed) = (0, Ordering::Relaxed);
        match FIRST.compare_exchange(none, nanoseconds, relaxed, relaxed) {
            Err(first) if now.saturating_sub(Duration::from_nanos(first)) > MEANT_AFTER => {
                // SAFETY: both are async-signal-safe. The signal is blocked in its handler, and comes
                // again as that returns.
                unsafe {
                    signal(number, DEFAULT);
                    raise(number);
                }
            }
            _ => write_to_pipe(STOP),
        }
    }

    extern "C" fn hang_up(_number: c_int) {
        write_to_pipe(HANG_UP);
    }

    pub(super) fn stop_through(pipe: PipeWriter) {
        PIPE.store(pipe.into_raw_fd(), Ordering::Relaxed);
        SET.get_or_init(Instant::now);
        handle(SIGINT, stop);
        handle(SIGTERM, stop);
        handle_unless_ignored(SIGHUP, hang_up);
        // SAFETY: no code of ours runs.
        unsafe { signal(SIGTTIN, IGNORE) };
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_handler_leaves_errno_as_it_was() {
            std::fs::File::open("/nobody/has/this").unwrap_err();
            let before = std::io::Error::last_os_error().raw_os_error();
            // There is no pipe here: the write fails with another error.
            hang_up(1);
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), before);
        }
    }
}
