//! Step 9: a queue and a writer thread for each client. The text of this step is in `step09_writers.md`.
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

/// The maximum number of lines that may wait in a client's queue.
const MAX_WAITING_LINES: usize = 4096;

/// The clients that have joined, by name.
type Clients = HashMap<String, Client>;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    writeln!(io::stdout(), "Listening on {}", listener.local_addr()?)?;
    let registry = Arc::new(Mutex::new(Clients::new()));
    accept_loop(&listener, move |stream| {
        // An error ends only this session, so the error is ignored here.
        let _ = serve(stream, &registry);
        drain(stream);
    });
}

/// Serves one client until it leaves. Once the client has joined, only its writer writes to its socket.
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

/// A client's connection, and the sending end of the client's queue.
struct Client {
    stream: Arc<TcpStream>,
    queue: SyncSender<Arc<str>>,
}

impl Client {
    /// Puts a line into the client's queue. Never waits: if the queue is full, the client is too slow, and is
    /// disconnected.
    fn put(&self, line: &Arc<str>) {
        if self.queue.try_send(Arc::clone(line)).is_err() {
            // The shutdown wakes the client's writer and session. The client then leaves.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Writes each line from the queue to the socket, until the queue ends. Blocks while the queue is empty, and while
/// the socket is full.
fn write_loop(mut stream: &TcpStream, queue: &Receiver<Arc<str>>) {
    while let Ok(line) = queue.recv()
        && stream.write_all(line.as_bytes()).is_ok()
    {}
    // This fails if the peer is gone.
    let _ = stream.shutdown(Shutdown::Write);
}

/// A client's membership in the room. Dropping this value makes the client leave.
struct Member<'a> {
    name: String,
    registry: &'a Mutex<Clients>,
}

impl<'a> Member<'a> {
    /// Takes the name if it is free, and announces the new member. Returns the member and the receiving end of the
    /// client's queue, or `None` if the name is taken.
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
            // `client` owns the sending end of its queue, and is dropped right after this call. So the goodbye is the
            // last line in the queue, and the client's writer ends.
            client.put(&"[SERVER] Goodbye!\n".into());
        }
        tell_others(&clients, "", &format!("[SERVER] {} left the chat!\n", self.name));
    }
}

/// Puts a line into the queue of every client except the client named `except`.
fn tell_others(clients: &Clients, except: &str, line: &str) {
    let line = Arc::from(line);
    for (name, client) in clients {
        if name != except {
            client.put(&line);
        }
    }
}
