//! Sockets: the calls and options that `std::net` does not have.

use std::ffi::c_int;
use std::io::{self, IoSlice, PipeReader};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use super::os::poll::{Polled, wait};
use super::os::socket::{
    self as os, SO_KEEPALIVE, SO_OOBINLINE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL,
    UNACKNOWLEDGED, UNSENT,
};

const IPPROTO_TCP: c_int = 6;

/// Connects to the first address of `host` that answers. Waits at most `timeout` for each address, because the
/// system's own timeout is minutes long. Bytes that are written to the stream are sent at once (`TCP_NODELAY`).
///
/// # Errors
///
/// `NotFound` if the host has no address, and otherwise the error for the last address. The error is `AddrInUse`
/// if nobody listens at this address and the stream has connected to itself. This can happen if the system gives
/// the stream the same port that it connects to (RFC 9293, 3.5: a simultaneous open).
pub fn connect(host: impl ToSocketAddrs, timeout: Duration) -> io::Result<TcpStream> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) if stream.local_addr()? == address => {
                last_error = io::ErrorKind::AddrInUse.into();
            }
            Ok(stream) => {
                // macOS refuses this if the peer has already reset the connection. The next read reports the
                // reset.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Sets the backlog: the maximum number of connections that wait to be accepted. `std` sets it to 128, which is
/// too low when many clients connect at once.
///
/// The system lowers a higher number to its own limit (`net.core.somaxconn`). Source: `listen(2)`. Does nothing
/// on Windows, where the backlog of a socket cannot be changed.
///
/// # Errors
///
/// Any error of the system. After an error, the old backlog stays.
pub fn set_listen_backlog(listener: &TcpListener, connections: u16) -> io::Result<()> {
    os::set_listen_backlog(listener, connections)
}

/// Does the same as [`wait_for_connections`], for one listener.
///
/// # Errors
///
/// The errors of [`wait_for_connections`].
pub fn wait_for_connection(
    listener: &TcpListener,
    wake: &PipeReader,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    wait_for_connections(std::slice::from_ref(listener), wake, timeout)
}

/// Blocks until a connection waits to be accepted by one of `listeners`, until there is something to read in
/// `wake`, or until `timeout` has expired. Returns whether `wake` ended the wait.
///
/// Another thread can end this wait with a byte in the pipe. To end a wait in `accept`, the other thread would
/// have to connect to the listener, and a connection needs a free descriptor. Source: `poll(2)`. On Windows,
/// `WSAPoll` can wait for sockets only. So on Windows, this function checks `wake` twenty times a second. On
/// every system, a new connection ends the wait at once.
///
/// # Errors
///
/// Any error of the system. A signal is not an error: it ends the wait.
pub fn wait_for_connections(
    listeners: &[TcpListener],
    wake: &PipeReader,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    os::wait_for_connections(listeners, wake, timeout)
}

/// Sends as many bytes as the socket's buffer accepts, without waiting. Returns the number of accepted bytes.
///
/// `MSG_DONTWAIT` affects only this call: the socket stays blocking for the thread that reads from it. Windows
/// has no such flag, and on macOS the flag does not work. On these systems the socket is non-blocking during
/// the call. So the thread that reads must use [`read`], and two threads must not send at the same time.
/// Source: `send(2)`.
///
/// # Errors
///
/// `WouldBlock` when the buffer is full, `BrokenPipe` or `ConnectionReset` when the peer is gone.
pub fn send_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    os::send_now(stream, bytes)
}

/// Sends several slices, as [`send_now`] sends one slice. Sends at most 1,024 slices (`IOV_MAX`). Source:
/// `sendmsg(2)`.
///
/// # Errors
///
/// The errors of [`send_now`].
pub fn send_slices_now(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    os::send_slices_now(stream, slices)
}

/// Reads as `Read::read` does. A signal does not make the read fail, and neither does a call of [`send_now`] in
/// another thread. Returns 0 at the end of the stream, and after the connection was [shut down](shut_down).
///
/// Blocks until bytes arrive, the stream ends, another thread shuts the connection down, or the read timeout
/// expires.
///
/// # Errors
///
/// `WouldBlock` if the read timeout has expired. The system may report this slightly too early, so the caller
/// must check the clock. Any other error means that the connection is broken.
pub fn read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match os::read(stream, buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // There is no read timeout. So the cause is another thread that is sending: during its call, the
            // socket is non-blocking.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && matches!(stream.read_timeout(), Ok(None)) =>
            {
                thread::yield_now();
            }
            read => return read,
        }
    }
}

