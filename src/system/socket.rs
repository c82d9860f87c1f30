//! Sockets: the calls and options that `std::net` does not have.

use std::io::{self, IoSlice, PipeReader};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Sets how many connections may wait to be accepted; `std` asks for 128, which a storm overflows.
///
/// The system lowers it to its own limit (`net.core.somaxconn`). Source: `listen(2)`.
///
/// # Errors
///
/// What the system says; the old backlog then stays.
pub fn set_listen_backlog(listener: &TcpListener, connections: u16) -> io::Result<()> {
    #[cfg(unix)]
    return unix::listen(listener, connections);
    #[cfg(not(unix))]
    {
        let _ = (listener, connections);
        Ok(())
    }
}

/// Blocks until a connection waits to be accepted, as [`wait_for_connections`] does.
///
/// # Errors
///
/// As there.
pub fn wait_for_connection(
    listener: &TcpListener,
    wake: &PipeReader,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    wait_for_connections(std::slice::from_ref(listener), wake, timeout)
}

/// Blocks until a connection waits to be accepted by one of `listeners`, there is something to read in `wake`, or `timeout` is
/// over. Returns whether it was `wake`.
///
/// Unlike `accept` it can be woken, and unlike a connection to oneself it needs no descriptor.
/// Source: `poll(2)`. Elsewhere than on Unix it waits 50 milliseconds and returns `false`.
///
/// # Errors
///
/// What the system says. A signal is no error: the wait is over.
pub fn wait_for_connections(
    listeners: &[TcpListener],
    wake: &PipeReader,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    #[cfg(unix)]
    return unix::wait_for_connections(listeners, wake, timeout);
    #[cfg(not(unix))]
    {
        let _ = (listeners, wake, timeout);
        std::thread::sleep(Duration::from_millis(50));
        Ok(false)
    }
}

/// Sends what the socket's buffer takes at once, never waiting, and returns how many bytes.
///
/// `MSG_DONTWAIT` concerns this call alone: the socket stays blocking for the thread that reads from it,
/// unlike with `set_nonblocking`. `MSG_NOSIGNAL` makes a closed connection an error instead of a SIGPIPE.
/// Source: `send(2)`.
///
/// # Errors
///
/// `WouldBlock` when the buffer is full, `BrokenPipe` or `ConnectionReset` when the peer is gone.
pub fn send_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    return unix::send_now(stream, bytes);
    #[cfg(not(target_os = "linux"))]
    {
        use std::io::Write;
        let mut stream = stream;
        stream.write(bytes)
    }
}

/// Sends several slices as [`send_now`] sends one: at most 1,024 of them (`IOV_MAX`). Source: `sendmsg(2)`.
///
/// # Errors
///
/// As [`send_now`].
pub fn send_slices_now(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    return unix::send_slices_now(stream, slices);
    #[cfg(not(target_os = "linux"))]
    {
        use std::io::Write;
        let mut stream = stream;
        stream.write_vectored(slices)
    }
}

/// Returns whether the connection is over in both directions: reset, or timed out. Never blocks.
///
/// A peer that only ended its own stream may still be there and read. What it had sent can be read
/// in either case. Source: `poll(2)`, `POLLHUP`. Elsewhere than on Unix it is never known.
pub fn is_gone(stream: &TcpStream) -> bool {
    #[cfg(unix)]
    return unix::is_gone(stream);
    #[cfg(not(unix))]
    {
        let _ = stream;
        false
    }
}

/// Bounds how much the system takes from a writer before it is sent, in bytes, and so what it keeps
/// for a peer that does not read. What is under way does not count, so a fast peer is not slowed.
/// Source: `tcp(7)`, `TCP_NOTSENT_LOWAT`. Elsewhere than on Linux and macOS: nothing.
///
/// # Errors
///
/// What the system says.
pub fn limit_unsent(stream: &TcpStream, bytes: usize) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    return unix::limit_unsent(stream, bytes);
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        let _ = (stream, bytes);
        Ok(())
    }
}

