//! Sockets: `setsockopt`, `CancelIoEx`, and waiting for connections with `WSAPoll`.

use std::ffi::{c_int, c_void};
use std::io::{self, PipeReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::windows::io::{AsRawHandle, AsRawSocket, RawSocket};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use super::poll::{Polled, wait};

pub(crate) use super::super::unblocked::{send_now, send_slices_now};

pub(crate) const SOL_SOCKET: c_int = 0xFFFF;
pub(crate) const SO_KEEPALIVE: c_int = 8;
pub(crate) const SO_OOBINLINE: c_int = 0x100;
pub(crate) const TCP_KEEPIDLE: c_int = 3;
pub(crate) const TCP_KEEPCNT: c_int = 16;
pub(crate) const TCP_KEEPINTVL: c_int = 17;
/// Windows cannot limit the unsent bytes.
pub(crate) const UNSENT: Option<c_int> = None;
/// The option `TCP_MAXRT`, and the number of milliseconds in its unit.
pub(crate) const UNACKNOWLEDGED: Option<(c_int, u128)> = Some((5, 1000));
const WSA_OPERATION_ABORTED: i32 = 995;
const WSAETIMEDOUT: i32 = 10060;

/// The time between two checks of the pipe. One call cannot wait for a pipe and a socket together.
const WAKE_INTERVAL: Duration = Duration::from_millis(50);

#[link(name = "ws2_32")]
#[rustfmt::skip]
unsafe extern "system" {
    fn setsockopt(socket: RawSocket, level: c_int, option: c_int, value: *const c_int, bytes: c_int) -> c_int;
}

#[rustfmt::skip]
unsafe extern "system" {
    fn CancelIoEx(handle: *mut c_void, overlapped: *mut c_void) -> c_int;
    fn PeekNamedPipe(pipe: *mut c_void, buffer: *mut c_void, bytes: u32, read: *mut u32, available: *mut u32, left: *mut u32) -> c_int;
}

#[expect(clippy::unnecessary_wraps, reason = "other systems can refuse it")]
pub(crate) fn set_listen_backlog(_listener: &TcpListener, _connections: u16) -> io::Result<()> {
    Ok(())
}

pub(crate) fn wait_for_connections(
    listeners: &[TcpListener],
    wake: &PipeReader,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut polled: Vec<Polled> = listeners.iter().map(Polled::readable).collect();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        wait(&mut polled, Some(left.unwrap_or(WAKE_INTERVAL).min(WAKE_INTERVAL)))?;
        let is_awake = has_bytes(wake);
        let is_over = left.is_some_and(|left| left <= WAKE_INTERVAL);
        if is_awake || is_over || polled.iter().any(Polled::is_ready) {
            return Ok(is_awake);
        }
    }
}

/// Returns whether there is something to read in a pipe, or the pipe has ended.
fn has_bytes(pipe: &PipeReader) -> bool {
    let mut available = 0;
    let count = &raw mut available;
    // SAFETY: nothing is read, and the number outlives the call.
    let is_open = unsafe {
        PeekNamedPipe(pipe.as_raw_handle(), null_mut(), 0, null_mut(), count, null_mut()) != 0
    };
    !is_open || available > 0
}

pub(crate) fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let has_timeout = || stream.read_timeout().is_ok_and(|timeout| timeout.is_some());
    match stream.read(buffer) {
        Err(error) => Err(match error.raw_os_error() {
            // `shut_down` has cancelled the read. The next read reports how the stream has ended.
            Some(WSA_OPERATION_ABORTED) => io::ErrorKind::Interrupted.into(),
            // Without a read timeout, the same error means that the peer was found to be dead.
            Some(WSAETIMEDOUT) if has_timeout() => io::ErrorKind::WouldBlock.into(),
            _ => error,
        }),
        read => read,
    }
}

pub(crate) fn shut_down(stream: &TcpStream, how: Shutdown) -> io::Result<()> {
    let result = stream.shutdown(how);
    if how != Shutdown::Write {
        // The `shutdown` ends a read that begins later. This call ends a read that has already begun. SAFETY:
        // no memory is passed, and the handle is open, since the stream is borrowed.
        unsafe { CancelIoEx(stream.as_raw_socket() as *mut c_void, null_mut()) };
    }
    result
}

pub(crate) fn set(stream: &TcpStream, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: these options take a `DWORD`, which outlives the call.
    let result = unsafe { setsockopt(stream.as_raw_socket(), level, option, &raw const value, 4) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
