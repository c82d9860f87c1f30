//! Waiting for many sockets at once. Source: `poll(2)`; on Windows `WSAPoll`, which is the same for sockets alone.

use std::net::TcpStream;
use std::time::Duration;

use super::os::poll::{Polled, wait};

/// Waits for many sockets at once. It keeps the array that the call needs.
#[derive(Debug, Default)]
pub struct Poll {
    polled: Vec<Polled>,
}

impl Poll {
    /// Blocks until one of `sockets` takes more or is over, until `timeout` has passed, or until a signal was
    /// handled. Returns for each of them, in their order, whether it is so.
    pub fn writable<'a, 's>(
        &'a mut self,
        sockets: impl Iterator<Item = &'s TcpStream>,
        timeout: Duration,
    ) -> impl Iterator<Item = bool> + 'a {
        self.polled.clear();
        self.polled.extend(sockets.map(Polled::writable));
        // An error, a signal perhaps, leaves the entries as they were. Then none is known to be writable.
        let waited = wait(&mut self.polled, Some(timeout));
        self.polled.iter().map(move |polled| waited.is_ok() && polled.is_ready())
    }
}
