//! The registry: all connections. This includes connections that have no nickname yet, and connections that are
//! being closed.
//!
//! The shutdown finds here who must be told, woken or closed. The [`room`](super::room) knows who is in the
//! chat, and under which name. That changes at one place of the order.
//!
//! Grew from the list of connections to be closed at the end, in step 10 of the [course](crate::lessons).

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::client::{Client, ClientId};

/// All connections that have a session.
#[derive(Debug, Default)]
pub struct Registry {
    /// Held to look something up or to copy the list, never while anything waits.
    clients: Arc<Mutex<HashMap<ClientId, Arc<Client>>>>,
    /// The last connection is gone: wakes [`Registry::wait_until_empty`].
    emptied: Condvar,
}

impl Registry {
    /// Adds a connection.
    pub fn insert(&self, client: &Arc<Client>) {
        self.lock().insert(client.id, Arc::clone(client));
    }

    /// Removes a connection whose session has ended.
    pub fn remove(&self, id: ClientId) {
        let mut clients = self.lock();
        let removed = clients.remove(&id);
        if clients.is_empty() {
            self.emptied.notify_all();
        }
        drop(clients);
        // This may close the socket. So it happens after the lock is released.
        drop(removed);
    }

    /// Finds a connection by its number.
    pub fn get(&self, id: ClientId) -> Option<Arc<Client>> {
        self.lock().get(&id).cloned()
    }

    /// Returns all connections of this moment.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    /// Blocks until there is no connection, or until `deadline`.
    pub fn wait_until_empty(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let some = |clients: &mut HashMap<_, _>| !clients.is_empty();
        // An error is a poisoned lock, and the wait is over as well.
        drop(self.emptied.wait_timeout_while(self.lock(), left, some));
    }

    /// No panic can leave the map half changed. So a poisoned lock is used as it is.
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
