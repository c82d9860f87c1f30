//! Step 4: an echo server with one thread per client. The text of this step is in `step04_thread_per_client.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step04_thread_per_client.md")]

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("Listening on {}", listener.local_addr()?);
    loop {
        let (stream, address) = listener.accept()?;
        // The thread gets a name, which `look` shows.
        let thread = thread::Builder::new().name(format!("client {}", address.port()));
        thread.spawn(move || match echo(stream) {
            Ok(()) => println!("A client has left."),
            Err(error) => println!("A client is gone: {error}"),
        })?;
    }
}

/// Sends all received bytes back to the peer, until the peer ends its stream.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count])?;
    }
}
