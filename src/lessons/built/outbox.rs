//! From step 11: the outbox. Everything that people can notice is put in here, in one order.
//!
//! The sessions put, the writer takes. In the real server this is
//! [`server::outbox`](crate::server::outbox), which has a bound of its own.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::batch::{Change, Entry};
use super::session::lock;

/// The queue between the sessions and the writer.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Locked to push or to take; never while anything waits for a peer.
    entries: Mutex<Vec<Entry>>,
    /// Something was put in: wakes the writer.
    filled: Condvar,
}

impl Outbox {
    /// Puts an entry in. Never waits for a peer.
    pub fn put(&self, who: &Arc<str>, to_others: String, to_self: String, change: Change) {
        lock(&self.entries).push(Entry { who: Arc::clone(who), to_others, to_self, change });
        self.filled.notify_one();
    }

    /// Puts the farewell in. Nobody gets anything after it.
    pub fn end(&self) {
        let farewell = "[SERVER] The server is shutting down.\n".to_owned();
        self.put(&"".into(), farewell, String::new(), Change::End);
    }

    /// Takes everything that is there. Blocks while there is nothing, or until `at_most` is over, if there is
    /// such a limit. So it may return nothing. (The limit is from step 12.)
    pub fn take(&self, at_most: Option<Duration>) -> Vec<Entry> {
        let entries = lock(&self.entries);
        let is_empty = |entries: &mut Vec<Entry>| entries.is_empty();
        let mut entries = match at_most {
            None => {
                self.filled.wait_while(entries, is_empty).unwrap_or_else(PoisonError::into_inner)
            }
            Some(time) => {
                let waited = self.filled.wait_timeout_while(entries, time, is_empty);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        mem::take(&mut *entries)
    }
}
