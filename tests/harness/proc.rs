//! Facts from `/proc`, on Linux: the processor time, memory, threads and descriptors of a process, and the
//! number of bytes in the queues of a socket.
//!
//! The tests and the measuring tool in `tests/load` share this module.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// The number of ticks per second (`USER_HZ`), which is 100 on every system that `std` supports. The file `stat`
/// counts processor time in ticks.
const TICKS_A_SECOND: f64 = 100.0;

/// The resources of a process at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Processor time of all threads of the process, including ended threads, in seconds. The resolution is 10 ms.
    ticked_seconds: f64,
    /// Processor time of the threads that still run, in seconds. The resolution is 1 ns.
    live_seconds: f64,
    /// Resident memory, in KiB.
    pub(crate) resident_kib: u64,
    /// The peak of resident memory so far, in KiB.
    pub(crate) peak_kib: u64,
    /// The number of threads.
    pub(crate) threads: usize,
    /// The number of open descriptors.
    pub(crate) descriptors: usize,
}

impl Sample {
    /// Reads the resources of a process; `pid` is its process id, or `self`.
    ///
    /// # Errors
    ///
    /// Fails if there is no such process, if the process belongs to another user, or if the system has no `/proc`.
    pub(crate) fn of(pid: &str) -> io::Result<Self> {
        let directory = Path::new("/proc").join(pid);
        let mut sample = Self::default();
        (sample.resident_kib, sample.peak_kib) = memory_of(pid)?;
        sample.descriptors = fs::read_dir(directory.join("fd"))?.count();
        for task in fs::read_dir(directory.join("task"))? {
            // The file is missing if the thread has ended since the directory was listed. Then its time counts as zero.
            let schedstat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            sample.live_seconds += number::<f64>(&schedstat).unwrap_or(0.0) / 1e9;
            sample.threads += 1;
        }
        // The process name is in parentheses, and can itself contain spaces and parentheses.
        let stat = fs::read_to_string(directory.join("stat"))?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: f64 = after_name.split(' ').skip(12).take(2).filter_map(number::<f64>).sum();
        sample.ticked_seconds = ticks / TICKS_A_SECOND;
        Ok(sample)
    }

    /// Returns the processor time since an earlier sample, in seconds.
    ///
    /// The time is exact if no thread has ended since the earlier sample. Otherwise its error is at most about 20 ms.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> f64 {
        let ticked = self.ticked_seconds - earlier.ticked_seconds;
        let live = self.live_seconds - earlier.live_seconds;
        if (ticked - live).abs() * TICKS_A_SECOND <= 2.0 { live } else { ticked }
    }
}

/// Returns the resident memory of a process, and the peak of that memory so far, in KiB.
///
/// # Errors
///
/// Fails in the same cases as [`Sample::of`].
pub(crate) fn memory_of(pid: &str) -> io::Result<(u64, u64)> {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("status"))?;
    let field = |name| number(status.lines().find_map(|line| line.strip_prefix(name))?);
    Ok((field("VmRSS:").unwrap_or(0), field("VmHWM:").unwrap_or(0)))
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// One end of a TCP connection.
#[derive(Debug)]
pub(crate) struct Socket {
    /// The number of bytes that were written to the socket and that the other end has not acknowledged.
    pub(crate) unacknowledged: u64,
    /// The number of bytes that have arrived and that the process has not read.
    pub(crate) unread: u64,
    /// The time until the next keep-alive probe, in hundredths of a second. `/proc` shows only one timer of a
    /// socket: the time is `None` if `/proc` shows another timer, or no timer.
    pub(crate) keepalive: Option<u64>,
}

/// Reads the state of the socket that has the IPv4 address `local` and is connected to `remote`. Returns `None` if
/// there is no such socket.
pub(crate) fn socket(local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
    find_socket(&fs::read_to_string("/proc/net/tcp").ok()?, local, remote)
}

/// Reads the state of both sockets of an IPv4 connection within this machine. The first socket in the result is
/// the one whose own address is `local`.
pub(crate) fn both_sockets(local: SocketAddr, remote: SocketAddr) -> Option<(Socket, Socket)> {
    let sockets = fs::read_to_string("/proc/net/tcp").ok()?;
    Some((find_socket(&sockets, local, remote)?, find_socket(&sockets, remote, local)?))
}

fn find_socket(sockets: &str, local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
    let hexadecimal = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            // `/proc` shows the four bytes of the address as one number in the processor's byte order.
            let ip = u32::from_ne_bytes(address.ip().octets());
            Some(format!("{ip:08X}:{:04X}", address.port()))
        }
        SocketAddr::V6(_) => None,
    };
    let (local, remote) = (hexadecimal(local)?, hexadecimal(remote)?);
    // The columns: number, local address, remote address, state, queues, timer.
    let mut rows = sockets.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1..3) == Some(&[local.as_str(), remote.as_str()]))?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let (sent, received) = row.get(4)?.split_once(':')?;
    Some(Socket {
        unacknowledged: number(sent)?,
        unread: number(received)?,
        // 02 means that the keep-alive timer is running.
        keepalive: row.get(5)?.strip_prefix("02:").and_then(number),
    })
}
