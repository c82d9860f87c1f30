//! Signals: `signal`, and what a handler may call.

use std::ffi::{c_int, c_void};
use std::io::PipeWriter;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use super::super::signal::{HANG_UP, STOP, is_second_request};

const SIGHUP: c_int = 1;
pub(super) const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;
const SIGTTIN: c_int = 21;
pub(super) const DEFAULT: usize = 0;
pub(super) const IGNORE: usize = 1;

unsafe extern "C" {
    pub(super) fn raise(number: c_int) -> c_int;
    pub(super) fn signal(signal: c_int, handler: usize) -> usize;
    pub(super) fn write(descriptor: c_int, bytes: *const c_void, count: usize) -> isize;
    #[cfg_attr(target_os = "linux", link_name = "__errno_location")]
    #[cfg_attr(target_os = "android", link_name = "__errno")]
    #[cfg_attr(any(target_os = "macos", target_os = "freebsd"), link_name = "__error")]
    fn errno() -> *mut c_int;
}

/// Sets a handler, and returns the previous handler. The new handler may do only what `signal-safety(7)`
/// allows.
pub(super) fn handle(number: c_int, handler: extern "C" fn(c_int)) -> usize {
    // SAFETY: all handlers in this module and in `terminal` do only what `signal-safety(7)` allows.
    unsafe { signal(number, handler as usize) }
}

/// Sets a handler. A signal that is ignored, as SIGHUP is under `nohup`, stays ignored.
pub(super) fn handle_unless_ignored(number: c_int, handler: extern "C" fn(c_int)) {
    if handle(number, handler) == IGNORE {
        // SAFETY: a signal that is ignored calls no handler.
        unsafe { signal(number, IGNORE) };
    }
}

/// Calls `handle`, which does the work of a signal handler, and leaves `errno` unchanged. The interrupted code
/// may be about to read `errno`. Source: `signal-safety(7)`.
pub(super) fn keep_errno(handle: impl FnOnce()) {
    // SAFETY: `errno()` returns the address of this thread's error number, which exists as long as the thread
    // does.
    unsafe {
        let before = *errno();
        handle();
        *errno() = before;
    }
}

/// The pipe to which the handler writes. It is never closed, because a signal may arrive at any time.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Writes a byte to the pipe. If nobody reads the pipe, this blocks once the pipe is full, after 65,536 bytes.
fn write_to_pipe(byte: u8) {
    // SAFETY: `write` is async-signal-safe, and the byte outlives the call.
    keep_errno(|| unsafe {
        write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
    });
}

extern "C" fn stop(number: c_int) {
    if is_second_request() {
        // SAFETY: both calls are async-signal-safe. A signal is blocked while its handler runs. So the raised
        // signal takes effect when the handler returns.
        unsafe {
            signal(number, DEFAULT);
            raise(number);
        }
    } else {
        write_to_pipe(STOP);
    }
}

extern "C" fn hang_up(_number: c_int) {
    write_to_pipe(HANG_UP);
}

pub(crate) fn stop_through(pipe: PipeWriter) {
    PIPE.store(pipe.into_raw_fd(), Ordering::Relaxed);
    handle(SIGINT, stop);
    handle(SIGTERM, stop);
    handle_unless_ignored(SIGHUP, hang_up);
    // SAFETY: a signal that is ignored calls no handler.
    unsafe { signal(SIGTTIN, IGNORE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_leaves_errno_as_it_was() {
        std::fs::File::open("/nobody/has/this").unwrap_err();
        let before = std::io::Error::last_os_error().raw_os_error();
        // There is no pipe in this test, so the write fails with another error.
        hang_up(1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), before);
    }
}
