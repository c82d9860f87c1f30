//! Statistics: what the server has done so far, and its state, in one line of `key=value` pairs.
//!
//! ```text
//! stats uptime=60 users=2 users_most=3 lines_in=10 deliveries=9 bytes_out=412 behind=1
//! ```
//!
//! The real line has additional pairs. Times are in seconds, and `memory` is in KiB. The other values are
//! counts, or sizes in bytes. The threads count their work in atomic variables. Everything else is looked up
//! when the line is composed.

use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crate::protocol::nickname::Nickname;
use crate::protocol::replies;
use crate::server::batch::Total;
use crate::server::client::Client;
use crate::server::shared::Shared;

/// The maximum number of clients that the line names as being behind.
const MAX_NAMED: usize = 10;

/// The lines with which connections are turned away, each with the key of its counter.
const TURNED_AWAY: [(&str, &str); 6] = [
    (replies::SERVER_FULL, "full"),
    (replies::TOO_MANY_FROM_ADDRESS, "per_address"),
    (replies::BANNED, "banned"),
    (replies::LOGIN_TIMEOUT, "login_timeout"),
    (replies::TOO_MANY_TRIES, "tries"),
    (replies::NOT_A_WEB_SERVER, "web"),
];

/// The counters, and the time at which counting began.
#[derive(Debug)]
pub struct Stats {
    started: Instant,
    /// The number of lines that clients have sent. The sessions count them.
    pub lines_in: AtomicU64,
    /// The number of lines that recipients have received, set by the writer. A line to ten recipients counts
    /// ten times.
    pub deliveries: AtomicU64,
    /// The number of bytes that recipients have received, set by the writer.
    pub bytes_out: AtomicU64,
    /// The number of bytes of text that are kept for slow recipients, set by the writer.
    pub backlog: AtomicUsize,
    turned_away: [AtomicU64; TURNED_AWAY.len()],
}

impl Stats {
    /// Begins to count.
    pub fn begin() -> Self {
        Self {
            started: Instant::now(),
            lines_in: AtomicU64::default(),
            deliveries: AtomicU64::default(),
            bytes_out: AtomicU64::default(),
            backlog: AtomicUsize::default(),
            turned_away: Default::default(),
        }
    }

    /// Sets the amount that has been delivered so far, and the number of bytes that are kept for slow
    /// recipients.
    pub fn set_delivered(&self, delivered: Total, backlog: usize) {
        self.deliveries.store(delivered.lines, Relaxed);
        self.bytes_out.store(delivered.bytes, Relaxed);
        self.backlog.store(backlog, Relaxed);
    }

    /// Counts a connection that is turned away with this line.
    pub fn turn_away(&self, line: &str) {
        for (count, (reason, _)) in self.turned_away.iter().zip(TURNED_AWAY) {
            if reason == line {
                count.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Composes the line of statistics. Never waits for a client.
pub fn line(shared: &Shared) -> String {
    let stats = &shared.stats;
    let clients = shared.registry.all();
    let behind: Vec<&Client> =
        clients.iter().map(|client| &**client).filter(|c| c.is_behind.load(Relaxed)).collect();
    let ((users, most), mut names) = shared.outbox.look(|room| {
        let names = behind.iter().filter_map(|client| room.nickname(client.id));
        let names: Vec<&str> = names.take(MAX_NAMED).map(Nickname::as_str).collect();
        (room.count(), names.join(","))
    });
    if names.is_empty() {
        names.push('-');
    }
    let mut line = format!(
        "stats uptime={} users={users} users_most={most} lines_in={} deliveries={} bytes_out={} \
         behind={} behind_names={names} backlog={}",
        stats.started.elapsed().as_secs(),
        stats.lines_in.load(Relaxed),
        stats.deliveries.load(Relaxed),
        stats.bytes_out.load(Relaxed),
        behind.len(),
        stats.backlog.load(Relaxed),
    );
    for (count, (_, key)) in stats.turned_away.iter().zip(TURNED_AWAY) {
        line += &format!(" turned_away_{key}={}", count.load(Relaxed));
    }
    line + &format!(" memory={}", resident_kib().unwrap_or(0))
}

/// Returns the amount of memory that the process uses, in KiB, or `None` on systems other than Linux. Source:
/// `proc(5)`, `VmRSS`.
fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
