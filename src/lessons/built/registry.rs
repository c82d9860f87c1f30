//! From step 11: the names of all clients that have joined. The sessions' threads call this code to join and to
//! leave.
//!
//! The real server's counterpart is [`server::room`](crate::server::room).

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::batch::Change;
use super::outbox::Outbox;
use super::session::lock;

/// The data that all sessions share: the names that are taken, and the outbox.
#[derive(Debug, Default)]
pub struct Registry {
    /// This mutex is locked while a join or a leave is put into the outbox. So the outbox has joins and leaves in the
    /// order in which the names were taken and freed. No thread waits for a peer while it holds this lock.
    names: Mutex<BTreeSet<Arc<str>>>,
    /// The queue of everything that clients will see.
    pub outbox: Outbox,
}

/// A client's membership in the room. Dropping this value makes the client leave.
#[derive(Debug)]
pub struct Member<'a> {
    /// The client's name.
    pub name: Arc<str>,
    registry: &'a Registry,
}

impl<'a> Member<'a> {
    /// Takes the name if it is free, and announces the new member. Returns `None` if the name is taken.
    pub fn join(name: &str, stream: &Arc<TcpStream>, registry: &'a Registry) -> Option<Self> {
        let (name, mut names) = (Arc::<str>::from(name), lock(&registry.names));
        if !names.insert(Arc::clone(&name)) {
            return None;
        }
        let online: Vec<&str> = names.iter().map(|name| &**name).collect();
        let online = format!("{} online: {}", online.len(), online.join(", "));
        let welcome = format!("[SERVER] Connected to the server!\n[SERVER] {online}\n");
        let joined = format!("[SERVER] {name} joined the chat!\n");
        registry.outbox.put(&name, joined, welcome, Change::Joined(Arc::clone(stream)));
        Some(Self { name, registry })
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let (left, mut names) =
            (format!("[SERVER] {} left the chat!\n", self.name), lock(&self.registry.names));
        names.remove(&self.name);
        self.registry.outbox.put(&self.name, left, "[SERVER] Goodbye!\n".into(), Change::Left);
    }
}
