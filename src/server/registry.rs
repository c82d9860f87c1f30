//! The registry: all connections. This includes connections that have no nickname yet, and connections that are
//! being closed.
//!
//! The shutdown uses the registry to find the connections that must be told, woken or closed. The
//! [`room`](super::room) knows which clients have joined, and their nicknames.
//!
//! This module grew from step 10 of the [course](crate::lessons), which lists the connections that must be
//! closed at the end.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::client::{Client, ClientId};

/// All connections that have a session.
#[derive(Debug, Default)]
pub struct Registry {
    /// A thread locks this to change the map, to look up a connection, or to copy the list. No thread waits for
    /// anything while it holds this lock.
    clients: Arc<Mutex<HashMap<ClientId, Arc<Client>>>>,
    /// Wakes [`Registry::wait_until_empty`] when the last connection is removed.
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
        // Dropping the last reference closes the socket, so the lock is released first.
        drop(removed);
    }

    /// Finds a connection by its number.
    pub fn get(&self, id: ClientId) -> Option<Arc<Client>> {
        self.lock().get(&id).cloned()
    }

    /// Returns all connections that exist at this moment.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    /// Blocks until there is no connection, or until `deadline`.
    pub fn wait_until_empty(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let some = |clients: &mut HashMap<_, _>| !clients.is_empty();
        // An error means a poisoned lock. The wait is over in that case, too.
        drop(self.emptied.wait_timeout_while(self.lock(), left, some));
    }

    /// A panic cannot leave the map half changed. So the lock is used even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
