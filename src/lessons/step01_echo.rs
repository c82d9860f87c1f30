//! Step 1: an echo server, for one client at a time. The text of this step is in `step01_echo.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step01_echo.md")]

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("Listening on {}", listener.local_addr()?);
    loop {
        let (stream, _address) = listener.accept()?;
        echo(stream)?;
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
