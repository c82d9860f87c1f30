//! Step 5: a room, in which everybody receives each client's messages. The text of this step is in `step05_room.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step05_room.md")]
// This step makes the mistake of unwrapping errors that a peer can cause.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The clients that have joined: for each name, the connection to write to.
type Registry = Arc<Mutex<HashMap<String, TcpStream>>>;

fn main() {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    println!("Listening on {}", listener.local_addr().unwrap());
    let registry = Registry::default();
    loop {
        let (stream, address) = listener.accept().unwrap();
        let registry = Arc::clone(&registry);
        let thread = thread::Builder::new().name(format!("client {}", address.port()));
        thread.spawn(move || serve(stream, &registry)).unwrap();
    }
}

/// Serves one client until it leaves.
fn serve(mut stream: TcpStream, registry: &Registry) {
    stream.write_all(b"[SERVER] Enter your nickname:\n").unwrap();
    let Some(name) = read_message(&mut stream) else { return };
    if registry.lock().unwrap().contains_key(&name) {
        stream.write_all(b"[SERVER] That name is taken.\n").unwrap();
        return;
    }
    let online = registry.lock().unwrap().len() + 1;
    let welcome = format!("[SERVER] Connected to the server!\n[SERVER] {online} online: {name}\n");
    stream.write_all(welcome.as_bytes()).unwrap();
    registry.lock().unwrap().insert(name.clone(), stream.try_clone().unwrap());
    tell_others(registry, &name, &format!("[SERVER] {name} joined the chat!\n"));
    while let Some(message) = read_message(&mut stream) {
        if message == "/quit" {
            stream.write_all(b"[SERVER] Goodbye!\n").unwrap();
            break;
        }
        match message.strip_prefix("/me ") {
            Some(action) => tell_others(registry, "", &format!("* {name} {action}\n")),
            None => tell_others(registry, &name, &format!("{name}: {message}\n")),
        }
    }
    registry.lock().unwrap().remove(&name);
    tell_others(registry, &name, &format!("[SERVER] {name} left the chat!\n"));
}

/// Returns the next message, or `None` if the client has ended its stream.
fn read_message(stream: &mut TcpStream) -> Option<String> {
    let mut buffer = [0; 1024];
    let count = stream.read(&mut buffer).unwrap();
    (count > 0).then(|| String::from_utf8_lossy(&buffer[..count]).trim_end().to_owned())
}

/// Writes a line to everyone except the client named `except`.
fn tell_others(registry: &Registry, except: &str, line: &str) {
    for (name, stream) in registry.lock().unwrap().iter_mut() {
        if name != except {
            stream.write_all(line.as_bytes()).unwrap();
        }
    }
}
