//! Sockets: `listen`, `setsockopt`, and waiting for connections with `poll`.

use std::ffi::c_int;
use std::io::{self, PipeReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::poll::{Polled, wait};

pub(crate) use super::numbers::{
    SO_KEEPALIVE, SO_OOBINLINE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL,
    UNACKNOWLEDGED, UNSENT,
};

#[cfg(any(target_os = "macos", portable))]
pub(crate) use super::super::unblocked::{send_now, send_slices_now};
#[cfg(not(any(target_os = "macos", portable)))]
pub(crate) use super::send::{send_now, send_slices_now};

unsafe extern "C" {
    fn listen(descriptor: c_int, backlog: c_int) -> c_int;
    fn setsockopt(
        descriptor: c_int,
        level: c_int,
        option: c_int,
        value: *const c_int,
        bytes: u32,
    ) -> c_int;
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(crate) fn set_listen_backlog(listener: &TcpListener, connections: u16) -> io::Result<()> {
    // SAFETY: no memory is passed. The descriptor is open, since the listener is borrowed.
    check(unsafe { listen(listener.as_raw_fd(), c_int::from(connections)) })
}

pub(crate) fn wait_for_connections(
    listeners: &[TcpListener],
    wake: &PipeReader,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut polled = vec![Polled::readable(wake)];
    polled.extend(listeners.iter().map(Polled::readable));
    wait(&mut polled, timeout)?;
    Ok(polled[0].is_ready())
}

pub(crate) fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    stream.read(buffer)
}

pub(crate) fn shut_down(stream: &TcpStream, how: Shutdown) -> io::Result<()> {
    stream.shutdown(how)
}

pub(crate) fn set(stream: &TcpStream, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: these options take an `int`, which outlives the call.
    check(unsafe { setsockopt(stream.as_raw_fd(), level, option, &raw const value, 4) })
}
