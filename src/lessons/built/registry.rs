//! From step 11: who is in, under which name. Each session's thread joins and leaves here.
//!
//! In the real server this is [`server::room`](crate::server::room).

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::batch::Change;
use super::outbox::Outbox;
use super::session::lock;

/// What all sessions share: the names that are taken, and the outbox.
#[derive(Debug, Default)]
pub struct Registry {
    /// Locked while a join or a leave is put into the outbox. So joins and leaves have the same order there as
    /// in the map. Nothing waits under this lock.
    names: Mutex<BTreeSet<Arc<str>>>,
    /// Where everything goes that people can notice.
    pub outbox: Outbox,
}

/// A place in the room, under a name. When the place is dropped, its owner has left.
#[derive(Debug)]
pub struct Member<'a> {
    /// The name.
    pub name: Arc<str>,
    registry: &'a Registry,
}

impl<'a> Member<'a> {
    /// If the name is free, takes it and announces it.
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
