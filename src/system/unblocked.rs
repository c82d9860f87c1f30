//! Sending without waiting, where no flag of a call does it. On macOS a send with `MSG_DONTWAIT` still waits
//! for space. Windows has no such flag. With `--cfg portable`, Linux sends this way too.
//!
//! The socket is made non-blocking for the one call. A thread that already blocks in `read` goes on blocking. A
//! thread that begins to read during the call gets `WouldBlock`, and [`socket::read`](super::socket::read)
//! tries again.

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
