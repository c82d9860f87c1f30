//! Step 3: a client with two threads, which shows messages while you type. The text of this step is in
//! `step03_two_threads.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step03_two_threads.md")]

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process;
use std::thread;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    println!("Connected to {}", stream.peer_addr()?);
    prompt()?;
    let incoming = stream.try_clone()?;
    thread::Builder::new().name("receive".into()).spawn(move || receive(incoming))?;
    for line in io::stdin().lines() {
        let line = line?;
        if line == "quit" {
            println!("Goodbye!");
            break;
        }
        stream.write_all(format!("{line}\n").as_bytes())?;
        prompt()?;
    }
    Ok(())
}

/// Prints everything that arrives until the server is gone, and then ends the program.
fn receive(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(count) = stream.read(&mut buffer)
        && count > 0
    {
        print!("{}", String::from_utf8_lossy(&buffer[..count]));
        // Without `flush`, text would appear on the screen only after the next line end. If `flush` fails, an
        // error message could not be printed either.
        let _ = io::stdout().flush();
    }
    println!("The server is gone.");
    // The main thread is blocked while it reads from the keyboard. Only `exit` can end that thread.
    process::exit(1);
}

fn prompt() -> io::Result<()> {
    print!("> ");
    io::stdout().flush()
}