/// Leaves urgent data where it stands in the stream (`SO_OOBINLINE`). Taken out, it would leave a hole: a
/// telnet client sends a part of its Ctrl-C so. Source: `socket(7)`, RFC 6093. Elsewhere than on Linux and
/// macOS: nothing.
///
/// # Errors
///
/// What the system says.
pub fn keep_urgent_data_in_line(stream: &TcpStream) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    return unix::keep_urgent_data_in_line(stream);
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        let _ = stream;
        Ok(())
    }
}

/// How a peer that vanished without a word is found out.
#[derive(Debug, Clone, Copy)]
pub struct DeadPeer {
    /// Silence after which the system asks whether the peer is there (`TCP_KEEPIDLE`).
    pub idle: Duration,
    /// The time from one question to the next (`TCP_KEEPINTVL`).
    pub interval: Duration,
    /// How many questions without an answer end the connection (`TCP_KEEPCNT`).
    pub probes: u32,
    /// How long what was sent may stay unacknowledged (`TCP_USER_TIMEOUT`, RFC 5482): keep-alive is
    /// silent while anything is under way. Linux counts a peer that takes nothing, too.
    pub unacknowledged: Duration,
}

/// Has the system end the connection once its peer is gone; reading then fails with `TimedOut`.
/// Source: `tcp(7)`. Elsewhere than on Linux and macOS: nothing.
///
/// # Errors
///
/// What the system says; the options before the refused one are set.
pub fn detect_dead_peer(stream: &TcpStream, after: DeadPeer) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    return unix::detect_dead_peer(stream, after);
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        let _ = (stream, after);
        Ok(())
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;
    #[cfg(target_os = "linux")]
    use std::ffi::c_void;
    #[cfg(target_os = "linux")]
    use std::io::IoSlice;
    use std::io::{self, PipeReader};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use super::super::poll::{is_hung_up, wait_for_first};
    use super::DeadPeer;

    unsafe extern "C" {
        #[link_name = "listen"]
        fn c_listen(descriptor: c_int, backlog: c_int) -> c_int;
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

    pub(super) fn listen(listener: &TcpListener, connections: u16) -> io::Result<()> {
        // SAFETY: no memory is passed; the descriptor is open, since the listener is borrowed.
        check(unsafe { c_listen(listener.as_raw_fd(), c_int::from(connections)) })
    }

    pub(super) fn wait_for_connections(
        listeners: &[TcpListener],
        wake: &PipeReader,
        timeout: Option<Duration>,
    ) -> io::Result<bool> {
        match wait_for_first(wake.as_fd(), listeners.iter().map(AsRawFd::as_raw_fd), timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            woken => woken,
        }
    }

    pub(super) fn is_gone(stream: &TcpStream) -> bool {
        is_hung_up(stream.as_fd())
    }

    /// `struct msghdr` as Linux has it.
    #[cfg(target_os = "linux")]
    #[repr(C)]
    struct Message {
        name: *mut c_void,
        name_bytes: u32,
        slices: *const c_void,
        slice_count: usize,
        control: *mut c_void,
        control_bytes: usize,
        flags: c_int,
    }

    #[cfg(target_os = "linux")]
    unsafe extern "C" {
        fn send(descriptor: c_int, bytes: *const c_void, count: usize, flags: c_int) -> isize;
        fn sendmsg(descriptor: c_int, message: *const Message, flags: c_int) -> isize;
    }

    #[cfg(target_os = "linux")]
    const MSG_DONTWAIT: c_int = 0x40;
    #[cfg(target_os = "linux")]
    const MSG_NOSIGNAL: c_int = 0x4000;

    #[cfg(target_os = "linux")]
    pub(super) fn send_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let (start, count) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: the bytes are borrowed for the call, which only reads them.
        let sent = unsafe { send(stream.as_raw_fd(), start, count, MSG_DONTWAIT | MSG_NOSIGNAL) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    #[cfg(target_os = "linux")]
    pub(super) fn send_slices_now(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        const IOV_MAX: usize = 1024;
        let message = Message {
            name: std::ptr::null_mut(),
            name_bytes: 0,
            slices: slices.as_ptr().cast(),
            slice_count: slices.len().min(IOV_MAX),
            control: std::ptr::null_mut(),
            control_bytes: 0,
            flags: 0,
        };
        // SAFETY: an `IoSlice` is guaranteed to have the layout of `struct iovec`; the slices and
        // what they point to are borrowed for the call, which only reads them.
        let sent =
            unsafe { sendmsg(stream.as_raw_fd(), &raw const message, MSG_DONTWAIT | MSG_NOSIGNAL) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// The names of the options, as numbers.
    #[cfg(target_os = "linux")]
    mod option {
        use std::ffi::c_int;
        pub(super) const SOL_SOCKET: c_int = 1;
        pub(super) const SO_KEEPALIVE: c_int = 9;
        pub(super) const SO_OOBINLINE: c_int = 10;
        pub(super) const TCP_KEEPIDLE: c_int = 4;
        pub(super) const TCP_KEEPINTVL: c_int = 5;
        pub(super) const TCP_KEEPCNT: c_int = 6;
        pub(super) const TCP_NOTSENT_LOWAT: c_int = 25;
        /// In milliseconds.
        pub(super) const UNACKNOWLEDGED: (c_int, u128) = (18, 1);
    }
    #[cfg(target_os = "macos")]
    mod option {
        use std::ffi::c_int;
        pub(super) const SOL_SOCKET: c_int = 0xFFFF;
        pub(super) const SO_KEEPALIVE: c_int = 8;
        pub(super) const SO_OOBINLINE: c_int = 0x100;
        pub(super) const TCP_KEEPIDLE: c_int = 0x10;
        pub(super) const TCP_KEEPINTVL: c_int = 0x101;
        pub(super) const TCP_KEEPCNT: c_int = 0x102;
        pub(super) const TCP_NOTSENT_LOWAT: c_int = 0x201;
        /// `TCP_RXT_CONNDROPTIME`, in seconds.
        pub(super) const UNACKNOWLEDGED: (c_int, u128) = (0x80, 1000);
    }

    const IPPROTO_TCP: c_int = 6;

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    fn set(stream: &TcpStream, level: c_int, option: c_int, value: u128) -> io::Result<()> {
        let value = c_int::try_from(value).unwrap_or(c_int::MAX);
        // SAFETY: these options take an `int`, which outlives the call.
        check(unsafe { setsockopt(stream.as_raw_fd(), level, option, &raw const value, 4) })
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    pub(super) fn limit_unsent(stream: &TcpStream, bytes: usize) -> io::Result<()> {
        set(stream, IPPROTO_TCP, option::TCP_NOTSENT_LOWAT, bytes as u128)
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    pub(super) fn keep_urgent_data_in_line(stream: &TcpStream) -> io::Result<()> {
        set(stream, option::SOL_SOCKET, option::SO_OOBINLINE, 1)
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    pub(super) fn detect_dead_peer(stream: &TcpStream, after: DeadPeer) -> io::Result<()> {
        set(stream, option::SOL_SOCKET, option::SO_KEEPALIVE, 1)?;
        set(stream, IPPROTO_TCP, option::TCP_KEEPIDLE, after.idle.as_secs().into())?;
        set(stream, IPPROTO_TCP, option::TCP_KEEPINTVL, after.interval.as_secs().into())?;
        set(stream, IPPROTO_TCP, option::TCP_KEEPCNT, after.probes.into())?;
        let (user_timeout, unit) = option::UNACKNOWLEDGED;
        set(stream, IPPROTO_TCP, user_timeout, after.unacknowledged.as_millis() / unit)
    }
}
