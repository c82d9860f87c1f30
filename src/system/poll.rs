//! Waiting for several descriptors at once. Source: `poll(2)`. Only on Unix.

use std::ffi::{c_int, c_short};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

const POLLIN: c_short = 1;
const POLLOUT: c_short = 4;
const POLLERR: c_short = 8;
const POLLHUP: c_short = 16;

/// `nfds_t`.
#[cfg(target_os = "linux")]
type Count = std::ffi::c_ulong;
#[cfg(not(target_os = "linux"))]
type Count = std::ffi::c_uint;

/// `struct pollfd`.
#[repr(C)]
#[derive(Debug)]
struct Polled {
    descriptor: c_int,
    events: c_short,
    returned: c_short,
}

unsafe extern "C" {
    fn poll(polled: *mut Polled, count: Count, timeout: c_int) -> c_int;
}

/// Blocks until one of two descriptors has something to read or is at its end, for `timeout` at most
/// if there is one, and returns which: neither when the time is over.
///
/// # Errors
///
/// What the system says; `Interrupted` when a signal was handled.
pub(super) fn wait_for_either(
    descriptors: [BorrowedFd<'_>; 2],
    timeout: Option<Duration>,
) -> io::Result<[bool; 2]> {
    Ok(look(descriptors, POLLIN, timeout)?.map(|returned| returned != 0))
}

/// Returns whether a connection is over in both directions. Never blocks.
pub(super) fn is_hung_up(descriptor: BorrowedFd<'_>) -> bool {
    // Errors and hang-ups are reported also where nothing is asked for.
    look([descriptor], 0, Some(Duration::ZERO))
        .is_ok_and(|[returned]| returned & (POLLERR | POLLHUP) != 0)
}

fn look<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    events: c_short,
    timeout: Option<Duration>,
) -> io::Result<[c_short; N]> {
    let milliseconds =
        timeout.map_or(-1, |time| c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX));
    let mut polled = descriptors.map(|descriptor| Polled {
        descriptor: descriptor.as_raw_fd(),
        events,
        returned: 0,
    });
    // SAFETY: the array has N entries of the layout of `struct pollfd`, and outlives the call.
    let ready = unsafe { poll(polled.as_mut_ptr(), N as Count, milliseconds) };
    if ready < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.map(|polled| polled.returned))
}

/// Waits for many sockets at once. It keeps the array that the call needs.
#[derive(Debug, Default)]
pub struct Poll {
    polled: Vec<Polled>,
}

impl Poll {
    /// Blocks until one of `sockets` takes more or is over, for `timeout` at most, or until a signal was
    /// handled. Returns for each of them, in their order, whether it is so.
    pub fn writable<'a, 's>(
        &'a mut self,
        sockets: impl Iterator<Item = &'s TcpStream>,
        timeout: Duration,
    ) -> impl Iterator<Item = bool> + 'a {
        self.polled.clear();
        self.polled.extend(sockets.map(|socket| Polled {
            descriptor: socket.as_raw_fd(),
            events: POLLOUT,
            returned: 0,
        }));
        // Rounded up: a rest of less than a millisecond would not be waited for at all.
        let milliseconds = timeout.as_micros().div_ceil(1000);
        let milliseconds = c_int::try_from(milliseconds).unwrap_or(c_int::MAX);
        let count = self.polled.len() as Count;
        // SAFETY: the array has so many entries of the layout of `struct pollfd`, and outlives the call.
        let ready = unsafe { poll(self.polled.as_mut_ptr(), count, milliseconds) };
        // An error, a signal perhaps, leaves the entries as they were. Then none is known to be writable.
        self.polled.iter().map(move |polled| ready > 0 && polled.returned != 0)
    }
}

/// Blocks until one of these descriptors can be read (`false`) or written (`true`) or is at its end,
/// for `timeout` at most if there is one, and returns which. What is `None` is not looked at.
///
/// # Errors
///
/// What the system says; `Interrupted` when a signal was handled.
pub(super) fn wait_for_any<const N: usize>(
    descriptors: [(Option<BorrowedFd<'_>>, bool); N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    // Rounded up: a wait that ends early would only be begun again.
    let rounded = timeout.map(|time| time.as_nanos().div_ceil(1_000_000));
    let milliseconds = rounded.map_or(-1, |time| c_int::try_from(time).unwrap_or(c_int::MAX));
    let mut polled = descriptors.map(|(descriptor, writable)| Polled {
        // A negative one is passed over.
        descriptor: descriptor.map_or(-1, |descriptor| descriptor.as_raw_fd()),
        events: if writable { POLLOUT } else { POLLIN },
        returned: 0,
    });
    // SAFETY: the array has N entries of the layout of `struct pollfd`, and outlives the call.
    if unsafe { poll(polled.as_mut_ptr(), N as Count, milliseconds) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.map(|polled| polled.returned != 0))
}
