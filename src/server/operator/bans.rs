//! Bans: addresses that may not connect, for some time or permanently.
//!
//! The operator changes the bans on the console, and the accept loop checks them. An IPv6 /64 network counts as
//! one address. This machine itself cannot be banned: see [`counted_as`](crate::server::rate::counted_as).
//!
//! With `--bans` the bans are saved in a file, one ban on each line:
//!
//! ```text
//! 192.0.2.7
//! 2001:db8:1:2:: 1767225600
//! ```
//!
//! The number is the time when the ban ends, in seconds since 1970. A ban without a number is permanent. Each
//! change replaces the whole file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::files::replace;

/// The time at which a ban ends, in seconds since 1970.
type End = u64;

/// The end of a permanent ban.
const FOR_GOOD: End = End::MAX;

/// All bans.
#[derive(Debug, Default)]
pub struct Bans {
    /// The bans. The table is locked to look up, change or copy bans, but is never locked while the file is
    /// written.
    table: Mutex<BTreeMap<IpAddr, End>>,
    file: Option<PathBuf>,
}

impl Bans {
    /// Reads the bans from a file. Without a file, or if the file does not exist, there are no bans.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or has a line that is not a ban. The server does not start
    /// in that case, so a mistake in the file cannot lift a ban.
    pub fn load(file: Option<PathBuf>) -> io::Result<Self> {
        let mut table = BTreeMap::new();
        if let Some(path) = &file {
            let text = match fs::read_to_string(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                text => text?,
            };
            for line in text.lines() {
                let wrong = || io::Error::other(format!("no ban: {line}"));
                let (address, end) = parse(line).ok_or_else(wrong)?;
                table.insert(address, end);
            }
        }
        Ok(Self { table: Mutex::new(table), file })
    }

    /// Returns whether an address is banned.
    pub fn has(&self, address: IpAddr) -> bool {
        self.lock().get(&address).is_some_and(|end| *end > now())
    }

    /// Bans an address, for a number of minutes or permanently.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written. In that case the ban is in force only until the server
    /// ends.
    pub fn add(&self, address: IpAddr, minutes: Option<u32>) -> io::Result<()> {
        let end = minutes.map_or(FOR_GOOD, |minutes| now() + 60 * u64::from(minutes));
        self.lock().insert(address, end);
        self.save()
    }

    /// Lifts a ban. Returns whether the address was banned.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn lift(&self, address: IpAddr) -> io::Result<bool> {
        let was_banned = self.lock().remove(&address).is_some_and(|end| end > now());
        self.save().map(|()| was_banned)
    }

    /// Returns all bans, each with the minutes that are left. `None` means that the ban is permanent.
    pub fn all(&self) -> Vec<(IpAddr, Option<u64>)> {
        let now = now();
        let mut table = self.lock();
        table.retain(|_, end| *end > now);
        let left = |end: End| (end != FOR_GOOD).then(|| (end - now).div_ceil(60));
        table.iter().map(|(address, end)| (*address, left(*end))).collect()
    }

    /// Writes the file, if there is one. Only the console's thread writes the file, so no write overtakes
    /// another.
    fn save(&self) -> io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut text = String::new();
        for (address, end) in &*self.lock() {
            let end = if *end == FOR_GOOD { String::new() } else { format!(" {end}") };
            text += &format!("{address}{end}\n");
        }
        replace(path, text.as_bytes())
    }

    /// Locks the table, even if the mutex is poisoned: a panic cannot leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, End>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(line: &str) -> Option<(IpAddr, End)> {
    let (address, end) = match line.split_once(' ') {
        Some((address, end)) => (address, end.parse().ok()?),
        None => (line, FOR_GOOD),
    };
    Some((address.parse().ok()?, end))
}

fn now() -> End {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
