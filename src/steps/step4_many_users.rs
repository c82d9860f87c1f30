//! Step 4: a chat server for many users, written the naive way.
//!
//! **It is wrong on purpose.** Each line of it looks fine, it works as long as everybody is nice,
//! and it has most of the mistakes that chat servers are made of. The chapter "What goes wrong, and
//! how to see it" (`cargo doc --open`, module `mistakes`) shows them one by one. Do not build on
//! it.
//!
//! **New here.** Each client has a thread of its own, which reads what the client says and writes
//! it to all others. The threads share the *registry*: a map from names to streams, in a *mutex*,
//! so that only one thread at a time uses it. The first thing that a client sends is its name.
//! `/quit` leaves.
//!
//! **To try.** With the client of step 3, or with `nc`:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ cargo run -q --example step3_two_threads alice
//! 2  alice> Welcome, alice!
//! 3$ nc 127.0.0.1 7007
//! 3> bob
//! 3  Welcome, bob!
//! 2  bob joined
//! 3> hello everybody
//! 2  bob: hello everybody
//! 1  bob: hello everybody
//! 2> hi bob
//! 3  alice: hi bob
//! 1  alice: hi bob
//! 3> /quit
//! 3  Goodbye!
//! 2  alice> bob left
//! ```
//!
//! **Still wrong.** All that the chapter is about.

// It is one of the mistakes to `unwrap` what a peer can cause.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

type Registry = Arc<Mutex<HashMap<String, TcpStream>>>;

/// How long it takes to look a user up, in a file or a database. It stands for work that servers do
/// between two looks at the registry.
const LOOK_UP_TIME: Duration = Duration::from_millis(300);

fn main() {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    println!("Listening on {}", listener.local_addr().unwrap());
    let registry = Registry::default();
    // A thread that prints what is said, so that a slow terminal does not hold up the room.
    let (log, messages) = channel();
    thread::spawn(move || messages.iter().for_each(|message: String| print!("{message}")));
    loop {
        let (mut stream, _address) = listener.accept().unwrap();
        let Some(name) = read_message(&mut stream) else { continue };
        let (registry, log) = (Arc::clone(&registry), log.clone());
        thread::spawn(move || serve(stream, &name, &registry, &log));
    }
}

/// Serves one client, until it leaves.
fn serve(mut stream: TcpStream, name: &str, registry: &Registry, log: &Sender<String>) {
    let taken = registry.lock().unwrap().contains_key(name);
    thread::sleep(LOOK_UP_TIME);
    if taken {
        stream.write_all(b"That name is taken.\n").unwrap();
        return;
    }
    registry.lock().unwrap().insert(name.to_owned(), stream.try_clone().unwrap());
    stream.write_all(format!("Welcome, {name}!\n").as_bytes()).unwrap();
    broadcast(registry, name, &format!("{name} joined\n"));
    while let Some(message) = read_message(&mut stream) {
        if message == "/quit" {
            stream.write_all(b"Goodbye!\n").unwrap();
            break;
        }
        let message = format!("{name}: {message}\n");
        log.send(message.clone()).unwrap();
        broadcast(registry, name, &message);
    }
    registry.lock().unwrap().remove(name);
    broadcast(registry, name, &format!("{name} left\n"));
}

/// Returns the next message, or `None` when the client has ended what it sends.
fn read_message(stream: &mut TcpStream) -> Option<String> {
    let mut buffer = [0; 1024];
    let count = stream.read(&mut buffer).unwrap();
    (count > 0).then(|| String::from_utf8_lossy(&buffer[..count]).trim().to_owned())
}

/// Writes a line to everyone but its sender.
fn broadcast(registry: &Registry, sender: &str, line: &str) {
    for (name, stream) in registry.lock().unwrap().iter_mut() {
        if name != sender {
            stream.write_all(line.as_bytes()).unwrap();
        }
    }
}
