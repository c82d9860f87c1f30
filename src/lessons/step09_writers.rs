//! Step 9: a queue and a writer thread for each client. Its text is in `step09_writers.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step09_writers.md")]

use std::collections::HashMap;
use std::env;
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use chat::lessons::built::accept::accept_loop;
use chat::lessons::built::session::{drain, lock};
use chat::lessons::built::{input::Input, login::login};

/// How many lines may wait for one client.
const MAX_WAITING_LINES: usize = 4096;

/// The clients that are in: for each name, the way to that client.
type Clients = HashMap<String, Client>;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    writeln!(io::stdout(), "Listening on {}", listener.local_addr()?)?;
    let registry = Arc::new(Mutex::new(Clients::new()));
    accept_loop(&listener, move |stream| {
        // However the session ended, the server goes on.
        let _ = serve(stream, &registry);
        drain(stream);
    });
}

/// Serves one client, until it leaves. Once it is in, only its writer writes to it.
fn serve(stream: &Arc<TcpStream>, registry: &Mutex<Clients>) -> io::Result<()> {
    let mut input = Input::new(stream);
    let joined = login(stream, &mut input, |name| Ok(Member::join(name, stream, registry)))?;
    let Some((member, queue)) = joined else { return stream.shutdown(Shutdown::Write) };
    let name = &member.name;
    let (written, writer) = (Arc::clone(stream), thread::Builder::new());
    writer.name(format!("writer of {name}")).spawn(move || write_loop(&written, &queue))?;
    while let Some(line) = input.next_line()?.filter(|line| line != "/quit") {
        match line.strip_prefix("/me ") {
            Some(action) => tell_others(&lock(registry), "", &format!("* {name} {action}\n")),
            None => tell_others(&lock(registry), name, &format!("{name}: {line}\n")),
        }
    }
    Ok(())
}

/// The way to one client.
struct Client {
    stream: Arc<TcpStream>,
    queue: SyncSender<Arc<str>>,
}

impl Client {
    /// Puts a line into the queue. Never waits: a client whose queue is full is too slow, and has to go.
    fn put(&self, line: &Arc<str>) {
        if self.queue.try_send(Arc::clone(line)).is_err() {
            // This wakes its writer and its session, which leaves.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Writes what comes out of a queue, until the queue ends. Blocks on the queue and on the socket.
fn write_loop(mut stream: &TcpStream, queue: &Receiver<Arc<str>>) {
    while let Ok(line) = queue.recv()
        && stream.write_all(line.as_bytes()).is_ok()
    {}
    // This fails when the peer is gone.
    let _ = stream.shutdown(Shutdown::Write);
}

/// A place in the room, under a name. When the place is dropped, its owner has left.
struct Member<'a> {
    name: String,
    registry: &'a Mutex<Clients>,
}

impl<'a> Member<'a> {
    /// If the name is free, takes it and announces it. Returns what is to be written to its owner, too.
    fn join(
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
fn tell_others(clients: &Clients, except: &str, line: &str) {
    let line = Arc::from(line);
    for (name, client) in clients {
        if name != except {
            client.put(&line);
        }
    }
}
