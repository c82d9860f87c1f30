//! From step 9: a queue and a writer for each client, and a client's place in the room.
//!
//! The sessions put lines into the queues. Each client's own writer takes them out. Nobody waits to put a line
//! in. Step 11 replaces all this. In the real server, [`server::client`](crate::server::client) is what threads
//! share of a client.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::session::lock;

/// How many lines may wait for one client.
const MAX_WAITING_LINES: usize = 4096;

/// The clients that are in: for each name, the way to that client. Its lock is held for puts, never for a
/// write.
pub type Clients = HashMap<String, Client>;

/// The way to one client.
#[derive(Debug)]
pub struct Client {
    stream: Arc<TcpStream>,
    queue: SyncSender<Arc<str>>,
}

impl Client {
    /// Puts a line into the queue. Never waits: a client whose queue is full is too slow, and has to go.
    pub fn put(&self, line: &Arc<str>) {
        if self.queue.try_send(Arc::clone(line)).is_err() {
            // This wakes its writer and its session, which leaves.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Writes what comes out of a queue, until the queue ends. Blocks on the queue and on the socket.
pub fn write_loop(mut stream: &TcpStream, queue: &Receiver<Arc<str>>) {
    while let Ok(line) = queue.recv()
        && stream.write_all(line.as_bytes()).is_ok()
    {}
    // This fails when the peer is gone.
    let _ = stream.shutdown(Shutdown::Write);
}

/// A place in the room, under a name. When the place is dropped, its owner has left.
#[derive(Debug)]
pub struct Member<'a> {
    /// The name.
    pub name: String,
    registry: &'a Mutex<Clients>,
}

impl<'a> Member<'a> {
    /// If the name is free, takes it and announces it. Returns what is to be written to its owner, too.
    pub fn join(
        name: &str,
        stream: &Arc<TcpStream>,
        registry: &'a Mutex<Clients>,
    ) -> Option<(Self, Receiver<Arc<str>>)> {
        let mut clients = lock(registry);
        if clients.contains_key(name) {
            return None;
        }
        let (queue, waiting) = sync_channel(MAX_WAITING_LINES);
        clients.insert(name.to_owned(), Client { stream: Arc::clone(stream), queue });
        let online: Vec<&str> = clients.keys().map(String::as_str).collect();
        let online = format!("{} online: {}", online.len(), online.join(", "));
        let welcome = format!("[SERVER] Connected to the server!\n[SERVER] {online}\n");
        clients[name].put(&welcome.into());
        tell_others(&clients, name, &format!("[SERVER] {name} joined the chat!\n"));
        Some((Self { name: name.to_owned(), registry }, waiting))
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let mut clients = lock(self.registry);
        if let Some(client) = clients.remove(&self.name) {
            // The queue ends with the place, and the writer with the queue.
            client.put(&"[SERVER] Goodbye!\n".into());
        }
        tell_others(&clients, "", &format!("[SERVER] {} left the chat!\n", self.name));
    }
}

/// Puts a line into the queues of everyone except one.
pub fn tell_others(clients: &Clients, except: &str, line: &str) {
    let line = Arc::from(line);
    for (name, client) in clients {
        if name != except {
            client.put(&line);
        }
    }
}