/// Shuts a connection down. This wakes a thread that blocks in [`read`], unless only writing is shut down.
///
/// On Windows `shutdown` alone does not wake that thread, so this also cancels the read (`CancelIoEx`). Source:
/// `shutdown(2)`.
///
/// # Errors
///
/// Any error of the system, for example because the peer is gone.
pub fn shut_down(stream: &TcpStream, how: Shutdown) -> io::Result<()> {
    os::shut_down(stream, how)
}

/// Returns whether the connection has ended in both directions: it was reset, or timed out. Never blocks.
///
/// A peer that has only shut down its own sending can still read, and is not gone. Even after the connection has
/// ended, bytes that the peer sent before can still be read. Source: `poll(2)`, `POLLHUP`.
pub fn is_gone(stream: &TcpStream) -> bool {
    // On most systems, `poll` reports errors and hang-ups even if it is asked for no event. On macOS, it must be
    // asked for some event.
    let mut polled = [Polled::writable(stream)];
    wait(&mut polled, Some(Duration::ZERO)).is_ok() && polled[0].is_over()
}

/// Limits the number of unsent bytes that the system keeps for a socket, for example when the peer does not read.
/// Bytes that are sent and not yet acknowledged do not count, so a fast peer is not slowed down. Source:
/// `tcp(7)`, `TCP_NOTSENT_LOWAT`. Does nothing on FreeBSD and Windows.
///
/// # Errors
///
/// Any error of the system.
pub fn limit_unsent(stream: &TcpStream, bytes: usize) -> io::Result<()> {
    UNSENT.map_or(Ok(()), |option| set(stream, IPPROTO_TCP, option, bytes))
}

/// Keeps urgent data at its place in the stream (`SO_OOBINLINE`). Without this option, a byte would be missing
/// from the stream of a telnet client: on Ctrl-C, telnet sends one byte as urgent data. Source: `socket(7)`, RFC
/// 6093.
///
/// # Errors
///
/// Any error of the system.
pub fn keep_urgent_data_in_line(stream: &TcpStream) -> io::Result<()> {
    set(stream, SOL_SOCKET, SO_OOBINLINE, 1)
}

/// The settings with which the system detects that a peer has vanished.
#[derive(Debug, Clone, Copy)]
pub struct DeadPeer {
    /// The time for which a peer must be silent before the system probes the connection (`TCP_KEEPIDLE`).
    pub idle: Duration,
    /// The time from one probe to the next (`TCP_KEEPINTVL`).
    pub interval: Duration,
    /// The number of unanswered probes after which the system ends the connection (`TCP_KEEPCNT`).
    pub probes: u32,
    /// The maximum time for which sent data stays unacknowledged (`TCP_USER_TIMEOUT`, RFC 5482). The system sends
    /// no probes while there is unacknowledged data. On Linux this limit also applies to a peer that accepts no
    /// data (a zero window). FreeBSD has no such option, and ends the connection by itself after some minutes.
    /// Zero means the system's own limit.
    pub unacknowledged: Duration,
}

/// Makes the system end the connection once its peer is gone. A read then fails with `TimedOut`. Source:
/// `tcp(7)`.
///
/// # Errors
///
/// Any error of the system. The options are set one after another. After an error, the remaining options are not
/// set.
pub fn detect_dead_peer(stream: &TcpStream, after: DeadPeer) -> io::Result<()> {
    set(stream, SOL_SOCKET, SO_KEEPALIVE, 1)?;
    set(stream, IPPROTO_TCP, TCP_KEEPIDLE, after.idle.as_secs())?;
    set(stream, IPPROTO_TCP, TCP_KEEPINTVL, after.interval.as_secs())?;
    set(stream, IPPROTO_TCP, TCP_KEEPCNT, after.probes)?;
    if after.unacknowledged.is_zero() {
        return Ok(());
    }
    limit_unacknowledged(stream, after.unacknowledged)
}

/// Changes the maximum time for which sent data stays [unacknowledged](DeadPeer::unacknowledged). The limit also
/// applies after the socket is closed. After this time, the system discards the bytes that the peer has not
/// acknowledged.
///
/// # Errors
///
/// Any error of the system.
pub fn limit_unacknowledged(stream: &TcpStream, time: Duration) -> io::Result<()> {
    UNACKNOWLEDGED
        .map_or(Ok(()), |(option, unit)| set(stream, IPPROTO_TCP, option, time.as_millis() / unit))
}

