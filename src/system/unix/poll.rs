//! Waiting for several descriptors at once: `poll`.

use std::ffi::{c_int, c_short};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use super::numbers::Count;

const POLLIN: c_short = 1;
const POLLOUT: c_short = 4;
const POLLERR: c_short = 8;
const POLLHUP: c_short = 16;

/// `struct pollfd`: the events to wait for, and the events that have occurred.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Polled {
    descriptor: RawFd,
    events: c_short,
    returned: c_short,
}

unsafe extern "C" {
    fn poll(polled: *mut Polled, count: Count, timeout: c_int) -> c_int;
}

impl Polled {
    /// An entry that is ready when there is something to read, or when the stream has ended.
    pub(crate) fn readable(file: &impl AsFd) -> Self {
        Self { descriptor: file.as_fd().as_raw_fd(), events: POLLIN, returned: 0 }
    }

    /// An entry that is ready when the descriptor accepts more bytes, or will never accept bytes again.
    pub(crate) fn writable(file: &impl AsFd) -> Self {
        Self { events: POLLOUT, ..Self::readable(file) }
    }

    /// An entry that is never ready: `poll` skips a negative descriptor.
    pub(crate) fn nothing() -> Self {
        Self { descriptor: -1, events: 0, returned: 0 }
    }

    /// Whether `poll` has reported an event.
    pub(crate) fn is_ready(&self) -> bool {
        self.returned != 0
    }

    /// Whether the connection has ended in both directions.
    pub(crate) fn is_over(&self) -> bool {
        self.returned & (POLLERR | POLLHUP) != 0
    }
}

/// Blocks until one of the entries is ready, until a signal has been handled, or until `timeout` has passed. `None`
/// means that there is no timeout. After a signal, no entry is ready. This function is async-signal-safe.
pub(crate) fn wait(polled: &mut [Polled], timeout: Option<Duration>) -> io::Result<()> {
    // The time is rounded up. If the wait ended too early, the caller would only wait again.
    let rounded = timeout.map(|time| time.as_nanos().div_ceil(1_000_000));
    let milliseconds = rounded.map_or(-1, |time| c_int::try_from(time).unwrap_or(c_int::MAX));
    // SAFETY: the slice has `polled.len()` entries, each with the layout of `struct pollfd`, and outlives the
    // call.
    let ready = unsafe { poll(polled.as_mut_ptr(), polled.len() as Count, milliseconds) };
    if ready >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}
