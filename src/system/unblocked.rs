//! Sending without waiting, for systems whose `send` has no flag that makes this possible. On macOS, a send with
//! the flag `MSG_DONTWAIT` still waits for space. Windows has no such flag. With `--cfg portable`, Linux also
//! uses this module.
//!
//! The socket is non-blocking during the call. A thread that already blocks in `read` continues to block. If a
//! thread begins to read during the call, the read fails with `WouldBlock`, and
//! [`socket::read`](super::socket::read) tries again.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;

fn unblocked(
    mut stream: &TcpStream,
    send: impl FnOnce(&mut &TcpStream) -> io::Result<usize>,
) -> io::Result<usize> {
    stream.set_nonblocking(true)?;
    let sent = send(&mut stream);
    stream.set_nonblocking(false)?;
    sent
}

pub(crate) fn send_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    unblocked(stream, |stream| stream.write(bytes))
}

pub(crate) fn send_slices_now(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    unblocked(stream, |stream| stream.write_vectored(slices))
}
