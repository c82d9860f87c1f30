//! Sending without waiting: `MSG_DONTWAIT`.
//!
//! The flag affects only this call: the socket stays blocking for the thread that reads from it. With
//! `MSG_NOSIGNAL`, sending on a closed connection returns an error and raises no SIGPIPE.

use std::ffi::{c_int, c_void};
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

const FREEBSD: bool = cfg!(target_os = "freebsd");
const MSG_DONTWAIT: c_int = if FREEBSD { 0x80 } else { 0x40 };
const MSG_NOSIGNAL: c_int = if FREEBSD { 0x20000 } else { 0x4000 };
const IOV_MAX: usize = 1024;

/// The type of the counts in `struct msghdr`. With musl a count has 32 bits, and padding follows it. On a
/// little-endian machine, a 64-bit number at the same place has the same value.
#[cfg(not(target_os = "freebsd"))]
type MessageCount = usize;
#[cfg(target_os = "freebsd")]
type MessageCount = u32;

/// `struct msghdr`.
#[repr(C)]
struct Message {
    name: *mut c_void,
    name_bytes: u32,
    slices: *const c_void,
    slice_count: MessageCount,
    control: *mut c_void,
    control_bytes: MessageCount,
    flags: c_int,
}

unsafe extern "C" {
    fn send(descriptor: c_int, bytes: *const c_void, count: usize, flags: c_int) -> isize;
    fn sendmsg(descriptor: c_int, message: *const Message, flags: c_int) -> isize;
}

pub(crate) fn send_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let (start, count) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: the bytes are borrowed for the call, which only reads them.
    let sent = unsafe { send(stream.as_raw_fd(), start, count, MSG_DONTWAIT | MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

pub(crate) fn send_slices_now(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let message = Message {
        name: null_mut(),
        name_bytes: 0,
        slices: slices.as_ptr().cast(),
        slice_count: slices.len().min(IOV_MAX) as MessageCount,
        control: null_mut(),
        control_bytes: 0,
        flags: 0,
    };
    // SAFETY: an `IoSlice` is guaranteed to have the layout of `struct iovec`. The slices and their bytes are
    // borrowed for the call, which only reads them.
    let sent =
        unsafe { sendmsg(stream.as_raw_fd(), &raw const message, MSG_DONTWAIT | MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
