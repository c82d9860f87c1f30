//! Waiting for many sockets at once. Source: `poll(2)`. Windows has `WSAPoll` instead, which can wait for
//! sockets only.

use std::net::TcpStream;
use std::time::Duration;

use super::os::poll::{Polled, wait};

/// Waits for many sockets at once. The array that `poll` needs is kept for the next call of [`Poll::writable`].
#[derive(Debug, Default)]
pub struct Poll {
    polled: Vec<Polled>,
}

impl Poll {
    /// Blocks until one of `sockets` is writable or has ended, until `timeout` has passed, or until a signal was
    /// handled. Returns one answer for each socket, in the order of `sockets`: whether the socket is writable or
    /// has ended.
    pub fn writable<'a, 's>(
        &'a mut self,
        sockets: impl Iterator<Item = &'s TcpStream>,
        timeout: Duration,
    ) -> impl Iterator<Item = bool> + 'a {
        self.polled.clear();
        self.polled.extend(sockets.map(Polled::writable));
        // After an error, the entries have no valid result, so no socket counts as writable.
        let waited = wait(&mut self.polled, Some(timeout));
        self.polled.iter().map(move |polled| waited.is_ok() && polled.is_ready())
    }
}
