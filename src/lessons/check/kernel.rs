//! Information from the kernel about sockets and processes. On systems without `/proc`, the functions about sockets
//! return `None`, and the examiner works without this information.

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
    /// The number of written bytes that the peer has not acknowledged yet.
    pub(crate) unsent: u64,
    /// The number of bytes that have arrived but that the program has not read yet.
    pub(crate) unread: u64,
    /// The number of the timer that runs. `02` is the keep-alive timer.
    pub(crate) timer: String,
}

/// The files in which Linux lists its sockets.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// Returns the first socket of this machine that has this port at either end, and for which `is_it` is true.
fn find(port: u16, is_it: impl Fn(&Socket) -> bool) -> Option<Socket> {
    let hexadecimal = format!("{port:04X}");
    TABLES.iter().find_map(|path| {
        // A machine without IPv6 does not have the second table.
        let table = fs::read_to_string(path).ok()?;
        // A busy machine has thousands of sockets, so only lines that contain the port are parsed.
        let mut lines = table.split('\n').filter(|line| line.contains(&hexadecimal));
        lines.find_map(|line| parse(line).filter(&is_it))
    })
}

/// Parses a line of the table. Its columns are: number, local address, remote address, state, both queues, timer.
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

/// Whether a program listens on a port. `None` if the kernel does not show this.
pub(crate) fn listens(port: u16) -> Option<bool> {
    let is_listener = |socket: &Socket| socket.local == port && socket.state == LISTEN;
    fs::exists(TABLES[0]).is_ok_and(|is_there| is_there).then(|| find(port, is_listener).is_some())
}

/// Returns the socket at the server's end of a connection. `server` is the port at the server's end, and `client` is
/// the port at the client's end.
pub(crate) fn server_end(server: u16, client: u16) -> Option<Socket> {
    find(client, |socket| socket.local == server && socket.remote == client)
}

/// Calls `is_so` until it returns `true` or the time has passed. Returns the last result. The pauses between the
/// calls grow, because the kernel's tables are long. Reading them without pauses would use a processor that the
/// server may need.
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

/// Returns the peak resident memory of a process, in KiB. On systems other than Linux, returns the memory that the
/// process uses now.
pub(crate) fn peak_memory_kib(process: u32) -> u64 {
    let number = |text: &str| text.trim().trim_end_matches(" kB").trim().parse().ok();
    if let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        return peak.and_then(number).unwrap_or(0);
    }
    let listed = Command::new("ps").args(["-o", "rss=", "-p", &process.to_string()]).output();
    listed.ok().and_then(|listed| number(&String::from_utf8_lossy(&listed.stdout))).unwrap_or(0)
}
