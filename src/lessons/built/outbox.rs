//! From step 11: the outbox, a queue of everything that clients will see, in one order.
//!
//! The sessions put entries in, and the writer takes them out. The real server's counterpart is
//! [`server::outbox`](crate::server::outbox), which also has a bound.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::batch::{Change, Entry};
use super::session::lock;

/// The queue between the sessions and the writer.
#[derive(Debug, Default)]
pub struct Outbox {
    /// A thread holds this lock only to push entries or to take them, and does not wait for a peer while it holds
    /// the lock.
    entries: Mutex<Vec<Entry>>,
    /// Notified when an entry is added. This wakes the writer.
    filled: Condvar,
}

impl Outbox {
    /// Adds an entry. Never waits for a peer.
    pub fn put(&self, who: &Arc<str>, to_others: String, to_self: String, change: Change) {
        lock(&self.entries).push(Entry { who: Arc::clone(who), to_others, to_self, change });
        self.filled.notify_one();
    }

    /// Adds the farewell. No client gets anything after the farewell.
    pub fn end(&self) {
        let farewell = "[SERVER] The server is shutting down.\n".to_owned();
        self.put(&"".into(), farewell, String::new(), Change::End);
    }

    /// Takes all entries. While the outbox is empty, this function blocks. If there is a time limit `at_most`, the
    /// function returns no entries when the limit has passed. (Step 12 introduces the limit.)
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