/// Sets an option of a socket. If `value` is larger than the largest `c_int`, the largest `c_int` is used
/// instead.
fn set(
    stream: &TcpStream,
    level: c_int,
    option: c_int,
    value: impl TryInto<c_int>,
) -> io::Result<()> {
    os::set(stream, level, option, value.try_into().unwrap_or(c_int::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Ipv4Addr;
    use std::sync::mpsc;
    use std::time::Instant;

    fn listener() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
    }

    /// Both ends of a connection.
    fn connected() -> (TcpStream, TcpStream) {
        let listener = listener();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, peer)
    }

    /// Checks the condition again and again until it is true. Panics after a minute.
    fn wait_until(is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn fill(stream: &TcpStream) {
        let much = vec![0; 1 << 20];
        let full = loop {
            if let Err(error) = send_now(stream, &much) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn sending_to_a_peer_that_does_not_read_returns() {
        let (stream, _peer) = connected();
        fill(&stream);
        let full = send_slices_now(&stream, &[IoSlice::new(b"more"), IoSlice::new(b"and more")]);
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_thread_that_reads_is_not_disturbed_by_one_that_sends() {
        let (stream, mut peer) = connected();
        let mut other_end = peer.try_clone().unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| read(&stream, &mut [0; 16]));
            let discards = scope.spawn(move || io::copy(&mut other_end, &mut io::sink()));
            for _ in 0..10_000 {
                send_now(&stream, b"x").unwrap();
            }
            fill(&stream);
            assert!(!reader.is_finished());
            peer.write_all(b"here").unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 4);
            shut_down(&stream, Shutdown::Both).unwrap();
            assert!(discards.join().unwrap().unwrap() > 10_000);
        });
    }

    /// On Windows, `shutdown` alone does not wake the thread.
    #[test]
    fn shutting_down_wakes_a_thread_that_reads_whether_it_had_begun_or_not() {
        for (round, how) in (0..200).flat_map(|n| [(n, Shutdown::Read), (n, Shutdown::Both)]) {
            let (stream, _peer) = connected();
            let (about_to, is_about_to) = mpsc::channel();
            thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    about_to.send(()).unwrap();
                    read(&stream, &mut [0; 16])
                });
                is_about_to.recv().unwrap();
                // The shutdown comes a little later in each round.
                (0..round).for_each(|_| thread::yield_now());
                shut_down(&stream, how).unwrap();
                assert_eq!(reader.join().unwrap().unwrap(), 0);
                assert_eq!(read(&stream, &mut [0; 16]).unwrap(), 0, "afterwards too");
            });
        }
    }

    #[test]
    fn a_read_timeout_is_told_apart_from_the_end() {
        let (stream, _peer) = connected();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let error = read(&stream, &mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_wait_for_connections_ends_by_one_by_the_pipe_and_by_the_time() {
        let listener = listener();
        let (wake, mut waker) = io::pipe().unwrap();
        let soon = Some(Duration::from_millis(1));
        assert!(!wait_for_connection(&listener, &wake, soon).unwrap());
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!wait_for_connection(&listener, &wake, None).unwrap());
        listener.set_nonblocking(true).unwrap();
        listener.accept().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_for_connection(&listener, &wake, None));
            waker.write_all(b"!").unwrap();
            assert!(waiting.join().unwrap().unwrap());
        });
        // The byte that ended the wait can still be read.
        (&wake).read_exact(&mut [0]).unwrap();
    }

    #[test]
    fn a_peer_that_has_ended_its_stream_is_not_gone_and_one_that_is_reset_is() {
        let (stream, peer) = connected();
        assert!(!is_gone(&stream));
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&stream, &mut [0]).unwrap(), 0);
        assert!(!is_gone(&stream));
        send_now(&stream, b"unread").unwrap();
        wait_until(|| matches!(peer.peek(&mut [0]), Ok(1)));
        // Closing a socket that has unread data resets the connection.
        drop(peer);
        wait_until(|| is_gone(&stream));
    }

    #[test]
    fn the_options_are_known_to_the_system() {
        let (stream, _peer) = connected();
        let seconds = Duration::from_secs;
        let after = DeadPeer {
            idle: seconds(60),
            interval: seconds(10),
            probes: 3,
            unacknowledged: seconds(90),
        };
        if let Err(error) = detect_dead_peer(&stream, after) {
            // Wine 8 and Windows before version 1709 return WSAENOPROTOOPT.
            assert!(cfg!(windows) && error.raw_os_error() == Some(10_042), "{error}");
        }
        keep_urgent_data_in_line(&stream).unwrap();
        limit_unsent(&stream, 1 << 16).unwrap();
        set_listen_backlog(&listener(), 4096).unwrap();
    }
}
