//! For comparison: a chat server of the same shape, written the obvious way.
//!
//! One thread per client and a registry behind a mutex, as in the real one. But each line is read and
//! written by itself, to each client, under the registry's lock. It speaks just as much of the line
//! protocol as the measuring tool needs, so that both can be measured with the same commands:
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
        // Why a client ends does not matter here.
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
            // If the client is gone, its own thread finds out.
            let _ = stream.write_all(line.as_bytes());
        }
    }
}
