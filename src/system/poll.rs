//! Waiting for several descriptors at once. Source: `poll(2)`. Only on Unix.

use std::ffi::{c_int, c_short};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
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

impl Polled {
    fn new(descriptor: RawFd, events: c_short) -> Self {
        Self { descriptor, events, returned: 0 }
    }
}

unsafe extern "C" {
    fn poll(polled: *mut Polled, count: Count, timeout: c_int) -> c_int;
}

/// Blocks until `first`, or one of `others`, has something to read or is at its end, for `timeout` at most if
/// there is one. Returns whether it is `first`.
///
/// # Errors
///
/// As [`wait_for_any`].
pub(super) fn wait_for_first(
    first: BorrowedFd<'_>,
    others: impl Iterator<Item = RawFd>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let descriptors = [first.as_raw_fd()].into_iter().chain(others);
    let mut polled: Vec<Polled> =
        descriptors.map(|descriptor| Polled::new(descriptor, POLLIN)).collect();
    wait(&mut polled, timeout)?;
    Ok(polled[0].returned != 0)
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
    let mut polled = descriptors.map(|descriptor| Polled::new(descriptor.as_raw_fd(), events));
    wait(&mut polled, timeout)?;
    Ok(polled.map(|polled| polled.returned))
}

fn wait(polled: &mut [Polled], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up: a wait that ends early would only be begun again.
    let rounded = timeout.map(|time| time.as_nanos().div_ceil(1_000_000));
    let milliseconds = rounded.map_or(-1, |time| c_int::try_from(time).unwrap_or(c_int::MAX));
    // SAFETY: the slice has so many entries of the layout of `struct pollfd`, and outlives the call.
    let ready = unsafe { poll(polled.as_mut_ptr(), polled.len() as Count, milliseconds) };
    if ready < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
        self.polled.extend(sockets.map(|socket| Polled::new(socket.as_raw_fd(), POLLOUT)));
        // An error, a signal perhaps, leaves the entries as they were. Then none is known to be writable.
        let waited = wait(&mut self.polled, Some(timeout));
        self.polled.iter().map(move |polled| waited.is_ok() && polled.returned != 0)
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
    let mut polled = descriptors.map(|(descriptor, writable)| {
        // A negative one is passed over.
        let descriptor = descriptor.map_or(-1, |descriptor| descriptor.as_raw_fd());
        Polled::new(descriptor, if writable { POLLOUT } else { POLLIN })
    });
    wait(&mut polled, timeout)?;
    Ok(polled.map(|polled| polled.returned != 0))
}
