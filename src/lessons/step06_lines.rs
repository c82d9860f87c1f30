//! Step 6: a message is a line. The text of this step is in `step06_lines.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step06_lines.md")]
// This step makes the mistake of unwrapping errors that a peer can cause.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::env;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The clients that have joined: for each name, the connection to write to.
type Registry = Arc<Mutex<HashMap<String, TcpStream>>>;

/// The maximum length of a line, in bytes, without its line end.
const MAX_LINE_BYTES: usize = 1024;

fn main() {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    println!("Listening on {}", listener.local_addr().unwrap());
    let registry = Registry::default();
    loop {
        let (stream, address) = listener.accept().unwrap();
        let registry = Arc::clone(&registry);
        let thread = thread::Builder::new().name(format!("client {}", address.port()));
        thread.spawn(move || serve(&stream, &registry)).unwrap();
    }
}

/// Serves one client until it leaves.
fn serve(mut stream: &TcpStream, registry: &Registry) {
    let mut input = Input::new(stream);
    stream.write_all(b"[SERVER] Enter your nickname:\n").unwrap();
    let Some(name) = input.next_line().unwrap() else { return };
    if registry.lock().unwrap().contains_key(&name) {
        stream.write_all(b"[SERVER] That name is taken.\n").unwrap();
        return;
    }
    let online = registry.lock().unwrap().len() + 1;
    let welcome = format!("[SERVER] Connected to the server!\n[SERVER] {online} online: {name}\n");
    stream.write_all(welcome.as_bytes()).unwrap();
    registry.lock().unwrap().insert(name.clone(), stream.try_clone().unwrap());
    tell_others(registry, &name, &format!("[SERVER] {name} joined the chat!\n"));
    while let Some(line) = input.next_line().unwrap() {
        if line == "/quit" {
            stream.write_all(b"[SERVER] Goodbye!\n").unwrap();
            break;
        }
        match line.strip_prefix("/me ") {
            Some(action) => tell_others(registry, "", &format!("* {name} {action}\n")),
            None => tell_others(registry, &name, &format!("{name}: {line}\n")),
        }
    }
    registry.lock().unwrap().remove(&name);
    tell_others(registry, &name, &format!("[SERVER] {name} left the chat!\n"));
}

/// Cuts the bytes from one client into lines.
struct Input<'a> {
    stream: &'a TcpStream,
    /// The bytes that have arrived but have not been returned yet.
    bytes: Vec<u8>,
    /// Whether the current line is too long. If it is, its beginning was discarded, and its end will be discarded
    /// too.
    skips: bool,
}

impl<'a> Input<'a> {
    fn new(stream: &'a TcpStream) -> Self {
        Self { stream, bytes: Vec::new(), skips: false }
    }

    /// Blocks until a whole line has arrived, and returns the line without its line end. Returns `None` if the
    /// client has ended its stream. The last line before the end of the stream need not have a line end.
    fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let is_whole = !mem::take(&mut self.skips);
                if is_whole && end <= MAX_LINE_BYTES {
                    return Ok(Some(clean(&line)));
                }
                continue;
            }
            if self.bytes.len() > MAX_LINE_BYTES {
                self.bytes.clear();
                self.skips = true;
            }
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                let last = mem::take(&mut self.bytes);
                return Ok((!last.is_empty() && !self.skips).then(|| clean(&last)));
            }
            self.bytes.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Converts a whole line to text. Removes the line end, and replaces all control characters, because a terminal
/// would obey them.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches(['\r', '\n']).replace(char::is_control, "\u{FFFD}")
}

/// Writes a line to everyone except the client named `except`.
fn tell_others(registry: &Registry, except: &str, line: &str) {
    for (name, stream) in registry.lock().unwrap().iter_mut() {
        if name != except {
            stream.write_all(line.as_bytes()).unwrap();
        }
    }
}
