//! What the kernel says about sockets and processes. Where it says nothing (there is no `/proc`), the
//! answer is `None`, and the examiner does with less.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// One TCP socket of this machine, as `/proc/net/tcp` lists it.
#[derive(Debug)]
pub(crate) struct Socket {
    local: u16,
    remote: u16,
    state: String,
    /// What was written and not acknowledged by the peer, in bytes.
    pub(crate) unsent: u64,
    /// What has come and was not read, in bytes.
    pub(crate) unread: u64,
    /// The number of the timer that runs: 02 is keep-alive.
    pub(crate) timer: String,
}

/// Where Linux lists its sockets.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// The first socket of this machine that has this port at one end and passes the test `is_it`.
fn find(port: u16, is_it: impl Fn(&Socket) -> bool) -> Option<Socket> {
    let hexadecimal = format!("{port:04X}");
    TABLES.iter().find_map(|path| {
        // A machine without IPv6 does not have the second one.
        let table = fs::read_to_string(path).ok()?;
        // A busy machine has thousands of sockets. Only lines that may be the right one are parsed.
        let mut lines = table.split('\n').filter(|line| line.contains(&hexadecimal));
        lines.find_map(|line| parse(line).filter(&is_it))
    })
}

/// The columns are: number, local address, remote address, state, both queues, timer.
fn parse(line: &str) -> Option<Socket> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let (unsent, unread) = columns.get(4)?.split_once(':')?;
    Some(Socket {
        local: port(columns.get(1)?)?,
        remote: port(columns.get(2)?)?,
        state: (*columns.get(3)?).to_owned(),
        unsent: u64::from_str_radix(unsent, 16).ok()?,
        unread: u64::from_str_radix(unread, 16).ok()?,
        timer: columns.get(5)?.split(':').next()?.to_owned(),
    })
}

/// Whether somebody listens on a port; `None` where the kernel does not tell.
pub(crate) fn listens(port: u16) -> Option<bool> {
    let is_listener = |socket: &Socket| socket.local == port && socket.state == LISTEN;
    fs::exists(TABLES[0]).is_ok_and(|is_there| is_there).then(|| find(port, is_listener).is_some())
}

/// The server's end of a connection. `server` is the port at this end, `client` the port at the other end.
pub(crate) fn server_end(server: u16, client: u16) -> Option<Socket> {
    find(client, |socket| socket.local == server && socket.remote == client)
}

/// Calls `is_so` until it returns `true` or the time is over. Returns whether it did. The pauses between the
/// calls grow, because the tables of the kernel are long: reading them all the time would take a processor that
/// the server may need.
pub(crate) fn wait_until(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let (start, mut pause) = (Instant::now(), Duration::from_millis(1));
    while start.elapsed() < time {
        if is_so() {
            return true;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    is_so()
}

/// The most resident memory that a process has had so far, in KiB. On other systems than Linux, what it has
/// now.
pub(crate) fn peak_memory_kib(process: u32) -> u64 {
    let number = |text: &str| text.trim().trim_end_matches(" kB").trim().parse().ok();
    if let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        return peak.and_then(number).unwrap_or(0);
    }
    let listed = Command::new("ps").args(["-o", "rss=", "-p", &process.to_string()]).output();
    listed.ok().and_then(|listed| number(&String::from_utf8_lossy(&listed.stdout))).unwrap_or(0)
}
