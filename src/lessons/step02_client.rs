//! Step 2: a client that sends each line that you type, and prints the answer. The text of this step is in
//! `step02_client.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step02_client.md")]

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    println!("Connected to {}", stream.peer_addr()?);
    // `BufReader` owns the stream that it reads from. So it gets a second descriptor for the same socket.
    let mut answers = BufReader::new(stream.try_clone()?);
    for line in io::stdin().lines() {
        let line = line?;
        if line == "quit" {
            println!("Goodbye!");
            break;
        }
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        if answers.read_line(&mut answer)? == 0 {
            println!("The server has closed the connection.");
            break;
        }
        print!("{answer}");
    }
    Ok(())
}
