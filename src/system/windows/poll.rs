//! Waiting for several sockets at once: `WSAPoll`.

use std::ffi::{c_int, c_short};
use std::io;
use std::os::windows::io::{AsRawSocket, AsSocket, RawSocket};
use std::thread;
use std::time::Duration;

const POLLRDNORM: c_short = 0x100;
const POLLWRNORM: c_short = 0x10;
const POLLERR: c_short = 1;

/// `WSAPOLLFD`: the events to wait for, and the events that have occurred.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Polled {
    socket: RawSocket,
    events: c_short,
    returned: c_short,
}

#[link(name = "ws2_32")]
unsafe extern "system" {
    fn WSAPoll(polled: *mut Polled, count: u32, timeout: c_int) -> c_int;
}

impl Polled {
    /// An entry that is ready when there is something to read, or when the stream has ended.
    pub(crate) fn readable(socket: &impl AsSocket) -> Self {
        Self { socket: socket.as_socket().as_raw_socket(), events: POLLRDNORM, returned: 0 }
    }

    /// An entry that is ready when the socket accepts more bytes, or will never accept bytes again.
    pub(crate) fn writable(socket: &impl AsSocket) -> Self {
        Self { events: POLLWRNORM, ..Self::readable(socket) }
    }

    /// Whether `WSAPoll` has reported an event.
    pub(crate) fn is_ready(&self) -> bool {
        self.returned != 0
    }

    /// Whether the connection has ended in both directions. `POLLHUP` does not show this: Windows also reports
    /// `POLLHUP` if the peer has only shut down its own sending.
    pub(crate) fn is_over(&self) -> bool {
        self.returned & POLLERR != 0
    }
}

/// Blocks until one of the entries is ready, or until `timeout` has passed. `None` means that there is no
/// timeout.
pub(crate) fn wait(polled: &mut [Polled], timeout: Option<Duration>) -> io::Result<()> {
    // The time is rounded up. If the wait ended too early, the caller would only wait again.
    let rounded = timeout.map(|time| time.as_nanos().div_ceil(1_000_000));
    let milliseconds = rounded.map_or(-1, |time| c_int::try_from(time).unwrap_or(c_int::MAX));
    if polled.is_empty() {
        // `WSAPoll` fails if there are no entries.
        thread::sleep(timeout.unwrap_or(Duration::MAX));
        return Ok(());
    }
    // SAFETY: the slice has `polled.len()` entries, each with the layout of `WSAPOLLFD`, and outlives the call.
    let ready = unsafe { WSAPoll(polled.as_mut_ptr(), polled.len() as u32, milliseconds) };
    if ready < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
