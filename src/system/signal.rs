//! Signals: asking to stop becomes a byte in a pipe.
//!
//! Almost nothing may be called in a signal handler (see `signal-safety(7)`): no lock, no
//! allocation, no `println!`. `write` on a pipe may, and whoever waits can wait for the pipe and for
//! a socket at once. So the handler writes one byte, and everything else happens in a thread.

use std::io::PipeWriter;

/// Makes SIGINT, SIGTERM and SIGHUP write a byte to `pipe` instead of ending the process.
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

/// Gives SIGINT and SIGTERM their usual meaning back: the next one ends the process. Not SIGHUP: when a
/// terminal is closed it comes twice, from the system and from the shell.
pub fn stop_at_once() {
    #[cfg(unix)]
    unix::stop_at_once();
}

/// The calls, for the terminal's signals too.
#[cfg(unix)]
pub(super) mod unix {
    use std::ffi::{c_int, c_void};
    use std::io::PipeWriter;
    use std::os::fd::IntoRawFd;
    use std::sync::atomic::{AtomicI32, Ordering};

    const SIGHUP: c_int = 1;
    pub(in super::super) const SIGINT: c_int = 2;
    const SIGTERM: c_int = 15;
    const SIGTTIN: c_int = 21;
    pub(in super::super) const DEFAULT: usize = 0;
    pub(in super::super) const IGNORE: usize = 1;

    unsafe extern "C" {
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

    extern "C" fn write_to_pipe(_signal: c_int) {
        let byte = 0_u8;
        // SAFETY: `write` is async-signal-safe, and the byte outlives the call. It would block after
        // as many signals as a pipe takes bytes, 65,536, if nobody read them.
        keep_errno(|| unsafe {
            write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        });
    }

    pub(super) fn stop_through(pipe: PipeWriter) {
        PIPE.store(pipe.into_raw_fd(), Ordering::Relaxed);
        handle(SIGINT, write_to_pipe);
        handle(SIGTERM, write_to_pipe);
        handle_unless_ignored(SIGHUP, write_to_pipe);
        // SAFETY: no code of ours runs.
        unsafe { signal(SIGTTIN, IGNORE) };
    }

    pub(super) fn stop_at_once() {
        // SAFETY: the default actions run no code of ours.
        unsafe {
            signal(SIGINT, DEFAULT);
            signal(SIGTERM, DEFAULT);
        }
    }
}
