//! From step 9: a client's queue, writer thread, and membership in the room.
//!
//! The sessions put lines into the queues without waiting. Each client's own writer takes the lines out.
//! Step 11 replaces this design. In the real server, [`server::client`](crate::server::client) contains the data
//! that several threads share about a client.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::session::lock;

/// The maximum number of lines that may wait in a client's queue.
const MAX_WAITING_LINES: usize = 4096;

/// The clients that have joined, by name. A thread holds the lock on this map only to put lines into queues, and
/// never during a write to a socket.
pub type Clients = HashMap<String, Client>;

/// A client's connection, and the sending end of the client's queue.
#[derive(Debug)]
pub struct Client {
    stream: Arc<TcpStream>,
    queue: SyncSender<Arc<str>>,
}

impl Client {
    /// Puts a line into the client's queue. Never waits: if the queue is full, the client is too slow, and is
    /// disconnected.
    pub fn put(&self, line: &Arc<str>) {
        if self.queue.try_send(Arc::clone(line)).is_err() {
            // The shutdown wakes the client's writer and session. The client then leaves.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Writes each line from the queue to the socket, until the queue ends. Blocks while the queue is empty, and while
/// the socket is full.
pub fn write_loop(mut stream: &TcpStream, queue: &Receiver<Arc<str>>) {
    while let Ok(line) = queue.recv()
        && stream.write_all(line.as_bytes()).is_ok()
    {}
    // This fails if the peer is gone.
    let _ = stream.shutdown(Shutdown::Write);
}

/// A client's membership in the room. Dropping this value makes the client leave.
#[derive(Debug)]
pub struct Member<'a> {
    /// The client's name.
    pub name: String,
    registry: &'a Mutex<Clients>,
}

impl<'a> Member<'a> {
    /// Takes the name if it is free, and announces the new member. Returns the member and the receiving end of the
    /// client's queue, or `None` if the name is taken.
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
            // `client` owns the sending end of its queue, and is dropped right after this call. So the goodbye is the
            // last line in the queue, and the client's writer ends.
            client.put(&"[SERVER] Goodbye!\n".into());
        }
        tell_others(&clients, "", &format!("[SERVER] {} left the chat!\n", self.name));
    }
}

/// Puts a line into the queue of every client except the client named `except`.
pub fn tell_others(clients: &Clients, except: &str, line: &str) {
    let line = Arc::from(line);
    for (name, client) in clients {
        if name != except {
            client.put(&line);
        }
    }
}
