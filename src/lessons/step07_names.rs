//! Step 7: a name has one owner. The text of this step is in `step07_names.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step07_names.md")]
// This step makes the mistake of unwrapping errors that a peer can cause.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::env;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chat::lessons::built::input::Input;

/// The clients that have joined: for each name, the connection to write to.
type Streams = HashMap<String, TcpStream>;

/// The time after which a newcomer that sends nothing is disconnected.
const LOGIN_TIME: Duration = Duration::from_secs(10);

fn main() {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    println!("Listening on {}", listener.local_addr().unwrap());
    let registry = Arc::new(Mutex::new(Streams::new()));
    loop {
        let (stream, address) = listener.accept().unwrap();
        let registry = Arc::clone(&registry);
        let thread = thread::Builder::new().name(format!("client {}", address.port()));
        thread.spawn(move || serve(&stream, &registry)).unwrap();
    }
}

/// Serves one client until it leaves.
fn serve(mut stream: &TcpStream, registry: &Mutex<Streams>) {
    let mut input = Input::new(stream);
    stream.set_read_timeout(Some(LOGIN_TIME)).unwrap();
    let name = loop {
        stream.write_all(b"[SERVER] Enter your nickname:\n").unwrap();
        let Some(name) = input.next_line().unwrap() else { return };
        if join(&name, stream, registry) {
            break name;
        }
        stream.write_all(b"[SERVER] That name is taken, or not a name.\n").unwrap();
    };
    stream.set_read_timeout(None).unwrap();
    while let Some(line) = input.next_line().unwrap() {
        if line == "/quit" {
            stream.write_all(b"[SERVER] Goodbye!\n").unwrap();
            break;
        }
        let mut streams = registry.lock().unwrap();
        match line.strip_prefix("/me ") {
            Some(action) => tell_others(&mut streams, "", &format!("* {name} {action}\n")),
            None => tell_others(&mut streams, &name, &format!("{name}: {line}\n")),
        }
    }
    let mut streams = registry.lock().unwrap();
    streams.remove(&name);
    tell_others(&mut streams, &name, &format!("[SERVER] {name} left the chat!\n"));
}

/// Takes the name if it is valid and free, and announces the new member. Holds the lock the whole time. Returns
/// whether the client has joined.
fn join(name: &str, mut stream: &TcpStream, registry: &Mutex<Streams>) -> bool {
    let mut streams = registry.lock().unwrap();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-');
    if !is_name || streams.contains_key(name) {
        return false;
    }
    streams.insert(name.to_owned(), stream.try_clone().unwrap());
    let online: Vec<&str> = streams.keys().map(String::as_str).collect();
    let online = format!("{} online: {}", online.len(), online.join(", "));
    let welcome = format!("[SERVER] Connected to the server!\n[SERVER] {online}\n");
    stream.write_all(welcome.as_bytes()).unwrap();
    tell_others(&mut streams, name, &format!("[SERVER] {name} joined the chat!\n"));
    true
}

/// Writes a line to everyone except the client named `except`.
fn tell_others(streams: &mut Streams, except: &str, line: &str) {
    for (name, stream) in streams {
        if name != except {
            stream.write_all(line.as_bytes()).unwrap();
        }
    }
}
