//! What Windows has in place of signals: `SetConsoleCtrlHandler`.

use std::ffi::c_int;
use std::io::{PipeWriter, Write};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use super::super::signal::{STOP, is_second_request};

/// The window is closed. Events with higher numbers also end the process: the user logs off, or the system
/// ends.
const CTRL_CLOSE_EVENT: u32 = 2;

/// This is longer than the system lets a process live after its window is closed.
const LONGER: Duration = Duration::from_secs(10);

/// A handler runs in a thread of its own, and may do what any thread may. The event counts as handled unless it
/// returns 0.
pub(super) type Handler = extern "system" fn(event: u32) -> c_int;

unsafe extern "system" {
    fn SetConsoleCtrlHandler(handler: Handler, is_added: c_int) -> c_int;
}

/// The system asks this handler before the handlers that were set earlier. The first of those would end the
/// process.
pub(super) fn handle(handler: Handler) {
    // SAFETY: a handler may do anything, and exists as long as the process does. The call fails if there is
    // no memory.
    unsafe { SetConsoleCtrlHandler(handler, 1) };
}

/// Where the handler writes.
static PIPE: OnceLock<PipeWriter> = OnceLock::new();

extern "system" fn stop(event: u32) -> c_int {
    if is_second_request() {
        return 0;
    }
    if let Some(mut pipe) = PIPE.get() {
        // This fails when nobody reads the pipe any more. Then the process is ending.
        let _ = pipe.write_all(&[STOP]);
    }
    if event >= CTRL_CLOSE_EVENT {
        // The system ends the process when this returns. The server's own shutdown is quicker.
        thread::sleep(LONGER);
    }
    1
}

pub(crate) fn stop_through(pipe: PipeWriter) {
    if PIPE.set(pipe).is_ok() {
        handle(stop);
    }
}
