//! Step 1: an echo server, for one client at a time.
//!
//! **New here.** A *listener* waits on a port. `accept` takes the next connection from it and gives
//! a *stream*: bytes that the peer sends come out of `read`, bytes given to `write_all` go to the
//! peer. Each of these calls *blocks*: it returns when there is something to return. That `read`
//! returns 0 bytes means that the peer has ended what it sends.
//!
//! **To try.** In one terminal start the server, in another talk to it; `nc` (or `telnet`) sends
//! what is typed and prints what comes. `1$` is what to type at the prompt of the first terminal,
//! `2>` what to type into the program that runs in the second one, and the rest is what they print.
//!
//! ```console
//! 1$ cargo run -q --example step1_echo_server
//! 1  Listening on 127.0.0.1:7007
//! 2$ nc 127.0.0.1 7007
//! 2> hello
//! 2  hello
//! 2> is there an echo?
//! 2  is there an echo?
//! ```
//!
//! Now start a second `nc` in a third terminal. It connects: the system does that, whether or not
//! the program has called `accept`. But no echo comes before the first `nc` ends.
//!
//! ```console
//! 1$ cargo run -q --example step1_echo_server
//! 1  Listening on 127.0.0.1:7007
//! 2$ nc 127.0.0.1 7007
//! 2> hello
//! 2  hello
//! 3$ echo "anybody there?" | timeout 1 nc 127.0.0.1 7007; echo "exit code $?"
//! 3  exit code 124
//! ```
//!
//! (`timeout` ends a command that takes too long, with exit code 124.)
//!
//! **Still wrong.** One client keeps all others waiting. One client whose connection breaks ends
//! the server, because of the `?` behind `read`. And the program knows bytes, not messages.

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

/// Sends everything back until the peer has ended what it sends.
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
