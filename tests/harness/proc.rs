//! Facts from `/proc`, on Linux: a process's processor time, memory, threads and descriptors, and how many
//! bytes of a connection are under way.
//!
//! Shared by the tests and the tool that measures.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// How many ticks of processor time `stat` counts in a second: `USER_HZ`, which is 100 wherever `std` runs.
const TICKS_A_SECOND: f64 = 100.0;

/// The resources of a process at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Processor time of all its threads, in seconds, to a hundredth.
    ticked_seconds: f64,
    /// Processor time of the threads that still run, in seconds, to a nanosecond.
    live_seconds: f64,
    /// Resident memory, in KiB.
    pub(crate) resident_kib: u64,
    /// The most resident memory so far, in KiB.
    pub(crate) peak_kib: u64,
    /// Threads.
    pub(crate) threads: usize,
    /// Open descriptors.
    pub(crate) descriptors: usize,
}

impl Sample {
    /// Looks at a process, by its number or as `self`.
    ///
    /// # Errors
    ///
    /// When there is no such process, when it belongs to somebody else, or when the system has no `/proc`.
    pub(crate) fn of(pid: &str) -> io::Result<Self> {
        let directory = Path::new("/proc").join(pid);
        let mut sample = Self::default();
        (sample.resident_kib, sample.peak_kib) = memory_of(pid)?;
        sample.descriptors = fs::read_dir(directory.join("fd"))?.count();
        for task in fs::read_dir(directory.join("task"))? {
            // A thread that ended meanwhile has no file any more, and nothing to add.
            let schedstat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            sample.live_seconds += number::<f64>(&schedstat).unwrap_or(0.0) / 1e9;
            sample.threads += 1;
        }
        // The name, in brackets, may itself hold spaces and brackets.
        let stat = fs::read_to_string(directory.join("stat"))?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: f64 = after_name.split(' ').skip(12).take(2).filter_map(number::<f64>).sum();
        sample.ticked_seconds = ticks / TICKS_A_SECOND;
        Ok(sample)
    }

    /// Returns the processor time since an earlier sample, in seconds.
    ///
    /// The time is exact if no thread ends in between. Otherwise it is exact to one or two hundredths of a second.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> f64 {
        let ticked = self.ticked_seconds - earlier.ticked_seconds;
        let live = self.live_seconds - earlier.live_seconds;
        if (ticked - live).abs() * TICKS_A_SECOND <= 2.0 { live } else { ticked }
    }
}

/// Returns a process's resident memory and its peak, in KiB.
///
/// # Errors
///
/// As for [`Sample::of`].
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
    /// Bytes that were written to it and not acknowledged.
    pub(crate) unacknowledged: u64,
    /// Bytes that arrived and were not read.
    pub(crate) unread: u64,
    /// In how many hundredths of a second keep-alive asks next, while no other timer runs.
    pub(crate) keepalive: Option<u64>,
}

/// Looks at the end of a connection of IPv4 whose own address is `local`; `None` if there is none.
pub(crate) fn socket(local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
    find_socket(&fs::read_to_string("/proc/net/tcp").ok()?, local, remote)
}

/// Looks at both ends of such a connection within this machine, first at the one whose address is
/// `local`.
pub(crate) fn both_sockets(local: SocketAddr, remote: SocketAddr) -> Option<(Socket, Socket)> {
    let sockets = fs::read_to_string("/proc/net/tcp").ok()?;
    Some((find_socket(&sockets, local, remote)?, find_socket(&sockets, remote, local)?))
}

fn find_socket(sockets: &str, local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
    let hexadecimal = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            // The address as the processor has it in memory.
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
        // 02 is the timer of keep-alive.
        keepalive: row.get(5)?.strip_prefix("02:").and_then(number),
    })
}
