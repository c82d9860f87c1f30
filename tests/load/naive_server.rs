//! For comparison with the real server: a chat server with a similar structure, written in the obvious way.
//!
//! Like the real server, it has one thread for each client and a registry behind a mutex. But it handles one
//! line at a time. It writes the line to one client after another, and holds the registry's lock meanwhile. It
//! implements only the part of the line protocol that the measuring tool needs. So the same commands measure both
//! servers:
//!
//! ```sh
//! cargo run --release --example naive_server -- 5556 &
//! target/release/load flood --port 5556 --pid $!
//! ```

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

type Registry = Arc<Mutex<HashMap<String, TcpStream>>>;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("5556".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    // The tests read the port from this line.
    writeln!(io::stdout(), "Listening on {}", listener.local_addr()?)?;
    let registry = Registry::default();
    for stream in listener.incoming() {
        let (stream, registry) = (stream?, Arc::clone(&registry));
        // An error ends only this client's session, so it is ignored here.
        thread::spawn(move || drop(serve(&stream, &registry)));
    }
    Ok(())
}

/// Serves one client until its connection ends.
fn serve(mut stream: &TcpStream, registry: &Registry) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"[SERVER] Enter your nickname:\n")?;
    let mut lines = BufReader::new(stream).lines();
    let Some(name) = lines.next().transpose()? else { return Ok(()) };
    let mut clients = registry.lock().unwrap_or_else(PoisonError::into_inner);
    let online = clients.len() + 1;
    write!(stream, "[SERVER] Connected to the server!\n[SERVER] {online} online: {name}\n")?;
    broadcast(&clients, None, &format!("[SERVER] {name} joined the chat!\n"));
    clients.insert(name.clone(), stream.try_clone()?);
    drop(clients);
    while let Some(Ok(line)) = lines.next() {
        let clients = registry.lock().unwrap_or_else(PoisonError::into_inner);
        match line.strip_prefix("/me ") {
            Some(action) => broadcast(&clients, None, &format!("* {name} {action}\n")),
            None => broadcast(&clients, Some(&name), &format!("{name}: {line}\n")),
        }
    }
    let mut clients = registry.lock().unwrap_or_else(PoisonError::into_inner);
    clients.remove(&name);
    broadcast(&clients, None, &format!("[SERVER] {name} left the chat!\n"));
    Ok(())
}

/// Writes a line to everyone except its sender.
fn broadcast(clients: &HashMap<String, TcpStream>, sender: Option<&str>, line: &str) {
    for (name, mut stream) in clients {
        if Some(name.as_str()) != sender {
            // If this write fails, the client's own thread notices it.
            let _ = stream.write_all(line.as_bytes());
        }
    }
}
