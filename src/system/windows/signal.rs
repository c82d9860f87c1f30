//! What Windows has in place of signals: `SetConsoleCtrlHandler`.

use std::ffi::c_int;
use std::io::{PipeWriter, Write};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use super::super::signal::{STOP, is_second_request};

/// The event for a closed window. The events with higher numbers also end the process: the user logs off, or
/// the system shuts down.
const CTRL_CLOSE_EVENT: u32 = 2;

/// The time for which the handler sleeps after the window is closed. The system ends the process before this time
/// has passed.
const LONGER: Duration = Duration::from_secs(10);

/// A handler runs in a thread of its own, and may do what any thread may. The event counts as handled unless
/// the handler returns 0.
pub(super) type Handler = extern "system" fn(event: u32) -> c_int;

unsafe extern "system" {
    fn SetConsoleCtrlHandler(handler: Handler, is_added: c_int) -> c_int;
}

/// Adds a handler. The system calls the newest handler first. The oldest handler is the system's own handler,
/// which ends the process.
pub(super) fn handle(handler: Handler) {
    // SAFETY: a handler may do anything, and exists as long as the process does. The call fails if there is
    // no memory.
    unsafe { SetConsoleCtrlHandler(handler, 1) };
}

/// The pipe to which the handler writes.
static PIPE: OnceLock<PipeWriter> = OnceLock::new();

extern "system" fn stop(event: u32) -> c_int {
    if is_second_request() {
        return 0;
    }
    if let Some(mut pipe) = PIPE.get() {
        // This fails if nobody reads the pipe any more. In this case, the process is already ending.
        let _ = pipe.write_all(&[STOP]);
    }
    if event >= CTRL_CLOSE_EVENT {
        // The system ends the process when this handler returns. So the handler sleeps until the server has
        // ended by itself.
        thread::sleep(LONGER);
    }
    1
}

pub(crate) fn stop_through(pipe: PipeWriter) {
    if PIPE.set(pipe).is_ok() {
        handle(stop);
    }
}
