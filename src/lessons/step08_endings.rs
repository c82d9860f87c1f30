//! Step 8: the end of one session ends no other session, and is announced once. The text of this step is in
//! `step08_endings.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step08_endings.md")]

use std::collections::HashMap;
use std::env;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chat::lessons::built::{input::Input, login::login};
use chat::system::socket::{DeadPeer, detect_dead_peer};

/// The times for detecting a dead peer: when the kernel asks a silent peer for an answer, and how long it waits for
/// the answer.
const DEAD_PEER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::from_secs(90),
};

/// The time that a peer has to read the server's last line and to close the connection.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// The clients that have joined: for each name, the connection to write to.
type Streams = HashMap<String, Arc<TcpStream>>;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    // Unlike `println!`, `writeln!` does not panic if standard output is closed.
    writeln!(io::stdout(), "Listening on {}", listener.local_addr()?)?;
    let registry = Arc::new(Mutex::new(Streams::new()));
    loop {
        let accepted = listener.accept().and_then(|(stream, address)| {
            detect_dead_peer(&stream, DEAD_PEER)?;
            // Makes the kernel send each write at once, even if the peer has not acknowledged the previous write
            // yet.
            stream.set_nodelay(true)?;
            let (stream, registry) = (Arc::new(stream), Arc::clone(&registry));
            let thread = thread::Builder::new().name(format!("client {}", address.port()));
            thread.spawn(move || {
                // An error ends only this session, so the error is ignored here.
                let _ = serve(&stream, &registry);
                drain(&stream);
            })
        });
        if accepted.is_err() {
            // There is no free descriptor or thread. Without a pause, the next attempt would fail at once.
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Serves one client until it leaves.
fn serve(stream: &Arc<TcpStream>, registry: &Mutex<Streams>) -> io::Result<()> {
    let mut input = Input::new(stream);
    let member = login(stream, &mut input, |name| Ok(Member::join(name, stream, registry)))?;
    let Some(Member { ref name, .. }) = member else { return Ok(()) };
    while let Some(line) = input.next_line()? {
        if line == "/quit" {
            return (&**stream).write_all(b"[SERVER] Goodbye!\n");
        }
        match line.strip_prefix("/me ") {
            Some(action) => tell_others(&lock(registry), "", &format!("* {name} {action}\n")),
            None => tell_others(&lock(registry), name, &format!("{name}: {line}\n")),
        }
    }
    Ok(())
}

/// A client's membership in the room. Dropping this value makes the client leave.
struct Member<'a> {
    name: String,
    registry: &'a Mutex<Streams>,
}

impl<'a> Member<'a> {
    /// Takes the name if it is free, and announces the new member. Holds the lock the whole time. Returns `None` if
    /// the name is taken.
    fn join(name: &str, stream: &Arc<TcpStream>, registry: &'a Mutex<Streams>) -> Option<Self> {
        let mut streams = lock(registry);
        if streams.contains_key(name) {
            return None;
        }
        streams.insert(name.to_owned(), Arc::clone(stream));
        let online: Vec<&str> = streams.keys().map(String::as_str).collect();
        let online = format!("{} online: {}", online.len(), online.join(", "));
        let welcome = format!("[SERVER] Connected to the server!\n[SERVER] {online}\n");
        // If this write fails, the session's next read fails too.
        let _ = (&**stream).write_all(welcome.as_bytes());
        tell_others(&streams, name, &format!("[SERVER] {name} joined the chat!\n"));
        Some(Self { name: name.to_owned(), registry })
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let mut streams = lock(self.registry);
        streams.remove(&self.name);
        tell_others(&streams, &self.name, &format!("[SERVER] {} left the chat!\n", self.name));
    }
}

/// Locks a mutex, even if it is poisoned. This is correct because no thread can panic while the map is half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a connection in such a way that the last line arrives: sends a FIN, and then discards everything that the
/// peer sends during at most half a second. Closing the socket with unread bytes would reset the connection.
fn drain(mut stream: &TcpStream) {
    let (start, mut ignored) = (Instant::now(), [0; 4096]);
    // These calls fail if the peer is gone. Then there is nothing to discard.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(DRAIN_TIME));
    while start.elapsed() < DRAIN_TIME && stream.read(&mut ignored).is_ok_and(|count| count > 0) {}
}

/// Writes a line to everyone except the client named `except`.
fn tell_others(streams: &Streams, except: &str, line: &str) {
    for (name, stream) in streams {
        if name != except {
            // If this write fails, the recipient's own thread notices the error, and ends the recipient's session.
            let _ = (&**stream).write_all(line.as_bytes());
        }
    }
}
